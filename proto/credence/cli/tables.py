"""Tables for a terminal: what Rich draws from the client's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from credence.cli.scoring import Outcome
from credence.cli.writing import Summary
from credence.description import Feature, ModelDescription
from credence.inference_calls import ModelState, RepositoryEntry, ServerMetadata, TensorMetadata
from credence.results import Decision, Explanation, Reason

_STYLES = {Decision.APPROVE: "green", Decision.REFER: "yellow", Decision.DECLINE: "red"}

# A file or pipe has no width of its own: wide enough that a row stays a line.
_FILE_WIDTH = 160


def draw(table: RenderableType, file: TextIO) -> None:
    """Prints to a terminal in its width, to anything else in a fixed one."""
    Console(file=file, width=None if file.isatty() else _FILE_WIDTH, highlight=False).print(table)


def scores(summary: Summary) -> RenderableType:
    """The first outcomes, and what all of them come to."""
    table = _table("row", "id", "decision", "score", "PD", "reasons or error")
    for outcome in summary.head:
        table.add_row(*_outcome_cells(outcome))
    beyond = summary.scored + summary.failed - len(summary.head)
    more = [Text(f"... and {beyond} more rows: --format csv or json has them all")] if beyond else []
    return Group(table, *more, Text(summary.line()))


def explanation(explained: Explanation) -> RenderableType:
    """A decision with its reasons."""
    head = Text.assemble(
        _decision(explained.decision),
        f", {explained.score} points, probability of default {explained.probability_of_default:.4f}",
        f", build {explained.build_digest}",
    )
    table = _table("code", "reason", "features", "contribution", "relief")
    for reason in explained.reasons:
        table.add_row(*_reason_cells(reason))
    return Group(head, table)


def description(model: ModelDescription) -> RenderableType:
    """What a model wants to know and how it decides."""
    cutoffs, scaling = model.cutoffs, model.scaling
    facts = Table.grid(padding=(0, 2))
    facts.add_row("model", Text(model.model))
    facts.add_row("build", Text(f"{model.build_digest} ({', '.join(model.aliases) or 'no alias'})"))
    facts.add_row("outcome", Text(model.outcome))
    facts.add_row("trained", Text(f"{model.trained_from} to {model.trained_to}, as of {model.as_of}"))
    facts.add_row(
        "approve", Text(f"below {cutoffs.approve_below:g}; decline from {cutoffs.decline_from:g} ({cutoffs.rule})")
    )
    facts.add_row(
        "score",
        Text(f"{scaling.base_points:g} at odds {scaling.base_odds:g}, {scaling.points_to_double_odds:g} double them"),
    )
    facts.add_row("in a call", Text(f"at most {model.max_applications} applications"))
    return Group(facts, _features(model.features), _reason_codes(model))


def models(server: ServerMetadata, entries: Sequence[RepositoryEntry], states: Sequence[ModelState]) -> RenderableType:
    """The server, what its repository has, and models with their tensors."""
    index = _table("model", "version", "state", "reason")
    for entry in entries:
        index.add_row(Text(entry.model), Text(entry.version), Text(entry.state), Text(entry.reason))
    table = _table("model", "ready", "versions", "platform", "inputs", "outputs")
    for state in states:
        found = state.metadata
        table.add_row(
            Text(found.name),
            "yes" if state.ready else "no",
            Text(", ".join(found.versions)),
            Text(found.platform),
            Text(_tensors(found.inputs)),
            Text(_tensors(found.outputs)),
        )
    return Group(Text(f"{server.name} {server.version}"), index, Text(), table)


def _features(features: Sequence[Feature]) -> Table:
    table = _table("feature", "type", "required", "accepts", "unit", "description")
    for each in features:
        table.add_row(
            Text(each.name),
            each.type,
            "yes" if each.required else "",
            Text(_domain(each)),
            each.unit,
            Text(each.description),
        )
    return table


def _reason_codes(model: ModelDescription) -> Table:
    table = _table("code", "reason", "features")
    for each in model.reason_codes:
        table.add_row(Text(each.code), Text(each.text), Text(", ".join(each.features)))
    return table


def _domain(feature: Feature) -> str:
    if feature.allowed:
        return ", ".join(feature.allowed)
    if feature.digits:
        return f"at most {feature.digits} digits"
    low = "" if feature.minimum is None else f"from {feature.minimum:g}"
    high = "" if feature.maximum is None else f"to {feature.maximum:g}"
    return f"{low} {high}".strip()


def _outcome_cells(outcome: Outcome) -> tuple[RenderableType, ...]:
    scored = outcome.scored
    if scored is None:
        return str(outcome.row), Text(outcome.id), Text("failed", "red"), "", "", Text(outcome.error)
    reasons = Text("; ".join(reason.text or reason.code for reason in scored.reasons))
    probability = f"{scored.probability_of_default:.4f}"
    return str(outcome.row), Text(outcome.id), _decision(scored.decision), str(scored.score), probability, reasons


def _reason_cells(reason: Reason) -> tuple[RenderableType, ...]:
    features = Text(", ".join(reason.features))
    return Text(reason.code), Text(reason.text), features, f"{reason.contribution:+.3f}", f"{reason.relief:.4f}"


def _decision(decision: Decision) -> Text:
    return Text(decision, _STYLES[decision])


def _tensors(tensors: Sequence[TensorMetadata]) -> str:
    return "\n".join(f"{each.name} {each.datatype} [{','.join(map(str, each.shape))}]" for each in tensors)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in {"row", "score", "PD"} else "left", overflow="fold")
    return table
