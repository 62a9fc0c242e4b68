"""What the clients ask of their channel."""

from __future__ import annotations

from credence.channels import ChannelOptions

DEFAULT_SERVERS_ACCEPT_PINGS_EVERY_MS = 300_000  # grpc.http2.min_ping_interval_without_data_ms, and MinTime of grpc-go


def test_an_idle_stream_pings_no_faster_than_servers_with_default_limits_accept():
    arguments = dict(ChannelOptions(tls=None, max_message_bytes=1).arguments())
    assert arguments["grpc.keepalive_time_ms"] >= DEFAULT_SERVERS_ACCEPT_PINGS_EVERY_MS
    assert "grpc.keepalive_permit_without_calls" not in arguments  # allowed once in two hours only
