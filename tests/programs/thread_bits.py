"""The number of threads changes no bit of anything that a network computes."""

import os
import time

import numpy as np

import fastbp as bp
from fastbp import reference
from fastbp.kernels.product import instruction_set
from fastbp.threads.pool import run_parts, shares, warm_helpers

assert instruction_set() == os.environ["FASTBP_ISA"]


def work(net, X, y, weight, optimizer):
    net = net.copy()
    g = net.gradients(X, y, sample_weight=weight, input_gradient=True)
    yield from (net.forward(X), net.loss(X, y), g.loss, g.flat, g.x, *g.a.values(), *g.h.values())
    for _ in range(3):
        yield net.step(X, y, optimizer)
    yield net.step(X, y, optimizer, sample_weight=weight)
    yield net.flat.copy()
    size = len(X) // 2 + 1
    yield net.fit(X, y, optimizer=optimizer, epochs=2, batch_size=size, rng=0, progress=False).loss
    yield from (net.flat, *net.optimizer_state.arrays.values(), net.forward(X))


rng = np.random.default_rng(2)
OPTIMIZERS = [bp.SGD(0.1), bp.SGD(0.1, momentum=0.9, nesterov=True), bp.Adam(0.01)]
# every one of them has more multiply-adds than one thread is given
SHAPES = [
    ([65, 129, 67], "tanh", 65),
    ([301, 257, 5], "relu", 33),
    ([33, 97, 101, 10], "sigmoid", 513),
    ([700, 1500, 1], "tanh", 2),
    ([1000, 17, 3], "relu", 61),
    ([5, 1003, 11], "tanh", 199),
    # and of these E1 and E6 are divided by outputs and inputs, to the last layer or not
    ([200, 600, 500, 10], "relu", 40),
    ([100, 300, 260, 270], "relu", 33),
    ([150, 270, 300, 280], None, 40),
    ([301, 257, 263, 251, 70], "relu", 65),
]
for _ in range(3):
    *sizes, batch = map(int, rng.integers(100, 300, 4))
    SHAPES.append((sizes, "tanh", batch))
helped = unequal = False
for number, (sizes, g, batch) in enumerate(SHAPES):
    for dtype in ("float32", "float64"):
        loss = "squared_error" if sizes[-1] == 1 else "softmax_cross_entropy"
        layers = [layer for n in sizes[1:] for layer in (bp.Dense(n), g)][:-1]
        net = bp.Network(
            sizes[0],
            [layer for layer in layers if layer],
            loss=loss,
            dtype=dtype,
            l2=0.01 * (number % 2),
            rng=number,
        )
        X = rng.standard_normal((batch, sizes[0])).astype(dtype)
        y = (
            rng.standard_normal((batch, 1)).astype(dtype)
            if sizes[-1] == 1
            else rng.integers(0, sizes[-1], batch)
        )
        weight, optimizer = rng.integers(0, 3, batch), OPTIMIZERS[number % 3]
        weight[:2] = 1
        case = sizes, batch, dtype
        results = {}
        for threads in (1, 2, 3, 4, 7):
            with bp.thread_limit(threads):
                # unequal shares, as if some CPUs were slower
                run_parts(
                    threads, threads, work=rng.integers(0, 50000, threads), rounds=5, learn=True
                )
                unequal |= np.ptp(np.diff(shares(threads))) > 0.1 / threads
                net.step(X, y, bp.SGD(1e-30))
                helped |= warm_helpers() > 0
                net.reset_optimizer()
                results[threads] = [
                    np.asarray(one).tobytes() for one in work(net, X, y, weight, optimizer)
                ]
                same = [a == b for a, b in zip(results[threads], results[1], strict=True)]
                assert all(same), (case, threads, same)
                gradient = net.loss_and_grad(X, y)[1]
        layers, k = [], len(sizes) - 1
        for i in range(1, k + 1):
            W, b = (net.params[f"dense{i}.{name}"].astype(float) for name in "Wb")
            layers.append((W, b, g if i < k else None))
        wide = y.astype(float) if y.ndim == 2 else y
        g64 = reference.gradients(X.astype(float), wide, layers, loss, l2=net.l2)
        exact = np.concatenate(
            [part.ravel() for i in range(1, k + 1) for part in (g64.W[i], g64.b[i])]
        )
        error = np.abs(gradient - exact).max() / np.abs(exact).max()
        assert error < 100 * np.finfo(dtype).eps, (case, error)
end = time.monotonic() + 20  # a busy machine wakes a helper late: the last case once more, then
while not (helped and unequal) and time.monotonic() < end:
    with bp.thread_limit(2):
        run_parts(2, 2, work=np.array([0, 3_000_000]), rounds=5, learn=True)
        unequal |= np.ptp(np.diff(shares(2))) > 0.05
        net.step(X, y, bp.SGD(1e-30))
        helped |= warm_helpers() > 0
        net.reset_optimizer()
        again = [np.asarray(one).tobytes() for one in work(net, X, y, weight, optimizer)]
        assert again == results[1]
assert helped
assert unequal

# delta_1 h_0 near overflow, where bounds decide how sums are made, by scale of delta
X = rng.standard_normal((40, 200)).astype(np.float32)
for scale in np.logspace(31, 36, 21):
    results = []
    for threads in (1, 2, 3):
        net = bp.mlp([200, 600, 500, 10], loss="squared_error", rng=0)
        y = np.full((40, 10), scale, np.float32)
        with bp.thread_limit(threads):
            net.step(X, np.zeros_like(y), bp.SGD(1e-30))
            try:
                net.step(X, y, bp.SGD(1e-33))
            except bp.NonFiniteError:
                results.append("too large")
        results.append(net.flat.tobytes())
    assert results[: len(results) // 3] * 3 == results, scale
