"""`fastbp predict`: what a saved network says of new rows."""

from __future__ import annotations

import argparse
import os

import fastbp
from fastbp import checks
from fastbp.checkpoint import write_npz
from fastbp.commands import formats
from fastbp.commands.files import check_out, describe, read_arrays
from fastbp.errors import ConfigError


def run(options: argparse.Namespace) -> None:
    """Read, predict, write, and say what was written."""
    check_out(options.out, MODEL=options.model, DATA=options.data)
    try:
        net = fastbp.load(options.model)
    except OSError as error:  # a CheckpointError too: here it is input that is bad
        what = formats.kind(options.model)[0] if os.path.isfile(options.model) else ""
        wanted = f"{options.model}: got {what}; wanted a network, as fastbp train --out writes it"
        raise ConfigError(wanted if what else describe(error)) from error
    (X,) = read_arrays(options.data, ("X",))
    X = checks.matrix("X", X, net.n_in, net.dtype)
    checks.not_empty("X", X)
    checks.finite("X", X)  # a NaN would make a class like any other, and nobody would notice
    arrays = {"y": net.predict(X)}
    if net.loss_function.probabilities:
        arrays["y_hat"] = net.predict_proba(X)
    write_npz(options.out, arrays)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    print(f"wrote {options.out}: {shapes}")
