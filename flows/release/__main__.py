"""Promotes a candidate step by step, takes it back, and tells what became of it.

Ends with 0; with 1 and a message where something refuses, with 3 where the candidate was rolled back; with 2 for a wrong
command line.
"""

from __future__ import annotations

import getpass
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from flows.release.actions import Action
from flows.release.begin import CannotBegin
from flows.release.deployment import InvalidDeployment, host_and_port, read_deployment
from flows.release.documents import problems
from flows.release.gates.result import GateResult
from flows.release.ledger.chain import BrokenLedger
from flows.release.ledger.writer import SecondWriter, read_ledger
from flows.release.operations import promote, roll_back, send_wish
from flows.release.policy import InvalidPolicy, Policy, default_policy, read_policy
from flows.release.progress import fold
from flows.release.promoter import NoRollout
from flows.release.records import Ended, Outcome, Wish
from flows.release.routers.envoy.process import EnvoyFailed, running_envoy
from flows.release.routers.router import Fenced, RouterUnavailable
from flows.release.routes import Colour
from flows.release.simulate.refusal import NothingToSimulate
from flows.release.state import Signals
from flows.release.telling import told, told_entry
from server.models.repository import RepositoryError

_ROLLED_BACK = 3
_DRAIN_S = 2.0
_YEARS = (2003, 2004, 2005, 2006)


class InvalidEvidence(Exception):
    """The file with offline gates is none: the message names each field."""


_REFUSALS = (
    *(CannotBegin, InvalidDeployment, InvalidPolicy, InvalidEvidence, BrokenLedger, SecondWriter),
    *(NothingToSimulate, NoRollout, Fenced, RouterUnavailable, RepositoryError, EnvoyFailed),
)
_GATES = TypeAdapter(tuple[GateResult, ...])

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

DeploymentPath = Annotated[Path, typer.Option("--deployment", help="TOML file: where colours, router and ledger are.")]
Reason = Annotated[str, typer.Option("--reason", help="Written into the ledger.")]
PolicyPath = Annotated[Path | None, typer.Option("--policy", help="TOML file; the one that ships unless given.")]


@app.command("promote")
def promote_command(
    deployment: DeploymentPath,
    candidate: Annotated[str, typer.Option(help="Digest of the build, or an alias.")] = "challenger",
    policy: PolicyPath = None,
    offline: Annotated[Path | None, typer.Option(help="JSON file with the results of the offline gates.")] = None,
    reason: Reason = "a better candidate",
) -> None:
    """Takes a candidate to everybody or back; goes on where an interrupted promoter stopped."""
    with _refusals_told():
        where = read_deployment(deployment)
        digest = where.models().aliases(where.model).get(candidate, candidate)
        evidence = _read_gates(offline) if offline else ()
        _report(promote(where, digest, _policy(policy), evidence, by=_user(), reason=reason, tell=_teller()))


@app.command("rollback")
def rollback_command(deployment: DeploymentPath, reason: Annotated[str, typer.Option(help="Why.")]) -> None:
    """Puts everybody back on the champion, out of a rollout or after it; weights first, then the alias."""
    with _refusals_told():
        _report(roll_back(read_deployment(deployment), by=_user(), reason=reason, tell=_teller()), expected=True)


@app.command("status")
def status_command(deployment: DeploymentPath) -> None:
    """What is live, and how far the last rollout has come."""
    with _refusals_told():
        where = read_deployment(deployment)
        typer.echo(told(where.router().read().live, fold(read_ledger(where.ledger).entries)))


@app.command("pause")
def pause_command(deployment: DeploymentPath, reason: Reason = "paused by an operator") -> None:
    """No step forward until resumed; gates go on, and harm still rolls back."""
    _wish(deployment, Wish.PAUSE, reason)


@app.command("resume")
def resume_command(deployment: DeploymentPath, reason: Reason = "resumed by an operator") -> None:
    """Goes on after a pause or a halt; routes that somebody changed are put back."""
    _wish(deployment, Wish.RESUME, reason)


@app.command("abort")
def abort_command(deployment: DeploymentPath, reason: Annotated[str, typer.Option(help="Why.")]) -> None:
    """Tells the promoter that runs to put everybody back on the champion; `rollback` also works when none runs."""
    _wish(deployment, Wish.ABORT, reason)


@app.command("approve")
def approve_command(
    deployment: DeploymentPath,
    share: Annotated[int, typer.Option(min=0, max=100, help="The step that may begin, in per cent.")],
    reason: Reason = "approved",
) -> None:
    """Approves a step that the policy lets a person decide."""
    _wish(deployment, Wish.APPROVE, reason, share)


@app.command("verify")
def verify_command(deployment: DeploymentPath) -> None:
    """Checks the ledger's chain and prints what is in it; a changed, missing or added line ends with 1."""
    with _refusals_told():
        chain = read_ledger(read_deployment(deployment).ledger)
    for entry in chain.entries:
        typer.echo(told_entry(entry))
    if chain.torn:
        typer.echo(f"{chain.torn} bytes at the end were never a whole line: a writer was killed there", err=True)
    typer.echo(f"{len(chain.entries)} entries hold; the last hash is {chain.last_hash}")


@app.command("envoy")
def envoy_command(
    deployment: DeploymentPath,
    champion: Annotated[Colour, typer.Option(help="Where everybody goes if there are no routes yet.")] = Colour.BLUE,
    threads: Annotated[int, typer.Option(min=1, help="Worker threads.")] = 1,
) -> None:
    """Runs the Envoy of a deployment until SIGTERM or Ctrl-C."""
    stop = _stop_event()
    with _refusals_told():
        where = read_deployment(deployment)
        servers = {colour: host_and_port(where.server(colour).grpc) for colour in Colour}
        listen, admin = host_and_port(where.envoy.listen), host_and_port(where.envoy.admin)
        with running_envoy(where.envoy.folder, servers, champion, listen=listen, admin=admin, threads=threads) as envoy:
            typer.echo(f"calls to {envoy.target}, admin at {envoy.admin.address}")
            stop.wait()
            envoy.drain(_DRAIN_S)


@app.command("simulate")
def simulate_command(
    policy: PolicyPath = None,
    output: Annotated[Path, typer.Option(help="Folder for simulation.json and simulation.html.")] = Path("simulation"),
    repository: Annotated[str, typer.Option(help="Model repository.")] = "model_repository",
    model: Annotated[str, typer.Option(help="Whose traffic is replayed.")] = "scorecard",
    build: Annotated[str, typer.Option(help="Digest of a build, or an alias: its scores are replayed.")] = "champion",
    years: Annotated[list[int] | None, typer.Option(help="Vintages; may be repeated. [default: 2003 to 2006]")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Rollouts of the champion against itself.")] = 2000,
    other_runs: Annotated[int, typer.Option(min=1, help="Rollouts of each other candidate.")] = 500,
    calls_per_s: Annotated[float, typer.Option(min=0.1, help="Calls a second, in all.")] = 50.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Measures a policy: what it stops, when, and what it lets through; ends with 1 where it misses the project's bounds."""
    # Here, because a rollback must start where training's libraries are not.
    from flows.release.simulate.command import Request, run_simulation  # noqa: PLC0415

    with _refusals_told():
        asked = Request(
            _policy(policy), repository, model, build, tuple(years or _YEARS), runs, other_runs, calls_per_s, seed
        )
        holds = run_simulation(asked, output)
    raise typer.Exit(0 if holds else 1)


def _wish(deployment: Path, wanted: Wish, reason: str, share: int | None = None) -> None:
    with _refusals_told():
        send_wish(read_deployment(deployment), wanted, by=_user(), reason=reason, share=share)
    typer.echo(f"{wanted}: the promoter takes it up if it runs, or when it starts again")


def _policy(path: Path | None) -> Policy:
    return read_policy(path) if path else default_policy()


def _read_gates(path: Path) -> tuple[GateResult, ...]:
    try:
        return _GATES.validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidEvidence(f"offline {path}: {error.strerror}") from None
    except ValidationError as error:
        raise InvalidEvidence(f"offline {path}: {problems(error)}") from None


def _teller() -> Callable[[Action, Signals], None]:
    """Writes one JSON line a look, for logs; looks that say the same again are left out."""
    last = ""

    def tell(action: Action, signals: Signals) -> None:
        nonlocal last
        gates = [str(gate) for gate in signals.gates]
        line = {"action": type(action).__name__, "what": str(action), "gates": gates, "calls": signals.calls}
        if (text := json.dumps(line)) != last:
            typer.echo(text, err=True)
        last = text

    return tell


def _report(ended: Ended, *, expected: bool = False) -> None:
    typer.echo(f"{ended.outcome}: {ended.why}")
    raise typer.Exit(_ROLLED_BACK if ended.outcome is Outcome.ROLLED_BACK and not expected else 0)


def _stop_event() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _user() -> str:
    """The login name, or the number of a user without one, as containers have them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return str(os.getuid())


@contextmanager
def _refusals_told() -> Iterator[None]:
    try:
        yield
    except _REFUSALS as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app(prog_name="python -m flows.release")
