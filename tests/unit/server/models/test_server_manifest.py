from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scorecard_repository import SCALING, scorecard_files, scorecard_manifest

from server.models.manifest import InvalidManifest, parse_manifest, points

MANIFEST = scorecard_manifest(scorecard_files())


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(MANIFEST.to_bytes())
    change(document)
    return json.dumps(document).encode()


def test_a_manifest_reads_back_and_keeps_its_digest() -> None:
    back = parse_manifest(MANIFEST.to_bytes())

    assert back == MANIFEST
    assert back.digest == MANIFEST.digest == hashlib.sha256(MANIFEST.to_bytes()).hexdigest()


def test_the_digest_does_not_depend_on_how_the_document_is_laid_out() -> None:
    document = json.loads(MANIFEST.to_bytes())
    backwards = json.dumps(dict(reversed(document.items())), ensure_ascii=True).encode()

    assert parse_manifest(backwards).digest == MANIFEST.digest


def test_the_bytes_are_utf8_with_sorted_keys_and_a_newline_at_the_end() -> None:
    document = MANIFEST.to_bytes()

    assert "Zürich".encode() in document
    assert document.endswith(b"}\n")
    assert list(json.loads(document)) == sorted(json.loads(document))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["cutoffs"].update(decline_from=0.41),
        lambda d: d["scaling"].update(base_points=601),
        lambda d: d["features"][0].update(maximum=999_999),
        lambda d: d["features"].reverse(),
        lambda d: d["files"]["model.onnx"].update(sha256="f" * 64),
        lambda d: d["calibration"].update(slope=1.1),
        lambda d: d.update(parent="a" * 64),
    ],
)
def test_whatever_decides_changes_the_digest(change: Callable[[dict[str, Any]], None]) -> None:
    assert parse_manifest(changed(change)).digest != MANIFEST.digest


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        (lambda d: d.update(surprise=1), "surprise", "not permitted"),
        (lambda d: d.pop("cutoffs"), "cutoffs", "required"),
        (lambda d: d.update(format="credence-build/2"), "format", "credence-build/1"),
        (lambda d: d.update(model="../evil"), "model", "pattern"),
        (lambda d: d.update(model="tiny\n"), "model", "pattern"),
        (lambda d: d.update(features=[], reason_groups=[]), "features", "at least 1"),
        (lambda d: d["features"].append(d["features"][0]), "features: a name stands twice", ""),
        (lambda d: d["features"][0].update(type="tensor"), "features.0.type", "number"),
        (lambda d: d["features"][2].update(minimum=1), "features.2", "only a number has a minimum"),
        (lambda d: d["features"][4].update(allowed=["x"]), "features.4", "only text has allowed"),
        (lambda d: d["features"][5].update(digits=None), "features.5", "a code needs them"),
        (lambda d: d["features"][0].update(digits=3), "features.0", "digits belong to a code"),
        (lambda d: d["features"][5].update(digits=19), "features.5.digits", "18"),
        (lambda d: d["features"][0].update(minimum=2e6), "features.0", "minimum must not exceed maximum"),
        (lambda d: d["features"][2].update(allowed=["CA", "CA"]), "features.2", "allowed"),
        (lambda d: d["features"][2].update(allowed=["CA", ""]), "features.2", "allowed"),
        (lambda d: d["cutoffs"].update(approve_below=1.5), "cutoffs.approve_below", "less than or equal"),
        (lambda d: d["cutoffs"].update(approve_below=0.5), "cutoffs", "must not exceed decline_from"),
        (lambda d: d["scaling"].update(base_odds=0), "scaling.base_odds", "greater than 0"),
        (lambda d: d["scaling"].update(points_to_double_odds=-20), "scaling.points_to_double_odds", "greater than 0"),
        (lambda d: d["scaling"].update(base_points=math.inf), "scaling.base_points", "finite"),
        (lambda d: d["reason_groups"].pop(), "reason_groups: every feature belongs to exactly one group", ""),
        (lambda d: d["reason_groups"].append(d["reason_groups"][0]), "reason_groups", "exactly one group"),
        (lambda d: d["reason_groups"][0].update(features=["nothing"]), "reason_groups", "exactly one group"),
        (lambda d: d["reason_groups"][0].update(code="PLACE"), "reason_groups", "a code stands twice"),
        (lambda d: d["files"].pop("model.onnx"), "files: model.onnx is missing", ""),
        (lambda d: d["files"].pop("explain.onnx"), "files: explain.onnx and reason_groups go together", ""),
        (lambda d: d.update(reason_groups=[]), "files: explain.onnx and reason_groups go together", ""),
        (lambda d: d["files"].update({"../evil": d["files"]["model.onnx"]}), "files.../evil", "pattern"),
        (lambda d: d["files"]["model.onnx"].update(sha256="0" * 63), "files.model.onnx.sha256", "pattern"),
        (lambda d: d["files"]["model.onnx"].update(size=-1), "files.model.onnx.size", "greater than or equal"),
        (lambda d: d["training"].update(label="later"), "training.label", "as_of"),
        (lambda d: d["training"].update(trained_to="2000-13-01"), "training.trained_to", "date"),
        (lambda d: d["calibration"].update(method="guess"), "calibration.method", "platt"),
        (lambda d: d.update(parent="main"), "parent", "pattern"),
    ],
)
def test_each_inconsistency_is_refused_by_name(
    change: Callable[[dict[str, Any]], None], field: str, problem: str
) -> None:
    with pytest.raises(InvalidManifest) as refused:
        parse_manifest(changed(change))

    assert str(refused.value).startswith("manifest.json: ")
    assert field in str(refused.value)
    assert problem in str(refused.value)


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_whatever_the_bytes_they_are_refused_as_a_manifest(document: bytes) -> None:
    with pytest.raises(InvalidManifest, match=r"^manifest\.json: "):
        parse_manifest(document)


def test_at_the_base_odds_the_points_are_the_base_and_doubling_the_odds_adds_the_step() -> None:
    at_base = points(SCALING, 1 / 31)
    doubled = points(SCALING, 1 / 61)

    assert at_base == pytest.approx(600)
    assert doubled - at_base == pytest.approx(20)


@given(st.floats(0, 1), st.floats(0, 1))
def test_points_fall_with_the_risk_and_are_finite_even_at_the_ends(p: float, q: float) -> None:
    low, high = sorted((p, q))

    assert math.isfinite(points(SCALING, low))
    assert points(SCALING, low) >= points(SCALING, high)
