"""The load generator in Python, for machines where the native one is not built: `python -m benchmarks.load.generator`.

`execution.py` runs a plan: `connections.py` opens the connections, `loops.py` decides when a call is sent, `answers.py` judges
what comes back, `record.py` counts it. It makes about a tenth of the native one's load and says the same about it.
"""
