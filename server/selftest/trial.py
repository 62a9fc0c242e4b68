"""One graph on one device: does it load there, does it answer as on the CPU, do batches agree, and how fast is it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from server.runtime.crossover import crossover, distance, run_all, seconds_by_rows
from server.runtime.session import Backend, CannotLoad, Feeds, RunFailed, Session
from server.selftest.subjects import Subject
from server.tensors import Array

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
        self.session, self.feeds = session, feeds
        self._runs, self._clock = runs, clock
        self.answers = run_all(session, feeds)
        self.seconds = self.time(session)

    def time(self, session: Session) -> dict[int, float]:
        return seconds_by_rows(session, self.feeds, self._runs, self._clock)


def _tried(subject: Subject, device: str, session: Session, reference: _Reference) -> Trial:
    differences = [
        _difference(a, b, subject) for a, b in zip(reference.answers, run_all(session, reference.feeds), strict=True)
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
    difference = distance(expected, found)
    if not difference or not subject.relative:
        return difference
    return difference / (float(np.abs(expected[np.isfinite(expected)]).max()) or 1.0)


def failures(trials: Sequence[Trial], demanded: Sequence[str]) -> list[str]:
    """What is wrong: answers that are not the CPU's, and devices that were named and are not there."""
    wrong = [f"{t.model} on {t.device}: differs from the CPU by {t.difference} {t.why}" for t in trials if not t.agrees]
    absent = [f"{t.model} on {t.device}: {t.missing}" for t in trials if t.missing and t.device in demanded]
    return wrong + absent
