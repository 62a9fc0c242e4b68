"""`python -m credence.cli` is the `credence` command."""

from credence.cli import main

main()
