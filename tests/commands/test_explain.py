"""`fastbp explain`: it prints what net.explain says, in each form."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import fastbp as bp


@pytest.fixture
def net(model):
    return bp.load(model)


@pytest.fixture
def arrays(classes):
    with np.load(classes) as data:
        return data["X"], data["y"]


def test_it_prints_the_walk(run, model, classes, net, arrays):
    code, out, err = run("explain", model, classes)
    assert (code, err) == (0, "")
    assert out == f"{net.explain(*arrays)}\n"


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("dense1.W:1,2", ("dense1.W", 1, 2)),
        ("dense1.b:2", ("dense1.b", 2)),
        ("dense1.b", "dense1.b"),
    ],
)
def test_row_and_weight(run, model, classes, net, arrays, text, weight):
    code, out, err = run("explain", model, classes, "--row", "7", "--weight", text, "--json")
    assert (code, err) == (0, "")
    want = net.explain(*arrays, row=7, weight=weight)
    assert json.loads(out) == {**want.as_dict(), "plot": None}
    code, out, err = run("explain", model, classes, "--row", "7", "--weight", text, "--markdown")
    assert (code, err, out) == (0, "", want.to_markdown() + "\n")


def test_a_layer_may_have_a_colon_in_its_name(run, classes, tmp_path):
    path = tmp_path / "model.npz"
    net = bp.Network(4, [bp.Dense(3, name="a:1,2")], rng=0)
    net.save(path)
    code, out, _ = run("explain", path, classes, "--weight", "a:1,2.b:1")
    assert code == 0
    assert out.startswith("a:1,2.b[1] and")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--row", "60"], ["--row: got 60", "rows 0 to 59"]),
        (["--row", "-1"], ["--row: got -1"]),
        (["--row", "x"], ["--row", "'x'"]),
        (["--weight", "dens1.W:0,0"], ["--weight: got 'dens1.W'", "did you mean 'dense1.W'"]),
        (["--weight", "dense1.W:0,4"], ["--weight: got dense1.W[0, 4]", "0 to 3"]),
        (["--weight", "dense1.W:-1,0"], ["--weight: got dense1.W[-1, 0]"]),
        (["--weight", "dense1.W:0"], ["--weight: got 'dense1.W:0'", "dense1.W:i,j"]),
        (["--weight", "dense1.W:0,"], ["--weight: got 'dense1.W:0,'", "dense1.W:i,j"]),
        (["--weight", ""], ["--weight: got ''"]),
        (["--json", "--markdown"], ["not allowed with argument"]),
    ],
)
def test_bad_arguments(complains, model, classes, arguments, words):
    complains(2, words, "explain", model, classes, *arguments)


def test_without_data_it_takes_the_digits(run, complains, model, tmp_path):
    path = tmp_path / "digits.npz"
    assert run("train", "--epochs", "1", "--hidden", "4", "--out", path)[0] == 0
    code, out, err = run("explain", path, "--row", "5", "--weight", "dense1.W[0, 20]")
    assert (code, err) == (0, "")
    assert out == f"{bp.load(path).explain(*bp.data.digits(), row=5, weight=('dense1.W', 0, 20))}\n"
    complains(2, ["X: got", "(batch, 4)"], "explain", model)


def test_bad_files(complains, model, classes, save, tmp_path):
    complains(2, ["none"], "explain", tmp_path / "none", classes)
    complains(2, ["none"], "explain", model, tmp_path / "none")
    complains(2, ["no array y"], "explain", model, save("x.npz", X=np.ones((2, 4))))
    words = ["got data (arrays X, y)", "wanted a network"]
    complains(2, words, "explain", classes, model)
    complains(2, ["X: got", "wanted"], "explain", model, save("n.npz", X=np.ones((2, 5)), y=[0, 1]))
    bad = save("bad.npz", X=np.full((2, 4), np.nan), y=[0, 1])
    complains(2, ["X: got nan at row 1, column 0"], "explain", model, bad, "--row", "1")
    words = save("words.npz", X=np.ones((2, 4)), y=["a", "b"])
    complains(2, ["y: "], "explain", model, words)


def test_it_draws(run, complains, model, classes, tmp_path):
    path = tmp_path / "walk.png"
    code, out, err = run("explain", model, classes, "--plot", path)
    assert (code, err) == (0, f"wrote {path}\n")
    assert out == run("explain", model, classes)[1]  # a document, and nothing after it
    assert path.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("explain", model, classes, "--plot", path, "--json")
    assert json.loads(out)["plot"] == str(path)
    before = classes.read_bytes()
    complains(2, ["--plot: got", "same file as DATA"], "explain", model, classes, "--plot", classes)
    assert classes.read_bytes() == before
    complains(2, ["--plot: got", ".png"], "explain", model, classes, "--plot", tmp_path / "w.xyz")
    complains(2, ["--plot: got"], "explain", model, classes, "--plot", tmp_path / "no" / "w.png")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "classes.npz", "model.npz", "walk.png"
    ]  # fmt: skip


def test_drawing_needs_matplotlib(complains, model, classes, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    words = ["matplotlib is not installed", "fastbp[plot]"]
    complains(2, words, "explain", model, classes, "--plot", tmp_path / "walk.png")


def test_a_terminal_without_these_letters_shows_question_marks(model, classes):
    command = [sys.executable, "-m", "fastbp", "explain", model, classes, "--weight", "dense1.b:0"]
    for encoding, name in (("latin-1", "b?[0]"), ("utf-8", "b₁[0]")):
        env = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(command, env=env, capture_output=True, timeout=60, check=True)
        assert name in done.stdout.decode(encoding)
        assert done.stderr == b""
