"""What a server of this kind cannot do without: an empty gRPC call in C++, the model alone, and the simplest server in Python.

`echo.cc` and `echo.py` are the first, `model_alone.py` the second, `benchmarks.naive_server` the third; `study.py` measures
them beside our server in one run.
"""
