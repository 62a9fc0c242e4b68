from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from scipy.special import expit

from flows.training.build.cutoffs import Economics
from flows.training.build.decision_table import decision_table
from flows.training.build.dossier import render_dossier
from flows.training.build.dossier_content import (
    CalibrationPanel,
    Check,
    ContractFinding,
    Conversion,
    ConversionGroup,
    DataSection,
    DossierContent,
    Drivers,
    ExcludedColumn,
    ExcludedRows,
    Importance,
    ModelResult,
    Performance,
    Portfolio,
    Reason,
    ReasonExample,
    RocPanel,
    Segment,
    SegmentGroup,
    Segments,
    Stability,
    StabilityRow,
    VintageRows,
)
from flows.training.evaluate.bootstrap import bootstrap_gini
from flows.training.evaluate.curves import roc_curve, score_histogram
from flows.training.evaluate.decision import Decision, decide
from flows.training.evaluate.metrics import calibration_bands, measure, measure_groups
from server.models.manifest import (
    Calibration,
    Cutoffs,
    Feature,
    FileEntry,
    Manifest,
    ReasonGroup,
    Scaling,
    Training,
    points,
)

MODELS = ("network", "LightGBM", "WoE scorecard")
VINTAGES = ("2005", "2006", "2007")
ECONOMICS = Economics(loss_given_default=0.65, margin=0.08)


def example_manifest() -> Manifest:
    return Manifest(
        model="small_business",
        outcome="charged off within 36 months of approval",
        features=(
            Feature(
                name="amount", type="number", description="Amount of the loan", unit="USD", required=True, minimum=1
            ),
            Feature(name="state", type="text", description="State of the borrower"),
        ),
        cutoffs=Cutoffs(
            approve_below=0.1, decline_from=0.13, rule="expected loss: refer within 0.15 of the break-even PD"
        ),
        scaling=Scaling(base_points=600, base_odds=30, points_to_double_odds=20),
        reason_groups=(
            ReasonGroup(code="AMOUNT", text="Amount asked for", features=("amount",)),
            ReasonGroup(code="PLACE", text="Where the business is", features=("state",)),
        ),
        calibration=Calibration(method="platt", intercept=-0.12, slope=0.94, rows=40_000),
        training=Training(
            dataset="sba_7a",
            dataset_digest="1f" * 32,
            spec_digest="2e" * 32,
            label="as_of",
            as_of=date(2004, 12, 31),
            performance_window_months=36,
            trained_from=date(1999, 1, 1),
            trained_to=date(2000, 12, 31),
            calibrated_from=date(2001, 1, 1),
            calibrated_to=date(2001, 12, 31),
            rows=90_000,
            seeds=(1, 2, 3),
        ),
        files={
            "model.onnx": FileEntry(sha256="3d" * 32, size=1_234_567),
            "explain.onnx": FileEntry(sha256="4c" * 32, size=2_345_678),
        },
    )


class Simulated:
    """Loans of one vintage with three models' PDs: the ranking fades and the level rises with the years."""

    def __init__(self, vintage: str, rows: int = 3000) -> None:
        year = int(vintage) - 2005
        rng = np.random.default_rng(year)
        risk = rng.normal(0, 0.7, rows)
        self.vintage = vintage
        self.y = (rng.random(rows) < expit(-2.0 + 0.5 * year + risk)).astype(np.int8)
        self.p = {
            name: expit(-2.0 + risk + rng.normal(0, noise, rows))
            for name, noise in zip(MODELS, (0.5, 0.6, 1.0), strict=True)
        }
        self.exposure = rng.lognormal(11.5, 1, rows)
        self.state = rng.choice(["CA", "NY", "TX"], rows)

    def results(self) -> list[ModelResult]:
        found = bootstrap_gini(self.y, self.p, rng=np.random.default_rng(1), replicates=100)
        return [
            ModelResult(
                vintage=self.vintage,
                model=name,
                gini=found.gini(name),
                difference=None if name == "LightGBM" else found.difference(name, "LightGBM"),
                metrics=measure(self.y, self.p[name]),
            )
            for name in MODELS
        ]


def example_performance(vintages: list[Simulated], scaling: Scaling) -> Performance:
    edges = np.linspace(500, 620, 41)
    scores = [(each.vintage, [points(scaling, p) for p in each.p["network"]]) for each in vintages]
    return Performance(
        models=MODELS,
        reference="LightGBM",
        level=0.95,
        replicates=100,
        results=tuple(result for each in vintages for result in each.results()),
        roc=tuple(RocPanel(v.vintage, tuple(roc_curve(m, v.y, v.p[m]) for m in MODELS)) for v in vintages),
        calibration=tuple(CalibrationPanel(v.vintage, calibration_bands(v.y, v.p["network"])) for v in vintages),
        scores=tuple(score_histogram(vintage, values, edges) for vintage, values in scores),
    )


def example_segments(loans: Simulated, cutoffs: Cutoffs) -> Segments:
    p = loans.p["network"]
    approved = decide(p, approve_below=cutoffs.approve_below, decline_from=cutoffs.decline_from) == Decision.APPROVE
    groups = measure_groups(loans.state, loans.y, p)
    return Segments(
        protected=(),
        proxies=("state", "zip"),
        tables=(
            Segment(
                "state",
                loans.vintage,
                tuple(SegmentGroup(group, float(approved[loans.state == group.group].mean())) for group in groups),
            ),
        ),
    )


def example_data() -> DataSection:
    return DataSection(
        title="SBA 7(a) small-business loans",
        provenance="Loan-level records of the US Small Business Administration, published under the Freedom of Information Act.",
        label_definition="Bad: charged off within 36 months of approval; loans whose window closed before the as-of date.",
        vintages=(VintageRows("1999", "training", 38_000, 1_100), VintageRows("2005", "test", 61_000, 5_900)),
        contract=(
            ContractFinding("rows read", "569,123"),
            ContractFinding("zip: at most 0.50 % empty", "0.12 % empty"),
        ),
        excluded_rows=(ExcludedRows("guarantee of 100 %: the 504 programme", 20_835),),
        excluded_columns=(
            ExcludedColumn("Term", "overwritten by what happened: Gini .53 -> .96 with it"),
            ExcludedColumn("Bank", "loans are re-assigned after the fact"),
        ),
    )


def example() -> DossierContent:
    manifest, vintages = example_manifest(), [Simulated(vintage) for vintage in VINTAGES]
    y, p, exposure = (
        np.concatenate(parts) for parts in zip(*((v.y, v.p["network"], v.exposure) for v in vintages), strict=True)
    )
    years = np.repeat(VINTAGES, [v.y.size for v in vintages])
    decisions = decision_table(years, y, p, exposure, cutoffs=manifest.cutoffs, economics=ECONOMICS)
    return DossierContent(
        manifest=manifest,
        made_at=datetime(2025, 3, 4, 5, 6, tzinfo=UTC),
        code_revision="0123abc",
        checks=(
            Check("Better than LightGBM on 2005", "pass", "+0.021, 95 % +0.008 to +0.034", "lower bound above 0"),
            Check("Calibrated on 2006", "fail", "bad rate 19.1 %, mean PD 14.2 %", "within 3 percentage points"),
            Check(
                "Fairness",
                "inconclusive",
                "no protected attributes in the data",
                "adverse-impact ratio of at least 0.80",
            ),
        ),
        performance=example_performance(vintages, manifest.scaling),
        drivers=Drivers(
            method="Importance is the loss of Gini on 2005 when the values of a feature are shuffled among the loans.",
            importance=tuple(
                Importance(name, value) for name, value in (("naics", 0.09), ("zip", 0.05), ("amount", 0.02))
            ),
            examples=(
                ReasonExample(
                    "loan 1001",
                    Decision.DECLINE,
                    0.31,
                    525,
                    (Reason("AMOUNT", "Amount asked for", 0.62, 0.1234), Reason("PLACE", "Where it is", 0.1, 0.02)),
                ),
                ReasonExample("loan 1002", Decision.APPROVE, 0.02, 614, ()),
            ),
        ),
        portfolio=Portfolio(ECONOMICS, "USD", decisions),
        stability=Stability(
            VINTAGES, (StabilityRow("score", (0.01, 0.02, 0.04)), StabilityRow("low_doc", (0.2, 1.16, 1.3)))
        ),
        segments=example_segments(vintages[0], manifest.cutoffs),
        data=example_data(),
        conversion=Conversion(
            "onnxruntime 1.32, CPU",
            1e-6,
            2e-5,
            (
                ConversionGroup("test rows", 144_150, 3.6e-7, 4e-6, 0, 17),
                ConversionGroup("edge rows", 900, 5e-7, 6e-6, 0, 0),
            ),
        ),
        limitations=("Loans that were refused are not in the data.", "The level drifts: recalibrate before use."),
    )


@pytest.fixture(scope="module")
def content() -> DossierContent:
    return example()


@pytest.fixture(scope="module")
def page(content: DossierContent) -> str:
    return render_dossier(content)


class Page(HTMLParser):
    """Collects what a test asks for: text, references, ids and whether every tag is closed in turn."""

    VOID = frozenset(("meta", "img", "link", "br"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.references += [value for name in ("src", "href", "srcset", "data") if (value := values.get(name))]
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_is_whole_and_asks_for_nothing_from_outside(page: str):
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    assert all(reference.startswith(("data:image/svg+xml;base64,", "#")) for reference in parsed.references)
    assert {reference[1:] for reference in parsed.references if reference.startswith("#")} <= set(parsed.ids)
    assert "script" not in parsed.tags
    assert not re.search(r"@import|url\(", page)


def test_plots_are_svg_without_references_to_outside(page: str):
    plots = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)" alt="[^"]{20,}"', page)
    assert len(plots) == 5
    for plot in plots:
        root = ET.fromstring(base64.b64decode(plot))  # noqa: S314 (our own bytes)
        links = [value for element in root.iter() for name, value in element.attrib.items() if name.endswith("href")]
        assert root.tag.endswith("svg")
        assert all(link.startswith("#") for link in links)


def test_the_same_content_gives_the_same_bytes(content: DossierContent, page: str):
    assert render_dossier(content) == page


def test_it_shows_what_it_was_given(content: DossierContent, page: str):
    text = Page(page).text
    manifest, result = content.manifest, content.performance.results[0]
    for shown in (
        manifest.digest,
        manifest.cutoffs.rule,
        "2004-12-31",
        "1999-01-01 to 2000-12-31",
        "2025-03-04 05:06 UTC",
        content.data.label_definition,
        content.data.provenance,
        f"{result.gini.estimate:.3f}",
        f"{result.gini.lower:.3f} to {result.gini.upper:.3f}",
        f"{result.metrics.brier:.4f}",
        "lower bound above 0",
        "overwritten by what happened: Gini .53 -> .96 with it",
        "20 835",
        "1.16",
        "3.6e-07",
        f"{result.metrics.level_shift:+.2f}".replace("-", "−"),
        "12.34 %",
        "no reason",
        "0 17",
        "Loans that were refused are not in the data.",
    ):
        assert shown in text


def test_a_text_from_outside_stays_text(content: DossierContent):
    attack = "<script>alert(1)</script>&\"'"
    hostile = replace(
        content,
        code_revision=attack,
        limitations=(attack,),
        checks=(Check(attack, "pass", attack, attack),),
        data=replace(content.data, title=attack, provenance=attack, contract=(ContractFinding(attack, attack),)),
        drivers=replace(content.drivers, method=attack, importance=(Importance(f"${attack}$", 1.0),)),
    )
    parsed = Page(render_dossier(hostile))
    assert "script" not in parsed.tags
    assert parsed.text.count("<script>alert(1)</script>&\"'") == 10


def test_the_verdict_is_the_worst_of_the_checks(content: DossierContent):
    passed, failed, open_ = content.checks[0], content.checks[1], content.checks[2]
    assert replace(content, checks=(passed,)).verdict == "pass"
    assert replace(content, checks=(passed, open_)).verdict == "inconclusive"
    assert replace(content, checks=(failed, open_)).verdict == "fail"
    assert replace(content, checks=()).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"results": ()}, "results: network, LightGBM, WoE scorecard has none"),
        ({"reference": "champion"}, "models: champion is not among network, LightGBM, WoE scorecard"),
        ({"models": ("network", "LightGBM")}, "models: WoE scorecard is not among network, LightGBM"),
        ({"roc": ()}, "roc: at least one vintage is needed"),
        ({"calibration": ()}, "calibration: at least one vintage is needed"),
        ({"scores": ()}, "scores: at least one vintage is needed"),
    ],
)
def test_results_that_cannot_be_drawn_are_refused_by_name(content: DossierContent, change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        replace(content.performance, **change)


@pytest.fixture(scope="module")
def other_page(content: DossierContent) -> str:
    """Of a child build on hindsight labels, with a protected attribute and one result that no line can recalibrate."""
    manifest = content.manifest
    training = manifest.training.model_copy(update={"label": "hindsight", "as_of": None})
    first, *others = content.performance.results
    bare = replace(first, metrics=replace(first.metrics, recalibration=None))
    return render_dossier(
        replace(
            content,
            manifest=manifest.model_copy(update={"training": training, "parent": "ab" * 32}),
            segments=replace(content.segments, protected=("sex",)),
            performance=replace(content.performance, results=(bare, *others)),
        )
    )


def test_missing_fairness_is_said_aloud_and_present_attributes_are_named(page: str, other_page: str):
    assert "Fairness is not measured here." in page
    assert "Possible proxies among the features: <strong>state, zip</strong>." in page
    assert "Fairness is not measured here." not in other_page
    assert "Protected attributes in the data: sex." in other_page


def test_a_hindsight_build_says_that_it_has_no_as_of_date(page: str, other_page: str):
    assert "none: label known in hindsight" not in page
    assert "none: label known in hindsight" in other_page


def test_a_child_build_names_its_parent(page: str, other_page: str):
    assert "Child of build" not in page
    assert "ab" * 32 in other_page


def test_a_result_without_a_finite_recalibration_has_dashes(page: str, other_page: str):
    dash = '<td class="n">–</td>'
    assert other_page.count(dash) == page.count(dash) + 2
