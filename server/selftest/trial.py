"""One graph on one device: does it load there, does it answer as on the CPU, do batches agree, and how fast is it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from server.runtime.crossover import crossover
from server.runtime.session import Backend, CannotLoad, Feeds, RunFailed, Session
from server.selftest.subjects import Subject
from server.tensors import Array

ROWS = (1, 4, 16, 64, 256, 1024)
_CPU = "cpu"

Clock = Callable[[], float]


@dataclass(frozen=True)
class Trial:
    """What was found. `missing`: why the device is not there; then the rest is empty.

    `difference`: largest to the CPU's answers, None where they cannot be told apart by a number. `microseconds`: median of a
    run by its rows.
    """

    model: str
    device: str
    missing: str = ""
    fingerprint: str = ""
    difference: float | None = 0.0
    agrees: bool = True
    invariance: str = ""
    why: str = ""
    padding: str = ""
    build_seconds: float = 0.0
    microseconds: Mapping[int, float] = field(default_factory=dict)
    faster_from: int | None = None


def try_devices(subject: Subject, backends: Mapping[str, Backend], runs: int, clock: Clock) -> list[Trial]:
    """Tries a graph on every device.

    Args:
        subject: the graph.
        backends: by name of the device, `cpu` first: the others are compared with it.
        runs: of which a time is the median.
        clock: in seconds.

    Raises:
        CannotLoad: the graph does not even load on the CPU.
        RunFailed: it fails on these rows on the CPU.
    """
    session = backends[_CPU].load(subject.graph, subject.sample)
    reference = _Reference(session, subject.sample.rows(session.inputs), runs, clock)
    trials = [_tried(subject, _CPU, session, reference)]
    for name, backend in backends.items():
        if name == _CPU:
            continue
        try:
            session = backend.load(subject.graph, subject.sample)
            trials.append(_tried(subject, name, session, reference))
        except CannotLoad as error:
            trials.append(Trial(subject.name, name, missing=str(error)))
        except RunFailed as error:
            trials.append(Trial(subject.name, name, difference=None, agrees=False, why=str(error)))
    reference.session.close()
    return trials


class _Reference:
    """The CPU's answers and times."""

    def __init__(self, session: Session, feeds: Feeds, runs: int, clock: Clock) -> None:
        self.session, self.feeds, self._runs, self._clock = session, feeds, runs, clock
        self.answers = run(session, feeds)
        self.seconds = self.time(session)

    def time(self, session: Session) -> dict[int, float]:
        """Median seconds of a run, by its rows."""
        return {rows: self._median(session, rows) for rows in ROWS}

    def _median(self, session: Session, rows: int) -> float:
        batch = {name: np.resize(array, (rows, *array.shape[1:])) for name, array in self.feeds.items()}
        run(session, batch)
        seconds = []
        for _ in range(self._runs):
            started = self._clock()
            run(session, batch)
            seconds.append(self._clock() - started)
        return statistics.median(seconds)


def run(session: Session, feeds: Feeds) -> list[Array]:
    """All outputs."""
    return session.run(feeds, [spec.name for spec in session.outputs])


def _tried(subject: Subject, device: str, session: Session, reference: _Reference) -> Trial:
    differences = [
        _difference(a, b, subject) for a, b in zip(reference.answers, run(session, reference.feeds), strict=True)
    ]
    known = [difference for difference in differences if difference is not None]
    seconds = reference.seconds if device == _CPU else reference.time(session)
    padding = session.batching.padding
    trial = Trial(
        subject.name,
        device,
        fingerprint=session.fingerprint,
        difference=max(known, default=0.0) if len(known) == len(differences) else None,
        agrees=all(difference is not None and difference <= subject.tolerance for difference in differences),
        invariance=session.batching.invariance.value,
        why=session.batching.why,
        padding=f"to {list(padding.sizes)}" if padding.sizes else f"to multiples of {padding.multiple}",
        build_seconds=session.placement.build_seconds,
        microseconds={rows: value * 1e6 for rows, value in seconds.items()},
        faster_from=None if device == _CPU else crossover(reference.seconds, seconds),
    )
    if device != _CPU:
        session.close()
    return trial


def _difference(expected: Array, found: Array, subject: Subject) -> float | None:
    """Largest difference; None where shapes, whole numbers, texts, NaN or infinities differ."""
    if expected.shape != found.shape:
        return None
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(expected, found) else None
    a, b = expected.astype(np.float64), found.astype(np.float64)
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    if equal.all():
        return 0.0
    if not (np.isfinite(a) & np.isfinite(b))[~equal].all():
        return None
    scale = float(np.abs(a[np.isfinite(a)]).max()) if subject.relative else 1.0
    return float(np.abs(a - b)[~equal].max()) / (scale or 1.0)


def failures(trials: Sequence[Trial], demanded: Sequence[str]) -> list[str]:
    """What is wrong: answers that are not the CPU's, and devices that were named and are not there."""
    wrong = [f"{t.model} on {t.device}: differs from the CPU by {t.difference} {t.why}" for t in trials if not t.agrees]
    absent = [f"{t.model} on {t.device}: {t.missing}" for t in trials if t.missing and t.device in demanded]
    return wrong + absent
