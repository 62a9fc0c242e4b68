"""What a simulation found: a table for the terminal, JSON for machines, a page with a plot for people."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, FileSystemLoader, select_autoescape
from matplotlib.figure import Figure
from rich.table import Table

from flows.release.policy import Policy
from flows.release.simulate.run import Outcomes

# What the project asks of a policy: issue "Retrain, compare, promote, roll back", point 6.
COMPLETED, STOPPED, BY_SHARE = 0.99, 0.95, 5
_DONE = "completed"
# From dark to light by how far the candidate came; told apart in grey print too.
_COLOURS = ("#08306b", "#2171b5", "#6baed6", "#c6dbef", "#fdd0a2", "#fd8d3c", "#4d9221")


def holds(outcome: Outcomes) -> bool:
    """Whether a scenario came out as the project asks."""
    if not outcome.scenario.harmful:
        return outcome.completed >= COMPLETED
    return outcome.stopped_by(BY_SHARE) >= STOPPED


def table(outcomes: Sequence[Outcomes]) -> Table:
    made = Table(caption=f"stopped: with at most {BY_SHARE} % of the applicants on the candidate")
    made.add_column("candidate", no_wrap=True)
    for heading in ("runs", "through", "stopped", "median", "95 %", "bad, mean", "most", ""):
        made.add_column(heading, justify="right", no_wrap=True)
    for row in map(summary, outcomes):
        made.add_row(
            str(row["candidate"]),
            str(row["runs"]),
            f"{row['completed']:.1%}",
            f"{row['stopped']:.1%}",
            _time(row["median_s"]),
            _time(row["p95_s"]),
            f"{row['bad_mean']:.1f}",
            f"{row['bad_most']:.0f}",
            "holds" if row["holds"] else "MISSES",
        )
    return made


def summary(outcome: Outcomes) -> dict[str, object]:
    """One scenario's figures."""
    after, bad = outcome.stopped_after_s(), outcome.bad_served()
    reasons: dict[str, int] = {}
    for ending in outcome.endings:
        if not ending.completed:
            gate = ending.why.split(":")[0]
            reasons[gate] = reasons.get(gate, 0) + 1
    return {
        "candidate": outcome.scenario.name,
        "what": outcome.scenario.what,
        "harmful": outcome.scenario.harmful,
        "runs": len(outcome.endings),
        "completed": outcome.completed,
        "stopped": outcome.stopped_by(BY_SHARE),
        "median_s": float(np.quantile(after, 0.5)) if after.size else None,
        "p95_s": float(np.quantile(after, 0.95)) if after.size else None,
        "bad_mean": float(bad.mean()),
        "bad_most": float(bad[-1]),
        "stopped_by_gate": reasons,
        "stopped_at_share": _by_share(outcome),
        "holds": holds(outcome),
    }


def write(outcomes: Sequence[Outcomes], policy: Policy, traffic: str, folder: Path) -> None:
    """Writes simulation.json and simulation.html."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [summary(outcome) for outcome in outcomes]
    document = {"policy": policy.digest, "traffic": traffic, "candidates": rows}
    (folder / "simulation.json").write_text(json.dumps(document, indent=1) + "\n")
    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(("jinja",)))
    page = pages.get_template("simulation.html.jinja")
    context = {"rows": rows, "policy": policy, "traffic": traffic, "plot": _plot(outcomes), "by_share": BY_SHARE}
    (folder / "simulation.html").write_text(page.render(context, time=_time))


def _by_share(outcome: Outcomes) -> dict[str, float]:
    """Where rollouts ended, as shares of them all: at which per cent they were stopped, or completed."""
    counts: dict[str, int] = {}
    for ending in outcome.endings:
        where = _DONE if ending.completed else str(ending.share)
        counts[where] = counts.get(where, 0) + 1
    return {where: count / len(outcome.endings) for where, count in counts.items()}


def _plot(outcomes: Sequence[Outcomes]) -> str:
    """Where the rollouts of each kind of candidate ended; SVG."""
    with mpl.rc_context({"svg.hashsalt": "simulation", "svg.fonttype": "path"}):
        figure = Figure(figsize=(9.6, 0.45 * len(outcomes) + 1.2), layout="constrained")
        axes = figure.subplots()
        ends = [_by_share(outcome) for outcome in outcomes]
        found = {where for each in ends for where in each}
        order = [*sorted((where for where in found if where != _DONE), key=int), *([_DONE] if _DONE in found else [])]
        names = [outcome.scenario.name for outcome in outcomes]
        left = np.zeros(len(outcomes))
        for where in order:
            widths = np.array([each.get(where, 0.0) for each in ends])
            colour = _COLOURS[-1] if where == _DONE else _COLOURS[order.index(where) % (len(_COLOURS) - 1)]
            axes.barh(
                names, widths, left=left, color=colour, label=where if where == _DONE else f"stopped at {where} %"
            )
            left += widths
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of the rollouts")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _time(seconds: object) -> str:
    if not isinstance(seconds, float):
        return "-"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004 (two hours)
