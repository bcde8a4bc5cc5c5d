"""The walk arrives at the gradient: E8's, PyTorch's, and that of differences."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference

NETWORKS = 1000
DIFFERENCES = 100
FLOAT32 = 16  # T6's c: an entry's error in float32 is within c √n eps of the largest


@pytest.fixture(scope="module")
def problems(random_problem):
    """Every problem with its walk."""
    found = []
    for seed in range(NETWORKS):
        p = random_problem(seed)
        p.walk = p.net.explain(p.X, p.y, row=p.row, weight=p.weight)
        found.append(p)
    return found


def rounded(p):
    """x and the target of the walked row as this network has them, in float64."""
    dtype = p.net.dtype
    x = p.X[p.row].astype(dtype).astype(np.float64)
    y = p.y[p.row]
    classes = p.loss == "softmax_cross_entropy" and y.ndim == 0
    return x, y if classes else y.astype(dtype).astype(np.float64)


def largest(p, layers_of):
    """max|∇_W ℒ| of the walked layer (of ∇_b ℒ for a bias), by the reference in longdouble."""
    x, target = rounded(p)
    layers = layers_of(p.net)
    g = reference.gradients(
        x[np.newaxis].astype(np.longdouble), target[np.newaxis], layers, loss=p.loss
    )
    array = g.b[p.k] if p.j is None else g.W[p.k]
    entry = array[p.i] if p.j is None else array[p.i, p.j]
    return float(np.abs(array).max()), float(entry)


def test_problems_are_of_every_kind(problems):
    kinds = {
        (p.loss, p.y.ndim, p.net.dtype.name, type(layer).__name__)
        for p in problems
        for layer in p.net.layers
    }
    assert len(kinds) == 4 * 2 * 4  # softmax has targets of two ranks, the other losses of one
    assert {len(p.walk.as_dict()["factors"]) for p in problems} >= set(range(3, 12))
    assert {p.j is None for p in problems} == {True, False}
    assert max(layer.n_out for p in problems for layer in p.net.layers[:1]) == 70


def test_the_product_is_e8s_entry_in_longdouble(problems, layers_of):
    for seed, p in enumerate(problems):
        most, entry = largest(p, layers_of)
        assert abs(p.walk.product - entry) <= 1e-10 * most, seed


def test_the_product_is_what_training_uses(problems, layers_of):
    for seed, p in enumerate(problems):
        most, _ = largest(p, layers_of)
        assert abs(p.walk.product - p.walk.outer) <= 1e-10 * most, seed
        n = max(p.net.n_in, *(layer.n_out for layer in p.net.layers if layer.affine))
        room = 1e-10 if p.net.dtype == np.float64 else FLOAT32 * np.sqrt(n) * np.finfo("f4").eps
        assert abs(p.walk.product - p.walk.gradient) <= room * most, seed


def test_it_is_net_gradients_of_that_row_alone(problems):
    for p in problems[:100]:
        g = p.net.gradients(p.X[[p.row]], p.y[[p.row]], reduction="sum")
        name, *index = p.weight
        decay = 2 * p.net.l2 * p.net.params[name][tuple(index)] if p.j is not None else 0
        bound = 1e-4 * (abs(p.walk.gradient) + abs(decay)) + 1e-7
        assert abs(p.walk.gradient - (g[name][tuple(index)] - decay)) <= bound


def test_the_explicit_jacobians_give_the_same(problems, layers_of):
    for seed, p in enumerate(problems):
        x, target = rounded(p)
        layers = layers_of(p.net)
        road = reference.road(
            x.astype(np.longdouble), np.asarray(target), layers, p.loss, p.k, p.i, p.j
        )
        product = functools.reduce(np.matmul, road)
        most, entry = largest(p, layers_of)
        assert abs(p.walk.product - product) <= 1e-10 * most, seed
        assert abs(entry - product) <= 1e-12 * most, seed


def test_each_factor_is_the_references_matrix(problems, layers_of):
    """And each running product that matrix product: what is shown is what was multiplied."""
    for p in problems[:200]:
        x, target = rounded(p)
        layers = layers_of(p.net, np.float64)
        factors = reference.road(x, np.asarray(target), layers, p.loss, p.k, p.i, p.j)
        road = dict(zip(names(p, layers), factors, strict=True))
        running = 1.0
        for factor in p.walk.factors:
            matrix = road[factor.name]
            value = factor.value if isinstance(factor.value, np.ndarray) else factor.value.matrix()
            assert factor.value.shape == matrix.shape
            np.testing.assert_allclose(value, matrix, rtol=1e-9, atol=1e-14)
            running = matrix if factor is p.walk.factors[0] else running @ matrix
            scale = np.abs(running).max()
            np.testing.assert_allclose(factor.running.value, running, rtol=0, atol=1e-9 * scale)


def names(p, layers):
    """The names of the reference's factors, in its order."""
    L = len(layers)
    sub = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

    def n(symbol, k):
        return symbol + str(k).translate(sub)

    last = n("a", L) if layers[-1][2] is None else n("h", L)
    found = ["∂ℒ/∂ŷ", f"∂ŷ/∂{last}", f"∂{n('h', L)}/∂{n('a', L)}"]
    if p.loss == "squared_error" and layers[-1][2] is not None:
        found[1:] = ["", f"∂ŷ/∂{n('a', L)}"]
    for m in range(L - 1, p.k - 1, -1):
        found += [f"∂{n('a', m + 1)}/∂{n('h', m)}", f"∂{n('h', m)}/∂{n('a', m)}"]
    weight = n("b", p.k) + f"[{p.i}]" if p.j is None else n("W", p.k) + f"[{p.i},{p.j}]"
    return [*found, f"∂{n('a', p.k)}/∂{weight}"]


def test_pytorch_agrees(problems, torch, layers_of):
    for seed, p in enumerate(problems):
        most, _ = largest(p, layers_of)
        assert abs(p.walk.product - torch_gradient(p, torch)) <= 1e-10 * most, seed


def torch_gradient(p, torch):
    """PyTorch's float64 gradient of the walked weight."""
    x, target = rounded(p)
    params = {
        name: torch.tensor(array.astype(np.float64), requires_grad=True)
        for name, array in p.net.params.items()
    }
    h, k = torch.tensor(x), 0
    g = {bp.ReLU: torch.relu, bp.Tanh: torch.tanh, bp.Sigmoid: torch.sigmoid}
    for layer in p.net.layers:
        if layer.affine:
            k += 1
            h = torch.nn.functional.linear(h, params[f"dense{k}.W"], params.get(f"dense{k}.b"))
        else:
            h = g[type(layer)](h)
    target = torch.tensor(target)
    if p.loss == "softmax_cross_entropy":
        loss = torch.nn.functional.cross_entropy(h, target)
    elif p.loss == "sigmoid_cross_entropy":
        loss = torch.nn.functional.binary_cross_entropy_with_logits(h, target, reduction="sum")
    else:
        loss = ((h - target) ** 2).sum() / 2
    assert loss.item() == pytest.approx(p.walk.loss, rel=1e-9, abs=1e-12)
    loss.backward()
    name, *index = p.weight
    return float(params[name].grad[tuple(index)])


def test_central_differences_agree(problems, layers_of):
    """4th order, in longdouble; entries whose stencil crosses a kink of ReLU are left out."""
    compared = 0
    for seed, p in enumerate(problems[:DIFFERENCES]):
        x, target = (np.asarray(array) for array in rounded(p))
        layers = layers_of(p.net)
        W, b, g = layers[p.k - 1]
        array = b.copy() if p.j is None else W.copy()
        index = (p.i,) if p.j is None else (p.i, p.j)
        losses, signs, step = [], [], np.longdouble(1e-3)
        for offset in (-2, -1, 1, 2):
            moved = array.copy()
            moved[index] += offset * step
            there = list(layers)
            there[p.k - 1] = (W, moved, g) if p.j is None else (moved, b, g)
            a, h = reference.forward(x[np.newaxis].astype(np.longdouble), there)
            losses.append(reference.LOSSES[p.loss][1](h[len(there)], target[np.newaxis])[0])
            kinks = [a[k] > 0 for k in a if there[k - 1][2] == "relu"]
            signs.append(np.concatenate([kink.ravel() for kink in kinks]) if kinks else None)
        if signs[0] is not None and any((other != signs[0]).any() for other in signs):
            continue
        compared += 1
        difference = (losses[0] - 8 * losses[1] + 8 * losses[2] - losses[3]) / (12 * step)
        most, _ = largest(p, layers_of)
        noise = 1e-15  # of the differences themselves, where the layer is dead
        assert abs(p.walk.product - float(difference)) <= 1e-7 * most + noise, seed
    assert compared >= 0.8 * DIFFERENCES
