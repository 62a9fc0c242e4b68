"""The synchronous client: moves calls over one gRPC channel, and tries again where the policy says so."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import grpc
from numpy.typing import NDArray

from credence import defaults, inference_calls
from credence.applications import ApplicationInput
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
from credence.sync_streams import ByteStream, exchange
from credence.tensors import Tensors
from credence.tls import TLS

ResultT = TypeVar("ResultT")


class Client:
    """Scores applications on a Credence server; one connection, shared safely by any number of threads.

    Every method raises a `CredenceError`: `ClientInputError` before anything is sent, else what `credence.errors` lists.
    Every call has a deadline, `timeout_s` seconds from its start, that holds for all its tries together.
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
        """Opens no connection yet: the first call does.

        Args:
            target: `host:port`, or any name that gRPC resolves.
            tls: None is plaintext.
            model: asked for where a call names none; empty lets the server choose.
            version: alias, build digest or number; empty lets the server choose.
            timeout_s: for calls that name none.
            retry: when a call is tried again.
            bucket_salt: the same for every caller of a deployment, or applicants change colour with the caller.
            max_message_bytes: largest request or answer.
        """
        self._defaults = defaults.Defaults(model, version, timeout_s, retry, Bucketing(bucket_salt))
        arguments = ChannelOptions(tls, max_message_bytes).arguments()
        self._channel = (
            grpc.secure_channel(target, tls.credentials(), arguments)
            if tls
            else grpc.insecure_channel(target, arguments)
        )
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls that run are cancelled."""
        self._closed = True
        self._channel.close()

    def score(
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
        """Scores one application or many in one call.

        Args:
            applications: dicts of features, or `Application`s; None is null.
            reasons: for which decisions to give reasons.
            max_reasons: most reasons an application; 0 is the server's default.
            request_id: at most 128 bytes, unique for each distinct request; empty makes a new one.
            applicant_id: whom the call is about, for sticky routing; a single application's id stands in for it.
            model: instead of the client's.
            version: instead of the client's.
            timeout_s: instead of the client's.
        """
        options = self._defaults.options(reasons, max_reasons, model, version)
        call = score_call(
            applications, options, self._defaults.bucketing, request_id=request_id, applicant_id=applicant_id
        )
        return self._run(call, timeout_s)

    def score_columns(
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
        """Scores numpy columns [applications], NaN being null, in consecutive calls.

        Args:
            columns: feature name to array of floats, integers, bool, str or object.
            ids: the callers' ids, one for each application.
            reasons: for which decisions to give reasons.
            max_reasons: most reasons an application; 0 is the server's default.
            max_applications: most in one call.
            request_id: the calls become `request_id/0`, `request_id/1` ...; given again after a failure, the calls
                that were answered then get the same answers.
            model: instead of the client's.
            version: instead of the client's.
            timeout_s: for each of the calls, instead of the client's.
        """
        options = self._defaults.options(reasons, max_reasons, model, version)
        calls = column_calls(columns, ids, options, max_applications=max_applications, request_id=request_id)
        return ColumnScores.of([self._run(call, timeout_s) for call in calls])

    def score_stream(
        self,
        items: Iterable[StreamItem],
        *,
        reasons: ReasonsMode = "none",
        max_reasons: int = 0,
        in_flight: int = defaults.IN_FLIGHT,
        model: str | None = None,
        version: str | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[StreamAnswer]:
        """Scores items as they come, over one call; answers come as they are ready, refused items among them.

        `items` is iterated on another thread. Nothing is tried again: an item that failed carries its error, and a
        stream that broke may be repeated for what was unanswered, under the same request ids (`StreamRequest`).

        Args:
            items: applications, sequences of them, or `StreamRequest`s with ids of the caller's.
            reasons: for which decisions to give reasons.
            max_reasons: most reasons an application; 0 is the server's default.
            in_flight: most items sent and not yet answered; `items` is read no faster.
            model: instead of the client's.
            version: instead of the client's.
            timeout_s: for the whole stream; an hour unless given.
        """
        self._check_open()
        ledger = StreamLedger(self._defaults.options(reasons, max_reasons, model, version))
        stream: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(SCORE_STREAM)
        timeout = defaults.stream_timeout_s(timeout_s)

        def start(outgoing: Iterator[bytes]) -> ByteStream:
            return cast("ByteStream", stream(outgoing, timeout=timeout))

        return exchange(start, items, ledger, in_flight)

    def explain(
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
        return self._run(call, timeout_s)

    def describe(
        self, *, model: str | None = None, version: str | None = None, timeout_s: float | None = None
    ) -> ModelDescription:
        """What a model wants to know, how it decides and where it comes from."""
        return self._run(describe_call(*self._defaults.model_and_version(model, version)), timeout_s)

    def health(self, service: str = "", *, timeout_s: float | None = None) -> HealthStatus:
        """Health of the server, or of one service or model of it."""
        return self._run(inference_calls.health_call(service), timeout_s)

    def models(self, *names: str, timeout_s: float | None = None) -> tuple[ModelState, ...]:
        """Metadata and readiness of the named models; without names, of the one this client scores with."""
        asked = names or (self.describe(timeout_s=timeout_s).model,)
        return tuple(
            ModelState(self.model_metadata(name, timeout_s=timeout_s), self.model_ready(name, timeout_s=timeout_s))
            for name in asked
        )

    def server_live(self, *, timeout_s: float | None = None) -> bool:
        """Whether the process is up."""
        return self._run(inference_calls.server_live_call(), timeout_s)

    def server_ready(self, *, timeout_s: float | None = None) -> bool:
        """Whether every model that must serve does."""
        return self._run(inference_calls.server_ready_call(), timeout_s)

    def server_metadata(self, *, timeout_s: float | None = None) -> ServerMetadata:
        return self._run(inference_calls.server_metadata_call(), timeout_s)

    def model_ready(self, name: str, version: str = "", *, timeout_s: float | None = None) -> bool:
        return self._run(inference_calls.model_ready_call(name, version), timeout_s)

    def model_metadata(self, name: str, version: str = "", *, timeout_s: float | None = None) -> ModelMetadata:
        return self._run(inference_calls.model_metadata_call(name, version), timeout_s)

    def repository_index(self, *, timeout_s: float | None = None) -> tuple[RepositoryEntry, ...]:
        """Every model and version of the server's repository, and its state."""
        return self._run(inference_calls.repository_index_call(), timeout_s)

    def load_model(self, name: str, *, timeout_s: float | None = None) -> None:
        """Loads what the repository has of a model now; for servers that are told what to load (`explicit`)."""
        self._run(inference_calls.load_model_call(name), timeout_s)

    def unload_model(self, name: str, *, timeout_s: float | None = None) -> None:
        """Unloads a model; for servers that are told what to load (`explicit`)."""
        self._run(inference_calls.unload_model_call(name), timeout_s)

    def infer(
        self,
        model: str,
        inputs: Tensors,
        *,
        version: str = "",
        outputs: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Runs a model on raw tensors; `outputs` empty asks for all. See `credence.tensors` for the datatypes."""
        return self._run(inference_calls.infer_call(model, version, inputs, outputs), timeout_s)

    def _run(self, call: Call[ResultT], timeout_s: float | None) -> ResultT:
        self._check_open()
        attempts = self._defaults.attempts(timeout_s)
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(call.path)
        while True:
            try:
                body = method(call.request, timeout=attempts.remaining_s(), metadata=call.metadata)
            except grpc.RpcError as failure:
                delay_s = attempts.delay_after(from_call(cast("FailedCall", failure)))
            else:
                return read_answer(call, body)
            time.sleep(delay_s)

    def _check_open(self) -> None:
        if self._closed:
            raise ClientInputError("the client is closed")
