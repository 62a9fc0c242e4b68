"""The plots of a dossier, as SVG that is the same for the same values: no date, no random ids, glyphs as paths."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.stats import binomtest

from flows.training.build.dossier_content import (
    CalibrationPanel,
    Importance,
    ModelResult,
    Performance,
    RocPanel,
)
from flows.training.evaluate.curves import ScoreHistogram

# Told apart by the colour-blind and in grey print (Okabe and Ito, 2008, in falling darkness).
COLOURS = ("#0b4f8a", "#d55e00", "#7f7f7f", "#009e73", "#cc79a7", "#e69f00")
MARKERS = ("o", "s", "D", "^", "v", "P")
INK = "#222222"
WIDTH = 9.6  # inches; the page shows every plot at its full width
PER_ROW = 3

STYLE = Path(__file__).with_name("dossier.mplstyle")


def plot_gini(performance: Performance) -> str:
    """Gini of each model on each vintage with its interval."""
    with _styled():
        vintages = list(dict.fromkeys(result.vintage for result in performance.results))
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        for model in performance.models:
            results = [result for result in performance.results if result.model == model]
            _whiskers(axes, results, vintages, performance.models)
        axes.set_xticks(range(len(vintages)), vintages)
        axes.set_xlim(-0.5, len(vintages) - 0.5)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("Gini")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return _svg(figure)


def plot_roc(panels: Sequence[RocPanel], models: Sequence[str]) -> str:
    """One panel for each vintage, one curve for each model; colours as in `plot_gini`."""
    with _styled():
        figure, grid = _panels(len(panels))
        for axes, panel in zip(grid, panels, strict=True):
            axes.plot([0, 1], [0, 1], color="#aaaaaa", linewidth=0.8, linestyle="--")
            for curve in panel.curves:
                colour = COLOURS[models.index(curve.model) % len(COLOURS)]
                axes.plot(
                    curve.false_positive_rate, curve.true_positive_rate, color=colour, linewidth=1.4, label=curve.model
                )
            _square(axes, panel.vintage, "goods flagged", "bads caught", 1.0)
        grid[0].legend(loc="lower right")
        return _svg(figure)


def plot_calibration(panels: Sequence[CalibrationPanel]) -> str:
    """Observed bad rate over mean PD of each band, with exact 95 % binomial intervals (Clopper and Pearson, 1934)."""
    with _styled():
        figure, grid = _panels(len(panels))
        limit = 1.08 * max(
            max(band.mean_pd, _binomial(band.bads, band.rows)[1]) for panel in panels for band in panel.bands
        )
        for axes, panel in zip(grid, panels, strict=True):
            _calibration(axes, panel)
            _square(axes, panel.vintage, "mean PD of the band", "bad rate observed", limit)
        return _svg(figure)


def plot_scores(histograms: Sequence[ScoreHistogram], *, cutoffs: Mapping[str, float], unit: str) -> str:
    """Score distribution of each vintage; `cutoffs` are named places on the score axis."""
    with _styled():
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        shades = mpl.colormaps["viridis_r"](np.linspace(0.15, 0.95, len(histograms)))
        for histogram, shade in zip(histograms, shades, strict=True):
            axes.stairs(histogram.shares, histogram.edges, color=shade, linewidth=1.4, label=histogram.vintage)
        _mark(axes, cutoffs)
        axes.set_xlabel(unit)
        axes.set_ylabel("share of applications")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.legend(title="vintage", loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return _svg(figure)


def plot_importance(importance: Sequence[Importance]) -> str:
    """Bars, most important on top."""
    with _styled():
        figure = Figure(figsize=(WIDTH, 0.8 + 0.28 * len(importance)), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(importance))
        axes.barh(places, [item.value for item in importance], color=COLOURS[0], height=0.62)
        axes.set_yticks(places, [item.name for item in importance])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("importance")
        return _svg(figure)


def _styled() -> AbstractContextManager[None]:
    """Style and salt hold from the first axis to the last byte, and are gone afterwards."""
    return style.context(STYLE)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _whiskers(axes: Axes, results: Sequence[ModelResult], vintages: Sequence[str], models: Sequence[str]) -> None:
    place = models.index(results[0].model)
    offset = (place - (len(models) - 1) / 2) * 0.16
    estimates = np.array([result.gini.estimate for result in results])
    below = estimates - [result.gini.lower for result in results]
    above = [result.gini.upper for result in results] - estimates
    axes.errorbar(
        [vintages.index(result.vintage) + offset for result in results],
        estimates,
        yerr=[below, above],
        fmt=MARKERS[place % len(MARKERS)],
        color=COLOURS[place % len(COLOURS)],
        markersize=5,
        capsize=3,
        linewidth=1.2,
        label=results[0].model,
    )


def _mark(axes: Axes, places: Mapping[str, float]) -> None:
    """Names stand outside of their lines: those of a narrow band would cover each other."""
    for name, place in places.items():
        axes.axvline(place, color=INK, linewidth=0.9, linestyle=":")
        side = "right" if place == min(places.values()) else "left"
        axes.text(place, 1.01, f" {name} ", transform=axes.get_xaxis_transform(), ha=side, va="bottom", fontsize=8)


def _calibration(axes: Axes, panel: CalibrationPanel) -> None:
    rates = np.array([band.bad_rate for band in panel.bands])
    intervals = np.array([_binomial(band.bads, band.rows) for band in panel.bands])
    axes.axline((0, 0), slope=1, color="#aaaaaa", linewidth=0.8, linestyle="--")
    axes.errorbar(
        [band.mean_pd for band in panel.bands],
        rates,
        yerr=[rates - intervals[:, 0], intervals[:, 1] - rates],
        fmt="o-",
        color=COLOURS[0],
        markersize=4,
        linewidth=1.0,
        capsize=2,
    )


def _binomial(bads: int, rows: int) -> tuple[float, float]:
    interval = binomtest(bads, rows).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)


def _panels(number: int) -> tuple[Figure, list[Axes]]:
    rows = -(-number // PER_ROW)
    figure = Figure(figsize=(WIDTH, (0.4 + WIDTH / PER_ROW) * rows), layout="constrained")
    grid = figure.subplots(rows, PER_ROW, squeeze=False).ravel().tolist()
    for axes in grid[number:]:
        axes.set_visible(False)
    return figure, grid[:number]


def _square(axes: Axes, title: str, x: str, y: str, limit: float) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xlim(0, limit)
    axes.set_ylim(0, limit)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(PercentFormatter(1.0))
