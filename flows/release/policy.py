"""The policy of a rollout: a TOML document that a risk officer can read and sign, with a default that ships."""

from __future__ import annotations

import hashlib
import tomllib
from datetime import UTC, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, Field, ValidationError, field_validator, model_validator

from flows.release.documents import Document, problems
from flows.release.routes import EVERYBODY

Seconds = Annotated[float, Field(gt=0, le=30 * 86400)]
Share = Annotated[float, Field(gt=0, lt=1)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class InvalidPolicy(Exception):
    """The document is no policy: the message names each field, its value and what was expected."""


class Step(Document):
    """One share of the applicants, and what must be seen before the next.

    Attributes:
        share: per cent; 0 is shadow: copies of calls, and no applicant.
        minimum_s: shortest time.
        minimum_calls: fewest calls that the candidate must have answered.
        deadline_s: what is inconclusive for so long halts.
        slack: gates pass up to so many times their threshold: the fewer applicants, the wider an interval may be.
        approval: a person must approve before this step begins.
    """

    share: Annotated[int, Field(ge=0, le=EVERYBODY)]
    minimum_s: Annotated[float, Field(ge=0)]
    minimum_calls: Annotated[int, Field(ge=0)]
    deadline_s: Seconds
    slack: Annotated[float, Field(ge=1)] = 1.0
    approval: bool = False

    @model_validator(mode="after")
    def _time_enough(self) -> Self:
        if self.minimum_s >= self.deadline_s:
            raise ValueError(f"minimum_s = {self.minimum_s} must be below deadline_s = {self.deadline_s}")
        return self


class GatePolicy(Document):
    """What online gates allow. One that is left out is not asked.

    Attributes:
        alpha: the chance that a rollout without harm is ever stopped by these gates, over all steps, gates and looks.
        error_rate: share of calls that may fail beyond the champion's.
        error_ceiling: share of calls that may fail once the candidate has all traffic.
        latency: share of calls by which the candidate may be slower at any bound of the latency histogram.
        score_shift: mean distance of PDs on the same rows.
        swap_set: share of rows decided otherwise.
        approval_rate: how far the share of approvals may move.
    """

    alpha: Annotated[float, Field(gt=0, le=0.2)]
    error_rate: Share
    error_ceiling: Share
    latency: Share
    score_shift: Share | None = None
    swap_set: Share | None = None
    approval_rate: Share | None = None


class OfflinePolicy(Document):
    """What offline gates allow, on matured labels of the same out-of-time rows.

    Attributes:
        gini_gain: the lower bound of the gain in Gini must lie above it.
        calibration: by how much farther than the champion's the mean PD may lie from the bad rate, in log-odds.
        expected_loss: by what share the loss per exposure of what is approved may exceed the champion's.
        segment_gini: how much Gini any segment may lose.
        reason_codes: share of explained rows that may get another leading reason.
        adverse_impact: lowest ratio of approval rates of any group to the best one, where a group file is given.
        segment_rows: segments with fewer rows are not judged.
        level: of the intervals.
    """

    gini_gain: Annotated[float, Field(ge=-1, le=1)]
    calibration: Annotated[float, Field(gt=0)]
    expected_loss: Annotated[float, Field(gt=0)]
    segment_gini: Share
    reason_codes: Share
    adverse_impact: Share
    segment_rows: Annotated[int, Field(ge=100)]
    level: Share


class WeeklyFreeze(Document):
    """No step forward on these days between these times; it may end after midnight."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1)]
    start: time
    end: time


class DatedFreeze(Document):
    """No step forward from start to end."""

    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"end = {self.end} must lie after start = {self.start}")
        return self


class Policy(Document):
    """How a candidate comes to serve everybody.

    Attributes:
        look_every_s: between two looks.
        confirm_within_s: weights that the router does not confirm for so long roll back.
        patience_s: counters that cannot be read for so long halt.
        halt_limit_s: a halt that nobody answers for so long rolls back.
        settle_s: from weights confirmed to the next write after a rollback, for calls in flight.
        timezone: of the weekly freezes.
    """

    look_every_s: Seconds
    confirm_within_s: Seconds
    patience_s: Seconds
    halt_limit_s: Seconds
    settle_s: Annotated[float, Field(ge=0, le=600)]
    steps: Annotated[tuple[Step, ...], Field(min_length=2)]
    gates: GatePolicy
    offline: OfflinePolicy
    timezone: str = "UTC"
    weekly_freezes: tuple[WeeklyFreeze, ...] = ()
    dated_freezes: tuple[DatedFreeze, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{value!r} is no time zone; 'UTC' and 'Europe/Moscow' are") from None
        return value

    @model_validator(mode="after")
    def _upwards(self) -> Self:
        shares = [step.share for step in self.steps]
        if shares != sorted(set(shares)) or shares[0] != 0 or shares[-1] != EVERYBODY:
            raise ValueError(f"steps: shares must rise from 0 to 100, they are {shares}")
        return self

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def frozen(self, now: float) -> bool:
        """Whether a step forward is forbidden at this time, in seconds since the epoch."""
        moment = datetime.fromtimestamp(now, UTC)
        dated = any(freeze.start <= moment < freeze.end for freeze in self.dated_freezes)
        local = moment.astimezone(ZoneInfo(self.timezone))
        return dated or any(_holds(freeze, local) for freeze in self.weekly_freezes)


def _holds(freeze: WeeklyFreeze, local: datetime) -> bool:
    today = _WEEKDAYS[local.weekday()] in freeze.days
    now = local.time()
    if freeze.start <= freeze.end:
        return today and freeze.start <= now < freeze.end
    yesterday = _WEEKDAYS[(local - timedelta(days=1)).weekday()] in freeze.days
    return (today and now >= freeze.start) or (yesterday and now < freeze.end)


def default_policy() -> Policy:
    """The policy that ships."""
    return parse_policy((files("flows.release") / "policies" / "default.toml").read_text(), "default.toml")


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file.

    Raises:
        InvalidPolicy: no such file, or it is no policy.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPolicy(f"policy {path}: {error}") from None
    return parse_policy(text, str(path))


def parse_policy(text: str, where: str) -> Policy:
    """The policy in a TOML text.

    Raises:
        InvalidPolicy: naming each field, its value and what was expected.
    """
    try:
        return Policy.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidPolicy(f"policy {where}: not TOML: {error}") from None
    except ValidationError as error:
        raise InvalidPolicy(f"policy {where}: {problems(error)}") from None
