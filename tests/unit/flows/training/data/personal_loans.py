"""A second data set, unlike the one that ships, so that nothing but its spec can know its names."""

from datetime import date, timedelta
from pathlib import Path

TOML = Path(__file__).with_name("personal_loans.toml")
Row = dict[str, str]


def personal_loan(number: int) -> Row:
    """Row ``number`` of a book that opens one loan every fortnight from 2019 on; every fifth is written off."""
    opened = date(2019, 1, 3) + timedelta(days=14 * number)
    bad = number % 5 == 0
    written_off = opened + timedelta(days=100 + 40 * (number % 15))
    return {
        "ref": f"PL-{number:04}",
        "opened": opened.strftime("%d.%m.%Y"),
        "closed_as": "written off" if bad else ("live" if number % 7 == 0 else "settled"),
        "written_off": written_off.strftime("%d.%m.%Y") if bad else "",
        "sum": f"€{1_000 + 250 * number:,}.50",
        "income": "" if number % 9 == 0 else f"{1500 + number}.25",
        "children": str(number % 4),
        "purpose": ("car", "kitchen", "holiday")[number % 3],
        "homeowner": ("ja", "nein", "k.A.")[number % 3],
        "branch": f"{number % 3:04}" if number % 4 else "9999",
        "dunning_letters": str(3 if bad else 0),
    }
