"""Checks of a part where it is used: in a network, by users and by threads."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastbp.checks import Array
from fastbp.errors import DtypeError, PluginCallError
from fastbp.layers.base import Layer
from fastbp.layers.dense import Dense
from fastbp.network import Network
from fastbp.optimizers import SGD
from fastbp.testing import layer_case, loss_case
from fastbp.testing.arrays import same_bits
from fastbp.testing.gradcheck import gradcheck, lacks_type

ROWS = 6


def network(part: Any, dtype: str, rng: int = 0) -> Network:
    """A small network around a part."""
    if isinstance(part, Layer):
        width = layer_case.usual_width(part)
        return Network(4, [Dense(width), part, Dense(3)], "squared_error", dtype, rng)
    return Network(4, [Dense(loss_case.usual_width(part))], part, dtype, rng)


def networks(part: Any) -> Iterator[Network]:
    """One in each float type that the part has; `float_types` tells of one it lacks."""
    for dtype in layer_case.DTYPES:
        try:
            net = network(part, dtype)
        except (DtypeError, PluginCallError) as exc:
            if lacks_type(exc):
                continue
            raise
        yield net


def data(net: Network, seed: int = 0, rows: int = ROWS) -> tuple[Array, Array]:
    """X and y as a user would pass them."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, net.n_in)).astype(np.float32)
    raw = loss_case.raw_targets(net.loss_function, rng, rows, net.n_out)
    return X.astype(net.dtype), next(iter(raw.values()))


def network_gradients(part: Any) -> None:
    """In a network, all gradients agree with differences of the loss."""
    for net in networks(part):
        gradcheck(net, *data(net))


def input_layouts(part: Any) -> None:
    """Strided, Fortran-ordered and read-only X and y give the bits that plain arrays give."""
    for net in networks(part):
        X, y = data(net)
        kept = X.copy(), y.copy()
        want = net.forward(X), net.gradients(X, y).flat

        def spread(array: Array) -> Array:
            wide = np.zeros((2 * len(array), *(2 * n for n in array.shape[1:])), array.dtype)
            wide[tuple(slice(None, None, 2) for _ in array.shape)] = array
            return wide[tuple(slice(None, None, 2) for _ in array.shape)]

        frozen = X.copy(), y.copy()
        for array in frozen:
            array.flags.writeable = False
        forms = {
            "strided": (spread(X), spread(y)),
            "Fortran-ordered": (np.asfortranarray(X), np.asfortranarray(y)),
            "read-only": frozen,
        }
        for form, (X_form, y_form) in forms.items():
            got = net.forward(X_form), net.gradients(X_form, y_form).flat
            for name, one, other in zip(("forward", "gradients"), got, want, strict=True):
                assert same_bits(one, other), f"{part!r}: {name} differs for {form} X and y"
        same = same_bits(X, kept[0]) and same_bits(y, kept[1])
        assert same, f"{part!r}: a network's X or y was changed"


def training(part: Any) -> None:
    """Steps repeat to the bit, evaluation leaves all buffers alone, a copy goes on the same."""
    for net in networks(part):
        X, y = data(net)
        twin = network(part, net.dtype.name)
        for each in (net, twin):
            for _ in range(3):
                value = each.step(X, y, SGD(1e-3))
                assert np.isfinite(value), f"{part!r}: training gave the loss {value}"
        state = net.state_dict()
        for name, array in twin.state_dict().items():
            assert same_bits(array, state[name]), (
                f"{part!r}: {name} differs between two trainings with one seed; random numbers "
                "come from ctx.random"
            )
        net.forward(X), net.loss(X, y), net.gradients(X, y), net.predict(X)
        for name, array in net.state_dict().items():
            assert same_bits(array, state[name]), f"{part!r}: {name} changed without training"
        other = pickle.loads(pickle.dumps(net))
        for each in (net, other):
            each.step(X, y, SGD(1e-3))
        assert same_bits(net.flat, other.flat), f"{part!r}: a pickled network trains differently"


def shared_part(part: Any) -> None:
    """One object serves two networks at once as two objects would."""
    for net in networks(part):
        shared = _fresh(part)
        together = [network(shared, net.dtype.name, rng) for rng in (0, 1)]
        apart = [network(_fresh(part), net.dtype.name, rng) for rng in (0, 1)]
        for turn in range(3):
            for i, each in enumerate(together):
                X, y = data(each, seed=turn, rows=ROWS + i)
                value, want = each.step(X, y, SGD(1e-3)), apart[i].step(X, y, SGD(1e-3))
                same = value == want and same_bits(each.flat, apart[i].flat)
                assert same, (
                    f"{part!r}: two networks that share the part disturb each other; a part keeps "
                    "no state"
                )


def _fresh(part: Any) -> Any:
    """An equal part that nobody has called yet."""
    return type(part)(**part.config())


def threads(part: Any) -> None:
    """Two threads with two networks give what one after the other gives."""
    for net in networks(part):
        dtype = net.dtype.name
        want = [_train(network(part, dtype, rng), rng) for rng in (0, 1)]
        got: list[Array | BaseException | None] = [None, None]
        start = threading.Barrier(2)

        def work(i: int, dtype: str = dtype, got: list[Any] = got, start: Any = start) -> None:
            try:
                mine = network(part, dtype, i)
                start.wait()
                got[i] = _train(mine, i)
            except BaseException as exc:  # told by the thread that waits
                start.abort()
                got[i] = exc

        workers = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for one, other in zip(got, want, strict=True):
            assert isinstance(one, np.ndarray), f"{part!r}: failed in a thread: {one!r}"
            assert same_bits(one, other), (
                f"{part!r}: two networks in two threads disturb each other; a part keeps no state"
            )


def _train(net: Network, seed: int) -> Array:
    for turn in range(8):
        X, y = data(net, seed=seed + 2 * turn, rows=ROWS + seed)
        net.step(X, y, SGD(1e-3))
    return net.flat.copy()
