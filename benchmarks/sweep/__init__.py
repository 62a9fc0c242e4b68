"""The open-loop curve of a server: `rates.py` says which loads, `curve.py` measures them, `knee.py` reads the curve."""
