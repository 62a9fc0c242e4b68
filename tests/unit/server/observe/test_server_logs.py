from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from server.observe.logs import configure_logs


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    printed = capsys.readouterr()
    assert printed.out == ""
    return [json.loads(line) for line in printed.err.splitlines()]


def test_our_events_and_those_of_libraries_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")

    structlog.get_logger().info("serving", grpc="127.0.0.1:1")
    logging.getLogger("grpc._cython.cygrpc").error("two\nlines of %s", "gRPC")

    ours, foreign = lines(capsys)
    assert ours.pop("timestamp").endswith("Z")
    assert foreign.pop("timestamp").endswith("Z")
    assert ours == {"event": "serving", "grpc": "127.0.0.1:1", "level": "info"}
    assert foreign == {"event": "two\nlines of gRPC", "level": "error", "logger": "grpc._cython.cygrpc"}


def test_what_asyncio_says_of_a_failed_callback_is_one_line_with_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info")

    async def fail_in_a_callback() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    asyncio.run(fail_in_a_callback())

    (line,) = lines(capsys)
    assert (line["logger"], line["level"]) == ("asyncio", "error")
    assert "ZeroDivisionError" in line["exception"]


@pytest.mark.parametrize(
    ("level", "ours", "foreign"),
    [
        ("debug", ["debug", "info", "warning", "error"], ["warning", "error"]),
        ("info", ["info", "warning", "error"], ["warning", "error"]),
        ("warning", ["warning", "error"], ["warning", "error"]),
        ("error", ["error"], ["error"]),
    ],
)
def test_libraries_are_heard_from_warning_on_and_never_below_our_level(
    level: str, ours: list[str], foreign: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(level)

    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)("said")
        getattr(logging.getLogger("library"), name)("said")

    said = lines(capsys)
    assert [line["level"] for line in said if "logger" not in line] == ours
    assert [line["level"] for line in said if "logger" in line] == foreign
