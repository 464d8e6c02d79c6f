"""Ports, and waiting for what comes by itself; for the tests in Python."""

import socket
import time
from collections.abc import Callable

# Only a bound: far above what anything takes.
PATIENCE = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def eventually(what: str, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come in {PATIENCE:.0f} s")
        time.sleep(0.02)
