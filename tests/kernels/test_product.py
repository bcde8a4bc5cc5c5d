"""fastbp's own matrix product on every instruction set that this processor runs."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fastbp.kernels.product import instruction_set, instruction_sets


def run(code, isa):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FASTBP_ISA": isa},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("isa", instruction_sets())
def test_every_size_on_every_instruction_set(program, isa):
    result = program("products", FASTBP_ISA=isa)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("isa", instruction_sets())
def test_large_products_on_every_instruction_set(program, isa):
    result = program("large_products", FASTBP_ISA=isa)
    assert result.returncode == 0, result.stderr


def test_the_best_instruction_set_is_taken():
    if not os.environ.get("FASTBP_ISA"):
        assert instruction_set() == instruction_sets()[0]


@pytest.mark.parametrize("isa", ["avx", "x86-64-v9", "X86-64"])
def test_an_unknown_instruction_set_is_refused(isa):
    assert run("import fastbp", isa=isa).returncode == 0  # told at first use, not at import
    result = run("import fastbp; fastbp.mlp([2, 2])", isa=isa)
    assert result.returncode == 1
    words = f"FASTBP_ISA: got {isa!r}; this processor runs {', '.join(instruction_sets())}"
    assert result.stderr.splitlines()[-1] == f"fastbp.errors.ConfigError: {words}"


@pytest.mark.parametrize("n_out", [33, 610])  # outputs: of the larger layer W is turned
def test_a_row_gets_the_same_bits_in_any_batch_of_two_or_more(n_out):
    from fastbp.kernels import dense_forward

    rng = np.random.default_rng(1)
    x, W = rng.standard_normal((290, 300)), rng.standard_normal((n_out, 300))
    whole = dense_forward(x, W)
    for start, stop in ((0, 2), (5, 22), (16, 64), (20, 70), (13, 146), (288, 290)):
        assert (dense_forward(x[start:stop].copy(), W) == whole[start:stop]).all()


@pytest.mark.parametrize("later", ["x86-64", "x86-64-v3", "avx"])
def test_the_instruction_set_is_read_at_import_for_every_kernel(program, later):
    at_import = {} if "FASTBP_ISA" not in os.environ else {"FASTBP_ISA": os.environ["FASTBP_ISA"]}

    def outcome(isa, **variables):
        return program("all_kernels", isa, check=True, **variables).stdout

    alone = outcome("", **at_import)
    assert outcome(later, **at_import) == alone
    if later == "x86-64" and later in instruction_sets()[1:]:  # the bits tell one from another
        fused = outcome("", FASTBP_ISA=instruction_sets()[0]).splitlines()[:-1]
        assert outcome("", FASTBP_ISA=later).splitlines()[:-1] != fused
