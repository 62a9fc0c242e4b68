"""How a model is served, as Triton's ModelConfig: what the server does, not what somebody wished for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from credence.inference import model_config_pb2 as pb

from server.engine.served import ServedModel
from server.models.interface import Reshape
from server.models.triton.config import TritonConfig
from server.models.triton.reading import INTER_OP_THREADS, INTRA_OP_THREADS
from server.runtime.session import Placement
from server.tensors import DataType, TensorSpec

PLATFORM = "onnxruntime_onnx"
_BACKEND = "onnxruntime"


def write_config(served: ServedModel, versions: Iterable[str]) -> pb.ModelConfig:
    """The configuration; where rows may share a run, `dims` are without the dimension of rows.

    Args:
        served: the version asked for.
        versions: those of the model that serve; digests of builds have no place in a configuration.
    """
    interface, rows = served.model.interface, served.tensors.max_rows
    own_dims = slice(1 if interface.batched else 0, None)
    config = pb.ModelConfig(
        name=served.model.name,
        platform=PLATFORM,
        backend=_BACKEND,
        max_batch_size=rows,
        input=[pb.ModelInput(**_tensor(s, interface.input_reshapes, own_dims)) for s in interface.inputs],
        output=[pb.ModelOutput(**_tensor(s, interface.output_reshapes, own_dims)) for s in interface.outputs],
        instance_group=[_instance(served.model.session.placement)],
    )
    if rows:
        # Batches form of what waits when the runtime is free: nothing is delayed, and nobody overtakes.
        config.dynamic_batching.preserve_ordering = True
    if not served.scorecard:
        config.version_policy.specific.versions.extend(sorted(map(int, versions)))
    if served.model.config:
        _write_configured(served.model.config, config)
    return config


def _instance(placement: Placement) -> pb.ModelInstanceGroup:
    _, _, number = placement.device.partition(":")
    if number:
        return pb.ModelInstanceGroup(count=1, kind=pb.ModelInstanceGroup.KIND_GPU, gpus=[int(number)])
    return pb.ModelInstanceGroup(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)


def _write_configured(configured: TritonConfig, config: pb.ModelConfig) -> None:
    threads = {INTRA_OP_THREADS: configured.intra_op_threads, INTER_OP_THREADS: configured.inter_op_threads}
    for key, count in threads.items():
        if count:
            config.parameters[key].string_value = str(count)
    config.default_model_filename = configured.graph_file
    if configured.timeout_s:
        policy = config.dynamic_batching.default_queue_policy
        policy.default_timeout_microseconds = round(configured.timeout_s * 1e6)


def _tensor(spec: TensorSpec, reshapes: Mapping[str, Reshape], own_dims: slice) -> dict[str, Any]:
    data_type = "TYPE_STRING" if spec.datatype is DataType.BYTES else f"TYPE_{spec.datatype.name}"
    described = {"name": spec.name, "data_type": data_type, "dims": spec.shape[own_dims]}
    reshape = reshapes.get(spec.name)
    return described if reshape is None else {**described, "reshape": pb.ModelTensorReshape(shape=reshape.graph)}
