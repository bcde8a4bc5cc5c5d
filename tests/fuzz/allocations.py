"""Refuse every request for memory in turn, and look at what a network is like afterwards.

    python tests/fuzz/allocations.py            # five minutes of two processors
    python tests/fuzz/allocations.py --every 9  # one request in nine: half a minute
    python tests/fuzz/allocations.py --all      # many more networks, and the interpreter's requests

Each request is refused in a forked process of its own. Then either the call did what it does with
that memory, to the bit, or it raised MemoryError and nothing has changed: not parameters, buffers,
the optimizer's state, generators or files. Either way the network goes on, with the same bits as
one that was refused nothing. `fit` may have made some of its steps, whole ones.

Linux with glibc and a C compiler: fail_malloc.c stands before the C library's functions.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from calls import CALLS, LAYERS, OPTIMIZERS, World, between_steps, digest, follow, look

HERE = Path(__file__).parent
# Whose requests are refused, and what Python's small objects come from. As it is run, most of them
# come from memory that Python already has; with its own allocator off, each is a request.
MODES = {
    "as it is": (0, "pymalloc"),
    "fastbp's and NumPy's": (1, "malloc"),
    "everybody's": (0, "malloc"),
}
SECONDS = 30  # that one process has


# One process per request


class Reference:
    """What a call does with all the memory it wants, found in a process of its own."""

    def __init__(self, world: World, name: str) -> None:
        def run(tell: Callable[[Any], None]) -> None:
            stops = between_steps(pickle.loads(pickle.dumps(world))) if name == "fit" else None
            result = CALLS[name][1](world)
            after = look(world)
            if stops:
                assert after == stops[-1], "steps one by one give other bits than fit's"
            tell([digest(result), after, follow(world), stops or []])

        told, end = in_child(run)
        if end or len(told) != 1:
            raise RuntimeError(f"{name}: {end or told}, with all the memory it wants")
        self.result, self.after, self.followed, self.stops = told[0]


def in_child(run: Callable[[Callable[[Any], None]], None]) -> tuple[list[Any], str]:
    """What `run` tells from a forked process, and how that ended if not well."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(readable)
            signal.alarm(SECONDS)
            run(lambda thing: os.write(writable, json.dumps(thing).encode() + b"\n") and None)
            code = 0
        except BaseException as exc:
            os.write(2, f"{type(exc).__name__}: {exc}, {place(exc)}\n".encode())
        finally:
            os._exit(code)
    os.close(writable)
    with open(readable, "rb") as file:
        told = [json.loads(line) for line in file]
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == -signal.SIGALRM:
        return told, "it hung"
    return told, "" if status == 0 else f"it ended with {status}"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def no_memory(error: BaseException) -> bool:
    """Whether an error says so, in Python's and NumPy's words at some places.

    SystemError: C code failed and did not say why.
    """
    said = str(error)
    return (
        isinstance(error, MemoryError | SystemError)
        or (isinstance(error, RuntimeError) and said.startswith("can't allocate"))
        or (isinstance(error, TypeError) and said.endswith("not PosixPath"))  # os.fspath's
    )


def good(error: BaseException) -> bool:
    """MemoryError, or whatever became of what Python or NumPy raised in its place."""
    if any(isinstance(one, MemoryError) for one in chain(error)):
        return no_memory(error)
    return any(map(no_memory, chain(error)))


def place(error: BaseException) -> str:
    """Where an error began, innermost first."""
    began = next((one for one in reversed([*chain(error)]) if no_memory(one)), error)
    frames = [f for f in traceback.extract_tb(began.__traceback__) if f.filename != __file__]
    shown = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return " < ".join(reversed(shown)) or "the call itself"


def refused(world: World, name: str, number: int, whose: int, wanted: Reference) -> Any:
    """(whether there is such a request, what was wrong) with request `number` of the call."""
    library = ctypes.CDLL(None)
    library.disarm.restype = ctypes.c_long
    library.arm.argtypes = ctypes.c_long, ctypes.c_int
    run_call = CALLS[name][1]

    def run(tell: Callable[[Any], None]) -> None:
        before, result, error = look(world), None, None
        library.arm(number, whose)
        try:
            result = run_call(world)
        except BaseException as exc:
            error = exc
        asked = library.disarm()
        tell({"asked": asked > number, "place": place(error) if error else "(no error)"})
        if asked <= number:
            return
        faults = []
        if error is not None:
            state = json.loads(json.dumps(look(world)))
            before = json.loads(json.dumps(before))
            if not good(error):
                faults.append(f"raised {type(error).__name__}: {error}")
            if name == "fit":
                if state not in wanted.stops:
                    faults.append("stopped within a step")
                twin = pickle.loads(pickle.dumps(world))
                if follow(world) != follow(twin):
                    faults.append("goes on with other bits than its copy")
                tell({"faults": faults})
                return
            faults += [f"changed {what}" for what in state if state[what] != before[what]]
            if faults:
                tell({"faults": faults})
                faults = []
            result = run_call(world)
        got = json.loads(json.dumps([digest(result), look(world), follow(world)]))
        for what, one, other in zip(
            ("result", "state after it", "way on"),
            got, (wanted.result, wanted.after, wanted.followed), strict=True,
        ):  # fmt: skip
            if one != other:
                faults.append(f"gives another {what}{' when called again' if error else ''}")
        tell({"faults": faults})

    told, end = in_child(run)
    if not told:
        return True, f"{end} within the call"
    if not told[0]["asked"]:
        return False, ""
    faults = [fault for message in told[1:] for fault in message["faults"]]
    if end:
        faults.append(f"{end} when used again")
    return True, f"{'; '.join(faults)}; refused at {told[0]['place']}" if faults else ""


def warm(config: tuple[Any, ...], name: str, folder: Path) -> None:
    """Call it once elsewhere, so that what Python and NumPy make once for a process is made."""
    world = World(*config, folder)
    CALLS[name][0](world)
    CALLS[name][1](world)


def worlds(everything: bool) -> Iterator[tuple[Any, ...]]:
    """Layers, dtype, optimizer, l2, whether rows have weights."""
    if not everything:
        yield "C", "float32", "momentum", 0.0, False
        yield "Python", "float64", "Adam", 0.01, True
        return
    yield from itertools.product(
        LAYERS, ("float32", "float64"), OPTIMIZERS, (0.0, 0.01), (False, True)
    )


def look_at(mode: str, names: Iterable[str], everything: bool, every: int) -> int:
    """Refuse the requests of these calls; print what was wrong, and return how many were."""
    whose, _ = MODES[mode]
    requests = wrong = 0
    for config in worlds(everything):
        for name in names:
            before = CALLS[name][0]
            with tempfile.TemporaryDirectory() as folder:
                world = World(*config, Path(folder))
                before(world)
                with tempfile.TemporaryDirectory() as other:
                    warm(config, name, Path(other))
                kept = {path.name: path.read_bytes() for path in world.folder.iterdir()}
                wanted = Reference(world, name)
                for number in itertools.count(requests % every, every):
                    for path in world.folder.iterdir():
                        path.unlink()
                    for file, data in kept.items():
                        (world.folder / file).write_bytes(data)
                    asked, fault = refused(world, name, number, whose, wanted)
                    if not asked:
                        break
                    requests += 1
                    if fault:
                        wrong += 1
                        print(f"{name}, {' '.join(map(str, config))}, request {number}: {fault}")
    print(f"{mode}: {requests} requests refused, {wrong} faults", flush=True)
    return wrong


def compiled(folder: Path) -> Path:
    """fail_malloc.c as a library."""
    library = folder / "fail_malloc.so"
    flags = ["-std=gnu11", "-O2", "-fPIC", "-shared"]
    subprocess.run(["cc", *flags, HERE / "fail_malloc.c", "-o", library], check=True)
    return library


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="more networks, and the interpreter's")
    parser.add_argument("--every", type=int, default=1, help="one request in so many")
    parser.add_argument("--call", choices=CALLS, action="append", help="of these alone")
    parser.add_argument("--mode", choices=MODES, action="append", help="these alone")
    parser.add_argument("--inside", choices=MODES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        return min(1, look_at(given.inside, given.call or CALLS, given.all, given.every))
    modes = given.mode or (list(MODES) if given.all else list(MODES)[:2])
    command = [sys.executable, __file__, *sys.argv[1:], "--inside"]
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"LD_PRELOAD": str(compiled(Path(folder)))}
        running = [
            subprocess.Popen([*command, mode], env=env | {"PYTHONMALLOC": MODES[mode][1]})
            for mode in modes
        ]
        return max(abs(process.wait()) for process in running)


if __name__ == "__main__":
    raise SystemExit(main())
