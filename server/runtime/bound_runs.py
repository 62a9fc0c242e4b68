"""Runs of a graph on a GPU with its inputs and outputs bound to buffers there, which are kept from run to run.

On the CPU there is nothing to gain: a bound run of a small graph takes five times as long as a plain one, and strings cannot
be bound.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

from server.runtime.session import Feeds
from server.tensors import Array

# Shapes whose buffers are kept: padded batches have few.
_KEPT = 16


@dataclass(frozen=True, slots=True)
class _Bound:
    binding: Any
    inputs: dict[str, Any]


class BoundRuns:
    """Used by one thread at a time, as a session is.

    Args:
        session: ONNX Runtime's, without string or BF16 tensors.
        device: ONNX Runtime's name of the memory, as `cuda`.
        device_id: of the GPU.
    """

    def __init__(self, session: Any, device: str, device_id: int) -> None:
        self._session = session
        self._device = device, device_id
        self._kept: OrderedDict[Hashable, _Bound] = OrderedDict()

    def run(self, feeds: Feeds, outputs: Sequence[str]) -> list[Array]:
        """Copies the feeds in, runs, and copies the outputs out; the arrays are the caller's."""
        bound = self._bound(feeds, outputs)
        for name, array in feeds.items():
            bound.inputs[name].update_inplace(np.ascontiguousarray(array))
        self._session.run_with_iobinding(bound.binding)
        # In the host's memory the library's arrays would look into its buffers.
        return [np.array(array) for array in bound.binding.copy_outputs_to_cpu()]

    def _bound(self, feeds: Feeds, outputs: Sequence[str]) -> _Bound:
        key = (tuple(outputs), tuple((name, array.shape) for name, array in feeds.items()))
        bound = self._kept.pop(key, None) or self._bind(feeds, outputs)
        self._kept[key] = bound
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return bound

    def _bind(self, feeds: Feeds, outputs: Sequence[str]) -> _Bound:
        binding = self._session.io_binding()
        inputs = {
            name: ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype, *self._device)
            for name, array in feeds.items()
        }
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            # Its shape is known once it has run: the library takes memory from its arena.
            binding.bind_output(name, *self._device)
        return _Bound(binding, inputs)
