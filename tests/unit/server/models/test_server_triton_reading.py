from __future__ import annotations

import pytest

from server.models.triton.config import (
    ConfiguredTensor,
    Filling,
    InvalidConfig,
    TritonConfig,
    WarmupInput,
    WarmupSample,
)
from server.models.triton.reading import read_config
from server.models.version_policy import ALL, VersionPolicy
from server.tensors import DataType

TENSOR = 'name: "A" data_type: TYPE_FP32 dims: [ 2 ]'
SAMPLE = 'name: "first" batch_size: 1 inputs { key: "A" value { data_type: TYPE_FP32 dims: [ 2 ] zero_data: true } }'


def warmup(before: str, after: str) -> str:
    """A sample that is right, but for this."""
    return f"model_warmup {{ {SAMPLE.replace(before, after)} }}"


def read(text: str) -> TritonConfig:
    return read_config("dot", text.encode())


def refusal(text: str) -> str:
    with pytest.raises(InvalidConfig) as refused:
        read(text)
    return str(refused.value)


def test_an_empty_configuration_says_nothing() -> None:
    assert read("") == TritonConfig()


def test_what_applies_is_taken_over() -> None:
    config = read(
        """
        name: "dot"  # the folder's
        platform: "onnxruntime_onnx"
        backend: "onnxruntime"
        max_batch_size: 8
        default_model_filename: "graph.onnx"
        input [ { name: "A" data_type: TYPE_FP32 dims: [ 1, -1 ] reshape: { shape: [ -1 ] } },
                { name: "B" data_type: TYPE_STRING dims: 3 } ]
        output { name: "DOT" data_type: TYPE_BF16 dims: [ 1 ] reshape: { shape: [] } }
        instance_group [ { kind: KIND_GPU } ]
        parameters { key: "intra_op_thread_count" value { string_value: "4" } }
        version_policy { specific { versions: [ 1, 3 ] } }
        dynamic_batching { default_queue_policy { default_timeout_microseconds: 250000 } }
        model_warmup [ {
          name: "first" batch_size: 2
          inputs { key: "A" value { data_type: TYPE_FP32 dims: [ 1, 4 ] random_data: true } }
          inputs { key: "B" value { data_type: TYPE_STRING dims: 3 input_data_file: "texts" } }
        } ]
        """
    )
    warmup = {
        "A": WarmupInput(DataType.FP32, (1, 4), Filling.RANDOM),
        "B": WarmupInput(DataType.BYTES, (3,), Filling.FILE, "texts"),
    }
    assert config == TritonConfig(
        max_batch_size=8,
        inputs=(
            ConfiguredTensor("A", DataType.FP32, (1, -1), (-1,)),
            ConfiguredTensor("B", DataType.BYTES, (3,)),
        ),
        outputs=(ConfiguredTensor("DOT", DataType.BF16, (1,), ()),),
        version_policy=VersionPolicy(specific=frozenset({1, 3})),
        graph_file="graph.onnx",
        timeout_s=0.25,
        needs_gpu=True,
        intra_op_threads=4,
        warmup=(WarmupSample("first", 2, 1, warmup),),
    )


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("version_policy { all {} }", ALL),
        ("version_policy { latest { num_versions: 2 } }", VersionPolicy(latest=2)),
        ("version_policy {}", None),
    ],
)
def test_a_version_policy_is_taken_over(text: str, policy: VersionPolicy | None) -> None:
    assert read(text).version_policy == policy


def test_fields_without_effect_are_listed() -> None:
    text = """instance_group [ { count: 4 } ] dynamic_batching { max_queue_delay_microseconds: 100 }
        parameters { key: "execution_mode" value { string_value: "1" } }"""
    assert sorted(read(text).unheeded) == [
        "dynamic_batching.max_queue_delay_microseconds",
        "instance_group[0].count",
        'parameters["execution_mode"]',
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sequence_batching {}", "sequence_batching is not offered: every request stands alone"),
        ("ensemble_scheduling { step { model_name: 'a' } }", "ensemble_scheduling is not offered"),
        ("model_transaction_policy { decoupled: true }", "model_transaction_policy.decoupled is not offered"),
        ("model_operations { op_library_filename: 'a.so' }", "model_operations is not offered"),
        ("instance_group { passive: true }", "instance_group[0].passive is not offered"),
        ("optimization { execution_accelerators {} }", "optimization.execution_accelerators is not offered"),
        ("name: 'sum'", "name is 'sum', expected 'dot'"),
        ("backend: 'python'", "backend is 'python', expected 'onnxruntime'"),
        ("platform: 'tensorflow_savedmodel'", "platform is 'tensorflow_savedmodel', expected 'onnxruntime_onnx'"),
        ("max_batch_size: -1", "max_batch_size is -1"),
        ("default_model_filename: '../model.onnx'", "default_model_filename '../model.onnx' is not the name of a file"),
        ("dynamic_batching { default_queue_policy { timeout_action: DELAY } }", "timeout_action is DELAY"),
        ("parameters { key: 'intra_op_thread_count' value {} }", "parameters[\"intra_op_thread_count\"] is ''"),
        ("parameters { key: 'inter_op_thread_count' value { string_value: '-1' } }", "expected a number from 1"),
        ("version_policy { latest {} }", "version_policy: "),
        ("version_policy { specific {} }", "version_policy: "),
        (f"input {{ {TENSOR} }} input {{ {TENSOR} }}", "input[1].name 'A' is there twice"),
        ("output { data_type: TYPE_FP32 dims: 1 }", "output[0].name is missing"),
        ("input { name: 'A' dims: 1 }", "input[0].data_type is missing"),
        ("input { name: 'A' data_type: TYPE_FP32 dims: [ 2, 0 ] }", "input[0].dims is [2, 0]"),
        ("input { name: 'A' data_type: TYPE_FP32 dims: -2 }", "input[0].dims is [-2]"),
        (f"input {{ {TENSOR} reshape {{ shape: [ 3 ] }} }}", "input[0].reshape: dims and shape hold different"),
        (f"input {{ {TENSOR} reshape {{ shape: [ -1 ] }} }}", "[2] and [-1]"),
        (
            warmup("1 inputs", "2 inputs"),
            "model_warmup[0].batch_size is 2, expected 1 to 1",
        ),
        ("max_batch_size: 4 " + warmup("size: 1", "size: 5"), "expected 1 to 4"),
        (warmup("zero_data: true", ""), 'model_warmup[0].inputs["A"]: give zero_data'),
        (warmup("2 ]", "-1 ]"), 'inputs["A"].dims is [-1]'),
        (warmup("zero_data: true", "input_data_file: '../secret'"), "not the name of a file"),
    ],
)
def test_what_is_wrong_or_not_offered_is_named(text: str, says: str) -> None:
    assert refusal(text).startswith("config.pbtxt: ")
    assert says in refusal(text)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    said = refusal("max_batch_size: -1 sequence_batching {} input { optional: true }")
    for path in ("sequence_batching", "max_batch_size", "input[0].optional", "input[0].name", "input[0].data_type"):
        assert path in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "max_batch_size: 4\nmax_batch: 3",
            'line 2: Message type "inference.ModelConfig" has no field named "max_batch"',
        ),
        ("input {\n data_type: TYPE_FP23 }", "line 2: "),
        ("max_batch_size: 1 max_batch_size: 2", "should not have multiple"),
        ("sequence_batching {}\ndynamic_batching {}", "line 2: "),
        ("input [ {", "line 1: "),
    ],
)
def test_text_that_does_not_parse_is_told_by_its_line(text: str, says: str) -> None:
    assert says in refusal(text)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="not UTF-8"):
        read_config("dot", b"\xff\xfe")
