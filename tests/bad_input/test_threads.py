"""threads= on every call that takes it: at most so many, refused before anything has changed."""

import numpy as np
import pytest

import fastbp as bp

CALLS = {
    "step": lambda net, X, y, n: net.step(X, y, bp.SGD(0.1), threads=n),
    "fit": lambda net, X, y, n: net.fit(X, y, epochs=1, progress=False, threads=n).loss,
    "forward": lambda net, X, y, n: net.forward(X, threads=n),
    "predict": lambda net, X, y, n: net.predict(X, threads=n),
    "predict_proba": lambda net, X, y, n: net.predict_proba(X, threads=n),
    "loss": lambda net, X, y, n: net.loss(X, y, threads=n),
    "gradients": lambda net, X, y, n: net.gradients(X, y, threads=n).flat,
    "loss_and_grad": lambda net, X, y, n: net.loss_and_grad(X, y, threads=n)[1],
    "vjp": lambda net, X, y, n: net.vjp(X, np.ones((len(X), 10)), threads=n).flat,
}


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)  # large enough for several threads to be worth their while
    return rng.standard_normal((100, 150)).astype("f4"), rng.integers(0, 10, 100)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("threads", [0, -1, 1025, 10**30, 1.5, "2", True, np.nan])
def test_no_number_of_threads(batch, call, threads):
    net = bp.mlp([150, 96, 10], rng=0)
    before = net.flat.copy()
    with pytest.raises(bp.ConfigError) as info:
        CALLS[call](net, *batch, threads)
    assert str(info.value) == f"threads: got {threads!r}; wanted a whole number >= 1 and <= 1024"
    assert (net.flat == before).all()
    assert net.optimizer_state is None


@pytest.mark.parametrize("call", CALLS)
def test_any_number_of_threads_gives_the_same_bits(batch, call):
    results = []
    with bp.thread_limit(3):
        for threads in (None, 1, 2, 3, 1024):
            net = bp.mlp([150, 96, 10], rng=0)
            CALLS[call](net, *batch, threads)
            results.append((CALLS[call](net, *batch, threads), net.flat.copy()))
    for value, flat in results[1:]:
        np.testing.assert_array_equal(value, results[0][0])
        np.testing.assert_array_equal(flat, results[0][1])
