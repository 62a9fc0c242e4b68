"""Routers: what moves traffic between the two colours."""
