"""Memory that closed sessions leave with the allocator, given back to the system.

glibc keeps what is freed in the arena of the thread that asked for it. A session's weights are hundreds of small pieces among
others, so a server that loads the shipped champion again and again would settle 40 MB above what it uses.
"""

from __future__ import annotations

import ctypes


def return_freed_memory() -> None:
    """Returns whole free pages; takes milliseconds, without the GIL. Does nothing where the C library has no malloc_trim."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
