"""The instruction set that kernels are chosen by: two machines that differ in it may round differently."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

# Those that ONNX Runtime's kernels (MLAS) dispatch on, as Linux names them on x86-64 and on Arm.
_DISPATCHED = (
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "asimddp",
    "i8mm",
    "sve",
    "sve2",
    "sme",
    "bf16",
)
_CPUINFO = Path("/proc/cpuinfo")


def instruction_set(machine: str, cpuinfo: str) -> str:
    """For example `x86_64+avx+avx2+fma`.

    Args:
        machine: the architecture.
        cpuinfo: the contents of /proc/cpuinfo; empty where there is none.
    """
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    flags = next((value.split() for name, _, value in lines if name.strip() in ("flags", "Features")), [])
    return "+".join((machine, *(flag for flag in _DISPATCHED if flag in flags)))


@cache
def this_machine() -> str:
    """The instruction set of this machine."""
    return instruction_set(platform.machine(), _CPUINFO.read_text() if _CPUINFO.is_file() else "")
