"""threadpoolctl may limit fastbp as it limits BLAS and OpenMP, where it is installed.

threadpoolctl finds libraries among the files a process has loaded, when a limit is entered, and
knows ours only once it has been told of it. A script that imports both and then writes ``with
threadpool_limits(1):`` before the first use of fastbp can be served in one way alone: by telling
when fastbp is imported.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any


def register() -> None:
    """Tell threadpoolctl of fastbp, as user_api and internal_api "fastbp", if it is installed."""
    try:
        from threadpoolctl import LibController  # type: ignore[import-untyped]
        from threadpoolctl import register as add
    except Exception:  # absent, older than 3.2, or broken: no reason for fastbp to fail
        return

    class FastbpController(LibController):  # type: ignore[misc]
        user_api = "fastbp"
        internal_api = "fastbp"
        # of the compiled module that holds the limit; its two symbols tell it from a namesake
        filename_prefixes = tuple(f"pool{suffix}".lower() for suffix in EXTENSION_SUFFIXES)
        check_symbols = ("fastbp_get_num_threads", "fastbp_set_num_threads")

        def get_num_threads(self) -> Any:
            return self.dynlib.fastbp_get_num_threads()

        def set_num_threads(self, num_threads: int) -> Any:
            return self.dynlib.fastbp_set_num_threads(num_threads)

        def get_version(self) -> str | None:
            # Not imported: it stands above this file and is there when anybody asks.
            return getattr(sys.modules.get("fastbp"), "__version__", None)

    add(FastbpController)
