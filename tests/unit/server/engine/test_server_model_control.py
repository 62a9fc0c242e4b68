from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from control_bench import ControlBench
from plain_repository import dot_product_graph, write_plain
from scorecard_repository import point_alias, write_scorecard
from structlog.testing import capture_logs

from server.errors import LoadFailed, ModelNotFound, ModelNotReady
from server.models.version_policy import VersionPolicy
from server.models.wanted import Rules

Begin = Callable[..., ControlBench]


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """A bench over tmp_path, nothing loaded yet."""
    benches: list[ControlBench] = []

    def begun(rules: Rules | None = None, **options: bool) -> ControlBench:
        benches.append(ControlBench(tmp_path, rules, **options))
        return benches[-1]

    yield begun
    for bench in benches:
        await asyncio.wait_for(bench.close(), 30)


def spoil(root: Path, digest: str) -> Path:
    """Damages a build's graph; gives the file to mend."""
    path = root / "tiny" / "builds" / digest / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    return path


async def test_a_poll_follows_the_champion_wherever_it_moves(tmp_path: Path, begin: Begin) -> None:
    first = write_scorecard(tmp_path)
    bench = await begin().started()
    assert await bench.digest() == first

    second = write_scorecard(tmp_path, intercept=-1.0)
    assert await bench.digest() == first
    await bench.control.poll()
    assert await bench.digest() == second
    point_alias(tmp_path, "tiny", "champion", first)
    await bench.control.poll()
    assert await bench.digest() == first
    assert bench.value("credence_model_loads_total", model="tiny", outcome="loaded") == 3
    assert bench.value("credence_model_swap_duration_seconds_count", model="tiny") == 3
    assert bench.value("credence_model_versions", model="tiny") == 1


async def test_a_poll_that_finds_nothing_new_loads_nothing_and_tells_nobody(tmp_path: Path, begin: Begin) -> None:
    write_scorecard(tmp_path)
    write_plain(tmp_path, "dot", dot_product_graph())
    bench = await begin().started()
    told, catalogue = len(bench.told), bench.engine.catalogue

    for _ in range(3):
        await bench.control.poll()

    assert bench.engine.catalogue is catalogue
    assert len(bench.told) == told
    assert bench.value("credence_repository_polls_total", outcome="ok") == 3


async def test_a_champion_that_fails_leaves_the_old_one_serving_and_says_why(tmp_path: Path, begin: Begin) -> None:
    first = write_scorecard(tmp_path)
    bench = await begin().started()
    second = write_scorecard(tmp_path, intercept=-1.0)
    path = spoil(tmp_path, second)

    with capture_logs() as lines:
        await bench.control.poll()

    assert await bench.digest() == first
    assert bench.engine.ready
    assert bench.engine.model_ready("tiny", "champion")
    assert [(line["model"], line["version"]) for line in lines if line["event"] == "model not loaded"] == [
        ("tiny", second)
    ]
    assert bench.value("credence_model_loads_total", model="tiny", outcome="failed") == 1
    assert bench.value("credence_model_ready", model="tiny", version=first) == 1
    assert {(row.version, row.state) for row in await bench.control.index()} == {
        (first, "READY"),
        (second, "UNAVAILABLE"),
    }
    assert any("model.onnx was changed" in row.reason for row in await bench.control.index())
    # Mended, it takes over.
    path.write_bytes(path.read_bytes()[:-1] + write_again(tmp_path, second))
    await bench.control.poll()
    assert await bench.digest() == second


def write_again(root: Path, digest: str) -> bytes:
    """The last byte that the graph of a spoilt build had."""
    other = root / "again"
    assert write_scorecard(other, intercept=-1.0) == digest
    return (other / "tiny" / "builds" / digest / "model.onnx").read_bytes()[-1:]


async def test_models_come_and_go_with_their_folders(tmp_path: Path, begin: Begin) -> None:
    write_scorecard(tmp_path)
    bench = await begin().started()
    write_plain(tmp_path, "dot", dot_product_graph())

    await bench.control.poll()
    assert bench.engine.model_ready("dot", "1")
    assert bench.told[-1] == {"dot": True, "tiny": True}
    shutil.rmtree(tmp_path / "dot")
    await bench.control.poll()
    with pytest.raises(ModelNotFound):
        bench.engine.served("dot", "")
    assert bench.told[-1] == {"tiny": True}
    assert bench.engine.ready


async def test_a_broken_model_that_comes_later_does_not_take_the_server_out_of_service(
    tmp_path: Path, begin: Begin
) -> None:
    write_scorecard(tmp_path)
    bench = await begin().started()
    write_plain(tmp_path, "broken", b"not a graph")

    await bench.control.poll()

    assert bench.engine.ready
    assert bench.told[-1] == {"broken": False, "tiny": True}
    with pytest.raises(ModelNotReady):
        bench.engine.served("broken", "")


async def test_a_repository_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "models"
    digest = write_scorecard(root)
    bench = await ControlBench(root).started()
    root.rename(tmp_path / "elsewhere")

    with capture_logs() as lines:
        await bench.control.poll()

    assert await bench.digest() == digest
    assert [line["event"] for line in lines] == ["repository not read"]
    assert bench.value("credence_repository_polls_total", outcome="failed") == 1
    await bench.close()


async def test_numbered_versions_follow_their_policy_as_they_come(tmp_path: Path, begin: Begin) -> None:
    write_plain(tmp_path, "dot", dot_product_graph(), 1)
    bench = await begin(Rules(policies={"dot": VersionPolicy(latest=2)})).started()
    write_plain(tmp_path, "dot", dot_product_graph(), 2, 3)

    await bench.control.poll()

    assert sorted(bench.engine.catalogue.entry("dot").loaded) == ["2", "3"]
    assert bench.engine.served("dot", "").model.version == "3"


async def test_a_half_copied_graph_is_loaded_once_it_is_complete(tmp_path: Path, begin: Begin) -> None:
    write_plain(tmp_path, "dot", dot_product_graph(), 1)
    bench = await begin().started()
    write_plain(tmp_path, "dot", dot_product_graph()[:-100], 2)
    await bench.control.poll()
    assert bench.engine.served("dot", "").model.version == "1"

    (tmp_path / "dot" / "2" / "model.onnx").write_bytes(dot_product_graph())
    await bench.control.poll()

    assert bench.engine.served("dot", "").model.version == "2"


async def test_a_config_that_cannot_be_read_leaves_every_version_serving(tmp_path: Path, begin: Begin) -> None:
    write_plain(tmp_path, "dot", dot_product_graph(), 1, 2)
    config = tmp_path / "dot" / "config.pbtxt"
    config.write_text("version_policy: { all { } }")
    bench = await begin().started()
    assert set(bench.engine.catalogue.entry("dot").loaded) == {"1", "2"}
    config.write_text("version_policy: { al")

    await bench.control.poll()

    assert set(bench.engine.catalogue.entry("dot").loaded) == {"1", "2"}
    assert "config.pbtxt" in bench.engine.catalogue.entry("dot").failed["2"].reason
    config.write_text("version_policy: { specific { versions: 1 } }")
    await bench.control.poll()
    assert set(bench.engine.catalogue.entry("dot").loaded) == {"1"}


async def test_nothing_is_loaded_before_it_is_asked_for(tmp_path: Path, begin: Begin) -> None:
    write_scorecard(tmp_path)
    bench = begin(explicit=True)
    await bench.control.start([])

    assert bench.engine.ready
    with pytest.raises(ModelNotReady, match="'tiny' is not loaded"):
        bench.engine.served("tiny", "")
    assert [(row.model, row.version, row.state) for row in await bench.control.index()] == [("tiny", "", "UNAVAILABLE")]


async def test_load_and_unload_do_as_they_are_told(tmp_path: Path, begin: Begin) -> None:
    digest = write_scorecard(tmp_path)
    bench = begin(explicit=True)

    await bench.control.load("tiny")
    assert await bench.digest() == digest
    await bench.control.unload("tiny")
    with pytest.raises(ModelNotReady, match="'tiny' is not loaded"):
        bench.engine.served("tiny", digest)
    assert bench.engine.ready
    await bench.control.unload("tiny")
    await bench.control.load("tiny")
    assert await bench.digest() == digest


@pytest.mark.parametrize("name", ["nobody", "", "../tiny", "x" * 5000, "a/b"])
async def test_a_model_that_is_not_there_is_neither_loaded_nor_unloaded(
    tmp_path: Path, begin: Begin, name: str
) -> None:
    write_scorecard(tmp_path)
    bench = begin(explicit=True)

    for act in (bench.control.load, bench.control.unload):
        with pytest.raises(ModelNotFound) as missing:
            await act(name)
        assert len(missing.value.message) < 250
    assert not bench.control._next_loads
    assert not bench.control._turns


async def test_a_load_that_fails_says_why_and_is_tried_again_when_asked_again(tmp_path: Path, begin: Begin) -> None:
    write_plain(tmp_path, "dot", b"not a graph")
    bench = begin(explicit=True)

    for _ in range(2):
        with pytest.raises(LoadFailed, match=r"model 'dot' did not load: version 1: model\.onnx"):
            await bench.control.load("dot")
    assert bench.value("credence_model_loads_total", model="dot", outcome="failed") == 2
    assert bench.engine.ready


async def test_a_load_of_a_scorecard_without_a_champion_fails(tmp_path: Path, begin: Begin) -> None:
    write_scorecard(tmp_path, alias="challenger")
    bench = begin(explicit=True)

    with pytest.raises(LoadFailed, match="has no alias 'champion'"):
        await bench.control.load("tiny")


async def test_loads_at_once_are_one_or_two_and_all_are_answered(tmp_path: Path, begin: Begin) -> None:
    write_scorecard(tmp_path)
    bench = begin(explicit=True)

    await asyncio.gather(*(bench.control.load("tiny") for _ in range(50)))

    assert bench.value("credence_model_loads_total", model="tiny", outcome="loaded") == 1
    assert bench.value("credence_model_load_duration_seconds_count", model="tiny") == 1


async def test_a_load_that_began_before_the_files_came_does_not_answer_for_them(tmp_path: Path, begin: Begin) -> None:
    write_plain(tmp_path, "dot", dot_product_graph(), 1)
    bench = begin(explicit=True)
    refresh, started = bench.refresher.refresh, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(*args: object, **kwargs: object) -> object:
        result = refresh(*args, **kwargs)  # type: ignore[arg-type]
        loop.call_soon_threadsafe(started.set)
        return result

    object.__setattr__(bench.refresher, "refresh", slow)
    early = asyncio.create_task(bench.control.load("dot"))
    await started.wait()
    write_plain(tmp_path, "dot", dot_product_graph(), 2)
    await bench.control.load("dot")

    assert bench.engine.served("dot", "").model.version == "2"
    await early


async def test_load_unload_load_end_as_the_last_of_them_says(tmp_path: Path, begin: Begin) -> None:
    write_scorecard(tmp_path)
    bench = begin(explicit=True)

    await asyncio.gather(bench.control.load("tiny"), bench.control.unload("tiny"), bench.control.load("tiny"))
    assert bench.engine.model_ready("tiny", "")
    await asyncio.gather(bench.control.load("tiny"), bench.control.unload("tiny"))
    assert not bench.engine.model_ready("tiny", "")


async def test_a_load_goes_on_when_who_asked_for_it_has_left(tmp_path: Path, begin: Begin) -> None:
    write_scorecard(tmp_path)
    bench = begin(explicit=True)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bench.control.load("tiny"), 0)
    asked = asyncio.create_task(bench.control.load("tiny"))
    await asyncio.sleep(0)
    asked.cancel()
    await bench.control.load("tiny")

    assert bench.engine.model_ready("tiny", "")


async def test_a_pinned_server_serves_its_build_wherever_the_champion_moves(tmp_path: Path, begin: Begin) -> None:
    pinned = write_scorecard(tmp_path)
    bench = await begin(Rules(pins={"tiny": pinned})).started()
    champion = write_scorecard(tmp_path, intercept=-1.0)

    await bench.control.poll()

    assert await bench.digest() == pinned
    assert bench.engine.served("tiny", "champion").model.version == pinned
    with pytest.raises(ModelNotFound):
        bench.engine.served("tiny", champion)


async def test_a_server_pinned_to_a_build_that_is_not_there_is_not_ready(tmp_path: Path, begin: Begin) -> None:
    write_scorecard(tmp_path)
    with capture_logs() as lines:
        bench = await begin(Rules(pins={"tiny": "0" * 64})).started()

    assert not bench.engine.ready
    (reason,) = (line["reason"] for line in lines if line["event"] == "model not loaded")
    assert f"no build {'0' * 64}" in reason


async def test_a_scorecard_without_a_champion_is_logged_once(tmp_path: Path, begin: Begin) -> None:
    write_scorecard(tmp_path, alias="challenger")
    write_scorecard(tmp_path, model="other")

    with capture_logs() as lines:
        bench = await begin().started()
        await bench.control.poll()

    assert [line for line in lines if line["log_level"] == "error"] == [
        {
            "event": "no default version",
            "log_level": "error",
            "model": "tiny",
            "reason": "has no alias 'champion'",
        }
    ]
