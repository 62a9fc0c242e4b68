"""What the model itself answers: its graph, run by ONNX Runtime outside the server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime as ort
from credence.tensors import Tensors
from numpy.typing import NDArray

GRAPH = "model.onnx"


class NoModelFile(Exception):
    """The graph that answers is not where it was said to be, or cannot be run."""


def graph_path(source: Path, model: str, version: str) -> Path:
    """The graph of a model's version: `source` itself where it is a file, else in a repository of builds or of Triton's kind.

    Raises:
        NoModelFile: it is not there.
    """
    if source.is_file():
        return source
    places = [source / model / version / GRAPH, source / model / "builds" / version / GRAPH]
    for place in places:
        if place.is_file():
            return place
    raise NoModelFile(f"{source} has no graph of {model} {version}: neither {' nor '.join(map(str, places))} is there")


@dataclass(frozen=True)
class Model:
    """A graph that can be run. Not thread-safe by intent: it answers before the load, one request at a time."""

    path: Path
    session: ort.InferenceSession

    @classmethod
    def load(cls, path: Path) -> Model:
        """Raises NoModelFile where ONNX Runtime refuses the file."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            return cls(path, ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
        except Exception as error:  # ONNX Runtime's own classes share no base but Exception
            raise NoModelFile(f"{path} cannot be run: {_line(error)}") from error

    @property
    def inputs(self) -> dict[str, str]:
        """ONNX types by input: `tensor(float)`."""
        return {each.name: each.type for each in self.session.get_inputs()}

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """The outputs by name.

        Raises:
            NoModelFile: the graph does not take these inputs, so it is not the one that the server has.
        """
        names = [each.name for each in self.session.get_outputs()]
        try:
            outputs = self.session.run(names, dict(inputs))
        except Exception as error:  # as above
            raise NoModelFile(f"{self.path} does not take what the server takes: {_line(error)}") from error
        return {name: np.asarray(cast("Any", value)) for name, value in zip(names, outputs, strict=True)}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
