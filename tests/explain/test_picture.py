"""The picture of a walk: what it shows, checked against training's passes, and how it stands."""

import itertools
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import fastbp as bp
from fastbp.explain import columns as showing
from fastbp.explain.picture import ACCENT


class Centred(bp.layers.Layer):
    """y = gamma (x - mean of x): its own backward, and parameters."""

    def __init__(self, name=None):
        self.name = name

    def build(self, n_in, dtype):
        return bp.layers.LayerSpec(n_out=n_in, params={"gamma": (n_in,)})

    def init(self, params, rng, gain=1.0):
        params["gamma"][...] = rng.uniform(0.5, 1.5, params["gamma"].shape)

    def forward(self, params, x, y, ctx):
        y[...] = params["gamma"] * (x - x.mean(axis=1, keepdims=True))

    def backward(self, params, x, y, dy, dx, grads, ctx):
        grads["gamma"][...] = (dy * (x - x.mean(axis=1, keepdims=True))).sum(axis=0)
        if dx is not None:
            g = dy * params["gamma"]
            dx[...] = g - g.mean(axis=1, keepdims=True)


class Pairs(bp.layers.Layer):
    """y_u = s_2u x_2u s_2u+1 x_2u+1: half as wide, with more entries of s than units."""

    def build(self, n_in, dtype):
        return bp.layers.LayerSpec(n_out=n_in // 2, params={"s": (n_in,)})

    def init(self, params, rng, gain=1.0):
        params["s"][...] = rng.uniform(0.5, 1.5, params["s"].shape)

    def forward(self, params, x, y, ctx):
        z = params["s"] * x
        np.multiply(z[:, ::2], z[:, 1::2], out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        z = params["s"] * x
        dz = np.empty_like(z)
        dz[:, ::2], dz[:, 1::2] = dy * z[:, 1::2], dy * z[:, ::2]
        grads["s"][...] = (dz * x).sum(axis=0)
        if dx is not None:
            dx[...] = dz * params["s"]


class Leaky(bp.layers.Elementwise):
    """One slope for all units, which is a parameter."""

    def build(self, n_in, dtype):
        return bp.layers.LayerSpec(n_out=n_in, params={"slope": ()})

    def init(self, params, rng, gain=1.0):
        params["slope"][...] = 0.25

    def forward(self, params, x, y, ctx):
        y[...] = np.where(x > 0, x, params["slope"] * x)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        grads["slope"][...] = (dy * np.where(x > 0, 0, x)).sum()
        if dx is not None:
            dx[...] = dy * np.where(x > 0, 1, params["slope"])


def mlp(*widths, activation="tanh"):
    return bp.mlp(list(widths), activation=activation, dtype="float64", rng=0)


def network(n_in, *layers, loss="softmax_cross_entropy"):
    return bp.Network(n_in, list(layers), loss=loss, dtype="float64", rng=0)


def mazur():
    net = network(2, bp.Dense(2), "sigmoid", bp.Dense(2), "sigmoid", loss="squared_error")
    net.params["dense1.W"] = [[0.15, 0.20], [0.25, 0.30]]
    net.params["dense2.W"] = [[0.40, 0.45], [0.50, 0.55]]
    net.params["dense1.b"], net.params["dense2.b"] = [0.35, 0.35], [0.60, 0.60]
    return net


def mixed():
    return network(4, bp.Dense(6), Centred(), "tanh", Pairs(), bp.Dense(3), Leaky(), bp.Dense(2))


WALKS = {
    "2-3-2": (mlp(2, 3, 2), ("dense1.W", 0, 1)),
    "2-3-2, a bias": (mlp(2, 3, 2), ("dense1.b", 2)),
    "2-3-2, the last layer": (mlp(2, 3, 2), ("dense2.W", 1, 2)),
    "8-16-16-4": (mlp(8, 16, 16, 4, activation="relu"), "dense1.W"),
    "784-256-10": (mlp(784, 256, 10, activation="relu"), None),
    "deep": (mlp(5, 4, 6, 4, 5, 6, 4, 3), "dense1.W"),
    "deep and wide": (mlp(40, 30, 20, 30, 20, 14), "dense2.W"),
    "Mazur": (mazur(), ("dense1.W", 0, 0)),
    "mixed": (mixed(), ("dense1.W", 3, 0)),
    "mixed, a layer's own parameter": (mixed(), ("centred1.gamma", 2)),
    "mixed, a parameter with more entries than units": (mixed(), ("pairs1.s", 5)),
    "mixed, a parameter of all units": (mixed(), ("leaky1.slope",)),
    "no affine layer": (network(4, Centred(), Pairs()), ("centred1.gamma", 1)),
    "activation first": (network(3, "tanh", bp.Dense(2)), None),
    "one output": (network(3, bp.Dense(1, bias=False), loss="sigmoid_cross_entropy"), None),
    "1-1": (network(1, bp.Dense(1), loss="squared_error"), None),
    "long names": (
        network(3, bp.Dense(4, name="dense" * 9), Centred("centred" * 6), Pairs(), bp.Dense(2)),
        ("dense1.W", 0, 1),
    ),
    "an amount that is no formula": (network(2, bp.Dense(2, name="$\\frac$")), None),
}


def data(net):
    x = np.random.default_rng(1).uniform(0.2, 1, (1, net.n_in)) * np.resize([1, -1, 1], net.n_in)
    if net.n_out == 1 or isinstance(net.layers[-1], bp.Sigmoid):
        return x, np.linspace(0, 0.99, net.n_out)[np.newaxis].round()
    return x, np.array([net.n_out - 1])


def explanation(name):
    net, weight = WALKS[name]
    return net.explain(*data(net), weight=weight)


def agg(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


walks = pytest.mark.parametrize("name", WALKS)


# What flows


@walks
def test_what_flows_through_a_layer_sums_to_the_product(name):
    shown = explanation(name)
    walk = shown._walk
    moved = showing.tangents(walk)
    for layer in range(walk.weight.slot.layer + 1, len(walk.jacobians)):
        above, below = (np.arange(n) for n in walk.jacobians[layer].shape)
        flow = showing.flow(walk, moved, layer, above, below)
        assert flow.shape == walk.jacobians[layer].shape
        assert abs(flow.sum() - shown.gradient) <= 1e-12 * np.abs(flow).sum()


@walks
def test_tangents_are_what_moving_the_weight_does_to_the_output(name):
    net, _ = WALKS[name]
    net = net.copy()
    X, _ = data(net)
    walk = explanation(name)._walk
    last, array, index = len(net.layers), net.params[walk.weight.name], walk.weight.index
    start, eps, outputs = array[index], 1e-5, []
    for moved in (start + eps, start - eps):
        array[index] = moved
        outputs.append(net.forward(X)[0])
    slope = (outputs[0] - outputs[1]) / (2 * eps)
    np.testing.assert_allclose(showing.tangents(walk)[last], slope, rtol=1e-6, atol=1e-9)


def test_grey_lines_are_as_thick_as_gradients_of_training():
    net, _ = WALKS["2-3-2"]
    walk = explanation("2-3-2")._walk
    g = net.gradients(*data(net))
    for k, link in enumerate(showing.links(walk, showing.columns(walk)), 1):
        W = np.abs(g.W[k])
        np.testing.assert_allclose(link.weights, W / W.max(), rtol=1e-10)


def test_blue_lines_are_shares_and_dashed_against_the_sum():
    net, weight = mlp(3, 4, 5), ("dense1.W", 2, 1)
    X, y = data(net)
    figure = net.explain(X, y, weight=weight).plot()
    x = {line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 2}
    blue = [
        line
        for line in figure.axes[0].lines
        if len(line.get_xdata()) == 2
        and line.get_xdata()[0] == max(x)
        and line.get_color() == ACCENT
    ]
    # each way through the net: ∂ℒ/∂a₂ · W₂ · (1 - h²) x
    g = net.gradients(X, y)
    h = g.values.h[1][0, 2]
    parts = g.a[2][0] * net.params["dense2.W"][:, 2] * (1 - h * h) * X[0, 1]
    assert parts.sum() == pytest.approx(g.W[1][2, 1])
    shares = np.abs(parts) / np.abs(parts).sum()
    assert len(blue) == np.count_nonzero(shares > 0.003) >= 4
    ends = sorted(blue, key=lambda line: -line.get_ydata()[1])
    widths = [line.get_linewidth() for line in ends]
    np.testing.assert_allclose(widths, 0.5 + 4.5 * shares[shares > 0.003], rtol=1e-10)
    solid = [line.get_linestyle() == "-" for line in ends]
    assert solid == list((np.sign(parts) == np.sign(parts.sum()))[shares > 0.003])
    assert len(set(solid)) == 2


# What is shown


def test_columns_hold_the_quantities_of_the_pass_of_training():
    net, _ = WALKS["8-16-16-4"]
    g = net.gradients(*data(net), input_gradient=True)
    found = showing.columns(explanation("8-16-16-4")._walk)
    assert [column.name for column in found] == ["x = h₀", "h₁", "h₂", "ŷ"]
    assert [column.gradient_name[4:] for column in found] == ["h₀", "h₁", "h₂", "a₃"]
    values = [g.values.h[k] for k in range(3)] + [net.predict_proba(data(net)[0])]
    gradients = [g.x, g.h[1], g.h[2], g.a[3]]
    for column, value, gradient in zip(found, values, gradients, strict=True):
        np.testing.assert_allclose(column.values, value[0], rtol=1e-10)
        np.testing.assert_allclose(column.gradients, gradient[0], rtol=1e-9, atol=1e-15)


def test_large_layers_show_their_most_important_units_and_say_how_many_are_left_out():
    net, _ = WALKS["784-256-10"]
    X, y = data(net)
    found = showing.columns(net.explain(X, y)._walk)
    g = net.gradients(X, y, input_gradient=True)
    for column, importance in zip(found, (X * g.x, g.values.h[1] * g.h[1]), strict=False):
        most = set(np.argsort(-np.abs(importance[0]))[:10])
        assert len(column.shown) == 10
        assert len(most & set(column.shown)) >= 9  # the walked one is among them
    assert [column.left_out for column in found] == [774, 246, 0]
    said = texts(net.explain(X, y).plot())
    assert {"⋮ 774 more", "⋮ 246 more"} <= set(said)
    assert {f"[{unit}]" for column in found for unit in column.shown} <= set(said)


def test_layers_of_up_to_12_units_are_shown_whole():
    net = mlp(12, 13, 2)
    found = showing.columns(net.explain(*data(net))._walk)
    assert [len(column.shown) for column in found] == [12, 10, 2]


def test_the_walked_units_and_the_class_are_always_shown():
    net = mlp(40, 30, 20)
    X, label = data(net)[0], 7
    net.params["dense2.b"][label] = -20  # so that ŷ of the class is next to nothing
    g = net.gradients(X, [label], input_gradient=True)
    least = [int(np.argmin(np.abs(v * d))) for v, d in ((X, g.x), (g.values.h[1], g.h[1]))]
    walk = net.explain(X, [label], weight=("dense1.W", least[1], least[0]))
    below, above, last = showing.columns(walk._walk)
    assert list(below.walked) == [least[0]]
    assert least[0] in below.shown
    assert list(above.walked) == [least[1]]
    assert least[1] in above.shown
    assert label in last.shown
    assert any(text.endswith("the class") for text in texts(walk.plot()))


def test_small_networks_show_their_numbers():
    net = mazur()
    said = texts(net.explain([[0.05, 0.10]], [[0.01, 0.99]], weight=("dense1.W", 0, 0)).plot())
    for text in (  # Mazur's own numbers, and t
        "[0] 0.751", "[1] 0.773", "0.741", "-0.217", "target 0.01", "target 0.99",
        "[0] 0.593", "0.0364", "W₁[0,0] = 0.15\n∂ℒ/∂W₁[0,0] = 0.000439",
    ):  # fmt: skip
        assert text in said


def test_other_layers_have_a_column_and_a_name():
    figure = explanation("mixed").plot()
    said = texts(figure)
    for text in ("dense1", "centred1\ntanh1", "pairs1", "dense2\nleaky1", "dense3"):
        assert text in said
    for text in ("x = h₀", "a₁", "tanh1", "h₁", "h₂", "ŷ"):
        assert text in said


def test_a_weight_that_moves_nothing_has_its_label_alone():
    net = network(3, Centred(), bp.Dense(2))
    figure = net.explain(np.ones((1, 3)), [0], weight=("centred1.gamma", 1)).plot()
    assert "∂ℒ/∂centred1.gamma[1] = 0" in "\n".join(texts(figure))
    assert not [line for line in figure.axes[0].lines if line.get_color() == ACCENT]


def test_training_after_the_walk_changes_nothing():
    net = mlp(2, 3, 2)
    walk = net.explain(*data(net))
    before = agg(walk.plot()).buffer_rgba()
    net.fit(*data(net), epochs=1, progress=False)
    assert (np.asarray(before) == np.asarray(agg(walk.plot()).buffer_rgba())).all()


def test_huge_and_tiny_numbers_are_drawn():
    net = network(2, bp.Dense(2, bias=False), bp.Dense(2, bias=False), loss="squared_error")
    for W1, W2 in ((1e150, 1e-150), (1e-150, 1e150), (0, 0)):
        net.params["dense1.W"], net.params["dense2.W"] = np.full((2, 2), W1), np.full((2, 2), W2)
        agg(net.explain([[1e3, 1e-300]], [[1, 2]]).plot())
    agg(net.explain([[0, 0]], [[0, 0]]).plot())


def test_all_of_the_product_flows_through_a_chain_of_single_units_even_where_a_factor_overflows():
    net = network(1, *(bp.Dense(1, bias=False) for _ in range(3)), loss="squared_error")
    for k, weight in enumerate((1e-200, 1e200, 1e-250), 1):
        net.params[f"dense{k}.W"] = [[weight]]
    walk = net.explain([[1e200]], [[1]])
    assert walk.product == pytest.approx(-1e150)
    assert np.isinf(showing.tangents(walk._walk)[2])  # 1e200 · 1e200
    blue = [line for line in walk.plot().axes[0].lines if line.get_color() == ACCENT]
    assert [line.get_linewidth() for line in blue] == [4, 5, 5]


# How it is laid out


@walks
def test_no_text_covers_another_or_a_unit_or_leaves_the_picture(name):
    figure = explanation(name).plot()
    canvas = agg(figure)
    renderer, (width, height) = canvas.get_renderer(), canvas.get_width_height()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.axes[0].texts]
    for text, box in boxes:
        assert 0 <= box.x0 <= box.x1 <= width, text
        assert 0 <= box.y0 <= box.y1 <= height, text
    for (text, box), (other, its) in itertools.combinations(boxes, 2):
        apart = box.x1 < its.x0 or its.x1 < box.x0 or box.y1 < its.y0 or its.y1 < box.y0
        assert apart, (text, other)
    for unit in figure.axes[0].lines:
        if len(unit.get_xdata()) == 1:
            x, y = unit.get_transform().transform((unit.get_xdata()[0], unit.get_ydata()[0]))
            r = unit.get_markersize() / 2 * figure.dpi / 72
            for text, box in boxes:
                away = box.x1 < x - r or x + r < box.x0 or box.y1 < y - r or y + r < box.y0
                assert away, (text, x, y)


def test_settings_of_the_user_change_nothing():
    walk = explanation("2-3-2")
    want = np.asarray(agg(walk.plot()).buffer_rgba())
    settings = {
        "font.size": 30, "font.family": "monospace", "text.usetex": True, "text.color": "white",
        "lines.marker": "o", "lines.markersize": 40, "lines.linestyle": ":", "axes.grid": True,
        "figure.facecolor": "black", "axes.facecolor": "black", "figure.autolayout": True,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        got = np.asarray(agg(walk.plot()).buffer_rgba())
    assert (got == want).all()


def test_nothing_global_is_changed(python):
    code = """
import sys, warnings, matplotlib, numpy as np, fastbp as bp
def state():
    settings = dict(dict.items(matplotlib.rcParams))  # its own items() would choose a backend
    return settings, list(warnings.filters), np.geterr()
before = state()
bp.mlp([2, 3, 2]).explain(np.ones((1, 2)), [1]).plot()
assert state() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    python(code, check=True)


def test_matplotlib_is_loaded_by_plot_alone(python):
    code = """
import sys, numpy as np, fastbp as bp
walk = bp.mlp([2, 3, 2]).explain(np.ones((1, 2)), [1])
str(walk), walk.to_markdown(), walk.as_dict()
assert "matplotlib" not in sys.modules
walk.plot()
assert "matplotlib" in sys.modules
"""
    python(code, check=True)


# Files


@pytest.mark.parametrize(
    ("ending", "begins"),
    [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")],
)
def test_it_is_saved(tmp_path, ending, begins):
    path = tmp_path / f"walk.{ending}"
    figure = explanation("2-3-2").plot(path)
    assert path.read_bytes().startswith(begins)
    assert isinstance(figure, matplotlib.figure.Figure)


@pytest.mark.parametrize("name", ["walk.xyz", "walk", "png", ".png"])
def test_an_unknown_ending_is_refused(tmp_path, name):
    with pytest.raises(
        bp.ConfigError, match=r"path: got .*; wanted a file name that ends in .*\.png"
    ):
        explanation("2-3-2").plot(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for name, why in (
        ("no/walk.png", "No such file"),
        ("folder.png", "no regular file"),
        ("\0.png", "null"),
    ):
        with pytest.raises(
            bp.ConfigError, match=rf"path: got .*; wanted a file to write \(.*{why}"
        ):
            explanation("2-3-2").plot(tmp_path / name)


def test_what_is_no_path_is_refused():
    with pytest.raises(bp.DtypeError, match="path: got 3; wanted a str or a path-like object"):
        explanation("2-3-2").plot(3)


def test_without_matplotlib_it_says_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        bp.ConfigError,
        match=r'plot: matplotlib is not installed; pip install matplotlib, or "fastbp\[plot\]"',
    ):
        explanation("2-3-2").plot()
