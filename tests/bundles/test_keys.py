"""Keys: never unprotected, never overwritten, always with a name."""

from __future__ import annotations

import io
import stat
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bundles import keys
from updater.words.errors import Usage

SECRET = b"correct horse battery"


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A private key file with its public counterpart beside it."""
    pem, public = keys.new_key("release-1", SECRET)
    file = tmp_path / "mine.pem"
    keys.write_private(file, pem)
    keys.public_file(file).write_bytes(public)
    return file


def test_a_new_key_is_pkcs8_under_a_passphrase_and_readable_by_its_owner_only(pair: Path) -> None:
    assert pair.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    if sys.platform != "win32":
        assert stat.S_IMODE(pair.stat().st_mode) == 0o600


def test_private_and_public_file_are_one_key_and_the_name_stays_with_it(pair: Path) -> None:
    public = keys.load_public(pair.with_name("mine.pub.pem"))
    assert keys.load_signer(pair, SECRET).public_key.keyid == public.keyid
    assert public.to_dict()["x-name"] == "release-1"


def test_a_wrong_passphrase_is_said_so(pair: Path) -> None:
    with pytest.raises(Usage, match="wrong passphrase"):
        keys.load_signer(pair, b"something else")


def test_an_unprotected_key_is_not_used(tmp_path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "open.pem").write_bytes(pem)
    with pytest.raises(Usage, match="not a passphrase-protected"):
        keys.load_signer(tmp_path / "open.pem", SECRET)


def test_a_key_is_never_overwritten(pair: Path) -> None:
    with pytest.raises(Usage, match="exists"):
        keys.write_private(pair, b"other")


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(Usage, match="shorter than 12"):
        keys.new_key("release-1", b"eleven char")


@pytest.mark.parametrize("name", ["", "\n", "a\nName: b", "x" * 64, "../up"])
def test_a_name_that_could_mislead_is_refused(name: str) -> None:
    with pytest.raises(Usage, match="is no name"):
        keys.new_key(name, SECRET)


def test_a_public_key_from_a_hardware_token_is_called_by_its_file(tmp_path: Path) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    file = tmp_path / "token-7.pem"
    file.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert keys.name_of(keys.load_public(file)) == "token-7"


def test_a_private_key_where_a_public_one_belongs_is_refused(pair: Path) -> None:
    with pytest.raises(Usage, match="not a public key"):
        keys.load_public(pair)


def test_one_key_under_two_ids_is_still_one_key(pair: Path) -> None:
    public = keys.load_public(pair.with_name("mine.pub.pem"))
    twin = keys.load_public(pair.with_name("mine.pub.pem"))
    twin.keyid = "f" * 64
    assert keys.same_key(public, twin)


def test_the_passphrase_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"correct horse\r\nsecond line\n")
    assert keys.passphrase(tmp_path / "secret") == b"correct horse"


def test_the_passphrase_may_come_from_the_environment() -> None:
    assert keys.passphrase(None, environment={"BUNDLES_PASSPHRASE": "from outside"}) == b"from outside"


def test_two_different_passphrases_for_a_new_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = io.StringIO("first one\nsecond one\n")
    monkeypatch.setattr("getpass.getpass", lambda _prompt: typed.readline().strip())
    with pytest.raises(Usage, match="differ"):
        keys.passphrase(None, twice=True, environment={})
