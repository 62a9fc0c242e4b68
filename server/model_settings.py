"""What the settings say of single models, held against the models that there are."""

from __future__ import annotations

from collections.abc import Sequence

from server.models.catalogue import ModelEntry
from server.models.version_policy import InvalidPolicy, VersionPolicy, parse_version_policy
from server.models.wanted import Rules
from server.settings import InvalidSettings, Settings

ALL_MODELS = "*"


def model_rules(settings: Settings, models: Sequence[ModelEntry]) -> Rules:
    """What the settings say of single models.

    Raises:
        InvalidSettings: a policy cannot be read or is of a scorecard, a scorecard is pinned twice, or the repository has no such scorecard.
    """
    pins = dict(settings.pin_build)
    if settings.pin:
        scorecards = [model.name for model in models if model.scorecard]
        if len(scorecards) != 1:
            raise InvalidSettings(
                f"pin = {settings.pin!r}: the repository has {len(scorecards)} scorecards, not one: use pin_build"
            )
        if scorecards[0] in pins:
            raise InvalidSettings(f"pin = {settings.pin!r}: pin_build has {scorecards[0]!r} as well: give one of them")
        pins[scorecards[0]] = settings.pin
    for name in pins:
        _check_scorecard("pin_build", name, models)
    if settings.default_model:
        _check_scorecard("default_model", settings.default_model, models)
    policies = {name: _policy(name, text, models) for name, text in settings.version_policy.items()}
    return Rules(policies, pins)


def models_at_start(settings: Settings, models: Sequence[ModelEntry]) -> list[str]:
    """Names of the models to load before anything is served.

    Raises:
        InvalidSettings: `load_model` names a model that is not there, or is given where all are loaded anyway.
    """
    names = [model.name for model in models]
    if settings.model_control_mode != "explicit":
        if settings.load_model:
            raise InvalidSettings(f"load_model = {settings.load_model[0]!r}: needs model_control_mode = 'explicit'")
        return names
    unknown = [name for name in settings.load_model if name not in (*names, ALL_MODELS)]
    if unknown:
        known = ", ".join(map(repr, names)) or "none"
        raise InvalidSettings(f"load_model = {unknown[0]!r}: no such model in the repository, which has {known}")
    return [name for name in names if name in settings.load_model or ALL_MODELS in settings.load_model]


def _policy(name: str, text: str, models: Sequence[ModelEntry]) -> VersionPolicy:
    """The policy of a plain model, which the repository need not have yet."""
    setting = f"version_policy = {f'{name}={text}'!r}"
    if any(model.scorecard for model in models if model.name == name):
        raise InvalidSettings(f"{setting}: {name!r} is a scorecard, which serves what its aliases point to")
    try:
        return parse_version_policy(text)
    except InvalidPolicy as error:
        raise InvalidSettings(f"{setting}: {error}") from None


def _check_scorecard(setting: str, name: str, models: Sequence[ModelEntry]) -> None:
    known = [model.name for model in models if model.scorecard]
    if name not in known:
        scorecards = ", ".join(map(repr, known)) or "none"
        raise InvalidSettings(f"{setting} = {name!r}: no such scorecard in the repository, which has {scorecards}")
