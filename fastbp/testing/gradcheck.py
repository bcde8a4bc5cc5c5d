"""A network's gradients against differences of its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp.batch import Batch
from fastbp.checks import Array
from fastbp.errors import DtypeError, NonFiniteError, PluginCallError
from fastbp.network import Network
from fastbp.testing.differences import EPS64, STEPS, Compared, compare
from fastbp.testing.rounding import slack

STEPS32 = (6e-2, 1.5e-2)  # where the loss itself is rounded to float32 on its way


@dataclass(repr=False)
class GradcheckReport:
    """What gradcheck found; its repr is a table.

    Attributes
    ----------
    parameters : dict of str to Compared
        For each parameter, and "x" for the input: entries checked, entries left out at kinks, the
        largest error relative to the parameter's largest gradient, and where.
    dtype : dtype
        The network's.
    rows : tuple of int
        Rows that were left out, since their loss is infinite (as where a_l is -inf).
    """

    parameters: dict[str, Compared]
    dtype: np.dtype[Any]
    rows: tuple[int, ...] = ()

    @property
    def errors(self) -> dict[str, float]:
        """The largest relative error of each parameter's gradient."""
        return {name: found.error for name, found in self.parameters.items()}

    @property
    def wrong(self) -> list[str]:
        """The parameters whose gradient is wrong."""
        return [name for name, found in self.parameters.items() if found.wrong]

    def __repr__(self) -> str:
        wide = max(len(name) for name in ["parameter", *self.parameters]) + 2
        lines = [f"{'parameter':<{wide}}checked  kinks  max error  verdict"]
        for name, found in self.parameters.items():
            verdict = "ok"
            if found.not_finite:
                verdict += f", {found.not_finite} not finite and not compared"
            if found.wrong:
                verdict = f"WRONG at {found.at}: {found.got:.6g}, differences {found.want:.6g}"
            counts = f"{found.checked:>7}{found.left_out:>7}"
            lines.append(f"{name:<{wide}}{counts}{found.error:>11.1e}  {verdict}")
        if self.rows:
            lines.append(
                f"left out, their loss being infinite: rows {', '.join(map(str, self.rows))}"
            )
        return "\n".join(lines)


def gradcheck(
    network: Network, X: Any, y: Any, *, sample_weight: Any = None, entries: int | None = 256
) -> GradcheckReport:
    """Compare a network's gradients with 4th-order central differences of its mean loss.

    The differences are taken in a float64 copy of the network, so a float32 network is held to
    what float32 can give. Entries at which the loss has a kink, as where a ReLU's input is 0, have
    no derivative and are left out. So are entries that are infinite, or at which the loss is, and
    rows whose loss is infinite; the report counts them.

    Parameters
    ----------
    network : Network
        Left as it is.
    X, y, sample_weight
        As for :meth:`fastbp.Network.gradients`.
    entries : int or None
        At most so many entries of each parameter are looked at, drawn at random (always the same
        ones); None: all.

    Returns
    -------
    GradcheckReport
        A row for each parameter, and one for the input, "x".

    Raises
    ------
    AssertionError
        A gradient is wrong; the message is the table.
    ShapeError, DtypeError, LabelError, NonFiniteError, ConfigError
        An argument does not fit, or no row has a finite loss.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> from fastbp.testing import gradcheck
    >>> net = bp.mlp([2, 3, 2], activation="tanh", rng=0)
    >>> report = gradcheck(net, np.ones((4, 2)), [0, 1, 1, 0])
    >>> list(report.errors)
    ['dense1.W', 'dense1.b', 'dense2.W', 'dense2.b', 'x']
    >>> max(report.errors.values()) < 1e-4
    True
    """
    sample_weight, left_out = _finite_rows(network, X, y, sample_weight)
    g = network.gradients(X, y, sample_weight=sample_weight, input_gradient=True)
    batch = Batch.check(network._layout, network.loss_function, X, y, sample_weight)
    got = {name: np.array(g[name], np.float64) for name in network.params}
    got["x"] = np.array(g.x if batch.kept is None else g.x[batch.kept], np.float64)
    wide = _wide(network)
    steps: tuple[float, ...] = STEPS
    eps = EPS64
    if wide is None:
        wide, steps, eps = network.copy(), STEPS32, float(np.finfo(np.float32).eps)
    # X and y as the network sees them, so that rounding them is no difference
    batch.x = batch.x.astype(wide.dtype)  # a copy
    if batch.targets.dtype.kind == "f":
        batch.targets = batch.targets.astype(wide.dtype)
    allowed = _allowed(network, wide, batch, g.scale, got)

    def value() -> float:
        return wide._value(batch, batch.scale("mean")) + wide._penalty()

    # the loss's rounding error is some eps of the numbers it is made from
    size = _largest(np.array([value()])) + _largest(wide.forward(batch.x))
    rng = np.random.default_rng(0)
    found = {}
    for name, array in {**wide.params, "x": batch.x}.items():
        some = None
        if entries is not None and array.size > entries:
            some = rng.choice(array.size, entries, replace=False)
        found[name] = compare(
            value, array, got[name], magnitude=size, slack=allowed[name], entries=some,
            steps=steps, eps=eps,
        )  # fmt: skip
    report = GradcheckReport(found, network.dtype, left_out)
    if report.wrong:
        raise AssertionError(f"gradients of {', '.join(report.wrong)} are wrong\n{report!r}")
    return report


def _finite_rows(
    network: Network, X: Any, y: Any, sample_weight: Any
) -> tuple[Any, tuple[int, ...]]:
    """Weights that leave out the rows whose loss is infinite, and which these are."""
    value = network.gradients(X, y, sample_weight=sample_weight).loss
    if np.isfinite(value):
        return sample_weight, ()
    infinite = np.ones(len(X), bool)  # what a loss over the whole batch says of all rows
    if network.loss_function.rows_independent:
        losses = network.loss(X, y, sample_weight=sample_weight, reduction="none")
        infinite = ~np.isfinite(losses)
    weight = np.ones(len(X)) if sample_weight is None else np.array(sample_weight, np.float64)
    weight[infinite] = 0
    if not weight.any():
        raise NonFiniteError(f"loss: got {value}; wanted a row whose loss is finite")
    return weight, tuple(int(n) for n in np.flatnonzero(infinite))


def _largest(array: Array) -> float:
    """max|array| of what is finite: an infinite tolerance would let every gradient pass."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0))


def lacks_type(exc: BaseException) -> bool:
    """Whether a part said that it does not compute in a float type, itself or through the host."""
    return isinstance(exc, DtypeError) or isinstance(exc.__cause__, DtypeError)


def _wide(network: Network) -> Network | None:
    """The network in float64; None where a part does not compute in it."""
    if network.dtype == np.float64:
        return network.copy()
    try:
        wide = Network(
            network.n_in, network.layers, network.loss_function, "float64", 0, network.l2
        )
    except (DtypeError, PluginCallError) as exc:
        if lacks_type(exc):
            return None
        raise
    wide.load_state_dict(network.state_dict())
    return wide


def _allowed(
    network: Network, wide: Network, batch: Batch, scale: float, got: dict[str, Array]
) -> dict[str, Array]:
    """The error that each entry of the gradients may have by rounding alone."""
    eps = float(np.finfo(network.dtype).eps)
    flat = {name: 30 * eps * _largest(array) for name, array in got.items()}
    if wide.dtype != np.float64:  # nothing finer to measure with
        return {name: np.full(got[name].shape, 10 * most) for name, most in flat.items()}
    if network.dtype == np.float64:
        return {name: np.full(got[name].shape, most) for name, most in flat.items()}
    return {name: array + flat[name] for name, array in slack(wide, batch, scale, eps).items()}
