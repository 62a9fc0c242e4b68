"""What every router must do, held against the one in memory and a real Envoy; and what Envoy alone can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from colours import Colours, ask, colour_servers
from server_process import wait_until

from flows.release.routers.envoy.files import write_clusters
from flows.release.routers.envoy.process import Envoy, running_envoy
from flows.release.routers.envoy.router import EnvoyRouter
from flows.release.routers.memory import MemoryRouter
from flows.release.routers.router import Fenced, RouteConflict, Router
from flows.release.routes import Colour, Foreign, Split, Unreadable

BLUE, GREEN = Colour.BLUE, Colour.GREEN
SPLITS = [Split(BLUE, mirror=True), *(Split(BLUE, share) for share in (0, 1, 5, 20, 50, 99, 100)), Split(GREEN)]


@dataclass(frozen=True)
class Bench:
    """A router, whom it sends an applicant of a bucket to, and somebody who edits its routes."""

    router: Router
    where: Callable[[int], Colour | None]
    edit: Callable[[], None]

    def set(self, split: Split, epoch: int = 1) -> None:
        self.router.set(split, expected=self.router.read().token, epoch=epoch)
        wait_until(lambda: self.router.confirm(split))

    def on_candidate(self) -> set[int]:
        return {bucket for bucket in range(100) if self.where(bucket) is GREEN}


@dataclass(frozen=True)
class RealEnvoy:
    envoy: Envoy
    folder: Path
    colours: Colours
    channel: grpc.Channel


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealEnvoy]:
    with (
        colour_servers() as colours,
        running_envoy(tmp_path, colours.addresses, BLUE) as envoy,
        grpc.insecure_channel(envoy.target) as channel,
    ):
        yield RealEnvoy(envoy, tmp_path, colours, channel)


def memory_bench() -> Bench:
    router = MemoryRouter()
    return Bench(router, router.where, lambda: router.change_by_hand(Foreign("edited")))


def envoy_bench(real: RealEnvoy) -> Bench:
    def edit() -> None:
        path = real.folder / "routes.json"
        path.write_text(path.read_text().replace('"num_retries": 2', '"num_retries": 3'))

    router = EnvoyRouter(real.folder, real.envoy.admin)
    return Bench(router, lambda bucket: ask(real.channel, ("x-credence-bucket", str(bucket))), edit)


@pytest.fixture(params=["memory", pytest.param("envoy", marks=pytest.mark.real)])
def bench(request: pytest.FixtureRequest) -> Bench:
    made = memory_bench() if request.param == "memory" else envoy_bench(request.getfixturevalue("real"))
    made.router.initialize(BLUE)
    return made


def test_at_first_everybody_is_on_the_champion_and_initializing_again_changes_nothing(bench: Bench) -> None:
    assert bench.router.read().live == Split(BLUE)
    assert bench.on_candidate() == set()
    bench.set(Split(BLUE, 20))
    bench.router.initialize(GREEN)
    assert bench.router.read().live == Split(BLUE, 20)


def test_each_split_is_read_confirmed_and_served_as_it_was_set_and_nobody_goes_back(bench: Bench) -> None:
    before: set[int] = set()
    for split in SPLITS:
        bench.set(split)
        assert bench.router.read().live == split
        served = bench.on_candidate()
        assert served == (set(range(100)) if split.champion is GREEN else set(range(split.share)))
        assert before <= served
        before = served


def test_what_was_set_elsewhere_is_not_confirmed(bench: Bench) -> None:
    bench.set(Split(BLUE, 5))
    assert not bench.router.confirm(Split(BLUE, 20))


def test_routes_that_changed_since_they_were_read_are_not_overwritten(bench: Bench) -> None:
    stale = bench.router.read().token
    bench.set(Split(BLUE, 5))
    with pytest.raises(RouteConflict):
        bench.router.set(Split(BLUE, 50), expected=stale, epoch=1)
    assert bench.router.read().live == Split(BLUE, 5)


def test_a_writer_of_an_earlier_epoch_is_refused(bench: Bench) -> None:
    bench.set(Split(BLUE, 5), epoch=2)
    with pytest.raises(Fenced):
        bench.router.set(Split(BLUE, 50), expected=bench.router.read().token, epoch=1)
    assert bench.router.read().live == Split(BLUE, 5)


def test_a_change_by_hand_is_noticed_and_can_be_replaced(bench: Bench) -> None:
    bench.set(Split(BLUE, 5))
    bench.edit()
    assert isinstance(bench.router.read().live, Foreign)
    assert not bench.router.confirm(Split(BLUE, 5))
    bench.set(Split(BLUE))
    assert bench.router.read().live == Split(BLUE)


def test_a_router_without_routes_says_so(tmp_path: Path, unreachable: EnvoyRouter) -> None:
    for router in (MemoryRouter(), unreachable):
        assert isinstance(router.read().live, Unreadable)
    assert not (tmp_path / "routes.json").exists()


@pytest.fixture
def unreachable(tmp_path: Path) -> EnvoyRouter:
    from flows.release.routers.envoy.admin import Admin

    return EnvoyRouter(tmp_path, Admin("127.0.0.1:1"))


def test_routes_can_be_set_while_envoy_is_down_and_are_not_confirmed(unreachable: EnvoyRouter) -> None:
    unreachable.initialize(BLUE)
    unreachable.set(Split(BLUE, 5), expected=unreachable.read().token, epoch=1)
    assert unreachable.read().live == Split(BLUE, 5)
    assert not unreachable.confirm(Split(BLUE, 5))


@pytest.mark.real
def test_calls_without_a_bucket_go_by_weight_and_testers_where_they_want(real: RealEnvoy) -> None:
    bench = envoy_bench(real)
    bench.set(Split(BLUE, 50))
    where = Counter(ask(real.channel) for _ in range(300))
    assert min(where[BLUE], where[GREEN]) > 90
    for colour in Colour:
        assert ask(real.channel, ("x-credence-colour", colour.value)) is colour
    assert {ask(real.channel, ("x-credence-bucket", "no number")) for _ in range(100)} == {BLUE, GREEN}


@pytest.mark.real
def test_a_mirrored_call_is_answered_by_the_champion_and_seen_by_the_candidate(real: RealEnvoy) -> None:
    bench = envoy_bench(real)
    bench.set(Split(BLUE, mirror=True))
    copies = real.colours.calls(GREEN)
    assert {ask(real.channel, ("x-credence-bucket", "3")) for _ in range(20)} == {BLUE}
    assert ask(real.channel) is BLUE
    wait_until(lambda: real.colours.calls(GREEN) == copies + 21)
    bench.set(Split(BLUE, 1))
    ask(real.channel, ("x-credence-bucket", "3"))
    assert real.colours.calls(GREEN) == copies + 21


@pytest.mark.real
def test_an_envoy_that_starts_again_serves_the_routes_it_had_and_a_server_may_move(tmp_path: Path) -> None:
    with colour_servers() as colours:
        with running_envoy(tmp_path, colours.addresses, BLUE) as first:
            router = EnvoyRouter(tmp_path, first.admin)
            router.set(Split(BLUE, 100), expected=router.read().token, epoch=1)
        swapped = {BLUE: colours.addresses[GREEN], GREEN: colours.addresses[BLUE]}
        with (
            running_envoy(tmp_path, colours.addresses, BLUE) as second,
            grpc.insecure_channel(second.target) as channel,
        ):
            assert EnvoyRouter(tmp_path, second.admin).confirm(Split(BLUE, 100))
            assert ask(channel) is GREEN
            write_clusters(tmp_path / "clusters.json", swapped)
            wait_until(lambda: ask(channel) is BLUE)
            second.drain(0.0)
