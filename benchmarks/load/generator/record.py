"""What happened to the calls of a run: counted as they end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from benchmarks.load.histogram import Histogram, highest_equivalent
from benchmarks.load.result import OK, FirstProblem, Second

UNANSWERED, NOT_SENT, CONNECTION_LOST = "UNANSWERED", "NOT_SENT", "CONNECTION_LOST"
_WITHOUT_ANSWER = (UNANSWERED, NOT_SENT, CONNECTION_LOST)
_NS = 1_000_000_000


@dataclass(slots=True)
class _Second:
    sent: int = 0
    done: int = 0
    latency: Counter[int] = field(default_factory=Counter)


class Record:
    """Counts the calls of the counted part, which begins at `begin_ns`; times are of one monotonic clock, in ns."""

    def __init__(self, begin_ns: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.first_problem: FirstProblem | None = None
        self.max_late_ns = 0
        self.sent = 0
        self._begin = begin_ns
        self._first_sent: int | None = None
        self._last_answer: int | None = None
        self._latency: Counter[int] = Counter()
        self._service: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()
        self._seconds: dict[int, _Second] = {}

    @property
    def answered(self) -> int:
        """Calls that a server may have had to do with."""
        return self.outcomes.total() - sum(self.outcomes[name] for name in _WITHOUT_ANSWER)

    def send(self, due_ns: int, sent_ns: int) -> None:
        """A call leaves at `sent_ns`; it should have at `due_ns`."""
        self.sent += 1
        self.max_late_ns = max(self.max_late_ns, sent_ns - due_ns)
        if self._first_sent is None:
            self._first_sent = sent_ns
        self._second(sent_ns).sent += 1

    def answer(self, outcome: str, message: str, due_ns: int, sent_ns: int, now_ns: int) -> None:
        """A call has ended with an answer, at its deadline, or with its connection."""
        self._last_answer = now_ns
        second = self._second(now_ns)
        second.done += 1
        latency = highest_equivalent(now_ns - due_ns)
        if outcome == OK:
            self.outcomes[OK] += 1
            self._latency[latency] += 1
            self._service[highest_equivalent(now_ns - sent_ns)] += 1
            second.latency[latency] += 1
        else:
            self._failed[latency] += 1
            self.fail(outcome, message)

    def fail(self, outcome: str, message: str) -> None:
        """A call has come to nothing that has a time."""
        self.outcomes[outcome] += 1
        if self.first_problem is None:
            self.first_problem = FirstProblem(outcome=outcome, message=message)

    def seconds(self, now_ns: int) -> float:
        """From the first send to the last answer, or to now where there is none."""
        if self._first_sent is None:
            return 0.0
        return ((self._last_answer or now_ns) - self._first_sent) / _NS

    def histograms(self) -> dict[str, Histogram]:
        """By their names in the result."""
        parts = {"latency_ns": self._latency, "service_ns": self._service, "failed_ns": self._failed}
        return {name: Histogram.of(counts) for name, counts in parts.items()}

    def timeline(self) -> list[Second]:
        """A second each, without gaps."""
        if not self._seconds:
            return []
        return [_row(at, self._seconds.get(at) or _Second()) for at in range(max(self._seconds) + 1)]

    def _second(self, now_ns: int) -> _Second:
        return self._seconds.setdefault((now_ns - self._begin) // _NS, _Second())


def _row(at: int, second: _Second) -> Second:
    latency = Histogram.of(second.latency)
    p50, p99 = (int(latency.percentile(p)) if latency.count else None for p in (50, 99))
    return Second(at_s=at, sent=second.sent, done=second.done, ok=latency.count, p50_ns=p50, p99_ns=p99)
