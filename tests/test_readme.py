"""The README tells the truth: pytest runs its examples, and here its tables and commands are held
against the code."""

import re
import shlex
from pathlib import Path

import pytest

import fastbp as bp
from fastbp.cli import main, parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(heading):
    """The rows of the tables below a heading, as lists of cells, without heads and rulers."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in row] for row in rows]
    ruled = [i for i, row in enumerate(rows) if set("".join(row)) <= set("-")]
    return [row for i, row in enumerate(rows) if i not in ruled and i + 1 not in ruled]


def test_the_two_commands_come_first():
    blocks = re.findall(r"```sh\n(.*?)\n```", README, flags=re.DOTALL)
    assert blocks == ["pip install . && fastbp train", 'pip install -e ".[test]" && pytest']


def test_its_examples_are_found_by_doctest():
    assert README.count("\n>>> ") >= 15
    assert README.count("```python") == len(re.findall(r"```python\n>>> ", README))


def test_every_equation_has_its_quantity():
    rows = table("The gradient, quantity by quantity")
    assert sorted(int(row[0][1:]) for row in rows) == list(range(1, 11))
    X, y = bp.data.digits()
    net = bp.mlp([64, 5, 10], rng=0)
    g = net.gradients(X[:3], y[:3], input_gradient=True)
    batch, n, L, k = 3, {0: 64, 1: 5, 2: 10}, 2, 2
    shapes = {
        "(batch, n_L)": (batch, n[L]),
        "(batch, n_{k-1})": (batch, n[k - 1]),
        "(batch, n_k)": (batch, n[k]),
        "(n_k, n_{k-1})": (n[k], n[k - 1]),
        "(n_k,)": (n[k],),
    }
    for row in rows:
        for expression in re.findall(r"`(g\.[^`]*)`", " ".join(row)):
            assert eval(expression, {"g": g, "k": k, "L": L}) is not None
        if len(row) == 5:
            expression = re.findall(r"`(g\.[^`]*)`", row[3])[0]
            assert eval(expression, {"g": g, "k": k, "L": L}).shape == shapes[row[4]]


def test_what_is_where_is_there():
    for where, _ in table("What is where"):
        folder = ""
        for path in re.findall(r"`([^`]*)`", where):
            if "/" in path.rstrip("/"):
                folder = path.split("/")[0]
            candidates = [ROOT / path, ROOT / folder / path]
            assert any(candidate.exists() for candidate in candidates), path


def test_the_last_lines_of_training_are_those_of_today(capsys):
    shown = re.findall(r"```text\n(.*?)\n```", README, flags=re.DOTALL)[0].splitlines()
    assert main(["train", "--epochs", "1"]) == 0
    _, epoch, last = capsys.readouterr().out.splitlines()
    epochs = parser().parse_args(["train"]).epochs
    assert shown[-2].startswith(f"epoch {epochs}/{epochs} ")

    def form(line):
        return re.sub(r"[\d.,]*\d", "0", line)

    assert form(shown[-1]) == form(last)
    assert form(shown[-2]) == form(epoch)
    assert float(re.findall(r"accuracy ([\d.]+)", shown[-1])[0]) >= 0.97


@pytest.mark.parametrize("line", re.findall(r"`(fastbp [a-z][^`]*)`", README))
def test_every_command_it_names_parses(line):
    try:
        parser().parse_args(shlex.split(line)[1:])
    except SystemExit as stop:
        assert stop.code == 0  # --help  # noqa: PT017
