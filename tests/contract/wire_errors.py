"""What a caller sees of a failed call: the status and its google.rpc details."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

# What must never leave the process: tracebacks, Python's way to write objects, our modules, paths.
_LEAK = re.compile(
    r"Traceback|File \"|<[\w.]+ object|<class|\bat 0x|\w+(Error|Exception)\(|server\.\w+\.|_pb2|\.py\b|/tmp/"
)


@dataclass(frozen=True)
class SeenError:
    """A failed call. `fields` are paths with descriptions, in order."""

    code: grpc.StatusCode
    message: str
    domain: str
    reason: str
    correlation_id: str
    fields: tuple[tuple[str, str], ...]
    retry_after_s: float | None
    trailer_bytes: int

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path for path, _ in self.fields)

    def describes(self, path: str) -> str:
        """What is said about one field."""
        return dict(self.fields)[path]


def seen(error: Any) -> SeenError:
    """Reads a grpc.RpcError of the sync or aio API and checks that it leaks nothing."""
    trailers = [(key, value) for key, value in error.trailing_metadata() or ()]
    details = dict(trailers).get("grpc-status-details-bin")
    status = Status.FromString(details) if details else Status(code=error.code().value[0], message=error.details())
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return read_status(status, error.code(), _on_wire(trailers, error.details()))


def read_status(status: Status, code: grpc.StatusCode, trailer_bytes: int = 0) -> SeenError:
    """Reads the status of a failed call, or of one failed request of a stream."""
    info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        assert sum(detail.Unpack(message) for message in (info, bad, retry)) == 1, detail.type_url
    fields = tuple((violation.field, violation.description) for violation in bad.field_violations)
    assert_nothing_leaks(status.message, *(text for field in fields for text in field))
    has_retry = any(detail.Is(RetryInfo.DESCRIPTOR) for detail in status.details)
    return SeenError(
        code,
        status.message,
        info.domain,
        info.reason,
        info.metadata["correlation_id"] if info.reason else "",
        fields,
        retry.retry_delay.ToTimedelta().total_seconds() if has_retry else None,
        trailer_bytes,
    )


def assert_nothing_leaks(*texts: str) -> None:
    leaks = [text for text in texts if _LEAK.search(text)]
    assert not leaks, leaks


def _on_wire(trailers: Sequence[tuple[str, str | bytes]], message: str) -> int:
    # Binary metadata travels as base64, the message percent-encoded; 32 bytes is HTTP/2's own account of an entry's overhead.
    lengths = [len(b64encode(value) if isinstance(value, bytes) else value) + len(key) + 32 for key, value in trailers]
    return sum(lengths) + len(quote(message)) + len("grpc-message") + 32
