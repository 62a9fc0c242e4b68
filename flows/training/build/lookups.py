"""The first part of every graph of a build: an Encoder as ONNX nodes, from one [n, 1] input per feature to two tensors.

Each category becomes one LabelEncoder to an index; what several lookups of a feature need is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from flows.training.model.encoding import (
    MISSING_CODE,
    MISSING_ROUNDED,
    ROUNDED_LIMIT,
    CategoryLookup,
    Encoder,
)
from server.models.manifest import Feature

# A feature's name has no "/", so no name in here meets an input's.
NUMBERS = "features/numbers"
CATEGORIES = "features/categories"

_INPUT_TYPE = {
    "number": TensorProto.FLOAT,
    "flag": TensorProto.FLOAT,
    "text": TensorProto.STRING,
    "code": TensorProto.INT64,
}


@dataclass(slots=True)
class Fragment:
    """Nodes and constants in the making. Asking twice for the same value adds it once."""

    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)

    def add(self, operator: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        """Adds a node with one output and gives the output's name."""
        if output not in self._known:
            self._known.add(output)
            node = helper.make_node(
                operator, inputs, [output], name=f"{operator}:{output}", domain=domain, **attributes
            )
            self.nodes.append(node)
        return output

    def constant(self, value: np.generic | np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
        """Adds a constant, named by its type and value, and gives the name."""
        array = np.asarray(value)
        name = f"features/constant/{array.dtype}/{'_'.join(map(str, array.ravel()))}"
        if name not in self._known:
            self._known.add(name)
            self.constants.append(numpy_helper.from_array(array, name))
        return name


def feature_inputs(features: Sequence[Feature]) -> list[ValueInfoProto]:
    """The graph's inputs: one [n, 1] tensor per feature, by its name, in the schema's order."""
    return [helper.make_tensor_value_info(f.name, _INPUT_TYPE[f.type], ["n", 1]) for f in features]


def lookup_fragment(encoder: Encoder) -> Fragment:
    """Nodes from the feature inputs to NUMBERS (FP32 [n, R]) and CATEGORIES (INT64 [n, C])."""
    fragment = Fragment()
    types = {feature.name: feature.type for feature in encoder.features}
    indices = [_index(fragment, lookup, types[lookup.feature]) for lookup in encoder.categories]
    first = encoder.features[0].name
    _join(fragment, list(encoder.numbers), NUMBERS, np.float32(0), first)
    _join(fragment, indices, CATEGORIES, np.int64(0), first)
    return fragment


def _join(fragment: Fragment, columns: list[str], output: str, empty: np.generic, any_input: str) -> None:
    if columns:
        fragment.add("Concat", columns, output, axis=1)
        return
    rows = fragment.add("Shape", [any_input], f"{output}/rows", end=1)
    shape = fragment.add("Concat", [rows, fragment.constant(np.array([0], np.int64))], f"{output}/shape", axis=0)
    fragment.add("ConstantOfShape", [shape], output, value=numpy_helper.from_array(np.array([empty])))


def _index(fragment: Fragment, lookup: CategoryLookup, feature_type: str) -> str:
    text = feature_type == "text"
    value = lookup.feature if text else _INTEGER_VALUES[lookup.operation](fragment, lookup, feature_type)
    # LabelEncoder refuses an empty table; a key without effect stands in for it.
    keys = lookup.keys or (("",) if text else (0,))
    positions = [position + 1 if lookup.keys else 0 for position in range(len(keys))]
    return fragment.add(
        "LabelEncoder",
        [value],
        f"features/{lookup.feature}/index/{lookup.name}",
        domain="ai.onnx.ml",
        default_int64=0,
        values_int64s=positions,
        **{"keys_strings" if text else "keys_int64s": list(keys)},
    )


def _code(fragment: Fragment, lookup: CategoryLookup, feature_type: str) -> str:
    """The code or flag as INT64, -1 where missing."""
    name = f"features/{lookup.feature}"
    value = lookup.feature
    if feature_type == "flag":
        missing = fragment.add("IsNaN", [value], f"{name}/nan")
        known = fragment.add("Where", [missing, fragment.constant(np.float32(MISSING_CODE)), value], f"{name}/known")
        value = fragment.add("Cast", [known], f"{name}/integer", to=TensorProto.INT64)
    return fragment.add("Max", [value, fragment.constant(np.int64(MISSING_CODE))], f"{name}/code")


def _unless_missing(fragment: Fragment, lookup: CategoryLookup, code: str, value: str) -> str:
    missing = fragment.add("Less", [code, fragment.constant(np.int64(0))], f"features/{lookup.feature}/missing")
    return fragment.add("Where", [missing, fragment.constant(np.int64(MISSING_CODE)), value], f"{value}/or_missing")


def _floored(fragment: Fragment, lookup: CategoryLookup, feature_type: str) -> str:
    code = _code(fragment, lookup, feature_type)
    if not lookup.parameter:
        return code
    name = f"features/{lookup.feature}/from_{int(lookup.parameter)}"
    floored = fragment.add("Max", [code, fragment.constant(np.int64(lookup.parameter))], name)
    return _unless_missing(fragment, lookup, code, floored)


def _prefix(fragment: Fragment, lookup: CategoryLookup, feature_type: str) -> str:
    code = _code(fragment, lookup, feature_type)
    divisor = fragment.constant(np.int64(10 ** int(lookup.parameter)))
    name = f"features/{lookup.feature}/without_{int(lookup.parameter)}"
    return _unless_missing(fragment, lookup, code, fragment.add("Div", [code, divisor], name))


def _above(fragment: Fragment, lookup: CategoryLookup, feature_type: str) -> str:
    code = _code(fragment, lookup, feature_type)
    name = f"features/{lookup.feature}/above_{int(lookup.parameter)}"
    exceeds = fragment.add("Greater", [code, fragment.constant(np.int64(lookup.parameter))], f"{name}/exceeds")
    return _unless_missing(fragment, lookup, code, fragment.add("Cast", [exceeds], name, to=TensorProto.INT64))


def _rounded(fragment: Fragment, lookup: CategoryLookup, _: str) -> str:
    step = np.float32(lookup.parameter)
    name = f"features/{lookup.feature}/rounded_{step}"
    steps = fragment.add("Div", [lookup.feature, fragment.constant(step)], f"{name}/steps")
    bounds = [fragment.constant(np.float32(sign * ROUNDED_LIMIT)) for sign in (-1, 1)]
    whole = fragment.add("Round", [fragment.add("Clip", [steps, *bounds], f"{name}/limited")], f"{name}/whole")
    missing = fragment.add("IsNaN", [lookup.feature], f"features/{lookup.feature}/nan")
    known = fragment.add("Where", [missing, fragment.constant(np.float32(MISSING_ROUNDED)), whole], f"{name}/known")
    return fragment.add("Cast", [known], name, to=TensorProto.INT64)


_INTEGER_VALUES = {"value": _floored, "prefix": _prefix, "above": _above, "rounded": _rounded}
