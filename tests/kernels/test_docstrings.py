"""The kernels' docstrings: every example runs, every section is there."""

from __future__ import annotations

import doctest

import pytest

from fastbp import kernels


@pytest.mark.parametrize("name", kernels.__all__)
def test_the_example_runs(name):
    # pytest collects no doctests from compiled modules
    text = getattr(kernels, name).__doc__
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    result = doctest.DocTestRunner().run(example)
    assert result.attempted >= 3
    assert result.failed == 0


@pytest.mark.parametrize("name", kernels.__all__)
def test_sections_and_scale(name):
    text = getattr(kernels, name).__doc__
    sections = ["Parameters", "Raises", "Examples", "References"]
    if not name.endswith("_update"):
        sections.insert(1, "Returns")
    headings = [text.index(f"\n    {title}\n    {'-' * len(title)}\n") for title in sections]
    assert headings == sorted(headings)
    if "backward" in name or "sum" in name:
        assert "on d" in text  # on delta's or dh's scale
    if "error" in name or "entropy" in name:
        assert text.count("unweighted and unscaled") == 2  # the loss and delta
