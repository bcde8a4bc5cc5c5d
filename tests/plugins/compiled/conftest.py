"""Plugins with C bodies, compiled against plugin.h with the system's compiler, once a session."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import fastbp as bp

HERE = Path(__file__).parent

# The module of a distribution with C parts. {library} is the shared library's path.
MODULE = """
import ctypes

LIBRARY = ctypes.CDLL({library!r})
new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
new = new(("PyCapsule_New", ctypes.pythonapi))
set_context = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)
set_context = set_context(("PyCapsule_SetContext", ctypes.pythonapi))


class Orders(ctypes.Structure):
    _fields_ = [("stage", ctypes.c_int32), ("code", ctypes.c_int32), ("countdown", ctypes.c_int32),
                ("message", ctypes.c_char * 600)]


ORDERS = Orders()  # obeyed by all of these parts
NAMES = {{"layer": b"fastbp.layer_v1", "elementwise": b"fastbp.elementwise_v1",
         "loss": b"fastbp.loss_v1"}}


def table(name):
    return ctypes.addressof(ctypes.c_char.in_dll(LIBRARY, name))


def capsule(pointer, name):
    made = new(pointer, name, None)
    set_context(made, ctypes.addressof(ORDERS))
    return made


class Half(Elementwise):
    def __fastbp_elementwise__(self):
        return capsule(table("half"), NAMES["elementwise"])


class Scale(Layer):
    def build(self, n_in, dtype):
        return LayerSpec(n_in, {{"gamma": (n_in,)}}, {{"seen": (1,)}})

    def init(self, params, rng, gain=1.0):
        params["gamma"][...] = 1

    def __fastbp_layer__(self):
        return capsule(table("scale"), NAMES["layer"])


class Squares(Loss):
    def __fastbp_loss__(self):
        return capsule(table("squares"), NAMES["loss"])
"""
ENTRIES = {
    "layers": {"half": "acme_c:Half", "scale": "acme_c:Scale"},
    "losses": {"squares": "acme_c:Squares"},
}


@pytest.fixture(scope="session")
def compiler():
    """The system's C compiler."""
    found = shutil.which(os.environ.get("CC", "cc"))
    if found is None:
        pytest.skip("no C compiler: `cc` is not on the path and CC names none")
    return found


@pytest.fixture(scope="session")
def compile_library(tmp_path_factory, compiler):
    """compile_library(source, *folders): a shared library's path; plugin.h is looked for there."""
    made = {}

    def compile_library(source, *folders):
        folders = folders or (bp.get_include(),)
        if (source, folders) not in made:
            library = tmp_path_factory.mktemp("compiled") / "parts.so"
            include = [f"-I{folder}" for folder in (*folders, HERE)]
            subprocess.run(
                [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-fPIC",
                 "-shared", *include, str(source), "-lm", "-o", str(library)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            made[source, folders] = library
        return made[source, folders]

    return compile_library


@pytest.fixture
def install_c(site, compile_library):
    """install_c(more="", source=..., **entries): the distribution acme-c 3.0; its module."""

    def install_c(more="", source=HERE / "parts.c", *folders, **entries):
        library = str(compile_library(source, *folders))
        site.install("acme-c", "3.0", MODULE.format(library=library) + more, **ENTRIES | entries)
        return __import__("acme_c")

    return install_c


@pytest.fixture
def library_of(compile_library):
    """The compiled parts as ctypes sees them."""
    return lambda *arguments: ctypes.CDLL(str(compile_library(*arguments)))
