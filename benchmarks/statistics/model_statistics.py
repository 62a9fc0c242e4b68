"""Times from Triton's ModelStatistics."""

from __future__ import annotations

from credence.inference import grpc_service_pb2 as pb
from google.protobuf.message import DecodeError

from benchmarks.statistics.times import ServerTimes, Stage
from benchmarks.workload.server import Refusal, Server

SOURCE = "ModelStatistics"
_PATH = "/inference.GRPCInferenceService/ModelStatistics"
_READ_S = 5.0
_WHOLE = ("success", "fail")
_STAGES = {
    "success": "request, answered",
    "fail": "request, failed",
    "queue": "queue",
    "compute_input": "join the rows",
    "compute_infer": "compute",
    "compute_output": "cut the answer",
}


def read(server: Server, model: str) -> pb.ModelStatisticsResponse | str:
    """The statistics of a model's versions now, or why there are none."""
    try:
        body = server.answer(_PATH, pb.ModelStatisticsRequest(name=model).SerializeToString(), _READ_S)
        return pb.ModelStatisticsResponse.FromString(body)
    except Refusal as refusal:
        return "not offered by this server" if refusal.code == "UNIMPLEMENTED" else str(refusal)
    except DecodeError:
        return "an answer that cannot be decoded"


def between(before: pb.ModelStatisticsResponse, after: pb.ModelStatisticsResponse) -> ServerTimes:
    """The difference, over all versions: a request that shared a run is charged with the whole of it."""
    earlier, later = _totals(before), _totals(after)
    changed = {name: (later[name][0] - earlier[name][0], later[name][1] - earlier[name][1]) for name in later}
    if any(count < 0 or ns < 0 for count, ns in changed.values()):
        return ServerTimes(SOURCE, "the counts fell: the server or its model was started anew")
    stages = (
        Stage(shown, changed[name][0], changed[name][1] / changed[name][0] / 1e6, adds_up=name not in _WHOLE)
        for name, shown in _STAGES.items()
        if changed[name][0]
    )
    return ServerTimes(SOURCE, "", tuple(stages), changed["rows"][0], changed["runs"][0])


def _totals(response: pb.ModelStatisticsResponse) -> dict[str, tuple[int, int]]:
    """Count and nanoseconds by stage; rows and runs as counts."""
    totals = dict.fromkeys((*_STAGES, "rows", "runs"), (0, 0))
    for version in response.model_stats:
        parts = {name: getattr(version.inference_stats, name) for name in _STAGES}
        numbers = {name: (part.count, part.ns) for name, part in parts.items()}
        numbers |= {"rows": (version.inference_count, 0), "runs": (version.execution_count, 0)}
        totals = {name: (count + numbers[name][0], ns + numbers[name][1]) for name, (count, ns) in totals.items()}
    return totals
