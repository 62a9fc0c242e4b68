"""How a model is served, as Triton's ModelConfig: what the server does, not what somebody wished for."""

from __future__ import annotations

from credence.inference import model_config_pb2 as pb

from server.engine.served import ServedModel
from server.tensors import DataType, TensorSpec

PLATFORM = "onnxruntime_onnx"
_BACKEND = "onnxruntime"


def write_config(served: ServedModel) -> pb.ModelConfig:
    """The configuration; where rows may share a run, `dims` are without the dimension of rows."""
    session, rows = served.model.session, served.tensors.max_rows
    own_dims = slice(1 if rows else 0, None)
    config = pb.ModelConfig(
        name=served.model.name,
        platform=PLATFORM,
        backend=_BACKEND,
        max_batch_size=rows,
        version_policy=pb.ModelVersionPolicy(latest=pb.ModelVersionPolicy.Latest(num_versions=1)),
        instance_group=[pb.ModelInstanceGroup(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)],
    )
    for spec in session.inputs:
        config.input.add(name=spec.name, data_type=_data_type(spec), dims=spec.shape[own_dims])
    for spec in session.outputs:
        config.output.add(name=spec.name, data_type=_data_type(spec), dims=spec.shape[own_dims])
    if rows:
        # Batches form of what waits when the runtime is free: nothing is delayed, and nobody overtakes.
        config.dynamic_batching.preserve_ordering = True
    return config


def _data_type(spec: TensorSpec) -> str:
    return "TYPE_STRING" if spec.datatype is DataType.BYTES else f"TYPE_{spec.datatype.name}"
