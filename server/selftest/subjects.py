"""What is tested: the graphs of a model repository, each with rows to run it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.models.catalogue import CHAMPION
from server.models.features import Schema
from server.models.loader import golden_rows
from server.models.manifest import GOLDEN, SCORE_GRAPH
from server.models.repository import Repository
from server.runtime.session import Sample
from server.runtime.settle import made_up_rows

# Of the largest output: how far rounding on another device may move a plain model's answers.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Subject:
    """A graph. `tolerance`: largest difference to the CPU, absolute, or as a share of the largest output if `relative`."""

    name: str
    version: str
    graph: bytes
    sample: Sample
    tolerance: float
    relative: bool


def subjects(repository: Repository) -> Sequence[Subject]:
    """The champion of each scorecard, on its golden rows, and the newest version of each plain model, on rows made up.

    Raises:
        RepositoryError: the repository cannot be read.
        CannotServe: golden rows that are none.
        OSError: a graph cannot be read.
    """
    found = (_subject(repository, name) for name in repository.models())
    return [subject for subject in found if subject is not None]


def _subject(repository: Repository, name: str) -> Subject | None:
    if not repository.digests(name):
        version = repository.versions(name)[-1]
        graph = (repository.version_folder(name, version) / SCORE_GRAPH).read_bytes()
        return Subject(name, str(version), graph, Sample(made_up_rows), _ROUNDING, relative=True)
    digest = repository.aliases(name).get(CHAMPION)
    if digest is None:
        return None
    schema = Schema(repository.verify(name, digest).features)
    folder = repository.build_folder(name, digest)
    golden, feeds = golden_rows(folder / GOLDEN, schema)
    graph = (folder / SCORE_GRAPH).read_bytes()
    return Subject(name, digest, graph, Sample(lambda _: feeds), golden.tolerance, relative=False)
