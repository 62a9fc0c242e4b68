from __future__ import annotations

import subprocess
import sys

# In a process of its own: the interpreter stays as it was set.
_SERVING = """
import asyncio, gc, weakref
from server.interpreter import run

class Model:
    def __init__(self): self.itself = self

async def serving():
    print(type(asyncio.get_running_loop()).__module__)
    print(gc.get_freeze_count() > 0)
    model = weakref.ref(Model())
    gc.collect()
    print(model())

run(serving())
"""


def test_serving_runs_on_libuv_and_code_is_not_searched_for_garbage_but_what_comes_later_is():
    shown = subprocess.run([sys.executable, "-c", _SERVING], check=True, capture_output=True, text=True, timeout=60)
    assert shown.stdout.split() == ["uvloop", "True", "None"]


def test_serving_does_without_libuv_where_it_is_not_installed():
    without = 'import sys; sys.modules["uvloop"] = None' + _SERVING
    shown = subprocess.run([sys.executable, "-c", without], check=True, capture_output=True, text=True, timeout=60)
    assert shown.stdout.split() == ["asyncio.unix_events", "True", "None"]
