"""Files with parts that fastbp does not bring: found again, or told what is to be installed."""

import json
import zipfile

import numpy as np
import pytest

import fastbp as bp

LEAKY = """
class Leaky(bp.ReLU):
    def __init__(self, slope=0.25, name=None):
        self.slope, self.name = slope, name
"""


class MyLoss(bp.SquaredError):
    """A loss of one's own, which nobody registered."""


class MyHTTPLayer2(bp.layers.Elementwise):
    def __init__(self, factor=2.0, name=None):
        self.factor, self.name = factor, name

    def f(self, x, y):
        np.multiply(x, self.factor, out=y)

    def df(self, x, y, out):
        out[...] = self.factor


class Odd(bp.ReLU):
    """Keeps whatever it is given."""

    def __init__(self, value=None, name=None):
        self.value, self.name = value, name


def header(path):
    with zipfile.ZipFile(path) as file, file.open("header.npy") as member:
        return json.loads(np.load(member).tobytes())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.npz"


@pytest.fixture
def saved(site, path, data):
    """A trained network with a plugin's layer and another's loss, and its file."""
    site.leaky("1.5")
    site.huber("0.3")
    net = bp.Network(3, [bp.Dense(4), bp.layer("leaky", slope=0.1), bp.Dense(1)], "huber", rng=0)
    net.fit(data[0], data[1].astype(float), epochs=2, batch_size=4)
    net.save(path)
    return net


def forget(site, stem):
    """Uninstall a distribution."""
    for file in site.path.glob(f"{stem}*/*"):
        file.unlink()
    for file in site.path.glob(f"{stem}*"):
        file.rmdir() if file.is_dir() else file.unlink()
    bp.plugins.refresh()


def test_a_file_says_who_brings_each_part(saved, path):
    fields = header(path)
    dense, leaky, _ = fields["layers"]
    assert dense["distribution"] == "fastbp"
    assert dense["version"] == bp.__version__
    assert leaky == {
        "name": "leaky",
        "distribution": "acme-leaky",
        "version": "1.5",
        "contract": 1,
        "config": {"slope": 0.1, "name": None},
    }
    assert fields["loss"]["distribution"] == "acme-huber"


def test_training_goes_on_from_the_file(saved, path, data, bits):
    X, y = data[0], data[1].astype(float)
    net = bp.load(path)
    assert bits(net) == bits(saved)
    for twin in (net, saved):
        twin.fit(X, y, epochs=2, batch_size=4)
    assert bits(net) == bits(saved)


def test_a_process_that_never_heard_of_the_plugin(saved, path, site):
    out = site.run(f"import fastbp as bp; print(bp.load({str(path)!r}))")
    assert "Leaky(slope=0.1)" in out
    assert "loss=Huber()" in out


def test_the_other_distribution_with_the_name_is_not_taken(saved, path, site):
    site.leaky("9.0", name="zeta-leaky")
    net = bp.load(path)
    assert type(net.layers[1]) is type(saved.layers[1])
    forget(site, "acme_leaky")
    with pytest.raises(bp.UnknownNameError, match=r"acme-leaky 1\.5, which is not installed"):
        bp.load(path)


def test_a_part_that_is_not_there(saved, path, site, bits, plugin_error):
    before = bits(saved)
    forget(site, "acme_leaky")
    with pytest.raises(bp.UnknownNameError) as caught:
        bp.load(path)
    assert str(caught.value) == (
        "layer 'leaky' in the file is of acme-leaky 1.5, which is not installed: "
        "pip install acme-leaky==1.5"
    )
    assert bits(saved) == before
    site.install("acme-leaky", "2.0", "", layers={"other": "acme_leaky:Other"})
    with pytest.raises(bp.UnknownNameError) as caught:
        bp.load(path)
    assert str(caught.value) == (
        "layer 'leaky' in the file is of acme-leaky 1.5, which brought it; acme-leaky 2.0, which "
        "is installed, does not: pip install acme-leaky==1.5"
    )
    site.leaky("1.5")
    assert bits(bp.load(path)) == before


def test_a_part_that_is_disabled(saved, path, monkeypatch):
    monkeypatch.setenv("FASTBP_DISABLE_PLUGINS", "acme-huber")
    words = r"loss 'huber' in the file is of acme-huber 0\.3, which FASTBP_DISABLE_PLUGINS disables"
    with pytest.raises(bp.UnknownNameError, match=words):
        bp.load(path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise RuntimeError('no luck')", "could not be loaded (RuntimeError: no luck)"),
        (
            "class Leaky(bp.ReLU): pass",
            "cannot be made with {'slope': 0.1, 'name': None}, what was saved by acme-leaky 1.5",
        ),
        ("class Leaky(bp.ReLU): contract = 2", "keeps contract 2; this fastbp keeps 1"),
    ],
    ids=["raises", "other arguments", "other contract"],
)
def test_a_newer_version_that_cannot_take_it(saved, path, site, plugin_error, source, words):
    forget(site, "acme_leaky")
    site.install("acme-leaky", "2.0", source, layers={"leaky": "acme_leaky:Leaky"})
    site.forget_modules()
    entry = "layer 'leaky' = acme_leaky:Leaky of acme-leaky 2.0"
    plugin_error(lambda: bp.load(path), entry, words)


def test_a_newer_version_that_fails_to_build(saved, path, site):
    """The part is told, not the file, as the one at fault."""
    forget(site, "acme_leaky")
    source = LEAKY + "\n    def build(self, n_in, dtype):\n        raise OSError('no luck')\n"
    site.install("acme-leaky", "2.0", source, layers={"leaky": "acme_leaky:Leaky"})
    site.forget_modules()
    words = r"^layer 'leaky' = acme_leaky:Leaky of acme-leaky 2.0: build failed \(OSError: no luck"
    with pytest.raises(bp.PluginCallError, match=words):
        bp.load(path)


def test_parts_may_stand_in_for_a_plugins(saved, path, site):
    leaky = type(saved.layers[1])
    forget(site, "acme_leaky")
    net = bp.load(path, parts={"acme-leaky:leaky": leaky})
    assert net.layers[1].slope == 0.1
    with pytest.raises(bp.UnknownNameError):  # a bare name is that of a class of one's own
        bp.load(path, parts={"leaky": leaky})


# Classes of one's own


def test_classes_of_ones_own(path, data, bits):
    net = bp.Network(3, [bp.Dense(1), MyHTTPLayer2(0.5)], MyLoss(), rng=0)
    net.step(data[0], data[1].astype(float), bp.Adam())
    net.save(path)
    fields = header(path)
    assert fields["layers"][1] == {
        "name": "my_http_layer2",
        "distribution": None,
        "version": None,
        "contract": 1,
        "config": {"factor": 0.5, "name": None},
    }
    assert fields["loss"]["name"] == "my_loss"
    parts = {"my_loss": MyLoss, "my_http_layer2": MyHTTPLayer2, "unused": Odd}
    twin = bp.load(path, parts=parts)
    assert bits(twin) == bits(net)
    assert twin.layers == net.layers
    assert twin.loss_function == net.loss_function


def test_a_class_that_was_not_handed_over(path):
    bp.mlp([3, 1], loss=MyLoss()).save(path)
    for parts in (None, {}, {"MyLoss": MyLoss}):
        with pytest.raises(bp.UnknownNameError) as caught:
            bp.load(path, parts=parts)
        assert str(caught.value) == (
            "loss 'my_loss' in the file is of a class that no package registers; hand it over: "
            "load(path, parts={'my_loss': <the class>})"
        )


@pytest.mark.parametrize("wrong", [MyLoss(), int, "my_loss", None, bp.SGD], ids=repr)
def test_what_is_no_class_of_parts(path, wrong):
    bp.mlp([3, 1], loss=MyLoss()).save(path)
    with pytest.raises(bp.ConfigError, match=r"^parts: got 'my_loss': .*; wanted a class of layer"):
        bp.load(path, parts={"my_loss": wrong})
    with pytest.raises(bp.ConfigError, match=r"^parts: got .*; wanted a mapping of names"):
        bp.load(path, parts=[wrong])


def test_another_class_of_parts(path, plugin_error):
    bp.Network(3, [bp.Dense(1), MyHTTPLayer2()], MyLoss()).save(path)
    given = {"my_loss": MyLoss, "my_http_layer2": MyHTTPLayer2}
    words = "parts: 'my_loss': Odd is no Loss, as the file's loss 'my_loss' is"
    plugin_error(lambda: bp.load(path, parts={**given, "my_loss": Odd}), words)
    words = "parts: 'my_http_layer2': Odd cannot be made with {'factor': 2.0, 'name': None}"
    plugin_error(lambda: bp.load(path, parts={**given, "my_http_layer2": Odd}), words)


@pytest.mark.parametrize("value", [np.float32(1), {1, 2}, (1, 2), {1: 2}, open, b"x"])
def test_arguments_that_no_file_keeps(path, value, bits):
    path.write_bytes(b"the old file")
    net = bp.Network(3, [bp.Dense(2), Odd(value)])
    before = bits(net)
    with pytest.raises(bp.ConfigError, match=r"^layer: got Odd, "):
        net.save(path)
    assert path.read_bytes() == b"the old file"
    assert bits(net) == before


def test_arguments_that_are_kept(path):
    for value in (
        None,
        1,
        0.1,
        float("inf"),
        float("nan"),
        "text λ",
        [1, [2]],
        {"a": [True, None]},
    ):
        bp.Network(3, [bp.Dense(2), Odd(value)]).save(path)
        assert bp.load(path, parts={"odd": Odd}).layers[1] == Odd(value)


def test_classes_that_cannot_be_told_apart(path):
    other = type("MyLoss", (bp.ReLU,), {"__module__": "elsewhere"})
    net = bp.Network(3, [bp.Dense(2), other()], MyLoss())
    with pytest.raises(bp.ConfigError, match=r"elsewhere\.MyLoss and .*MyLoss.* both 'my_loss'"):
        net.save(path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["<lambda>", "outer.<locals>.Loss", "Outer.Loss"])
def test_classes_that_no_file_can_name(path, name):
    cls = type("Loss", (bp.SquaredError,), {"__qualname__": name})
    with pytest.raises(bp.ConfigError, match=f"^loss: got a part of {name}, a class that is nei"):
        bp.mlp([3, 2], loss=cls()).save(path)
    assert not path.exists()


def test_a_part_that_forgot_an_argument(path):
    class_ = type("Forgetful", (bp.ReLU,), {"__init__": lambda self, slope=1.0: None})
    class_.__qualname__ = "Forgetful"
    with pytest.raises(bp.ConfigError, match=r"^layer: got Forgetful, .*no attribute 'slope'"):
        bp.Network(3, [bp.Dense(2), class_()]).save(path)
