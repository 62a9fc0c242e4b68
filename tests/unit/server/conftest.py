from __future__ import annotations

from hypothesis import settings

# Wall-clock limits for an example say more about the machine's other work than about the code.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
