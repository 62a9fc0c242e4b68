from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import torch
from small_loans import fit, loans

from flows.training.data.encoding import PairInput
from flows.training.model.pairs import Pairs


def test_each_pair_of_indices_is_an_index_of_its_own():
    pairs = Pairs([PairInput(name="pair", of=("c", "a"))], ("a", "b", "c"), (3, 2, 4))
    every = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(4))
    answer = pairs(every)
    assert torch.equal(answer[:, :3], every)
    assert pairs.sizes == (12,)
    assert sorted({(c, a): p for a, _, c, p in answer.tolist()}.values()) == list(range(12))
    assert pairs(torch.zeros(1, 3, dtype=torch.int64))[0, 3] == 0


def test_without_pairs_the_categories_stay_as_they_are():
    categories = torch.tensor([[1, 2]])
    assert Pairs((), ("a", "b"), (3, 3))(categories) is categories


def test_a_pair_tells_what_neither_category_tells_alone():
    """Bad are most of the young of the north and the old of elsewhere: neither region nor age has a rate of its own."""
    sample = loans(1)
    frame = sample.frame.with_columns(young=pl.Series(np.arange(len(sample)) % 2 == 0))
    bad = (frame["region"] == "north") == frame["young"]
    # One in ten went the other way: outcomes that the scores separate leave nothing to calibrate on.
    exceptions = np.random.default_rng(2).random(len(sample)) < 0.1
    planted = replace(sample, frame=frame, labels=(bad.to_numpy() ^ exceptions).astype(np.int8))
    fitted, _ = fit(planted, planted)
    columns = fitted.inputs.columns.numbers
    flat = fitted.inputs.encode(frame).numbers
    pair = flat[:, columns.index("region_youth_log_odds")]
    alone = flat[:, columns.index("region_log_odds")]
    assert pair[bad.to_numpy()].min() > pair[~bad.to_numpy()].max() + 2
    assert np.ptp(alone) < 0.5
