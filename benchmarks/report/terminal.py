"""Where tables go."""

from __future__ import annotations

from rich.console import Console

_WIDE = 140


def output() -> Console:
    """A terminal as wide as it is; a file or a pipe as wide as our widest table, which would be cut at 80 columns."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDE)
