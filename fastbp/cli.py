"""The command line: what can be asked, and how failures are told.

Each command's work is in the module of the same name in `fastbp.commands`; it is imported only
when the command runs, so that --help is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from fastbp.commands.files import describe
from fastbp.errors import (
    ConfigError,
    DtypeError,
    FastbpError,
    LabelError,
    NonFiniteError,
    OptimizerError,
    ShapeError,
    UnknownNameError,
)

BAD_INPUT = (
    ConfigError,
    DtypeError,
    LabelError,
    NonFiniteError,
    OptimizerError,
    ShapeError,
    UnknownNameError,
)

TRAIN = """\
Train a network and test it on rows it has not seen.

Without DATA the 1797 handwritten digits that come with fastbp are used. DATA is an .npz file with
arrays X (rows, inputs) and y: whole numbers 0, 1, ... are classes, floats are values to fit. One
quarter of the rows is held out, always the same one, with its share of each class.

Ctrl-C stops the training; --out gets the network as it was then."""

PREDICT = """\
Predict the classes or values of rows with a network that `fastbp train --out` saved.

DATA is an .npz file with an array X. The predictions are written as an .npz file with y (classes
or values) and, when the network gives probabilities, y_hat."""

EXPLAIN = """\
Walk from the loss of one row to one weight of a network that `fastbp train --out` saved: each
factor of the chain rule with its numbers, the product after it, and at the end the gradient of that
row's loss.

DATA is an .npz file with arrays X and y, as `fastbp train` takes it; without it the digits that
come with fastbp are used. A weight is a name and its indices from 0, as in dense1.W:1,2 (from input
2 to unit 1) or dense1.b:3; a name alone is the entry with the largest gradient."""

PLUGINS = """\
List every layer and loss that is built in or that installed packages bring; nothing is loaded.

`fastbp plugins check` tests plugins, `fastbp plugins new` begins one."""

CHECK = """\
Run fastbp's conformance kit on every installed plugin, or on the parts of one name or distribution
(built-in ones too). Each runs in a process of its own, so that one that crashes or hangs is told
like any other failure. The exit code is 1 when one does not pass."""

NEW = """\
Write a small package with one working, tested part into a new folder NAME, for you to edit. With
--lang c it has a C body beside the Python body, and needs setuptools and a C compiler to build."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        _complain(f"{message} (see {self.prog} --help)")
        raise SystemExit(2)


def parser() -> Parser:
    """The command line's grammar and defaults."""
    top = Parser(
        prog="fastbp",
        description="Exact gradients of dense networks, and training, at the speed of the CPU.",
        epilog="Exit codes: 0, or 2 for bad usage or input, or 1 for any other failure.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="store_true", help="print fastbp's version and stop")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    train = _command(commands, "train", "train a network and test it", TRAIN)
    train.add_argument("data", nargs="?", metavar="DATA", help="an .npz file with X and y")
    train.add_argument(
        "--hidden",
        type=_widths,
        default=(256, 128),
        metavar="N,N",
        help="widths of the hidden layers, '' for none (256,128)",
    )
    train.add_argument("--activation", default="relu", help="relu, tanh or sigmoid (%(default)s)")
    train.add_argument(
        "--loss",
        help="softmax_cross_entropy, sigmoid_cross_entropy or squared_error (the first for whole "
        "numbers in y, the last for floats)",
    )
    train.add_argument(
        "--optimizer", choices=["adam", "sgd"], default="adam", help="adam or sgd (%(default)s)"
    )
    train.add_argument("--epochs", type=int, default=20, help="passes over the rows (%(default)s)")
    train.add_argument(
        "--batch-size", type=int, default=32, metavar="ROWS", help="rows per step (%(default)s)"
    )
    train.add_argument(
        "--lr", type=float, help="learning rate (0.001 with adam, 0.1 with sgd)", metavar="RATE"
    )
    train.add_argument(
        "--l2", type=float, default=0.0, help="adds L2 times the weights' squares to the loss (0)"
    )
    train.add_argument(
        "--seed",
        type=int,
        default=0,
        help="for the first weights and the shuffling; the rows held out stay (%(default)s)",
    )
    train.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        help="float32 or float64 (%(default)s)",
    )
    train.add_argument("--out", metavar="MODEL", help="save the network in this .npz file")
    _add_json(train)

    predict = _command(commands, "predict", "predict with a saved network", PREDICT)
    predict.add_argument("model", metavar="MODEL", help="a file that `fastbp train --out` wrote")
    predict.add_argument("data", metavar="DATA", help="an .npz file with X")
    predict.add_argument("--out", required=True, metavar="FILE", help="where to write, exactly")

    _add_explain(commands)
    info = _command(commands, "info", "print versions and what the machine offers")
    _add_json(info)
    _add_plugins(commands)
    return top


@contextlib.contextmanager
def _open_streams() -> Iterator[None]:
    """Streams for a process that began with them closed (`>&-`): there sys.stdout is None."""
    with contextlib.ExitStack() as stack:
        for name, redirect in (
            ("stdout", contextlib.redirect_stdout),
            ("stderr", contextlib.redirect_stderr),
        ):
            if getattr(sys, name) is None:
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(redirect(nowhere))
        yield


@_open_streams()
def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for bad usage or input, 1 otherwise.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; those of the process when left out.

    Examples
    --------
    >>> from fastbp.cli import main
    >>> main(["train", "--epochs", "1", "--hidden", "16"])  # doctest: +ELLIPSIS
    digits: 1347 rows to train on, 450 held out; 64-16-10 relu, 1210 parameters
    epoch 1/1  loss ...  held-out accuracy ...
    held-out accuracy ..., ... examples per second, ... s wall time
    0
    """
    top = parser()
    try:
        options = top.parse_args(argv)
        if options.version:
            print(f"fastbp {importlib.import_module('fastbp').__version__}")
        elif options.command is None:
            top.error("wanted a command: train, predict, explain, plugins or info")
        else:
            importlib.import_module(f"fastbp.commands.{options.command}").run(options)
        sys.stdout.flush()
        return 0
    except SystemExit as stop:  # argparse or the command has said what there is to say
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt as stop:
        _complain(str(stop) or "interrupted")
    except BAD_INPUT as error:
        _complain(str(error))
        return 2
    except BrokenPipeError:
        _drop_output()  # the reader has left, as `head` does, and wants to hear no complaint
    except OSError as error:
        _complain(describe(error))
        _drop_output()
    except FastbpError as error:
        _complain(str(error))
    except Exception as error:
        _complain(f"{type(error).__name__}: {error}")
    return 1


def _complain(message: str) -> None:
    print("fastbp: error:", " ".join(message.split()), file=sys.stderr)


def _drop_output() -> None:
    """Let the interpreter's last flush go nowhere: what is still buffered cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _command(
    commands: argparse._SubParsersAction[Parser], name: str, summary: str, text: str = ""
) -> Parser:
    return commands.add_parser(
        name,
        help=summary,
        description=text or summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_json(command: argparse._ActionsContainer, default: object = False) -> None:
    command.add_argument(
        "--json", action="store_true", default=default, help="print one JSON object instead"
    )


def _add_explain(commands: argparse._SubParsersAction[Parser]) -> None:
    summary = "walk the chain rule from a row's loss to one weight"
    explain = _command(commands, "explain", summary, EXPLAIN)
    explain.add_argument("model", metavar="MODEL", help="a file that `fastbp train --out` wrote")
    explain.add_argument("data", nargs="?", metavar="DATA", help="an .npz file with X and y")
    explain.add_argument("--row", type=int, default=0, help="which row, from 0 (%(default)s)")
    explain.add_argument(
        "--weight", metavar="NAME:I,J", help="which weight (the first layer's, largest gradient)"
    )
    explain.add_argument(
        "--plot", metavar="FILE", help="also draw the network into this .png, .svg or .pdf file"
    )
    form = explain.add_mutually_exclusive_group()
    _add_json(form)
    form.add_argument("--markdown", action="store_true", help="print Markdown instead of text")


def _add_plugins(commands: argparse._SubParsersAction[Parser]) -> None:
    plugins = _command(commands, "plugins", "list, check or begin plugins", PLUGINS)
    _add_json(plugins)
    actions = plugins.add_subparsers(dest="action", metavar="ACTION", title="actions")

    check = _command(actions, "check", "run the conformance kit on plugins", CHECK)
    check.add_argument("name", nargs="?", metavar="NAME", help="a part or a distribution (all)")
    check.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="for each plugin, after which it counts as hanging (%(default)g)",
    )
    # SUPPRESS: or this parser's default would overrule a --json that stands before the action
    _add_json(check, default=argparse.SUPPRESS)

    new = _command(actions, "new", "write a package with one part, to begin from", NEW)
    new.add_argument("name", metavar="NAME", help="of the distribution and the new folder")
    new.add_argument("--kind", choices=["layer", "loss", "elementwise"], required=True)
    new.add_argument("--lang", choices=["python", "c"], default="python", help="(%(default)s)")


def _widths(text: str) -> tuple[int, ...]:
    try:
        widths = tuple(int(word) for word in text.split(",")) if text.strip() else ()
    except ValueError:
        widths = (0,)
    if any(width < 1 for width in widths):
        raise argparse.ArgumentTypeError(f"got {text!r}; wanted widths like 256,128")
    return widths
