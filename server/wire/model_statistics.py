"""Statistics as ModelStatistics has them: nanoseconds, counts by request and by run."""

from __future__ import annotations

from credence.inference import grpc_service_pb2 as pb

from server.engine.served import ServedModel
from server.observe.statistics import Spent


def write_statistics(served: ServedModel) -> pb.ModelStatistics:
    """The figures of a model version since it was loaded."""
    kept = served.queue.statistics
    compute = kept.compute
    return pb.ModelStatistics(
        name=served.model.name,
        version=served.model.version,
        last_inference=kept.last_ms,
        inference_count=kept.rows,
        execution_count=kept.runs,
        inference_stats=pb.InferStatistics(
            success=_duration(kept.success.count, kept.success.seconds),
            fail=_duration(kept.fail.count, kept.fail.seconds),
            queue=_duration(kept.success.count, kept.queue_s),
            compute_input=_duration(compute.count, compute.input_s),
            compute_infer=_duration(compute.count, compute.infer_s),
            compute_output=_duration(compute.count, compute.output_s),
        ),
        batch_stats=[_batch(rows, spent) for rows, spent in sorted(kept.runs_by_rows.items())],
    )


def _batch(rows: int, spent: Spent) -> pb.InferBatchStatistics:
    return pb.InferBatchStatistics(
        batch_size=rows,
        compute_input=_duration(spent.count, spent.input_s),
        compute_infer=_duration(spent.count, spent.infer_s),
        compute_output=_duration(spent.count, spent.output_s),
    )


def _duration(count: int, seconds: float) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=count, ns=round(seconds * 1e9))
