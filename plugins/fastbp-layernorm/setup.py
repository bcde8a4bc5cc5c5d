"""Lists the compiled module; everything else stands in pyproject.toml."""

from setuptools import Extension, setup

# The folder holds copies of fastbp's plugin.h and plugin.pxd: fastbp is not needed to build.
extension = Extension(
    "fastbp_layernorm._layernorm",
    ["src/fastbp_layernorm/_layernorm.pyx"],
    include_dirs=["include"],
    depends=["include/fastbp/plugin.h", "include/fastbp/plugin.pxd", "include/fastbp/__init__.pxd"],
)
# Not cythonize(): it would leave the .pyx file out of the sdist.
extension.cython_directives = {"language_level": 3, "cdivision": True}

setup(ext_modules=[extension])
