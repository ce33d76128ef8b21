"""Signing keys in files: Ed25519, PKCS#8 PEM, always under a passphrase.

A public key lies beside its private key as `NAME.pub.pem`; the line `Name: …` above the PEM block is
the name that goes into the root, so that people read names and not key IDs. Public keys made elsewhere
(a YubiKey's `pub.pem`, for example) have no such line and are called by their file's name. A line `Key: …`
says where a private key is that lies in no file.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from updater.heads.trust import NAME_FIELD
from updater.words.errors import Cancelled, Refused, StorageFailed, Usage

from .files import read_file
from .tokens import SERVICES, URI_LINE, OutsideSigner

PASSPHRASE_VARIABLE = "BUNDLES_PASSPHRASE"  # noqa: S105 # the name of a variable
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}")
_SHORTEST_PASSPHRASE = 12


def passphrase(
    file: Path | None, *, twice: bool = False, environment: Mapping[str, str] = os.environ
) -> bytes:
    """The passphrase from a file's first line, from BUNDLES_PASSPHRASE, or asked at the keyboard.

    `twice` asks again and compares, for a new key. Raises Usage, Cancelled.
    """
    if file is not None:
        return read_file(file).split(b"\n")[0].rstrip(b"\r")
    from_environment = environment.get(PASSPHRASE_VARIABLE)
    if from_environment is not None:
        return from_environment.encode()
    try:
        typed = getpass.getpass("Passphrase: ")
        if twice and getpass.getpass("The same again: ") != typed:
            raise Usage("the two passphrases differ", advice="Try again.")
    except EOFError as error:
        raise Cancelled("no passphrase was given", advice="Give it with --passphrase-file.") from error
    return typed.encode()


def check_name(name: str) -> None:
    """Raises Usage for a name that people could misread."""
    if not _NAME.fullmatch(name):
        raise Usage(f"{name!r} is no name for a key", advice="Use letters, digits, '.', '_' and '-'.")


def new_key(name: str, secret: bytes) -> tuple[bytes, bytes]:
    """A fresh key pair: the private PEM under `secret`, and the public file. Raises Usage."""
    check_name(name)
    if len(secret) < _SHORTEST_PASSPHRASE:
        raise Usage(
            f"the passphrase is shorter than {_SHORTEST_PASSPHRASE} characters",
            advice="Take a longer one: this key says what is genuine.",
        )
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secret))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem, f"Name: {name}\n".encode() + public


def public_file(private_file: Path) -> Path:
    """Where the public counterpart of a private key file lies."""
    return private_file.with_name(private_file.name.removesuffix(".pem") + ".pub.pem")


def open_signer(file: Path, secret: Callable[[], bytes]) -> Signer:
    """Open the private key in a file, or the one elsewhere of which this is the public file. Raises Usage.

    `secret` is asked for the passphrase or PIN, if one is needed.
    """
    uri = uri_in(file)
    if uri is None:
        return load_signer(file, secret())
    return OutsideSigner.from_priv_key_uri(uri, load_public(file), lambda _what: secret().decode())


def load_signer(file: Path, secret: bytes) -> CryptoSigner:
    """Open a private key. Raises Usage when it is not one, not encrypted, or the passphrase is wrong."""
    pem = read_file(file)
    if b"ENCRYPTED PRIVATE KEY" not in pem:
        raise Usage(
            f"{file} is not a passphrase-protected PKCS#8 key",
            advice="Make keys with `bundles key new`; unprotected keys are not used.",
        )
    try:
        return CryptoSigner(load_pem_private_key(pem, secret))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Usage(
            f"{file} cannot be opened: wrong passphrase, or the file is damaged",
            advice="Try the passphrase again.",
        ) from error


def load_public(file: Path) -> SSlibKey:
    """A public key with its name in the field `x-name`. Raises Usage."""
    data = read_file(file)
    try:
        key = SSlibKey.from_crypto(load_pem_public_key(data))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Usage(
            f"{file} is not a public key in PEM form", advice="Name the .pub.pem file, not the key itself."
        ) from error
    said = (line.removeprefix("Name: ") for line in _head(data) if line.startswith("Name: "))
    name = next(said, _stem(file))
    if not _NAME.fullmatch(name):
        raise Usage(f"{file}: {name!r} is no name for a key", advice="Rename the file.")
    key.unrecognized_fields[NAME_FIELD] = name
    return key


def load_persons(file: Path) -> SSlibKey:
    """The public key of a root or release person. Raises Usage, and Refused for a key that a service keeps.

    People sign releases: what a stolen account of a service can sign must not be enough.
    """
    if (uri := uri_in(file)) is not None and uri.partition(":")[0] in SERVICES:
        raise Refused(
            f"the key of {file} lies in a service ({uri}), where an account signs and no person",
            advice="Use it as the online key. Root and release people have a token or a file of their own.",
        )
    return load_public(file)


def uri_in(file: Path) -> str | None:
    """Where the private half of a public file's key is, if it lies in no file."""
    return next((line[len(URI_LINE) :] for line in _head(read_file(file)) if line.startswith(URI_LINE)), None)


def _head(data: bytes) -> list[str]:
    """The lines above the PEM block."""
    return [line.strip() for line in data.split(b"-----")[0].decode("ascii", "replace").splitlines()]


def name_of(key: Key) -> str:
    """What people call this key; its ID where it has no name."""
    return str(key.unrecognized_fields.get(NAME_FIELD) or key.keyid[:16])


def same_key(one: Key, other: Key) -> bool:
    """Whether two keys are the same public key, however they are written down."""
    return _canonical(one) == _canonical(other)


def write_private(file: Path, pem: bytes) -> None:
    """Write a new private key, readable by its owner only; never over another file."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # the last on Windows only
        with os.fdopen(os.open(file, flags, 0o600), "wb") as out:
            out.write(pem)
    except FileExistsError as error:
        raise Usage(f"{file} exists", advice="Keys are never overwritten; choose another name.") from error
    except OSError as error:
        raise StorageFailed(f"{file} cannot be written: {error.strerror or error}") from error


def _stem(file: Path) -> str:
    return file.name.removesuffix(".pem").removesuffix(".pub")


def _canonical(key: Key) -> tuple[str, bytes]:
    public = str(key.keyval["public"]) if isinstance(key, SSlibKey) else key.keyid
    if public.startswith("-----"):
        loaded = load_pem_public_key(public.encode())
        return key.keytype, loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key.keytype, public.lower().encode()
