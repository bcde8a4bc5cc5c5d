"""plugin.h's structs have no padding, for 64 and 32 bits, and no member of them moves."""

import re
import subprocess
from pathlib import Path

import pytest

import fastbp as bp

SOURCE = Path(__file__).with_name("layout.c")
HEADER = Path(bp.get_include(), "fastbp", "plugin.h").read_text(encoding="utf-8")


def compile_for(compiler, *options, source=SOURCE):
    # freestanding: the compiler's own stdint.h, since that of 32 bits may not be installed
    return subprocess.run(
        [compiler, "-std=c99", "-ffreestanding", "-fsyntax-only", *options,
         f"-I{bp.get_include()}", str(source)],
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "options", [(), ("-m32",), ("-m32", "-malign-double")], ids=["64", "32 by 4", "32 by 8"]
)
def test_no_member_moves_and_none_is_padded(compiler, options, tmp_path):
    trivial = tmp_path / "trivial.c"
    trivial.write_text("#include <stdint.h>\n")
    if compile_for(compiler, *options, source=trivial).returncode:
        pytest.skip(f"{compiler} does not compile for {' '.join(options)}")
    done = compile_for(compiler, *options)
    assert done.returncode == 0, done.stderr


def test_every_member_is_looked_at():
    asserted = set(re.findall(r"^ *AT\((\w+), (\w+),", SOURCE.read_text(encoding="utf-8"), re.M))
    found = set()
    for body, name in re.findall(r"^typedef struct \w+ \{\n(.*?)^\} (\w+);", HEADER, re.M | re.S):
        body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
        for line in filter(None, map(str.strip, body.split(";"))):
            function = re.search(r"\(\*(\w+)", line)
            member = function[1] if function else re.search(r"(\w+)(\[2\])?$", line)[1]
            found.add((name, member))
    head = {("type", name) for name in ("struct_size", "minor", "flags", "least_minor")}
    assert asserted - head == {
        (struct, member)
        for struct, member in found
        if struct in ("fastbp_call", "fastbp_host") or ("type", member) not in head
    }
    assert asserted >= head
