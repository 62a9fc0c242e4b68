"""A Triton repository with config.pbtxt files: what applies does, and what does not is said."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from altered_graphs import slowed
from credence.inference import grpc_service_pb2 as pb
from credence.inference import model_config_pb2 as config_pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from plain_repository import dot_product_graph, write_plain
from server_process import RunningServer, serving
from wire_errors import seen
from wire_requests import TIMEOUT_S, dot_request, raw_output

_RESHAPED = """
max_batch_size: 4
input [ { name: "A" data_type: TYPE_FP32 dims: [ 2, 3 ] reshape: { shape: [ 6 ] } },
        { name: "B" data_type: TYPE_FP32 dims: [ 6 ] } ]
output [ { name: "DOT" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ 1 ] } } ]
"""
_CONFIGS = {
    "both": "max_batch_size: 4 version_policy { all {} }",
    "four": 'name: "four" backend: "onnxruntime" max_batch_size: 4 instance_group [ { count: 2 } ]',
    "single": "",
    "hasty": "max_batch_size: 4 dynamic_batching { default_queue_policy { default_timeout_microseconds: 100000 } }",
    "sequence": "max_batch_size: 4 sequence_batching { max_sequence_idle_microseconds: 1000 }",
    "other": 'input { name: "Z" data_type: TYPE_FP32 dims: [ -1, -1 ] }',
    "typo": "max_batch_size: 4\nmax_batch: 3",
    "gpu": "max_batch_size: 4 instance_group [ { kind: KIND_GPU } ]",
    "threaded": 'parameters { key: "intra_op_thread_count" value { string_value: "2" } }',
    "warm": """max_batch_size: 4 default_model_filename: "graph.onnx"
        model_warmup { name: "w" batch_size: 4
            inputs { key: "A" value { data_type: TYPE_FP32 dims: 2 random_data: true } }
            inputs { key: "B" value { data_type: TYPE_FP32 dims: 2 input_data_file: "ones" } } }""",
}


@pytest.fixture(scope="module")
def configured(data_plane: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("configured")
    for name, config in _CONFIGS.items():
        graph = slowed(dot_product_graph(), "DOT", 0.03) if name == "hasty" else dot_product_graph()
        write_plain(root, name, graph, *((1, 3) if name == "both" else (1,)))
        (root / name / "config.pbtxt").write_text(config)
    (root / "warm" / "1" / "model.onnx").rename(root / "warm" / "1" / "graph.onnx")
    (root / "warm" / "warmup").mkdir()
    (root / "warm" / "warmup" / "ones").write_bytes(b"\0\0\x80\x3f" * 2)
    write_reshaped(root)
    write_plain(root, "folder", dot_product_graph(), 1)
    (root / "folder" / "config.pbtxt").mkdir()
    with serving(root, tmp_path_factory.mktemp("configured-log") / "stderr", *data_plane) as running:
        yield running


def write_reshaped(root: Path) -> None:
    write_plain(root, "reshaped", dot_product_graph(), 1)
    (root / "reshaped" / "config.pbtxt").write_text(_RESHAPED)


@pytest.fixture
def stub(configured: RunningServer) -> Iterator[GRPCInferenceServiceStub]:
    with grpc.insecure_channel(configured.target) as channel:
        yield GRPCInferenceServiceStub(channel)


def config(stub: GRPCInferenceServiceStub, name: str) -> config_pb.ModelConfig:
    return stub.ModelConfig(pb.ModelConfigRequest(name=name), timeout=TIMEOUT_S).config


def statistics(stub: GRPCInferenceServiceStub, name: str) -> pb.ModelStatistics:
    (kept,) = stub.ModelStatistics(pb.ModelStatisticsRequest(name=name), timeout=TIMEOUT_S).model_stats
    return kept


def test_a_batch_size_bounds_calls_and_runs(stub: GRPCInferenceServiceStub):
    assert config(stub, "four").max_batch_size == 4
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(dot_request([[1, 1]] * 5, [[1, 1]] * 5, "four"), timeout=TIMEOUT_S)
    assert (seen(refused.value).reason, "limit is 4" in seen(refused.value).message) == ("TOO_MANY_ROWS", True)
    with ThreadPoolExecutor(16) as pool:
        list(
            pool.map(lambda _: stub.ModelInfer(dot_request([[1, 1]], [[1, 1]], "four"), timeout=TIMEOUT_S), range(200))
        )
    assert max(batch.batch_size for batch in statistics(stub, "four").batch_stats) <= 4


def test_the_versions_that_the_configuration_names_serve(stub: GRPCInferenceServiceStub):
    assert list(config(stub, "both").version_policy.specific.versions) == [1, 3]
    for asked, answers in (("", "3"), ("1", "1"), ("3", "3")):
        request = dot_request([[1, 1]], [[1, 1]], "both", model_version=asked)
        assert stub.ModelInfer(request, timeout=TIMEOUT_S).model_version == answers


def test_without_a_batch_size_no_run_is_shared(stub: GRPCInferenceServiceStub):
    assert config(stub, "single").max_batch_size == 0
    assert list(config(stub, "single").input[0].dims) == [-1, -1]
    with ThreadPoolExecutor(16) as pool:
        list(
            pool.map(
                lambda _: stub.ModelInfer(dot_request([[1, 1]], [[1, 1]], "single"), timeout=TIMEOUT_S), range(200)
            )
        )
    kept = statistics(stub, "single")
    assert kept.execution_count == kept.inference_stats.success.count == 200


def test_tensors_are_reshaped_on_the_way_in_and_out(stub: GRPCInferenceServiceStub):
    a = [[[n, 1, 1], [1, 1, 1]] for n in range(3)]
    answer = stub.ModelInfer(dot_request(a, [[1] * 6] * 3, "reshaped"), timeout=TIMEOUT_S)
    assert raw_output(answer, "DOT", "<f4").tolist() == [[5 + n] for n in range(3)]
    assert [output.name for output in answer.outputs] == ["DOT"]
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="reshaped"), timeout=TIMEOUT_S)
    assert [list(tensor.shape) for tensor in metadata.inputs] == [[-1, 2, 3], [-1, 6]]
    described = config(stub, "reshaped").input[0]
    assert (list(described.dims), list(described.reshape.shape)) == ([2, 3], [6])


def test_rows_that_the_graph_would_take_and_the_configuration_does_not_are_refused(stub: GRPCInferenceServiceStub):
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(dot_request([[1] * 6], [[1] * 6], "reshaped"), timeout=TIMEOUT_S)
    assert seen(refused.value).reason == "INVALID_TENSOR"
    assert "the model takes [-1, 2, 3]" in seen(refused.value).message


def test_a_timeout_of_the_configuration_is_a_deadline(stub: GRPCInferenceServiceStub):
    def ask(_: int) -> str:
        try:
            stub.ModelInfer(dot_request([[1, 1]] * 4, [[1, 1]] * 4, "hasty"), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return seen(error).reason
        return "OK"

    with ThreadPoolExecutor(32) as pool:
        outcomes = set(pool.map(ask, range(64)))
    assert "PREDICTED_LATE" in outcomes
    assert outcomes <= {"OK", "PREDICTED_LATE"}
    policy = config(stub, "hasty").dynamic_batching.default_queue_policy
    assert policy.default_timeout_microseconds == 100_000


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sequence", "sequence_batching is not offered: every request stands alone"),
        ("folder", "config.pbtxt: Is a directory"),
        ("gpu", "instance_group.kind is KIND_GPU, the model runs on the cpu"),
        ("other", "input[0].name is 'Z', the graph has 'A', 'B'"),
        ("typo", 'line 2: Message type "inference.ModelConfig" has no field named "max_batch"'),
    ],
)
def test_what_does_not_apply_leaves_the_model_known_and_not_ready(
    configured: RunningServer, stub: GRPCInferenceServiceStub, name: str, says: str
):
    assert not stub.ModelReady(pb.ModelReadyRequest(name=name), timeout=TIMEOUT_S).ready
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(dot_request([[1]], [[1]], name), timeout=TIMEOUT_S)
    assert seen(refused.value).reason == "MODEL_NOT_READY"
    assert any(line.get("model") == name and says in line.get("reason", "") for line in configured.log())


def test_fields_without_effect_are_in_the_log(configured: RunningServer):
    lines = [line for line in configured.log() if line.get("model") == "four" and "fields" in line]
    assert [line["fields"] for line in lines] == [["instance_group[0].count"]]


def test_a_model_has_the_threads_that_its_configuration_gives_it(stub: GRPCInferenceServiceStub):
    answer = stub.ModelInfer(dot_request([[1, 2]], [[3, 4]], "threaded"), timeout=TIMEOUT_S)
    assert raw_output(answer, "DOT", "<f4").item() == 11
    assert config(stub, "threaded").parameters["intra_op_thread_count"].string_value == "2"


def test_a_model_may_have_another_file_and_is_warmed_as_it_says(stub: GRPCInferenceServiceStub):
    answer = stub.ModelInfer(dot_request([[1, 2]], [[3, 4]], "warm"), timeout=TIMEOUT_S)
    assert raw_output(answer, "DOT", "<f4").item() == 11
    assert config(stub, "warm").default_model_filename == "graph.onnx"
