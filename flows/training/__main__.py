"""Trains scorecards and checks what training works with and makes.

Ends with 0; with 1 and a message where the data, the network or the repository refuse, or a benchmark's claim does not hold;
with 2 for a wrong command line.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from flows.training.build.baseline import NoBaseline
from flows.training.build.batches import RowsDepend
from flows.training.build.conversion import ConversionMismatch
from flows.training.build.cutoffs import CutoffSettings, Economics, ExpectedLossRule
from flows.training.build.graph import GraphError
from flows.training.build.lineage import code_revision
from flows.training.build.recheck import RecheckFailed, recheck_build
from flows.training.data.embed import main as embed
from flows.training.data.errors import SourceError
from flows.training.data.labels import OutcomesUnknown
from flows.training.data.load import load_loans
from flows.training.data.report import DataContractError
from flows.training.data.sources import parse_source
from flows.training.data.spec import DatasetSpec, SpecError, load_spec
from flows.training.evaluate.benchmark import BenchmarkSettings, run_benchmark
from flows.training.evaluate.contenders import BOOSTING
from flows.training.evaluate.outcomes import NotMeasurable
from flows.training.evaluate.table import comparison_table
from flows.training.held_out import draw_held_out, write_held_out
from flows.training.model.columns import UnfitRows
from flows.training.model.fitted import Diverged
from flows.training.model.network import fit_network
from flows.training.plan import Plan
from flows.training.progress import ConsoleProgress, Stages
from flows.training.samples import NoSample
from flows.training.summary import ingest_summary, performance_table
from flows.training.train import Surroundings, train
from server.models.loader import CannotServe
from server.models.locations import open_for_command
from server.models.manifest import InvalidManifest, Scaling
from server.models.repository import RepositoryError
from server.runtime.onnx import OnnxBackend
from server.runtime.session import CannotLoad

_REFUSALS = (
    *(
        SpecError,
        SourceError,
        DataContractError,
        NoSample,
        OutcomesUnknown,
        NotMeasurable,
        UnfitRows,
        Diverged,
        NoBaseline,
    ),
    *(
        GraphError,
        ConversionMismatch,
        RowsDepend,
        RecheckFailed,
        CannotLoad,
        CannotServe,
        InvalidManifest,
        RepositoryError,
    ),
)
_RECHECKED_ROWS = 500

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
app.command("embed")(embed)

RepositoryLocation = Annotated[
    str, typer.Option("--repository", help="Model repository: a folder, made where it is not, or s3://bucket/prefix.")
]
ModelName = Annotated[str, typer.Option("--model", help="Name of the model in the repository.")]
DatasetName = Annotated[str, typer.Option("--dataset", help="Name of a spec that ships, or the path of one.")]
SourceText = Annotated[str, typer.Option("--source", help="embedded, wheel, or a path or URL (.whl, .csv, .parquet).")]
AsOf = Annotated[
    datetime,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="The day on which the model is made: nothing later is known."),
]

Margin = Annotated[
    float,
    typer.Option(min=0.0001, max=1, help="Earned on a loan that is repaid, as a share of it; sets the cut-offs."),
]
ReferBand = Annotated[float, typer.Option(min=0, max=0.9999, help="Refer PDs within this share of the break-even PD.")]


@app.command("train")
def train_command(
    repository: RepositoryLocation = "model_repository",
    model: ModelName = "scorecard",
    dataset: DatasetName = "sba_7a",
    source: SourceText = "embedded",
    as_of: AsOf = datetime(2005, 1, 1),  # noqa: DTZ001 - a day, without a time
    training_months: Annotated[int, typer.Option(min=1, help="Months of approvals to learn from.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first member.")] = 0,
    members: Annotated[int, typer.Option(min=1, help="Networks whose log-odds are averaged.")] = 3,
    margin: Margin = 0.02,
    refer_band: ReferBand = 0.3,
    promote_to: Annotated[str, typer.Option(help="Alias that is pointed to the build.")] = "challenger",
) -> None:
    """Trains, proves and registers a build."""
    with _refusals_told():
        spec = load_spec(dataset)
        plan = _plan(spec, model, as_of.date(), training_months, tuple(range(seed, seed + members)), margin, refer_band)
        stages = Stages(ConsoleProgress(Console(stderr=True)))
        _make_reproducible()
        with stages.stage("loans"):
            loans = load_loans(spec, parse_source(source))
        trained = train(loans, plan, _surroundings(repository, source), stages, alias=promote_to)
    Console().print(performance_table(trained.evidence.performance))
    typer.echo(f"{model} {promote_to} {trained.digest}")


@app.command("benchmark")
def benchmark_command(
    dataset: DatasetName = "sba_7a",
    source: SourceText = "embedded",
) -> None:
    """Compares the network with LightGBM and a WoE scorecard; ends with 1 where it does not hold its own."""
    with _refusals_told():
        _make_reproducible()
        loans = load_loans(load_spec(dataset), parse_source(source))
        result = run_benchmark(loans, BenchmarkSettings(), ConsoleProgress(Console(stderr=True)))
    Console().print(comparison_table({c.test: c.bootstrap for c in result.comparisons}, BOOSTING))
    for verdict in result.verdicts:
        difference = verdict.difference
        interval = f"{difference.estimate:+.4f} ({difference.lower:+.4f} to {difference.upper:+.4f})"
        typer.echo(f"{'holds' if verdict.holds else 'DOES NOT HOLD'}: {verdict.claim}: {interval}")
    raise typer.Exit(0 if result.passed else 1)


@app.command("check")
def check_command(
    file: Annotated[str, typer.Argument(help="embedded, wheel, or a path or URL (.whl, .csv, .parquet).")],
    dataset: DatasetName = "sba_7a",
) -> None:
    """Holds a data file to the contract of its spec."""
    with _refusals_told():
        typer.echo(ingest_summary(load_loans(load_spec(dataset), parse_source(file))))


@app.command("validate")
def validate_command(
    build: Annotated[str, typer.Argument(help="Digest of a build, or an alias.")],
    repository: RepositoryLocation = "model_repository",
    model: ModelName = "scorecard",
) -> None:
    """Checks a registered build again: files, golden rows, and its graphs against each other."""
    with _refusals_told():
        models = open_for_command(repository, os.environ)
        digest = models.aliases(model).get(build, build)
        result = recheck_build(models, model, digest, OnnxBackend(), generated=_RECHECKED_ROWS, seed=0)
    typer.echo(
        f"{digest} holds on {result.runtime}: files, golden rows, and over {result.rows} rows the graphs differ by "
        f"{result.probability:.1e} in PD and {result.sums:.1e} in the sum of contributions"
    )


@app.command("held-out")
def held_out_command(
    output: Annotated[Path, typer.Argument(help="The CSV file to write.")],
    build: Annotated[str, typer.Option(help="Digest of a build, or an alias.")] = "champion",
    rows: Annotated[int, typer.Option(min=1, help="Applications to draw.")] = 1000,
    repository: RepositoryLocation = "model_repository",
    model: ModelName = "scorecard",
    source: SourceText = "embedded",
) -> None:
    """Writes applications that a build never saw, from the year after its as-of date, with what became of them."""
    with _refusals_told():
        models = open_for_command(repository, os.environ)
        manifest = models.manifest(model, models.aliases(model).get(build, build))
        loans = load_loans(load_spec(manifest.training.dataset), parse_source(source))
        write_held_out(draw_held_out(loans, manifest, rows), manifest, output)
    typer.echo(f"{output}: {rows} applications approved in the year after {manifest.training.as_of}")


def _plan(
    spec: DatasetSpec,
    model: str,
    as_of: date,
    training_months: int,
    seeds: tuple[int, ...],
    margin: float,
    refer_band: float,
) -> Plan:
    economics = Economics(loss_given_default=spec.loss.given_default, margin=margin)
    rule = ExpectedLossRule(rule="expected_loss", refer_band=refer_band)
    return Plan(
        model=model,
        as_of=as_of,
        training_months=training_months,
        seeds=seeds,
        cutoffs=CutoffSettings(economics=economics, rule=rule),
        scaling=Scaling(base_points=600, base_odds=30, points_to_double_odds=20),
        baseline_rows=2,
        golden_rows=32,
        generated_rows=2000,
        explained_rows=200,
        bootstrap_replicates=1000,
    )


def _surroundings(repository: str, source: str) -> Surroundings:
    return Surroundings(
        fit_network=fit_network,
        repository=open_for_command(repository, os.environ),
        backend=OnnxBackend(),
        now=lambda: datetime.now(UTC),
        code_revision=code_revision(Path(__file__).parent),
        source=source,
        by=_user(),
    )


def _user() -> str:
    """The login name, or the number of a user without one, as containers have them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return str(os.getuid())


def _make_reproducible() -> None:
    """One thread and deterministic kernels: how a sum is split over threads changes its last bits, and so the digest."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)


@contextmanager
def _refusals_told() -> Iterator[None]:
    try:
        yield
    except _REFUSALS as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app(prog_name="python -m flows.training")
