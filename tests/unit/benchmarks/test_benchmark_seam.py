"""The seam to a load generator: plans and results as JSON, and generators that do not hold to it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from load_plans import closed, open_
from pydantic import ValidationError

from benchmarks.load.generators import NATIVE_VARIABLE, Generator, GeneratorKind, NoGenerator, choose
from benchmarks.load.plan import Check, LoadPlan, Request, Tls
from benchmarks.load.run import GeneratorFailed, run_load

PLAN = closed("127.0.0.1:1", count=1)


def saying(*lines: str, code: int = 0, error: str = "") -> Generator:
    """A generator that says these lines, whatever the plan."""
    script = f"import sys; [print(line) for line in {lines!r}]; sys.stderr.write({error!r}); sys.exit({code})"
    return Generator(GeneratorKind.NATIVE, (sys.executable, "-c", script))


@pytest.mark.parametrize(
    "plan",
    [
        PLAN,
        open_("[::1]:1", 2.5, duration_s=3, deadline_ms=20, metadata=(("a", "b"),), tls=Tls(server_name="x")),
        closed(
            "h:1",
            count=1,
            requests=(Request(body=b"\xff\x00", checks=(Check(path=(1,), kind="text", values=("NaN",)),)),),
        ),
    ],
)
def test_a_plan_survives_its_journey(plan):
    text = plan.model_dump_json(by_alias=True)
    assert LoadPlan.model_validate_json(text) == plan
    assert "NaN," not in text, "NaN is no JSON"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": None}, "one of duration_s and count"),
        ({"duration_s": 1}, "one of duration_s and count"),
        ({"target": "nowhere"}, "target"),
        ({"path": "ModelInfer"}, "path"),
        ({"requests": ()}, "requests"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"warmup_s": float("inf")}, "warmup_s"),
        ({"surprise": 1}, "surprise"),
        ({"load": {"kind": "closed", "connections": 0, "in_flight": 1}}, "connections"),
        ({"load": {"kind": "half"}}, "load"),
        ({"tls": {"certificate": "c.pem"}}, "one is missing"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_its_field(change, said):
    with pytest.raises(ValidationError, match=said):
        LoadPlan.model_validate({**PLAN.model_dump(), **change})


def test_the_python_generator_says_what_is_wrong_with_a_plan():
    command = choose(GeneratorKind.PYTHON).command
    ended = subprocess.run(command, input=b'{"target": 5}', capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"not a plan: target: ")


def test_a_file_that_the_plan_names_and_that_is_not_there_is_named():
    plan = PLAN.model_copy(update={"tls": Tls(ca="/absent.pem")})
    with pytest.raises(GeneratorFailed, match=r"tls\.ca cannot be read from /absent.pem"):
        run_load(plan, generator=choose(GeneratorKind.PYTHON))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "ended with 3 and no result: out of luck"),
        (("no json",), "none of its protocol: b'no json"),
        (("{}",), "none of its protocol"),
        ((json.dumps({"progress": {"at_s": 1}}),), "progress|sent"),
    ],
)
def test_a_generator_that_breaks_the_protocol_is_refused(lines, said):
    with pytest.raises(GeneratorFailed, match=said):
        run_load(PLAN, generator=saying(*lines, code=3, error="out of luck"))


def test_a_native_generator_that_is_asked_for_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv(NATIVE_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(NoGenerator, match="absent: make loadgen builds it"):
        choose(GeneratorKind.NATIVE)
    assert choose().kind is GeneratorKind.PYTHON


def test_the_native_generator_is_taken_where_it_is_built(tmp_path, monkeypatch):
    built = tmp_path / "credence-loadgen"
    built.write_text("#!/bin/sh\n")
    built.chmod(0o755)
    monkeypatch.setenv(NATIVE_VARIABLE, str(built))
    assert choose() == Generator(GeneratorKind.NATIVE, (str(built),))
    assert choose(GeneratorKind.PYTHON).kind is GeneratorKind.PYTHON


def test_a_pinned_generator_runs_on_its_core_only():
    script = "import os, sys; sys.exit(str(os.sched_getaffinity(0)))"
    pinned = Generator(GeneratorKind.NATIVE, (sys.executable, "-c", script)).pinned("0")
    with pytest.raises(GeneratorFailed, match=r"\{0\}"):
        run_load(PLAN, generator=pinned)
