"""What is compared: a server that runs already, one of ours with its settings, or any command; from TOML or the command line.

[[configuration]]
name = "batches of {max_batch_rows}"          # braces name keys of the matrix
settings = { model_repository = "models" }    # of `python -m server`; ports are chosen for it
matrix = { max_batch_rows = [1, 64, 1024] }   # one configuration for each combination

[[configuration]]
name = "naive"
command = ["python", "-m", "benchmarks.naive_server", "models/reference/1/model.onnx", "{port}"]

[[configuration]]
name = "the one in staging"
target = "127.0.0.1:8001"
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from pydantic import Field, ValidationError, model_validator

from benchmarks.load.documents import Document, problems

Value: TypeAlias = bool | int | float | str
_TARGET = r"^.+:\d+$"


class UnfitConfiguration(Exception):
    """A configuration cannot be read or makes no sense; the message names the file and the field."""


class Configuration(Document):
    """One server of a comparison: `target`, `settings` or `command` says which kind.

    Attributes:
        name: in tables and plots.
        target: `host:port` of a server that runs already.
        settings: of our own server, as in its TOML file.
        command: any server's, `{port}` in it is replaced; a first word `python` is this interpreter.
        environment: variables beside our own.
        directory: where it is started: another checkout compares two revisions.
        python: the interpreter for our server; another environment's compares two installations.
        matrix: values of settings (or, with a command, of names in braces), each combination a configuration.
    """

    name: Annotated[str, Field(min_length=1)]
    target: Annotated[str, Field(pattern=_TARGET)] | None = None
    settings: dict[str, Value | list[Value]] | None = None
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    directory: Path | None = None
    python: str | None = None
    matrix: dict[str, Annotated[tuple[Value, ...], Field(min_length=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [kind for kind in ("target", "settings", "command") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"one of target, settings and command says what it is; given: {', '.join(kinds) or 'none'}"
            )
        if self.target and (self.matrix or self.environment or self.directory or self.python):
            raise ValueError("a target runs already: matrix, environment, directory and python are for what is started")
        if self.command and self.python:
            raise ValueError("python is for settings; a command names its own interpreter")
        return self

    def expanded(self) -> Iterator[Configuration]:
        """One configuration for each combination of the matrix."""
        for values in itertools.product(*self.matrix.values()):
            chosen = dict(zip(self.matrix, values, strict=True))
            yield self.model_copy(update={"matrix": {}, **self._with(chosen)})

    def _with(self, chosen: dict[str, Value]) -> dict[str, object]:
        named: dict[str, object] = {"name": _filled(self.name, chosen)}
        if self.settings is not None:
            named["settings"] = {**self.settings, **chosen}
        if self.command is not None:
            named["command"] = tuple(_filled(word, chosen) for word in self.command)
        return named


class _File(Document):
    configuration: tuple[Configuration, ...]


def read_configurations(sources: Sequence[str]) -> list[Configuration]:
    """The configurations of `host:port` words and TOML files, in order; the first is the baseline.

    Raises:
        UnfitConfiguration: a source is neither, a file is wrong, names repeat, or there are fewer than two.
    """
    found = [each for source in sources for each in _read(source)]
    names = [each.name for each in found]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UnfitConfiguration(f"configurations need names of their own: {', '.join(repeated)} is there twice")
    if len(found) < 2:  # noqa: PLR2004 - a comparison
        raise UnfitConfiguration(f"nothing to compare: {', '.join(names)} is one configuration")
    return found


def _read(source: str) -> Iterator[Configuration]:
    path = Path(source)
    if path.suffix != ".toml":
        yield _valid(source, name=source, target=source)
        return
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise UnfitConfiguration(f"{source}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnfitConfiguration(f"{source}: not TOML: {error}") from error
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        raise UnfitConfiguration(f"{source}: {problems(error)}") from error
    for each in file.configuration:
        yield from each.expanded()


def _valid(source: str, **values: str) -> Configuration:
    try:
        return Configuration.model_validate(values)
    except ValidationError:
        raise UnfitConfiguration(f"{source!r} is neither host:port nor a .toml file") from None


def _filled(text: str, values: dict[str, Value]) -> str:
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", str(value))
    return text
