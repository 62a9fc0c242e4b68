"""What rounding on a GPU depends on, for the fingerprint."""

from __future__ import annotations

from server.runtime.cuda import CudaBindings, CudaFailed


def gpu_identity(device_id: int) -> str:
    """Name, compute capability and driver of a GPU; without the means to ask, only its number."""
    try:
        gpu = CudaBindings(device_id).gpu()
    except CudaFailed:
        return f"GPU {device_id}"
    return f"{gpu.name} sm_{gpu.compute_capability} driver {gpu.cuda_driver}"
