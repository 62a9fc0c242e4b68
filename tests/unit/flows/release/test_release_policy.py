from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from rollouts import policy

from flows.release.policy import InvalidPolicy, default_policy, parse_policy, read_policy

SHIPPED = (files("flows.release") / "policies" / "default.toml").read_text()


def test_the_policy_that_ships_rises_from_shadow_to_everybody() -> None:
    assert [step.share for step in default_policy().steps] == [0, 1, 5, 20, 50, 100]


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("alpha = 0.02", "alpha = 2", "gates.alpha = 2: Input should be less than or equal to 0.2"),
        ("share = 1\n", "share = 7\n", "shares must rise from 0 to 100, they are [0, 7, 5, 20, 50, 100]"),
        ("minimum_calls = 400\n", "", "steps.1.minimum_calls"),
        ("settle_s = 5", "setle_s = 5", "setle_s = 5: Extra inputs are not permitted"),
        ("settle_s = 5", 'settle_s = 5\ntimezone = "Mars"', "timezone = 'Mars': 'Mars' is no time zone"),
        ("minimum_s = 900", "minimum_s = 90000", "minimum_s = 90000.0 must be below deadline_s = 28800.0"),
        ("settle_s = 5", "settle_s = nan", "settle_s = nan: "),
        ("[gates]", "[gates", "not TOML"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(was: str, becomes: str, told: str) -> None:
    assert was in SHIPPED
    with pytest.raises(InvalidPolicy, match="policy mine") as refused:
        parse_policy(SHIPPED.replace(was, becomes), "mine")
    assert told in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidPolicy, match=r"nothing\.toml"):
        read_policy(tmp_path / "nothing.toml")


def test_a_policy_is_named_by_its_digest() -> None:
    assert default_policy().digest == default_policy().digest != policy().digest


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("at", "frozen"),
    [
        ("2026-11-20T12:59", False),  # Friday, 15:59 in Moscow
        ("2026-11-20T13:00", True),
        ("2026-11-21T04:59", True),  # Saturday, before 08:00
        ("2026-11-21T05:00", False),
        ("2026-11-21T14:00", False),  # Saturday evening is not on the list
        ("2026-12-30T10:00", True),
        ("2027-01-11T10:00", False),
    ],
)
def test_freezes_follow_the_calendar_of_their_time_zone(at: str, *, frozen: bool) -> None:
    rules = policy(
        timezone="Europe/Moscow",
        weekly_freezes=[{"days": ["fri"], "start": "16:00", "end": "08:00"}],
        dated_freezes=[{"start": "2026-12-25T00:00:00Z", "end": "2027-01-10T00:00:00Z"}],
    )
    assert rules.frozen(moment(at)) is frozen


def test_a_freeze_within_one_day_ends_on_it() -> None:
    rules = policy(weekly_freezes=[{"days": ["mon"], "start": "09:00", "end": "10:00"}])
    assert rules.frozen(moment("2026-11-23T09:30"))
    assert not rules.frozen(moment("2026-11-23T10:00"))
