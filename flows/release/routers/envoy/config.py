"""What Envoy is told, as documents: bootstrap, clusters and routes.

Format: Envoy's v3 API in JSON; routes by filesystem RDS, clusters by filesystem CDS. Each colour is a cluster of one server.
Nothing is retried but what no server has seen (connect-failure, refused-stream), so no applicant is decided twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from credence.buckets import BUCKET_HEADER, BUCKETS

from flows.release.routes import EVERYBODY, Colour, Split

ROUTES = "credence"
COLOUR_HEADER = "x-credence-colour"
_TYPE = "type.googleapis.com/envoy"
_HTTP = f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{_TYPE}.extensions.filters.http.router.v3.Router"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MOST_AT_ONCE = 65536

Document = dict[str, Any]


def bootstrap(routes: Path, clusters: Path, listen: tuple[str, int], admin: tuple[str, int]) -> Document:
    """The configuration that Envoy starts with; port 0 takes a free one."""
    return {
        "node": {"id": "credence", "cluster": "credence"},
        "admin": {"address": _address(*admin)},
        "dynamic_resources": {"cds_config": _watched(clusters)},
        "static_resources": {"listeners": [_listener(routes, listen)]},
    }


def clusters(servers: Mapping[Colour, tuple[str, int]]) -> Document:
    """The servers of the two colours."""
    return {"resources": [_cluster(colour, *server) for colour, server in servers.items()]}


def routes(split: Split, version: str) -> Document:
    """Routes in the order in which they are tried: testers by colour, applicants by bucket, other calls by weight."""
    retry = {"retry_on": "connect-failure,refused-stream", "num_retries": 2}
    table = [
        *(_route(_exactly(COLOUR_HEADER, colour), {"cluster": colour.value}) for colour in Colour),
        *_by_bucket(split),
        _route([], _weighted(split)),
    ]
    # Envoy keeps the old version where nothing else has changed; named in the content too, each write can be confirmed.
    configuration = {
        "@type": f"{_TYPE}.config.route.v3.RouteConfiguration",
        "name": ROUTES,
        "virtual_hosts": [{"name": version, "domains": ["*"], "retry_policy": retry, "routes": table}],
    }
    return {"version_info": version, "resources": [configuration]}


def _by_bucket(split: Split) -> list[Document]:
    candidate = _route(_buckets(0, split.share), {"cluster": split.candidate.value})
    champion = _route(_buckets(split.share, BUCKETS), {"cluster": split.champion.value, **_mirrored(split)})
    return [*([candidate] if split.share else []), *([champion] if split.share < EVERYBODY else [])]


def _weighted(split: Split) -> Document:
    weights = ((split.champion, EVERYBODY - split.share), (split.candidate, split.share))
    shares = [{"name": colour.value, "weight": weight} for colour, weight in weights if weight]
    return {"weighted_clusters": {"clusters": shares}, **_mirrored(split)}


def _mirrored(split: Split) -> Document:
    """Envoy ends a copy's authority in -shadow, by which servers know it."""
    return {"request_mirror_policies": [{"cluster": split.candidate.value}]} if split.mirror else {}


def _route(headers: list[Document], action: Document) -> Document:
    # The caller's grpc-timeout is the only deadline.
    timeout = {"timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"}}
    return {"match": {"prefix": "/", **({"headers": headers} if headers else {})}, "route": {**action, **timeout}}


def _exactly(header: str, value: str) -> list[Document]:
    return [{"name": header, "string_match": {"exact": value}}]


def _buckets(start: int, end: int) -> list[Document]:
    return [{"name": BUCKET_HEADER, "range_match": {"start": start, "end": end}}]


def _cluster(colour: Colour, host: str, port: int) -> Document:
    limits = {"max_requests": _MOST_AT_ONCE, "max_pending_requests": _MOST_AT_ONCE, "max_retries": _MOST_AT_ONCE}
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": colour.value,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": colour.value, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def _listener(routes: Path, listen: tuple[str, int]) -> Document:
    manager = {
        "@type": _HTTP,
        "stat_prefix": ROUTES,
        "codec_type": "HTTP2",
        "rds": {"route_config_name": ROUTES, "config_source": _watched(routes)},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
        # A stream may stay open and silent: callers' deadlines end it.
        "stream_idle_timeout": "0s",
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": ROUTES, "address": _address(*listen), "filter_chains": [chain]}


def _watched(path: Path) -> Document:
    source = {"path": str(path), "watched_directory": {"path": str(path.parent)}}
    return {"resource_api_version": "V3", "path_config_source": source}


def _address(host: str, port: int) -> Document:
    return {"socket_address": {"address": host, "port_value": port}}
