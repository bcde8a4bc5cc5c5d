"""Data in another format: it is called by its name, and the advice that follows works."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

TABLE = np.arange(24.0).reshape(8, 3)
SMALL = ("--epochs", "1", "--hidden", "4")


def text(separator, head=""):
    lines = [separator.join(map(str, row)) for row in TABLE]
    return "\n".join([*([head] if head else []), *lines, ""])


def archive(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, TABLE)
    return buffer.getvalue()


TABLES = {
    "CSV": (text(","), "a CSV file"),
    "CSV with names": (text(",", "a,b,y"), "a CSV file"),
    "CSV with a mark": ("\ufeff" + text(",", "a,b,y"), "a CSV file"),
    "CSV with a mark alone": ("\ufeff" + text(","), "a CSV file"),
    "CSV with semicolons": (text(";", "a;b;y"), "a CSV file"),
    "TSV": (text("\t"), "a TSV file"),
    "columns": (text(" "), "a text file"),
}
OTHERS = {
    "CSV with text": (b"a,b\n1,x\n", "a CSV file", "pandas.read_csv("),
    "UTF-16": (text(",").encode("utf-16"), "a CSV file", "numpy.loadtxt("),
    "Latin-1": ("größe,y\n1,2\n".encode("latin-1"), "a CSV file", "numpy.loadtxt("),
    "JSON": (b'{"X": [[1]]}', "a JSON file", "json.load("),
    "svmlight": (b"1 1:0.5 3:2\n", "svmlight", "load_svmlight_file("),
    "npy": (npy(), "a single array", "numpy.load("),
    "Parquet": (b"PAR1\x15\x04\x15", "a Parquet file", "pandas.read_parquet("),
    "Feather": (b"ARROW1\0\0", "an Arrow (Feather) file", "pandas.read_feather("),
    "HDF5": (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file", "h5py.File("),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform", "a MATLAB file", "loadmat("),
    "gzip": (gzip.compress(b"1,2\n"), "a gzip file", "gzip.open("),
    "bzip2": (bz2.compress(b"1,2\n"), "a bzip2 file", "bz2.open("),
    "xz": (lzma.compress(b"1,2\n"), "an xz file", "lzma.open("),
    "Excel": (archive("[Content_Types].xml", "xl/workbook.xml"), "an Excel file", "read_excel("),
    "PyTorch": (archive("model/data.pkl", "model/version"), "a PyTorch file", "torch.load("),
    "zip": (archive("a.txt"), "a zip archive without arrays", "savez"),
    "IDX": (b"\0\0\x08\x03\0\0\0\x0a", "an IDX file", "numpy.fromfile("),
    "empty": (b"", "an empty file", "savez"),
    "unknown": (bytes(range(256)), "a format that fastbp does not know", "savez"),
} | {
    f"pickle {protocol}": (pickle.dumps(TABLE, protocol), "a pickle", "pickle.load(")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
}  # fmt: skip


@pytest.mark.parametrize(("content", "what", "reader"), OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("name", ["d.npz", "d.other"])
def test_other_formats(complains, model, tmp_path, name, content, what, reader):
    path = tmp_path / name
    path.write_bytes(content)
    words = [f"{path}: got ", what, "; wanted an .npz file with X and y (", reader, "numpy.savez("]
    complains(2, words, "train", path)
    complains(2, [what, "an .npz file with X ("], "predict", model, path, "--out", tmp_path / "p")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("content", "what"), TABLES.values(), ids=TABLES)
def test_tables_of_numbers_are_read_as_told(run, tmp_path, content, what, encoding):
    path = tmp_path / "d.txt"
    path.write_text(content.lstrip("\ufeff" if encoding == "utf-16" else ""), encoding=encoding)
    code, _, err = run("train", path)
    assert code == 2
    assert f"{path}: got {what}; wanted" in err
    reader = err.partition("file with X and y (")[2].partition(" reads it")[0]
    np.testing.assert_array_equal(eval(reader, {"numpy": np}), TABLE)


def test_no_advice_to_load_what_may_run_code(run, tmp_path):
    """NumPy's own words for every file that it cannot read."""
    for content, _, _ in OTHERS.values():
        (tmp_path / "d.npz").write_bytes(content)
        _, _, err = run("train", tmp_path / "d.npz")
        assert "allow_pickle" not in err
        assert "unsafe" not in err
    np.savez(tmp_path / "d.npz", X=TABLE.astype(object), y=TABLE)
    assert "allow_pickle" not in run("train", tmp_path / "d.npz")[2]


def test_a_torn_npz_file(complains, tmp_path):
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 torn")
    complains(2, ["d.npz", "no intact .npz file"], "train", tmp_path / "d.npz")


def test_a_network_in_the_place_of_data(complains, model, tmp_path):
    words = ["no array X; it holds ", "it is a network that fastbp saved"]
    complains(2, words, "predict", model, model, "--out", tmp_path / "p")


LABELS = {
    "text": ["no", "yes"],
    "bytes": [b"no", b"yes"],
    "-1 and 1": [-1, 1],
    "large": [10**9, 10**9 + 1],
}


def follow(told, folder):
    """Run the command that a message holds; the file it writes."""
    command = told[told.index("python -c ") :].partition(" writes a file ")[0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-c", command], check=True, cwd=folder, timeout=60, env={**os.environ, "PATH": path}
    )
    return next(folder.glob("*-numbered.npz"))


@pytest.mark.parametrize("name", ["d.npz", "it's data.npz", '$HOME `x` "y" \\n!.npz'])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_that_are_no_class_numbers(run, save, tmp_path, labels, name):
    y = np.array(labels)[np.arange(8) % 2]
    data = save(name, X=TABLE, y=y)
    code, _, err = run("train", data, *SMALL)
    assert code == 2
    numbered = follow(err, tmp_path)
    with np.load(numbered) as arrays:
        np.testing.assert_array_equal(arrays["X"], TABLE)
        np.testing.assert_array_equal(arrays["y"], np.arange(8) % 2)
    assert run("train", numbered, *SMALL)[0] == 0


@pytest.mark.parametrize(("labels", "absent"), [([1, 2], [0]), ([3, 7], [0, 1, 2, 4, 5, 6])])
def test_classes_without_a_row_are_told_and_trained(run, save, tmp_path, labels, absent):
    data = save("d.npz", X=TABLE, y=np.array(labels)[np.arange(8) % 2])
    code, out, err = run("train", data, *SMALL)
    assert (code, err) == (0, "")
    _, line, *_ = out.splitlines()
    shown = ", ".join(map(str, absent[:5]))
    assert line.startswith(f"y: no row is of class {shown}")
    assert f"{len(absent)} of the {labels[-1] + 1} outputs" in line
    numbered = follow(line, tmp_path)
    code, out, _ = run("train", numbered, *SMALL)
    assert code == 0
    assert "no row is of class" not in out

    code, out, err = run("train", data, *SMALL, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["absent_classes"] == absent
    assert json.loads(run("train", numbered, *SMALL, "--json")[1])["absent_classes"] == []


def test_values_have_no_classes(run, values):
    assert json.loads(run("train", values, *SMALL, "--json")[1])["absent_classes"] == []
