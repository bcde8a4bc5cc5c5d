"""Lists the compiled module; everything else stands in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "fastbp_huber._huber",
            ["src/fastbp_huber/_huber.c"],
            include_dirs=["include"],  # a copy of fastbp's plugin.h: fastbp is not needed to build
            depends=["include/fastbp/plugin.h", "src/fastbp_huber/body.h"],
        )
    ]
)
