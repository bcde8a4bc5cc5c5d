"""What a file is that is no .npz file, and what makes one of it: told by its first bytes."""

from __future__ import annotations

import re
import shlex
import zipfile
from collections.abc import Sequence
from pathlib import Path

# The first bytes of the formats that tables come in; what they are called; what reads them.
MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x93NUMPY", "a single array (.npy)", "numpy.load({!r})"),
    (b"PAR1", "a Parquet file", "pandas.read_parquet({!r})"),
    (b"ARROW1", "an Arrow (Feather) file", "pandas.read_feather({!r})"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "h5py.File({!r})"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", "scipy.io.loadmat({!r})"),
    (b"\x1f\x8b", "a gzip file", "gzip.open({!r})"),
    (b"BZh", "a bzip2 file", "bz2.open({!r})"),
    (b"\xfd7zXZ\x00", "an xz file", "lzma.open({!r})"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", ""),
    (b"SQLite format 3\x00", "an SQLite database", "sqlite3.connect({!r})"),
    (b"\x00\x00\x08", "an IDX file, as MNIST's", "numpy.fromfile({!r}, 'u1')"),
    (b"version https://git-lfs", "a Git LFS pointer in place of a file", "git lfs pull"),
)
ZIPPED = (  # formats that are zip archives, by a name that is in them
    ("xl/workbook.xml", "an Excel file", "pandas.read_excel({!r})"),
    ("data.pkl", "a PyTorch file", "torch.load({!r})"),
    ("config.json", "a Keras file", ""),
)
LOOKED_AT = 4096  # bytes


def describe(path: str, wanted: Sequence[str]) -> str | None:
    """The complaint about a file in another format; None for .npz files, damaged ones too."""
    what, reader = kind(path)
    if not what:
        return None
    arrays = " and ".join(wanted)
    written = ", ".join(f"{name}={name}" for name in wanted)
    target = Path(path).with_suffix(".npz").name
    if target == Path(path).name:
        target = "data.npz"
    made = f"numpy.savez({target!r}, {written}) writes one"
    if reader:
        made = f"{reader.format(path)} reads it, and {made}"
    return f"{path}: got {what}; wanted an .npz file with {arrays} ({made})"


def kind(path: str) -> tuple[str, str]:
    """What the file is, and what reads it, with {!r} for its path; "" for .npz files."""
    with Path(path).open("rb") as file:
        head = file.read(LOOKED_AT)
    if not head:
        return "an empty file", ""
    for magic, what, reader in MAGIC:
        if head.startswith(magic):
            return what, reader
    if head.startswith(b"PK"):
        return _zip_kind(path)
    if re.match(rb"\x80[\x02-\x05]", head):
        return "a pickle", "pickle.load(open({!r}, 'rb'))"
    return _text_kind(head)


def _zip_kind(path: str) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "", ""  # a torn .npz file
    if not names or any(name.endswith(".npy") for name in names):
        return "", ""
    for member, what, reader in ZIPPED:
        if any(name == member or name.endswith("/" + member) for name in names):
            return what, reader
    return "a zip archive without arrays", ""


def _text_kind(head: bytes) -> tuple[str, str]:
    utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = head.decode("utf-16" if utf16 else "latin-1", errors="ignore")
    if re.search("[\x00-\x08\x0e-\x1f]", text):
        return "a file of a format that fastbp does not know", ""
    marked = text.startswith("\xef\xbb\xbf")  # as Excel writes CSV files
    how = ", encoding='utf-16'" if utf16 else ", encoding='utf-8-sig'" if marked else ""
    first, second, *_ = [*text[3 * marked :].strip().splitlines(), "", ""]
    if first.startswith(("{", "[")):
        return "a JSON file", "json.load(open({!r}))"
    if re.fullmatch(r"\S+( \d+:\S+)+\s*", first):
        return "a text file in svmlight's format", "sklearn.datasets.load_svmlight_file({!r})"
    for separator, what in ((",", "a CSV file"), (";", "a CSV file"), ("\t", "a TSV file")):
        if separator in first:
            if not _numbers(second or first, separator):
                return what, f"pandas.read_csv({{!r}}, sep={separator!r}{how})"
            skip = "" if _numbers(first, separator) else ", skiprows=1"
            return what, f"numpy.loadtxt({{!r}}, delimiter={separator!r}{skip}{how})"
    return "a text file", f"numpy.loadtxt({{!r}}{how})"


def _numbers(line: str, separator: str) -> bool:
    try:
        return bool([float(word) for word in line.split(separator)])
    except ValueError:
        return False


def numbered(path: str) -> str:
    """A command that writes a data file anew, its labels in y numbered 0, 1, ..."""
    target = Path(path).with_name(f"{Path(path).stem}-numbered.npz")
    program = (
        f"import numpy as n; d = n.load({path!r}); n.savez({str(target)!r}, X=d['X'], "
        "y=n.unique(d['y'], return_inverse=True)[1])"
    )
    plain = not re.search(r'["$`!\\]', program)  # it is full of ', which shlex cannot say simply
    return f'python -c "{program}"' if plain else f"python -c {shlex.quote(program)}"
