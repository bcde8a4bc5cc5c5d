"""The pages for people tell the truth: their code runs, and prints what they say."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

import fastbp as bp
from fastbp.cli import parser

ROOT = Path(__file__).parents[1]
README, *OTHERS = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "plugins/README.md"))
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXT = {page.stem: page.read_text(encoding="utf-8") for page in PAGES}


def as_doctest(page):
    """A page with each text block that follows code as the output of that code.

    Doctest would take an empty line for the output's end, so output with such lines stands in a
    block of its own there.
    """

    def joined(match):
        lines = [line or "<BLANKLINE>" for line in match[1].splitlines()]
        return "\n".join(lines) + "\n\n"

    return re.sub(r"(?<=\n)```\n\n```text\n(.*?)\n```\n", joined, page, flags=re.DOTALL)


def test_text_blocks_are_the_output_of_the_code_before():
    page = '```python\n>>> print("a\\n\\nb")\n```\n\n```text\na\n\nb\n```\n'
    (example,) = doctest.DocTestParser().get_examples(as_doctest(page))
    assert example.want == "a\n<BLANKLINE>\nb\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_code_runs_and_prints_what_it_says(page):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra plot)")
    text = as_doctest(page.read_text(encoding="utf-8"))
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    assert len(test.examples) == len(re.findall(r"^>>> ", text, flags=re.MULTILINE))
    failed = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(test, out=failed.append)
    assert not failed, "".join(failed)


@pytest.mark.parametrize("page", [*PAGES, README, *OTHERS], ids=lambda page: page.stem)
def test_what_it_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    for link in links:
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_every_page_is_linked_from_the_readme():
    text = README.read_text(encoding="utf-8")
    for page in PAGES:
        assert f"(docs/{page.name})" in text, page.name


# What its tables say


def table(page):
    """The rows of the page's tables, as lists of cells, without heads and rulers."""
    rows = [line.strip("|").split("|") for line in TEXT[page].splitlines() if line[:1] == "|"]
    rows = [[cell.strip() for cell in row] for row in rows]
    ruled = [i for i, row in enumerate(rows) if set("".join(row)) <= set("-")]
    return [row for i, row in enumerate(rows) if i not in ruled and i + 1 not in ruled]


def test_every_equation_has_its_quantity():
    rows = table("gradients")
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
    for where, _ in table("architecture"):
        folder = ""
        for path in re.findall(r"`([^`]*)`", where):
            if "/" in path.rstrip("/"):
                folder = path.split("/")[0]
            candidates = [ROOT / path, ROOT / folder / path]
            assert any(candidate.exists() for candidate in candidates), path


COMMANDS = re.findall(
    r"`(fastbp [a-z][^`]*)`", "".join([*TEXT.values(), README.read_text("utf-8")])
)


@pytest.mark.parametrize("line", sorted({" ".join(line.split()) for line in COMMANDS}))
def test_every_command_they_name_parses(line):
    _, *words = shlex.split(line)
    try:
        parser().parse_args(words if len(words) > 1 else [*words, "--help"])
    except SystemExit as stop:
        assert stop.code == 0  # --help  # noqa: PT017
