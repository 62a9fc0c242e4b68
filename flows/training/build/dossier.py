"""The dossier of a build: one HTML file for a model-risk officer, complete in itself.

It loads nothing from anywhere (plots are SVG inside the page), prints on paper, and the same content gives the same bytes.
"""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flows.training.build import plots
from flows.training.build.dossier_content import DossierContent
from flows.training.build.dossier_numbers import FILTERS
from flows.training.evaluate.decision import Decision
from server.models.manifest import points

TEMPLATE = "dossier.html.jinja"


def render_dossier(content: DossierContent) -> str:
    """The whole page as HTML; every text of the content is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    template = environment.get_template(TEMPLATE)
    return template.render(
        content=content, plots=_plots(content), Decision=Decision, cutoff_points=_cutoff_points(content)
    )


def _plots(content: DossierContent) -> dict[str, str]:
    performance = content.performance
    drawn = {
        "gini": plots.plot_gini(performance),
        "roc": plots.plot_roc(performance.roc, performance.models),
        "calibration": plots.plot_calibration(performance.calibration),
        "scores": plots.plot_scores(performance.scores, cutoffs=_cutoff_points(content), unit="score points"),
        "importance": plots.plot_importance(content.drivers.importance),
    }
    return {name: _embedded(svg) for name, svg in drawn.items()}


def _cutoff_points(content: DossierContent) -> dict[str, float]:
    """Where the cut-offs lie in score points; one place where there is no band between them."""
    cutoffs, scaling = content.manifest.cutoffs, content.manifest.scaling
    approve, decline = points(scaling, cutoffs.approve_below), points(scaling, cutoffs.decline_from)
    return {"cut-off": approve} if approve == decline else {"approve": approve, "decline": decline}


def _embedded(svg: str) -> str:
    """As an image of its own: ids of one plot cannot meet those of another, and screen readers get its text."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
