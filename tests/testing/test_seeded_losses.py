"""The kit fails losses that break the contract: each bug is caught by the check named beside it."""

import numpy as np
import pytest

import fastbp as bp
from fastbp.losses import Loss
from fastbp.testing import check_loss, checks_for


class LogCosh(Loss):
    """Correct: ℓ = Σ_j width log cosh((a_j - t_j) / width)."""

    def __init__(self, width=1.5):
        self.width = width

    def loss_and_delta(self, a, targets, delta):
        r = (a.astype(np.float64) - targets) / self.width
        if delta is not None:
            np.tanh(r, out=delta, casting="same_kind")
        return (np.logaddexp(r, -r) - np.log(2)).sum(axis=1) * self.width


class Hinge(Loss):
    """Correct: ℓ = Σ_{j≠l} max(0, 1 + a_j - a_l), with kinks; for classes."""

    targets = "classes"

    def target_width(self, n_out):
        if n_out < 2:
            raise bp.ShapeError(f"loss: got {n_out} output; wanted 2 or more")
        return n_out

    def check_targets(self, y, n_out, dtype, rows=None):
        if y.ndim != 1:
            raise bp.ShapeError("y: wanted classes, (batch,)")
        return super().check_targets(y, n_out, dtype, rows)

    def loss_and_delta(self, a, targets, delta):
        rows = np.arange(len(a))
        margin = 1 + a.astype(np.float64) - a[rows, targets][:, None]
        margin[rows, targets] = 0
        over = margin > 0
        if delta is not None:
            delta[...] = over
            delta[rows, targets] = -over.sum(axis=1)
            delta[np.isnan(margin).any(axis=1)] = np.nan
        return np.maximum(margin, 0).sum(axis=1)

    def decide(self, y_hat):
        return np.argmax(y_hat, axis=1)


class Poisson(Loss):
    """Correct: ℓ = Σ_j exp(a_j) - t_j a_j for counts t ≥ 0, with y_hat = exp(a)."""

    def check_targets(self, y, n_out, dtype, rows=None):
        targets = super().check_targets(y, n_out, dtype, rows)
        if (targets < 0).any():
            raise bp.LabelError("y: got a negative count")
        return targets

    def loss_and_delta(self, a, targets, delta):
        rate = np.exp(a)
        if delta is not None:
            np.subtract(rate, targets, out=delta)
        return (rate - targets * a).sum(axis=1, dtype=np.float64)

    def y_hat(self, a, out):
        np.exp(a, out=out)

    def y_hat_gradient(self, a, targets, out):
        out[...] = 1 - targets * np.exp(-a)


class MeanOverRows(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        losses = super().loss_and_delta(a, targets, delta)
        return np.full(len(a), losses.mean()) if len(a) else losses


class OneNumber(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        return super().loss_and_delta(a, targets, delta).mean()


class ScalesDelta(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        losses = super().loss_and_delta(a, targets, delta)
        if delta is not None:
            delta /= len(a) or 1
        return losses


class Float32Losses(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        return super().loss_and_delta(a, targets, delta).astype(np.float32)


class MissingFactor(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        return super().loss_and_delta(a, targets, delta) * 0.5


class AddsDelta(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        if delta is None:
            return super().loss_and_delta(a, targets, None)
        slope = np.empty_like(delta)
        losses = super().loss_and_delta(a, targets, slope)
        delta += slope
        return losses


class ChangesOutput(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        a -= targets
        return super().loss_and_delta(a, np.zeros_like(targets), delta)


class NeedsDelta(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        return super().loss_and_delta(a, targets, delta) if delta is not None else np.zeros(len(a))


class ReturnsItsBuffer(LogCosh):
    kept = np.zeros(64)

    def loss_and_delta(self, a, targets, delta):
        out = self.kept[: len(a)]
        out[...] = super().loss_and_delta(a, targets, delta)
        return out


class DropsNaN(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        losses = super().loss_and_delta(np.nan_to_num(a), targets, delta)
        return losses


class NormalisesBatch(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        return super().loss_and_delta(a, targets, delta) + 1e-3 * len(a)


class FailsOnEmpty(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        targets.max()
        return super().loss_and_delta(a, targets, delta)


class HalfWidths(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        losses = super().loss_and_delta(a, targets, delta)
        n = a.shape[1]
        if delta is not None and n > 8:
            delta[:, n - n % 4 :] = 0  # as a loop over fours would
        return losses


class Float64Only(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        if a.dtype != np.float64:
            raise bp.DtypeError("float64 only")
        return super().loss_and_delta(a, targets, delta)


class CrudeFloat32(LogCosh):
    def loss_and_delta(self, a, targets, delta):
        crude = a.astype(np.float16).astype(a.dtype) if a.dtype == np.float32 else a
        return super().loss_and_delta(crude, targets, delta)


class KeepsState(LogCosh):
    def __init__(self, width=1.5):
        super().__init__(width)
        self.seen = []

    def loss_and_delta(self, a, targets, delta):
        self.seen.append(len(a))
        return super().loss_and_delta(a, targets, delta)


class WrongConfig(LogCosh):
    def config(self):
        return {"width": self.width + 1}


class TakesAnything(Hinge):
    def check_targets(self, y, n_out, dtype, rows=None):
        return np.clip(np.asarray(y, np.int64), 0, n_out - 1)


class WrongE4(Poisson):
    def y_hat_gradient(self, a, targets, out):
        out[...] = 1 - targets


class NoProbabilities(Poisson):
    probabilities = True


class YHatChangesOutput(Poisson):
    def y_hat(self, a, out):
        np.exp(a, out=a)
        out[...] = a


class DecidesOnce(Hinge):
    def decide(self, y_hat):
        return np.argmax(y_hat, axis=1)[:1]


class DividesByWeights(LogCosh):
    """The gradient is right for rows by themselves; a batch's rows are weighted once more."""

    def loss_and_delta(self, a, targets, delta):
        losses = super().loss_and_delta(a, targets, delta)
        return losses * (len(a) if len(a) > 1 else 1)


CORRECT = [LogCosh, Hinge, Poisson]
BUGS = [
    (MeanOverRows, "blocks"),
    (OneNumber, "returned"),
    (ScalesDelta, "gradients"),
    (ScalesDelta, "blocks"),
    (ScalesDelta, "weights"),
    (Float32Losses, "returned"),
    (MissingFactor, "gradients"),
    (MissingFactor, "network_gradients"),
    (AddsDelta, "overwrites"),
    (ChangesOutput, "inputs_unchanged"),
    (NeedsDelta, "delta_none"),
    (ReturnsItsBuffer, "returned"),
    (DropsNaN, "nan_rows"),
    (NormalisesBatch, "blocks"),
    (FailsOnEmpty, "empty_batch"),
    (HalfWidths, "odd_widths"),
    (Float64Only, "float_types"),
    (CrudeFloat32, "float32"),
    (KeepsState, "immutable"),
    (WrongConfig, "config"),
    (TakesAnything, "targets"),
    (WrongE4, "y_hat_gradient"),
    (NoProbabilities, "y_hat"),
    (YHatChangesOutput, "y_hat"),
    (DecidesOnce, "decide"),
    (DividesByWeights, "weights"),
]


@pytest.mark.parametrize("loss", CORRECT)
def test_the_losses_that_bugs_are_seeded_into_pass(loss):
    check_loss(loss)


@pytest.mark.parametrize(("loss", "check"), BUGS, ids=lambda x: getattr(x, "__name__", x))
def test_bug_is_caught(loss, check):
    with pytest.raises(Exception):  # noqa: B017, PT011  what the part raised, or an assertion
        dict(checks_for(loss))[check]()
    with pytest.raises(AssertionError, match=rf"(?m)^{check}: "):
        check_loss(loss)
