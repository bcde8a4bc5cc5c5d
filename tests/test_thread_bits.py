"""The number of threads changes no bit, on no instruction set; and the bits are the reference's."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastbp as bp
from fastbp.kernels.product import instruction_sets


@pytest.mark.parametrize("isa", instruction_sets())
def test_any_number_of_threads_gives_the_same_bits(program, isa):
    done = program("thread_bits", FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


def test_blas_threads_change_no_bit_of_losses():
    """Sums over more rows than BLAS adds up on one thread are not its own."""
    rng = np.random.default_rng(0)
    rows = 30_011
    X, y, weight = rng.standard_normal((rows, 3)), rng.integers(0, 2, rows), rng.uniform(size=rows)
    losses = rng.uniform(size=rows)
    net = bp.mlp([3, 2], dtype="float64", rng=0)
    results, dots = set(), set()
    for threads in (1, 2, 3, 4):
        with threadpool_limits(threads, user_api="blas"):
            dots.add(float(np.dot(weight, losses)))
            history = net.copy().fit(
                X[:64], y[:64], epochs=1, rng=0, validation_data=(X, y, weight)
            )
            g = net.gradients(X, y, sample_weight=weight, input_gradient=True)
            results.add(
                (
                    net.loss(X, y, sample_weight=weight),
                    net.loss(X, y),
                    *history.val_loss,
                    *history.val_accuracy,
                    g.loss,
                    g.flat.tobytes(),
                    repr(g),
                )
            )
    if len(dots) == 1:
        pytest.skip("this BLAS adds up in one order")
    assert len(results) == 1
