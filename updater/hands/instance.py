"""One updater hands over what a link selects to another one that already runs for the same person.

Only PRODUCT/CHANNEL/VERSION travels: never a path, an option or the link itself, and the receiver reads it
again by the same grammar. Both sides know a secret from a file that only this account can read, and prove it
by HMAC without sending it. Why so: docs/decisions/0015.

    client -> server   HMAC-SHA256(secret, "ask" tokens) in hex, a blank, tokens, a newline
    server -> client   HMAC-SHA256(secret, "got" tokens) in hex, a newline; or nothing
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from updater.hands.store import try_lock
from updater.heads.links import Link, parse_tokens
from updater.words.errors import StorageFailed, Usage

DEADLINE_S = 2.0
LINE_LIMIT_BYTES = 160
"""64 hex digits, a blank, at most 57 characters of tokens, a newline: 123."""

_UNIX: int | None = getattr(socket, "AF_UNIX", None)  # Python has none on Windows
_FILE, _SOCKET, _LOCK = "running", "running.sock", "running.lock"
_ADDRESS_LIMIT_BYTES = 100  # sun_path holds 108 on Linux, 104 elsewhere (unix(7))


@contextmanager
def listen(folder: Path, on_tokens: Callable[[Link], None]) -> Iterator[bool]:
    """Take what other updaters hand over while the block runs; gives False where another one does so already.

    `folder` is the state folder of this root of trust. `on_tokens` is called on a thread of its own, one link
    at a time, and soon returns. What it does with a link while a device is being written is its own to
    decide: it must not start anything. Raises `StorageFailed`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("wb")
    except OSError as error:
        raise StorageFailed(f"cannot use the state folder {folder}: {error.strerror}") from error
    with lock:
        if not try_lock(lock.fileno()):
            yield False
            return
        # Whoever left a file or a socket here has gone: its lock went with it.
        try:
            server, address = _bound(folder)
        except OSError as error:
            raise StorageFailed(f"cannot listen in {folder}: {error.strerror}") from error
        try:
            thread = _start(folder, server, address, on_tokens)
            yield True
            _close(server)
            thread.join(DEADLINE_S)
        finally:
            _close(server)
            for name in (_FILE, _SOCKET):
                with suppress(OSError):
                    (folder / name).unlink()


def _start(
    folder: Path, server: socket.socket, address: str, on_tokens: Callable[[Link], None]
) -> threading.Thread:
    secret = secrets.token_bytes(32)
    try:
        _publish(folder, f"{address} {secret.hex()}\n")
    except OSError as error:
        raise StorageFailed(f"cannot write into {folder}: {error.strerror}") from error
    thread = threading.Thread(target=_serve, args=(server, secret, on_tokens), daemon=True)
    thread.start()
    return thread


def hand_over(folder: Path, link: Link) -> bool:
    """Whether a running updater has taken the link. Never raises; waits at most `DEADLINE_S`."""
    deadline = time.monotonic() + DEADLINE_S
    try:
        address, secret_hex = (folder / _FILE).read_text(encoding="ascii").split()
        secret = bytes.fromhex(secret_hex)
        with _connected(folder, address) as connection:
            asked = f"{_proof(secret, 'ask', link.tokens)} {link.tokens}\n"
            connection.sendall(asked.encode("ascii"))
            said = _line(connection, deadline)
    except (OSError, ValueError, OverflowError):  # the last: a port beyond 65535
        return False
    return hmac.compare_digest(said, _proof(secret, "got", link.tokens))


def _bound(folder: Path) -> tuple[socket.socket, str]:
    """A listening socket and its address: a file's name, or a port on this computer's loopback."""
    path = folder / _SOCKET
    if _UNIX is not None and len(os.fsencode(path)) <= _ADDRESS_LIMIT_BYTES:
        path.unlink(missing_ok=True)
        server = socket.socket(_UNIX)
        name: str | tuple[str, int] = str(path)
    else:
        server = socket.socket(socket.AF_INET)
        name = ("127.0.0.1", 0)
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # or another program may share the port on Windows
            server.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    try:
        server.bind(name)
        server.listen(4)
    except BaseException:
        server.close()
        raise
    return server, _SOCKET if isinstance(name, str) else str(server.getsockname()[1])


def _connected(folder: Path, address: str) -> socket.socket:
    """Raises `OSError`, or `ValueError` for an address that is none."""
    if address == _SOCKET and _UNIX is not None:
        connection = socket.socket(_UNIX)
        name: str | tuple[str, int] = str(folder / _SOCKET)
    else:
        connection = socket.socket(socket.AF_INET)
        name = ("127.0.0.1", int(address))
    try:
        connection.settimeout(DEADLINE_S)
        connection.connect(name)
    except BaseException:
        connection.close()
        raise
    return connection


def _publish(folder: Path, text: str) -> None:
    """Write where we listen, in a file that was never readable for anybody else."""
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
    os.replace(temporary, folder / _FILE)


def _serve(server: socket.socket, secret: bytes, on_tokens: Callable[[Link], None]) -> None:
    """One after the other, each with its deadline, until the socket is closed."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, suppress(OSError, ValueError, Usage):
            _answer(connection, secret, on_tokens)


def _answer(connection: socket.socket, secret: bytes, on_tokens: Callable[[Link], None]) -> None:
    proof, blank, tokens = _line(connection, time.monotonic() + DEADLINE_S).partition(" ")
    if not blank or not hmac.compare_digest(proof, _proof(secret, "ask", tokens)):
        return
    link = parse_tokens(tokens)
    on_tokens(link)
    connection.sendall(f"{_proof(secret, 'got', tokens)}\n".encode("ascii"))


def _line(connection: socket.socket, deadline: float) -> str:
    """One line of ASCII without its newline. Raises `OSError` or `ValueError`."""
    data = b""
    while not data.endswith(b"\n"):
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        more = connection.recv(LINE_LIMIT_BYTES + 1 - len(data))
        data += more
        if not more or len(data) > LINE_LIMIT_BYTES or b"\n" in data[:-1]:
            raise ValueError("not one line")
    return data[:-1].decode("ascii")


def _proof(secret: bytes, word: str, tokens: str) -> str:
    return hmac.new(secret, f"{word} {tokens}".encode("ascii"), hashlib.sha256).hexdigest()


def _close(server: socket.socket) -> None:
    """Wake up the thread that waits in accept, and close."""
    with suppress(OSError):  # closing alone does not wake it on Linux; Windows does not know this
        server.shutdown(socket.SHUT_RDWR)
    server.close()
