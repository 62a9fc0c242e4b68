"""ModelConfig and ServerMetadata: what the server says of itself is what it does."""

from __future__ import annotations

from contract_repository import FIXED, IDENTITY, SCORECARD
from credence.inference import grpc_service_pb2 as pb
from credence.inference import model_config_pb2 as config_pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from wire_requests import TIMEOUT_S


def config(inference: GRPCInferenceServiceStub, name: str) -> config_pb.ModelConfig:
    return inference.ModelConfig(pb.ModelConfigRequest(name=name), timeout=TIMEOUT_S).config


def test_a_model_of_rows_has_its_bound_and_dims_without_the_rows(inference: GRPCInferenceServiceStub):
    dot = config(inference, "dot")
    assert (dot.name, dot.platform, dot.backend, dot.max_batch_size) == ("dot", "onnxruntime_onnx", "onnxruntime", 4096)
    assert [(each.name, list(each.dims)) for each in dot.input] == [("A", [-1]), ("B", [-1])]
    assert dot.input[0].data_type == config_pb.TYPE_FP32
    assert [(group.count, group.kind) for group in dot.instance_group] == [(1, config_pb.ModelInstanceGroup.KIND_CPU)]
    assert list(dot.version_policy.specific.versions) == [3]
    assert dot.HasField("dynamic_batching")
    assert not dot.dynamic_batching.max_queue_delay_microseconds


def test_a_model_without_rows_has_all_its_dims_and_no_batches(inference: GRPCInferenceServiceStub):
    fixed = config(inference, FIXED)
    metadata = inference.ModelMetadata(pb.ModelMetadataRequest(name=FIXED), timeout=TIMEOUT_S)
    assert fixed.max_batch_size == 0
    assert not fixed.HasField("dynamic_batching")
    assert [list(each.dims) for each in fixed.input] == [list(each.shape) for each in metadata.inputs]


def test_every_datatype_has_tritons_name_for_it(inference: GRPCInferenceServiceStub):
    metadata = inference.ModelMetadata(pb.ModelMetadataRequest(name=IDENTITY), timeout=TIMEOUT_S)
    expected = {t.name: f"TYPE_{t.datatype}".replace("TYPE_BYTES", "TYPE_STRING") for t in metadata.inputs}
    named = {each.name: config_pb.DataType.Name(each.data_type) for each in config(inference, IDENTITY).input}
    assert named == expected


def test_a_scorecard_is_configured_as_its_graph(inference: GRPCInferenceServiceStub):
    assert {each.name for each in config(inference, SCORECARD).output} == {"probability_of_default"}


def test_the_extensions_named_are_those_that_are_there(inference: GRPCInferenceServiceStub):
    named = inference.ServerMetadata(pb.ServerMetadataRequest(), timeout=TIMEOUT_S).extensions
    assert list(named) == ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
