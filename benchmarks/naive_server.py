"""The yardstick: the shortest gRPC server around ONNX Runtime that somebody would write in an afternoon.

One file, grpc.aio, one `session.run` per request, no batching, no checks, no metrics: `python -m benchmarks.naive_server
MODEL.onnx PORT`. Answers ModelMetadata, and ModelInfer for FP32 inputs sent raw.
"""

from __future__ import annotations

import asyncio
import sys

import grpc
import numpy as np
import onnxruntime as ort
from credence.inference import grpc_service_pb2 as pb
from credence.inference import grpc_service_pb2_grpc as rpc


class NaiveService(rpc.GRPCInferenceServiceServicer):
    def __init__(self, path: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: object) -> pb.ModelMetadataResponse:  # noqa: N802
        del context
        answer = pb.ModelMetadataResponse(name=request.name, versions=["1"])
        for told, tensors in (
            (answer.inputs, self._session.get_inputs()),
            (answer.outputs, self._session.get_outputs()),
        ):
            for tensor in tensors:
                sizes = [size if isinstance(size, int) else -1 for size in tensor.shape]
                told.add(name=tensor.name, datatype="FP32", shape=sizes)
        return answer

    async def ModelInfer(self, request: pb.ModelInferRequest, context: object) -> pb.ModelInferResponse:  # noqa: N802
        del context
        feeds = {
            tensor.name: np.frombuffer(raw, dtype="<f4").reshape(tuple(tensor.shape))
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        response = pb.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        for name, array in zip(self._outputs, self._session.run(self._outputs, feeds), strict=True):
            response.outputs.add(name=name, datatype="FP32", shape=array.shape)
            response.raw_output_contents.append(array.tobytes())
        return response


async def serve(path: str, port: int) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    rpc.add_GRPCInferenceServiceServicer_to_server(NaiveService(path), server)  # type: ignore[abstract]
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
