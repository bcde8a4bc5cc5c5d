"""What a command may be told to write: no input, and nothing that cannot be written."""

import os
import socket

import numpy as np
import pytest

from fastbp.cli import main

SMALL = ("--epochs", "1", "--hidden", "4")


@pytest.fixture
def commands(classes, model, monkeypatch):
    """Each command that writes, as a function of --out; none may begin with its work."""

    def never(*_, **__):
        raise AssertionError("it began to work")

    monkeypatch.setattr("fastbp.commands.train.read", never)
    monkeypatch.setattr("fastbp.commands.predict.read_arrays", never)
    return {
        "train": lambda out: ("train", classes, *SMALL, "--out", out),
        "predict": lambda out: ("predict", model, classes, "--out", out),
    }


@pytest.fixture(params=["train", "predict"])
def command(request, commands):
    return commands[request.param]


def links(path):
    """Names of the same file: its own, a way around, a symbolic link, a hard link."""
    symbolic, hard = path.with_name("symbolic"), path.with_name("hard")
    symbolic.symlink_to(path.name)
    os.link(path, hard)
    around = os.path.join(path.parent, "..", path.parent.name, path.name)
    return [path, around, os.path.relpath(path), symbolic, hard]


def test_no_input_is_written_over(command, complains, classes):
    before = classes.read_bytes()
    for out in links(classes):
        complains(2, [f"--out: got {out}, the same file as DATA"], *command(out))
    assert classes.read_bytes() == before


def test_no_model_is_written_over(commands, complains, model):
    before = model.read_bytes()
    for out in links(model):
        complains(2, [f"--out: got {out}, the same file as MODEL"], *commands["predict"](out))
    assert model.read_bytes() == before


def test_what_cannot_be_written_is_refused_before_any_work(command, complains, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "gone" / "m.npz")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "read-only").write_bytes(b"kept")
    (tmp_path / "read-only").chmod(0o444)
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    listening = socket.socket(socket.AF_UNIX)
    with listening:
        listening.bind(str(tmp_path / "socket"))
    refused = {
        "folder": "a folder",
        "folder/": "a folder",
        "new/": "a folder",
        "gone/m.npz": "wanted a path in a folder that is there",
        "file/m.npz": "wanted a path in a folder that is there",
        "dangling": "wanted a path in a folder that is there",
        "loop": "symbolic links",
        "read-only": "read-only",
        "fifo": "no regular file",
        "socket": "no regular file",
        "n" * 300: "too long",
        "null\0": "null",
    }
    for name, words in refused.items():
        complains(2, ["--out: got ", words], *command(f"{tmp_path}/{name}"))
    complains(2, ["--out: got '', a folder"], *command(""))
    complains(2, ["--out: got /dev/null, which is there and no regular file"], *command(os.devnull))
    assert (tmp_path / "read-only").read_bytes() == b"kept"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_a_folder_without_the_right_to_write(command, complains, tmp_path):
    (tmp_path / "folder").mkdir(mode=0o555)
    complains(2, ["--out: got ", "Permission denied"], *command(tmp_path / "folder" / "m.npz"))


def test_a_folder_that_only_an_attempt_shows_to_be_closed(command, complains):
    if not os.path.isdir("/proc/self"):
        pytest.skip("needs a folder that nobody can write into")
    complains(2, ["--out: got ", "wanted a file to write"], *command("/proc/self/m.npz"))


def test_an_older_file_a_link_and_a_new_name_are_written(classes, tmp_path, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    (tmp_path / "link").symlink_to(new)
    for out in (old, tmp_path / "link"):
        assert main(["train", str(classes), *SMALL, "--out", str(out)]) == 0
    assert (tmp_path / "link").is_symlink()
    for path in (old, new):
        with np.load(path) as saved:
            assert "flat" in saved
    assert capsys.readouterr().err == ""
    leftovers = {path.name for path in tmp_path.iterdir()} - {"classes.npz", "link", "new", "old"}
    assert leftovers == set()
