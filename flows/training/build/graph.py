"""The graphs of a build: raw features in, one input each, the module's answer out.

    feature inputs [n, 1] ─▶ lookups (built by hand: strings, codes) ─▶ core (exported by torch) ─▶ outputs [n, ...]

The same module and encoder give the same bytes: names are fixed, and what the exporter adds about the machine, the source and
the time (paths, stack traces, doc strings, metadata) is taken out.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto, compose, helper
from torch import nn

from flows.training.build.lookups import CATEGORIES, NUMBERS, feature_inputs, lookup_fragment
from flows.training.model.encoding import Encoder
from flows.training.model.scoring import ScoringModule

PROBABILITY = "probability_of_default"

# What ONNX Runtime 1.20 and every later one reads, and what torch exports without converting.
OPSET = 18
ML_OPSET = 3
IR_VERSION = 8
_CORE = "core/"
# More than one row, so that the number of rows stays open.
_EXAMPLE_ROWS = 3


class GraphError(Exception):
    """The module and the schema do not make a graph. The message says why."""


def build_score_graph(module: ScoringModule, encoder: Encoder) -> bytes:
    """The graph that scores: output probability_of_default FP32 [n, 1], calibrated.

    Raises:
        GraphError: a feature has the name of an output, or the module does not export.
    """
    return build_graph(module, encoder, (PROBABILITY,))


def build_graph(core: nn.Module, encoder: Encoder, outputs: Sequence[str]) -> bytes:
    """Joins the encoder's lookups and a module into one ONNX model.

    Args:
        core: takes numbers FP32 [n, R] and categories INT64 [n, C]; gives one tensor per output, in their order.
        encoder: how raw features become those two.
        outputs: names of the graph's outputs, each [n, ...].

    Returns:
        The serialized model, the same bytes for the same arguments.

    Raises:
        GraphError: a feature has the name of an output, or the module does not export.
    """
    taken = sorted({feature.name for feature in encoder.features} & set(outputs))
    if taken:
        raise GraphError(f"features {', '.join(taken)}: the graph has an output of that name")
    model = _join(encoder, _export(core, encoder, outputs))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _export(core: nn.Module, encoder: Encoder, outputs: Sequence[str]) -> ModelProto:
    example = (
        torch.zeros(_EXAMPLE_ROWS, len(encoder.numbers)),
        torch.zeros(_EXAMPLE_ROWS, len(encoder.categories), dtype=torch.int64),
    )
    rows = {0: torch.export.Dim("n", min=1)}
    with _quiet_exporter():
        program = torch.onnx.export(
            core.eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=[NUMBERS, CATEGORIES],
            output_names=list(outputs),
            dynamic_shapes=(rows, rows),
            verbose=False,
        )
    if program is None:
        raise GraphError(f"{type(core).__name__} does not export to ONNX")
    return program.model_proto


def _join(encoder: Encoder, core: ModelProto) -> ModelProto:
    lookups = lookup_fragment(encoder)
    graph = _prefixed(core).graph
    joined = helper.make_graph(
        nodes=[*lookups.nodes, *graph.node],
        name="credence",
        inputs=feature_inputs(encoder.features),
        outputs=graph.output,
        initializer=[*lookups.constants, *graph.initializer],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model: ModelProto = helper.make_model(joined, opset_imports=opsets, ir_version=IR_VERSION, producer_name="credence")
    return model


def _prefixed(core: ModelProto) -> ModelProto:
    """The core with its inner values under a prefix, so that none meets a feature's name, and without the exporter's notes."""
    unexpected = [f.name for f in core.functions] + [
        o.domain for o in core.opset_import if o.domain not in {"", "ai.onnx"}
    ]
    if unexpected:
        raise GraphError(f"the exported module needs operators beyond ONNX's own: {', '.join(unexpected)}")
    model: ModelProto = compose.add_prefix(core, _CORE, rename_inputs=False, rename_outputs=False)
    _strip(model.graph)
    return model


def _strip(graph: GraphProto) -> None:
    for number, node in enumerate(graph.node):
        _strip_node(node, number)
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.ClearField("doc_string")
        value.ClearField("metadata_props")


def _strip_node(node: NodeProto, number: int) -> None:
    node.name = f"{_CORE}{node.op_type}_{number}"
    node.ClearField("doc_string")
    node.ClearField("metadata_props")


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter reports its progress as warnings of its loggers; what goes wrong it raises."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Both inputs share the axis "n", as they should.
            warnings.filterwarnings("ignore", message="# The axis name: n will not be used")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
