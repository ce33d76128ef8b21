"""Keys that lie in no file: SoftHSM plays the token of a release engineer."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from securesystemslib.signer import Key

from bundles import keys, root, tokens
from bundles.cli import main
from bundles.demo.make import DemoVendor
from bundles.release import build, read_draft, sign
from tests.bundles.test_rehearse import RECIPES, recipe
from tests.bundles.test_root import NOW, SIGNERS, draft, public
from tests.tools import need, need_library, unavailable
from updater.heads.gate import verify_bundle
from updater.words.errors import Usage

PIN = "271828"
LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """An initialised token called "alice" with an ECDSA P-256 key in slot 2, as in a YubiKey's 9c."""
    need("softhsm2-util")
    need_library("pkcs11", "pkcs11.util.ec")
    import pkcs11.util.ec

    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n", "utf-8")
    library = next((one for one in LIBRARIES if Path(one).exists()), None)
    if library is None:
        unavailable("libsofthsm2.so is not where Debian puts it")
    patch = pytest.MonkeyPatch()
    patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
    patch.setenv("PYKCS11LIB", library)
    made = ["--init-token", "--free", "--label", "alice", "--pin", PIN, "--so-pin", "31415926"]
    subprocess.run(["softhsm2-util", *made], check=True, capture_output=True)
    opened = pkcs11.lib(library).get_token(token_label="alice")
    with opened.open(rw=True, user_pin=PIN) as session:
        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters("secp256r1")},
            local=True,
        )
        curve.generate_keypair(store=True, id=b"\x02", label="release")
    public_file = folder / "alice.pub.pem"
    uri = "hsm:2?label=alice"
    assert main(["key", "import", uri, "--name", "alice", "-o", str(public_file)]) == 0
    yield SimpleNamespace(public=public_file, folder=folder)
    patch.undo()


@pytest.mark.outside
def test_a_token_signs_a_release_that_updaters_take(
    token: SimpleNamespace, demo_vendor: DemoVendor, tmp_path: Path
) -> None:
    alice = keys.load_public(token.public)
    assert keys.name_of(alice) == "alice"
    root_json = _root_with(alice)
    bundle = tmp_path / "widget.fwb"
    bundle.write_bytes(build(recipe(), RECIPES, [root_json]))
    (tmp_path / "pin").write_text(PIN, "utf-8")
    command = ["sign", str(bundle), "--key", str(token.public), "--passphrase-file", str(tmp_path / "pin")]
    assert main([*command, "--yes"]) == 0
    assert read_draft(bundle.read_bytes()).signed_by == ("alice",)
    both = sign(bundle.read_bytes(), SIGNERS["release-1"])
    assert verify_bundle(both, embedded_root=root_json, now=NOW).signed_by == ("alice", "release-1")


def _root_with(alice: Key) -> bytes:
    made = draft(release_keys=[*public("release-1", "release-2"), alice])
    for name in ("root-1", "root-2"):
        root.sign(made, made.signed, "root", SIGNERS[name])
    return root.dump(made)


@pytest.mark.outside
def test_a_wrong_pin_is_said_with_a_warning(token: SimpleNamespace) -> None:
    signer = keys.open_signer(token.public, lambda: b"000000")
    with pytest.raises(Usage, match="cannot be used") as caught:
        signer.sign(b"data")
    assert "lock themselves" in caught.value.advice


@pytest.mark.outside
def test_a_token_that_is_not_there_is_named(token: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(Usage, match="No PKCS#11 token found for label bob"):
        tokens.import_key("hsm:2?label=bob", "bob")


def test_a_kind_of_key_that_nobody_knows_is_named(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="no such kind of key; known are hsm, awskms"):
        tokens.import_key("paper:1", "bob")


@pytest.mark.parametrize("uri", ["azurekms:vault/key", "gcpkms:projects/x", "hv:key"])
def test_a_key_service_without_its_library_says_what_to_install(uri: str) -> None:
    """The services themselves were never asked: there is none here."""
    with pytest.raises(Usage, match="cannot be used") as caught:
        tokens.import_key(uri, "ci")
    assert "securesystemslib[" in caught.value.advice or "can be reached" in caught.value.advice
