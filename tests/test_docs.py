"""The pages for people tell the truth: their code runs, and prints what they say."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
README = ROOT / "README.md"


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
    assert len(test.examples) == len(re.findall(r"^>>> ", text, flags=re.MULTILINE)) > 20
    failed = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(test, out=failed.append)
    assert not failed, "".join(failed)


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.name)
def test_what_it_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    for link in links:
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_every_page_is_linked_from_the_readme():
    text = README.read_text(encoding="utf-8")
    for page in PAGES:
        assert f"(docs/{page.name})" in text, page.name
