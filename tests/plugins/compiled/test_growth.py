"""Structs grow at their ends within a major version: old plugins in new hosts, and new in old.

The grown header is plugin.h with a field appended to each struct. A plugin is built against each of
the two, and so is the host: the real one, from the same C sources as the installed one. All four
pairs must load and compute the same. So it is the host's own rule for reading tables that is tested
here, not an imitation; what cannot be tested is whether a future field is *used* rightly.
"""

import ctypes
import json
import re
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastbp as bp

HERE = Path(__file__).parent
PACKAGE = Path(bp.__file__).parent
APPENDED = {
    "fastbp_host": "double (*later)(double);",
    "fastbp_call": "uint64_t later;",
    "fastbp_layer": "fastbp_backward later[2];",
    "fastbp_elementwise": "int (*later[2])(const fastbp_call *call, int64_t n, const void *x, "
    "const void *y, void *out);",
    "fastbp_loss": "size_t (*later)(int64_t rows);",
}
SIZES = """
class Sizes(Elementwise):
    def __fastbp_elementwise__(self):
        return capsule(table("sizes"), NAMES["elementwise"])
"""
TRAIN = """
import json
import numpy as np
import fastbp as bp

result = {}
rng = np.random.default_rng(0)
X, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
for dtype in ("float32", "float64"):
    layers = [bp.Dense(4), "half", "scale", bp.Dense(2)]
    net = bp.Network(3, layers, loss="squares", dtype=dtype, rng=0)
    history = net.fit(X, y, optimizer=bp.Adam(0.01), epochs=5, batch_size=5, progress=False)
    result[dtype] = [*history.loss, *net.flat.tolist(), *net.buffers["scale1.seen"].tolist()]
net = bp.Network(4, ["sizes"], loss="squares")
result["sizes"] = net.forward(np.zeros((1, 4)))[0].tolist()
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def grown_header(tmp_path_factory):
    """A folder to include fastbp/plugin.h of the next minor version from."""
    text = (Path(bp.get_include()) / "fastbp" / "plugin.h").read_text(encoding="utf-8")
    for name, field in APPENDED.items():
        assert text.count(f"\n}} {name};") == 1
        text = text.replace(f"\n}} {name};", f"\n    {field}\n}} {name};")
    text, count = re.subn(r"#define FASTBP_MINOR (\d+)", r"#define FASTBP_MINOR 77", text)
    assert count == 1
    folder = tmp_path_factory.mktemp("grown")
    (folder / "fastbp").mkdir()
    (folder / "fastbp" / "plugin.h").write_text(text + "\n#define LATER\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def grown_host(tmp_path_factory, grown_header):
    """A folder with fastbp, its compiled part built against the grown header."""
    compiler = shutil.which("cc")
    sources = sorted(path.with_suffix(".c") for path in PACKAGE.rglob("*.pyx"))
    if compiler is None:
        pytest.skip("no C compiler: `cc` is not on the path")
    if not all(path.exists() for path in [*sources, PACKAGE / "kernels" / "src"]):
        pytest.skip("the C sources that Cython made are not there: fastbp is not built in place")
    root = tmp_path_factory.mktemp("host")
    shutil.copytree(PACKAGE, root / "fastbp", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    suffix = sysconfig.get_config_var("EXT_SUFFIX")

    def build(source):
        target = root / "fastbp" / source.parent.name / f"{source.stem}{suffix}"
        if not re.search(r'^ *#include [<"]fastbp/plugin\.h', source.read_text("utf-8"), re.M):
            return shutil.copy(source.with_name(target.name), target)
        include = [
            grown_header, PACKAGE / "kernels", PACKAGE / "threads" / "src",
            sysconfig.get_path("include"), np.get_include(),
        ]  # fmt: skip
        parts = sorted(map(str, source.parent.glob("src/*.c")))
        return subprocess.run(
            [compiler, "-O0", "-w", "-fPIC", "-shared", *(f"-I{folder}" for folder in include),
             str(source), *(parts if source.stem == "builtin" else []), "-lm", "-o", str(target)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(build, sources))
    return root


@pytest.fixture
def train(site, install_c):
    """train(header, host): a network's numbers in a new process; None is what is installed."""

    def train(header=None, host=None):
        folders = [str(folder) for folder in (header, bp.get_include()) if folder is not None]
        layers = {"half": "acme_c:Half", "scale": "acme_c:Scale", "sizes": "acme_c:Sizes"}
        install_c(SIZES, HERE / "sizes.c", *folders, layers=layers)
        path = [str(site.path)] if host is None else [str(host), str(site.path)]
        return json.loads(site.run(TRAIN, PYTHONPATH=":".join(path)))

    return train


def test_a_plugin_and_the_host_of_one_version(train, library_of):
    result = train()
    ends = (ctypes.c_uint64 * 10).in_dll(library_of(HERE / "sizes.c"), "ends")
    assert result["sizes"][:3] == [ends[6], ends[8], 0]  # call, host, minor version


def test_a_newer_plugin_in_this_host(train, grown_header):
    """Its tables are larger than known; it finds that the host's structs lack its new fields."""
    want, got = train(), train(grown_header)
    assert got["sizes"] == [*want["sizes"][:3], -1]
    for dtype in ("float32", "float64"):
        assert got[dtype] == want[dtype]


def test_this_versions_plugin_in_a_newer_host(train, grown_host):
    """Its tables are smaller than known, and the host's structs larger than it knows."""
    want, got = train(), train(host=grown_host)
    call, host, minor, _ = got["sizes"]
    assert (call, host, minor) == (want["sizes"][0] + 8, want["sizes"][1] + 8, 77)
    for dtype in ("float32", "float64"):  # the two hosts were compiled with different flags
        np.testing.assert_allclose(
            got[dtype], want[dtype], rtol=1e-5 if dtype == "float32" else 1e-12
        )


def test_a_newer_plugin_in_the_newer_host(train, grown_header, grown_host):
    want, got = train(host=grown_host), train(grown_header, grown_host)
    assert got["sizes"] == [*want["sizes"][:3], 1]  # it sees its fields, which the host left empty
    for dtype in ("float32", "float64"):
        assert got[dtype] == want[dtype]


def test_no_struct_ends_in_padding(library_of):
    """A new field in padding would not change struct_size: nobody could see whether it is there."""
    ends = list((ctypes.c_uint64 * 10).in_dll(library_of(HERE / "sizes.c"), "ends"))
    names = ["fastbp_layer", "fastbp_elementwise", "fastbp_loss", "fastbp_call", "fastbp_host"]
    sizes = dict(zip(names, ends[::2], strict=True))
    assert sizes == dict(zip(names, ends[1::2], strict=True))
