from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from builders import Doubler
from hypothesis import given
from hypothesis import strategies as st

from server.models.catalogue import Failure, ModelEntry
from server.models.loader import LoadedModel
from server.models.reconcile import Loads, failure, settle, to_load
from server.models.wanted import Listing, Rules, Wanted, want

DIGESTS = tuple(letter * 64 for letter in "abcdef")
STAMPS = {**{str(number): "as first written" for number in range(1, 9)}, **dict.fromkeys(DIGESTS, "as first written")}
NOW = 1000.0
LISTINGS = st.one_of(
    st.builds(
        Listing,
        builds=st.just(True),
        aliases=st.dictionaries(st.sampled_from(["champion", "challenger", "retired"]), st.sampled_from(DIGESTS)),
        problem=st.sampled_from(["", "", "", "damaged"]),
    ),
    st.builds(
        Listing,
        builds=st.just(False),
        versions=st.sets(st.integers(1, 8), min_size=1).map(lambda versions: tuple(sorted(versions))),
    ),
)
# What the repository has at one look after another, and which versions do not load.
LOOKS = st.lists(st.tuples(LISTINGS, st.sets(st.sampled_from(sorted(STAMPS)))), max_size=8)


def model(version: str) -> LoadedModel:
    return LoadedModel("m", version, Doubler(), None)


def look(
    wanted: Wanted,
    entry: ModelEntry,
    broken: set[str],
    stamps: Mapping[str, str] = STAMPS,
    now: float = NOW,
    *,
    insist: bool = False,
) -> tuple[ModelEntry, Sequence[str]]:
    """One refresh, without files; gives the entry that serves next and what was loaded or failed to."""
    versions = to_load(wanted, entry, stamps, now, insist=insist)
    loaded = {version: model(version) for version in versions if version not in broken}
    failed = {v: failure(entry.failed.get(v), "broken", stamps[v], now) for v in versions if v in broken}
    return settle(wanted, entry, stamps, Loads(loaded, failed)), versions


def plain(*versions: int) -> Wanted:
    newest_first = tuple(str(version) for version in sorted(versions, reverse=True))
    return Wanted(scorecard=False, versions=newest_first, default=newest_first[0])


def scorecard(**aliases: str) -> Wanted:
    return want("m", Listing(builds=True, aliases=aliases), Rules())


EMPTY = ModelEntry("m", scorecard=False)


@given(LOOKS)
def test_what_serves_goes_on_until_what_takes_its_place_serves(looks: list[tuple[Listing, set[str]]]) -> None:
    entry = EMPTY
    for listing, broken in looks:
        before, wanted = entry, want("m", listing, Rules())
        entry, _ = look(wanted, entry, broken)

        assert entry.ready or not before.ready
        served_before, served = before.serving, entry.serving
        if served_before is not None and served is not served_before:
            assert served is not None
            assert served.version in wanted.versions
        for alias, version in wanted.aliases.items():
            if before.loaded.get(before.aliases.get(alias, "")) is not None:
                assert entry.aliases[alias] in entry.loaded
            if version in entry.loaded:
                assert entry.aliases[alias] == version


@given(LOOKS)
def test_no_more_stays_loaded_than_should_serve(looks: list[tuple[Listing, set[str]]]) -> None:
    entry = EMPTY
    for listing, broken in looks:
        wanted = want("m", listing, Rules())
        if wanted.problem:
            continue
        entry, _ = look(wanted, entry, broken, insist=True)

        # A build for each alias and the default; for numbers as many as the policy lets serve.
        assert len(entry.loaded) <= (len(wanted.aliases) + 1 if wanted.scorecard else len(wanted.versions))
        assert entry.stamps.keys() == entry.loaded.keys()
        assert entry.failed.keys() <= set(wanted.versions)
        if not broken:
            assert set(entry.loaded) >= set(wanted.versions)
            assert not entry.failed


@given(LOOKS)
def test_a_second_look_at_the_same_does_nothing(looks: list[tuple[Listing, set[str]]]) -> None:
    entry = EMPTY
    for listing, broken in looks:
        wanted = want("m", listing, Rules())
        entry, _ = look(wanted, entry, broken)
        again, loads = look(wanted, entry, broken)

        assert loads == ()
        assert again == entry


def test_the_next_champion_that_fails_leaves_the_old_one_under_its_alias_and_as_the_default() -> None:
    old, new, other = DIGESTS[:3]
    entry, _ = look(scorecard(champion=old, challenger=other), EMPTY, set())
    entry, _ = look(scorecard(champion=new, challenger=other), entry, {new})

    assert (entry.default, entry.aliases) == (old, {"champion": old, "challenger": other})
    assert [*entry.failed] == [new]
    entry, loads = look(scorecard(champion=new, challenger=other), entry, set(), insist=True)
    assert (loads, entry.default, [*entry.failed]) == ((new,), new, [])
    assert set(entry.loaded) == {new, other}


def test_champions_that_fail_one_after_another_keep_one_build_loaded() -> None:
    entry, _ = look(scorecard(champion=DIGESTS[0]), EMPTY, set())
    for digest in DIGESTS[1:]:
        entry, _ = look(scorecard(champion=digest), entry, {digest})
        assert [*entry.loaded] == [DIGESTS[0]]
        assert [*entry.failed] == [digest]


def test_a_build_is_not_loaded_again_when_something_beside_it_changes_and_a_number_is() -> None:
    digest = DIGESTS[0]
    changed = {digest: "signed since", "1": "overwritten"}
    build, _ = look(scorecard(champion=digest), EMPTY, set())
    number, _ = look(plain(1), EMPTY, set())

    assert look(scorecard(champion=digest), build, set(), changed)[1] == ()
    again, loads = look(plain(1), number, set(), changed)
    assert loads == ("1",)
    assert again.serving is not number.serving


def test_a_number_whose_new_files_do_not_load_serves_its_old_ones_and_forgets_that_when_they_are_back() -> None:
    entry, _ = look(plain(1), EMPTY, set())
    spoilt, _ = look(plain(1), entry, {"1"}, {"1": "spoilt"})

    assert spoilt.serving is entry.serving
    assert spoilt.failed["1"].reason == "broken"
    assert look(plain(1), spoilt, set()) == (entry, ())


def test_a_new_number_that_fails_leaves_the_newest_that_serves() -> None:
    entry, _ = look(plain(3, 2), EMPTY, set())
    entry, _ = look(plain(5, 4), entry, {"5"})

    assert set(entry.loaded) == {"4", "3"}
    assert entry.default == "4"


def test_what_failed_is_tried_again_at_once_when_its_files_changed_or_somebody_insists_and_else_after_a_while() -> None:
    entry, _ = look(plain(1), EMPTY, {"1"})
    first = entry.failed["1"]

    assert first == Failure("broken", STAMPS["1"], 1, NOW + 15)
    assert look(plain(1), entry, {"1"}, now=NOW + 14)[1] == ()
    assert look(plain(1), entry, {"1"}, now=NOW + 15)[1] == ("1",)
    assert look(plain(1), entry, {"1"}, {"1": "complete"})[1] == ("1",)
    assert look(plain(1), entry, {"1"}, insist=True)[1] == ("1",)


@given(st.integers(1, 200))
def test_attempts_on_the_same_files_are_further_and_further_apart_up_to_five_minutes(attempts: int) -> None:
    last = failure(Failure("", "s", attempts, NOW), "why", "s", NOW)

    assert last.attempts == attempts + 1
    assert 30 <= last.retry_at - NOW <= 300
    assert failure(last, "why", "other files", NOW).attempts == 1


def test_aliases_that_cannot_be_read_change_nothing_that_serves() -> None:
    entry, _ = look(scorecard(champion=DIGESTS[0]), EMPTY, set())
    damaged = want("m", Listing(builds=True, problem="damaged"), Rules())
    kept, _ = look(damaged, entry, set())

    assert replace(kept, problem="") == entry
    assert kept.problem == "damaged"
    assert look(damaged, EMPTY, set())[0].without_default == "has aliases that cannot be read"
    assert look(scorecard(champion=DIGESTS[0]), kept, set())[0] == entry


def test_a_model_is_required_once_it_has_served() -> None:
    broken, _ = look(plain(1), EMPTY, {"1"})
    assert not broken.required
    entry, _ = look(plain(1), broken, set(), insist=True)
    assert entry.required
