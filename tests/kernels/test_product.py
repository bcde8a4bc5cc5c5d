"""fastbp's own matrix product on every instruction set that this processor runs."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fastbp.kernels.product import instruction_set, instruction_sets

# Sizes around every register width, tile height and depth block of every instance.
FUZZ = """
import itertools, sys
import numpy as np
from fastbp.kernels import dense_backward, dense_forward, outer_sum
from fastbp.kernels.product import instruction_set
assert instruction_set() == sys.argv[1]
rng = np.random.default_rng(0)
sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 47, 48, 49, 65]
shapes = [tuple(rng.choice(sizes, 3)) for _ in range(150)]
shapes += [(1, 3, 255), (2, 5, 256), (3, 4, 257), (257, 6, 9), (50, 257, 3), (1, 1, 513)]
shapes += [(0, 3, 4), (3, 4, 0)]
for dtype, (batch, n_out, n_in) in itertools.product((np.float32, np.float64), shapes):
    x, W, b, delta = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((batch, n_in), (n_out, n_in), n_out, (batch, n_out))
    )
    def close(got, terms, wanted):
        # each entry within the bound that any order of summation keeps
        bound = (len(terms.shape) + terms.shape[0]) * np.finfo(dtype).eps * np.abs(terms).sum(0)
        assert got.dtype == dtype and got.shape == wanted.shape
        assert (np.abs(got - wanted) <= bound).all(), (dtype, batch, n_out, n_in)
    wide = np.longdouble
    terms = x.T[:, :, None].astype(wide) * W.T[:, None, :].astype(wide)
    terms = np.concatenate([terms, np.broadcast_to(b.astype(wide), (1, batch, n_out))])
    close(dense_forward(x, W, b), terms, terms.sum(0))
    terms = delta.T[:, :, None].astype(wide) * W[:, None, :].astype(wide)
    close(dense_backward(delta, W), terms, terms.sum(0))
    terms = delta[:, :, None].astype(wide) * x[:, None, :].astype(wide)
    close(outer_sum(delta, x), terms, terms.sum(0))
"""


def run(code, *arguments, isa):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "FASTBP_ISA": isa},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("isa", instruction_sets())
def test_every_size_on_every_instruction_set(isa):
    result = run(FUZZ, isa, isa=isa)
    assert result.returncode == 0, result.stderr


# Beyond every crossover: blocks of A packed, panels of B packed and fetched, W turned.
LARGE = """
import numpy as np
from fastbp.kernels import dense_backward, dense_forward, outer_sum
rng = np.random.default_rng(0)
for dtype, wide in ((np.float32, np.float64), (np.float64, np.longdouble)):
    x, W, delta = (
        rng.standard_normal(shape).astype(dtype) for shape in ((290, 530), (610, 530), (290, 610))
    )
    for got, a, b in (
        (dense_forward(x, W), x, W.T),
        (dense_backward(delta, W), delta, W),
        (outer_sum(delta, x), delta.T, x),
    ):
        bound = a.shape[1] * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))
        assert (np.abs(got - a.astype(wide) @ b.astype(wide)) <= bound).all(), (dtype, a.shape)
"""


@pytest.mark.parametrize("isa", instruction_sets())
def test_large_products_on_every_instruction_set(isa):
    result = run(LARGE, isa=isa)
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


ALL_KERNELS = """
import os, sys
import numpy as np
import fastbp as bp
from fastbp import kernels
from fastbp.commands.info import collect
from fastbp.kernels.product import instruction_set
if sys.argv[1]:
    os.environ["FASTBP_ISA"] = sys.argv[1]
for dtype in (np.float32, np.float64):
    rng = np.random.default_rng(3)
    x, W, y = (rng.standard_normal((n, 37)).astype(dtype) for n in (20, 90, 20))
    print(kernels.dense_forward(x, W).tobytes().hex())
    print(kernels.outer_sum(x, y).tobytes().hex(), kernels.bias_sum(x).tobytes().hex())
    for g in (kernels.relu_forward, kernels.tanh_forward, kernels.sigmoid_forward):
        print(g(x).tobytes().hex())
    print(kernels.softmax(x).tobytes().hex())
    for optimizer in (bp.SGD(0.1, momentum=0.9), bp.Adam(0.1)):
        net = bp.mlp([37, 50, 4], activation="tanh", dtype=np.dtype(dtype), rng=0)
        for _ in range(2):
            print(net.step(x, rng.integers(0, 4, 20), optimizer))
        print(net.flat.tobytes().hex())
print(instruction_set(), collect()["instruction_set"])
"""


@pytest.mark.parametrize("later", ["x86-64", "x86-64-v3", "avx"])
def test_the_instruction_set_is_read_at_import_for_every_kernel(python, later):
    at_import = {} if "FASTBP_ISA" not in os.environ else {"FASTBP_ISA": os.environ["FASTBP_ISA"]}

    def outcome(isa, **variables):
        code = f"import sys; sys.argv = ['', {isa!r}]\n{ALL_KERNELS}"
        return python(code, check=True, **variables).stdout

    alone = outcome("", **at_import)
    assert outcome(later, **at_import) == alone
    if later == "x86-64" and later in instruction_sets()[1:]:  # the bits tell one from another
        fused = outcome("", FASTBP_ISA=instruction_sets()[0]).splitlines()[:-1]
        assert outcome("", FASTBP_ISA=later).splitlines()[:-1] != fused
