"""The pages' templates, which lie beside this file."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

TEMPLATES = Environment(
    loader=PackageLoader("benchmarks.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
