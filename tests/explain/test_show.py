"""The forms: text that a person has read, plain data for JSON, Markdown and HTML that parse."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest

import fastbp as bp

SNAPSHOTS = Path(__file__).parent / "snapshots"


def filled(net, scale):
    """Weights that need no generator: a sine's values."""
    net.flat[:] = scale * np.sin(1 + np.arange(net.flat.size))
    return net


def road_map():
    """2-3-3-2: the lecture's five factors and the two before them."""
    net = filled(bp.mlp([2, 3, 3, 2], activation="tanh", dtype="float64"), 0.8)
    return net.explain([[1.0, -0.5]], [1], weight=("dense1.W", 1, 0))


def mazurs(mazur):
    return mazur[0].explain(*mazur[1:], weight=("dense1.W", 0, 0))


def digits():
    """Vectors and matrices that are too large to be shown, and a bias."""
    X, y = bp.data.digits()
    net = filled(bp.mlp([64, 32, 10], dtype="float64"), 0.3)
    return net.explain(X, y, row=7, weight="dense1.b")


def labels():
    """Sigmoid cross-entropy of several labels, a sure output among them, to a bias."""
    net = filled(bp.mlp([4, 4, 3], "sigmoid", "sigmoid_cross_entropy", "float64"), 2.0)
    net.params["dense2.b"][0] = -12
    return net.explain([[0.5, -1.0, 0.25, 2.0]], [[0, 1, 0.25]], weight=("dense1.b", 2))


def probabilities():
    """A row of probabilities; a 4 x 4 matrix."""
    net = filled(bp.mlp([4, 4, 3], dtype="float64", l2=0.1), 0.9)
    return net.explain([[0.5, -1.0, 0.25, 2.0]], [[0.5, 0.25, 0.25]], weight=("dense1.W", 1, 3))


@pytest.fixture(params=["road_map", "mazur", "digits", "labels", "probabilities"])
def shown(request, mazur):
    """A name and a walk."""
    made = {"road_map": road_map, "mazur": lambda: mazurs(mazur), "digits": digits}
    made |= {"labels": labels, "probabilities": probabilities}
    return request.param, made[request.param]()


# Text


def test_text_is_as_a_person_has_read_it(shown):
    name, walk = shown
    assert f"{walk}\n" == (SNAPSHOTS / f"{name}.txt").read_text(encoding="utf-8")
    assert repr(walk) == str(walk)


def wide():
    """Long names, long sums, many layers, a loss without words."""

    class Long(bp.losses.Loss):
        def __init__(self, first=0.125, second=0.25, third="a long word", fourth=1e-5):
            self.first, self.second, self.third, self.fourth = first, second, third, fourth

        def loss_and_delta(self, a, targets, delta):
            if delta is not None:
                delta[...] = a - targets
            return ((a - targets) ** 2).sum(axis=1) / 2

    layers = [bp.Dense(12, name="the_first_layer_of_this_network"), bp.Tanh()]
    layers += [layer for _ in range(12) for layer in (bp.Dense(4), bp.Sigmoid())]
    net = bp.Network(1, [*layers, bp.Dense(3)], loss=Long(), dtype="float64", rng=0)
    return net.explain([[-1.23456789e-5]], [[0.1, 1e5, -1e-7]])


def high():
    """Thousands of units, and numbers with long exponents."""
    net = bp.mlp([3, 12000, 2], dtype="float64", rng=0)
    net.params["dense2.W"][:] *= -1.23456e-200
    return net.explain([[1.0, -2.0, 0.5]], [1], weight=("dense1.b", 11000))


def test_a_note_is_in_every_form():
    net = bp.mlp([2, 2], dtype="float64", rng=0)
    net.params["dense1.W"] = [[800, 0], [0, 0]]
    walk = net.explain([[1.0, 2.0]], [1])
    for form in (str(walk), walk.to_markdown(), walk._repr_html_()):
        assert "needs no quotient." in " ".join(form.split())


def test_text_is_at_most_100_columns_wide(shown):
    for walk in (shown[1], wide(), high()):
        for line in str(walk).splitlines():
            assert len(line) <= 100, line
            assert line == line.rstrip()


def test_text_shows_vectors_of_6_whole_and_the_3_largest_of_7():
    X = np.arange(1.0, 8.0)[np.newaxis]
    text = str(filled(bp.mlp([7, 6, 7], dtype="float64"), 0.1).explain(X, [3]))
    assert re.search(r"so far ∂ℒ/∂h₁ = .*\n(?:.*\n){,3}\s+= \[[^,\]]+(, [^,\]]+){5}\]\n", text)
    assert re.search(r"= largest of 7: \[3\] \S+, \[\d\] \S+, \[\d\] \S+; norm \S+\n", text)


def test_a_dead_layer_is_said_to_be_0():
    net = filled(bp.mlp([2, 8, 3], dtype="float64"), 0.5)
    net.params["dense1.b"][:] = -9
    walk = net.explain([[1.0, 2.0]], [1])
    assert "= diagonal: 1 for 0 of 8 units, else 0\n" in str(walk)
    assert "= 0, all 8\n" in str(walk)
    assert walk.note == "this weight moves nothing here, as ∂ℒ/∂a₁[0] is 0"


@pytest.mark.parametrize(("n", "terms"), [(4, 4), (5, 3)])
def test_a_sum_of_4_terms_is_written_out_and_the_3_largest_of_5(n, terms):
    walk = filled(bp.mlp([2, 3, n], dtype="float64"), 0.5).explain([[1.0, 2.0]], [1])
    (product,) = (factor.running for factor in walk.factors if factor.equation == "E6")
    sum_of, _, printed = product.numbers.partition(": ")[2].partition(" = ")
    assert sum_of.count(" · ") == terms
    assert sum_of.endswith(" + (2 more)") == (n == 5)
    shown = sum_of.removesuffix(" + (2 more)").split(" + ")
    shown = [eval(term.replace("·", "*")) for term in shown]
    i = int(product.numbers[1])
    W, delta = walk.factors[2].value, walk.factors[1].running.value
    all_of_it = delta * np.asarray(W)[:, i]
    assert float(printed) == pytest.approx(all_of_it.sum(), rel=1e-4)
    largest = sorted(all_of_it, key=abs)[-terms:]
    assert sorted(shown) == pytest.approx(sorted(largest), rel=1e-4)


def test_printed_arithmetic_is_true_where_units_are_sure():
    """1 - h of six digits' h would be 0 there."""
    net = filled(bp.mlp([1, 3, 2], activation="sigmoid", dtype="float64"), 1.0)
    net.params["dense1.W"][:, 0] = [9.0, 25.0, 37.0]
    for i in range(3):
        data = net.explain([[1.0]], [0], weight=("dense1.b", i)).as_dict()
        (numbers,) = (f["numbers"] for f in data["factors"] if f["name"] == "∂h₁/∂a₁")
        formula, _, printed = numbers.partition(": ")[2].partition(" = ")
        assert eval(formula.replace(" (", " * (")) == pytest.approx(float(printed), rel=1e-4)


# Plain data


def test_the_data_is_json_and_multiplies_to_the_product(shown):
    _, walk = shown
    data = json.loads(json.dumps(walk.as_dict(), allow_nan=False))
    assert data == walk.as_dict()
    product = None
    for factor, running in zip(data["factors"], data["running"], strict=True):
        keys = ("name", "sentence", "equation", "formula", "numbers", "shape", "value")
        assert tuple(factor) == keys
        value = factor["value"]
        if isinstance(value, dict):
            ((kind, made_of),) = value.items()
            W = {"dense2.W": 0.3 * np.sin(1 + np.arange(64 * 32 + 32, 64 * 32 + 32 + 320))}
            matrix = {
                "parameter": lambda: W[made_of].reshape(factor["shape"]),  # noqa: B023
                "diagonal": lambda: np.diag(made_of),  # noqa: B023
                "softmax": lambda: np.diag(made_of) - np.outer(made_of, made_of),  # noqa: B023
            }[kind]()
        else:
            matrix = np.array(value)
        assert list(matrix.shape) == factor["shape"]
        product = matrix if product is None else product @ matrix
        np.testing.assert_allclose(product, running["value"], rtol=1e-9, atol=1e-14)
    assert product == pytest.approx(data["product"], rel=1e-9)
    assert data["gradient"] == walk.gradient
    assert data["outer"] == walk.outer


def test_the_matrix_is_the_lectures(mazur):
    """∇_W ℒ = δ hᵀ entry by entry where it is at most 4 x 4."""
    data = mazurs(mazur).as_dict()
    delta, h = data["running"][-2]["value"], data["values"]["h_0"]
    assert data["matrix"] == [
        [delta[0] * h[0], delta[0] * h[1]],
        [delta[1] * h[0], delta[1] * h[1]],
    ]
    assert digits().as_dict()["matrix"] is None  # a bias
    for n, shown in ((4, True), (5, False)):
        walk = bp.mlp([4, n, 2], rng=0).explain(np.ones((1, 4)), [1])
        assert (walk.as_dict()["matrix"] is not None) == shown
        assert ("δ₁[0] h₀[0]" in str(walk)) == shown


# Mazur's own figures, to every digit that he prints


MAZUR = {
    ("dense2.W", 0, 0): {
        "∂ℒ/∂ŷ": {0: "0.74136507"},
        "∂ŷ/∂a₂": {(0, 0): "0.186815602"},
        "∂a₂/∂W₂[0,0]": {0: "0.593269992"},
        "∂ℒ/∂W₂[0,0]": {(): "0.082167041"},
        "∂ℒ/∂a₂": {0: "0.138498562"},
    },
    ("dense2.W", 0, 1): {"∂ℒ/∂W₂[0,1]": {(): "0.082667628"}},
    ("dense2.W", 1, 0): {"∂ℒ/∂W₂[1,0]": {(): "-0.022602540"}},
    ("dense2.W", 1, 1): {"∂ℒ/∂W₂[1,1]": {(): "-0.022740242"}},
    ("dense1.W", 0, 0): {
        "∂a₂/∂h₁": {(0, 0): "0.40"},
        "∂h₁/∂a₁": {(0, 0): "0.241300709"},
        "∂ℒ/∂h₁": {0: "0.036350306"},
        "∂a₁/∂W₁[0,0]": {0: "0.05"},
        "∂ℒ/∂W₁[0,0]": {(): "0.000438568"},
    },
}
FORWARD = {
    "a_1": ["0.3775"], "h_1": ["0.593269992", "0.596884378"], "a_2": ["1.105905967"],
    "y_hat": ["0.75136507", "0.772928465"],
}  # fmt: skip


@pytest.mark.parametrize("weight", MAZUR)
def test_mazurs_figures(mazur, weight):
    net, x, t = mazur
    data = net.explain(x, t, weight=weight).as_dict()
    named = {part["name"]: np.array(part["value"]) for part in data["running"] + data["factors"]}
    for name, entries in MAZUR[weight].items():
        for index, printed in entries.items():
            assert_digits(named[name][index], printed)
    for name, printed in FORWARD.items():
        for got, want in zip(data["values"][name], printed, strict=False):
            assert_digits(got, want)
    assert_digits(data["loss"], "0.298371109")


def assert_digits(got, printed):
    """Equal to a printed decimal number in every digit it prints."""
    decimals = len(printed.split(".")[1])
    assert f"{float(got):.{decimals}f}" == printed


# Markdown and HTML


def test_markdown_holds_the_same(shown):
    _, walk = shown
    markdown = walk.to_markdown()
    tables = [block for block in markdown.split("\n\n") if block.startswith("|")]
    for table in tables:
        columns = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert len(set(columns)) == 1
        assert re.fullmatch(r"\|( --- \|)+", table.splitlines()[1])
    plain = re.sub(r"\\([\\`*_\[\]<>|])", r"\1", markdown)
    for factor in walk.factors:
        assert f"| {factor.sentence} | {factor.name} = {factor.letters}" in plain
        assert factor.running.name in plain
    assert f"{walk.product:.10g}" in plain
    assert not re.search(r"(?<!\\)[*_]\w", markdown.replace("**", "").replace("`", ""))


class Reader(html.parser.HTMLParser):
    """Text by table cell; every tag has to be closed."""

    def __init__(self):
        super().__init__()
        self.open, self.cells = [], []

    def handle_starttag(self, tag, attrs):
        if tag != "br":
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def test_html_for_notebooks_holds_the_same(shown):
    _, walk = shown
    reader = Reader()
    reader.feed(walk._repr_html_())
    reader.close()
    assert reader.open == []
    for factor in walk.factors:
        assert any(f"{factor.name} = {factor.letters}" in cell for cell in reader.cells)
    assert f"{walk.product:.10g}" in reader.cells


def test_names_are_escaped():
    name = "a<b>|c*_`d\n&e$"
    net = bp.Network(2, [bp.Dense(2, name=name)], rng=0)
    walk = net.explain([[1.0, 2.0]], [0])
    assert "<b>" not in walk._repr_html_()
    markdown = walk.to_markdown()
    assert r"### a\<b\>\|c\*\_\`d \&e\$.W\[" in markdown
    assert markdown.splitlines()[-1].count("`") == 2
