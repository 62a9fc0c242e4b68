"""The load generator in Python, for machines where the native one is not built: `python -m benchmarks.load.generator`.

`execution.py` runs a plan: `connections.py` opens the connections, `loops.py` decides when a call is sent, `answers.py` judges
what comes back, `record.py` counts it. It makes far less load than the native one and says the same about it.
"""
