"""The small network that floors and peers are compared on: 32 -> 128 -> 64 -> 1, ReLU, sigmoid, seeded weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NAME = "reference"
INPUT, OUTPUT = "input", "output"
WIDTH = 32
_LAYERS = (WIDTH, 128, 64, 1)
_SEED = 20


def write_repository(root: Path) -> Path:
    """Writes the model as a plain Triton repository under `root` and gives the path of its graph."""
    path = root / NAME / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(_model(), path)
    return path


def _model() -> onnx.ModelProto:
    random = np.random.default_rng(_SEED)
    nodes, weights, current = [], [], INPUT
    for layer, (fan_in, fan_out) in enumerate(pairwise(_LAYERS)):
        matrix = random.normal(scale=fan_in**-0.5, size=(fan_in, fan_out)).astype(np.float32)
        weights += [
            numpy_helper.from_array(matrix, f"w{layer}"),
            numpy_helper.from_array(np.zeros(fan_out, np.float32), f"b{layer}"),
        ]
        last = layer == len(_LAYERS) - 2
        following = OUTPUT if last else f"a{layer}"
        nodes.append(helper.make_node("Gemm", [current, f"w{layer}", f"b{layer}"], [f"h{layer}"]))
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"h{layer}"], [following]))
        current = following
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", 1])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
