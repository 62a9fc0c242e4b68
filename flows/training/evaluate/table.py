"""The benchmark as a table for the terminal: models down, test sets across, each with its interval and the paired difference."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from flows.training.evaluate.bootstrap import GiniBootstrap, Interval
from flows.training.evaluate.outcomes import NotMeasurable


def comparison_table(tests: Mapping[str, GiniBootstrap], reference: str) -> Table:
    """One row for each model; for each test set its Gini and its difference to the reference model.

    A difference whose interval lies above 0 is green, one below 0 red: the others do not tell the models apart.

    Raises:
        NotMeasurable: no test set, test sets of other models, or a reference that is none of the models.
    """
    models = _models(tests)
    if reference not in models:
        raise NotMeasurable(f"reference: {reference} is none of the models {', '.join(models)}")
    level = next(iter(tests.values())).level
    table = Table(
        title=f"Gini and {level:.0%} bootstrap interval",
        caption="Differences are paired: the same resamples of the same rows.",
    )
    table.add_column("model")
    for test in tests:
        table.add_column(test, justify="right")
        table.add_column(f"difference to {reference}", justify="right")
    for model in models:
        cells = [text for bootstrap in tests.values() for text in _cells(bootstrap, model, reference)]
        table.add_row(model, *cells)
    return table


def _models(tests: Mapping[str, GiniBootstrap]) -> tuple[str, ...]:
    if not tests:
        raise NotMeasurable("tests: at least one test set is needed")
    names = {bootstrap.models for bootstrap in tests.values()}
    if len(names) != 1:
        raise NotMeasurable(f"tests: every test set needs the same models, they are {sorted(names)}")
    return names.pop()


def _cells(bootstrap: GiniBootstrap, model: str, reference: str) -> tuple[str, str]:
    gini = bootstrap.gini(model)
    text = f"{gini.estimate:.3f} [dim]{gini.lower:.3f} to {gini.upper:.3f}[/]"
    return text, "–" if model == reference else _difference(bootstrap.difference(model, reference))


def _difference(difference: Interval) -> str:
    text = f"{difference.estimate:+.4f} {difference.lower:+.4f} to {difference.upper:+.4f}"
    if difference.lower > 0:
        return f"[green]{text}[/]"
    return f"[red]{text}[/]" if difference.upper < 0 else text
