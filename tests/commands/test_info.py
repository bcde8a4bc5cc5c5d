"""`fastbp info`: what to write into a bug report."""

import json

import numpy as np

import fastbp as bp


def test_info(run):
    code, out, err = run("info")
    assert (code, err) == (0, "")
    for name in ("fastbp", "numpy", "scipy", "python", "blas", "threads", "instruction set"):
        assert f"\n{name} " in "\n" + out
    code, out, err = run("info", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["fastbp"] == bp.__version__
    assert facts["numpy"] == np.__version__
    assert facts["threads"] >= 1
    assert "unknown" not in facts["blas"]
