"""Load on one gRPC method and what came of it: a plan goes into a generator's process, a result comes out.

`plan.py` and `result.py` are the two documents of the seam (benchmarks/loadgen/PROTOCOL.md), `run.py` starts a generator and
reads it, `generator/` is the one in Python. Nothing here knows what the requests mean.
"""
