"""The command line as a user meets it: processes, exit codes, files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastbp as bp
from fastbp.cli import main

SMALL = ("--epochs", "2", "--hidden", "8")


def fastbp(*arguments, cwd=None):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fastbp", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


@pytest.fixture
def run(capsys):
    """Run the command in this process: quick, for the many ways of getting it wrong."""

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def assert_complains(outcome, code, *words):
    """That exit code, and one line on stderr with these words in it."""
    got, out, err = outcome
    assert got == code, err
    assert out == ""
    assert err.startswith("fastbp: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    for word in words:
        assert word in err


@pytest.fixture
def classes(tmp_path):
    """60 rows of three well separated classes."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 20)
    return save(tmp_path / "classes.npz", X=rng.normal(size=(60, 4)) + 3 * y[:, None], y=y)


@pytest.fixture
def values(tmp_path):
    """80 rows and a linear function of them."""
    X = np.random.default_rng(0).normal(size=(80, 3))
    return save(tmp_path / "values.npz", X=X, y=X @ [1.0, -2.0, 0.5])


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


# In processes of their own


def test_train_on_the_digits():
    done = fastbp("train", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    first, *epochs, last = done.stdout.splitlines()
    assert first == "digits: 1347 rows to train on, 450 held out; 64-8-10 relu, 610 parameters"
    assert len(epochs) == 2
    for number, line in enumerate(epochs, 1):
        assert line.startswith(f"epoch {number}/2  loss ")
        assert "  held-out accuracy 0." in line
    accuracy, rate, wall = last.split(", ")
    assert accuracy == epochs[-1].split("  ")[-1]
    assert rate.endswith(" examples per second")
    assert wall.endswith(" s wall time")


def test_train_predict_and_load_agree(classes, tmp_path):
    model, predictions = tmp_path / "model", tmp_path / "predictions.out"  # exact paths
    done = fastbp("train", classes, "--out", model, "--json", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(done.stdout)
    assert results["out"] == str(model)
    assert [epoch["epoch"] for epoch in results["epochs"]] == [1, 2]
    assert results["epochs"][-1]["held_out_accuracy"] == results["held_out_accuracy"]
    assert results["rows"] + results["held_out_rows"] == 60
    assert results["loss"] == "softmax_cross_entropy"

    done = fastbp("predict", model, classes, "--out", predictions)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(predictions) in done.stdout
    net = bp.load(model)
    with np.load(classes) as data, np.load(predictions) as said:
        assert sorted(said.files) == ["y", "y_hat"]
        np.testing.assert_array_equal(said["y"], net.predict(data["X"]))
        np.testing.assert_array_equal(said["y_hat"], net.predict_proba(data["X"]))
        _, held_out = bp.data.split(data["y"])
        accuracy = (said["y"] == data["y"])[held_out].mean()
    assert accuracy == pytest.approx(results["held_out_accuracy"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "classes.npz",
        "model",
        "predictions.out",
    ]


def test_info():
    done = fastbp("info")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("fastbp", "numpy", "scipy", "python", "blas", "threads", "instruction set"):
        assert f"\n{name} " in "\n" + done.stdout
    done = fastbp("info", "--json")
    facts = json.loads(done.stdout)
    assert facts["fastbp"] == bp.__version__
    assert facts["numpy"] == np.__version__
    assert facts["threads"] >= 1
    assert "unknown" not in facts["blas"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "nowhere.npz"), 2, "nowhere.npz"),
        (("train", "--epochs", "many"), 2, "--epochs"),
        ((), 2, "train, predict or info"),
        (("train", "--lr", "1e30", *SMALL), 1, "epoch 1, step"),
    ],
)
def test_failing_process(arguments, code, words, tmp_path):
    done = fastbp(*arguments, cwd=tmp_path)
    assert_complains((done.returncode, "" if code == 1 else done.stdout, done.stderr), code, words)


def test_help_and_version():
    done = fastbp("train", "--help")
    assert done.returncode == 0
    flags = "hidden activation loss optimizer epochs batch-size lr l2 seed dtype out json"
    for flag in flags.split():
        assert f"--{flag}" in done.stdout
    assert fastbp("--version").stdout == f"fastbp {bp.__version__}\n"


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
def test_interrupted_training_says_so(tmp_path):
    command = [sys.executable, "-m", "fastbp", "train", "--epochs", "100000", "--out", "model.npz"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().startswith("digits")
        process.stdout.readline()  # the first epoch is done: training is under way
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert (process.returncode, err) == (1, "fastbp: error: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="pipes close in another way elsewhere")
def test_a_reader_that_leaves_hears_no_complaint():
    command = [sys.executable, "-m", "fastbp", "train", "--hidden", "8", "--epochs", "50"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert (process.returncode, err) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fastbp", "info"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert_complains((done.returncode, "", done.stderr), 1, "No space left")


# In this process


def test_the_seed_moves_the_training_and_not_the_split(run):
    def results(seed):
        code, out, _ = run("train", "--json", "--seed", seed, *SMALL)
        assert code == 0
        return json.loads(out)

    first, again, other = results(1), results(1), results(2)
    assert [epoch["loss"] for epoch in first["epochs"]] == [e["loss"] for e in again["epochs"]]
    assert first["epochs"][0]["loss"] != other["epochs"][0]["loss"]
    assert first["held_out_rows"] == other["held_out_rows"]


def test_the_split_is_that_of_fastbp_data(run, tmp_path, monkeypatch):
    seen = []

    def fit(net, X, y, *, validation_data, **settings):
        seen.append((y, validation_data[1]))
        raise bp.ConfigError("seen")

    monkeypatch.setattr(bp.Network, "fit", fit)
    for seed in (0, 1):
        assert run("train", "--seed", seed)[0] == 2
    y = bp.data.digits()[1]
    train, held_out = bp.data.split(y)
    for trained_on, tested_on in seen:
        np.testing.assert_array_equal(trained_on, y[train])
        np.testing.assert_array_equal(tested_on, y[held_out])


def test_values_are_fitted_and_judged_as_values(run, values, tmp_path):
    model, predictions = tmp_path / "model.npz", tmp_path / "p.npz"
    settings = ("--epochs", "60", "--hidden", "16", "--lr", "0.02", "--dtype", "float64")
    code, out, _ = run("train", values, "--out", model, *settings)
    assert code == 0
    assert "accuracy" not in out
    assert "held-out loss" in out.splitlines()[1]
    last = out.splitlines()[-1]
    assert "held-out R²" in last
    assert float(last.split("R² ")[1].split(",")[0]) > 0.9

    assert run("predict", model, values, "--out", predictions)[0] == 0
    with np.load(predictions) as said, np.load(values) as data:
        assert said.files == ["y"]
        np.testing.assert_array_equal(said["y"], bp.load(model).predict(data["X"]))
        _, held_out = bp.data.split(data["y"])
        left = ((said["y"] - data["y"])[held_out] ** 2).sum()
        spread = ((data["y"] - data["y"][held_out].mean())[held_out] ** 2).sum()
    assert float(last.split("R² ")[1].split(",")[0]) == pytest.approx(1 - left / spread, abs=1e-4)


@pytest.mark.parametrize(
    ("y", "flags", "loss", "widths"),
    [
        (np.arange(12) % 3, (), "softmax_cross_entropy", [2, 8, 3]),
        (np.arange(12) % 2 == 0, (), "softmax_cross_entropy", [2, 8, 2]),
        (np.eye(4)[np.arange(12) % 4], ("--loss", "softmax_cross_entropy"), None, [2, 8, 4]),
        (np.arange(12) % 2, ("--loss", "sigmoid_cross_entropy"), None, [2, 8, 1]),
        (np.ones((12, 3)), ("--loss", "sigmoid_cross_entropy"), None, [2, 8, 3]),
        (np.arange(12), ("--loss", "squared_error"), None, [2, 8, 1]),
        (np.ones((12, 3)), (), "squared_error", [2, 8, 3]),
    ],
)
def test_y_decides_on_loss_and_outputs(run, tmp_path, y, flags, loss, widths):
    data = save(tmp_path / "data.npz", X=np.arange(24.0).reshape(12, 2) / 24, y=y)
    code, out, err = run("train", data, "--json", *flags, *SMALL)
    assert code == 0, err
    results = json.loads(out)
    assert results["loss"] == (loss or flags[1])
    assert results["widths"] == widths


def test_settings_reach_the_network(run, classes, tmp_path):
    model = tmp_path / "model.npz"
    code, _, err = run(
        "train", classes, "--out", model, "--hidden", "5,6", "--activation", "tanh",
        "--optimizer", "sgd", "--lr", "0.25", "--l2", "0.01", "--dtype", "float64",
        "--batch-size", "10", "--epochs", "3",
    )  # fmt: skip
    assert code == 0, err
    net = bp.load(model)
    assert repr(net) == (
        "Network(4, [Dense(5), Tanh(), Dense(6), Tanh(), Dense(3)], loss=SoftmaxCrossEntropy(), "
        "dtype='float64', l2=0.01)"
    )
    assert net.optimizer_state.name == "SGD"
    assert net.optimizer_state.steps == 3 * 5  # 45 rows, 10 a step
    with np.load(classes) as data:
        train, _ = bp.data.split(data["y"])
        same = bp.mlp([4, 5, 6, 3], activation="tanh", rng=0, l2=0.01, dtype="float64")
        rows = data["X"][train], data["y"][train]
        same.fit(*rows, optimizer=bp.SGD(0.25), epochs=3, batch_size=10)
    np.testing.assert_array_equal(net.flat, same.flat)


def test_no_hidden_layers(run, classes):
    code, out, _ = run("train", classes, "--hidden", "", "--epochs", "1")
    assert code == 0
    assert "; 4-3 relu, 15 parameters" in out


X = np.ones((8, 2))
BAD_DATA = {
    "no y": ({"X": X}, "no array y; it holds X"),
    "no X": ({"y": X}, "no array X"),
    "negative label": ({"X": X, "y": [0, 1, 2, -1, 0, 1, 2, 0]}, "got -1 at row 3"),
    "NaN in X": ({"X": np.where(np.arange(8)[:, None] == 5, np.nan, X), "y": X}, "row 5"),
    "NaN in y": ({"X": X, "y": [0, 1, 2, 3, np.nan, 1, 2, 0]}, "row 4"),
    "lengths": ({"X": X, "y": [0, 1]}, "8 rows"),
    "X of rank 1": ({"X": X[0], "y": [0, 1]}, "X: got shape (2,)"),
    "y of shape (rows, 1)": ({"X": X, "y": np.zeros((8, 1), int)}, "y.ravel()"),
    "one class": ({"X": X, "y": np.zeros(8, int)}, "two classes"),
    "numbers that are no classes": ({"X": X, "y": np.arange(8) + 10**9}, "numpy.unique"),
    "text in y": ({"X": X, "y": list("abcdefgh")}, "'a'"),
    "text in X": ({"X": np.full((8, 2), "a"), "y": [0, 1] * 4}, "X: got dtype"),
    "complex": ({"X": X * 1j, "y": [0, 1] * 4}, "complex128"),
    "Object arrays": ({"X": X.astype(object), "y": [0, 1] * 4}, "Object arrays"),
    "no rows": ({"X": X[:0], "y": []}, "rows"),
    "one row": ({"X": X[:1], "y": [1]}, "at least 2 rows"),
    "no columns": ({"X": X[:, :0], "y": [0, 1] * 4}, "n_in"),
    "too large for float32": ({"X": X * 1e300, "y": [0, 1] * 4}, "overflows float32"),
}


@pytest.mark.parametrize(("arrays", "words"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data(run, tmp_path, arrays, words):
    assert_complains(run("train", save(tmp_path / "d.npz", **arrays), *SMALL), 2, words)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"X,y\n1,2\n"])
def test_files_that_are_no_npz(run, tmp_path, content):
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    assert_complains(run("train", path), 2, "d.npz", "no intact .npz")


def test_damaged_and_foreign_files(run, classes, tmp_path):
    out = tmp_path / "p.npz"
    whole = classes.read_bytes()
    middle = len(whole) // 3
    classes.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    assert_complains(run("train", classes), 2, "classes.npz")
    classes.write_bytes(whole[: len(whole) // 2])
    assert_complains(run("train", classes), 2, "classes.npz")
    classes.write_bytes(whole)
    assert_complains(run("predict", classes, classes, "--out", out), 2, "classes.npz")
    assert_complains(run("train", tmp_path), 2, str(tmp_path))
    np.save(tmp_path / "single.npy", X)
    assert_complains(run("train", tmp_path / "single.npy"), 2, "single array")
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--hidden", "8,x"), "--hidden"),
        (("--hidden", "0"), "--hidden"),
        (("--activation", "rely"), "relu"),
        (("--activation", "dense"), "dense"),
        (("--loss", "hinge"), "softmax_cross_entropy"),
        (("--loss", "sigmoid_cross_entropy"), "[0, 1]"),
        (("--optimizer", "lbfgs"), "adam"),
        (("--epochs", "0"), "--epochs"),
        (("--batch-size", "0"), "--batch-size"),
        (("--lr", "-1"), "lr"),
        (("--lr", "nan"), "lr"),
        (("--l2", "-1"), "l2"),
        (("--seed", "-1"), "rng"),
        (("--dtype", "float16"), "float32"),
        (("--out", "no/such/folder/model.npz"), "folder"),
        (("--momentum", "0.9"), "--momentum"),
        (("--epoch", "3"), "--epoch"),
    ],
)
def test_bad_flags(run, classes, flags, words):
    assert_complains(run("train", classes, *flags), 2, words)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.npz"
    bp.mlp([4, 3], rng=0).save(path)
    return path


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.ones((2, 5)), "(2, 5)"),
        (np.ones(4), "X[None, :]"),
        (np.ones((0, 4)), "empty"),
        (np.array([[0, 1, 2, 3], [0, 1, np.inf, 3]]), "row 1, column 2"),
    ],
)
def test_rows_that_cannot_be_predicted(run, model, tmp_path, X, words):
    out = tmp_path / "p.npz"
    out.write_text("old")
    assert_complains(run("predict", model, save(tmp_path / "d.npz", X=X), "--out", out), 2, words)
    assert out.read_text() == "old"


def test_predict_wants_its_files(run, model, classes, tmp_path):
    out = tmp_path / "p.npz"
    assert_complains(run("predict", tmp_path / "none", classes, "--out", out), 2, "none")
    assert_complains(run("predict", model, tmp_path / "none", "--out", out), 2, "none")
    assert_complains(run("predict", model, classes), 2, "--out")


def test_a_model_that_cannot_be_written(run, classes, tmp_path):
    (tmp_path / "model.npz").mkdir()
    code, _, err = run("train", classes, "--out", tmp_path / "model.npz", *SMALL)
    assert_complains((code, "", err), 1, "model.npz")


def test_an_error_nobody_foresaw_is_one_line(run, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(bp.Network, "fit", fail)
    code, _, err = run("train")
    assert_complains((code, "", err), 1, "RuntimeError: two lines")
