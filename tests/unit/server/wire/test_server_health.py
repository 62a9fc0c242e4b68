from __future__ import annotations

import asyncio

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from server.wire.health import Health

SERVING, NOT_SERVING, UNKNOWN = (
    HealthCheckResponse.SERVING,
    HealthCheckResponse.NOT_SERVING,
    HealthCheckResponse.SERVICE_UNKNOWN,
)


class Aborted(Exception):
    pass


class Watching:
    """A caller: what it was told so far. A message that is written takes until `may_write`."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def write(self, response: HealthCheckResponse) -> None:
        await self.may_write.wait()
        self.told.append(response.status)

    async def abort(self, _code: object, _details: str = "") -> None:
        raise Aborted


async def check(health: Health, name: str) -> int:
    status: int = (await health.Check(HealthCheckRequest(service=name), Watching())).status  # type: ignore[arg-type]
    return status


def watch(health: Health, name: str) -> tuple[Watching, asyncio.Task[None]]:
    caller = Watching()
    return caller, asyncio.create_task(health.Watch(HealthCheckRequest(service=name), caller))  # type: ignore[arg-type]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_nothing_serves_before_it_is_said() -> None:
    health = Health(["a.Service"])

    assert [await check(health, name) for name in ("", "a.Service")] == [NOT_SERVING, NOT_SERVING]
    with pytest.raises(Aborted):
        await check(health, "model")


async def test_the_server_and_its_services_are_one_and_models_are_their_own() -> None:
    health = Health(["a.Service"])
    health.show(serving=True, models={"m": True, "n": False})

    assert [await check(health, name) for name in ("", "a.Service", "m", "n")] == [SERVING] * 3 + [NOT_SERVING]
    # A model cannot speak for the server by taking a name of it.
    health.show(serving=False, models={"": True, "a.Service": True})
    assert [await check(health, name) for name in ("", "a.Service")] == [NOT_SERVING] * 2
    with pytest.raises(Aborted):
        await check(health, "m")


async def test_watchers_are_told_each_change_once_also_when_another_has_left() -> None:
    health = Health([])
    (first, one), (second, other) = watch(health, "m"), watch(health, "m")
    await settled()
    one.cancel()
    await settled()
    for serving in (True, True, False):
        health.show(serving=True, models={"m": serving})
        await settled()
    health.show(serving=True, models={})
    await settled()

    assert first.told == [UNKNOWN]
    assert second.told == [UNKNOWN, SERVING, NOT_SERVING, UNKNOWN]
    other.cancel()


async def test_who_leaves_serves_nothing_whatever_is_loaded_afterwards() -> None:
    health = Health([])
    health.show(serving=True, models={"m": True})
    caller, task = watch(health, "m")
    await settled()
    health.leave()
    health.show(serving=True, models={"m": True, "n": True})
    await settled()

    assert caller.told == [SERVING, NOT_SERVING]
    assert [await check(health, name) for name in ("", "m", "n")] == [NOT_SERVING] * 3
    task.cancel()


async def test_a_watch_ends_once_what_it_was_telling_is_written() -> None:
    """A status that overtook a message under way was lost, and the caller waited for its deadline."""
    health = Health([])
    health.show(serving=True, models={})
    caller, task = watch(health, "")
    await settled()
    caller.may_write.clear()
    health.leave()
    health.end()
    await settled()
    assert not task.done()

    caller.may_write.set()
    with pytest.raises(Aborted):
        await task
    assert caller.told == [SERVING, NOT_SERVING]


async def test_whoever_begins_to_watch_a_server_that_leaves_is_told_and_sent_away() -> None:
    health = Health([])
    health.leave()
    health.end()
    caller, task = watch(health, "")
    with pytest.raises(Aborted):
        await task
    assert caller.told == [NOT_SERVING]
