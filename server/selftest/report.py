"""The findings of a selftest: for a terminal, as JSON, and as a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape

from rich.table import Table

from server.runtime.crossover import ROWS
from server.selftest.trial import Trial

_COLUMNS = ("model", "device", "against the CPU", "batches", *map(str, ROWS), "faster from")
_TITLE = "Microseconds of a run, by its rows"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Credence selftest</title>
<style>body{font:15px sans-serif;margin:2em}td,th{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:left}</style>
<h1>Selftest</h1><p>%s</p><table><caption>%s</caption><tr>%s</tr>%s</table>
<h2>Fingerprints</h2><ul>%s</ul></html>
"""


def to_table(trials: Sequence[Trial]) -> Table:
    table = Table(*_COLUMNS, title=_TITLE)
    for trial in trials:
        if not trial.missing:
            table.add_row(*_cells(trial))
    return table


def to_json(trials: Sequence[Trial], failures: Sequence[str]) -> str:
    return json.dumps({"failures": list(failures), "trials": [asdict(trial) for trial in trials]}, indent=1) + "\n"


def to_html(trials: Sequence[Trial], failures: Sequence[str]) -> str:
    """One page that needs nothing beside it."""
    verdict = "; ".join(map(escape, failures)) or "All that is here agrees with the CPU."
    head = "".join(f"<th>{escape(column)}</th>" for column in _COLUMNS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(trial)) + "</tr>\n" for trial in trials
    )
    fingerprints = "".join(
        f"<li>{escape(fingerprint)}</li>"
        for fingerprint in dict.fromkeys(t.fingerprint for t in trials if t.fingerprint)
    )
    return _PAGE % (verdict, _TITLE, head, rows, fingerprints)


def _cells(trial: Trial) -> list[str]:
    if trial.missing:
        return [trial.model, trial.device, f"not here: {trial.missing}", *[""] * (len(_COLUMNS) - 3)]
    verdict = (
        "the same" if trial.difference == 0 else f"{'within' if trial.agrees else 'BEYOND'} bound: {trial.difference}"
    )
    batches = f"{trial.invariance}, padded {trial.padding}" + (f" ({trial.why})" if trial.why else "")
    times = [f"{trial.microseconds[rows]:.0f}" if rows in trial.microseconds else "" for rows in ROWS]
    faster = "" if trial.device == "cpu" else f"{trial.faster_from} rows" if trial.faster_from else "never"
    return [trial.model, trial.device, verdict, batches, *times, faster]
