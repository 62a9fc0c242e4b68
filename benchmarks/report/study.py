"""The page of several measurements together, as one self-contained HTML file: sentences, plots, a table, and the JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.environment import Environment
from benchmarks.report.curves import Figure
from benchmarks.report.templates import TEMPLATES


@dataclass(frozen=True)
class Study:
    """What the page shows.

    Attributes:
        title: in the heading.
        subtitle: how it was measured.
        findings: what it comes to, a sentence each.
        problem: why it is partial; empty when it is whole.
        figures: plots.
        headers: of the table's columns, and
        rows: their cells as text.
        note: how to read the table.
        environment: of the first measurement.
        document: everything, for machines.
    """

    title: str
    subtitle: str
    findings: Sequence[str]
    figures: Sequence[Figure]
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str
    environment: Environment
    document: dict[str, Any] = field(repr=False)
    problem: str = ""


def study_page(study: Study) -> str:
    """No script, nothing to load."""
    document = json.dumps(study.document, allow_nan=False).replace("</", "<\\/")
    return TEMPLATES.get_template("study.html.j2").render(study=study, document=document)
