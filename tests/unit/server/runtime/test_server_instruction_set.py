from __future__ import annotations

import pytest

from server.runtime.instruction_set import instruction_set

X86 = "processor\t: 0\nflags\t\t: fpu sse2 fma avx avx2 avx512f hypervisor\n\nprocessor\t: 1\nflags\t\t: fpu\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp sve i8mm bf16\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "told"),
    [
        ("x86_64", X86, "x86_64+avx+avx2+fma+avx512f"),
        ("aarch64", ARM, "aarch64+asimddp+i8mm+sve+bf16"),
        ("arm64", "", "arm64"),
    ],
)
def test_the_instruction_set_names_what_kernels_are_chosen_by(machine: str, cpuinfo: str, told: str) -> None:
    assert instruction_set(machine, cpuinfo) == told
