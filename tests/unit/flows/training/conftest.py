from __future__ import annotations

from pathlib import Path

import pytest
from quick_run import run, sampled_loans

from flows.training.data.loans import Loans
from flows.training.train import Trained


@pytest.fixture(scope="session")
def few_loans() -> Loans:
    return sampled_loans()


@pytest.fixture(scope="session")
def trained(few_loans: Loans, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """A trained build and the repository it is in."""
    root = tmp_path_factory.mktemp("repository")
    return run(few_loans, root), root
