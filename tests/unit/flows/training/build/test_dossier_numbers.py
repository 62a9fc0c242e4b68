from __future__ import annotations

import math

import pytest

from flows.training.build import dossier_numbers as numbers
from flows.training.evaluate.bootstrap import Interval


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (numbers.share(0.12345), "12.3 %"),
        (numbers.share(0.12345, 2), "12.35 %"),
        (numbers.decimal(-0.5), "−0.500"),
        (numbers.signed(0.0123), "+0.012"),
        (numbers.signed(-0.0123, 2), "−0.01"),
        (numbers.whole(1234567), "1\u202f234\u202f567"),
        (numbers.millions(-1_234_567_890), "−1\u202f234.6"),
        (numbers.scientific(3.64e-7), "3.6e-07"),
        (numbers.bounds(Interval(0.2, 0.15, 0.25)), "0.150 to 0.250"),
        (numbers.signed_bounds(Interval(0.0, -0.01, 0.01), 2), "−0.01 to +0.01"),
    ],
)
def test_numbers_look_as_people_write_them(shown: str, expected: str):
    assert shown == expected


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_known_is_a_dash(value: float | None):
    assert {numbers.share(value), numbers.decimal(value), numbers.whole(value), numbers.millions(value)} == {"–"}
