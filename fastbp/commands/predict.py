"""`fastbp predict`: what a saved network says of new rows."""

from __future__ import annotations

import argparse

from fastbp import checks
from fastbp.checkpoint import write_npz
from fastbp.commands.files import check_out, read_arrays, read_network


def run(options: argparse.Namespace) -> None:
    """Read, predict, write, and say what was written."""
    check_out(options.out, MODEL=options.model, DATA=options.data)
    net = read_network(options.model)
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
