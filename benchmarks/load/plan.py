"""What a load generator is asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, FiniteFloat, model_validator

from benchmarks.load.documents import Base64, Document

Positive: TypeAlias = Annotated[int, Field(ge=1)]
# A slot of a closed loop and a call of an open one take some hundred bytes each: more than these would take the machine.
Connections: TypeAlias = Annotated[int, Field(ge=1, le=10_000)]
InFlight: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Seconds: TypeAlias = Annotated[FiniteFloat, Field(ge=0)]
Rate: TypeAlias = Annotated[FiniteFloat, Field(gt=0, le=1_000_000)]
Number: TypeAlias = Annotated[FiniteFloat, Field(gt=0)]
CheckKind: TypeAlias = Literal["f32", "f64", "double", "float", "varint", "text", "bytes"]


class Tls(Document):
    """PEM files. Without `ca` the system's roots are trusted; certificate and key are the client's own."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together, and one is missing")
        return self


class Check(Document):
    """What an answer must hold at a protobuf field, by field numbers; how kinds read it is in PROTOCOL.md."""

    path: Annotated[tuple[Positive, ...], Field(min_length=1)]
    kind: CheckKind = Field(validation_alias="as", serialization_alias="as")
    values: tuple[int | float | str, ...]
    occurrence: Annotated[int, Field(ge=0)] | None = None
    tolerance: Seconds = 0.0


class Request(Document):
    """A serialized message, without gRPC's prefix, and what its answer must hold."""

    body: Base64
    checks: tuple[Check, ...] = ()


class ClosedLoop(Document):
    """`in_flight` calls on each of `connections`, each followed by the next as soon as it is answered."""

    kind: Literal["closed"] = "closed"
    connections: Connections
    in_flight: InFlight


class OpenLoop(Document):
    """Calls sent when they are due, `rate` a second, whether or not earlier ones are answered."""

    kind: Literal["open"] = "open"
    connections: Connections
    rate: Rate
    arrivals: Literal["constant", "poisson"] = "poisson"
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    max_in_flight: InFlight = 10_000


class LoadPlan(Document):
    """One run of load.

    Attributes:
        target: `host:port`.
        tls: None is plaintext.
        path: of the method: `/package.Service/Method`.
        metadata: sent with each call.
        deadline_ms: of each call, from when it is really sent; None waits without bound.
        requests: sent in turn, again and again.
        load: closed or open loop.
        warmup_s: load of the same kind that is not counted.
        duration_s: how long calls are scheduled after the warm-up; or
        count: how many are.
        grace_s: how long calls in flight at the end are waited for.
    """

    target: Annotated[str, Field(pattern=r"^.+:\d+$")]
    tls: Tls | None = None
    path: Annotated[str, Field(pattern=r"^/[^/]+/[^/]+$")]
    metadata: tuple[tuple[str, str], ...] = ()
    deadline_ms: Number | None = None
    requests: Annotated[tuple[Request, ...], Field(min_length=1)]
    load: Annotated[ClosedLoop | OpenLoop, Field(discriminator="kind")]
    warmup_s: Seconds = 0.0
    duration_s: Number | None = None
    count: Positive | None = None
    grace_s: Number = 10.0

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if (self.duration_s is None) == (self.count is None):
            raise ValueError("one of duration_s and count is null, and the other is not")
        return self
