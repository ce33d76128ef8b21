"""Signing keys that are not files: hardware tokens (PKCS#11) and key management services.

All of it is securesystemslib's signers; here they are only named, and what they raise becomes words. The
public key is a file, with the line `Key: URI` that says where its private half is; the file's name is what
`--key` takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.exceptions import UnsupportedLibraryError, UnverifiedSignatureError
from securesystemslib.signer import (
    AWSSigner,
    AzureSigner,
    GCPSigner,
    HSMSigner,
    Key,
    Signature,
    Signer,
    SSlibKey,
    VaultSigner,
)

from updater.words.errors import Usage

URI_LINE = "Key: "
_EXTRAS = {"hsm": "hsm", "awskms": "awskms", "azurekms": "azurekms", "gcpkms": "gcpkms", "hv": "vault"}
SCHEMES = tuple(_EXTRAS)
SERVICES = ("awskms", "azurekms", "gcpkms", "hv")
"""Where nobody holds the key in his hand: whoever may use the account signs."""
_SETTINGS = {
    "awskms": "AWS_REGION, AWS_PROFILE",
    "azurekms": "`az login`",
    "gcpkms": "GOOGLE_APPLICATION_CREDENTIALS",
    "hv": "VAULT_ADDR, VAULT_TOKEN",
}
_T = TypeVar("_T")


class OutsideSigner(Signer):
    """A signer whose key lies elsewhere; what goes wrong there is said in words."""

    def __init__(self, signer: Signer, uri: str) -> None:
        self._signer, self._uri = signer, uri

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None) -> Signer:
        """Open the key. Raises Usage."""
        return cls(
            _in_words(priv_key_uri, lambda: _open(priv_key_uri, public_key, secrets_handler)), priv_key_uri
        )

    @property
    def public_key(self) -> Key:
        return self._signer.public_key

    def sign(self, payload: bytes) -> Signature:
        """Sign. Raises Usage when the token or service does not, or does it with another key."""
        signature = _in_words(self._uri, lambda: self._signer.sign(payload))
        try:
            self.public_key.verify_signature(signature, payload)
        except UnverifiedSignatureError as error:
            raise Usage(
                f"what {self._uri} signed does not fit the public key: another key lies there now",
                advice="Nothing was signed. Compare with `bundles key import` into a new file.",
            ) from error
        return signature


def import_key(uri: str, name: str) -> bytes:
    """The public file of a key that exists elsewhere: its name, where it is, and its public half.

    `uri` is `hsm:[KEYID][?label=TOKEN]`, `awskms:KEYID`, `azurekms:VAULT/KEY`, `gcpkms:RESOURCE` or
    `hv:NAME`. Raises Usage.
    """
    found, key = _in_words(uri, lambda: _find(uri))
    pem = load_pem_public_key(key.keyval["public"].encode()).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return f"Name: {name}\n{URI_LINE}{found}\n".encode() + pem


def _find(uri: str) -> tuple[str, SSlibKey]:
    scheme, _, rest = uri.partition(":")
    if scheme == "hsm":
        parts = urlsplit(rest)
        label = parse_qs(parts.query).get("label", [None])[0]
        return HSMSigner.import_(int(parts.path) if parts.path else None, label)
    if scheme == "awskms":
        return AWSSigner.import_(rest)
    if scheme == "azurekms":
        vault, _, key = rest.partition("/")
        return AzureSigner.import_(vault, key)
    if scheme == "gcpkms":
        return GCPSigner.import_(rest)
    if scheme == "hv":
        return VaultSigner.import_(rest)
    raise ValueError(f"no such kind of key; known are {', '.join(SCHEMES)}")


def _open(uri: str, public_key: Key, pin: Any) -> Signer:
    if uri.partition(":")[0] not in SCHEMES:
        raise ValueError(f"no such kind of key; known are {', '.join(SCHEMES)}")
    return Signer.from_priv_key_uri(uri, public_key, pin)


def _in_words(uri: str, ask: Callable[[], _T]) -> _T:
    try:
        return ask()
    except (UnsupportedLibraryError, ImportError) as error:
        extra = _EXTRAS.get(uri.partition(":")[0], "crypto")
        raise Usage(
            f"the key {uri} cannot be used: {error}",
            advice=f"Install what it needs: pip install 'securesystemslib[{extra}]'.",
        ) from error
    except Exception as error:
        said = str(error) or type(error).__name__
        raise Usage(f"the key {uri} cannot be used: {said}", advice=_advice(uri)) from error


def _advice(uri: str) -> str:
    scheme = uri.partition(":")[0]
    if scheme in SERVICES:
        return (
            "Check the key's name, that this computer reaches the service, and the region and credentials in "
            f"the service's usual variables or files ({_SETTINGS[scheme]})."
        )
    return (
        "Check that the token is plugged in, and the PIN: most tokens lock themselves after a few wrong ones."
    )
