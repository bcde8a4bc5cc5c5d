"""What is left out, refused or not measured is said on stderr, and kept out of the tables."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    print(f"peers: {text}", file=sys.stderr, flush=True)
