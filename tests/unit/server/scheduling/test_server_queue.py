from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from builders import POISON, Doubler, doubling, sample
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ModelFailed, PredictedLate, QueueFull
from server.observe.metrics import Metrics
from server.scheduling.batch import Work
from server.scheduling.queue import BatchQueue, Limits, Reply

MAX_BATCH_ROWS = 6
MAX_QUEUE_ROWS = 12


@dataclass
class Clock:
    """Goes only where the test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """A queue over a `Doubler`, with everything around it in sight.

    `inline_below_s` 0 hands every run to the thread; runs take `run_s` on the clock.
    """

    inline_below_s: float = 0.0
    run_s: float = 0.0
    on_run: Callable[[int], None] = lambda _rows: None
    extra_rows: int = 0
    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)
    failures: list[str] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.session = Doubler(self._run, self.extra_rows)
        limits = Limits(MAX_BATCH_ROWS, MAX_QUEUE_ROWS, self.inline_below_s)
        self.queue = BatchQueue(self.session, limits, self.metrics.queue("m", "q"), self.clock, self.failures.append)

    def _run(self, rows: int) -> None:
        self.threads.add(threading.get_ident())
        self.on_run(rows)
        self.clock.now += self.run_s

    def submit(self, *values: float, group: str | None = "a", deadline: float = math.inf) -> Reply:
        return self.queue.submit(doubling(*values), group, deadline)

    async def learn(self) -> None:
        """Runs one batch of every size, so that the queue knows how long each takes."""
        for rows in range(1, MAX_BATCH_ROWS + 3):
            await self.submit(*[0.0] * rows)
        await self.queue.drained()
        self.session.runs.clear()
        self.threads.clear()

    async def close(self) -> None:
        await asyncio.wait_for(self.queue.drained(), 10)
        self.queue.close()

    @property
    def waiting_rows(self) -> float:
        return sample(self.metrics, "credence_queue_rows", model="m", queue="q")


def held(bench_of: Callable[[Callable[[int], None]], Bench]) -> tuple[Bench, threading.Event, threading.Event]:
    """A bench whose runs wait on the thread until the second event is set; the first tells that one has begun."""
    begun, let_go = threading.Event(), threading.Event()

    def wait(_rows: int) -> None:
        begun.set()
        assert let_go.wait(10)

    return bench_of(wait), begun, let_go


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")


@dataclass(frozen=True)
class Arrival:
    """A caller: its rows, whether the model fails on them, when it gives up and when it must have its answer."""

    rows: int
    poisoned: bool
    group: str | None
    patience_s: float
    cancelled: bool


ARRIVALS = st.builds(
    Arrival,
    rows=st.integers(1, 8),
    poisoned=st.sampled_from([False, False, False, False, True]),
    group=st.sampled_from(["a", "a", "b", None]),
    patience_s=st.sampled_from([math.inf, math.inf, 0.0, 0.005, 0.05]),
    cancelled=st.sampled_from([False, False, False, True]),
)
# What happens between two arrivals: nothing, time passes, or the loop gets its turn.
PAUSES = st.sampled_from(["", "", "time", "turn", "turn"])
PATTERNS = st.lists(st.tuples(ARRIVALS, PAUSES), max_size=14)


@dataclass
class Outcome:
    arrival: Arrival
    values: list[float]
    reply: Reply | None


async def play(bench: Bench, pattern: list[tuple[Arrival, str]]) -> list[Outcome]:
    outcomes = []
    for number, (arrival, pause) in enumerate(pattern):
        # Every row of every caller has a value of its own, so an answer tells whose it is.
        values = [float(number * 100 + row + 1) for row in range(arrival.rows)]
        if arrival.poisoned:
            values[-1] = POISON
        outcomes.append(arrive(bench, arrival, values))
        if pause == "time":
            bench.clock.now += 0.01
        elif pause == "turn":
            await asyncio.sleep(0)
    await asyncio.wait_for(bench.queue.drained(), 10)
    return outcomes


def arrive(bench: Bench, arrival: Arrival, values: list[float]) -> Outcome:
    before = bench.waiting_rows
    try:
        reply = bench.submit(*values, group=arrival.group, deadline=bench.clock.now + arrival.patience_s)
    except QueueFull:
        assert before + arrival.rows > MAX_QUEUE_ROWS
        return Outcome(arrival, values, None)
    except PredictedLate:
        assert arrival.patience_s == 0
        return Outcome(arrival, values, None)
    assert bench.waiting_rows <= MAX_QUEUE_ROWS or before == 0
    if arrival.cancelled:
        reply.cancel()
    return Outcome(arrival, values, reply)


def check(outcome: Outcome) -> None:
    reply, arrival = outcome.reply, outcome.arrival
    if reply is None:
        return
    assert reply.done()
    if reply.cancelled():
        assert arrival.cancelled
        return
    error = reply.exception()
    if error is None:
        assert not arrival.poisoned
        assert reply.result()[0].tolist() == [[2 * value] for value in outcome.values]
    elif isinstance(error, PredictedLate):
        assert arrival.patience_s < math.inf
    else:
        assert isinstance(error, ModelFailed)
        assert arrival.poisoned


@given(PATTERNS, st.sampled_from([(0.0, 0.0), (0.0, 0.002), (1.0, 0.0), (1.0, 0.002)]))
def test_every_caller_gets_its_own_answer_or_its_own_error_whatever_the_others_do(
    pattern: list[tuple[Arrival, str]], times: tuple[float, float]
) -> None:
    """On the thread and inline, with runs that take time and runs that take none."""
    inline_below_s, run_s = times

    async def scenario() -> tuple[Bench, list[Outcome]]:
        bench = Bench(inline_below_s, run_s)
        if inline_below_s:
            await bench.learn()
        outcomes = await play(bench, pattern)
        await bench.close()
        return bench, outcomes

    bench, outcomes = asyncio.run(scenario())

    for outcome in outcomes:
        check(outcome)
    for run in bench.session.runs:
        assert len(run) <= MAX_BATCH_ROWS or run in [outcome.values for outcome in outcomes]
    assert bench.waiting_rows == 0
    late = sum(o.reply is not None and not o.reply.cancelled() and late_reply(o.reply) for o in outcomes)
    assert sample(bench.metrics, "credence_queue_dropped_total", model="m", queue="q") >= late


def late_reply(reply: Reply) -> bool:
    return isinstance(reply.exception(), PredictedLate)


@given(PATTERNS)
def test_rows_whose_caller_is_late_or_gone_before_the_run_are_never_computed(
    pattern: list[tuple[Arrival, str]],
) -> None:
    async def scenario() -> tuple[Bench, list[Outcome]]:
        bench = Bench(inline_below_s=1.0, run_s=0.002)
        await bench.learn()
        outcomes = await play(bench, pattern)
        await bench.close()
        return bench, outcomes

    bench, outcomes = asyncio.run(scenario())

    computed = {value for run in bench.session.runs for value in run}
    for outcome in outcomes:
        reply = outcome.reply
        if reply is None or reply.cancelled() or late_reply(reply):
            assert computed.isdisjoint(set(outcome.values) - {POISON})


@pytest.mark.parametrize("run_s", [0.0, 0.001])
async def test_a_run_known_to_be_short_happens_on_the_event_loop(run_s: float) -> None:
    bench = Bench(inline_below_s=0.002, run_s=run_s)
    await bench.learn()

    assert (await bench.submit(1.0))[0].tolist() == [[2]]
    assert bench.threads == {threading.get_ident()}
    await bench.close()


@pytest.mark.parametrize(("inline_below_s", "run_s"), [(0.002, 0.003), (0.0, 0.0)])
async def test_a_run_known_to_be_long_happens_on_the_thread(inline_below_s: float, run_s: float) -> None:
    bench = Bench(inline_below_s, run_s)
    await bench.learn()

    assert (await bench.submit(1.0))[0].tolist() == [[2]]
    assert threading.get_ident() not in bench.threads
    await bench.close()


async def test_what_was_never_seen_is_not_run_on_the_event_loop() -> None:
    bench = Bench(inline_below_s=math.inf)

    await bench.submit(1.0)

    assert threading.get_ident() not in bench.threads
    await bench.close()


async def test_requests_that_come_together_ride_together() -> None:
    bench = Bench(inline_below_s=1.0, run_s=0.001)
    await bench.learn()

    replies = [bench.submit(float(i)) for i in range(MAX_BATCH_ROWS + 1)]
    await asyncio.gather(*replies)

    assert [len(run) for run in bench.session.runs] == [MAX_BATCH_ROWS, 1]
    await bench.close()


async def test_a_run_that_takes_no_time_is_not_waited_for() -> None:
    bench = Bench(inline_below_s=1.0)
    await bench.learn()

    assert bench.submit(1.0).done()
    await bench.close()


async def test_what_arrives_during_a_run_makes_the_next_batch() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    first = bench.submit(1.0)
    await until(begun.is_set)
    others = [bench.submit(2.0), bench.submit(3.0)]
    let_go.set()

    await asyncio.gather(first, *others)

    assert bench.session.runs == [[1.0], [2.0, 3.0]]
    await bench.close()


async def test_a_full_queue_refuses_with_a_time_to_come_back_and_recovers() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    running = bench.submit(0.0)
    await until(begun.is_set)
    waiting = [bench.submit(*[1.0] * 6), bench.submit(*[2.0] * 6)]

    with pytest.raises(QueueFull, match="12 rows wait already, the limit is 12") as full:
        bench.submit(3.0)
    assert full.value.retry_after_s == pytest.approx(0.1)
    let_go.set()
    await asyncio.gather(running, *waiting)

    assert (await bench.submit(4.0))[0].tolist() == [[8]]
    await bench.close()


async def test_who_gives_up_makes_room_for_others() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    running = bench.submit(0.0)
    await until(begun.is_set)
    gone, stays = bench.submit(*[1.0] * 6), bench.submit(*[2.0] * 6)
    gone.cancel()

    comes = bench.submit(3.0)

    assert bench.waiting_rows == 7
    let_go.set()
    await asyncio.gather(running, stays, comes)
    assert bench.session.runs == [[0.0], [2.0] * 6, [3.0]]
    assert sample(bench.metrics, "credence_queue_dropped_total", model="m", queue="q") == 1
    await bench.close()


async def test_a_caller_larger_than_the_whole_queue_is_served_when_nobody_waits() -> None:
    bench = Bench()

    (answer,) = await bench.submit(*[1.0] * (MAX_QUEUE_ROWS + 5))

    assert answer.shape == (MAX_QUEUE_ROWS + 5, 1)
    await bench.close()


async def test_a_deadline_that_has_passed_is_refused_at_once() -> None:
    bench = Bench()

    with pytest.raises(PredictedLate, match="had passed"):
        bench.submit(1.0, deadline=bench.clock.now)
    assert bench.session.runs == []
    await bench.close()


async def test_a_deadline_that_passes_in_the_queue_is_answered_without_a_run() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    first = bench.submit(1.0)
    await until(begun.is_set)
    late, in_time = bench.submit(2.0, deadline=bench.clock.now + 1), bench.submit(3.0, deadline=bench.clock.now + 9)
    bench.clock.now += 5
    let_go.set()

    with pytest.raises(PredictedLate, match="while the request waited"):
        await late
    await asyncio.gather(first, in_time)

    assert bench.session.runs == [[1.0], [3.0]]
    assert sample(bench.metrics, "credence_queue_dropped_total", model="m", queue="q") == 1
    await bench.close()


async def test_who_gives_up_during_the_run_harms_nobody() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    together = [bench.submit(1.0), bench.submit(2.0)]
    await until(begun.is_set)
    together[0].cancel()
    let_go.set()

    assert (await together[1])[0].tolist() == [[4]]
    await bench.close()


async def test_a_failure_is_told_to_the_log_and_not_to_the_caller() -> None:
    bench = Bench()
    good, bad = bench.submit(1.0), bench.submit(POISON)

    with pytest.raises(ModelFailed) as failed:
        await bad
    assert "poisoned" not in str(failed.value)
    assert (await good)[0].tolist() == [[2]]
    assert bench.failures == ["ModelBroke: poisoned"]
    assert sample(bench.metrics, "credence_model_failures_total", model="m", queue="q") == 1
    await bench.close()


async def test_an_answer_of_wrong_length_is_a_failure_of_the_model() -> None:
    bench = Bench(extra_rows=1)

    with pytest.raises(ModelFailed):
        await bench.submit(1.0)
    await bench.close()


async def test_drained_waits_for_what_waits_and_what_runs() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    replies = [bench.submit(1.0), bench.submit(*[2.0] * MAX_BATCH_ROWS)]
    await until(begun.is_set)
    drained: Awaitable[None] = asyncio.ensure_future(bench.queue.drained())
    done, _ = await asyncio.wait([asyncio.ensure_future(drained)], timeout=0.02)
    assert not done

    let_go.set()
    await asyncio.wait_for(drained, 10)

    assert all(reply.done() for reply in replies)
    bench.queue.close()


async def test_a_queue_whose_callers_all_left_drains() -> None:
    bench = Bench()
    for _ in range(3):
        bench.submit(1.0).cancel()

    await bench.close()

    assert bench.session.runs == []


async def test_the_queue_reports_what_it_did() -> None:
    bench = Bench(run_s=0.5)

    await asyncio.gather(bench.submit(1.0, 2.0), bench.submit(3.0))

    labels = {"model": "m", "queue": "q"}
    assert sample(bench.metrics, "credence_batch_rows_count", **labels) == 1
    assert sample(bench.metrics, "credence_batch_rows_sum", **labels) == 3
    assert sample(bench.metrics, "credence_compute_duration_seconds_sum", **labels) == pytest.approx(0.5)
    assert sample(bench.metrics, "credence_queue_duration_seconds_count", **labels) == 2
    assert bench.waiting_rows == 0
    await bench.close()


async def test_answers_of_one_run_do_not_share_what_a_caller_could_change_for_another() -> None:
    bench = Bench()
    mine, yours = bench.submit(1.0), bench.submit(2.0)
    (my_rows,) = await mine
    my_rows[:] = 99

    assert np.array_equal((await yours)[0], [[4.0]])
    await bench.close()


async def test_work_that_shares_no_run_is_computed_alone() -> None:
    bench = Bench(inline_below_s=1.0, run_s=0.001)
    await bench.learn()
    alone = Work(doubling(1.0, 2.0).feeds, ("Y",), 1, batched=False)

    replies = [bench.queue.submit(alone, None), bench.queue.submit(alone, None), bench.submit(3.0)]
    await asyncio.gather(*replies)

    assert bench.session.runs == [[1.0, 2.0], [1.0, 2.0], [3.0]]
    await bench.close()
