"""Arrays and JSON out of an .npz file that anybody may have made: nothing it claims is believed.

Sizes are compared with what the file holds, and an array's own header with what is wanted, before
memory is asked for; what is read without such a comparison has a limit.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from fastbp.checks import Array
from fastbp.errors import DtypeError, ShapeError

DIRECTORY = 2**21  # bytes of the list of members: 45,000 of them, which zipfile keeps in 14 MB
TEXT = 2**22  # bytes of JSON
VALUES = 200_000  # lists, mappings and their entries in it; in memory they take 40 MB
DEPTH = 100  # lists and mappings within each other
DIGITS = 40  # of a whole number; those of the generator have 39
PREAMBLE = 1024  # bytes before an array's numbers; NumPy writes 128, more for a dozen axes
LOCAL = 30  # bytes before a member's name and content
NAME = 2**16 - 1  # bytes of a member's name
ENTRY = 46 + 28  # bytes that a member has in the list beside its name
RATIO = 1040  # bytes from one of a compressed member: deflate makes at most 1032

DESCRIBED = re.compile(
    rb"{'descr': '([<>|]\w{1,9})', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,19}, )*\d{0,19},?)\), } *\n"
)


@contextlib.contextmanager
def opened(path: str) -> Iterator[Archive]:
    """The archive at a path, which may be anything.

    Raises
    ------
    OSError
        The system does not let us read it, or it is no regular file.
    Exception
        Of whatever kind: it is no archive of arrays, or damaged.
    """
    with _Pieces(io.FileIO(path, opener=_open)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.ESPIPE, "it is no regular file")
        try:
            members = zipfile.ZipFile(file)
        except zipfile.BadZipFile as exc:
            if isinstance(exc.__context__, OSError):  # which zipfile takes for a bad file
                raise exc.__context__ from None
            raise
        with members:
            yield Archive(members, status.st_size)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)  # nobody may ever write into a FIFO


class _Pieces(io.BufferedReader):
    """A file that is read in pieces, of which the list of members is the largest."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > DIRECTORY:
            raise ValueError(f"its list of members says it takes {size} bytes")
        return super().read(size)


class Archive:
    """Members of a zip file that hold an array each."""

    def __init__(self, file: zipfile.ZipFile, size: int) -> None:
        self._file, self._members = file, {info.filename: info for info in file.infolist()}
        if len(self._members) < len(file.infolist()):
            raise ValueError("it has two members of one name")
        end = 0
        for info in sorted(file.infolist(), key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise ValueError(f"{info.filename} overlaps another member")
            end = info.header_offset + LOCAL + info.compress_size
            _check_size(info)
        if end > size:
            raise ValueError("it is shorter than its members")

    def header(self) -> Any:
        """The value of the JSON in the member "header", an array of bytes."""
        room = self._look("header", np.dtype(np.uint8), None)
        if room > TEXT:
            raise ValueError(f"its header has {room} bytes; wanted at most {TEXT}")
        return parse(self.array("header").tobytes())

    def check(self, shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype[Any]) -> None:
        """Refuse an archive whose arrays beside the header are not these, before any is read."""
        for name, shape in shapes.items():
            self._look(name, dtype, shape)
        unknown = self._members.keys() - {f"{name}.npy" for name in ("header", *shapes)}
        if unknown:
            raise ValueError(f"it has {min(unknown)} too, which its header says nothing of")

    def array(self, name: str) -> Array:
        """An array, once it was looked at."""
        with self._file.open(f"{name}.npy") as member:
            array: Array = np.lib.format.read_array(member, allow_pickle=False)
            if member.read(1):  # zipfile compares its checksum only at the member's very end
                raise ValueError(f"{name} is longer than it says")
        return array

    def _look(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...] | None) -> int:
        """Compare a member's own words on its array with what is wanted; None: any vector."""
        with self._file.open(f"{name}.npy") as member:
            got, found, start = _described(name, member.read(PREAMBLE))
        room = self._members[f"{name}.npy"].file_size - start
        if got != dtype:
            raise DtypeError(f"{name}: got dtype {got}; wanted {dtype}")
        if shape is None:
            shape = (room,)
        if found != shape:
            raise ShapeError(f"{name}: got shape {found}; wanted {shape}")
        if room != math.prod(shape) * dtype.itemsize:
            raise ShapeError(f"{name}: got {room} bytes; wanted those of {dtype} in {shape}")
        return room


def _check_size(info: zipfile.ZipInfo) -> None:
    """What a member says of its size is possible."""
    most = {
        zipfile.ZIP_STORED: info.compress_size,
        zipfile.ZIP_DEFLATED: info.compress_size * RATIO,
    }.get(info.compress_type)
    if most is None:
        raise ValueError(f"{info.filename} is compressed in a way that arrays are not")
    if info.file_size > most:
        raise ValueError(
            f"{info.filename} says it has {info.file_size} bytes, of {info.compress_size} in the "
            "file"
        )


def _described(name: str, start: bytes) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """An array's dtype and shape, and where its numbers begin, from the start of its member."""
    at = 10 if start[6:7] == b"\1" else 12  # versions 2 and 3 have a longer length
    end = at + int.from_bytes(start[8:at], "little")
    found = DESCRIBED.fullmatch(start, at, end)
    if start[:6] != b"\x93NUMPY" or found is None:
        raise ValueError(f"{name} is no array of numbers")
    shape = tuple(int(n) for n in found[2].split(b",") if n.strip())
    return np.dtype(found[1].decode()), shape, end


def check_names(names: Collection[str]) -> None:
    """Refuse names that the list of members cannot hold."""
    sizes = [len(f"{name}.npy".encode()) for name in names]
    if max(sizes) > NAME or any("\0" in name for name in names):
        raise ValueError(f"it has a name with a null character or of more than {NAME} bytes")
    if sum(sizes) + ENTRY * len(sizes) > DIRECTORY:
        raise ValueError(f"the names of its {len(sizes)} arrays take more than {DIRECTORY} bytes")


def parse(text: bytes) -> Any:
    """The value of a JSON text of moderate size: what a file may keep of a network."""
    if len(text) > TEXT:
        raise ValueError(f"its header has {len(text)} bytes; wanted at most {TEXT}")
    # looked at before it is parsed, which recurses, and makes objects that are larger than the text
    marks = np.frombuffer(text.replace(rb"\\", b"").replace(rb"\"", b""), np.uint8)
    marks = marks[np.cumsum(marks == ord('"'), dtype=np.uint8) % 2 == 0]  # what is in no string
    down, up = (marks == ord("[")) | (marks == ord("{")), (marks == ord("]")) | (marks == ord("}"))
    values = np.count_nonzero(down) + np.count_nonzero(marks == ord(","))
    if values > VALUES:
        raise ValueError(f"its header has {values} values; wanted at most {VALUES}")
    depth = np.cumsum(np.where(down[down | up], 1, -1)).max(initial=0)
    if depth > DEPTH:
        raise ValueError(f"its header is nested {depth} deep; wanted at most {DEPTH}")
    return json.loads(text.decode(), parse_int=_whole)


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:  # Python itself refuses thousands, and to print them
        raise ValueError(f"it has a whole number of {len(digits)} digits; wanted at most {DIGITS}")
    return int(digits)
