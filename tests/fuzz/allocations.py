"""Refuse every request for memory in turn, and look at what a network is like afterwards.

    python tests/fuzz/allocations.py            # a minute of two processors
    python tests/fuzz/allocations.py --every 9  # one request in nine: some seconds
    python tests/fuzz/allocations.py --all      # many more networks, and the interpreter's requests

Each request is refused in a forked process of its own. Then either the call did what it does with
that memory, to the bit, or it raised MemoryError and nothing has changed: not parameters, buffers,
the optimizer's state, generators or files. Either way the network goes on, with the same bits as
one that was refused nothing. `fit` may have made some of its steps, whole ones.

Linux with glibc and a C compiler: fail_malloc.c stands before the C library's functions.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastbp as bp

HERE = Path(__file__).parent
# Whose requests are refused, and what Python's small objects come from. As it is run, most of them
# come from memory that Python already has; with its own allocator off, each is a request.
MODES = {
    "as it is": (0, "pymalloc"),
    "fastbp's and NumPy's": (1, "malloc"),
    "everybody's": (0, "malloc"),
}
SECONDS = 30  # that one process has
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


# One process per request


class Reference:
    """What a call does with all the memory it wants, found in a process of its own."""

    def __init__(self, world: World, name: str) -> None:
        def run(tell: Callable[[Any], None]) -> None:
            stops = between_steps(pickle.loads(pickle.dumps(world))) if name == "fit" else None
            result = CALLS[name][1](world)
            after = look(world)
            if stops:
                assert after == stops[-1], "steps one by one give other bits than fit's"
            tell([digest(result), after, follow(world), stops or []])

        told, end = in_child(run)
        if end or len(told) != 1:
            raise RuntimeError(f"{name}: {end or told}, with all the memory it wants")
        self.result, self.after, self.followed, self.stops = told[0]


def in_child(run: Callable[[Callable[[Any], None]], None]) -> tuple[list[Any], str]:
    """What `run` tells from a forked process, and how that ended if not well."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(readable)
            signal.alarm(SECONDS)
            run(lambda thing: os.write(writable, json.dumps(thing).encode() + b"\n") and None)
            code = 0
        except BaseException as exc:
            os.write(2, f"{type(exc).__name__}: {exc}, {place(exc)}\n".encode())
        finally:
            os._exit(code)
    os.close(writable)
    with open(readable, "rb") as file:
        told = [json.loads(line) for line in file]
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == -signal.SIGALRM:
        return told, "it hung"
    return told, "" if status == 0 else f"it ended with {status}"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def no_memory(error: BaseException) -> bool:
    """Whether an error says so, in Python's and NumPy's words at some places.

    SystemError: C code failed and did not say why.
    """
    return isinstance(error, MemoryError | SystemError) or (
        isinstance(error, RuntimeError) and str(error).startswith("can't allocate")
    )


def good(error: BaseException) -> bool:
    """MemoryError, or whatever became of what Python or NumPy raised in its place."""
    if any(isinstance(one, MemoryError) for one in chain(error)):
        return no_memory(error)
    return any(map(no_memory, chain(error)))


def place(error: BaseException) -> str:
    """Where an error began, innermost first."""
    began = next((one for one in reversed([*chain(error)]) if no_memory(one)), error)
    frames = [f for f in traceback.extract_tb(began.__traceback__) if f.filename != __file__]
    shown = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return " < ".join(reversed(shown)) or "the call itself"


def refused(world: World, name: str, number: int, whose: int, wanted: Reference) -> Any:
    """(whether there is such a request, what was wrong) with request `number` of the call."""
    library = ctypes.CDLL(None)
    library.disarm.restype = ctypes.c_long
    library.arm.argtypes = ctypes.c_long, ctypes.c_int
    run_call = CALLS[name][1]

    def run(tell: Callable[[Any], None]) -> None:
        before, result, error = look(world), None, None
        library.arm(number, whose)
        try:
            result = run_call(world)
        except BaseException as exc:
            error = exc
        asked = library.disarm()
        tell({"asked": asked > number, "place": place(error) if error else "(no error)"})
        if asked <= number:
            return
        faults = []
        if error is not None:
            state = json.loads(json.dumps(look(world)))
            before = json.loads(json.dumps(before))
            if not good(error):
                faults.append(f"raised {type(error).__name__}: {error}")
            if name == "fit":
                if state not in wanted.stops:
                    faults.append("stopped within a step")
                twin = pickle.loads(pickle.dumps(world))
                if follow(world) != follow(twin):
                    faults.append("goes on with other bits than its copy")
                tell({"faults": faults})
                return
            faults += [f"changed {what}" for what in state if state[what] != before[what]]
            if faults:
                tell({"faults": faults})
                faults = []
            result = run_call(world)
        got = json.loads(json.dumps([digest(result), look(world), follow(world)]))
        for what, one, other in zip(
            ("result", "state after it", "way on"),
            got, (wanted.result, wanted.after, wanted.followed), strict=True,
        ):  # fmt: skip
            if one != other:
                faults.append(f"gives another {what}{' when called again' if error else ''}")
        tell({"faults": faults})

    told, end = in_child(run)
    if not told:
        return True, f"{end} within the call"
    if not told[0]["asked"]:
        return False, ""
    faults = [fault for message in told[1:] for fault in message["faults"]]
    if end:
        faults.append(f"{end} when used again")
    return True, f"{'; '.join(faults)}; refused at {told[0]['place']}" if faults else ""


def warm(config: tuple[Any, ...], name: str, folder: Path) -> None:
    """Call it once elsewhere, so that what Python and NumPy make once for a process is made."""
    world = World(*config, folder)
    CALLS[name][0](world)
    CALLS[name][1](world)


def worlds(everything: bool) -> Iterator[tuple[Any, ...]]:
    """Layers, dtype, optimizer, l2, whether rows have weights."""
    if not everything:
        yield "C", "float32", "momentum", 0.0, False
        yield "Python", "float64", "Adam", 0.01, True
        return
    yield from itertools.product(
        LAYERS, ("float32", "float64"), OPTIMIZERS, (0.0, 0.01), (False, True)
    )


def look_at(mode: str, names: Iterable[str], everything: bool, every: int) -> int:
    """Refuse the requests of these calls; print what was wrong, and return how many were."""
    whose, _ = MODES[mode]
    requests = wrong = 0
    for config in worlds(everything):
        for name in names:
            before = CALLS[name][0]
            with tempfile.TemporaryDirectory() as folder:
                world = World(*config, Path(folder))
                before(world)
                with tempfile.TemporaryDirectory() as other:
                    warm(config, name, Path(other))
                kept = {path.name: path.read_bytes() for path in world.folder.iterdir()}
                wanted = Reference(world, name)
                for number in itertools.count(requests % every, every):
                    for path in world.folder.iterdir():
                        path.unlink()
                    for file, data in kept.items():
                        (world.folder / file).write_bytes(data)
                    asked, fault = refused(world, name, number, whose, wanted)
                    if not asked:
                        break
                    requests += 1
                    if fault:
                        wrong += 1
                        print(f"{name}, {' '.join(map(str, config))}, request {number}: {fault}")
    print(f"{mode}: {requests} requests refused, {wrong} faults", flush=True)
    return wrong


def compiled(folder: Path) -> Path:
    """fail_malloc.c as a library."""
    library = folder / "fail_malloc.so"
    flags = ["-std=gnu11", "-O2", "-fPIC", "-shared"]
    subprocess.run(["cc", *flags, HERE / "fail_malloc.c", "-o", library], check=True)
    return library


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="more networks, and the interpreter's")
    parser.add_argument("--every", type=int, default=1, help="one request in so many")
    parser.add_argument("--call", choices=CALLS, action="append", help="of these alone")
    parser.add_argument("--mode", choices=MODES, action="append", help="these alone")
    parser.add_argument("--inside", choices=MODES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        return min(1, look_at(given.inside, given.call or CALLS, given.all, given.every))
    modes = given.mode or (list(MODES) if given.all else list(MODES)[:2])
    command = [sys.executable, __file__, *sys.argv[1:], "--inside"]
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"LD_PRELOAD": str(compiled(Path(folder)))}
        running = [
            subprocess.Popen([*command, mode], env=env | {"PYTHONMALLOC": MODES[mode][1]})
            for mode in modes
        ]
        return max(abs(process.wait()) for process in running)


if __name__ == "__main__":
    raise SystemExit(main())
