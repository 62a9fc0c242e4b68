from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score
from small_loans import QUICK, SPEC, fit, loans

from flows.training.build.graph import PROBABILITY, build_score_graph
from flows.training.evaluate.metrics import measure
from flows.training.evaluate.outcomes import NotMeasurable
from flows.training.model.encoding import feeds
from flows.training.model.ensemble import Ensemble
from flows.training.model.fit_member import learning_rate_factor
from flows.training.model.fitted import Diverged, FitProgress, FittedNetwork, Sample
from flows.training.model.member import Member
from flows.training.model.network import fit_network
from server.runtime.onnx import OnnxBackend


@pytest.fixture(scope="module")
def fitted_and_told() -> tuple[FittedNetwork, list[FitProgress]]:
    return fit(loans(1), loans(2), seeds=(0, 1))


@pytest.fixture(scope="module")
def fitted(fitted_and_told: tuple[FittedNetwork, list[FitProgress]]) -> FittedNetwork:
    return fitted_and_told[0]


def test_it_learns_a_planted_signal_and_is_calibrated_on_the_calibration_rows(fitted: FittedNetwork):
    later = loans(3)
    assert roc_auc_score(later.labels, fitted.predict(later.frame)) > 0.72
    line = measure(loans(2).labels, fitted.predict(loans(2).frame)).recalibration
    assert line is not None
    assert (line.slope, line.intercept) == (pytest.approx(1, abs=1e-3), pytest.approx(0, abs=1e-3))


def test_progress_tells_each_epoch_of_each_member(fitted_and_told: tuple[FittedNetwork, list[FitProgress]]):
    told = [(p.member, p.members, p.epoch, p.epochs) for p in fitted_and_told[1]]
    assert told == [(member, 2, epoch, 4) for member in (1, 2) for epoch in (1, 2, 3, 4)]


def weights(fitted: FittedNetwork) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in fitted.module.state_dict().items()}


def test_the_same_seed_gives_the_same_bits_whatever_torch_drew_before(fitted: FittedNetwork):
    torch.manual_seed(99)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    again, _ = fit(loans(1), loans(2), seeds=(0, 1))
    assert weights(again) == weights(fitted)
    assert again.calibration == fitted.calibration
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_another_seed_gives_another_network(fitted: FittedNetwork):
    other, _ = fit(loans(1), loans(2), seeds=(0, 2))
    assert weights(other) != weights(fitted)


def odd_rows() -> pl.DataFrame:
    """Known rows, and rows with everything missing, unseen or absurd."""
    frame = loans(3, rows=60).frame
    nothing = frame.head(1).select(pl.lit(None, dtype).alias(name) for name, dtype in frame.schema.items())
    unseen = frame.head(1).with_columns(region=pl.lit("moon"), industry=pl.lit(9999, pl.Int64))
    absurd = [
        frame.head(1).with_columns(amount=pl.lit(amount, pl.Float32), employees=pl.lit(employees, pl.Float32))
        for amount in (0.0, -5.0, 3e38)
        for employees in (-1.0, 0.0, 3e38)
    ]
    return pl.concat([frame, nothing, unseen, *absurd])


def test_missing_unseen_and_absurd_values_get_a_probability(fitted: FittedNetwork):
    probabilities = fitted.predict(odd_rows())
    assert np.isfinite(probabilities).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_the_logarithm_of_zero_is_missing_in_training_too():
    def with_zeros(sample: Sample) -> Sample:
        amount = pl.when(pl.col("region") == "west").then(0.0).otherwise(pl.col("amount")).cast(pl.Float32)
        return replace(sample, frame=sample.frame.with_columns(amount=amount))

    fitted, _ = fit(with_zeros(loans(1)), with_zeros(loans(2)))
    assert np.isfinite(fitted.predict(with_zeros(loans(3)).frame)).all()
    fitted.inputs.columns.check(fitted.inputs.training)


def test_a_number_that_was_never_missing_counts_as_average_when_it_is(fitted: FittedNetwork):
    average = float(loans(1).frame["age"].mean())
    frame = loans(3).frame.head(20)
    missing, filled = (frame.with_columns(age=pl.lit(age, pl.Float32)) for age in (None, average))
    assert fitted.predict(missing) == pytest.approx(fitted.predict(filled), abs=1e-5)


def test_a_number_that_was_missing_in_training_has_an_indicator():
    """Missing marks the bads: only an indicator can tell, as the fill is the mean."""
    rows, later = (telling_gaps(loans(seed)) for seed in (1, 2))
    fitted, _ = fit(rows, later)
    frame = later.frame.head(200)
    gone, there = (frame.with_columns(employees=pl.lit(value, pl.Float32)) for value in (None, 5.0))
    assert fitted.predict(gone).mean() > fitted.predict(there).mean() + 0.3


def telling_gaps(sample: Sample) -> Sample:
    gaps = pl.Series(sample.labels == 1) & (pl.Series(np.arange(len(sample)) % 5 > 0))
    employees = pl.when(gaps).then(None).otherwise(pl.col("employees").fill_null(5.0))
    return replace(sample, frame=sample.frame.with_columns(employees=employees))


def test_the_graph_answers_as_the_network_does(fitted: FittedNetwork):
    frame = odd_rows()
    session = OnnxBackend().load(build_score_graph(fitted.module, fitted.encoder))
    wanted = {spec.name for spec in session.inputs}
    inputs = {name: value for name, value in feeds(fitted.encoder.features, frame).items() if name in wanted}
    (answer,) = session.run(inputs, (PROBABILITY,))
    assert answer[:, 0] == pytest.approx(fitted.predict(frame), abs=1e-6)


def test_the_folded_ensemble_is_the_mean_of_its_members():
    members = [trained_looking(seed) for seed in (1, 2, 3)]
    generator = torch.Generator().manual_seed(4)
    x, rows = torch.randn(50, 5, generator=generator), torch.randint(0, 3, (50, 2), generator=generator)
    with torch.no_grad():
        expected = torch.stack([member(x, rows) for member in members]).mean(dim=0)
        folded = Ensemble(members)(x, rows)
    assert folded.shape == (50, 1)
    assert torch.allclose(folded[:, 0], expected, atol=1e-5)
    assert expected.std() > 0.1


def test_a_network_without_categories_folds_too():
    member = Member(4, (), QUICK, torch.Generator().manual_seed(0))
    x, rows = torch.randn(3, 4), torch.zeros(3, 0, dtype=torch.int64)
    with torch.no_grad():
        assert torch.allclose(Ensemble([member])(x, rows)[:, 0], member(x, rows), atol=1e-6)


def trained_looking(seed: int) -> Member:
    generator = torch.Generator().manual_seed(seed)
    member = Member(5, (3, 40), QUICK, generator)
    with torch.no_grad():
        for tensor in (member.scale, member.last_weight, member.last_bias):
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.5)
    return member


@pytest.mark.parametrize("kept", ["embed", "target_encode"])
def test_categories_may_all_be_embedded_or_all_target_encoded(kept: str):
    other = {"embed": "target_encode", "target_encode": "embed"}[kept]
    chosen = [item.model_copy(update={other: False}) for item in SPEC.encoding.category if getattr(item, kept)]
    encoding = SPEC.encoding.model_copy(update={"category": tuple(chosen), "pair": ()})
    spec = SPEC.model_copy(update={"encoding": encoding})
    recipe = replace(QUICK, epochs=12, batch=64)
    fitted = fit_network(spec, loans(1), loans(2), seeds=(0,), progress=lambda _: None, recipe=recipe)
    assert roc_auc_score(loans(3).labels, fitted.predict(loans(3).frame)) > 0.7


def test_rows_of_one_outcome_and_a_run_without_seeds_are_refused():
    good = loans(1, 300)
    only_good = replace(good, labels=np.zeros(300, np.int8))
    for training, calibration in ((only_good, good), (good, only_good)):
        with pytest.raises(NotMeasurable, match="both outcomes are needed"):
            fit(training, calibration)
    with pytest.raises(ValueError, match="seeds: at least one is needed"):
        fit(good, good, seeds=())


def test_an_infinite_learning_rate_is_told_as_divergence_with_its_place():
    with pytest.raises(Diverged, match=r"seed 7, epoch 1"):
        fit(loans(1, 300), loans(2, 300), seeds=(7,), recipe=replace(QUICK, learning_rate=1e30, warm_up_steps=1))


def test_the_learning_rate_rises_over_the_warm_up_and_falls_to_nothing():
    factors = [learning_rate_factor(step, 100, 10) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == max(factors[5:15])
    assert factors[100] == pytest.approx(0)


def test_the_inputs_of_other_models_are_the_network_s(fitted: FittedNetwork):
    inputs, training = fitted.inputs, loans(1)
    inputs.columns.check(inputs.training)
    assert len(inputs.training) == len(training)
    again = inputs.encode(training.frame)
    encodings = [name.endswith("_log_odds") for name in inputs.columns.numbers]
    derived = ~np.array(encodings)
    np.testing.assert_array_equal(inputs.training.numbers[:, derived], again.numbers[:, derived])
    np.testing.assert_array_equal(inputs.training.categories, again.categories)
    assert (inputs.training.numbers[:, encodings] != again.numbers[:, encodings]).any()
    inputs.columns.check(inputs.encode(odd_rows()))
