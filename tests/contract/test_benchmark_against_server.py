"""credence-bench measures our own server: every datatype, decisions, and what the server says of its time."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_repository import IDENTITY, SCORECARD
from plain_repository import WITHOUT_BF16

from benchmarks.load.generators import GeneratorKind, choose
from benchmarks.load.plan import ClosedLoop
from benchmarks.measure import LoadShape, measure
from benchmarks.workload.model_output import NoModelFile
from benchmarks.workload.prepare import InferWorkload, Reasons, ScoreWorkload, prepare
from benchmarks.workload.server import reached
from benchmarks.workload.tensors import UnfitWorkload

SHAPE = LoadShape(ClosedLoop(connections=2, in_flight=4), duration_s=None, count=60, warmup_s=0)
PYTHON = choose(GeneratorKind.PYTHON)


@pytest.fixture
def asked(target):
    with reached(target, None, ()) as server:
        yield server


@pytest.fixture
def loans(tmp_path):
    file = tmp_path / "loans.csv"
    file.write_text("id,amount,years,state\n1,1000,2,CA\n2,200000,,NY\n3,5,10,Zürich\n")
    return file


def test_answers_of_every_datatype_are_held_to_the_models_own(asked, repository):
    shapes = {f"IN_{datatype.name}": (3, 2) for datatype in WITHOUT_BF16}
    workload = prepare(asked, InferWorkload(IDENTITY, rows=3, shapes=shapes, distinct=3), repository)
    measured = measure(asked, workload, SHAPE, generator=PYTHON)
    assert measured.result.outcomes == {"OK": 60}, measured.result.first_problem
    assert workload.rows == 3
    assert workload.answers.startswith("the model's own output")


def test_decisions_are_held_to_the_models_own(asked, repository, loans):
    workload = prepare(asked, ScoreWorkload(loans, SCORECARD, rows=2, reasons=Reasons.ALL, distinct=4), repository)
    measured = measure(asked, workload, SHAPE, generator=PYTHON)
    assert measured.result.outcomes == {"OK": 60}, measured.result.first_problem
    assert workload.version


def test_another_models_graph_is_not_believed(asked, repository):
    graph = Path(repository) / "dot" / "1" / "model.onnx"
    shapes = {f"IN_{datatype.name}": (1, 1) for datatype in WITHOUT_BF16}
    with pytest.raises(NoModelFile, match="does not take what the server takes"):
        prepare(asked, InferWorkload(IDENTITY, shapes=shapes), graph)


def test_a_free_dimension_beyond_the_rows_must_be_said(asked):
    with pytest.raises(UnfitWorkload, match=r"input IN_BOOL has the shape -1,-1: say --shape IN_BOOL=D,D"):
        prepare(asked, InferWorkload(IDENTITY))


def test_the_servers_own_times_are_those_of_the_load(asked, server, repository, loans):
    workload = prepare(asked, ScoreWorkload(loans, SCORECARD, rows=2), repository)
    url = f"http://{server.metrics_address}/metrics"
    measured = measure(asked, workload, SHAPE, metrics_url=url, generator=PYTHON)
    statistics, metrics = measured.times
    assert (statistics.problem, metrics.problem) == ("", "")
    assert statistics.rows == metrics.rows == 120
    assert {stage.name: stage.count for stage in statistics.stages}["queue"] == 60
    assert [stage.name for stage in metrics.stages] == ["queue (infer)", "compute (infer)"]
    assert statistics.runs == metrics.runs <= 60


def test_a_metrics_page_that_is_not_there_is_said_to_be(asked, repository, loans):
    workload = prepare(asked, ScoreWorkload(loans, SCORECARD), repository)
    measured = measure(asked, workload, SHAPE, metrics_url="http://127.0.0.1:9/metrics", generator=PYTHON)
    assert measured.times[1].problem.startswith("http://127.0.0.1:9/metrics cannot be read")
    assert measured.result.complete


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,amount\n1,much\n", "row 1: amount: 'much' is not a number"),
        ("id,colour\n1,red\n", "no row has any of the model's features: amount"),
        ("", "the file is empty"),
    ],
)
def test_a_file_that_does_not_fit_the_model_is_refused(asked, tmp_path, content, said):
    file = tmp_path / "loans.csv"
    file.write_text(content)
    with pytest.raises(UnfitWorkload, match=said):
        prepare(asked, ScoreWorkload(file, SCORECARD))
