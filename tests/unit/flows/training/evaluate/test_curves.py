from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from flows.training.evaluate.curves import roc_curve, score_histogram
from flows.training.evaluate.outcomes import NotMeasurable


def test_the_thinned_curve_keeps_the_area_and_the_corners():
    rng = np.random.default_rng(1)
    y = (rng.random(5000) < 0.2).astype(np.int8)
    scores = rng.normal(y, 1)
    curve = roc_curve("network", y, scores)
    assert (curve.true_positive_rate[0], curve.true_positive_rate[-1]) == (0, 1)
    assert np.trapezoid(curve.true_positive_rate, curve.false_positive_rate) == pytest.approx(
        roc_auc_score(y, scores), abs=0.005
    )


def test_rows_beyond_the_edges_count_in_the_end_bins():
    histogram = score_histogram("2005", [-5.0, 0.5, 1.5, 99.0], np.array([0.0, 1.0, 2.0]))
    assert (histogram.vintage, histogram.shares) == ("2005", (0.5, 0.5))


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(NotMeasurable, match="scores: 1 of 2"):
        score_histogram("2005", [0.1, np.nan], np.array([0.0, 1.0]))
