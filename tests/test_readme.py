"""The README tells the truth: pytest runs its examples, and here its tables and commands are held
against the code."""

import re
from pathlib import Path

from fastbp.cli import main, parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_come_first():
    blocks = re.findall(r"```sh\n(.*?)\n```", README, flags=re.DOTALL)
    assert blocks == ["pip install . && fastbp train", 'pip install -e ".[test]" && pytest']


def test_its_examples_are_found_by_doctest():
    assert README.count("\n>>> ") >= 15
    assert README.count("```python") == len(re.findall(r"```python\n>>> ", README))


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
