from __future__ import annotations

import math
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from server.wire.connections import open_connections

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def test_connections_to_the_port_are_counted_and_nothing_else(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(
        HEADER
        + "   0: 0100007F:1F41 00000000:0000 0A 0:0 00:0 0 0 0 1\n"  # listens
        + "   1: 0100007F:1F41 0100007F:C350 01 0:0 00:0 0 0 0 2\n"
        + "   2: 0100007F:C350 0100007F:1F41 01 0:0 00:0 0 0 0 3\n"  # the other end
        + "   3: 0100007F:1F41 0100007F:C351 06 0:0 00:0 0 0 0 4\n"  # closes
        + "   4: 0100007F:1F42 0100007F:C352 01 0:0 00:0 0 0 0 5\n"
    )

    assert open_connections(8001, [table]) == 1
    assert open_connections(8001, [table, table]) == 2


def test_where_the_kernel_does_not_tell_the_count_is_no_number(tmp_path: Path) -> None:
    assert math.isnan(open_connections(8001, [tmp_path / "missing"]))


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")
def test_real_connections_are_counted_while_they_are_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        port = listener.getsockname()[1]
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            stack.enter_context(listener.accept()[0])

        assert open_connections(port) == 3
