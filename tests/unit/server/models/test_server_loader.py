from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper
from plain_repository import dot_product_graph, failing_graph, write_plain
from scorecard_repository import (
    APPLICATIONS,
    GROUPS,
    explain_graph,
    golden_rows,
    probability,
    score_graph,
    scorecard_files,
    scorecard_manifest,
    terms,
    write_scorecard,
)

from server.models.directory import DirectoryRepository
from server.models.golden import GoldenRows
from server.models.loader import PROBABILITY, CannotServe, load_build, load_version
from server.models.signatures import VerifyKeys, key_id, sign_build
from server.models.trust import SIGNATURE
from server.runtime.batching import Invariance
from server.runtime.onnx import OnnxBackend
from server.runtime.session import Backend, Sample, Session
from server.runtime.settle import BatchPolicy

BACKEND = OnnxBackend()


@pytest.fixture
def repository(tmp_path: Path) -> DirectoryRepository:
    return DirectoryRepository(tmp_path)


def add(repository: DirectoryRepository, files: Mapping[str, bytes]) -> str:
    """Adds a build of exactly these files: right by its digests, whatever is in them."""
    return repository.add_build(scorecard_manifest(files), files, {})


class Counted:
    """A backend that knows how many of its sessions are open."""

    def __init__(self) -> None:
        self.open = 0

    def with_threads(self, _intra_op: int | None, _inter_op: int | None) -> Backend:
        return self

    def load(self, graph: bytes, sample: Sample | None = None) -> Session:
        session: Any = BACKEND.load(graph, sample)
        give_back = session.close

        def close() -> None:
            self.open -= 1
            give_back()

        session.close = close
        self.open += 1
        return session  # type: ignore[no-any-return]


def refusal(repository: DirectoryRepository, files: Mapping[str, bytes]) -> str:
    """Why a build of these files does not serve. Whatever it is, no session is left open."""
    digest, backend = add(repository, files), Counted()
    with pytest.raises(CannotServe) as refused:
        load_build(repository, "tiny", digest, backend)
    assert backend.open == 0
    return str(refused.value)


def edited(graph: bytes, edit: Callable[[onnx.GraphProto], None]) -> bytes:
    model = onnx.load_from_string(graph)
    edit(model.graph)
    changed: bytes = model.SerializeToString()
    return changed


def golden(**changes: Any) -> bytes:
    return json.dumps(json.loads(golden_rows()) | changes).encode()


def test_a_build_loads_and_answers_what_was_worked_out_by_hand(repository: DirectoryRepository) -> None:
    digest = write_scorecard(repository.root)

    model = load_build(repository, "tiny", digest, BACKEND)

    assert (model.name, model.version) == ("tiny", digest)
    assert model.scorecard is not None
    columns = model.scorecard.schema.encode(APPLICATIONS)
    (scores,) = model.session.run(columns, ["probability_of_default"])
    assert scores.ravel().tolist() == pytest.approx([probability(a) for a in APPLICATIONS], abs=1e-6)
    assert model.scorecard.explain is not None
    contributions, relief = model.scorecard.explain.run(columns, ["contributions", "relief"])
    for row, application in enumerate(APPLICATIONS):
        by_feature = terms(application)
        expected = [sum(by_feature[name] for name in group.features) for group in GROUPS]
        assert contributions[row].tolist() == pytest.approx(expected, abs=1e-5)
    assert np.sign(relief).tolist() == np.sign(contributions).tolist()
    model.close()


def test_a_build_without_an_explanation_graph_loads(repository: DirectoryRepository) -> None:
    model = load_build(repository, "tiny", write_scorecard(repository.root, explain=False), BACKEND)

    assert model.scorecard is not None
    assert model.scorecard.explain is None
    model.close()


def test_a_build_that_is_not_there_or_was_tampered_with_does_not_serve(repository: DirectoryRepository) -> None:
    digest = write_scorecard(repository.root)
    with pytest.raises(CannotServe, match="has no build"):
        load_build(repository, "tiny", "0" * 64, BACKEND)

    (repository.build_folder("tiny", digest) / "golden.json").write_bytes(b"{}")
    with pytest.raises(CannotServe, match=r"golden\.json has 2 bytes"):
        load_build(repository, "tiny", digest, BACKEND)

    (repository.build_folder("tiny", digest) / "manifest.json").unlink()
    with pytest.raises(CannotServe, match=r"manifest\.json"):
        load_build(repository, "tiny", digest, BACKEND)


@pytest.mark.parametrize("name", ["model.onnx", "explain.onnx"])
@pytest.mark.parametrize("graph", [b"", b"damaged", score_graph()[:-30]])
def test_a_damaged_graph_does_not_serve(repository: DirectoryRepository, name: str, graph: bytes) -> None:
    assert refusal(repository, {**scorecard_files(), name: graph}).startswith(f"{name}: ")


def test_a_graph_whose_inputs_are_not_the_features_does_not_serve(repository: DirectoryRepository) -> None:
    message = refusal(repository, {**scorecard_files(), "model.onnx": dot_product_graph()})

    assert message.startswith("the graph's inputs {A: FP32, B: FP32} are not the manifest's features {amount: FP32, ")


def test_a_graph_that_takes_a_feature_in_another_type_does_not_serve(repository: DirectoryRepository) -> None:
    def integers(graph: onnx.GraphProto) -> None:
        graph.input[5].type.tensor_type.elem_type = TensorProto.INT32

    message = refusal(repository, {**scorecard_files(), "model.onnx": edited(score_graph(), integers)})

    assert "zip: INT32" in message
    assert "zip: INT64" in message


def rename_output(graph: onnx.GraphProto) -> None:
    graph.node.append(helper.make_node("Identity", [graph.output[0].name], ["other"]))
    graph.output[0].name = "other"


@pytest.mark.parametrize(
    ("name", "graph", "missing"),
    [
        ("model.onnx", edited(score_graph(), rename_output), "probability_of_default"),
        ("explain.onnx", edited(explain_graph(), rename_output), "contributions"),
        ("explain.onnx", score_graph(), "contributions, relief"),
    ],
)
def test_a_graph_that_lacks_an_output_does_not_serve(
    repository: DirectoryRepository, name: str, graph: bytes, missing: str
) -> None:
    assert refusal(repository, {**scorecard_files(), name: graph}) == f"the graph has no output {missing}"


def test_a_build_that_answers_its_golden_rows_otherwise_does_not_serve(repository: DirectoryRepository) -> None:
    message = refusal(repository, {**scorecard_files(), "model.onnx": score_graph(-1.99)})

    assert message.startswith("golden row ")
    assert "when the build was made" in message


def test_the_row_that_differs_most_is_named_with_both_answers(repository: DirectoryRepository) -> None:
    right = [probability(application) for application in APPLICATIONS]
    wrong = [*right[:3], 0.5, right[4] + 2e-5]

    message = refusal(repository, {**scorecard_files(), "golden.json": golden(probabilities=wrong)})

    assert message.startswith("golden row 3 scores 0.14804")
    assert message.endswith(", it was 0.500000000 when the build was made")


def test_the_tolerance_is_the_builds_own(repository: DirectoryRepository) -> None:
    off = [probability(application) + 5e-5 for application in APPLICATIONS]
    digest = add(repository, {**scorecard_files(), "golden.json": golden(probabilities=off, tolerance=1e-4)})

    load_build(repository, "tiny", digest, BACKEND).close()


def test_a_graph_that_answers_not_a_number_does_not_serve(repository: DirectoryRepository) -> None:
    message = refusal(repository, {**scorecard_files(), "model.onnx": score_graph(float("nan"))})

    assert message.startswith("golden row 0 scores nan")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "JSON"),
        (b"[]", "golden.json: "),
        (golden(surprise=1), "surprise"),
        (golden(tolerance=1), "tolerance"),
        (golden(probabilities=[2, 0, 0, 0, 0]), "probabilities"),
        (golden(probabilities=[0.5]), "5 rows and 1 probabilities"),
        (golden(rows=[], probabilities=[]), "rows"),
        (golden(rows=[{"amount": -1}] * 5), 'applications[0].features["amount"]'),
        (golden(rows=[{"unknown": 1, "amount": 1}] * 5), "unknown"),
    ],
)
def test_golden_rows_that_are_not_right_themselves_are_named(
    repository: DirectoryRepository, content: bytes, problem: str
) -> None:
    message = refusal(repository, {**scorecard_files(), "golden.json": content})

    assert message.startswith("golden.json: ")
    assert problem in message


def one_row_only(graph: onnx.GraphProto) -> None:
    """Makes the graph fail on any number of rows but that of the golden rows or 1."""
    graph.initializer.append(helper.make_tensor("five", TensorProto.INT64, [2], [5, 1]))
    graph.node.append(helper.make_node("Reshape", ["probability_of_default_", "five"], ["probability_of_default"]))
    next(n for n in graph.node if n.op_type == "Sigmoid").output[0] = "probability_of_default_"


def test_a_graph_that_fails_on_another_number_of_rows_does_not_serve(repository: DirectoryRepository) -> None:
    message = refusal(repository, {**scorecard_files(), "model.onnx": edited(score_graph(), one_row_only)})

    assert "model.onnx" in message
    assert "Reshape" in message


def explaining(shape: tuple[int, ...]) -> bytes:
    """An explanation graph whose contributions have a shape of their own."""

    def reshape(graph: onnx.GraphProto) -> None:
        graph.initializer.append(helper.make_tensor("wanted", TensorProto.INT64, [len(shape)], shape))
        graph.node.append(helper.make_node("Reshape", ["contributions", "wanted"], ["reshaped"]))
        graph.node.append(helper.make_node("Identity", ["reshaped"], ["contributions_"]))
        for node in graph.node:
            node.output[:] = ["all" if name == "contributions" else name for name in node.output]
            node.input[:] = ["all" if name == "contributions" else name for name in node.input]
        graph.node[-1].output[0] = "contributions"
        graph.output[0].CopyFrom(helper.make_tensor_value_info("contributions", TensorProto.FLOAT, None))

    return edited(explain_graph(), reshape)


@pytest.mark.parametrize("shape", [(7, 1), (2, 2), (-1,)])
def test_an_explanation_graph_that_fails_or_has_other_columns_than_groups_does_not_serve(
    repository: DirectoryRepository, shape: tuple[int, ...]
) -> None:
    assert "explain.onnx" in refusal(repository, {**scorecard_files(), "explain.onnx": explaining(shape)})


def test_a_flat_probability_does_not_serve(repository: DirectoryRepository) -> None:
    def flatten(graph: onnx.GraphProto) -> None:
        next(n for n in graph.node if n.op_type == "Sigmoid").output[0] = "column"
        graph.initializer.append(helper.make_tensor("flat", TensorProto.INT64, [1], [-1]))
        graph.node.append(helper.make_node("Reshape", ["column", "flat"], ["probability_of_default"]))
        graph.output[0].CopyFrom(helper.make_tensor_value_info("probability_of_default", TensorProto.FLOAT, ["n"]))

    message = refusal(repository, {**scorecard_files(), "model.onnx": edited(score_graph(), flatten)})

    assert "model.onnx" in message
    assert "shape" in message


def test_a_build_without_golden_rows_does_not_serve_because_nothing_proves_it(repository: DirectoryRepository) -> None:
    files = scorecard_files()
    del files["golden.json"]

    assert "golden.json" in refusal(repository, files)


def test_a_plain_version_loads_without_a_scorecard(repository: DirectoryRepository) -> None:
    write_plain(repository.root, "failing", failing_graph(), 3)

    model = load_version(repository, "failing", 3, BACKEND)

    assert (model.version, model.scorecard) == ("3", None)
    model.close()


def test_a_plain_version_without_a_graph_does_not_serve(repository: DirectoryRepository) -> None:
    (repository.root / "none" / "1").mkdir(parents=True)

    with pytest.raises(CannotServe, match=r"^model\.onnx: No such file or directory$"):
        load_version(repository, "none", 1, BACKEND)


def test_the_digest_of_a_build_is_that_of_its_manifest_file(repository: DirectoryRepository) -> None:
    digest = write_scorecard(repository.root)

    document = (repository.build_folder("tiny", digest) / "manifest.json").read_bytes()
    assert hashlib.sha256(document).hexdigest() == digest


def test_a_build_that_is_not_trusted_does_not_serve_and_a_signature_makes_it_trusted(
    repository: DirectoryRepository,
) -> None:
    key = Ed25519PrivateKey.generate()
    trust = VerifyKeys({key_id(key.public_key()): key.public_key()}).check
    digest = write_scorecard(repository.root)
    with pytest.raises(CannotServe, match=f"build {digest} is not signed"):
        load_build(repository, "tiny", digest, BACKEND, trust)

    signature = sign_build(key, digest, datetime(2005, 1, 2, tzinfo=UTC))
    repository.set_attestation("tiny", digest, SIGNATURE, signature.to_bytes())
    load_build(repository, "tiny", digest, BACKEND, trust).close()


def test_a_numbered_version_cannot_be_trusted(repository: DirectoryRepository) -> None:
    write_plain(repository.root, "failing", failing_graph(), 3)

    with pytest.raises(CannotServe, match="verify_key is set"):
        load_version(repository, "failing", 3, BACKEND, lambda _digest, _signature: None)


def test_the_champion_that_ships_scores_a_row_the_same_to_the_bit_in_every_batch() -> None:
    shipped = DirectoryRepository(Path(__file__).parents[4] / "model_repository")
    digest = shipped.aliases("scorecard")["champion"]
    model = load_build(shipped, "scorecard", digest, OnnxBackend(batches=BatchPolicy("require")))
    assert model.scorecard
    golden = GoldenRows.model_validate_json((shipped.build_folder("scorecard", digest) / "golden.json").read_bytes())
    feeds = model.scorecard.schema.encode(golden.rows)

    (together,) = model.session.run(feeds, [PROBABILITY])

    assert model.session.batching.invariance is Invariance.EXACT
    for size in (1, 2, 3, 5, 16):
        batches = [
            {name: column[at : at + size] for name, column in feeds.items()} for at in range(0, len(together), size)
        ]
        assert np.concatenate([model.session.run(b, [PROBABILITY])[0] for b in batches]).tobytes() == together.tobytes()
