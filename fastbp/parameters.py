"""The numbers of a network: parameters, buffers, optimizer state."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from fastbp import checkpoint, checks, memory, registry
from fastbp.checks import Array
from fastbp.errors import ConfigError
from fastbp.kernels.modes import kept_mode
from fastbp.kernels.plan import Plan
from fastbp.kernels.steps import Steps, Using
from fastbp.layers import Layer
from fastbp.layout import Layout, Named, Views
from fastbp.losses import Loss
from fastbp.losses.base import KINDS

LARGEST = 2**48  # parameters: beyond any memory, and still safe to multiply by an item's size


class Parameters(Steps):
    """A structure and its numbers; the part of :class:`fastbp.Network` that computes nothing."""

    _params: Named
    _flat_by_name: Named
    _buffer_views: Named
    _rng: np.random.Generator

    def _assemble(self, layout: Layout, loss: Loss, l2: float) -> None:
        with registry.blamed(loss, "target_width"):
            loss.target_width(layout.n_out)
        checks.choice(f"{registry.label(loss)}.targets", loss.targets, tuple(KINDS))
        if 2 * l2 > float(np.finfo(layout.dtype).max):
            raise ConfigError(f"l2: got {l2}, which overflows {layout.dtype} when doubled")
        if layout.size > LARGEST:
            raise ConfigError(f"layers: got {layout.size} parameters; wanted at most {LARGEST}")
        if max(layout.widths) > LARGEST:
            raise ConfigError(f"layers: got a width of {max(layout.widths)}; wanted <= {LARGEST}")
        self._layout, self._loss, self._l2 = layout, loss, l2
        self._bind(memory.zeros(layout.size, layout.dtype), layout.buffers())
        self._rng = np.random.Generator(np.random.PCG64(0))
        self._seed = 0  # keys the layers' random numbers
        self.optimizer_state = None
        self._plan = self._new_plan(0)  # reads the parts' C tables, and refuses what does not fit

    def _bind(self, flat: Array, buffers: Views) -> None:
        """Take these arrays as parameters and buffers."""
        self._flat, self._buffers = flat, buffers
        self._views = self._layout.views(flat)
        slots = self._layout.slots
        views = {name: self._views[s.layer][s.key] for name, s in slots.items()}
        self._params = Named("params", views, flat)
        self._flat_by_name = Named("net", {"flat": flat})  # writes to it are checked alike
        self._buffer_views = Named(
            "buffers",
            {
                f"{name}.{key}": array
                for name, arrays in zip(self._layout.names, buffers, strict=True)
                for key, array in arrays.items()
            },
        )
        self._plan = None
        self._most_threads = 0  # 0: as many as the limit allows
        # a loss that looks at targets in its own way is asked each time
        own = type(self._loss).check_targets is not Loss.check_targets
        with registry.blamed(self._loss, "target_width"):
            same = self._loss.target_width(self.n_out) == self.n_out
        self._settle(self._loss.targets if same and not own else None)

    def _turn(self, threads: int | None = None) -> Using:
        """The network for one thread of Python, and how many of fastbp's its plan may use."""
        return Using(self, 0 if threads is None else checks.threads(threads))

    @contextlib.contextmanager
    def _buffers_kept(self) -> Iterator[None]:
        """Where an error ends it, the buffers are as before."""
        kept = memory.with_copies(self.buffers.values())
        try:
            yield
        except BaseException:
            for array, before in kept:
                array[...] = before
            raise

    def _new_plan(self, rows: int) -> Plan:
        labels = [*map(registry.label, self._layout.layers), registry.label(self._loss)]
        return Plan(self._layout, self._loss, rows, labels)

    @property
    def n_in(self) -> int:
        """Width of the input."""
        return self._layout.n_in

    @property
    def n_out(self) -> int:
        """Width of the output."""
        return self._layout.n_out

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, first to last."""
        return self._layout.layers

    @property
    def loss_function(self) -> Loss:
        """The loss as an object; :meth:`loss` computes it."""
        return self._loss

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._layout.dtype

    @property
    def l2(self) -> float:
        """λ of the term λ Σ ‖W_k‖²."""
        return self._l2

    @property
    def params(self) -> Named:
        """Writable views of all parameters by name."""
        return self._params

    @params.setter
    def params(self, value: Any) -> None:
        raise ConfigError(
            f"net.params: got a {type(value).__name__} in its place; wanted its arrays written: "
            'net.params["dense1.W"] = W, or net.load_state_dict(...) for all of them'
        )

    @property
    def buffers(self) -> Named:
        """Writable arrays that layers keep beside the parameters, by name."""
        return self._buffer_views

    @buffers.setter
    def buffers(self, value: Any) -> None:
        raise ConfigError(
            f"net.buffers: got a {type(value).__name__} in its place; wanted its arrays written: "
            "net.buffers[name] = array, or net.load_state_dict(...) for all of them"
        )

    @property
    def flat(self) -> Array:
        """All parameters as one vector, zero-copy; assigning to it writes into it."""
        return self._flat

    @flat.setter
    def flat(self, value: Any) -> None:
        self._flat_by_name["flat"] = value  # also where `net.flat -= ...` ends

    def __repr__(self) -> str:
        with kept_mode():  # parts may have a config or a repr of their own
            shown = [repr(self.n_in), repr(list(self.layers)), f"loss={self._loss!r}"]
        shown.append(f"dtype={self.dtype.name!r}")
        if self._l2:
            shown.append(f"l2={self._l2!r}")
        return f"Network({', '.join(shown)})"

    def reset_optimizer(self) -> None:
        """Forget the optimizer's state, so that training may go on with another optimizer."""
        self.optimizer_state = None

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by name.

        Returns
        -------
        dict of str to ndarray

        Examples
        --------
        >>> import fastbp as bp
        >>> list(bp.mlp([2, 2], rng=0).state_dict())
        ['dense1.W', 'dense1.b']
        """
        with self._lock:
            return {name: array.copy() for name, array in {**self.params, **self.buffers}.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over parameters and buffers by name; all of them, of the right shapes.

        Parameters
        ----------
        state : mapping of str to array-like
            As :meth:`state_dict` gives it.

        Raises
        ------
        UnknownNameError, ShapeError, DtypeError, NonFiniteError
            A name is missing or unknown, an array does not fit, or a number overflows the
            network's dtype. Nothing has changed then.

        Examples
        --------
        >>> import fastbp as bp
        >>> one, other = bp.mlp([2, 2], rng=0), bp.mlp([2, 2], rng=1)
        >>> other.load_state_dict(one.state_dict())
        >>> bool((other.flat == one.flat).all())
        True
        """
        with self._lock:
            checkpoint.load_state_dict(self, state)

    def copy(self) -> Self:
        """An independent network with the same bits, optimizer state and generator.

        Returns
        -------
        Network

        Examples
        --------
        >>> import fastbp as bp
        >>> net = bp.mlp([2, 2], rng=0)
        >>> twin = net.copy()
        >>> twin.flat[:] = 0
        >>> bool(net.flat.any())
        True
        """
        twin = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__())
        return twin

    __copy__ = copy  # what copy.copy makes would else share generator and optimizer state

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        """All that it is, of one moment: no thread takes a step meanwhile."""
        with self._lock:
            return {
                "_layout": self._layout,
                "_loss": self._loss,
                "_l2": self._l2,
                "_flat": memory.line_copy(self._flat),
                "_buffers": copy.deepcopy(self._buffers),
                "_rng": copy.deepcopy(self._rng),
                "_seed": self._seed,
                "optimizer_state": copy.deepcopy(self.optimizer_state),
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._bind(memory.aligned(state["_flat"]), state["_buffers"])
