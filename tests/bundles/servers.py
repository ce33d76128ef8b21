"""Servers of other people's making, on loopback, for as long as a test needs them."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.tools import need_library


@contextmanager
def running(*command: str, port: int, **how: Any) -> Iterator[None]:
    """A server that listens on this port of loopback."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how) as process:
        try:
            until = time.monotonic() + 20
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, f"{command[0]} has ended"
                assert time.monotonic() < until, f"{command[0]} does not listen"
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(10)


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def aws(monkeypatch: pytest.MonkeyPatch, program: str = "moto.server") -> Iterator[str]:
    """Amazon's services as moto plays them, and the environment that leads every client there."""
    need_library("moto.server")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", url),
    ):
        monkeypatch.setenv(name, value)
    with running(sys.executable, "-m", program, "-H", "127.0.0.1", "-p", str(port), port=port):
        yield url
