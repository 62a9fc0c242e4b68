from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from scripted_sessions import (
    Answer,
    Scripted,
    Slow,
    less_the_mean,
    own,
    rounded_beyond,
    rounded_by_place,
    rounded_by_size,
)

from server.runtime.batching import Batching, Invariance, Padding
from server.runtime.findings_cache import FindingsCache
from server.runtime.invariance import SIZES, Findings, Mode, compare_batches, decide, seconds_to_compare
from server.runtime.onnx import OnnxBackend
from server.runtime.session import CannotLoad, Sample, Session
from server.runtime.settle import BatchPolicy, made_up_rows

ROWS = {"X": np.linspace(-2, 2, 40, dtype=np.float32).reshape(-1, 1)}
SAMPLE = Sample(lambda _: ROWS, largest=256)


def settled(answer: Answer, mode: Mode = "pad", buckets: tuple[int, ...] = ()) -> Session:
    return BatchPolicy(mode, buckets).settle(Scripted(answer), b"graph", SAMPLE)


def graph_of(*nodes: Any, outputs: str = "Y") -> bytes:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in ("X", outputs))
    graph = helper.make_graph(list(nodes), "g", [x], [y])
    model: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString()
    return model


LESS_THE_MEAN = graph_of(
    helper.make_node("ReduceMean", ["X"], ["mean"], axes=[0], keepdims=1), helper.make_node("Sub", ["X", "mean"], ["Y"])
)
LOGARITHM = graph_of(helper.make_node("Exp", ["X"], ["e"]), helper.make_node("Log", ["e"], ["Y"]))


def test_rows_that_are_their_own_need_no_padding() -> None:
    session = settled(own)

    assert session.batching == Batching(Invariance.EXACT)


@pytest.mark.parametrize("multiple", [2, 4, 8, 16, 32])
def test_left_over_rows_that_round_otherwise_are_padded_to_the_smallest_full_vector(multiple: int) -> None:
    session = settled(rounded_beyond(multiple))

    assert session.batching == Batching(Invariance.EXACT, Padding(multiple))


def test_where_every_size_rounds_otherwise_one_size_is_run() -> None:
    session = settled(rounded_by_size)

    assert session.batching == Batching(Invariance.EXACT, Padding(sizes=(16,)))


def test_where_every_place_rounds_otherwise_the_largest_difference_is_stated() -> None:
    # A batch of one row has one place, so it is taken away.
    session = settled(rounded_by_place, buckets=(8, 16))

    assert session.batching.invariance is Invariance.BOUNDED
    assert 1e-7 < session.batching.bound < 3e-6
    assert "rows differ by up to" in session.batching.why


def test_rows_that_decide_each_other_never_share_a_run_and_are_not_padded() -> None:
    session = settled(less_the_mean, buckets=(8, 16))

    assert session.batching.invariance is Invariance.DEPENDENT
    assert not session.batching.share_runs
    assert session.batching.padding == Padding()
    assert "'Y' is another for the same row" in session.batching.why


def test_an_answer_that_is_not_by_rows_is_dependent() -> None:
    session = settled(lambda x: x.sum(axis=0, keepdims=True))

    assert session.batching.why == "output 'Y' has shape [1, 1] for 2 rows"


@pytest.mark.parametrize(
    ("answer", "reason"), [(less_the_mean, "is another for the same row"), (rounded_by_place, "rows differ by up to")]
)
def test_require_refuses_what_padding_does_not_mend(answer: Answer, reason: str) -> None:
    session = Scripted(answer)
    with pytest.raises(CannotLoad, match=reason):
        BatchPolicy("require", (8, 16)).settle(session, b"graph", SAMPLE)
    assert session.closed


def test_require_takes_what_padding_mends() -> None:
    assert settled(rounded_beyond(4), "require").batching == Batching(Invariance.EXACT, Padding(4))


def test_report_pads_nothing_and_states_the_difference() -> None:
    batching = settled(rounded_beyond(4), "report").batching

    assert (batching.invariance, batching.padding) == (Invariance.BOUNDED, Padding())
    assert batching.bound == pytest.approx(1e-7, rel=0.5)


def test_buckets_are_held_to_those_that_agree() -> None:
    assert settled(rounded_beyond(4), buckets=(1, 6, 8, 64)).batching.padding == Padding(sizes=(8, 64))
    assert settled(own, buckets=(1, 6, 8)).batching == Batching(Invariance.EXACT, Padding(sizes=(1, 6, 8)))


def test_a_sample_that_fails_leaves_the_batches_unproven_and_serving() -> None:
    def fail(_x: object) -> Any:
        raise ValueError("no such row")

    assert settled(fail).batching == Batching(Invariance.UNPROVEN, why="not compared: no such row")
    with pytest.raises(CannotLoad, match="not compared: no such row"):
        settled(fail, "require")


@given(st.integers(1, 70), st.sampled_from([2, 4, 8]), st.randoms())
def test_once_settled_a_row_answers_the_same_in_any_batch(rows: int, multiple: int, random: Any) -> None:
    session = settled(rounded_beyond(multiple))
    values = np.array([[random.uniform(-3, 3)] for _ in range(rows)], np.float32)

    (together,) = session.run({"X": values}, ["Y"])

    alone = [session.run({"X": values[at : at + 1]}, ["Y"])[0] for at in range(rows)]
    assert together.tobytes() == np.concatenate(alone).tobytes()


def test_no_difference_but_nan_beside_a_number_is_dependence() -> None:
    def nan_in_pairs(x: Any) -> Any:
        return np.where(len(x) % 2, own(x), np.float32("nan"))

    assert settled(nan_in_pairs).batching.invariance is Invariance.DEPENDENT
    assert settled(lambda x: np.full_like(x, np.nan)).batching == Batching(Invariance.EXACT)


def test_whole_numbers_that_differ_are_dependence() -> None:
    graph = helper.make_graph(
        [helper.make_node("Shape", ["X"], ["s"]), helper.make_node("Expand", ["s", "s"], ["Y"])],
        "g",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("Y", TensorProto.INT64, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()

    session = OnnxBackend().load(model, Sample(made_up_rows, 64))

    assert session.batching.invariance is Invariance.DEPENDENT


def test_a_graph_that_takes_the_mean_of_the_batch_is_found_out() -> None:
    session = OnnxBackend().load(LESS_THE_MEAN, Sample(made_up_rows))

    assert session.batching.invariance is Invariance.DEPENDENT


def test_with_the_kernels_of_this_machine_a_logarithm_is_the_same_in_every_batch_once_settled() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(501, 1)).astype(np.float32)
    session = OnnxBackend(batches=BatchPolicy("require")).load(LOGARITHM, Sample(lambda _: {"X": rows}))

    (together,) = session.run({"X": rows}, ["Y"])

    for size in (1, 2, 3, 7, 100):
        parts = [session.run({"X": rows[at : at + size]}, ["Y"])[0] for at in range(0, len(rows), size)]
        assert np.concatenate(parts).tobytes() == together.tobytes()


def test_classes_are_of_sizes_that_agree_everywhere() -> None:
    found = compare_batches(Scripted(rounded_beyond(4)), ROWS, SIZES)

    assert tuple(size for size in SIZES if size % 4 == 0) in found.classes
    assert {5, 6, 7, 65} <= set(found.unsteady)


@given(st.sets(st.integers(1, 40), min_size=1), st.sampled_from(["pad", "report", "require"]))
def test_the_decision_never_pads_to_a_size_that_disagrees(agreeing: set[int], mode: Mode) -> None:
    sizes = tuple(range(1, 41))
    others = tuple(size for size in sizes if size not in agreeing)
    findings = Findings((tuple(sorted(agreeing)),), others, 1e-7)

    try:
        batching = decide(findings, mode, ())
    except CannotLoad:
        assert not agreeing & {1, 2, 4, 8, 16, 32}
        return

    if batching.invariance is Invariance.EXACT:
        assert {run.size for rows in sizes for run in batching.padding.runs(rows) if run.size <= 40} <= agreeing


def test_a_graph_that_would_hold_up_the_load_is_unproven_by_processor_time_not_by_the_clock_on_the_wall() -> None:
    slow = Slow(own)
    policy = BatchPolicy(at_most_s=0.5, clock=lambda: slow.spent)

    batching = policy.settle(slow, b"a", SAMPLE).batching

    assert batching.invariance is Invariance.UNPROVEN
    assert re.search(r"it would take 0\.\d s of 0\.5 \(compare_batches_s\)", batching.why)
    assert slow.runs == [1, 1, 16, 16]


def test_what_comparing_takes_is_predicted() -> None:
    slow = Slow(own)
    predicted = seconds_to_compare(slow, ROWS, SIZES, lambda: slow.spent)
    before = slow.spent

    compare_batches(slow, ROWS, SIZES)

    assert slow.spent - before == pytest.approx(predicted)


def test_findings_are_remembered_by_graph_fingerprint_and_sizes(tmp_path: Path) -> None:
    policy = BatchPolicy(cache=FindingsCache(tmp_path / "batches"))
    first, again, other = (Scripted(rounded_beyond(4)) for _ in range(3))

    found = [policy.settle(session, graph, SAMPLE).batching for session, graph in ((first, b"a"), (again, b"a"))]
    policy.settle(other, b"b", SAMPLE)

    assert found[0] == found[1] == Batching(Invariance.EXACT, Padding(4))
    assert first.runs
    assert not again.runs
    assert other.runs


def test_another_fingerprint_is_compared_anew(tmp_path: Path) -> None:
    policy = BatchPolicy(cache=FindingsCache(tmp_path))
    policy.settle(Scripted(own), b"a", SAMPLE)
    elsewhere = Scripted(rounded_beyond(2))
    elsewhere.fingerprint = "another machine"

    assert policy.settle(elsewhere, b"a", SAMPLE).batching.padding == Padding(2)


def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path) -> None:
    policy = BatchPolicy(cache=FindingsCache(tmp_path))
    policy.settle(Scripted(own), b"a", SAMPLE)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-9])

    session = Scripted(own)

    assert policy.settle(session, b"a", SAMPLE).batching == Batching(Invariance.EXACT)
    assert session.runs


def test_a_memory_that_cannot_be_written_does_not_keep_a_model_from_serving(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    policy = BatchPolicy(cache=FindingsCache(tmp_path / "file"))

    assert policy.settle(Scripted(own), b"a", SAMPLE).batching == Batching(Invariance.EXACT)
