"""The handshake before a board is handed to the kernel, against a server that says what the test wants."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from updater.lab import attach

DEVICE = struct.pack(
    ">256s32sIIIHHH6B", b"/sys/1-2", b"1-2", 1, 2, 2, 0x0483, 0xDF11, 0x0200, 0, 0, 0, 1, 1, 1
)
STATUS = """hub port sta spd dev      sockfd local_busid
hs  0000 004 000 00000000 000000 0-0
hs  0001 006 002 00010002 000003 1-2
ss  0008 004 000 00000000 000000 0-0
"""


@pytest.fixture
def vhci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "status").write_text(STATUS)
    monkeypatch.setattr(attach, "VHCI", tmp_path)
    return tmp_path


def reply(status: int = 0, version: int = 0x0111) -> bytes:
    return struct.pack(">HHI", version, 0x0003, status) + (DEVICE if status == 0 else b"")


def test_the_request_names_the_busid_and_the_first_urb_stays_unread() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(reply() + b"urb")
        assert attach.import_device(ours, "1-2") == attach.ImportedDevice(devid=0x00010002, speed=2)
        assert theirs.recv(100) == b"\x01\x11\x80\x03\0\0\0\0" + b"1-2".ljust(32, b"\0")
        assert ours.recv(100) == b"urb"


@pytest.mark.parametrize("answer", [reply(status=1), reply(version=0x0106), reply()[:100], b""])
def test_a_refusal_a_foreign_version_and_a_short_reply_are_import_refused(answer: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(attach.ImportRefused):
            attach.import_device(ours, "1-2")


@pytest.mark.parametrize(("port", "status"), [(0, attach.PORT_FREE), (1, attach.PORT_USED)])
@pytest.mark.usefixtures("vhci")
def test_the_kernels_table_tells_which_ports_are_free(port: int, status: int) -> None:
    assert attach.port_status(port) == status


@pytest.mark.parametrize(
    ("paths", "ports"),
    [
        (["1-1", "1-2", "1-3"], [0, 1, 2]),
        (["1-3", "1-1", "1-2"], [2, 0, 1]),
        (["1-8", "1-9"], [7, 0]),  # not every kernel has a ninth
        (["1-2.3", "2-1", "1-1"], [1, 2, 0]),  # behind a hub and on another bus: what is left
        (["1-1", "1-1"], [0, 1]),  # a copied board
        ([], []),
    ],
)
def test_a_board_at_port_path_1_n_gets_vhci_port_n_minus_1(paths: list[str], ports: list[int]) -> None:
    assert attach.vhci_ports(paths) == ports


@pytest.mark.usefixtures("vhci")
def test_a_port_that_the_controller_lacks_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="no port 30"):
        attach.port_status(30)


def test_detaching_a_free_port_writes_nothing(vhci: Path) -> None:
    attach.detach_port(0)
    assert not (vhci / "detach").exists()


@pytest.mark.usefixtures("vhci")
def test_a_port_that_stays_taken_is_a_timeout() -> None:
    with pytest.raises(TimeoutError, match="port 1"):
        attach.attach_to_port("127.0.0.1", 9, "1-2", 1, timeout_s=0.05)
