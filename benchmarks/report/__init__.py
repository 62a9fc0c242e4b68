"""A measurement for people and machines: `figures.py` says what it comes to, the others show it.

`table.py` for a terminal, `document.py` as JSON, `page.py` as one HTML file with plots by `plots.py`.
"""
