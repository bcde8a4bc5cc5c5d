"""Parts that cannot be loaded: an error then, with who is at fault, and nobody else disturbed."""

import errno
import os
import sys

import numpy as np
import pytest

import fastbp as bp
from fastbp import registry

ENTRY = "layer 'part' = {} of acme-part 2.1"
MODULE = "acme_part:Part"

# What a distribution may hold instead of a part: source, value, and words of the message.
BAD = {
    "raises": ("raise RuntimeError('no luck')", MODULE, "(RuntimeError: no luck)"),
    "exits": ("raise SystemExit(3)", MODULE, "(SystemExit: 3)"),
    "exits quietly": ("import sys; sys.exit()", MODULE, "(SystemExit: )"),
    "odd exception": ("raise type('Odd', (BaseException,), {})('hm')", MODULE, "(Odd: hm)"),
    "no syntax": ("class Part(:", MODULE, "(SyntaxError: "),
    "no dependency": ("import acme_missing", MODULE, "No module named 'acme_missing'"),
    "no module": ("", "acme_gone:Part", "No module named 'acme_gone'"),
    "no attribute": ("", MODULE, "has no attribute 'Part'"),
    "no value": ("", "12 + 3", "could not be loaded ("),
    "a function": ("def Part(): pass", MODULE, "wanted a subclass of fastbp's Layer"),
    "an instance": ("Part = bp.ReLU()", MODULE, "is ReLU(); wanted a subclass"),
    "another class": ("class Part: pass", MODULE, "wanted a subclass of fastbp's Layer"),
    "a loss": ("class Part(Loss): pass", MODULE, "wanted a subclass of fastbp's Layer"),
    "a module": ("", "acme_part", "wanted a subclass of fastbp's Layer"),
    "newer contract": (
        "class Part(bp.ReLU): contract = 2",
        MODULE,
        "keeps contract 2; this fastbp keeps 1",
    ),
    "no contract": ("class Part(bp.ReLU): contract = None", MODULE, "keeps contract None"),
}


@pytest.fixture(params=BAD.values(), ids=BAD)
def bad(request, site):
    """The value and the words of an installed bad part."""
    source, value, words = request.param
    site.install("acme-part", "2.1", source, layers={"part": value})
    return value, words


def test_the_error_names_entry_distribution_and_version(bad, plugin_error):
    value, words = bad
    error = plugin_error(lambda: bp.layer("part"), ENTRY.format(value), words)
    assert (error.__cause__ is not None) == ("could not be loaded" in str(error))


def test_every_way_to_ask_gets_the_error(bad, plugin_error):
    value, words = bad
    for ask in (
        lambda: bp.plugins.get("layer", "acme-part:part"),
        lambda: bp.Network(3, [bp.Dense(2), "part"]),
        lambda: bp.mlp([3, 2, 2], activation="part"),
    ):
        plugin_error(ask, ENTRY.format(value), words)


def test_nothing_and_nobody_else_is_disturbed(bad, site, bits, data, plugin_error):
    site.leaky()
    net = bp.mlp([3, 4, 2], rng=0)
    net.step(*data, bp.Adam())
    before = bits(net)
    plugin_error(lambda: bp.Network(3, [bp.Dense(2), "part"]))
    assert bits(net) == before
    assert "part" in bp.plugins.available("layer")
    assert [row.state for row in bp.plugins.describe() if row.name == "part"] == ["not loaded"]
    leaky = bp.mlp([3, 4, 2], activation="leaky", rng=0)
    leaky.fit(*data, epochs=1)
    assert np.isfinite(leaky.flat).all()


def test_a_bad_plugin_does_not_end_its_users_program(site):
    site.install("acme-part", "2.1", "raise SystemExit(3)", layers={"part": MODULE})
    out = site.run(
        """
        import fastbp as bp
        try:
            bp.layer("part")
        except bp.PluginError as exc:
            print(repr(exc.__cause__))
        print(bp.mlp([2, 2]))
        """
    )
    assert out.startswith("SystemExit(3)\nNetwork(2")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_ctrl_c_and_want_of_memory_pass(site, error):
    site.install("acme-part", "2.1", f"raise {error.__name__}", layers={"part": MODULE})
    with pytest.raises(error):
        bp.layer("part")


def test_what_was_mended_is_tried_again(site, plugin_error):
    good = "class Part(bp.ReLU): pass"
    site.install("acme-part", "2.1", "import acme_helper\n" + good, layers={"part": MODULE})
    for _ in range(2):
        plugin_error(lambda: bp.layer("part"), "No module named 'acme_helper'")
    assert "acme_part" not in sys.modules
    site.write("acme_helper.py", "")
    part = bp.layer("part")
    assert bp.plugins.get("layer", "part") is type(part)
    assert registry.name_of(part) == "part"


def test_a_part_that_fails_beside_a_good_one_of_its_package(site, plugin_error):
    """The good one's messages and files look through the bad one without an error."""
    site.install(
        "acme-part",
        "2.1",
        "class Part(bp.ReLU): pass",
        layers={"part": MODULE, "another": "acme_part:Missing"},
    )
    import acme_part

    assert registry.name_of(acme_part.Part()) == "part"
    plugin_error(lambda: bp.layer("another"), "layer 'another' = acme_part:Missing of acme-part")


def test_arguments_that_do_not_fit(site):
    site.leaky()
    with pytest.raises(bp.ConfigError, match=r"layer: got 'leaky' with {'steepness': 2}"):
        bp.layer("leaky", steepness=2)
    leaky = bp.plugins.get("layer", "leaky")
    with pytest.raises(bp.ConfigError, match=r"got the class Leaky; pass Leaky\(...\)"):
        bp.Network(3, [bp.Dense(2), leaky])


EXHAUSTED = [OSError(errno.EMFILE, os.strerror(errno.EMFILE)), MemoryError("no memory")]


@pytest.mark.parametrize("error", EXHAUSTED, ids=repr)
@pytest.mark.parametrize(
    "place", ["EntryPoint.load", "PathDistribution.read_text", "entry_points"], ids=str
)
def test_what_runs_out_is_no_fault_of_a_package(site, monkeypatch, place, error):
    """It is told as it is, and nothing that was not seen for it is remembered."""

    def fail(*arguments, **keywords):
        raise error

    site.leaky("1.5")
    with monkeypatch.context() as patch:
        patch.setattr(f"importlib.metadata.{place}", fail)
        with pytest.raises(type(error)) as caught:
            bp.layer("leaky")
        assert caught.value is error
    part = bp.layer("leaky")
    entry = registry.entry_of(part)
    assert (entry.distribution, entry.version) == ("acme-leaky", "1.5")
