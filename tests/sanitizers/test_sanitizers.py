"""The kernels and the pool under GCC's sanitisers, in C alone: memory, undefined behaviour, races.

A driver for each idea, see the comment at its head. All take a number of rounds, and so does this
file: `python tests/sanitizers/test_sanitizers.py 1000` is the long form. Nothing is read beyond an
array's end by design: where a register is wider than what is left of a row, and no further row
follows, the numbers are loaded one by one or under a mask.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "fastbp"
SOURCES = [PACKAGE / "kernels" / "src", PACKAGE / "threads" / "src"]

# Where ASan checks by a call and not in line, and UBSan leaves to it what is no memory at all, the
# products compile in half the time.
MEMORY = [
    "-fsanitize=address,undefined", "-fno-sanitize=null,object-size",
    "--param", "asan-instrumentation-with-call-threshold=0",
]  # fmt: skip
SANITISERS = {"memory": MEMORY, "threads": ["-fsanitize=thread"]}
DRIVERS = {  # and what each runs under: TSan starts no thread in a forked child
    "products": ["memory"],
    "passes": ["memory"],
    "parts": ["memory"],
    "threads": ["memory", "threads"],
    "forks": ["memory"],
}
CASES = [(driver, under) for driver, all_ in DRIVERS.items() for under in all_]


def compiled(folder, under):
    """Object files of all C sources, or a skip that says what is missing."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    if not SOURCES[0].is_dir():
        pytest.skip("no C sources: this is an installed package")
    flags = [*SANITISERS[under], "-fno-sanitize-recover=all"]
    command = [compiler, "-std=gnu11", "-O1", "-g1", "-pthread", *flags]
    command += ["-fno-math-errno", "-fno-trapping-math"]  # as setup.py has it
    command += [f"-I{folder}" for folder in (*SOURCES, PACKAGE / "include")]
    (folder / "none.c").write_text("int main(void) { return 0; }\n", encoding="utf-8")
    done = run([*command, folder / "none.c", "-o", folder / "none"])
    if done.returncode:
        pytest.skip(f"gcc has no {flags[0]} here: {done.stderr.splitlines()[-1]}")

    def compile_one(source):
        done = run([*command, "-c", source, "-o", folder / f"{source.stem}.o"])
        assert done.returncode == 0, done.stderr
        return folder / f"{source.stem}.o"

    sources = sorted(
        (path for folder in SOURCES for path in folder.glob("*.c")),
        key=lambda path: path.stem != "dense",
    )  # the slowest first
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return command, [*pool.map(compile_one, sources)]


def run(command, **variables):
    env = {k: v for k, v in os.environ.items() if not k.startswith("FASTBP_")} | variables
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=36000, env=env, check=False
    )


def outcome(driver, folder, build, rounds=None):
    """What one driver says, built with those flags and objects."""
    command, objects = build
    objects = [path for path in objects if path.stem not in ("limit",)]
    program = folder / f"run_{driver}"
    built = run([*command, HERE / f"{driver}.c", *objects, "-lm", "-o", program])
    assert built.returncode == 0, built.stderr
    start = [program] if rounds is None else [program, rounds]
    done = run(start, UBSAN_OPTIONS="print_stacktrace=1")
    if "unexpected memory mapping" in done.stderr and shutil.which("setarch"):
        done = run(["setarch", "-R", *start])  # TSan knows no addresses as random as these
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("the thread sanitiser does not run on this system")
    return done


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    made = {}

    def build(under):
        if under not in made:
            folder = tmp_path_factory.mktemp(under)
            made[under] = folder, compiled(folder, under)
        return made[under]

    return build


@pytest.mark.parametrize(("driver", "under"), CASES)
def test_nothing_is_found(builds, driver, under):
    folder, build = builds(under)
    done = outcome(driver, folder, build)
    assert (done.returncode, done.stderr) == (0, "")


FAULTS = {  # what each sanitiser is there for, in a few lines: it has to see them
    "memory": {
        "heap-buffer-overflow": "float *x = malloc(7 * 4); int n = 7 + (argc > 9); "
        "x[argc > 9] = 1; return x[n] > 0;",
        "signed integer overflow": "int n = 2147483647; return n + argc > 0;",
    },
    "threads": {
        "data race": "pthread_t t; pthread_create(&t, 0, work, 0); shared++; "
        "pthread_join(t, 0); return 0;",
    },
}


@pytest.mark.parametrize(
    ("under", "fault"), [(under, fault) for under, all_ in FAULTS.items() for fault in all_]
)
def test_a_fault_would_be_found(builds, tmp_path, under, fault):
    command, _ = builds(under)[1]
    (tmp_path / "fault.c").write_text(
        "#include <pthread.h>\n#include <stdlib.h>\nstatic int shared;\n"
        "void *work(void *x) { for (int i = 0; i < 1000; i++) shared++; return x; }\n"
        f"int main(int argc, char **argv) {{ (void)argv; {FAULTS[under][fault]} }}\n",
        encoding="utf-8",
    )
    built = run([*command, tmp_path / "fault.c", "-o", tmp_path / "fault"])
    assert built.returncode == 0, built.stderr
    done = run([tmp_path / "fault"])
    if "unexpected memory mapping" in done.stderr and shutil.which("setarch"):
        done = run(["setarch", "-R", tmp_path / "fault"])
    assert done.returncode != 0
    assert fault in done.stderr


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else None
    for under_ in SANITISERS:
        with tempfile.TemporaryDirectory() as name:
            build_ = compiled(Path(name), under_)
            for driver_, under_too in DRIVERS.items():
                if under_ in under_too:
                    done_ = outcome(driver_, Path(name), build_, wanted)
                    print(f"{driver_} under {under_}: {'good' if not done_.returncode else 'BAD'}")
                    print(done_.stderr, end="")
