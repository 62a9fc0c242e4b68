"""Options that commands share: each group is a function from options to one value, joined to a command by `taking`."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from benchmarks.load.documents import problems
from benchmarks.load.generators import Generator, GeneratorKind, NoGenerator, choose
from benchmarks.load.plan import ClosedLoop, OpenLoop, Tls
from benchmarks.measure import LoadShape
from benchmarks.workload.prepare import InferWorkload, Reasons, ScoreWorkload

CONNECTIONS, IN_FLIGHT, MAX_IN_FLIGHT = 4, 32, 10_000
DURATION_S = 10.0
# Longest and largest that make sense: a day of load, an hour's deadline (where histograms end).
DAY_S, HOUR_MS, MOST_ROWS = 86_400.0, 3_600_000.0, 1_000_000

_METADATA = re.compile(r"([A-Za-z0-9_.-]+(?<!-bin))=([ -~]*)")

# PROTOCOL.md: every call has them already.
_RESERVED = ("te", "content-type", "user-agent", "grpc-timeout", "grpc-encoding")

Seed = Annotated[int, typer.Option(min=0, help="Of generated values and of Poisson arrivals.")]


class Method(StrEnum):
    INFER = "infer"
    SCORE = "score"


class Arrivals(StrEnum):
    CONSTANT = "constant"
    POISSON = "poisson"


@dataclass(frozen=True)
class Where:
    """The server, and how to talk to it."""

    target: str
    tls: Tls | None
    metadata: tuple[tuple[str, str], ...]
    metrics_url: str


@dataclass(frozen=True)
class What:
    """The requests, and what holds their answers."""

    asked: InferWorkload | ScoreWorkload
    graph: Path | None
    tolerance: float


def taking(*groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command that takes the options of `groups` besides its own, and gets their values first, in this order.

    Typer reads a command's options off its signature, so the signatures are joined there. An option of the same name in
    two groups is one option that both get.
    """

    def join(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[len(groups) :]
        taken = [inspect.signature(group, eval_str=True).parameters for group in groups]
        shared = {name: parameter for parameters in taken for name, parameter in parameters.items()}
        joined = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*shared.values(), *own)]

        @functools.wraps(command)
        def run(**options: Any) -> None:
            values = [
                group(**{name: options[name] for name in names}) for group, names in zip(groups, taken, strict=True)
            ]
            command(*values, **{each.name: options[each.name] for each in own})

        run.__signature__ = inspect.Signature(joined)  # type: ignore[attr-defined]  # inspect and Typer read it
        run.__annotations__ = {each.name: each.annotation for each in joined}
        return run

    return join


def where(
    target: Annotated[str, typer.Argument(help="host:port of the server.", show_default=False)],
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS; the options below mean it too.")] = False,
    tls_ca: Annotated[
        Path | None, typer.Option(help="PEM file of authorities to trust instead of the system's.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file of the client's certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the client's key.")] = None,
    tls_server_name: Annotated[str, typer.Option(help="Name to expect in the server's certificate.")] = "",
    metadata: Annotated[list[str] | None, typer.Option(help="NAME=VALUE sent with each call; may repeat.")] = None,
    metrics_url: Annotated[str, typer.Option(help="The server's Prometheus page, read before and after.")] = "",
) -> Where:
    wanted = tls or tls_ca or tls_cert or tls_key or tls_server_name
    if metrics_url and not metrics_url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--metrics-url must begin with http:// or https://, not {metrics_url!r}")
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal():
        raise typer.BadParameter(f"TARGET must be host:port, not {target!r}")
    options = valid(Tls, ca=tls_ca, certificate=tls_cert, key=tls_key, server_name=tls_server_name or None)
    return Where(target, options if wanted else None, tuple(map(_pair, metadata or [])), metrics_url)


def what(
    method: Annotated[Method, typer.Option(help="ModelInfer, or Score of a file's applications.")] = Method.INFER,
    model: Annotated[str, typer.Option(help="Needed for infer; for score the server's default.")] = "",
    version: Annotated[str, typer.Option(help="Alias, build digest or number; the server's choice unless given.")] = "",
    rows: Annotated[
        int | None, typer.Option(min=1, max=MOST_ROWS, help="In each request; 1 unless the model's shape says.")
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option(help="INPUT=D,D,... where more than rows is free; may repeat.")
    ] = None,
    applications: Annotated[
        Path | None, typer.Option(help="For score: .csv, .parquet, .json, .jsonl or .ndjson.")
    ] = None,
    id_column: Annotated[str, typer.Option(help="Column of the applications' ids.")] = "id",
    reasons: Annotated[Reasons, typer.Option(help="For which decisions score asks reasons.")] = Reasons.NONE,
    requests: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="So many different requests, sent in turn.")] = 16,
    seed: Seed = 0,
    model_repository: Annotated[
        Path | None, typer.Option(help="Repository or ONNX file of the model: answers are held to its own output.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="Of floating-point answers, of the largest, at least of 1.")
    ] = 1e-5,
) -> What:
    if model_repository and not model_repository.exists():
        raise typer.BadParameter(f"--model-repository {model_repository} does not exist")
    if method is Method.SCORE:
        if applications is None or shape:
            raise typer.BadParameter("--method score takes --applications FILE, and no --shape")
        score = ScoreWorkload(applications, model, version, rows or 1, reasons, requests, id_column)
        return What(score, model_repository, tolerance)
    if not model or applications or reasons is not Reasons.NONE:
        raise typer.BadParameter("--method infer takes --model NAME, and neither --applications nor --reasons")
    infer = InferWorkload(model, version, rows, dict(map(_shape, shape or [])), seed, requests)
    return What(infer, model_repository, tolerance)


def how(
    connections: Annotated[int, typer.Option(min=1, help="HTTP/2 connections.")] = CONNECTIONS,
    in_flight: Annotated[
        int | None, typer.Option(min=1, help=f"Closed loop: calls at once on each connection. [default: {IN_FLIGHT}]")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Open loop: calls a second, whatever becomes of them.")] = None,
    arrivals: Annotated[
        Arrivals | None, typer.Option(help="Open loop: evenly spaced or random. [default: poisson]")
    ] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(min=1, help=f"Open loop: most calls out at once. [default: {MAX_IN_FLIGHT}]")
    ] = None,
    seed: Seed = 0,
    warmup: Annotated[float, typer.Option(min=0, max=DAY_S, help="Seconds of load that do not count.")] = 2.0,
    duration: Annotated[
        float | None, typer.Option(min=0.001, max=DAY_S, help=f"Seconds that count. [default: {DURATION_S:g}]")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Calls that count, instead of --duration.")] = None,
    deadline: Annotated[
        float | None,
        typer.Option(min=0.001, max=HOUR_MS, help="Milliseconds for each call; without it none is given up."),
    ] = None,
    grace: Annotated[float, typer.Option(min=0.001, max=DAY_S, help="Seconds to wait for the last answers.")] = 10.0,
) -> LoadShape:
    if duration is not None and count is not None:
        raise typer.BadParameter("--duration and --count: one of them")
    load: ClosedLoop | OpenLoop
    if rate is None:
        if arrivals is not None or max_in_flight is not None:
            raise typer.BadParameter("--arrivals and --max-in-flight belong to the open loop: give it a --rate")
        load = valid(ClosedLoop, connections=connections, in_flight=in_flight or IN_FLIGHT)
    else:
        if in_flight is not None:
            raise typer.BadParameter("--in-flight belongs to the closed loop, --rate to the open one")
        load = valid(
            OpenLoop,
            connections=connections,
            rate=rate,
            arrivals=(arrivals or Arrivals.POISSON).value,
            seed=seed,
            max_in_flight=max_in_flight or MAX_IN_FLIGHT,
        )
    length = None if count is not None else DURATION_S if duration is None else duration
    return LoadShape(load, length, count, warmup, deadline, grace)


def by(
    generator: Annotated[
        GeneratorKind, typer.Option(help="What makes the load; auto is native where it is built.")
    ] = GeneratorKind.AUTO,
    loadgen: Annotated[
        Path | None, typer.Option(envvar="CREDENCE_LOADGEN", help="The native generator, if elsewhere.")
    ] = None,
    pin: Annotated[str, typer.Option(help="Cores for the generator, as taskset -c takes them: 1 or 0,2-3.")] = "",
) -> Generator:
    try:
        chosen = choose(generator, loadgen)
        return chosen.pinned(pin) if pin else chosen
    except NoGenerator as absent:
        raise typer.BadParameter(str(absent)) from absent


def valid(kind: type[Any], **values: Any) -> Any:
    """A value of a plan made of options; BadParameter names what does not fit."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise typer.BadParameter(problems(error)) from error


def _pair(text: str) -> tuple[str, str]:
    found = _METADATA.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"--metadata must be NAME=VALUE in ASCII, and no binary NAME-bin, not {text!r}")
    if (name := found[1].lower()) in _RESERVED:
        raise typer.BadParameter(f"--metadata {name} belongs to the load generator")
    return name, found[2]


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.partition("=")
    try:
        return name, tuple(int(size) for size in sizes.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--shape must be INPUT=D,D,... not {text!r}") from error
