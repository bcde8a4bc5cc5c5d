"""Finding parts by name among installed packages, without loading what nobody asked for."""

import sys
import warnings

import pytest

import fastbp as bp
from fastbp import registry

LAYERS = ["dense", "relu", "sigmoid", "tanh"]


def states(kind="layer"):
    """{(distribution, name): state} of everybody's parts but fastbp's."""
    rows = [row for row in bp.plugins.describe() if row.kind == kind]
    return {(r.distribution, r.name): r.state for r in rows if r.distribution != "fastbp"}


def test_a_plugin_is_found_loaded_and_used_by_name(site, data):
    site.leaky()
    assert bp.plugins.available("layer") == sorted([*LAYERS, "leaky"])
    assert bp.layer("leaky", slope=0.5).slope == 0.5
    net = bp.Network(3, [bp.Dense(4), "leaky", bp.Dense(2)], rng=0)
    net.fit(*data, epochs=2, batch_size=4)
    assert net.layers[1] == bp.plugins.get("layer", "leaky")()
    assert bp.mlp([3, 4, 2], activation="leaky").layers[1] == bp.layer("leaky")


def test_a_loss_by_name(site, data):
    site.huber()
    assert "huber" in bp.plugins.available("loss")
    net = bp.Network(3, [bp.Dense(1)], loss="huber", rng=0)
    assert net.step(data[0], data[1].astype(float), bp.SGD(0.1)) > 0
    assert bp.loss("huber", width=2.0) == bp.plugins.get("loss", "acme-huber:huber")(2.0)


def test_listing_imports_nothing(site):
    site.leaky()
    site.huber()
    for kind in ("layer", "loss"):
        bp.plugins.available(kind)
    bp.plugins.describe()
    with pytest.raises(bp.UnknownNameError):
        bp.plugins.get("layer", "leeky")
    assert not {"acme_leaky", "acme_huber"} & sys.modules.keys()
    assert states() == {("acme-leaky", "leaky"): "not loaded"}


def test_a_part_is_loaded_alone_and_once(site):
    site.install("acme-twins", source="loads = []", layers={"a": "acme_a:A", "b": "acme_b:B"})
    for name in ("a", "b"):
        source = f"class {name.upper()}(bp.ReLU): pass\n"
        site.write(f"acme_{name}.py", f"import fastbp as bp\n{source}import acme_twins\n"
                   "acme_twins.loads.append(__name__)\n")  # fmt: skip
    first = bp.plugins.get("layer", "a")
    assert "acme_b" not in sys.modules
    assert bp.plugins.get("layer", "acme-twins:a") is first
    assert bp.layer("a") == first()
    assert sys.modules["acme_twins"].loads == ["acme_a"]
    assert states() == {("acme-twins", "a"): "loaded", ("acme-twins", "b"): "not loaded"}


def test_two_distributions_with_one_name(site, plugin_error):
    site.leaky("1.0")
    site.leaky("2.0", name="zeta-leaky")
    site.huber()
    error = plugin_error(
        lambda: bp.layer("leaky"),
        "layer 'leaky' = acme_leaky:Leaky of acme-leaky 1.0",
        "layer 'leaky' = zeta_leaky:Leaky of zeta-leaky 2.0",
        "'acme-leaky:leaky'",
        "FASTBP_DISABLE_PLUGINS",
    )
    assert "huber" not in str(error)
    assert not {"acme_leaky", "zeta_leaky"} & sys.modules.keys()
    assert set(states().values()) == {"conflict"}
    assert bp.plugins.available("layer").count("leaky") == 1
    # who is meant can be said, in any spelling of the distribution's name
    assert type(bp.layer("zeta-leaky:leaky")).__module__ == "zeta_leaky"
    assert type(bp.layer("Acme_Leaky:leaky", slope=0.5)).__module__ == "acme_leaky"
    assert bp.loss("huber").width == 1.0  # and nobody else is disturbed


def test_disabling_one_of_two_decides(site, monkeypatch):
    site.leaky()
    site.leaky("2.0", name="zeta-leaky")
    monkeypatch.setenv("FASTBP_DISABLE_PLUGINS", "Zeta_Leaky")
    assert type(bp.layer("leaky")).__module__ == "acme_leaky"
    assert states() == {("acme-leaky", "leaky"): "loaded", ("zeta-leaky", "leaky"): "disabled"}


def test_a_built_in_name_wins_with_one_warning(site):
    site.install("acme-relu", source="class ReLU(bp.ReLU): pass", layers={"relu": "acme_relu:ReLU"})
    words = r"layer 'relu' = acme_relu:ReLU of acme-relu 1.0 has the name of a built-in .* wins"
    with pytest.warns(RuntimeWarning, match=words):
        bp.plugins.available("layer")
    with warnings.catch_warnings():  # only once
        warnings.simplefilter("error")
        assert bp.plugins.available("layer") == LAYERS
        assert bp.plugins.get("layer", "relu") is bp.ReLU
        assert type(bp.mlp([2, 2, 2], activation="relu").layers[1]) is bp.ReLU
        assert bp.plugins.get("layer", "acme-relu:relu").__module__ == "acme_relu"
        assert bp.plugins.get("layer", "fastbp:relu") is bp.ReLU
        assert states() == {("acme-relu", "relu"): "shadowed"}


def test_disabling_all(site, monkeypatch):
    site.leaky()
    site.huber()
    monkeypatch.setenv("FASTBP_DISABLE_PLUGINS", "all")
    assert bp.plugins.available("layer") == LAYERS
    for name in ("leaky", "acme-leaky:leaky"):
        with pytest.raises(bp.UnknownNameError) as caught:
            bp.layer(name)
        entry = "layer 'leaky' = acme_leaky:Leaky of acme-leaky 1.0"
        assert f"disabled by FASTBP_DISABLE_PLUGINS: {entry}" in str(caught.value)
    assert bp.layer("dense", n_out=3) == bp.Dense(3)  # built-in parts stay
    assert states() == {("acme-leaky", "leaky"): "disabled"}
    monkeypatch.delenv("FASTBP_DISABLE_PLUGINS")
    assert bp.layer("leaky").slope == 0.25


@pytest.mark.parametrize("value", ["acme-leaky", " Acme.Leaky , other", "other,ACME_leaky,"])
def test_disabling_by_name(site, monkeypatch, value):
    site.leaky()
    site.huber()
    monkeypatch.setenv("FASTBP_DISABLE_PLUGINS", value)
    assert bp.plugins.available("layer") == LAYERS
    assert "huber" in bp.plugins.available("loss")


def test_an_unknown_name_gets_close_matches(site):
    site.leaky()
    for name in ("leeky", "acme-leaky:leeky", "nobody:leaky"):
        with pytest.raises(bp.UnknownNameError) as caught:
            bp.layer(name)
        words = f"layer: got {name!r}; wanted one of {', '.join(sorted([*LAYERS, 'leaky']))}"
        assert str(caught.value) == f"{words}; did you mean 'leaky'?"


def test_refresh_sees_what_came_and_went(site):
    assert bp.plugins.available("layer") == LAYERS
    info = site.install("acme-late", source="class Late(bp.ReLU): pass", refresh=False,
                        layers={"late": "acme_late:Late"})  # fmt: skip
    assert bp.plugins.available("layer") == LAYERS  # one look at what is installed, not one a call
    bp.plugins.refresh()
    assert bp.layer("late")
    for path in info.iterdir():
        path.unlink()
    info.rmdir()
    bp.plugins.refresh()
    with pytest.raises(bp.UnknownNameError, match="'late'"):
        bp.layer("late")


def test_describe_says_the_contract_of_what_is_loaded(site):
    site.leaky("1.2.3")
    (before,) = [row for row in bp.plugins.describe() if row.name == "leaky"]
    assert (before.distribution, before.version) == ("acme-leaky", "1.2.3")
    assert (before.kind, before.contract, before.state) == ("layer", None, "not loaded")
    bp.layer("leaky")
    (after,) = [row for row in bp.plugins.describe() if row.name == "leaky"]
    assert (after.contract, after.state) == (1, "loaded")


@pytest.mark.parametrize("name", ["Leaky", "leaky-relu", "1st", "leaky relu", "_leaky"])
def test_names_that_are_none(site, plugin_error, name):
    site.install("acme-bad", source="class Bad(bp.ReLU): pass", layers={name: "acme_bad:Bad"})
    assert bp.plugins.available("layer") == LAYERS
    assert states() == {("acme-bad", name): "bad name"}
    plugin_error(lambda: bp.layer(name), f"layer {name!r} = acme_bad:Bad of acme-bad 1.0")


@pytest.mark.parametrize("damage", ["no METADATA", "entry_points.txt without ="])
def test_a_damaged_distribution_disturbs_nobody(site, damage):
    site.leaky()
    info = site.install("broken", layers={"other": "broken:Other"})
    if damage == "no METADATA":
        (info / "METADATA").unlink()
    else:
        (info / "entry_points.txt").write_text("[fastbp.layers]\nno value\n")
    bp.plugins.refresh()
    assert "leaky" in bp.plugins.available("layer")
    assert bp.layer("leaky").slope == 0.25
    assert states()["acme-leaky", "leaky"] == "loaded"


def test_a_class_that_was_imported_goes_by_its_registered_name(site):
    """Its layers and messages are named as if it had been asked for by name."""
    site.leaky()
    from acme_leaky import Leaky  # as a user of the package would

    net = bp.Network(3, [bp.Dense(2), Leaky(0.1)])
    assert registry.name_of(net.layers[1]) == "leaky"
    assert net._layout.names == ("dense1", "leaky1")


def test_200_distributions_cost_an_import_nothing(site):
    for i in range(200):
        site.install(f"acme-{i}", refresh=False, layers={f"part{i}": f"acme_{i}:Part"})
        site.write(f"acme_{i}.py", "raise RuntimeError('imported')")
    site.run(
        """
        import sys, importlib.metadata as m
        wrong = lambda *args, **kwargs: sys.exit("metadata was scanned")
        scans = m.entry_points, m.distributions
        m.entry_points = m.distributions = wrong
        import fastbp as bp
        net = bp.mlp([3, 4, 2], activation="tanh", rng=0)
        net.fit([[1, 2, 3]], [1], epochs=1, progress=False)
        bp.plugins.get("layer", "relu"), bp.layer("dense", n_out=2), bp.loss("squared_error")
        m.entry_points, m.distributions = scans
        assert len([n for n in bp.plugins.available("layer") if n.startswith("part")]) == 200
        assert not [name for name in sys.modules if name.startswith("acme")]
        """,
        PYTHONDONTWRITEBYTECODE="1",
    )
