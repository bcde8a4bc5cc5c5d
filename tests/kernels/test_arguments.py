"""Every kernel against every bad argument: the right error, by name, and nothing written."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from fastbp import kernels
from fastbp.errors import ConfigError, DtypeError, LabelError, ShapeError


@dataclass
class Call:
    """A kernel, the shapes of its arguments, and which of them it writes to."""

    kernel: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    options: dict[str, object] = field(default_factory=dict)
    may_be_input: bool = False  # an output may be an input, whole

    def arrays(self, dtype):
        """The same numbers every time."""
        rng = np.random.default_rng(20)
        shapes = self.inputs | self.outputs
        made = {name: rng.uniform(0.1, 0.9, shape).astype(dtype) for name, shape in shapes.items()}
        if self.kernel == "softmax_cross_entropy" and len(self.inputs["targets"]) == 1:
            made["targets"] = rng.integers(0, 5, self.inputs["targets"])
        return made

    def __call__(self, arrays):
        return getattr(kernels, self.kernel)(**arrays, **self.options)


X, Y, D, H = (3, 4), (3, 5), (3, 5), (7,)
RATES = {"lr": 0.1}
CALLS = [
    Call("gemm", {"A": X, "B": (4, 5)}, {"out": Y}),
    Call("gemv", {"A": X, "x": (4,)}, {"out": (3,)}),
    Call("ger", {"x": (3,), "y": (4,)}, {"out": X}),
    Call("axpy", {"x": H}, {"y": H}),
    Call("dense_forward", {"x": X, "W": (5, 4), "b": (5,)}, {"out": Y}),
    Call("dense_backward", {"delta": D, "W": (5, 4)}, {"out": X}),
    Call("outer_sum", {"delta": D, "h": X}, {"out": (5, 4)}),
    Call("bias_sum", {"delta": D}, {"out": (5,)}),
    *[
        Call(f"{name}_forward", {"a": X}, {"out": X}, may_be_input=True)
        for name in ("relu", "tanh", "sigmoid")
    ],
    *[
        Call(f"{name}_backward", {"h": X, "dh": X}, {"out": X}, may_be_input=True)
        for name in ("relu", "tanh", "sigmoid")
    ],
    Call("softmax", {"a": Y}, {"out": Y}),
    Call("softmax_cross_entropy", {"a": Y, "targets": (3,)}, {"delta": Y}),
    Call("softmax_cross_entropy", {"a": Y, "targets": Y}, {"delta": Y}),
    Call("sigmoid_cross_entropy", {"a": Y, "t": Y}, {"delta": Y}),
    Call("squared_error", {"a": Y, "t": Y}, {"delta": Y}),
    Call("sgd_update", {"g": H}, {"theta": H}, RATES),
    Call("momentum_update", {"g": H}, {"theta": H, "v": H}, RATES | {"momentum": 0.9}),
    Call(
        "adam_update",
        {"g": H},
        {"theta": H, "m": H, "v": H},
        RATES | {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "t": 3},
    ),
]
EACH = [
    pytest.param(call, name, id=f"{call.kernel}{len(call.inputs.get('targets', ''))}-{name}")
    for call in CALLS
    for name in call.inputs | call.outputs
]
EACH_CALL = [
    pytest.param(call, id=f"{call.kernel}{len(call.inputs.get('targets', ''))}") for call in CALLS
]


def misaligned(array):
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    shifted = buffer[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


BAD_TYPES = {
    "list": lambda x: x.tolist(),
    "float16": lambda x: x.astype(np.float16),
    "complex": lambda x: x.astype(complex),
    "object": lambda x: x.astype(object),
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "int32": lambda x: x.astype(np.int32),
}
BAD_LAYOUTS = {
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "Fortran": np.asfortranarray,
    "misaligned": misaligned,
}


def assert_refused(call, arrays, error, match):
    before = {name: np.array(array) for name, array in arrays.items()}
    with pytest.raises(error, match=match):
        call(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("spoil", BAD_TYPES.values(), ids=BAD_TYPES)
@pytest.mark.parametrize(("call", "name"), EACH)
def test_wrong_type_is_refused_by_name(call, name, spoil, dtype):
    arrays = call.arrays(dtype)
    arrays[name] = spoil(arrays[name])
    assert_refused(call, arrays, DtypeError, f"^{name}: got ")


@pytest.mark.parametrize(("call", "name"), EACH)
def test_mixed_float_types_are_refused(call, name, dtype):
    arrays = call.arrays(dtype)
    arrays[name] = arrays[name].astype(np.float64 if dtype == np.float32 else np.float32)
    assert_refused(call, arrays, DtypeError, r"^\w+: got dtype \w+; wanted ")


@pytest.mark.parametrize("spoil", BAD_LAYOUTS.values(), ids=BAD_LAYOUTS)
@pytest.mark.parametrize(("call", "name"), EACH)
def test_wrong_layout_is_refused_by_name(call, name, spoil, dtype):
    arrays = call.arrays(dtype)
    arrays[name] = spoil(arrays[name])
    if arrays[name].flags.carray:
        return  # with one axis there is no Fortran order
    assert_refused(call, arrays, ShapeError, f"^{name}: got a (non-contiguous|misaligned) array")


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(("call", "name"), EACH)
def test_wrong_size_is_refused(call, name, axis, dtype):
    if (call.kernel, name, axis) == ("bias_sum", "delta", 0):
        return  # any number of rows will do
    arrays = call.arrays(dtype)
    arrays[name] = np.ascontiguousarray(np.delete(arrays[name], 0, axis=axis))
    assert_refused(call, arrays, ShapeError, r"^\w+: got shape \(")


@pytest.mark.parametrize(("call", "name"), EACH)
def test_wrong_rank_is_refused(call, name, dtype):
    arrays = call.arrays(dtype)
    arrays[name] = arrays[name][None]
    assert_refused(call, arrays, ShapeError, r"^\w+: got shape \(")


@pytest.mark.parametrize("call", EACH_CALL)
def test_inputs_may_be_read_only_and_stay_as_they_are(call, dtype):
    arrays = call.arrays(dtype)
    frozen = {name: array.copy() for name, array in arrays.items()}
    for name in call.inputs:
        frozen[name].flags.writeable = False
    want, got = call(arrays), call(frozen)
    np.testing.assert_array_equal(got, want)
    fresh = call.arrays(dtype)
    for name in call.inputs:
        np.testing.assert_array_equal(arrays[name], fresh[name])
    for name in call.outputs:
        np.testing.assert_array_equal(frozen[name], arrays[name])


@pytest.mark.parametrize("call", EACH_CALL)
def test_outputs_are_what_is_returned_and_have_the_dtype(call, dtype):
    arrays = call.arrays(dtype)
    result = call(arrays)
    output = arrays[next(iter(call.outputs))]
    if "cross_entropy" in call.kernel or call.kernel == "squared_error":
        assert result.dtype == np.float64  # losses
        del arrays["delta"]
        np.testing.assert_array_equal(call(arrays), result)
    elif call.kernel.endswith("_update"):
        assert result is None
    else:
        assert result is output
        assert result.dtype == dtype
        if call.kernel not in {"ger", "axpy"}:
            del arrays["out"]
            again = call(arrays)
            np.testing.assert_array_equal(again, result)
            assert again.dtype == dtype


@pytest.mark.parametrize("call", EACH_CALL)
def test_read_only_output_is_refused(call, dtype):
    for name in call.outputs:
        arrays = call.arrays(dtype)
        arrays[name].flags.writeable = False
        assert_refused(call, arrays, ConfigError, f"^{name}: got a read-only array")


def overlapping(first, second, shift):
    """Copies of two arrays in one buffer, the second beginning `shift` entries after the first."""
    buffer = np.zeros(max(first.size, second.size + shift), first.dtype)
    one, two = (
        buffer[: first.size].reshape(first.shape),
        buffer[shift : shift + second.size].reshape(second.shape),
    )
    two[...] = second
    one[...] = first
    return one, two


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("call", EACH_CALL)
def test_output_that_overlaps_an_input_is_refused(call, shift, dtype):
    for output in call.outputs:
        for name in (call.inputs | call.outputs).keys() - {output}:
            arrays = call.arrays(dtype)
            if arrays[name].dtype != dtype or (call.may_be_input and shift == 0):
                continue
            arrays[name], arrays[output] = overlapping(arrays[name], arrays[output], shift)
            assert_refused(call, arrays, ConfigError, "shares memory with")


@pytest.mark.parametrize("call", [c for c in EACH_CALL if c.values[0].may_be_input])
def test_elementwise_output_may_be_an_input(call, dtype):
    for name in call.inputs:
        arrays = call.arrays(dtype)
        want = call(arrays).copy()
        arrays["out"] = arrays[name]
        np.testing.assert_array_equal(call(arrays), want)
        arrays = call.arrays(dtype)
        arrays["out"] = arrays[name][:]  # another object, the same memory
        np.testing.assert_array_equal(call(arrays), want)


@pytest.mark.parametrize("label", [-1, 5, np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_label_out_of_range_is_named_and_nothing_is_written(label, dtype):
    a = np.ones((4, 5), dtype)
    delta = np.full((4, 5), 7, dtype)
    targets = np.array([0, 4, label, -9])
    with pytest.raises(LabelError, match=rf"^targets: got label {label} in row 2; wanted 0 to 4$"):
        kernels.softmax_cross_entropy(a, targets, delta)
    assert np.all(delta == 7)


def test_every_kernel_is_called_here():
    assert {call.kernel for call in CALLS} == set(kernels.__all__)
