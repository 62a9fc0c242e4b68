"""Batches of rows: what is refused, what is sent again, and what ends it all."""

from __future__ import annotations

import threading
import time

import credence
import pytest
from credence import Application, Decision, FieldViolation, ReasonsStatus, Scored, ScoreResult
from credence.cli.conversion import Converted
from credence.cli.scoring import score_batch, score_rows
from hypothesis import given
from hypothesis import strategies as st


def row(number, *, bad=False, unfit=False):
    problems = {"amount": "'x' is not a number"} if unfit else {}
    return Converted(number, Application({"bad": bad}, id=f"i{number}"), problems)


def result(applications):
    scored = [Scored(a.id, f"d-{a.id}", 0.1, 600, Decision.APPROVE, ReasonsStatus.NOT_ASKED, ()) for a in applications]
    return ScoreResult("r", "m", "sha256:1", tuple(scored))


class Server:
    """Refuses bad rows, but names only the first `named` of them, as a server with a bounded answer does."""

    def __init__(self, named=2):
        self.named = named
        self.calls = 0

    def __call__(self, applications):
        self.calls += 1
        bad = [index for index, application in enumerate(applications) if application.features["bad"]]
        if bad:
            fields = [FieldViolation(f'applications[{i}].features["bad"]', "is bad") for i in bad[: self.named]]
            raise credence.InvalidRequest("no", fields=fields)
        return result(applications)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30), st.integers(1, 5))
def test_every_row_has_one_outcome_and_only_bad_ones_fail(kinds, named):
    rows = [row(number, bad=bad, unfit=unfit) for number, (bad, unfit) in enumerate(kinds, start=1)]
    server = Server(named)
    outcomes = score_batch(server, rows)
    assert [outcome.row for outcome in outcomes] == [each.row for each in rows]
    for outcome, (bad, unfit) in zip(outcomes, kinds, strict=True):
        if unfit:
            assert outcome.error == "amount: 'x' is not a number"
        elif bad:
            assert outcome.error == "bad: is bad"
        else:
            assert outcome.scored.application_id == f"i{outcome.row}"
            assert outcome.build_digest == "sha256:1"
    assert server.calls <= len(rows) + 1


@pytest.mark.parametrize("kind", [credence.ModelFailed, credence.DeadlineExceeded, credence.Overloaded])
def test_what_may_be_the_batchs_own_fails_its_rows_only(kind):
    def score(_applications):
        raise kind("no luck")

    outcomes = score_batch(score, [row(1), row(2, unfit=True)])
    assert [outcome.error for outcome in outcomes] == ["no luck", "amount: 'x' is not a number"]


@pytest.mark.parametrize(
    "error",
    [
        credence.NotFound("no such model"),
        credence.TransportError("away"),
        credence.PermissionDenied("no"),
        credence.InvalidRequest("no row is named"),
        credence.InvalidRequest("another row", fields=[FieldViolation("applications[9]", "is not here")]),
    ],
)
def test_what_every_row_would_meet_ends_it_all(error):
    def score(_applications):
        raise error

    with pytest.raises(type(error)):
        list(score_rows(score, [row(1)], batch=1, in_flight=2))


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 4))
def test_outcomes_come_in_the_order_of_the_file(count, batch, in_flight):
    def score(applications):
        time.sleep(0.001 if applications[0].id.endswith("1") else 0)
        return result(applications)

    outcomes = list(score_rows(score, (row(n) for n in range(count)), batch=batch, in_flight=in_flight))
    assert [outcome.row for outcome in outcomes] == list(range(count))


def test_no_more_calls_are_under_way_than_asked_for():
    under_way, most, lock = 0, 0, threading.Lock()

    def score(applications):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.005)
        with lock:
            under_way -= 1
        return result(applications)

    list(score_rows(score, (row(n) for n in range(30)), batch=1, in_flight=3))
    assert 2 <= most <= 3
