"""The network: dense layers, one loss, their parameters in one flat vector."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import checkpoint, checks, registry
from fastbp.batch import Batch, generator
from fastbp.checks import Array
from fastbp.errors import (
    ConfigError,
    DtypeError,
    FastbpError,
    PluginCallError,
    PluginError,
    ShapeError,
)
from fastbp.explain import Explanation, destination, explanation
from fastbp.gradients import Gradients
from fastbp.inference import Inference
from fastbp.kernels.modes import kept_mode
from fastbp.kernels.plan import Plan
from fastbp.layers import Dense, Layer
from fastbp.layout import Layout
from fastbp.losses import Loss
from fastbp.optimizers import Adam, Optimizer
from fastbp.training import loop

if TYPE_CHECKING:
    from fastbp.training import Callback, History


class Network(Inference):
    """A network of dense layers with one loss.

    Parameters
    ----------
    n_in : int
        Width of the input.
    layers : list of Layer or str
        At least one; a name stands for a layer without arguments, ``"relu"`` for ``ReLU()``.
    loss : Loss or str
        ``"softmax_cross_entropy"``, ``"sigmoid_cross_entropy"``, ``"squared_error"``, or an object.
    dtype : {"float32", "float64"}
        Of the parameters and of everything computed from them; losses are Python floats.
    rng : None, int, SeedSequence or Generator
        For the initial weights; it also seeds the network's own generator, which shuffles in
        ``fit`` and is saved with the network. None takes fresh entropy.
    l2 : float
        λ >= 0: adds λ Σ_k ‖W_k‖² (weights, not biases) to the loss, and 2 λ W_k to its gradient.

    Attributes
    ----------
    params : mapping of str to ndarray
        Writable views, ``"dense1.W"``, ``"dense1.b"``, ...; write into them at any time.
    flat : ndarray, (number of parameters,)
        All parameters as one vector, in that order; the views of ``params`` are views of it.
    optimizer_state : OptimizerState or None
        None before the first step; see :meth:`reset_optimizer`.
    history : History or None
        The last fit's, also of one that Ctrl-C or an error has stopped; None before the first.
        It is neither copied, nor pickled, nor saved.

    Raises
    ------
    ConfigError, ShapeError, DtypeError, UnknownNameError
        An argument makes no sense, or the loss does not fit the number of outputs.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> net = bp.Network(2, [bp.Dense(8), bp.Tanh(), bp.Dense(2)], rng=0)
    >>> X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> history = net.fit(X, y, optimizer=bp.Adam(0.05), epochs=200, batch_size=4)
    >>> net.predict(X)
    array([0, 1, 1, 0])
    """

    history: History | None = None

    def __init__(
        self,
        n_in: int,
        layers: Sequence[Layer | str],
        loss: Loss | str = "softmax_cross_entropy",
        dtype: Any = "float32",
        rng: Any = None,
        l2: float = 0.0,
    ) -> None:
        layout = Layout(n_in, layers, checks.float_dtype("dtype", dtype))
        self._assemble(layout, registry.resolve("loss", loss, Loss), checks.number("l2", l2))
        given = generator("rng", rng)
        source = copy.deepcopy(given)  # drawn from in earnest once nothing can fail any more
        following = [*layout.layers[1:], None]
        for layer, after, params in zip(layout.layers, following, self._views, strict=True):
            gain = 1.0 if after is None else layout.gain(after)
            with registry.blamed(layer, "init"):
                layer.init(params, source, gain)
        # a generator of its own: the caller's stays the caller's, and this one can be saved
        self._rng = np.random.Generator(np.random.PCG64(source.integers(2**63, size=2)))
        self._seed = int(source.integers(2**63))
        given.bit_generator.state = source.bit_generator.state

    # Gradients

    def gradients(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        reduction: str = "mean",
        input_gradient: bool = False,
        training: bool = False,
        threads: int | None = None,
    ) -> Gradients:
        """The gradient of the loss with respect to every quantity of the lecture.

        Parameters
        ----------
        X : array-like, (batch, n_in)
            Finite. Copied, unless conversion already did.
        y, sample_weight
            As for :meth:`loss`.
        reduction : {"mean", "sum"}
            Of the loss whose gradient it is.
        input_gradient : bool
            Also form the gradient w.r.t. the input, ``g.x``.
        training : bool
            Run the layers in training mode.
        threads : int, optional
            At most so many, within the limit in force (:class:`fastbp.thread_limit`); no bit of
            the result depends on it.

        Returns
        -------
        Gradients
            Scaled as the reduction says; see there.

        Raises
        ------
        ShapeError, DtypeError, LabelError, NonFiniteError, ConfigError
            An argument does not fit, or a row of h_L holds NaN, +inf or only -inf.

        Examples
        --------
        >>> import numpy as np, fastbp as bp
        >>> g = bp.mlp([3, 4, 2], rng=0).gradients(np.ones((5, 3)), [0, 1, 0, 1, 1])
        >>> g.W[1].shape, g.b[2].shape, g.h[1].shape
        ((4, 3), (2,), (5, 4))
        """
        checks.choice("reduction", reduction, ("mean", "sum"))
        batch = self._check(X, y, sample_weight, copy=True)
        scale = batch.scale(reduction)
        with self._turn(threads), self._buffers_kept():  # not while another thread takes a step
            return self._gradients(
                batch, scale, l2=True, rows=batch.kept, input_gradient=input_gradient,
                training=checks.boolean("training", training),
            )  # fmt: skip

    def explain(
        self,
        X: Any,
        y: Any,
        row: int = 0,
        weight: str | Sequence[Any] | None = None,
        *,
        sample_weight: Any = None,
    ) -> Explanation:
        """The lecture's chain from the loss of one example to one weight, with this net's numbers.

        A row vector times Jacobian matrices, from left to right: ∂ℒ/∂ŷ · ∂ŷ/∂a_L · ∂a_L/∂h_{L-1} ·
        ∂h_{L-1}/∂a_{L-1} · ... · ∂a_k/∂W_kij. Printed, it shows each factor in letters and in
        numbers, and the product after it; at the end stands the gradient that training uses.

        Parameters
        ----------
        X : array-like, (batch, n_in)
            Only the row that is walked has to be finite.
        y : array-like
            As for :meth:`loss`; only that row is looked at.
        row : int
            Which example, from 0.
        weight : (name, i, j), (name, i), name or text, optional
            One entry of a parameter, with indices from 0: ``("dense1.W", 1, 2)`` is the weight
            from input 2 to unit 1 of the first layer, ``("dense1.b", 3)`` a bias; the text
            ``"dense1.W:1,2"``, or ``"dense1.W[1, 2]"`` as a walk prints it, too. A name alone is
            the entry with the largest gradient (in size); by default that of the first layer's W.
        sample_weight : array-like, (batch,), optional
            Only looked at to refuse an example of weight 0, which moves no weight.

        Returns
        -------
        Explanation
            Of the example's own loss ℓ_n, unscaled and without l2, in evaluation mode; walked in
            float64, with the parameters as they stand and X as this network rounds it.

        Raises
        ------
        UnknownNameError
            There is no such row, parameter or entry.
        ConfigError
            The example's weight is 0, or its loss is one for the whole batch.
        NonFiniteError
            The row, the parameters, or a quantity on the way holds NaN or infinity.
        DtypeError
            A layer or loss has no float64 functions.
        ShapeError, LabelError
            X or y does not fit.

        References
        ----------
        The road map of the lecture: "talk to the output layer, talk to the previous hidden layer,
        ..., and now talk to the weights"; equations E3 to E9.

        Examples
        --------
        >>> import fastbp as bp
        >>> X, y = bp.data.digits()
        >>> net = bp.mlp([64, 16, 10], rng=0)
        >>> walk = net.explain(X, y, row=3, weight=("dense2.W", 0, 5))
        >>> [factor.name for factor in walk.factors]
        ['∂ℒ/∂ŷ', '∂ŷ/∂a₂', '∂a₂/∂W₂[0,5]']
        """
        number, batch = destination.example(self._layout, self._loss, X, y, row, sample_weight)
        rows = np.array([number])
        with self._turn():
            for name, array in self.params.items():
                destination.finite(name, array)
            twin = self._in_float64()
            own = self._gradients(batch, 1.0, l2=False, rows=rows)
        batch = batch.astype(twin.dtype)
        exact = twin._gradients(batch, 1.0, l2=False, rows=rows)
        key = (twin._seed, twin.optimizer_state.steps if twin.optimizer_state is not None else 0)
        return explanation.explain(
            repr(self), self._l2, twin._layout, self._loss, twin._views, twin._buffers, key, batch,
            number, weight, exact, own,
        )  # fmt: skip

    def vjp(self, X: Any, delta: Any, *, threads: int | None = None) -> Gradients:
        """The backward pass for an upstream gradient of one's own (E6 to E9).

        Parameters
        ----------
        X : array-like, (batch, n_in)
            Finite.
        delta : array-like, (batch, n_out)
            ∂ℒ/∂h_L, taken as it is; finite.
        threads : int, optional
            At most so many, within the limit in force (:class:`fastbp.thread_limit`); no bit of
            the result depends on it.

        Returns
        -------
        Gradients
            With scale 1, the gradient w.r.t. the input, no loss, no y_hat and no l2 term.

        Raises
        ------
        ShapeError, DtypeError, NonFiniteError
            An argument does not fit.

        Examples
        --------
        >>> import numpy as np, fastbp as bp
        >>> net = bp.mlp([3, 2], rng=0)
        >>> bp.mlp([3, 2], rng=0).vjp(np.ones((1, 3)), [[1.0, 0.0]]).b[1]
        array([1., 0.], dtype=float32)
        """
        x = checks.matrix("X", X, self.n_in, self.dtype, copy=True)
        upstream = checks.matrix("delta", delta, self.n_out, self.dtype)
        if len(upstream) != len(x):
            wanted = (len(x), self.n_out)
            raise ShapeError(f"delta: got shape {upstream.shape}; wanted {wanted}")
        checks.not_empty("X", x)
        checks.finite("X", x)
        checks.finite("delta", upstream)
        with self._turn(threads):
            plan, dx = self._fresh_plan(len(x), True)
            plan.forward(x, exact=True)
            plan.upstream()[...] = upstream
            plan.backward(x, dx, factors_only=True)
        return Gradients(
            self._layout, self._loss, plan, x=x, targets=None, row_scale=1.0, scale=1.0,
            value=None, input_gradient=dx, decay={}, kept=None, batch=len(x),
        )  # fmt: skip

    def loss_and_grad(
        self,
        X: Any,
        y: Any,
        theta: Any = None,
        *,
        sample_weight: Any = None,
        threads: int | None = None,
    ) -> tuple[float, Array]:
        """The mean loss and its gradient as a flat array, for scipy.optimize.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`gradients`.
        theta : array-like, (number of parameters,), optional
            Where to evaluate; the network's own parameters otherwise. They are not changed.
        threads : int, optional
            At most so many, within the limit in force (:class:`fastbp.thread_limit`); no bit of
            the result depends on it.

        Returns
        -------
        loss : float
            Mean, with the l2 term.
        grad : ndarray, (number of parameters,)
            Of the network's dtype, in the layout of ``flat``.

        Raises
        ------
        ShapeError, DtypeError, LabelError, NonFiniteError, ConfigError
            As :meth:`gradients`; theta does not fit.

        Examples
        --------
        >>> import numpy as np, scipy.optimize, fastbp as bp
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 1, 0, 1]
        >>> net = bp.mlp([1, 2], dtype="float64", l2=0.01, rng=0)
        >>> fun = lambda theta: net.loss_and_grad(X, y, theta)
        >>> result = scipy.optimize.minimize(fun, net.flat, jac=True, method="L-BFGS-B")
        >>> bool(result.success)
        True
        """
        flat, views = self._flat, self._views
        if theta is not None:
            flat = checks.as_real("theta", theta)
            if flat.shape != self._flat.shape:
                wanted = self._flat.shape
                raise ShapeError(f"theta: got shape {flat.shape}; wanted {wanted}")
            flat = checks.cast("theta", flat, self.dtype)
            checks.finite("theta", flat)
            views = self._layout.views(flat)
        batch = self._check(X, y, sample_weight)
        scale = batch.scale("mean")
        batch.row_scale(scale, self.dtype)
        with self._turn(threads):
            plan = self._plan_for(len(batch.x))
            self._bind_plan(plan, flat, views)
            value = plan.gradients(
                batch.x, batch.targets, batch.weight, scale, rows=batch.kept
            ) + plan.add_l2(self._l2)
            return value, plan.flat.copy()

    # Training

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        optimizer: Optimizer | None = None,
        epochs: int = 20,
        batch_size: int = 64,
        sample_weight: Any = None,
        validation_data: tuple[Any, ...] | None = None,
        shuffle: bool = True,
        rng: Any = None,
        callbacks: Sequence[Callback] = (),
        progress: bool | str = "auto",
        threads: int | None = None,
    ) -> History:
        """Train on minibatches, going on from the present weights and optimizer state.

        Rows of weight 0 are dropped first. Each minibatch's loss is scaled by
        N / (rows in it · Σ w), over the N rows that are left, so that its gradient is the mean
        loss's in expectation, at batch size 1 too.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`gradients`.
        optimizer : Optimizer
            ``bp.Adam(1e-3)`` when not given.
        epochs : int
            Passes over the data, >= 1.
        batch_size : int
            Rows per step, >= 1; the last batch of an epoch may be smaller.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Evaluated after every epoch.
        shuffle : bool
            Draw a new order for every epoch.
        rng : None, int, SeedSequence or Generator
            For shuffling; None goes on with the network's own generator.
        callbacks : sequence of callable
            ``callback(net, history)`` after every epoch, all of them; training stops when one
            returns True (a bool, also NumPy's; nothing else that only counts as true).
        progress : {"auto", True, False}
            A progress bar on stderr: tqdm's when that is installed, else a line of text. "auto"
            shows it when stderr is a terminal, and in a Jupyter notebook.
        threads : int, optional
            At most so many, within the limit in force (:class:`fastbp.thread_limit`); no bit of
            the result depends on it.

        Returns
        -------
        History

        Raises
        ------
        ShapeError, DtypeError, LabelError, NonFiniteError, ConfigError, OptimizerError
            As :meth:`step`; bad arguments raise before anything has changed. A loss that becomes
            NaN or infinite stops before that update, naming epoch and step.
        KeyboardInterrupt
            Ctrl-C stops between two steps; the epochs that were finished are in ``net.history``.

        Notes
        -----
        Denormal numbers count as 0 in its steps, as in those of :meth:`step`.

        Examples
        --------
        >>> import fastbp as bp
        >>> X, y = bp.data.digits()
        >>> net = bp.mlp([64, 32, 10], rng=0)
        >>> history = net.fit(X, y, epochs=5)
        >>> history.loss[-1] < history.loss[0]
        True
        """
        return loop.fit(
            self, X, y, optimizer=optimizer if optimizer is not None else Adam(), epochs=epochs,
            batch_size=batch_size, sample_weight=sample_weight, validation_data=validation_data,
            shuffle=shuffle, rng=rng, callbacks=callbacks, progress=progress,
            threads=threads,
        )  # fmt: skip

    # Keeping

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network, its optimizer state and its generator to exactly this path (.npz).

        The file holds arrays and JSON, no pickle. It is written beside and then renamed, so the
        old file stays whole until the new one is; what a killed save left there, the next one to
        the same path removes. An old file's permissions stay, and its owner where that may be; one
        that is read-only, or that the user may not write to, is not replaced.

        Parameters
        ----------
        path : str or path-like
            Nothing is appended to it.

        Raises
        ------
        ConfigError
            A layer or loss is of a class that a file cannot name, or there are more than 10,000
            layers. Nothing was written.
        CheckpointError
            The file could not be written. The old file is as before.

        Examples
        --------
        >>> import tempfile, pathlib, fastbp as bp
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     bp.mlp([2, 3, 2], rng=0).save(pathlib.Path(folder, "net.npz"))
        """
        with self._lock:
            checkpoint.save(self, path)

    # Inside

    def _gradients(
        self,
        batch: Batch,
        scale: float,
        *,
        l2: bool,
        rows: Array | None,
        input_gradient: bool = False,
        training: bool = False,
    ) -> Gradients:
        """Those of a checked batch that belongs to them from now on; messages number its rows."""
        row_scale = batch.row_scale(scale, self.dtype)
        plan, dx = self._fresh_plan(len(batch.x), input_gradient)
        value = plan.gradients(
            batch.x, batch.targets, batch.weight, scale, input_gradient=dx, factors_only=True,
            training=training, rows=rows,
        )  # fmt: skip
        return Gradients(
            self._layout, self._loss, plan, x=batch.x, targets=batch.targets,
            row_scale=row_scale, scale=scale, value=value + (self._penalty() if l2 else 0.0),
            input_gradient=dx, decay=self._decay() if l2 else {}, kept=batch.kept,
            batch=batch.size,
        )  # fmt: skip

    def _in_float64(self) -> Network:
        """A network of the same numbers, without their rounding in float32."""
        twin = Network.__new__(Network)
        try:
            layout = Layout(self.n_in, self.layers, np.dtype(np.float64))
            twin._assemble(layout, self._loss, self._l2)
        except DtypeError as exc:
            raise DtypeError(f"explain: walks in float64, which a part refuses ({exc})") from exc
        twin.flat = self._flat
        for name, array in self.buffers.items():
            twin.buffers[name] = array
        twin._seed = self._seed
        twin.optimizer_state = copy.copy(self.optimizer_state)  # for its count of steps
        return twin

    def _fresh_plan(self, rows: int, input_gradient: bool) -> tuple[Plan, Array | None]:
        """A plan whose arrays a Gradients will own."""
        plan = self._new_plan(rows)
        self._bind_plan(plan, self._flat, self._views)
        wanted = checks.boolean("input_gradient", input_gradient)
        return plan, np.empty((rows, self.n_in), self.dtype) if wanted else None

    def _decay(self) -> dict[str, Array]:
        """2 λ W_k by name, of the weights as they are now."""
        if not self._l2:
            return {}
        names = [f"{self._layout.names[position]}.W" for position in self._layout.affine]
        with np.errstate(all="ignore"):  # infinite where it overflows, as in loss_and_grad
            return {name: self.params[name] * self.dtype.type(2 * self._l2) for name in names}

    def _step_carefully(
        self,
        X: Any,
        y: Any,
        optimizer: Optimizer,
        sample_weight: Any,
        threads: int | None = None,
    ) -> float:
        """A step whose arguments are not what the plan can take as they are."""
        loop.check_optimizer(optimizer)
        batch = self._check(X, y, sample_weight)
        return self._update(batch, batch.scale("mean"), optimizer, threads)

    def _update(
        self, batch: Batch, scale: float, optimizer: Optimizer, threads: int | None = None
    ) -> float:
        with self._turn(threads), kept_mode():  # an optimizer may be anybody's
            return self._make_step(batch, scale, optimizer)


def load(path: str | os.PathLike[str], *, parts: Mapping[str, type[Any]] | None = None) -> Network:
    """The network that :meth:`Network.save` wrote, with its optimizer state and generator.

    Parameters
    ----------
    path : str or path-like
        Nothing in the file is executed. Plugins whose parts it names are imported, by the names
        that their packages registered. What it claims is compared with what it holds before
        memory is asked for, at most twice that of its arrays and 50 MB.
    parts : mapping of str to class, optional
        Layers and losses of one's own, which no package registers: a file names them after their
        class, MyLoss as "my_loss". ``"distribution:name"`` stands in for a plugin's part.

    Returns
    -------
    Network
        With the same bits; training goes on as if it had not been interrupted.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    CheckpointError
        The file is damaged, no fastbp network, no regular file, or cannot be read.
    UnknownNameError
        A layer or loss in it is not known here; the message says what to install or to hand over.
    PluginError, PluginCallError
        A layer or loss could not be loaded, not made with the arguments in the file, or failed
        while the network was built.
    ConfigError
        `parts` holds something that is no class of layers or losses.

    Examples
    --------
    >>> import tempfile, pathlib, fastbp as bp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.npz")
    ...     bp.mlp([2, 3, 2], rng=0).save(path)
    ...     bp.load(path)
    Network(2, [Dense(3), ReLU(), Dense(2)], loss=SoftmaxCrossEntropy(), dtype='float32')

    With a class of one's own:

    >>> class MyLoss(bp.SquaredError):
    ...     pass
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.npz")
    ...     bp.mlp([2, 1], loss=MyLoss()).save(path)
    ...     bp.load(path, parts={"my_loss": MyLoss}).loss_function
    MyLoss()
    """
    stored = checkpoint.read(path, parts)
    network = Network.__new__(Network)
    try:
        network._assemble(stored["layout"], stored["loss"], stored["l2"])
    except (PluginError, PluginCallError):  # a part, not the file, is at fault
        raise
    except FastbpError as exc:
        raise checkpoint.damaged(path, exc) from exc
    network.flat = stored["flat"]
    for name, array in stored["buffers"].items():
        network.buffers[name] = array
    network.optimizer_state, network._rng = stored["optimizer_state"], stored["rng"]
    network._seed = stored["seed"]
    return network


def mlp(
    sizes: Sequence[int],
    activation: Layer | str = "relu",
    loss: Loss | str = "softmax_cross_entropy",
    dtype: Any = "float32",
    rng: Any = None,
    l2: float = 0.0,
) -> Network:
    """A network of dense layers with one activation between each two.

    Parameters
    ----------
    sizes : sequence of int
        n_0, n_1, ..., n_L: input, hidden and output widths; two or more.
    activation : Layer or str
        After every Dense but the last.
    loss, dtype, rng, l2
        As for :class:`Network`.

    Returns
    -------
    Network

    Raises
    ------
    ConfigError, ShapeError, DtypeError, UnknownNameError
        An argument makes no sense.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.mlp([784, 256, 10], rng=0)
    Network(784, [Dense(256), ReLU(), Dense(10)], loss=SoftmaxCrossEntropy(), dtype='float32')
    """
    if isinstance(sizes, str) or not isinstance(sizes, Sequence | np.ndarray) or len(sizes) < 2:
        raise ConfigError(f"sizes: got {sizes!r}; wanted two widths or more, [n_in, ..., n_out]")
    between = registry.resolve("layer", activation, Layer)
    layers: list[Layer] = []
    for n in sizes[1:]:
        layers += [Dense(n), between]
    return Network(sizes[0], layers[:-1], loss=loss, dtype=dtype, rng=rng, l2=l2)
