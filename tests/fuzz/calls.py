"""The networks and calls of which allocations.py refuses requests, and what it compares."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastbp as bp

FEW, MANY = 5, 12  # rows


class Centre(bp.layers.Layer):
    """gamma (x - mean), with the mean over past batches: Python, a parameter, a buffer, saved."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def build(self, n_in: int, dtype: np.dtype[Any]) -> bp.layers.LayerSpec:
        return bp.layers.LayerSpec(
            n_in, {"gamma": (n_in,)}, {"mean": (n_in,)}, {"centred": (n_in,)}
        )

    def init(self, params: Any, rng: np.random.Generator, gain: float = 1.0) -> None:
        params["gamma"][:] = 1 + rng.random(len(params["gamma"]))

    def forward(self, params: Any, x: Any, y: Any, ctx: Any) -> None:
        if ctx.training:
            ctx.buffers["mean"] *= 0.5
            ctx.buffers["mean"] += 0.5 * x.mean(axis=0)
        np.subtract(x, ctx.buffers["mean"], out=ctx.saved["centred"])
        np.multiply(ctx.saved["centred"], params["gamma"], out=y)

    def backward(self, params: Any, x: Any, y: Any, dy: Any, dx: Any, grads: Any, ctx: Any) -> None:
        grads["gamma"][:] = (dy * ctx.saved["centred"]).sum(axis=0)
        if dx is not None:
            np.multiply(dy, params["gamma"], out=dx)


class Signs(bp.optimizers.Optimizer):
    """theta -= lr sign(mean gradient): an optimizer in Python, with an array of its own."""

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr

    @property
    def slots(self) -> tuple[str, ...]:
        return ("mean",)

    def update(self, theta: Any, grad: Any, state: Any) -> None:
        state.arrays["mean"] += grad
        theta -= self.lr * np.sign(state.arrays["mean"])


OPTIMIZERS = {
    "SGD": bp.SGD(0.1),
    "momentum": bp.SGD(0.1, momentum=0.9),
    "Adam": bp.Adam(0.01),
    "Signs": Signs(),
}
LAYERS: dict[str, list[Any]] = {
    "C": [bp.Dense(40), bp.ReLU(), bp.Dense(3)],
    "Python": [bp.Dense(40), Centre(), bp.Tanh(), bp.Dense(3)],
}


class World:
    """One network and all that a call may change."""

    def __init__(
        self, layers: str, dtype: str, optimizer: str, l2: float, weights: bool, folder: Path
    ) -> None:
        self.config = {"layers": LAYERS[layers], "dtype": dtype, "l2": l2}
        self.optimizer, self.folder = OPTIMIZERS[optimizer], folder
        self.path = folder / "net.npz"
        data = np.random.default_rng(0)
        self.X = data.standard_normal((4 * MANY, 6)).astype(dtype)
        self.y = data.integers(0, 3, 4 * MANY)
        self.weights = data.integers(0, 3, 4 * MANY) + 0.5 if weights else None
        self.rng = np.random.default_rng(1)
        self.net = self.made(np.random.default_rng(2))
        self.g: Any = None

    def made(self, rng: np.random.Generator) -> bp.Network:
        return bp.Network(6, rng=rng, **self.config)  # type: ignore[arg-type]

    def batch(self, rows: int) -> tuple[Any, Any, dict[str, Any]]:
        weight = None if self.weights is None else self.weights[:rows]
        return self.X[:rows], self.y[:rows], {"sample_weight": weight}

    def step(self, rows: int) -> float:
        X, y, weight = self.batch(rows)
        return self.net.step(X, y, self.optimizer, **weight)

    def theta(self) -> Any:
        return self.net.flat * 2


# What is called: first, unobserved, what comes before; then the call, whose result is compared.

CALLS: dict[str, tuple[Callable[[World], Any], Callable[[World], Any]]] = {}


def call(
    name: str, before: Callable[[World], Any] = lambda world: None
) -> Callable[[Callable[[World], Any]], Callable[[World], Any]]:
    """Register a function of a world under this name."""

    def register(function: Callable[[World], Any]) -> Callable[[World], Any]:
        CALLS[name] = before, function
        return function

    return register


@call("make")
def make(world: World) -> Any:
    world.net = world.made(world.rng)
    return world.net


call("first step")(lambda world: world.step(FEW))
call("next step", lambda world: world.step(FEW))(lambda world: world.step(FEW))
call("larger step", lambda world: world.step(FEW))(lambda world: world.step(MANY))
call("smaller step", lambda world: world.step(MANY))(lambda world: world.step(FEW))


@call("larger step, of lists", lambda world: world.step(FEW))
def step_lists(world: World) -> Any:
    X, y = world.X[:MANY].tolist(), world.y[:MANY].tolist()
    weight = (np.arange(MANY) % 3).tolist()  # some rows are left out
    return world.net.step(X, y, world.optimizer, sample_weight=weight, threads=1)


@call("fit")
def fit(world: World) -> Any:
    history = world.net.fit(
        world.X, world.y, optimizer=world.optimizer, epochs=2, batch_size=MANY,
        validation_data=(world.X[:FEW], world.y[:FEW]), progress=False,
    )  # fmt: skip
    return [history.loss, history.val_loss, history.val_accuracy]


def some_gradients(world: World) -> bp.Gradients:
    weight = np.arange(MANY) % 3
    return world.net.gradients(
        world.X[:MANY], world.y[:MANY], sample_weight=weight, input_gradient=True, training=True
    )


@call("gradients", lambda world: world.step(FEW))
def gradients(world: World) -> Any:
    return some_gradients(world).loss


def keep_gradients(world: World) -> None:
    world.g = some_gradients(world)


@call("their quantities", keep_gradients)
def quantities(world: World) -> Any:
    g = world.g
    pairs = [*g.a.values(), *g.h.values(), *g.W.values(), *g.b.values()]
    pairs += [*g.values.a.values(), *g.values.h.values(), g.values.x, g.values.y_hat]
    pairs += [array for factors in g.factors.values() for array in factors]
    return [g.loss, g.y_hat, g.x, g.flat, repr(g), *pairs]


@call("vjp", lambda world: world.step(FEW))
def vjp(world: World) -> Any:
    g = world.net.vjp(world.X[:MANY], np.ones((MANY, 3)))
    return [g.x, g.flat, *g.a.values(), *g.h.values()]


@call("loss_and_grad", lambda world: world.step(FEW))
def loss_and_grad(world: World) -> Any:
    X, y, weight = world.batch(MANY)
    return world.net.loss_and_grad(X, y, **weight)


@call("loss_and_grad first, elsewhere")
def loss_and_grad_first(world: World) -> Any:
    X, y, weight = world.batch(FEW)
    return world.net.loss_and_grad(X, y, world.theta(), **weight)


@call("loss_and_grad elsewhere", lambda world: world.step(FEW))
def loss_and_grad_elsewhere(world: World) -> Any:
    X, y, weight = world.batch(FEW)
    return world.net.loss_and_grad(X, y, world.theta(), **weight)


@call("inference", lambda world: world.step(FEW))
def inference(world: World) -> Any:
    net, (X, y, weight) = world.net, world.batch(MANY)
    losses = net.loss(X, y, reduction="none", **weight)
    return [net.forward(X), net.predict_proba(X), net.predict(X), net.loss(X, y), losses]


@call("save", lambda world: (world.net.save(world.path), world.step(FEW)))
def save(world: World) -> Any:
    return world.net.save(world.path)


@call("load", lambda world: (world.step(FEW), world.net.save(world.path)))
def load(world: World) -> Any:
    return bp.load(world.path, parts={"centre": Centre})


call("copy", lambda world: world.step(FEW))(lambda world: world.net.copy())


@call("pickle", lambda world: world.step(FEW))
def pickled(world: World) -> Any:
    return pickle.loads(pickle.dumps(world.net))


@call("state_dict", lambda world: world.step(FEW))
def state_dict(world: World) -> Any:
    state = {name: array * 2 for name, array in world.net.state_dict().items()}
    world.net.load_state_dict(state)
    return list(state.values())


# What is compared


def digest(thing: Any) -> Any:
    """Something equal for equal bits alone."""
    if isinstance(thing, bp.Network):
        return digest_network(thing)
    if isinstance(thing, list | tuple):
        return [digest(part) for part in thing]
    if isinstance(thing, np.ndarray):
        return str(thing.dtype), thing.shape, hashlib.sha256(thing.tobytes()).hexdigest()
    return repr(thing)


def digest_network(net: bp.Network) -> dict[str, Any]:
    state = net.optimizer_state
    return {
        "parameters": digest(net.flat),
        "buffers": digest(list(net.buffers.values())),
        "optimizer's state": None if state is None
        else (state.name, repr(state.constants), state.steps, digest(list(state.arrays.values()))),
        "its generator": repr(net._rng.bit_generator.state),
    }  # fmt: skip


def look(world: World) -> dict[str, Any]:
    """All that a call may change."""
    files = {path.name: path.read_bytes() for path in world.folder.iterdir()}
    return digest_network(world.net) | {
        "the caller's generator": repr(world.rng.bit_generator.state),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }


def follow(world: World) -> Any:
    """Go on with the network: everything that its memory serves, at sizes old and new."""
    net, (X, y, weight) = world.net, world.batch(MANY)
    results = [world.step(FEW), world.step(FEW), net.loss_and_grad(X[:FEW], y[:FEW], world.theta())]
    results += [world.step(FEW), net.predict_proba(X), world.step(MANY), world.step(FEW)]
    results += [net.loss_and_grad(X, y), net.loss(X, y, **weight), net.gradients(X, y).flat]
    net.fit(world.X, world.y, optimizer=world.optimizer, epochs=2, batch_size=FEW, progress=False)
    return digest([*results, net])


def between_steps(world: World) -> list[dict[str, Any]]:
    """Where fit may have stopped: what its steps, taken one by one, lead through."""
    states, net = [look(world)], world.net
    for _ in range(2):
        order = net._rng.permutation(len(world.X))
        states.append(look(world))
        for rows in order.reshape(-1, MANY):
            net.step(world.X[rows], world.y[rows], world.optimizer)
            states.append(look(world))
    return states
