"""Reports in files: where they go is looked at before the load, and a disk that is full after it is told in a line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer


class NotWritten(Exception):
    """A report's file could not be written, after the load; the message names it."""


@dataclass(frozen=True)
class Reports:
    """The files that were asked for."""

    json_file: Path | None
    html_file: Path | None

    def write(self, document: Callable[[], dict[str, Any]], page: Callable[[], str] | None) -> None:
        """Writes what was asked for, each file whether or not the other could be.

        Args:
            document: makes the JSON.
            page: makes the HTML; None where there is nothing to plot.

        Raises:
            NotWritten: one could not be.
        """
        failed = []
        if self.json_file:
            failed.append(_write(self.json_file, json.dumps(document(), indent=1, allow_nan=False) + "\n"))
        if self.html_file:
            failed.append(_write(self.html_file, page()) if page else f"{self.html_file}: there is nothing to plot")
        if problem := "; ".join(filter(None, failed)):
            raise NotWritten(problem)


def to(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything measured there.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with plots there.")] = None,
) -> Reports:
    for file in (json_file, html_file):
        if file is not None and not _writable(file):
            raise typer.BadParameter(f"{file} cannot be written: it is a folder, or its folder does not take it")
    return Reports(json_file, html_file)


def _writable(file: Path) -> bool:
    """Looked at before the load: a report that cannot be written would cost the measurement."""
    return not file.is_dir() and os.access(file if file.exists() else file.absolute().parent, os.W_OK)


def _write(file: Path, text: str) -> str:
    """Why it could not be written; empty if it was."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        return f"{file} could not be written: {error.strerror}"
    return ""
