"""What a server says about its own time: read before and after a load, the difference is the load's.

`model_statistics.py` reads Triton's ModelStatistics, `prometheus.py` a metrics page; `readings.py` takes both, and what is not
offered is said to be not offered.
"""
