"""Two or more servers against each other: started in turn, loaded alike, paired round by round.

`configurations.py` says what a server is, `contestants.py` starts one, `rounds.py` measures them in turn, and `paired.py` says
what the pairs come to. The machine's speed drifts from minute to minute; the ratio of neighbours does not.
"""
