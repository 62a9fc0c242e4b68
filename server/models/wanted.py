"""What should serve of a model, decided from what the repository has and what this server was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from server.models.catalogue import CHAMPION
from server.models.repository import Repository, RepositoryError
from server.models.triton.config import CONFIG_FILE, InvalidConfig
from server.models.triton.reading import read_config
from server.models.version_policy import NEWEST, VersionPolicy


@dataclass(frozen=True)
class Listing:
    """What the repository has of a model.

    `policy`: its config.pbtxt's; `policy_known` is false where that cannot be read. `problem`: why its aliases cannot.
    """

    builds: bool
    versions: tuple[int, ...] = ()
    policy: VersionPolicy | None = None
    policy_known: bool = True
    aliases: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def exists(self) -> bool:
        return self.builds or bool(self.versions)


@dataclass(frozen=True)
class Rules:
    """What this server was told: version policies of plain models and digests that scorecards are pinned to, by model."""

    policies: Mapping[str, VersionPolicy] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """The versions that should serve, under which aliases, and by default.

    `default` is None if there is none, and `without_default` says why. `problem`: what should serve is not known, so what
    serves stays. `whole`: these are all; if not, other numbers may be meant as well, and those that serve stay.
    """

    scorecard: bool
    versions: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    without_default: str = ""
    problem: str = ""
    whole: bool = True


def read_listing(repository: Repository, name: str) -> Listing:
    """Looks at a model's folder.

    Raises:
        RepositoryError: the repository cannot be read, or the name is not allowed.
    """
    if not repository.digests(name):
        return _read_versions(repository, name)
    try:
        return Listing(builds=True, aliases=repository.aliases(name))
    except RepositoryError as error:
        return Listing(builds=True, problem=str(error))


def _read_versions(repository: Repository, name: str) -> Listing:
    versions = tuple(repository.versions(name))
    try:
        document = repository.model_file(name, CONFIG_FILE)
        policy = None if document is None else read_config(name, document).version_policy
    except (RepositoryError, InvalidConfig):
        # The load that follows reads it again, is refused and says why.
        return Listing(builds=False, versions=versions, policy_known=False)
    return Listing(builds=False, versions=versions, policy=policy)


def want(name: str, listing: Listing, rules: Rules) -> Wanted:
    """What should serve.

    A scorecard serves the builds that its aliases point to, the champion by default. One that is pinned serves the pinned
    build in the champion's place, wherever that alias points. A plain model serves the versions that its policy lets
    through, the newest of them by default; what this server was told goes before what the model's config.pbtxt says.
    """
    if not listing.builds:
        told = rules.policies.get(name)
        wanted = _want_versions(listing, told or listing.policy or NEWEST)
        return wanted if told or listing.policy_known else replace(wanted, whole=False)
    pin = rules.pins.get(name)
    if listing.problem and pin is None:
        return Wanted(scorecard=True, without_default="has aliases that cannot be read", problem=listing.problem)
    aliases = {**listing.aliases, CHAMPION: pin} if pin else listing.aliases
    default = aliases.get(CHAMPION)
    without = f"has no alias {CHAMPION!r}" if default is None else ""
    # The default first: it is loaded first.
    versions = tuple(dict.fromkeys([default, *aliases.values()] if default else aliases.values()))
    return Wanted(scorecard=True, versions=versions, aliases=aliases, default=default, without_default=without)


def _want_versions(listing: Listing, policy: VersionPolicy) -> Wanted:
    newest_first = tuple(str(version) for version in reversed(policy.select(listing.versions)))
    default = newest_first[0] if newest_first else None
    without = "" if default else "has no version that its version policy lets serve"
    return Wanted(scorecard=False, versions=newest_first, default=default, without_default=without)
