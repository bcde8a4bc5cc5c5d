"""Gradients in the lecture's words: the factors of one pass, and all that derives from them."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np

from fastbp import registry
from fastbp.checks import Array
from fastbp.errors import ConfigError, UnknownNameError
from fastbp.indexed import Indexed
from fastbp.kernels import bias_sum, outer_sum
from fastbp.kernels.bodies import LossBody
from fastbp.kernels.plan import Plan
from fastbp.layout import Layout
from fastbp.losses import Loss
from fastbp.values import Values


class Gradients:
    """The gradient of one loss, by the lecture's names and indices.

    Made by :meth:`fastbp.Network.gradients` and :meth:`fastbp.Network.vjp`. It owns its arrays: no
    later call and no write to the network changes it. Arrays with one row per example are
    read-only; rows of weight 0 were left out of the pass and stand in them as zeros.

    Attributes
    ----------
    scale : float
        The reduction's factor inside every gradient: 1 / Σ w_n (mean) or 1 (sum, vjp). Divided by
        it, row n of ``a[k]`` is the gradient of w_n ℓ_n, where the loss has an ℓ_n for each row.
    y_hat : ndarray, (batch, n_L)
        ∂ℒ/∂y_hat (E4): with respect to the output, not to the pre-activation.
    a : mapping of int to ndarray, (batch, n_k)
        ∂ℒ/∂a_k, k = 1..L (E5, E7).
    h : mapping of int to ndarray, (batch, n_k)
        ∂ℒ/∂h_k (E6), k = 1..L, and 0 with ``input_gradient=True``.
    x : ndarray, (batch, n_0)
        ∂ℒ/∂x (E6); needs ``input_gradient=True``.
    W : mapping of int to ndarray, (n_k, n_{k-1})
        ∂ℒ/∂W_k = Σ_n ∂ℒ/∂a_k · h_{k-1}ᵀ (E8), with 2 λ W_k when the network has l2 = λ.
    b : mapping of int to ndarray, (n_k,)
        ∂ℒ/∂b_k (E9).
    factors : mapping of int to (ndarray, ndarray)
        (δ_k, h_{k-1}), whose product δ_kᵀ h_{k-1} is E8.
    values : Values
        The forward pass: ``values.a[k]``, ``values.h[k]``, ``values.y_hat``, ``values.x``.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> net = bp.mlp([2, 3, 2], dtype="float64", rng=0)
    >>> g = net.gradients(np.array([[1.0, 2.0]]), [1])
    >>> delta, h = g.factors[2]
    >>> bool(np.allclose(g.W[2], np.outer(delta, h)))
    True
    """

    def __init__(
        self,
        layout: Layout,
        loss: Loss,
        plan: Plan,
        *,
        x: Array,
        targets: Array | None,
        row_scale: Array | float,
        scale: float,
        value: float | None,
        input_gradient: Array | None,
        decay: dict[str, Array],
        kept: Array | None,
        batch: int,
    ) -> None:
        self.scale = scale
        self._layout, self._loss, self._targets, self._value = layout, loss, targets, value
        self._row_scale, self._kept, self._batch = row_scale, kept, batch
        self._flat = plan.flat  # holds the gradients of the layers that are not affine already
        self._decay = decay  # 2 λ W_k by name at the time of the pass, when l2 is not 0
        self._y, self._dy = [x, *plan.y], [input_gradient, *plan.dy]  # by layer boundary
        self._cache: dict[str | tuple[str, int], Array] = {}
        self._views: dict[str, Array] = {}
        self._forming = threading.RLock()  # each quantity is formed once, whoever asks

        # boundary i lies before layer i: the input at 0, the network's output at the end
        L, last = len(layout.affine), len(layout.layers)
        above = {k: position + 1 for k, position in enumerate(layout.affine, 1)}
        hidden = dict(enumerate(layout.affine)) | {L: last}
        weights = {k: f"{layout.names[position]}.W" for k, position in enumerate(layout.affine, 1)}
        biases = {k: name.removesuffix("W") + "b" for k, name in weights.items()}
        biases = {k: name for k, name in biases.items() if name in layout.slots}
        self.a = Indexed("g.a", above, self._gradient_at)
        self.h = Indexed("g.h", hidden, self._gradient_at)
        self.W = Indexed("g.W", weights, self._parameter)
        self.b = Indexed("g.b", biases, self._parameter)
        factors = {k: (above[k], hidden[k - 1]) for k in above}
        self.factors = Indexed("g.factors", factors, self._factors)
        self.values = Values(
            Indexed("g.values.a", above, self._value_at),
            Indexed("g.values.h", hidden, self._value_at),
            functools.partial(self._value_at, 0),
            functools.partial(self._rows, "y_hat"),
        )

    # quantities of the whole pass

    @property
    def loss(self) -> float:
        """The reduced loss ℒ, with λ Σ ‖W_k‖² when the network has l2 = λ."""
        if self._value is None:
            raise ConfigError("g.loss: got gradients from vjp, which knows no loss")
        return self._value

    @property
    def y_hat(self) -> Array:
        """∂ℒ/∂y_hat (E4), (batch, n_L), with the reduction's scale."""
        return self._rows("dy_hat")

    @property
    def x(self) -> Array:
        """∂ℒ/∂x (E6), (batch, n_0), with the reduction's scale."""
        return self._gradient_at(0)

    @property
    def flat(self) -> Array:
        """The gradient w.r.t. all parameters, in the layout of ``net.flat``."""
        for name in self._layout.slots:
            self._parameter(name)
        return self._flat

    def __getitem__(self, name: str) -> Array:
        if not isinstance(name, str) or name not in self._layout.slots:
            known = ", ".join(self._layout.slots)
            raise UnknownNameError(f"g[...]: got {name!r}; wanted one of {known}")
        return self._parameter(name)

    def __repr__(self) -> str:
        rows: list[tuple[str, str, Array]] = []
        if self._value is not None and self._has_e4():
            rows.append(("y_hat", "E4", self.y_hat))
        L = len(self.a)
        ends_affine = L > 0 and self._layout.layers[-1].affine  # then h_L is a_L
        if not ends_affine:
            rows.append((f"h[{L}]", "E5", self.h[L]))
        for k in range(L, 0, -1):
            rows.append((f"a[{k}]", "E5" if k == L and ends_affine else "E7", self.a[k]))
            rows.append((f"W[{k}]", "E8", self.W[k]))
            if k in self.b:
                rows.append((f"b[{k}]", "E9", self.b[k]))
            if k > 1:
                rows.append((f"h[{k - 1}]", "E6", self.h[k - 1]))
        for name, slot in self._layout.slots.items():
            if not self._layout.layers[slot.layer].affine:
                rows.append((name, "E7", self[name]))
        if self._dy[0] is not None:
            rows.append(("x", "E6", self.x))
        wide = max(8, *(len(name) for name, _, _ in rows)) + 2
        lines = [f"{'quantity':<{wide}}equation  shape           norm"]
        with np.errstate(all="ignore"):
            for name, equation, array in rows:
                norm = np.sqrt(np.sum(np.square(array, dtype=np.float64)))
                lines.append(f"{name:<{wide}}{equation:<10}{array.shape!s:<16}{norm:.4g}")
        return "\n".join(lines)

    # how they are formed

    def _has_e4(self) -> bool:
        own = type(self._loss).y_hat_gradient is not Loss.y_hat_gradient
        return (own and self._loss.rows_independent) or type(self._loss).y_hat is Loss.y_hat

    def _value_at(self, boundary: int) -> Array:
        return self._rows(("value", boundary))

    def _gradient_at(self, boundary: int) -> Array:
        return self._rows(("gradient", boundary))

    def _rows(self, what: str | tuple[str, int]) -> Array:
        """One array with a row per example of the caller's batch, read-only, formed once.

        "y_hat", "dy_hat" (E4), or ("value" or "gradient", the number of a boundary).
        """
        if what not in self._cache:
            with self._forming:
                if what not in self._cache:
                    self._cache[what] = self._of_all_rows(self._form_rows(what))
        return self._cache[what]

    def _of_all_rows(self, array: Array) -> Array:
        if self._kept is not None:
            whole = np.zeros((self._batch, *array.shape[1:]), array.dtype)
            whole[self._kept] = array
            array = whole
        else:
            array = array.view()
        array.flags.writeable = False
        return array

    def _form_rows(self, what: str | tuple[str, int]) -> Array:
        if isinstance(what, str):
            return self._form_y_hat() if what == "y_hat" else self._form_dy_hat()
        family, boundary = what
        array = self._y[boundary] if family == "value" else self._dy[boundary]
        if array is None:
            raise ConfigError("g.x, g.h[0]: not formed; wanted net.gradients(input_gradient=True)")
        return array

    def _form_y_hat(self) -> Array:
        y_hat = np.empty_like(self._y[-1])
        with registry.blamed(self._loss, "y_hat"):
            self._loss_body().y_hat(self._y[-1], y_hat)
        return y_hat

    def _form_dy_hat(self) -> Array:
        """E4."""
        if self._targets is None:
            raise ConfigError("g.y_hat: got gradients from vjp, which knows no loss")
        if not self._has_e4():
            kind = type(self._loss).__name__
            raise ConfigError(f"g.y_hat: {kind} gives no gradient w.r.t. y_hat")
        if not self._loss.rows_independent:  # y_hat is a itself, and E4 is E5
            return self._form_rows(("gradient", len(self._dy) - 1))
        dy_hat = np.empty_like(self._y[-1])
        with registry.blamed(self._loss, "y_hat_gradient"):
            if type(self._loss).y_hat_gradient is not Loss.y_hat_gradient:
                self._loss.y_hat_gradient(self._y[-1], self._targets, dy_hat)
            else:  # here too
                self._loss_body().loss_and_delta(self._y[-1], self._targets, dy_hat)
        scale = np.asarray(self._row_scale, dtype=dy_hat.dtype)
        dy_hat *= scale[:, None] if scale.ndim else scale
        return dy_hat

    def _loss_body(self) -> LossBody:
        """The loss's functions, in C where it has them."""
        loss, layout = self._loss, self._layout
        return LossBody(loss, layout.n_out, layout.dtype, label=registry.label(loss))

    def _factors(self, boundaries: tuple[int, int]) -> tuple[Array, Array]:
        above, below = boundaries
        return self._gradient_at(above), self._value_at(below)

    def __getstate__(self) -> dict[str, Any]:
        with self._forming:  # views are of a copy's own flat
            state = self.__dict__ | {"_views": dict.fromkeys(self._views)}
        del state["_forming"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forming = threading.RLock()
        for name in state["_views"]:
            self._views[name] = self._view(name)

    def _view(self, name: str) -> Array:
        slot = self._layout.slots[name]
        return self._flat[slot.start : slot.stop].reshape(slot.shape)

    def _parameter(self, name: str) -> Array:
        """One parameter's gradient, formed on first use, as a view of flat."""
        if name not in self._views:
            with self._forming:
                if name not in self._views:
                    self._views[name] = self._form_parameter(name)
        return self._views[name]

    def _form_parameter(self, name: str) -> Array:
        slot = self._layout.slots[name]
        view = self._view(name)
        delta, h = self._dy[slot.layer + 1], self._y[slot.layer]
        assert delta is not None
        assert h is not None
        affine = self._layout.layers[slot.layer].affine
        if affine and slot.key == "W":
            outer_sum(delta, h, out=view)  # E8
            if name in self._decay:
                with np.errstate(all="ignore"):
                    view += self._decay[name]
        elif affine:
            bias_sum(delta, out=view)  # E9
        return view
