"""Parameters that are set to what they cannot be: load_state_dict, params, flat."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as bp

STATE = {
    "list": ([1, 2], bp.DtypeError, "state: got list; wanted a mapping of names to arrays"),
    "None": (None, bp.DtypeError, "state: got NoneType; wanted a mapping of names to arrays"),
    "empty": ({}, bp.UnknownNameError, "state: got a mapping without ['dense1.W', ...; wanted ..."),
}


@pytest.mark.parametrize(("state", "error", "message"), STATE.values(), ids=STATE)
def test_no_state(net, refuses, state, error, message):
    refuses(net, error, message, lambda: net.load_state_dict(state))


ENTRIES = {
    "shape": ("dense2.b", np.ones(4), bp.ShapeError, "dense2.b: got shape (4,); wanted (3,)"),
    "rank": ("dense2.b", np.ones((1, 3)), bp.ShapeError, "dense2.b: got shape (1, 3); wanted (3,)"),
    "number": ("dense2.b", 1.0, bp.ShapeError, "dense2.b: got shape (); wanted (3,)"),
    "complex": (
        "dense2.b",
        np.ones(3) + 0j,
        bp.DtypeError,
        "dense2.b: got dtype complex128; wanted real numbers",
    ),
    "None": ("dense2.b", None, bp.DtypeError, "dense2.b: got NoneType; wanted a dense array"),
    "too big": (
        "dense2.b",
        np.full(3, 1e39),
        bp.NonFiniteError,
        "dense2.b: got 1e+39 at row 0, ...",
    ),
    "unknown": (
        "dense3.b",
        np.ones(3),
        bp.UnknownNameError,
        "state: got ...'dense3.b'...; wanted ...",
    ),
    "unknown number": (7, np.ones(3), bp.UnknownNameError, "state: got ... [7]; wanted ..."),
}


@pytest.mark.parametrize(("name", "value", "error", "message"), ENTRIES.values(), ids=ENTRIES)
def test_bad_state(net, refuses, name, value, error, message):
    state = {key: array + 1 for key, array in net.state_dict().items()} | {name: value}
    refuses(net, error, message, lambda: net.load_state_dict(state))


def test_a_name_is_missing(net, refuses):
    state = net.state_dict()
    del state["dense1.W"]
    message = "state: got a mapping without ['dense1.W'] and with unknown []; wanted [...]"
    refuses(net, bp.UnknownNameError, message, lambda: net.load_state_dict(state))


ASSIGNED = {
    "shape": ([1.0, 2.0], bp.ShapeError, "{}: got shape (2,); wanted ({},)"),
    "number": (1.0, bp.ShapeError, "{}: got shape (); wanted ({},)"),
    "complex": ([1j], bp.DtypeError, "{}: got dtype complex128; wanted real numbers"),
    "text": ("zero", bp.DtypeError, "{}: got dtype <U4; wanted real numbers"),
    "None": (None, bp.DtypeError, "{}: got NoneType; wanted a dense array"),
}


@pytest.mark.parametrize(("value", "error", "message"), ASSIGNED.values(), ids=ASSIGNED)
def test_bad_assignment(net, refuses, value, error, message):
    def to_flat():
        net.flat = value

    def to_params():
        net.params["dense2.b"] = value

    refuses(net, error, message.format("flat", 31), to_flat)
    refuses(net, error, message.format("dense2.b", 3), to_params)


def test_assignment_of_what_float32_cannot_hold(net, refuses):
    def assign():
        net.flat = np.full(31, 1e39)

    message = "flat: got 1e+39 at row 0, which overflows float32; wanted numbers up to 3.4e+38"
    refuses(net, bp.NonFiniteError, message, assign)


def test_unknown_parameter(net, refuses):
    def assign():
        net.params["dense3.W"] = 1

    message = "...got 'dense3.W'; wanted one of dense1.W, dense1.b, dense2.W, dense2.b"
    refuses(net, bp.UnknownNameError, message, assign)
    refuses(net, bp.UnknownNameError, message, lambda: net.params["dense3.W"])


def test_parameters_are_taken_over_in_any_layout(net):
    W = np.arange(12.0).reshape(4, 3)
    for strange in (W, np.asfortranarray(W), W.astype(">f8"), W[::-1].copy()[::-1], W.tolist()):
        net.flat[:] = 0
        net.params["dense1.W"] = strange
        net.load_state_dict({**net.state_dict(), "dense1.W": strange})
        assert net.flat[:12].tolist() == list(range(12))


def test_a_state_of_ones_own_views_in_another_order():
    net = bp.mlp([3, 3, 3], dtype="float64", rng=0)
    W1, W2 = net.params["dense1.W"].copy(), net.params["dense2.W"].copy()
    net.load_state_dict(
        {**net.params, "dense1.W": net.params["dense2.W"], "dense2.W": net.params["dense1.W"]}
    )
    assert net.params["dense1.W"].tobytes() == W2.tobytes()
    assert net.params["dense2.W"].tobytes() == W1.tobytes()
