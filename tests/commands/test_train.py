"""`fastbp train`: what it makes of data and settings, and what it refuses."""

import json

import numpy as np
import pytest

import fastbp as bp

SMALL = ("--epochs", "2", "--hidden", "8")


def test_the_seed_moves_the_training_and_not_the_split(run):
    def results(seed):
        code, out, _ = run("train", "--json", "--seed", seed, *SMALL)
        assert code == 0
        return json.loads(out)

    first, again, other = results(1), results(1), results(2)
    assert [epoch["loss"] for epoch in first["epochs"]] == [e["loss"] for e in again["epochs"]]
    assert first["epochs"][0]["loss"] != other["epochs"][0]["loss"]
    assert first["held_out_rows"] == other["held_out_rows"]


def test_the_split_is_that_of_fastbp_data(run, monkeypatch):
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
def test_y_decides_on_loss_and_outputs(run, save, y, flags, loss, widths):
    data = save("data.npz", X=np.arange(24.0).reshape(12, 2) / 24, y=y)
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
    "objects in X": (
        {"X": X.astype(object), "y": [0, 1] * 4},
        "an array X of Python objects; wanted plain numbers",
    ),
    "objects in y": ({"X": X, "y": np.array(["a", 1] * 4, object)}, "an array y of Python objects"),
    "no rows": ({"X": X[:0], "y": []}, "X: got shape (0, 2), no rows"),
    "no rows of classes": ({"X": X[:0], "y": np.zeros(0, int)}, "X: got shape (0, 2), no rows"),
    "one row": ({"X": X[:1], "y": [1]}, "at least 2 rows"),
    "no columns": ({"X": X[:, :0], "y": [0, 1] * 4}, "X: got shape (8, 0), no columns"),
    "too large for float32": ({"X": X * 1e300, "y": [0, 1] * 4}, "overflows float32"),
}


@pytest.mark.parametrize(("arrays", "words"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data(complains, save, arrays, words):
    complains(2, [words], "train", save("d.npz", **arrays), *SMALL)


def test_damaged_and_foreign_files(complains, classes, tmp_path):
    out = tmp_path / "p.npz"
    whole = classes.read_bytes()
    middle = len(whole) // 3
    classes.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    complains(2, ["classes.npz"], "train", classes)
    classes.write_bytes(whole[: len(whole) // 2])
    complains(2, ["classes.npz"], "train", classes)
    classes.write_bytes(whole)
    complains(2, ["classes.npz"], "predict", classes, classes, "--out", out)
    complains(2, [str(tmp_path)], "train", tmp_path)
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--hidden", "8,x"), "--hidden"),
        (("--hidden", "0"), "--hidden"),
        (("--hidden", "1000000000000000"), "--hidden: got"),
        (("--l2", "1e39"), "--l2: got"),
        (("--activation", "rely"), "--activation: got 'rely'"),
        (("--activation", "dense"), "--activation: got 'dense'"),
        (("--loss", "hinge"), "--loss: got 'hinge'"),
        (("--loss", "sigmoid_cross_entropy"), "[0, 1]"),
        (("--optimizer", "lbfgs"), "adam"),
        (("--epochs", "0"), "--epochs"),
        (("--batch-size", "0"), "--batch-size"),
        (("--lr", "-1"), "--lr: got -1"),
        (("--lr", "nan"), "--lr: got nan"),
        (("--l2", "-1"), "--l2: got -1"),
        (("--seed", "-1"), "--seed: got -1"),
        (("--dtype", "float16"), "float32"),
        (("--out", "no/such/folder/model.npz"), "folder"),
        (("--momentum", "0.9"), "--momentum"),
        (("--epoch", "3"), "--epoch"),
    ],
)
def test_bad_flags(complains, classes, flags, words):
    complains(2, [words], "train", classes, *flags)


def test_probabilities_in_half_precision(run, save):
    """Their sums are off by more than float32's would be, and are judged as they came."""
    X = np.random.default_rng(0).normal(size=(60, 4))
    e = np.exp(X @ np.random.default_rng(1).normal(size=(4, 3)))
    p = (e / e.sum(axis=1, keepdims=True)).astype(np.float16)
    assert np.abs(p.sum(axis=1, dtype=float) - 1).max() > 2e-4
    path = save("soft.npz", X=X, y=p)
    code, out, _ = run("train", path, "--loss", "softmax_cross_entropy", "--json", *SMALL)
    assert code == 0
    assert np.isfinite(json.loads(out)["held_out_loss"])


def test_a_training_that_diverges_is_no_bad_input(complains, classes, tmp_path):
    model = tmp_path / "model.npz"
    flags = ("--lr", "1e30", "--out", model, *SMALL)
    complains(1, ["epoch 1, step 2"], "train", classes, *flags, out=None)
    assert not model.exists()


@pytest.mark.parametrize("epochs", [0, 2])
@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_ctrl_c_keeps_what_was_reached(run, classes, tmp_path, monkeypatch, epochs, json_flag):
    model, done = tmp_path / "model.npz", []

    def interrupt(*_):
        done.append(1)
        if len(done) == max(epochs, 1):
            raise KeyboardInterrupt
        return "an epoch"

    during = "train.epoch_line" if epochs else "train.fastbp.Network._update"
    monkeypatch.setattr(f"fastbp.commands.{during}", interrupt)
    if not epochs:  # every step goes the careful way, and the first is interrupted
        monkeypatch.setattr(bp.Network, "_run_epoch", lambda *_: (0, 0.0, 0.0, None))
    code, out, err = run("train", classes, "--epochs", "9", "--out", model, *json_flag)
    assert code == 1
    assert err == (
        f"fastbp: error: interrupted after {epochs} of 9 epochs; {model} holds the network as it "
        "was then\n"
    )
    state = bp.load(model).optimizer_state
    assert (0 if state is None else state.steps) == 2 * epochs
    if json_flag:
        results = json.loads(out)
        assert results["interrupted"] is True
        assert len(results["epochs"]) == epochs
    else:
        assert out.splitlines()[-1] == f"saved {model}"


def test_a_training_that_was_not_interrupted_says_so(run, classes):
    assert json.loads(run("train", classes, "--json", *SMALL)[1])["interrupted"] is False
