"""Answers are judged on their bytes: right ones pass, and what is wrong is told."""

from __future__ import annotations

import math
from base64 import b64encode

import numpy as np
import pytest
from credence.inference import grpc_service_pb2 as pb
from credence.v1 import credit_scoring_pb2 as scoring
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.generator.answers import Judged
from benchmarks.load.plan import Check, Request

RAW, SHAPE, DATATYPE = (6,), (5, 3), (5, 2)


def infer_answer(*raw: bytes, shape=(1, 2), fp32=(), int64=()) -> bytes:
    answer = pb.ModelInferResponse(model_name="m", raw_output_contents=raw)
    output = answer.outputs.add(name="Y", datatype="FP32", shape=shape)
    output.contents.fp32_contents.extend(fp32)
    output.contents.int64_contents.extend(int64)
    return answer.SerializeToString()


def problem(answer: bytes, *checks: Check) -> str:
    return Judged(Request(body=b"", checks=checks)).problem(answer)


def f32(*values: float, **options) -> Check:
    return Check(path=RAW, kind="f32", values=values, **options)


def packed(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def test_values_within_the_tolerance_are_right():
    assert problem(infer_answer(packed(1, 2)), f32(1.0005, 2, tolerance=0.001)) == ""


def test_the_first_value_beyond_the_tolerance_is_told():
    wrong = problem(infer_answer(packed(1, 2)), f32(1, 2.5, tolerance=0.001))
    assert wrong == "field 6: value 1 is 2, expected 2.5 within 0.001"


def test_another_number_of_values_is_told():
    assert problem(infer_answer(packed(1, 2)), f32(1)) == "field 6: 2 values, expected 1"


def test_nan_and_infinity_equal_themselves_and_nothing_else():
    special = (math.nan, math.inf, -math.inf)
    answer = infer_answer(packed(*special))
    assert problem(answer, f32("NaN", "Infinity", "-Infinity", tolerance=1)) == ""
    assert problem(answer, f32(0, "Infinity", "-Infinity", tolerance=1)) != ""
    assert problem(answer, f32("NaN", "-Infinity", "-Infinity", tolerance=1)) != ""


def test_occurrences_are_told_apart():
    answer = infer_answer(packed(1), b"\x07\x00")
    first, second = b64encode(packed(1)).decode(), b64encode(b"\x07\x00").decode()
    assert problem(answer, f32(1, occurrence=0), Check(path=RAW, kind="bytes", values=(second,), occurrence=1)) == ""
    assert problem(answer, Check(path=RAW, kind="bytes", values=(first, second))) == ""
    assert problem(answer, f32(1, occurrence=2)) == "field 6: 0 values, expected 1"


def test_shapes_packed_or_not_and_negative_numbers():
    answer = infer_answer(shape=(3, 4), int64=(-5, 2**62))
    assert problem(answer, Check(path=SHAPE, kind="varint", values=(3, 4))) == ""
    assert problem(answer, Check(path=(5, 5, 3), kind="varint", values=(-5, 2**62))) == ""
    unpacked = b"\x2a\x04\x18\x03\x18\x04"  # outputs { shape: 3 shape: 4 }, each with its tag
    assert problem(unpacked, Check(path=SHAPE, kind="varint", values=(3, 4))) == ""


def test_whole_numbers_may_differ_by_the_tolerance_across_zero():
    answer = infer_answer(int64=(-1,))
    assert problem(answer, Check(path=(5, 5, 3), kind="varint", values=(1,), tolerance=2)) == ""
    assert "expected 1" in problem(answer, Check(path=(5, 5, 3), kind="varint", values=(1,), tolerance=1))


def test_typed_floats_and_texts():
    answer = infer_answer(fp32=(0.5, 1.5))
    assert problem(answer, Check(path=(5, 5, 6), kind="float", values=(0.5, 1.5))) == ""
    assert problem(answer, Check(path=DATATYPE, kind="text", values=("FP32",))) == ""
    assert problem(answer, Check(path=DATATYPE, kind="text", values=("FP64",))) == (
        "field 5.2: value 0 is b'FP32', expected b'FP64'"
    )


def test_doubles_of_every_result_in_order():
    answer = scoring.ScoreResponse()
    for value in (0.25, 0.75):
        answer.results.add(probability_of_default=value)
    body = answer.SerializeToString()
    assert problem(body, Check(path=(4, 3), kind="double", values=(0.25, 0.75))) == ""
    assert problem(body, Check(path=(4, 3), kind="double", values=(0.75, 0.25))) != ""


@pytest.mark.parametrize("kind", ["f32", "f64", "double", "float", "varint", "text", "bytes"])
@given(body=st.binary(max_size=40))
def test_no_bytes_whatever_break_the_judge(kind, body):
    assert isinstance(problem(body, Check(path=(5, 3), kind=kind, values=())), str)


def test_bytes_that_are_no_message_are_told():
    assert problem(b"\x32\x7f\x00", f32(1)) == "field 6: not what it should be: a field runs past the end"


def test_an_answer_is_remembered_only_when_it_is_right():
    judged = Judged(Request(body=b"", checks=(f32(1),)))
    assert [bool(judged.problem(infer_answer(packed(value)))) for value in (1, 2, 2, 1)] == [False, True, True, False]
