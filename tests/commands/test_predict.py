"""`fastbp predict`: it says what the saved network says, or writes nothing."""

import json

import numpy as np
import pytest

import fastbp as bp


def test_train_predict_and_load_agree(run, classes, tmp_path):
    model, predictions = tmp_path / "model", tmp_path / "predictions.out"  # exact paths
    settings = ("--epochs", "2", "--hidden", "8", "--json")
    code, out, err = run("train", classes, "--out", model, *settings)
    assert (code, err) == (0, "")
    results = json.loads(out)
    assert results["out"] == str(model)
    assert [epoch["epoch"] for epoch in results["epochs"]] == [1, 2]
    assert results["epochs"][-1]["held_out_accuracy"] == results["held_out_accuracy"]
    assert results["rows"] + results["held_out_rows"] == 60
    assert results["loss"] == "softmax_cross_entropy"

    code, out, err = run("predict", model, classes, "--out", predictions)
    assert (code, err) == (0, "")
    assert out == f"wrote {predictions}: y (60,), y_hat (60, 3)\n"
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


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.ones((2, 5)), "(2, 5)"),
        (np.ones(4), "X[None, :]"),
        (np.ones((0, 4)), "empty"),
        (np.array([[0, 1, 2, 3], [0, 1, np.inf, 3]]), "row 1, column 2"),
    ],
)
def test_rows_that_cannot_be_predicted(complains, model, save, tmp_path, X, words):
    out = tmp_path / "p.npz"
    out.write_text("old")
    complains(2, [words], "predict", model, save("d.npz", X=X), "--out", out)
    assert out.read_text() == "old"


def test_predict_wants_its_files(complains, model, classes, tmp_path):
    out = tmp_path / "p.npz"
    complains(2, ["none"], "predict", tmp_path / "none", classes, "--out", out)
    complains(2, ["none"], "predict", model, tmp_path / "none", "--out", out)
    complains(2, ["--out"], "predict", model, classes)


def test_a_table_in_the_place_of_the_model(complains, classes, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    words = ["table.csv: got", "CSV", "wanted a network"]
    complains(2, words, "predict", table, classes, "--out", tmp_path / "out.npz")
