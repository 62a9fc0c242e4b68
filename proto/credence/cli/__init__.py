"""The `credence` command. Its libraries are the extra `cli`; importing the client never loads them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_EXTRA = ("typer", "rich", "pyarrow")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and exits: 0 done, 1 something failed, 2 wrong usage or the extra is not installed."""
    try:
        from credence.cli.app import run  # noqa: PLC0415  # the extra may be absent
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA:
            raise
        print("credence: the command needs more packages: pip install 'credence-client[cli]'", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    sys.exit(run(arguments))
