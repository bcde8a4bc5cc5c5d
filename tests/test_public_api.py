"""What is public: the names of `fastbp`, their signatures, their docstrings, and the errors."""

import ast
import inspect
import pydoc
import re
import types
from pathlib import Path

import pytest

import fastbp as bp

INIT = ast.parse(Path(bp.__file__).read_text(encoding="utf-8"))
REQUIRED = inspect.Parameter.empty


def reexported():
    """Names that __init__ imports in the form `from module import name as name`."""
    return {
        alias.asname
        for node in ast.walk(INIT)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is not None
    }


# Names


def test_all_is_what_init_re_exports():
    assert set(bp.__all__) == reexported() | {"__version__"}
    assert len(bp.__all__) == len(set(bp.__all__))


def test_every_import_of_init_is_a_re_export():
    for node in ast.walk(INIT):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, f"{alias.name}: `as {alias.name}` is missing"


def test_every_name_is_there_and_star_takes_them_all():
    names = {}
    exec("from fastbp import *", names)
    for name in bp.__all__:
        assert names[name] is getattr(bp, name)


def test_dir_lists_what_is_public(python):
    """Completion in a shell: public names alone, while the modules behind them can be reached."""
    code = """
import fastbp as bp
import fastbp.cli
import fastbp.{extra}
assert bp.checks.integer("n", 1, low=1) == 1
assert {{"batch", "checks", "cli", "registry"}} < vars(bp).keys()
assert sorted(dir(bp)) == dir(bp)
print(*(name for name in dir(bp) if not name.startswith("__")))
"""
    names = sorted(set(bp.__all__) - {"__version__"})
    assert python(code.format(extra="cli"), check=True).stdout.split() == names
    listed = python(code.format(extra="testing"), check=True).stdout.split()
    assert listed == sorted([*names, "testing"])
    assert {"__name__", "__file__", "__version__", "__all__"} <= {*dir(bp)}


def test_nothing_else_stands_in_the_package_but_its_modules():
    others = {name for name in vars(bp) if not name.startswith("_")} - set(bp.__all__)
    for name in others:
        assert isinstance(getattr(bp, name), types.ModuleType), name
        assert getattr(bp, name).__name__ == f"fastbp.{name}"


@pytest.mark.parametrize("module", [bp.kernels, bp.layers, bp.losses, bp.optimizers, bp.data])
def test_all_of_the_public_modules(module):
    for name in module.__all__:
        assert hasattr(module, name)
        assert not name.startswith("_")


def test_design_names():
    """DESIGN fixes these; more may be added."""
    fixed = {
        "Network", "mlp", "Gradients", "History", "load", "Dense", "ReLU", "Tanh", "Sigmoid",
        "SoftmaxCrossEntropy", "SigmoidCrossEntropy", "SquaredError", "SGD", "Adam",
        "Layer", "Loss", "Optimizer", "layer", "loss", "get_include", "FastbpError",
        "kernels", "reference", "data", "plugins", "layers", "losses", "__version__",
    }  # fmt: skip
    assert fixed <= set(bp.__all__)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", bp.__version__)


# Signatures. Parameters with a default may be added behind those that stand here.

SIGNATURES = """
bp.Network(n_in, layers, loss="softmax_cross_entropy", dtype="float32", rng=None, l2=0.0)
bp.mlp(sizes, activation="relu", loss="softmax_cross_entropy", dtype="float32", rng=None, l2=0.0)
bp.load(path)
bp.Network.forward(self, X, out=None)
bp.Network.predict_proba(self, X)
bp.Network.predict(self, X)
bp.Network.loss(self, X, y, *, sample_weight=None, reduction="mean")
bp.Network.gradients(self, X, y, *, sample_weight=None, reduction="mean", input_gradient=False, \
training=False)
bp.Network.vjp(self, X, delta)
bp.Network.loss_and_grad(self, X, y, theta=None)
bp.Network.step(self, X, y, optimizer, *, sample_weight=None)
bp.Network.fit(self, X, y, *, optimizer=None, epochs=20, batch_size=64, sample_weight=None, \
validation_data=None, shuffle=True, rng=None, callbacks=(), progress="auto")
bp.Network.state_dict(self)
bp.Network.load_state_dict(self, state)
bp.Network.save(self, path)
bp.Network.copy(self)
bp.Network.reset_optimizer(self)
bp.Dense(n_out, bias=True, init="auto", name=None)
bp.ReLU(name=None)
bp.Tanh(name=None)
bp.Sigmoid(name=None)
bp.SoftmaxCrossEntropy()
bp.SigmoidCrossEntropy()
bp.SquaredError()
bp.SGD(lr, momentum=0.0, nesterov=False, weight_decay=0.0)
bp.Adam(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0)
bp.Layer.build(self, n_in, dtype)
bp.Layer.init(self, params, rng)
bp.Layer.forward(self, params, x, y, ctx)
bp.Layer.backward(self, params, x, y, dy, dx, grads, ctx)
bp.layers.Elementwise.f(self, x, y)
bp.layers.Elementwise.df(self, x, y, out)
bp.Loss.loss_and_delta(self, a, targets, delta)
bp.Loss.y_hat(self, a, out)
bp.Loss.decide(self, y_hat)
bp.Loss.target_width(self, n_out)
bp.plugins.available(kind)
bp.plugins.get(kind, name)
bp.data.digits()
bp.data.split(y, seed=0)
""".strip().splitlines()


def looked_up(name):
    return eval(name, {"bp": bp})


@pytest.mark.parametrize("line", SIGNATURES, ids=lambda line: line.partition("(")[0])
def test_signature(line):
    name, _, arguments = line.partition("(")
    wanted = inspect.signature(eval(f"lambda {arguments.removesuffix(')')}: None")).parameters
    found = inspect.signature(looked_up(name)).parameters
    plain = [(p.name, p.kind, p.default) for p in found.values()]
    for parameter in wanted.values():
        assert (parameter.name, parameter.kind, parameter.default) in plain
    added = [p for p in found.values() if p.name not in wanted]
    assert all(p.default is not REQUIRED for p in added)
    positional = [p.name for p in found.values() if p.kind is not p.KEYWORD_ONLY]
    order = [p.name for p in wanted.values() if p.kind is not p.KEYWORD_ONLY]
    assert positional[: len(order)] == order  # what is added stands behind


ATTRIBUTES = {
    "Network": "params flat buffers optimizer_state history "
    "n_in n_out layers loss_function dtype l2",
    "Gradients": "loss y_hat a h W b x flat values factors scale",
    "History": "loss val_loss val_accuracy seconds",
    "Layer": "contract gain rows_independent affine",
    "Loss": "contract targets probabilities check_targets",
}


def test_attributes():
    net = bp.mlp([2, 3, 2], rng=0)
    objects = {
        "Network": net,
        "Gradients": net.gradients([[1.0, 2.0]], [0], input_gradient=True),
        "History": bp.History(),
        "Layer": bp.Layer,
        "Loss": bp.Loss,
    }
    for kind, names in ATTRIBUTES.items():
        for name in names.split():
            assert hasattr(objects[kind], name), f"{kind}.{name}"
    for name in ("a", "h", "x", "y_hat"):
        assert hasattr(objects["Gradients"].values, name)


# Errors

KINDS = {
    "ShapeError": ValueError, "LabelError": ValueError, "NonFiniteError": ValueError,
    "ConfigError": ValueError, "DtypeError": TypeError, "UnknownNameError": LookupError,
    "PluginError": ImportError, "PluginCallError": RuntimeError, "OptimizerError": ValueError,
    "CheckpointError": OSError,
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_an_error_is_fastbps_and_of_the_kind_python_has_for_it(name):
    error = getattr(bp, name)
    assert issubclass(error, bp.FastbpError)
    assert issubclass(error, KINDS[name])
    assert error is getattr(bp.errors, name)
    assert str(error("lr: got -1; wanted > 0")) == "lr: got -1; wanted > 0"


def test_these_are_all_the_errors():
    found = {
        name
        for name, value in vars(bp.errors).items()
        if isinstance(value, type) and issubclass(value, bp.FastbpError)
    }
    assert found == {*KINDS, "FastbpError"}
    assert issubclass(bp.UnknownNameError, ValueError)
    assert not issubclass(bp.FastbpError, ValueError | TypeError | LookupError)


# Docstrings


def public_functions():
    """Every function and method a user calls, by the name it is called by."""
    found = {}
    for name in bp.__all__:
        value = getattr(bp, name)
        if inspect.isfunction(value):
            found[f"bp.{name}"] = value
    found |= {f"bp.data.{name}": getattr(bp.data, name) for name in bp.data.__all__}
    for name in ("available", "get", "refresh", "describe"):  # the others are for fastbp itself
        found[f"bp.plugins.{name}"] = getattr(bp.plugins, name)
    for cls in (bp.Network, bp.Explanation):
        for name, value in inspect.getmembers(cls, inspect.isfunction):
            if name[0] != "_":
                found[f"bp.{cls.__name__}.{name}"] = value
    return found


def public_classes():
    classes = {f"bp.{name}": getattr(bp, name) for name in bp.__all__}
    classes |= {f"bp.layers.{name}": getattr(bp.layers, name) for name in bp.layers.__all__}
    return {
        name: cls
        for name, cls in classes.items()
        if isinstance(cls, type) and not issubclass(cls, Exception)
    }


FUNCTIONS = public_functions()
CLASSES = public_classes()


def sections(doc):
    """The numpydoc sections of a docstring, in order, with their text."""
    parts = re.split(r"^(\w[\w ]+)\n(-{3,})\n", doc, flags=re.MULTILINE)
    heads, rules, texts = parts[1::3], parts[2::3], parts[3::3]
    for head, rule in zip(heads, rules, strict=True):
        assert len(head) == len(rule), f"{head} is underlined by {len(rule)} dashes"
    order = ["Parameters", "Attributes", "Returns", "Raises", "References", "Examples"]
    known = [order.index(head) for head in heads if head in order]
    assert known == sorted(known), heads
    return dict(zip(heads, texts, strict=True))


def documented(section):
    """Names of a Parameters section, `a, b : type` being two and `*args` args."""
    heads = re.findall(r"^(\*{0,2}\w[\w, ]*?)(?: :.*)?$", section, flags=re.MULTILINE)
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def own_parameters(function):
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_of_a_function(name):
    function = FUNCTIONS[name]
    doc, parameters = inspect.getdoc(function), own_parameters(function)
    assert doc, "no docstring"
    first = doc.partition("\n\n")[0]
    assert "\n" not in first, "the first paragraph is one line"
    assert first.endswith("."), first
    found = sections(doc)
    if parameters:
        assert "Parameters" in found
        assert sorted(documented(found["Parameters"])) == sorted(parameters)
        assert "Raises" in found
        assert "Examples" in found
    returns = inspect.signature(function).return_annotation
    assert ("Returns" in found) == (returns not in (None, "None"))
    if "Examples" in found:
        assert ">>> " in found["Examples"]


@pytest.mark.parametrize("name", CLASSES)
def test_docstring_of_a_class(name):
    cls = CLASSES[name]
    doc = inspect.getdoc(cls)
    assert cls.__doc__, "its own, not inherited"
    first = doc.partition("\n\n")[0]
    assert "\n" not in first
    found = sections(doc)
    contract = cls in (bp.Layer, bp.Loss, bp.Optimizer, bp.layers.Elementwise)
    ours = (bp.Gradients, bp.Explanation)  # long-lived, with examples
    handed_out = cls in (*ours, bp.History, bp.layers.LayerSpec, bp.layers.Context)
    parameters = own_parameters(cls.__init__) if cls.__init__ is not object.__init__ else []
    if contract or handed_out:
        assert "Attributes" in found
    elif parameters:
        assert documented(found["Parameters"]) == parameters
        assert "Raises" in found or parameters == ["name"]
    if not (handed_out or cls in (bp.Layer, bp.Loss, bp.Optimizer)) or cls in ours:
        assert ">>> " in found["Examples"]


@pytest.mark.parametrize("name", CLASSES)
def test_methods_and_properties_have_a_line_at_least(name):
    for member, value in vars(CLASSES[name]).items():
        if member[0] != "_" and (inspect.isfunction(value) or isinstance(value, property)):
            assert inspect.getdoc(getattr(CLASSES[name], member)) or inspect.getdoc(value), member


@pytest.mark.parametrize("name", [name for name in bp.__all__ if name.endswith("Error")])
def test_docstring_of_an_error(name):
    assert getattr(bp, name).__doc__.partition("\n")[0].endswith(".")


@pytest.mark.parametrize(
    "name", [n for n, v in vars(bp.reference).items() if inspect.isfunction(v) and n[0] != "_"]
)
def test_docstring_of_the_reference_has_its_equation(name):
    """The lecture's text: shapes are said once for the whole file, the equation with each."""
    doc = inspect.getdoc(getattr(bp.reference, name))
    assert doc
    helpers = {"below_max", "as_rows", "identity", "forward", "gradients"}
    assert re.search(r"E\d|=", doc) or name in helpers


def test_docstrings_that_return_a_loss_or_a_gradient_say_its_scale():
    for name in ("loss", "gradients", "loss_and_grad", "step", "vjp"):
        doc = inspect.getdoc(getattr(bp.Network, name))
        assert re.search(r"[Mm]ean|scale|reduc|[Ss]caled", doc), name
    for name in ("SoftmaxCrossEntropy", "SigmoidCrossEntropy", "SquaredError"):
        assert "ℓ" in inspect.getdoc(getattr(bp, name))


@pytest.mark.parametrize("thing", [bp, bp.Network, bp.Gradients, bp.mlp, bp.kernels, bp.Dense])
def test_help_renders(thing):
    assert len(pydoc.render_doc(thing, renderer=pydoc.plaintext)) > 100
