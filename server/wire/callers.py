"""Who calls, and on what terms: deadline, priority and identity, from a call's context.

A caller is known by its `x-api-key`, if a quota is set for that key, and otherwise by its address: a key that nobody has
issued makes no identity, or a caller could have a fresh quota for each call. Keys are neither kept nor logged; an identity
holds the first 16 hex digits of a key's sha256.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from hashlib import sha256
from typing import Protocol
from urllib.parse import unquote

from server.errors import FieldError, InvalidRequest
from server.scheduling.terms import Priority, Terms

API_KEY = "x-api-key"
PRIORITY = "x-credence-priority"
# The call's `:authority`, which grpc.aio does not show: a proxy before this server copies it here (docs/models.md).
AUTHORITY = "x-credence-authority"
# What Envoy, and Istio with it, appends to the authority of a mirrored call.
_MIRRORED = "-shadow"
_PRIORITIES = {priority.name.lower(): priority for priority in Priority}
_KEY_DIGITS = 16


class CallContext(Protocol):
    """What gRPC tells of a call."""

    def time_remaining(self) -> float | None: ...

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...

    def peer(self) -> str: ...


class Callers:
    """Reads the terms of calls.

    Args:
        known: identities that have a quota of their own.
        by_address: whether callers without one are told apart, because a default quota holds.
    """

    def __init__(self, known: Collection[str] = (), *, by_address: bool = False) -> None:
        self._known = frozenset(known)
        self._counted = by_address or bool(self._known)

    def terms(self, context: CallContext) -> Terms:
        """The terms of a call.

        Raises:
            InvalidRequest: the priority is none.
        """
        metadata = context.invocation_metadata() or ()
        priority, mirrored = Priority.NORMAL, False
        for name, value in metadata:
            if name == PRIORITY:
                priority = _priority(value)
            elif name == AUTHORITY:
                mirrored = _is_mirrored(value)
        remaining = context.time_remaining()
        deadline = float("inf") if remaining is None else time.monotonic() + remaining
        caller = self._identity(metadata, context.peer) if self._counted else ""
        return Terms(deadline, priority, caller, mirrored)

    def _identity(self, metadata: Iterable[tuple[str, str | bytes]], peer: Callable[[], str]) -> str:
        for name, value in metadata:
            if name == API_KEY and (identity := key_identity(value)) in self._known:
                return identity
        return peer_identity(peer())


def key_identity(key: str | bytes) -> str:
    """The identity of an API key, which does not tell the key."""
    raw = key.encode() if isinstance(key, str) else key
    return f"key:{sha256(raw).hexdigest()[:_KEY_DIGITS]}"


def peer_identity(peer: str) -> str:
    """The identity of an address as gRPC writes it (`ipv4:10.0.0.1:52100`), whatever the port."""
    family, _, address = peer.partition(":")
    host = address.rpartition(":")[0] if family in ("ipv4", "ipv6") else address
    return f"peer:{unquote(host).strip('[]')}"


def _is_mirrored(authority: str | bytes) -> bool:
    host = authority if isinstance(authority, str) else ""
    # Of an authority with a port, Envoy extends the host: `models-shadow:8001`.
    return host.rpartition(":")[0].endswith(_MIRRORED) or host.endswith(_MIRRORED)


def _priority(value: str | bytes) -> Priority:
    priority = _PRIORITIES.get(value) if isinstance(value, str) else None
    if priority is None:
        problem = f"is not one of {', '.join(_PRIORITIES)}"
        raise InvalidRequest(
            f'metadata["{PRIORITY}"] {problem}', fields=[FieldError(f'metadata["{PRIORITY}"]', problem)]
        )
    return priority
