"""The ledger of releases: append-only, hash-chained, one writer at a time."""
