"""What serves at one moment: a catalogue, and the queues before each model that is loaded in it. A value; a swap makes another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from server.engine.served import ServedModel
from server.errors import FieldError, InvalidRequest
from server.models.catalogue import Catalogue
from server.models.loader import LoadedModel, Scorecard


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`models` has a served model for each that is loaded in `catalogue`."""

    catalogue: Catalogue = field(default_factory=Catalogue)
    models: Mapping[LoadedModel, ServedModel] = field(default_factory=dict)

    def followed_by(self, catalogue: Catalogue, serve: Callable[[LoadedModel], ServedModel]) -> Snapshot:
        """The next one; what is in both keeps its queues."""
        loaded = [model for entry in catalogue.entries.values() for model in entry.loaded.values()]
        return Snapshot(catalogue, {model: self.models.get(model) or serve(model) for model in loaded})

    def gone_in(self, after: Snapshot) -> Iterator[ServedModel]:
        """What serves here and no more there."""
        return (served for model, served in self.models.items() if model not in after.models)

    def served(self, model: str, version: str) -> ServedModel:
        """What answers for (model, version).

        Raises:
            ModelNotFound, ModelNotReady: nothing does, for now or at all.
        """
        return self.models[self.catalogue.resolve(model, version)]

    def serving(self, model: str, version: str) -> list[ServedModel]:
        """What serves of a model, or of all if it is empty; with a version that one alone.

        Raises:
            ModelNotFound, ModelNotReady: as `served`; without a version a known model is no error.
            InvalidRequest: a version of no model.
        """
        if version and not model:
            message = f"{version[:128]!r} of no model: name one"
            raise InvalidRequest(f"version {message}", fields=[FieldError("version", message)])
        if version:
            return [self.served(model, version)]
        if model:
            self.catalogue.entry(model)
        return [served for served in self.models.values() if model in ("", served.model.name)]

    def scorecard(self, model: str, version: str, default: str) -> tuple[ServedModel, Scorecard]:
        """The scorecard that answers for (model, version); an empty model is `default`, or else the only scorecard.

        Raises:
            ModelNotFound, ModelNotReady: as `served`.
            InvalidRequest: no model is named and there is no default, or the model is not a scorecard.
        """
        served = self.served(model or default or self._only_scorecard(), version)
        if served.scorecard is None:
            message = f"{served.model.name!r} is a plain model without schema and cut-offs: use ModelInfer"
            raise InvalidRequest(f"model: {message}", fields=[FieldError("model", message)])
        return served, served.scorecard

    def _only_scorecard(self) -> str:
        names = self.catalogue.scorecards()
        if len(names) == 1:
            return names[0]
        message = f"is needed: the server has {len(names)} scorecards and no default_model"
        raise InvalidRequest(f"model {message}", fields=[FieldError("model", message)])
