"""The same rows through the network and through the graph made of it: both answers, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import nn

from flows.training.build.graph import PROBABILITY
from flows.training.build.reasons import OUTPUTS, Explanation
from flows.training.build.scorecard import Graphs, Scorecard
from flows.training.model.encoding import Encoder, Int64s, feeds
from server.runtime.session import Backend, Session

Array = npt.NDArray[Any]
_SCORED_AT_ONCE = 1024
_EXPLAINED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Answers:
    """One output for some rows of a group: what the network says and what the graph says.

    Attributes:
        output: "score." or "explain." and the output's name in the graph.
        positions: of the rows within the group, [n].
        network, graph: [n, columns].
    """

    output: str
    positions: Int64s
    network: Array
    graph: Array

    @property
    def differences(self) -> npt.NDArray[np.float64]:
        """Largest absolute difference of each row [n], infinite where only one side is NaN."""
        both_nan = np.isnan(self.network) & np.isnan(self.graph)
        difference = np.abs(self.network.astype(np.float64) - self.graph.astype(np.float64))
        filled = np.where(both_nan, 0.0, np.where(np.isnan(difference), np.inf, difference))
        largest: npt.NDArray[np.float64] = filled.max(axis=1)
        return largest


@dataclass(frozen=True, slots=True)
class _Pair:
    kind: str
    network: nn.Module
    graph: Session
    outputs: tuple[str, ...]
    rows_at_once: int

    def answers(self, encoder: Encoder, frame: pl.DataFrame, positions: Int64s) -> Iterator[Answers]:
        chunks = [self._chunk(encoder, part) for part in frame[positions].iter_slices(self.rows_at_once)]
        for number, output in enumerate(self.outputs):
            network, graph = (np.concatenate([chunk[side][number] for chunk in chunks]) for side in (0, 1))
            yield Answers(f"{self.kind}.{output}", positions, network, graph)

    def _chunk(self, encoder: Encoder, frame: pl.DataFrame) -> tuple[list[Array], list[Array]]:
        inputs = feeds(encoder.features, frame)
        encoded = encoder.encode_feeds(inputs)
        with torch.inference_mode():
            answer = self.network(torch.from_numpy(encoded.numbers), torch.from_numpy(encoded.categories))
        network = [tensor.numpy() for tensor in (answer if isinstance(answer, tuple) else (answer,))]
        return network, self.graph.run(inputs, self.outputs)


class Parity:
    """Runs rows through both sides of a scorecard's two graphs.

    Raises:
        CannotLoad: on construction, the runtime refuses a graph.
    """

    def __init__(self, scorecard: Scorecard, graphs: Graphs, backend: Backend) -> None:
        explanation = Explanation(scorecard.module, scorecard.encoder, scorecard.reason_groups, scorecard.baseline)
        score, explain = backend.load(graphs.score), backend.load(graphs.explain)
        self._encoder = scorecard.encoder
        self._score = _Pair("score", scorecard.module.eval(), score, (PROBABILITY,), _SCORED_AT_ONCE)
        self._explain = _Pair("explain", explanation.eval(), explain, OUTPUTS, _EXPLAINED_AT_ONCE)

    @property
    def runtime(self) -> str:
        """Library, version and provider that ran the graphs."""
        return self._score.graph.fingerprint

    @property
    def scoring(self) -> Session:
        """The scoring graph."""
        return self._score.graph

    def answers(self, frame: pl.DataFrame, explained: int) -> Iterator[Answers]:
        """Answers for every row by the scoring graph, and for `explained` rows, evenly spread, by the explanation graph.

        `frame` has one column per feature and at least one row.
        """
        yield from self._score.answers(self._encoder, frame, np.arange(len(frame)))
        sample = np.linspace(0, len(frame) - 1, min(explained, len(frame))).round().astype(np.int64)
        yield from self._explain.answers(self._encoder, frame, np.unique(sample))
