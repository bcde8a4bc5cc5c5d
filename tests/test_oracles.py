"""Every named quantity against differences of the loss, a longdouble reference, and PyTorch.

Random networks of 1 to 5 layers, widths 1 to 70 and batches of 1 to 65, with every activation,
loss, reduction, with weights and l2. The error of an array is max|g - ref| / max|ref|.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference, registry

SAMPLE = 24  # entries differenced per array; smaller arrays are differenced whole
STEPS = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5)  # the longest that crosses no ReLU kink is taken


@dataclass
class Case:
    net: bp.Network
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    reduction: str

    @property
    def loss(self):
        return registry.name_of(self.net.loss_function)

    def gradients(self, net=None):
        return (net or self.net).gradients(
            self.X, self.y, sample_weight=self.weight, reduction=self.reduction, input_gradient=True
        )

    def row_scale(self):
        weight = np.ones(len(self.X)) if self.weight is None else self.weight
        return weight / weight.sum() if self.reduction == "mean" else weight

    def reference(self, layers, dtype=np.longdouble):
        y = self.y.astype(dtype) if self.y.ndim == 2 else self.y
        return reference.gradients(
            self.X.astype(dtype), y, layers, self.loss, self.weight, self.reduction, self.net.l2
        )


KINDS = ["classes", "rows", "binary", "values"]
LOSS = {"classes": "softmax_cross_entropy", "rows": "softmax_cross_entropy",
        "binary": "sigmoid_cross_entropy", "values": "squared_error"}  # fmt: skip
ACTIVATIONS = {"relu": bp.ReLU(), "tanh": bp.Tanh(), "sigmoid": bp.Sigmoid(), "none": None}
COUNT = 40


def size(rng, high):
    """1 to high, the ends more often than the rest."""
    return int(rng.choice([1, high, *rng.integers(1, high + 1, 4)]))


def make(number, dtype="float64"):
    """Network, data and settings number 0, 1, ...: the same at every run."""
    rng = np.random.default_rng(number)
    kind, activation, L = (
        KINDS[number % 4],
        [*ACTIVATIONS, "mixed"][number % 5],
        1 + number // 4 % 5,
    )
    sizes = [size(rng, 70) for _ in range(L + 1)]
    if kind in ("classes", "rows"):
        sizes[-1] = max(sizes[-1], 2)
    layers = []
    for k, n in enumerate(sizes[1:], start=1):
        layers.append(bp.Dense(n, bias=bool(rng.random() < 0.8)))
        name = rng.choice([*ACTIVATIONS]) if activation == "mixed" else activation
        after = ACTIVATIONS[name] if k < L or number % 7 == 0 else None
        layers += [after] if after is not None else []
    l2 = [0.0, 0.01][number // 2 % 2]
    net = bp.Network(sizes[0], layers, loss=LOSS[kind], dtype=dtype, rng=number, l2=l2)
    for name, array in net.params.items():
        if name.endswith(".b"):
            array[...] = rng.normal(scale=0.5, size=array.shape)

    batch = size(rng, 65)
    X = rng.normal(size=(batch, sizes[0])).astype(dtype)
    shape = (batch, sizes[-1])
    y = {
        "classes": lambda: rng.integers(0, sizes[-1], batch),
        "rows": lambda: rng.dirichlet(np.ones(sizes[-1]), batch),
        "binary": lambda: rng.choice([0.0, 1.0, 0.3], shape),
        "values": lambda: rng.normal(size=shape),
    }[kind]()
    weight = rng.uniform(0.25, 2, batch) if number % 3 else None
    if weight is not None and batch > 3:
        weight[batch // 2] = 0
    return Case(net, X, y, weight, ["mean", "sum"][number // 3 % 2])


@pytest.fixture(params=range(COUNT), ids=lambda number: f"case{number}")
def case(request):
    return make(request.param)


def test_the_cases_reach_every_corner():
    cases = [make(number) for number in range(COUNT)]
    dense = [[layer for layer in c.net.layers if isinstance(layer, bp.Dense)] for c in cases]
    widths = {n for c in cases for n in (c.net.n_in, *(d.n_out for d in dense[cases.index(c)]))}
    assert {len(layers) for layers in dense} == {1, 2, 3, 4, 5}
    assert {1, 70} <= widths <= {*range(1, 71)}
    assert {1, 65} <= {len(c.X) for c in cases} <= {*range(1, 66)}
    assert {type(layer) for c in cases for layer in c.net.layers} == {
        bp.Dense, bp.ReLU, bp.Tanh, bp.Sigmoid
    }  # fmt: skip
    assert {c.reduction for c in cases} == {"mean", "sum"}
    assert {c.net.l2 > 0 for c in cases} == {c.weight is None for c in cases} == {True, False}
    assert {layer.bias for layers in dense for layer in layers} == {True, False}


# The reference in longdouble


def test_longdouble_reference(case, layers_of, quantities, relative_error):
    g, want = case.gradients(), case.reference(layers_of(case.net))
    got = quantities(g)
    assert got.keys() == quantities(want).keys()
    for name, array in quantities(want).items():
        assert relative_error(got[name], array) <= 1e-12, name

    used = case.row_scale()[:, np.newaxis] > 0  # rows left out stand as zeros
    for k, array in want.values.a.items():
        assert relative_error(g.values.a[k], used * array) <= 1e-12, f"values.a[{k}]"
    for k, array in want.values.h.items():
        assert relative_error(g.values.h[k], used * array) <= 1e-12, f"values.h[{k}]"
    assert relative_error(g.values.y_hat, used * want.values.y_hat) <= 1e-12
    parameters = [p for k in sorted(want.W) for p in (want.W[k], want.b.get(k)) if p is not None]
    assert relative_error(g.flat, np.concatenate([p.ravel() for p in parameters])) <= 1e-12
    each = case.net.loss(case.X, case.y, reduction="none")
    assert relative_error(each, want.values.each) <= 1e-12
    total = case.net.loss(case.X, case.y, sample_weight=case.weight, reduction=case.reduction)
    assert relative_error(total, want.loss) <= 1e-12


# Central differences, 4th order


class Differences:
    """Differences of functions of one number, with what they leave out counted."""

    def __init__(self):
        self.compared = self.left_out = 0

    def __call__(self, f, signs=None, unit=1.0):
        """f'(0), or None where every step crosses a kink: f and signs take the offset.

        Where f is a vector, the sum of its entries' differences: rounding grows with the size of
        a number before it is differenced, so single losses lose less than their sum.
        """
        for step in STEPS:
            offsets = np.array([-2, -1, 1, 2]) * np.longdouble(step * unit)
            if signs is None or len({signs(offset) for offset in (0, *offsets)}) == 1:
                self.compared += 1
                values = [f(offset) for offset in offsets]
                stencil = values[0] - values[3] + 8 * (values[2] - values[1])
                return np.sum(stencil) / (12 * step * unit)
        self.left_out += 1
        return None

    def check(self, name, array, entries, relative_error):
        """`entries` maps indices to differences: the array has them, within 1e-7 of its scale."""
        found = {index: value for index, value in entries.items() if value is not None}
        got = np.array([array[index] for index in found])
        assert relative_error(got, np.array([*found.values()])) <= 1e-7, name


def sample(shape):
    """Indices of up to SAMPLE entries, the same for the same shape."""
    total = int(np.prod(shape))
    chosen = np.random.default_rng(total).permutation(total)[:SAMPLE]
    return [tuple(int(i) for i in np.unravel_index(index, shape)) for index in chosen]


def relu_signs(x, layers):
    """On which side of its kink each ReLU unit is."""
    a, _ = reference.forward(x, layers)
    return b"".join((a[k] > 0).tobytes() for k, (_, _, g) in enumerate(layers, 1) if g == "relu")


def test_parameters_and_input_against_differences_of_the_loss(case, layers_of, relative_error):
    net, g, differences = case.net, case.gradients(), Differences()
    live = layers_of(net, np.float64)  # views: they follow what is written into net.params
    scale = case.row_scale()

    def losses():
        return scale * net.loss(case.X, case.y, reduction="none")

    for name, array in net.params.items():
        k, key = int(name[len("dense")]), name[-1]
        gradient, entries = getattr(g, key)[k], {}
        for index in sample(array.shape):
            kept = array[index]

            def at(offset, action, array=array, index=index, kept=kept):
                array[index] = kept + offset
                try:
                    return action()
                finally:
                    array[index] = kept

            entries[index] = differences(
                lambda offset, at=at: at(offset, losses),
                lambda offset, at=at: at(offset, lambda: relu_signs(case.X, live)),
            )
            if key == "W" and entries[index] is not None:
                entries[index] += 2 * net.l2 * array[index]  # losses are without the l2 term
        differences.check(f"g.{key}[{k}]", gradient, entries, relative_error)

    entries = {}
    for n, j in sample(case.X.shape):

        def moved(offset, n=n, j=j):
            row = case.X[n : n + 1].copy()
            row[0, j] += offset
            return row

        def loss_of_row(offset, n=n, moved=moved):  # the other rows' losses do not move
            return scale[n] * net.loss(moved(offset), case.y[n : n + 1], reduction="none")[0]

        entries[n, j] = differences(
            loss_of_row, lambda offset, moved=moved: relu_signs(moved(offset), live)
        )
    differences.check("g.x", g.x, entries, relative_error)
    assert differences.compared >= 0.8 * (differences.compared + differences.left_out)


def loss_of_y_hat(kind, y_hat, target):
    """One row's loss as a function of y_hat, as it stands in the books."""
    if kind == "squared_error":
        return ((y_hat - target) ** 2).sum() / 2
    if kind == "sigmoid_cross_entropy":
        return -(target * np.log(y_hat) + (1 - target) * np.log(1 - y_hat)).sum()
    return -np.log(y_hat[target]) if target.ndim == 0 else -(target * np.log(y_hat)).sum()


def test_units_against_differences_of_the_network_that_is_left(case, layers_of, relative_error):
    g, differences = case.gradients(), Differences()
    layers, scale = layers_of(case.net), case.row_scale()
    a, h = reference.forward(case.X.astype(np.longdouble), layers)
    to_y_hat, loss_of, _, _ = reference.LOSSES[case.loss]
    L = len(layers)

    def moved(array, n, i, offset):
        row = array[n : n + 1].copy()
        row[0, i] += offset
        return row

    for k in range(1, L + 1):
        # from a_k on, the network is g_k and layers k+1..L; from h_k on, those layers
        G, after = layers[k - 1][2], layers[k:]
        identity = np.eye(a[k].shape[1], dtype=np.longdouble)
        rest = {"a": [(identity, None, G), *after], "h": after}
        for symbol, array, gradient in (("a", a[k], g.a[k]), ("h", h[k], g.h[k])):
            entries, left = {}, rest[symbol]
            for n, i in sample(array.shape):

                def loss(offset, array=array, n=n, i=i, left=left):
                    h_L = reference.forward(moved(array, n, i, offset), left)[1][len(left)]
                    return scale[n] * loss_of(h_L, case.y[n : n + 1])[0]

                def signs(offset, array=array, n=n, i=i, left=left):
                    return relu_signs(moved(array, n, i, offset), left)

                entries[n, i] = differences(loss, signs)
            differences.check(f"g.{symbol}[{k}]", gradient, entries, relative_error)

    y_hat, entries = to_y_hat(h[L]), {}
    for n, i in sample(y_hat.shape):

        def loss_at(offset, n=n, i=i):
            return scale[n] * loss_of_y_hat(
                case.loss, moved(y_hat, n, i, offset)[0], np.asarray(case.y[n])
            )

        room = 1.0 if case.loss == "squared_error" else min(y_hat[n, i], 1 - y_hat[n, i])
        entries[n, i] = differences(loss_at, unit=room)  # log wants steps that stay inside (0, 1)
    differences.check("g.y_hat", g.y_hat, entries, relative_error)
    assert differences.compared >= 0.8 * (differences.compared + differences.left_out)


# float32 against float64


FLOAT32_C = 8.0
"""float32 is within c √n eps of float64, n the longest sum (widths and batch).

The rounding errors of a sum of n products add up like a random walk, to about √n eps / 2 of the
sum's size where its terms do not cancel. Up to five layers forward and five backward pass such
errors on, independent of each other, so that they add up as √10 · √n eps / 2 = 1.6 √n eps; c = 8
leaves a factor of five for sums whose terms cancel.

E4 divides by y_hat: its relative error is the absolute error of a_L (y_hat is an exponential), so
it grows with |a_L|.
"""


@pytest.mark.parametrize("number", range(COUNT))
def test_float32_within_a_bound_of_float64(number, layers_of, quantities, relative_error):
    case = make(number, "float32")
    wide = make(number, "float64").net
    wide.flat[:] = case.net.flat  # the same numbers, so only the arithmetic differs
    case.y = case.y.astype(np.float32) if case.y.ndim == 2 else case.y
    if case.y.ndim == 2 and case.loss == "softmax_cross_entropy":
        case.y = case.y / case.y.sum(axis=1, keepdims=True)

    # a ReLU unit this near its kink may fall on either side of it (exact zeros are exact in both)
    layers = layers_of(wide, np.float64)
    a, _ = reference.forward(case.X.astype(np.float64), layers)
    near = np.zeros(len(case.X), bool)
    for k, (_, _, g) in enumerate(layers, start=1):
        near |= (g == "relu") & ((np.abs(a[k]) < 1e-5) & (a[k] != 0)).any(axis=1)
    assert near.mean() <= 0.2
    case.X, case.y = case.X[~near], case.y[~near]
    case.weight = None if case.weight is None else case.weight[~near]

    longest = max(len(case.X), case.net.n_in, *(len(W) for W, _, _ in layers))
    bound = FLOAT32_C * np.sqrt(longest) * np.finfo(np.float32).eps
    want = case.gradients(wide)
    bounds = {"y_hat": bound * max(1, np.abs(want.values.h[len(layers)]).max())}
    for name, array in quantities(case.gradients()).items():
        assert relative_error(array, quantities(want)[name]) <= bounds.get(name, bound), name


# PyTorch


@pytest.mark.parametrize("number", range(0, COUNT, 2))
def test_pytorch(torch, number, layers_of, quantities, relative_error):
    case = make(number)
    layers = layers_of(case.net, np.float64)
    parameters = [
        [None if p is None else torch.tensor(p, requires_grad=True) for p in layer[:2]]
        for layer in layers
    ]
    x = torch.tensor(case.X, requires_grad=True)
    a, h = {}, {0: x}
    for k, ((W, b), (_, _, g)) in enumerate(zip(parameters, layers, strict=True), start=1):
        a[k] = torch.nn.functional.linear(h[k - 1], W, b)
        h[k] = a[k] * 1 if g is None else getattr(torch, g)(a[k])
        a[k].retain_grad()
        h[k].retain_grad()
    h_L, y = h[len(layers)], torch.tensor(case.y)
    each = {
        "softmax_cross_entropy": lambda: torch.nn.functional.cross_entropy(
            h_L, y, reduction="none"
        ),
        "sigmoid_cross_entropy": lambda: torch.nn.functional.binary_cross_entropy_with_logits(
            h_L, y, reduction="none"
        ).sum(dim=1),
        "squared_error": lambda: (
            torch.nn.functional.mse_loss(h_L, y, reduction="none").sum(dim=1) / 2
        ),
    }[case.loss]()
    value = (torch.tensor(case.row_scale()) * each).sum()
    value = value + case.net.l2 * sum((W**2).sum() for W, _ in parameters)
    value.backward()

    got = quantities(case.gradients())
    del got["y_hat"]  # PyTorch's losses start from the pre-activations too
    want = {"loss": value, "x": x.grad}
    want |= {f"a[{k}]": array.grad for k, array in a.items()}
    want |= {f"h[{k}]": array.grad for k, array in h.items()}
    want |= {f"W[{k}]": W.grad for k, (W, _) in enumerate(parameters, start=1)}
    want |= {f"b[{k}]": b.grad for k, (_, b) in enumerate(parameters, start=1) if b is not None}
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        assert relative_error(got[name], tensor.detach().numpy()) <= 1e-12, name
