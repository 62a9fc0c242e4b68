"""Progressive promotion of a candidate: what to do next is decided purely, then done by thin code.

    counters of both colours ─▶ gates ─▶ signals ─┐
    router ─▶ live routes ────────────────────────┼─▶ next_step ─▶ action ─▶ promoter ─▶ ledger, router, aliases
    ledger ─▶ progress ───────────────────────────┘

Plain functions: no Prefect, no torch, and gRPC only through the client SDK.
"""
