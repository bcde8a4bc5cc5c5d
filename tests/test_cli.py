"""The command line as a user meets it: processes, exit codes, files."""

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


def assert_one_line(err, words):
    """A complaint of one line."""
    assert err.startswith("fastbp: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert words in err


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


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "nowhere.npz"), 2, "nowhere.npz"),
        (("predict", "nowhere.npz", "data.npz", "--out", "p.npz"), 2, "nowhere.npz"),
        (("train", "--epochs", "many"), 2, "--epochs"),
        ((), 2, "train, predict, explain, plugins or info"),
        (("train", "--lr", "1e38", *SMALL), 1, "epoch 1, step"),
    ],
)
def test_failing_process(arguments, code, words, tmp_path):
    done = fastbp(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert (done.stdout == "") == (code == 2)
    assert_one_line(done.stderr, words)


def test_a_saved_network_predicts(tmp_path):
    X, y = np.eye(8), np.arange(8) % 2
    np.savez(tmp_path / "data.npz", X=X, y=y)
    done = fastbp("train", "data.npz", "--out", "model.npz", *SMALL, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2] == "saved model.npz"
    done = fastbp("predict", "model.npz", "data.npz", "--out", "p.npz", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(tmp_path / "p.npz") as said:
        np.testing.assert_array_equal(said["y"], bp.load(tmp_path / "model.npz").predict(X))


def test_help_and_version():
    done = fastbp("train", "--help")
    assert done.returncode == 0
    flags = "hidden activation loss optimizer epochs batch-size lr l2 seed dtype out json"
    for flag in flags.split():
        assert f"--{flag}" in done.stdout
    assert fastbp("--version").stdout == f"fastbp {bp.__version__}\n"


def test_info():
    done = fastbp("info")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[:2] == ["fastbp", bp.__version__]


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
@pytest.mark.parametrize("flags", [(), ("--out", "model.npz")])
def test_interrupted_training_says_so_and_keeps_what_was_reached(tmp_path, flags):
    command = [sys.executable, "-m", "fastbp", "train", "--epochs", "100000", *flags]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().startswith("digits")
        process.stdout.readline()  # the first epoch is done: training is under way
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 1
    assert_one_line(err, "interrupted after ")
    epochs = int(err.split(" after ")[1].split(" of 100000 epochs")[0])
    assert [path.name for path in tmp_path.iterdir()] == [*flags[1:2]]
    if flags:
        assert "; model.npz holds the network as it was then" in err
        per_epoch = -(-1347 // 32)
        steps = bp.load(tmp_path / "model.npz").optimizer_state.steps
        assert epochs * per_epoch <= steps <= (epochs + 1) * per_epoch


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
    assert done.returncode == 1
    assert_one_line(done.stderr, "No space left")


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("train --hidden 8 --epochs 1 --out model.npz", 0),
        ("info --json", 0),
        ("train nowhere.npz", 2),
    ],
)
def test_closed_streams(command, code, closed, tmp_path):
    """Python has None for a stream that is closed at its start; what would go there is dropped."""
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m fastbp {command} {closed}', sys.executable],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert (tmp_path / "model.npz").exists() == ("--out" in command)
    assert bool(done.stdout) == (code == 0 and closed == "2>&-")
    assert bool(done.stderr) == (code == 2 and closed == ">&-")


def test_an_error_nobody_foresaw_is_one_line(capsys, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(bp.Network, "fit", fail)
    assert main(["train"]) == 1
    assert_one_line(capsys.readouterr().err, "RuntimeError: two lines")
