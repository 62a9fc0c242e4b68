"""Two real servers, a real Envoy, applicants that keep calling, and the promoter as a command: all on this machine."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import credence
from scorecard_repository import APPROVED, INTERCEPT, write_scorecard
from server_process import RunningServer, serving, wait_until

from flows.release.ledger.writer import read_ledger
from flows.release.progress import Progress, fold
from flows.release.routers.envoy.process import running_envoy
from flows.release.routes import Colour
from server.models.directory import DirectoryRepository

MODEL = "tiny"
# How long a busy machine may take for what should take a moment.
PATIENCE_S = 120.0
_APPLICANTS = 400
_THREADS = 3
_PAUSE_S = 0.01

# Steps and looks of a fraction of a second; gates that a handful of calls without error passes.
QUICK_POLICY = """
look_every_s = 0.2
confirm_within_s = 60
patience_s = {patience_s}
halt_limit_s = 600
settle_s = 0.2
steps = [
  {{share = 0, minimum_s = 0.2, minimum_calls = 20, deadline_s = 600, slack = 20}},
  {{share = 5, minimum_s = 0.2, minimum_calls = 1, deadline_s = 600, slack = 20}},
  {{share = 50, minimum_s = {half_s}, minimum_calls = 20, deadline_s = 600, slack = 20}},
  {{share = 100, minimum_s = 0.2, minimum_calls = 20, deadline_s = 600, slack = 20}},
]
[gates]
alpha = 0.02
error_rate = 0.05
error_ceiling = 0.05
latency = 0.5
score_shift = 0.05
swap_set = 0.05
approval_rate = 0.05
[offline]
gini_gain = 0.0
calibration = 0.1
expected_loss = 0.05
segment_gini = 0.05
reason_codes = 0.3
adverse_impact = 0.8
segment_rows = 1000
level = 0.95
"""


@dataclass
class Applicants:
    """Callers behind Envoy. `builds`: the builds that decided for each, in the order in which they did."""

    target: str
    builds: dict[str, list[str]] = field(default_factory=dict)
    failures: list[credence.CredenceError] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def calling(self) -> Iterator[Applicants]:
        threads = [threading.Thread(target=self._call, args=(number,)) for number in range(_THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _call(self, thread: int) -> None:
        """Each thread has applicants of its own, so that answers for one come in order."""
        no_retry = credence.RetryPolicy(max_attempts=1)
        with credence.Client(self.target, model=MODEL, timeout_s=PATIENCE_S, retry=no_retry) as client:
            for number in itertools.count(thread, _THREADS):
                if self._stop.wait(_PAUSE_S):
                    return
                self._ask(client, str(number % (_APPLICANTS * _THREADS)))

    def _ask(self, client: credence.Client, applicant: str) -> None:
        try:
            build = client.score(APPROVED, applicant_id=applicant).build_digest
        except credence.CredenceError as failure:
            self.failures.append(failure)
            return
        self.calls[build] += 1
        seen = self.builds.setdefault(applicant, [])
        if not seen or seen[-1] != build:
            seen.append(build)


@dataclass
class Bench:
    """One model, its champion on blue and its candidate on green."""

    folder: Path
    champion: str
    candidate: str
    servers: dict[Colour, RunningServer]
    applicants: Applicants

    @property
    def deployment(self) -> Path:
        return self.folder / "deployment.toml"

    def command(self, *words: str) -> subprocess.Popen[str]:
        """A command of `python -m flows.release` on this deployment, begun."""
        line = [sys.executable, "-m", "flows.release", words[0], "--deployment", str(self.deployment), *words[1:]]
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def promote(self) -> subprocess.Popen[str]:
        return self.command("promote", "--policy", str(self.folder / "policy.toml"))

    def run(self, *words: str) -> tuple[int, str]:
        """A command to its end: exit status and what it wrote."""
        return end(self.command(*words))

    def progress(self) -> Progress | None:
        return fold(read_ledger(self.folder / "ledger").entries)

    def share(self) -> int:
        """Confirmed for the candidate."""
        progress = self.progress()
        return progress.confirmed.share if progress else 0

    def alias(self) -> str | None:
        alias = DirectoryRepository(self.folder / "models").alias(MODEL, "champion")
        return alias.digest if alias else None


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output


def kill(process: subprocess.Popen[str]) -> None:
    """As a machine that loses its power does."""
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)


@contextmanager
def rollout_bench(
    folder: Path, *, candidate_intercept: float = INTERCEPT + 0.001, patience_s: float = 60, half_s: float = 0.2
) -> Iterator[Bench]:
    champion = write_scorecard(folder / "models", MODEL)
    candidate = write_scorecard(folder / "models", MODEL, intercept=candidate_intercept, alias="challenger")
    (folder / "policy.toml").write_text(QUICK_POLICY.format(patience_s=patience_s, half_s=half_s))
    with ExitStack() as stack:
        servers = {
            Colour.BLUE: _server(stack, folder, "blue", champion, "--shadow", "challenger"),
            Colour.GREEN: _server(stack, folder, "green", candidate),
        }
        addresses = {colour: _host_and_port(server.target) for colour, server in servers.items()}
        envoy = stack.enter_context(running_envoy(folder / "envoy", addresses, Colour.BLUE))
        (folder / "deployment.toml").write_text(_deployment(servers, envoy.target, envoy.admin.address))
        applicants = stack.enter_context(Applicants(envoy.target).calling())
        yield Bench(folder, champion, candidate, servers, applicants)


def _server(stack: ExitStack, folder: Path, name: str, build: str, *arguments: str) -> RunningServer:
    arguments = ("--pin-build", f"{MODEL}={build}", "--cache-dir", str(folder / "cache"), *arguments)
    return stack.enter_context(serving(folder / "models", folder / f"{name}.log", *arguments))


def _deployment(servers: dict[Colour, RunningServer], listen: str, admin: str) -> str:
    colours = [
        f'[{colour}]\ngrpc = "{server.target}"\nmetrics = "{server.metrics_address}"'
        for colour, server in servers.items()
    ]
    envoy = f'[envoy]\nfolder = "envoy"\nlisten = "{listen}"\nadmin = "{admin}"'
    return "\n".join([f'model = "{MODEL}"\nrepository = "models"\nledger = "ledger"', envoy, *colours])


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Until something has become true, or the promoter that should make it so has ended."""

    def settled() -> bool:
        assert process is None or process.poll() is None, end(process)[1]
        return condition()

    wait_until(settled, PATIENCE_S)


def only_forwards(builds: Sequence[str], champion: str, candidate: str) -> bool:
    return list(builds) in ([champion], [candidate], [champion, candidate])
