"""Statistics as ModelStatistics has them: nanoseconds, counts by request and by run."""

from __future__ import annotations

from credence.inference import grpc_service_pb2 as pb

from server.engine.served import ServedModel
from server.observe.statistics import PhaseTotals, Total


def write_statistics(served: ServedModel) -> pb.ModelStatistics:
    """The figures of a model version since it was loaded."""
    kept = served.queue.statistics
    return pb.ModelStatistics(
        name=served.model.name,
        version=served.model.version,
        last_inference=kept.last_ms,
        inference_count=kept.rows,
        execution_count=kept.runs,
        inference_stats=pb.InferStatistics(
            success=_duration(kept.success),
            fail=_duration(kept.fail),
            queue=_duration(kept.queue),
            compute_input=_duration(kept.compute.input),
            compute_infer=_duration(kept.compute.infer),
            compute_output=_duration(kept.compute.output),
        ),
        batch_stats=[_batch(rows, totals) for rows, totals in sorted(kept.runs_by_rows.items())],
    )


def _batch(rows: int, totals: PhaseTotals) -> pb.InferBatchStatistics:
    return pb.InferBatchStatistics(
        batch_size=rows,
        compute_input=_duration(totals.input),
        compute_infer=_duration(totals.infer),
        compute_output=_duration(totals.output),
    )


def _duration(total: Total) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=total.count, ns=round(total.seconds * 1e9))
