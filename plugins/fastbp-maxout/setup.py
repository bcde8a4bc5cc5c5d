"""Lists the compiled module; everything else stands in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "fastbp_maxout._maxout",
            ["src/fastbp_maxout/_maxout.c"],
            include_dirs=["include"],  # a copy of fastbp's plugin.h: fastbp is not needed to build
            depends=["include/fastbp/plugin.h", "src/fastbp_maxout/body.h"],
        )
    ]
)
