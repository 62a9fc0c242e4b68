"""Two kinds of label.

``as_of`` is what somebody could know on a day: whether a loan defaulted within the performance window, for loans whose
window had closed. It reads nothing but dates, because a status carries no date: the final status of a loan, or its
absence, was not known on any earlier day. ``hindsight`` is the final outcome, and only fit to compare model families.
"""

from datetime import date

import polars as pl

from flows.training.data.loans import Loans

OUTCOME_COLUMNS = ("defaulted", "defaulted_on")


class OutcomesUnknown(ValueError):
    """No outcome is recorded as late as the day asked for: a default before it could be missing, and pass for a good loan."""


def last_outcome(loans: Loans) -> date:
    """The latest default date among all loans: up to this day outcomes were recorded.

    Raises:
        OutcomesUnknown: no default is dated.
    """
    latest: date | None = loans.frame.select(pl.col("defaulted_on").max()).item()
    if latest is None:
        raise OutcomesUnknown("no default is dated: nobody can say up to when outcomes were recorded")
    return latest


def as_of(loans: Loans, as_of_date: date) -> pl.DataFrame:
    """Loans whose performance window had closed by ``as_of_date``, with the label of that day.

    The window ends the spec's number of calendar months after approval (31 January plus one month is the last of
    February). Columns: ``id``, ``approved_on``, the features, ``label`` (Int8, 1 = a default is dated within the
    window, its last day included). Row order is kept.

    Raises:
        OutcomesUnknown: the day is later than `last_outcome`; loans that default after it are censored, not good.
    """
    if as_of_date > (recorded := last_outcome(loans)):
        raise OutcomesUnknown(f"outcomes are recorded up to {recorded}: what was known on {as_of_date} cannot be told")
    window_end = pl.col("approved_on").dt.offset_by(f"{loans.spec.performance_window_months}mo")
    closed = loans.frame.filter(window_end <= as_of_date)
    return _labelled(closed, (pl.col("defaulted_on") <= window_end).fill_null(value=False))


def hindsight(loans: Loans) -> pl.DataFrame:
    """Loans with a final outcome; columns as in ``as_of``, ``label`` 1 = defaulted in the end. Row order is kept."""
    return _labelled(loans.frame.filter(pl.col("defaulted").is_not_null()), pl.col("defaulted"))


def _labelled(frame: pl.DataFrame, label: pl.Expr) -> pl.DataFrame:
    """The outcome columns leave with the label made: nothing downstream can read them as inputs."""
    return frame.with_columns(label.cast(pl.Int8).alias("label")).drop(OUTCOME_COLUMNS)
