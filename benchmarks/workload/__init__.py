"""What a load carries: requests made from a server's own metadata or a file of applications, and what must be answered.

`prepare.py` is the line through all of it: ask the server what the model takes, make requests, send each once, hold the answers
to the model's own output where its graph is at hand, and turn them into checks for the load.
"""
