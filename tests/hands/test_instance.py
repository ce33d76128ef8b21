"""One updater hands a link over to another: real processes, real sockets, and whoever else knocks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from semver import Version

from updater.hands import instance
from updater.hands.instance import hand_over, listen
from updater.heads.links import Link
from updater.words.facts import Channel

NEWEST = Link(product="demo-widget", channel=Channel.STABLE, version=None)
BETA = Link(product="demo-widget", channel=Channel.BETA, version=Version(3, 4, 1))
LONGEST = Link(product="a" * 32, channel=Channel.STABLE, version=Version(65535, 65535, 65535))

LISTENER = """
import sys, time
from pathlib import Path
from updater.hands.instance import listen
with listen(Path(sys.argv[1]), lambda link: print(link.tokens, flush=True)) as mine:
    print("listening" if mine else "another one", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["file", "port"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A state folder; the path of the second is too long for a socket's name, as every path on Windows is."""
    return tmp_path / ("state" if request.param == "file" else "a-long-name" * 12)


@contextmanager
def another_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """An updater of its own that listens, and the next line that it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, lambda: process.stdout.readline().strip() if process.stdout else ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def address(folder: Path) -> tuple[str, bytes]:
    where, secret = (folder / "running").read_text("ascii").split()
    return where, bytes.fromhex(secret)


def knock(folder: Path, data: bytes, *, close: bool = True) -> bytes:
    """What a program gets that says this to the one that listens."""
    where, _ = address(folder)
    client = socket.socket(socket.AF_UNIX if where == "running.sock" else socket.AF_INET)
    with client:
        client.settimeout(5)
        client.connect(str(folder / where) if where == "running.sock" else ("127.0.0.1", int(where)))
        try:
            client.sendall(data)
            if close:
                client.shutdown(socket.SHUT_WR)
            return client.recv(1000)
        except TimeoutError:
            raise
        except OSError:  # closed with something of ours unread
            return b""


def test_another_process_takes_what_a_link_selects_and_outlives_its_end(folder: Path) -> None:
    with another_process(folder) as (process, said):
        assert said() == "listening"
        assert ("running.sock" in os.listdir(folder)) == (folder.name == "state")
        for link in (NEWEST, BETA, LONGEST):
            assert hand_over(folder, link)
            assert said() == link.tokens
        with listen(folder, lambda _link: None) as mine:
            assert not mine, "a second one must not take the first one's place"
        assert hand_over(folder, NEWEST)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert "running" in os.listdir(folder), "it had no time to tidy up"
        started = time.monotonic()
        assert not hand_over(folder, NEWEST)
        assert time.monotonic() - started < instance.DEADLINE_S
        taken: list[Link] = []
        with listen(folder, taken.append) as mine:
            assert mine
            assert hand_over(folder, BETA)
        assert taken == [BETA]


def test_nobody_is_there(folder: Path) -> None:
    assert not hand_over(folder, NEWEST)
    with listen(folder, lambda _link: None):
        pass
    assert not hand_over(folder, NEWEST)
    assert [path.name for path in folder.iterdir()] == ["running.lock"]


def test_only_this_account_can_read_the_secret(folder: Path) -> None:
    with listen(folder, lambda _link: None):
        assert (folder / "running").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", ["", "x", "running.sock", "running.sock zz", "99999999 00", "-1 00", "ä 00"]
)
def test_a_file_that_says_nothing_useful_is_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "running").write_text(content, "utf-8")
    assert not hand_over(tmp_path, NEWEST)


def _proved(folder: Path, tokens: str, word: str = "ask") -> bytes:
    return f"{instance._proof(address(folder)[1], word, tokens)} {tokens}\n".encode()


@pytest.mark.parametrize(
    "tokens",
    ["--yes", "/etc/passwd", r"\\server\share\x.fwb", "demo-update://v1/demo-widget/stable/latest",
     "demo-widget/stable/latest/", "demo-widget/engineering/1.0.0", "", " demo-widget/stable/latest"],
)  # fmt: skip
def test_even_who_knows_the_secret_can_only_select(folder: Path, tokens: str) -> None:
    taken: list[Link] = []
    with listen(folder, taken.append):
        assert knock(folder, _proved(folder, tokens)) == b""
        assert taken == []
        assert hand_over(folder, NEWEST)
    assert taken == [NEWEST]


def test_who_does_not_know_the_secret_is_not_heard(folder: Path) -> None:
    taken: list[Link] = []
    with listen(folder, taken.append):
        good = _proved(folder, NEWEST.tokens)
        strangers = [
            b"",
            b"\n",
            b"demo-widget/stable/latest\n",
            b"0" * 64 + b" demo-widget/stable/latest\n",
            b"0" + good[1:] if good[:1] != b"0" else b"1" + good[1:],
            good.replace(b"latest", b"1.0.0\0"),
            _proved(folder, NEWEST.tokens, word="got"),
            good + b"more",
            good[:-1],
            b"x" * 10_000,
            "ä".encode() * 40 + b"\n",
        ]
        for stranger in strangers:
            assert knock(folder, stranger) == b"", stranger
        assert taken == []
        assert knock(folder, good) != b""
    assert taken == [NEWEST]


def test_who_says_nothing_does_not_keep_the_door(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "DEADLINE_S", 0.2)
    taken: list[Link] = []
    with listen(folder, taken.append):
        started = time.monotonic()
        assert knock(folder, b"x", close=False) == b""
        assert time.monotonic() - started < 2
        monkeypatch.setattr(instance, "DEADLINE_S", 2.0)
        assert hand_over(folder, NEWEST)


def test_an_impostor_cannot_swallow_a_link(tmp_path: Path) -> None:
    """Somebody else's program has the port of one that has gone: it hears tokens, and proves nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "running").write_text(f"{server.getsockname()[1]} {'00' * 32}\n")
        heard = bytearray()

        def impostor() -> None:
            connection, _ = server.accept()
            with connection:
                heard.extend(connection.recv(1000))
                connection.sendall(heard[:64] + b"\n")

        thread = threading.Thread(target=impostor)
        thread.start()
        assert not hand_over(tmp_path, NEWEST)
        thread.join()
    assert heard.endswith(b" demo-widget/stable/latest\n")
