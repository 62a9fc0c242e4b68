from __future__ import annotations

from pathlib import Path

import pytest
from plain_repository import dot_product_graph

from server.backends import build_backend
from server.runtime.session import CannotLoad, Sample
from server.runtime.settle import made_up_rows
from server.settings import InvalidSettings, Settings


def settings(**values: object) -> Settings:
    return Settings(model_repository="models", **values)


def test_the_default_backend_takes_a_graph_and_remembers_what_it_found_of_its_batches(tmp_path: Path) -> None:
    session = build_backend(settings(), tmp_path).load(dot_product_graph(), Sample(made_up_rows))

    assert session.placement.device == "cpu"
    assert len(list((tmp_path / "batches").iterdir())) == 1


def test_a_device_that_is_required_and_not_there_refuses_every_model(tmp_path: Path) -> None:
    backend = build_backend(settings(device="cuda", require_device=True), tmp_path)

    with pytest.raises(CannotLoad, match="runs on cpu only, cuda is required"):
        backend.load(dot_product_graph())


def test_without_a_gpu_small_batches_on_the_cpu_changes_nothing(tmp_path: Path) -> None:
    plain, crossing = (build_backend(settings(small_batches_on_cpu=on), tmp_path) for on in (False, True))

    sessions = [backend.load(dot_product_graph(), Sample(made_up_rows)) for backend in (plain, crossing)]

    assert sessions[0].fingerprint == sessions[1].fingerprint
    assert sessions[0].batching == sessions[1].batching


def test_an_engine_that_cannot_be_had_is_told_and_onnx_runtime_serves(tmp_path: Path) -> None:
    backend = build_backend(settings(backend="tensorrt", batch_buckets=(1, 8)), tmp_path)

    session = backend.load(dot_product_graph(), Sample(made_up_rows))

    assert session.placement.instead_of == "tensorrt"
    assert session.batching.padding.sizes == (1, 8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"device": "cpu", "require_device": "cuda"}, "require_device = 'cuda': device = 'cpu' never gives it"),
        ({"device": "cuda", "require_device": "tensorrt"}, "require_device = 'tensorrt'"),
        ({"device": "tensorrt"}, "give batch_buckets"),
        ({"backend": "tensorrt"}, "give batch_buckets"),
        ({"require_device": True}, "device = 'auto' takes what there is; name a device"),
        ({"small_batches_on_cpu": True, "batch_invariance": "require"}, "small_batches_on_cpu makes scores depend"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, values: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        build_backend(settings(**values), tmp_path)


def test_a_folder_for_engines_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(InvalidSettings, match=f"cache_dir: {tmp_path}/file/engines cannot be made: Not a directory"):
        build_backend(settings(device="tensorrt", batch_buckets=(1,)), tmp_path / "file")
