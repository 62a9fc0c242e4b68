"""The bucket of an applicant: stable, even, and the same for every caller."""

from __future__ import annotations

from collections import Counter

import credence
import pytest
from credence import Application, bucket
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Script


@given(st.text(), st.text())
def test_a_bucket_is_stable_and_in_range(applicant, salt):
    assert 0 <= bucket(applicant, salt) <= 99
    assert bucket(applicant, salt) == bucket(applicant, salt)


@pytest.mark.parametrize(("applicant", "salt", "expected"), [("4711", "credence", 99), ("4711", "other", 63)])
def test_the_buckets_never_change_between_releases(applicant, salt, expected):
    assert bucket(applicant, salt) == expected


def test_applicants_spread_evenly():
    counts = Counter(bucket(str(number)) for number in range(100_000))
    assert len(counts) == 100
    chi_square = sum((count - 1000) ** 2 / 1000 for count in counts.values())
    assert 60 < chi_square < 149  # 99 degrees of freedom: outside once in a thousand, both ways, and this is fixed


def test_another_salt_shuffles():
    same = sum(bucket(str(number), "a") == bucket(str(number), "b") for number in range(10_000))
    assert 50 < same < 150


@pytest.mark.parametrize(
    ("applications", "applicant_id", "named"),
    [
        ({"amount": 1.0}, "", None),
        ({"amount": 1.0}, "bob", "bob"),
        (Application({"amount": 1.0}, id="7"), "", "7"),
        (Application({"amount": 1.0}, id="7"), "bob", "bob"),
        ([Application({"amount": 1.0}, id="7")] * 2, "", None),
        ([Application({"amount": 1.0}, id="7")] * 2, "bob", "bob"),
    ],
)
def test_a_call_about_one_applicant_says_which_bucket(script: Script, target, applications, applicant_id, named):
    with credence.Client(target, bucket_salt="pepper") as client:
        client.score(applications, applicant_id=applicant_id)
    expected = None if named is None else str(bucket(named, "pepper"))
    assert script.seen[0].metadata.get("x-credence-bucket") == expected


EXPLAINED = [
    ({"application": Application({"amount": 1.0}, id="7")}, "7"),
    ({"application": Application({"amount": 1.0}, id="7"), "applicant_id": "bob"}, "bob"),
    ({"decision_id": "d-7", "applicant_id": "bob"}, "bob"),
    ({"decision_id": "d-7"}, None),
]


@pytest.mark.parametrize(("subject", "named"), EXPLAINED)
def test_an_explanation_is_asked_in_the_bucket_of_its_applicant(script: Script, target, subject, named):
    with credence.Client(target, bucket_salt="pepper") as client:
        client.explain(**subject)
    expected = None if named is None else str(bucket(named, "pepper"))
    assert script.seen[0].metadata.get("x-credence-bucket") == expected


@pytest.mark.parametrize(("subject", "named"), EXPLAINED)
async def test_the_async_client_asks_for_explanations_in_the_same_bucket(script: Script, target, subject, named):
    async with credence.AsyncClient(target, bucket_salt="pepper") as client:
        await client.explain(**subject)
    expected = None if named is None else str(bucket(named, "pepper"))
    assert script.seen[0].metadata.get("x-credence-bucket") == expected
