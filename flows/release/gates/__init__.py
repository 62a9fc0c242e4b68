"""Gates: each says pass, fail or inconclusive, with what it saw, what is allowed and what to do about it."""
