"""Arrays in any memory layout and any real dtype give the same bits as a clean copy."""

from __future__ import annotations

import numpy as np
import pytest


class Subclass(np.ndarray):
    pass


class DLPackOnly:
    """An array of a library that NumPy knows nothing else of."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class InterfaceOnly:
    def __init__(self, array):
        self.array, self.__array_interface__ = array, array.__array_interface__


def spread(array):
    """Every other entry along each axis of a larger array full of NaN (or -1)."""
    filler = np.nan if array.dtype.kind == "f" else 0
    larger = np.full([2 * n for n in array.shape], filler, array.dtype)
    view = larger[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def misaligned(array):
    memory = np.frombuffer(bytearray(array.nbytes + 1), np.uint8)[1:]
    view = memory.view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned or array.itemsize == 1
    return view


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def swapped(array):
    return array.astype(array.dtype.newbyteorder())


LAYOUTS = {
    "non-contiguous": spread,
    "backwards": lambda a: a[::-1].copy()[::-1],
    "Fortran-ordered": np.asfortranarray,
    "read-only": read_only,
    "misaligned": misaligned,
    "byte-swapped": swapped,
    "all at once": lambda a: read_only(misaligned(spread(swapped(a)))),
    "subclass": lambda a: a.copy().view(Subclass),
    "masked without a mask": np.ma.array,
    "masked without masked entries": lambda a: np.ma.array(a, mask=np.zeros(a.shape, bool)),
    "dtype with metadata": lambda a: a.astype(np.dtype(a.dtype, metadata={"unit": "m"})),
    "list": np.ndarray.tolist,
    "tuple": lambda a: tuple(map(tuple, a.tolist())) if a.ndim > 1 else tuple(a.tolist()),
    "memoryview": memoryview,
    "DLPack only": DLPackOnly,
    "array interface only": InterfaceOnly,
}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return LAYOUTS[request.param]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", ["float32", "float64"])
def test_x_in_any_layout(make, X, y, call, outcome, layout, dtype, given):
    net, X = make(dtype=dtype), X.astype(given)
    kept, strange = X.copy(), layout(X)
    assert outcome(net, call, strange, y) == outcome(net, call, kept, y)
    if isinstance(strange, np.ndarray):
        assert np.asarray(strange).tobytes() == swapped_if(strange, kept).tobytes()


def swapped_if(strange, array):
    """`array` in the byte order of `strange`."""
    return array.astype(strange.dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", ["?", "i1", "u1", ">i2", "u4", "i8", ">u8", "f2", ">f2", "g"])
def test_x_of_any_real_dtype(make, y, call, outcome, dtype, given):
    net, X = make(dtype=dtype), np.arange(15).reshape(5, 3).astype(given)
    assert outcome(net, call, X, y) == outcome(net, call, X.astype(dtype), y)


Y_CALLS = ["loss", "gradients", "loss_and_grad", "step", "fit", "validation"]
TARGETS = {
    "classes": ("softmax_cross_entropy", 3, np.array([2, 0, 1, 1, 0])),
    "whole floats": ("softmax_cross_entropy", 3, np.array([2.0, 0, 1, 1, 0])),
    "rows": ("softmax_cross_entropy", 3, np.tile([0.25, 0.5, 0.25], (5, 1))),
    "binary": ("sigmoid_cross_entropy", 1, np.array([1.0, 0, 1, 0.5, 0])),
    "multilabel": ("sigmoid_cross_entropy", 2, np.tile([1.0, 0.25], (5, 1))),
    "values": ("squared_error", 2, np.arange(10.0).reshape(5, 2)),
    "one value": ("squared_error", 1, np.arange(5.0)),
}


@pytest.mark.parametrize("call", Y_CALLS, indirect=True)
@pytest.mark.parametrize("kind", TARGETS)
def test_y_in_any_layout(make, X, call, outcome, layout, kind):
    loss, n_out, y = TARGETS[kind]
    net = make(n_out, loss)
    assert outcome(net, call, X, layout(y)) == outcome(net, call, X, y)


@pytest.mark.parametrize("given", ["i1", "u1", ">i2", ">u4", "u8", "f2", ">f4", "f8", "g"])
def test_classes_of_any_real_dtype(net, X, y, given):
    assert net.loss(X, y.astype(given)) == net.loss(X, y)
    assert net.loss(X, (y > 0).astype(given)) == net.loss(X, y > 0)  # bools are classes 0 and 1


def test_one_output_takes_a_column_too(make, X):
    for loss in ("sigmoid_cross_entropy", "squared_error"):
        net, y = make(1, loss), np.array([1.0, 0, 1, 0.5, 0])
        assert net.loss(X, y[:, None]) == net.loss(X, y)


@pytest.mark.parametrize("call", Y_CALLS, indirect=True)
def test_weights_in_any_layout(net, X, y, call, outcome, layout):
    weights = np.array([1.0, 0.5, 0, 3, 1])
    assert outcome(net, call, X, y, layout(weights)) == outcome(net, call, X, y, weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_theta_and_delta_in_any_layout(make, X, y, bits, layout, dtype):
    net = make(dtype=dtype)
    theta = np.arange(net.flat.size) / 8
    delta = np.arange(15.0).reshape(5, 3)
    assert bits(net.loss_and_grad(X, y, layout(theta))) == bits(net.loss_and_grad(X, y, theta))
    assert bits(net.vjp(X, layout(delta))) == bits(net.vjp(X, delta))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_own_their_arrays(make, X, y, layout, dtype):
    net = make(dtype=dtype)
    memory = layout(X.astype(dtype))
    if not isinstance(memory, np.ndarray) or not memory.flags.writeable:
        pytest.skip("nobody can write into it")
    for g in (net.gradients(memory, y), net.vjp(memory, np.ones((5, 3)))):
        before = g.values.x.tobytes()
        memory += 1
        assert g.values.x.tobytes() == before
        memory -= 1


def test_gradients_own_their_targets(make, X):
    net, y = make(2, "squared_error", "float64"), np.ones((5, 2))
    g = net.gradients(X, y)
    y += 1
    assert g.y_hat.tobytes() == net.gradients(X, np.ones((5, 2))).y_hat.tobytes()


def test_large_x_walked_in_blocks_gives_the_same_bits(net):
    X = np.random.default_rng(1).standard_normal((1500, 3)).astype(np.float32)
    whole = net.forward(swapped(np.asfortranarray(X)))
    assert whole.tobytes() == net.forward(X).tobytes()
