"""The asyncio client: the methods of `client.Client` over grpc.aio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import grpc
import grpc.aio
from numpy.typing import NDArray

from credence import defaults, inference_calls
from credence.applications import ApplicationInput
from credence.async_streams import AsyncByteStream, exchange
from credence.buckets import DEFAULT_SALT
from credence.calls import (
    SCORE_STREAM,
    Bucketing,
    Call,
    ReasonsMode,
    column_calls,
    describe_call,
    explain_call,
    read_answer,
    score_call,
)
from credence.channels import ChannelOptions
from credence.columns import Columns
from credence.description import ModelDescription
from credence.errors import ClientInputError
from credence.inference_calls import HealthStatus, ModelMetadata, ModelState, RepositoryEntry, ServerMetadata
from credence.results import ColumnScores, Explanation, ScoreResult, StreamAnswer
from credence.retry import RetryPolicy
from credence.statuses import FailedCall, from_call
from credence.streams import StreamItem, StreamLedger
from credence.tensors import Tensors
from credence.tls import TLS

ResultT = TypeVar("ResultT")


class AsyncClient:
    """Scores applications on a Credence server from one event loop; make it inside that loop.

    Arguments, answers and errors of every method are those of `credence.Client`.
    """

    def __init__(
        self,
        target: str,
        *,
        tls: TLS | None = None,
        model: str = "",
        version: str = "",
        timeout_s: float = defaults.TIMEOUT_S,
        retry: RetryPolicy = defaults.RETRY,
        bucket_salt: str = DEFAULT_SALT,
        max_message_bytes: int = defaults.MAX_MESSAGE_BYTES,
    ) -> None:
        """Takes what `credence.Client` takes; opens no connection yet."""
        self._defaults = defaults.Defaults(model, version, timeout_s, retry, Bucketing(bucket_salt))
        arguments = ChannelOptions(tls, max_message_bytes).arguments()
        self._channel = (
            grpc.aio.secure_channel(target, tls.credentials(), arguments)
            if tls
            else grpc.aio.insecure_channel(target, arguments)
        )
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls that run are cancelled."""
        self._closed = True
        await self._channel.close()

    async def score(
        self,
        applications: ApplicationInput | Iterable[ApplicationInput],
        *,
        reasons: ReasonsMode = "none",
        max_reasons: int = 0,
        request_id: str = "",
        applicant_id: str = "",
        model: str | None = None,
        version: str | None = None,
        timeout_s: float | None = None,
    ) -> ScoreResult:
        """Scores one application or many in one call."""
        options = self._defaults.options(reasons, max_reasons, model, version)
        call = score_call(
            applications, options, self._defaults.bucketing, request_id=request_id, applicant_id=applicant_id
        )
        return await self._run(call, timeout_s)

    async def score_columns(
        self,
        columns: Columns,
        *,
        ids: Sequence[str] | None = None,
        reasons: ReasonsMode = "none",
        max_reasons: int = 0,
        max_applications: int = defaults.MAX_APPLICATIONS,
        request_id: str = "",
        model: str | None = None,
        version: str | None = None,
        timeout_s: float | None = None,
    ) -> ColumnScores:
        """Scores numpy columns [applications], NaN being null, in consecutive calls."""
        options = self._defaults.options(reasons, max_reasons, model, version)
        calls = column_calls(columns, ids, options, max_applications=max_applications, request_id=request_id)
        return ColumnScores.of([await self._run(call, timeout_s) for call in calls])

    def score_stream(
        self,
        items: Iterable[StreamItem] | AsyncIterable[StreamItem],
        *,
        reasons: ReasonsMode = "none",
        max_reasons: int = 0,
        in_flight: int = defaults.IN_FLIGHT,
        model: str | None = None,
        version: str | None = None,
        timeout_s: float | None = None,
    ) -> AsyncIterator[StreamAnswer]:
        """Scores the items of an iterable or an async iterable as they come; answers come as they are ready."""
        self._check_open()
        ledger = StreamLedger(self._defaults.options(reasons, max_reasons, model, version))
        stream: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(SCORE_STREAM)
        timeout = defaults.stream_timeout_s(timeout_s)

        def start(outgoing: AsyncIterator[bytes]) -> AsyncByteStream:
            return cast("AsyncByteStream", stream(outgoing, timeout=timeout))

        return exchange(start, items, ledger, in_flight)

    async def explain(
        self,
        *,
        decision_id: str = "",
        application: ApplicationInput | None = None,
        max_reasons: int = 0,
        applicant_id: str = "",
        model: str | None = None,
        version: str | None = None,
        timeout_s: float | None = None,
    ) -> Explanation:
        """Reasons for an earlier decision, by the build that made it, or for an application; 0 reasons means all.

        `applicant_id` is for sticky routing: only the server that decided remembers a decision, so give what `score` got,
        or the application's id where that stood in for it. An application's own id stands in for it here too.
        """
        name, number = self._defaults.model_and_version(model, version)
        call = explain_call(
            decision_id=decision_id,
            application=application,
            applicant_id=applicant_id,
            model=name,
            version=number,
            max_reasons=max_reasons,
            bucketing=self._defaults.bucketing,
        )
        return await self._run(call, timeout_s)

    async def describe(
        self, *, model: str | None = None, version: str | None = None, timeout_s: float | None = None
    ) -> ModelDescription:
        """What a model wants to know, how it decides and where it comes from."""
        return await self._run(describe_call(*self._defaults.model_and_version(model, version)), timeout_s)

    async def health(self, service: str = "", *, timeout_s: float | None = None) -> HealthStatus:
        """Health of the server, or of one service or model of it."""
        return await self._run(inference_calls.health_call(service), timeout_s)

    async def models(self, *names: str, timeout_s: float | None = None) -> tuple[ModelState, ...]:
        """Metadata and readiness of the named models; without names, of the one this client scores with."""
        asked = names or ((await self.describe(timeout_s=timeout_s)).model,)
        states = []
        for name in asked:
            metadata = await self.model_metadata(name, timeout_s=timeout_s)
            states.append(ModelState(metadata, await self.model_ready(name, timeout_s=timeout_s)))
        return tuple(states)

    async def server_live(self, *, timeout_s: float | None = None) -> bool:
        """Whether the process is up."""
        return await self._run(inference_calls.server_live_call(), timeout_s)

    async def server_ready(self, *, timeout_s: float | None = None) -> bool:
        """Whether every model that must serve does."""
        return await self._run(inference_calls.server_ready_call(), timeout_s)

    async def server_metadata(self, *, timeout_s: float | None = None) -> ServerMetadata:
        return await self._run(inference_calls.server_metadata_call(), timeout_s)

    async def model_ready(self, name: str, version: str = "", *, timeout_s: float | None = None) -> bool:
        return await self._run(inference_calls.model_ready_call(name, version), timeout_s)

    async def model_metadata(self, name: str, version: str = "", *, timeout_s: float | None = None) -> ModelMetadata:
        return await self._run(inference_calls.model_metadata_call(name, version), timeout_s)

    async def repository_index(self, *, timeout_s: float | None = None) -> tuple[RepositoryEntry, ...]:
        """Every model and version of the server's repository, and its state."""
        return await self._run(inference_calls.repository_index_call(), timeout_s)

    async def load_model(self, name: str, *, timeout_s: float | None = None) -> None:
        """Loads what the repository has of a model now; for servers that are told what to load (`explicit`)."""
        await self._run(inference_calls.load_model_call(name), timeout_s)

    async def unload_model(self, name: str, *, timeout_s: float | None = None) -> None:
        """Unloads a model; for servers that are told what to load (`explicit`)."""
        await self._run(inference_calls.unload_model_call(name), timeout_s)

    async def infer(
        self,
        model: str,
        inputs: Tensors,
        *,
        version: str = "",
        outputs: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Runs a model on raw tensors; `outputs` empty asks for all. See `credence.tensors` for the datatypes."""
        return await self._run(inference_calls.infer_call(model, version, inputs, outputs), timeout_s)

    async def _run(self, call: Call[ResultT], timeout_s: float | None) -> ResultT:
        self._check_open()
        attempts = self._defaults.attempts(timeout_s)
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(call.path)
        while True:
            try:
                body = await method(call.request, timeout=attempts.remaining_s(), metadata=call.metadata)
            except grpc.RpcError as failure:
                delay_s = attempts.delay_after(from_call(cast("FailedCall", failure)))
            else:
                return read_answer(call, body)
            await asyncio.sleep(delay_s)

    def _check_open(self) -> None:
        if self._closed:
            raise ClientInputError("the client is closed")
