"""The inference server: `python -m server --model-repository PATH [--grpc-port 8001] [--metrics-port 8002]`."""

from __future__ import annotations

import os
import sys

# Read by gRPC's core when it is imported. Its own lines are no JSON, and what stops us is raised to us as well.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from server.bootstrap import serve
from server.interpreter import leave, run
from server.models.repository import RepositoryError
from server.observe.logs import configure_logs
from server.settings import InvalidSettings, read_settings
from server.wire.server import CannotListen

_BAD_SETTINGS = 2
_CANNOT_START = 1


def main() -> int:
    """Runs the server and gives the exit status: 0 after a drain, 2 for wrong settings, 1 if it cannot start."""
    try:
        settings = read_settings(sys.argv[1:])
        configure_logs(settings.log_level)
        run(serve(settings))
    except InvalidSettings as error:
        sys.stderr.write(f"settings: {error}\n")
        return _BAD_SETTINGS
    except (CannotListen, RepositoryError) as error:
        sys.stderr.write(f"{error}\n")
        return _CANNOT_START
    return 0


if __name__ == "__main__":
    leave(main())
