from __future__ import annotations

from hypothesis import settings

# A generated case takes longer on a busy machine, which is no failure.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
