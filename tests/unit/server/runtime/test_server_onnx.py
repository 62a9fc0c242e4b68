from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from plain_repository import (
    TABLE,
    WITHOUT_BF16,
    WITHOUT_BYTES,
    dot_product_graph,
    failing_graph,
    fixed_shape_graph,
    identity_graph,
)

from server.runtime.instruction_set import this_machine
from server.runtime.onnx import OnnxBackend, Threads
from server.runtime.session import CannotLoad, RunFailed, Session
from server.tensors import DataType, TensorSpec

BACKEND = OnnxBackend()
ALL_BUT_BF16 = BACKEND.load(identity_graph())
ALL_BUT_BYTES = BACKEND.load(identity_graph(WITHOUT_BYTES))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def values(datatype: DataType, rows: int, seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    if datatype is DataType.BYTES:
        return np.array([["", "Zürich"]] * rows, dtype=object)
    if datatype is DataType.BOOL:
        return rng.random((rows, 2)) < 0.5
    return np.frombuffer(rng.bytes(rows * 2 * datatype.dtype.itemsize), datatype.dtype).reshape(rows, 2)


@pytest.mark.parametrize(
    ("session", "datatypes"), [(ALL_BUT_BF16, WITHOUT_BF16), (ALL_BUT_BYTES, WITHOUT_BYTES)], ids=["BYTES", "BF16"]
)
@pytest.mark.parametrize("rows", [1, 3])
def test_every_datatype_goes_in_and_comes_out_to_the_bit(
    session: Session, datatypes: tuple[DataType, ...], rows: int
) -> None:
    feeds = {f"IN_{d.name}": values(d, rows, seed) for seed, d in enumerate(datatypes)}

    results = session.run(feeds, [f"OUT_{d.name}" for d in datatypes])

    for datatype, result in zip(datatypes, results, strict=True):
        sent = feeds[f"IN_{datatype.name}"]
        assert (result.dtype, result.shape) == (datatype.dtype, sent.shape)
        assert result.tolist() == sent.tolist() if datatype is DataType.BYTES else result.tobytes() == sent.tobytes()


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_text_comes_back_whole_with_nul_and_every_plane(texts: list[str]) -> None:
    array = np.array(texts, dtype=object).reshape(-1, 1)

    (result,) = BACKEND.load(identity_graph([DataType.BYTES])).run({"IN_BYTES": array}, ["OUT_BYTES"])

    assert result.ravel().tolist() == texts


def test_inputs_and_outputs_are_told_with_the_callers_dimensions_as_minus_one() -> None:
    dot, fixed = BACKEND.load(dot_product_graph()), BACKEND.load(fixed_shape_graph())

    assert dot.inputs == tuple(TensorSpec(name, DataType.FP32, (-1, -1)) for name in ("A", "B"))
    assert dot.outputs == (TensorSpec("DOT", DataType.FP32, (-1, 1)), TensorSpec("SUM", DataType.FP32, (-1, -1)))
    assert fixed.inputs == (TensorSpec("X", DataType.FP32, (2, 3)),)


def test_only_the_outputs_asked_for_come_in_their_order() -> None:
    session = BACKEND.load(dot_product_graph())
    feeds = {"A": np.array([[1, 2]], np.float32), "B": np.array([[3, 4]], np.float32)}

    total, dot = session.run(feeds, ["SUM", "DOT"])

    assert total.tolist() == [[4, 6]]
    assert dot.tolist() == [[11]]
    assert len(session.run(feeds, ["DOT"])) == 1


def test_a_failing_run_tells_where_but_no_value_and_the_session_lives_on() -> None:
    session = BACKEND.load(failing_graph())

    with pytest.raises(RunFailed, match="Gather") as caught:
        session.run({"INDEX": np.array([[999983]])}, ["VALUE"])
    assert "999983" not in str(caught.value)
    (value,) = session.run({"INDEX": np.array([[2]])}, ["VALUE"])
    assert value.tolist() == [[TABLE[2]]]


def test_a_backend_with_other_threads_keeps_the_rest() -> None:
    backend = OnnxBackend(Threads(intra_op=1, inter_op=2, spinning=True))

    assert backend.with_threads(4, None).threads == Threads(intra_op=4, inter_op=2, spinning=True)
    assert backend.with_threads(None, 3).threads == Threads(intra_op=1, inter_op=3, spinning=True)
    assert backend.with_threads(None, None) == backend


def test_the_fingerprint_tells_library_version_provider_instruction_set_and_threads() -> None:
    session = OnnxBackend(Threads(2)).load(dot_product_graph())

    assert session.fingerprint.startswith(f"onnxruntime {version('onnxruntime')} CPUExecutionProvider {this_machine()}")
    assert session.fingerprint.endswith(" threads=2x1")


def test_independent_nodes_may_be_computed_at_the_same_time() -> None:
    session = OnnxBackend(Threads(intra_op=1, inter_op=2, spinning=True)).load(dot_product_graph())
    feeds = {"A": np.array([[1, 2]], np.float32), "B": np.array([[3, 4]], np.float32)}

    assert [array.tolist() for array in session.run(feeds, ["SUM", "DOT"])] == [[[4, 6]], [[11]]]


@pytest.mark.parametrize("graph", [b"", b"not a graph", dot_product_graph()[:-20]])
def test_a_damaged_graph_does_not_load(graph: bytes) -> None:
    with pytest.raises(CannotLoad):
        BACKEND.load(graph)


def graph_of(element: int, *nodes: Any, constants: tuple[Any, ...] = ()) -> bytes:
    x, y = (helper.make_tensor_value_info(name, element, ["n", 2]) for name in ("X", "Y"))
    graph = helper.make_graph(list(nodes), "g", [x], [y], list(constants))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return model


def test_a_tensor_type_that_the_protocol_lacks_is_named() -> None:
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n"])
    y = helper.make_tensor_sequence_value_info("Y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("SequenceConstruct", ["X"], ["Y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    with pytest.raises(
        CannotLoad, match=r"'Y' is a seq\(tensor\(float\)\): the inference protocol has no such datatype"
    ):
        BACKEND.load(model.SerializeToString())


def test_an_operator_that_the_runtime_lacks_does_not_load() -> None:
    with pytest.raises(CannotLoad, match="acme"):
        BACKEND.load(graph_of(TensorProto.FLOAT, helper.make_node("Magic", ["X"], ["Y"], domain="acme")))


def test_bf16_and_text_in_one_graph_do_not_load() -> None:
    with pytest.raises(CannotLoad, match="BF16 and string tensors in one graph"):
        BACKEND.load(identity_graph(tuple(DataType)))
