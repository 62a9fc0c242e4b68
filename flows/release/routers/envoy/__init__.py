"""Envoy on one machine: routes and clusters in files that it watches, confirmed by its admin interface."""
