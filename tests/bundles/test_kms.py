"""A key in a key service: Amazon's, as moto plays it on this computer. The others were never asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import _aws_signer

from bundles import keys, tokens
from bundles.cli import main
from bundles.demo.make import DemoVendor
from bundles.site import Site
from tests.bundles.conftest import Look
from tests.bundles.servers import aws
from tests.bundles.test_ceremony import rotated, targets_under
from tests.tools import need_library
from updater.words.errors import Refused, Usage

DRAFT = ["--root-threshold", "2", "--release-threshold", "2", "--expires", "12months"]


@pytest.fixture(scope="module")
def kms() -> Iterator[Any]:
    """Amazon's client, at the service that moto plays."""
    need_library("boto3")
    import boto3

    with pytest.MonkeyPatch.context() as patch, aws(patch, "tests.bundles.moto_digests"):
        yield boto3.client("kms")


def new_key(kms: Any, spec: str, usage: str = "SIGN_VERIFY") -> str:
    made = kms.create_key(KeySpec=spec, KeyUsage=usage)
    return str(made["KeyMetadata"]["KeyId"])


def public_file(folder: Path, key: str) -> Path:
    """The file that `bundles key import` writes for a key of the service."""
    public = folder / "ci.pub.pem"
    assert main(["key", "import", f"awskms:{key}", "--name", "ci", "-o", str(public)]) == 0
    return public


@pytest.mark.outside
@pytest.mark.parametrize(
    ("spec", "scheme"), [("ECC_NIST_P256", "ecdsa-sha2-nistp256"), ("RSA_2048", "rsassa-pss-sha256")]
)
def test_updaters_follow_a_site_whose_online_key_lies_in_the_service(
    kms: Any, spec: str, scheme: str, site: Site, demo_vendor: DemoVendor, look: Look, tmp_path: Path
) -> None:
    """From the key that lay in a file, by a rotation; every signature is asked from the service."""
    assert look(site) == "1.1.0"
    public = public_file(tmp_path, new_key(kms, spec))
    key = keys.load_public(public)
    assert (keys.name_of(key), key.scheme) == ("ci", scheme)
    second = rotated(demo_vendor, keys={"online": [key]})
    signer = keys.open_signer(public, lambda: pytest.fail("a service needs no passphrase"))
    moved = Site(folder=site.folder, online=signer, now=datetime.now(UTC))
    assert moved.trust([second], targets_under(second, demo_vendor, key)) == []
    assert look(moved) == "1.1.0"
    assert main(["refresh", "--site", str(site.folder), "--key", str(public)]) == 0
    assert look(moved) == "1.1.0"


@pytest.mark.outside
def test_a_key_that_does_not_sign_and_one_that_is_not_there_are_said(kms: Any) -> None:
    with pytest.raises(Usage, match="cannot be used") as caught:
        tokens.import_key("awskms:alias/nobody", "ci")
    assert "AWS_REGION" in caught.value.advice
    with pytest.raises(Usage, match="cannot be used"):
        tokens.import_key(f"awskms:{new_key(kms, 'RSA_2048', 'ENCRYPT_DECRYPT')}", "ci")


@pytest.mark.outside
def test_a_signature_that_does_not_fit_the_key_is_noticed_before_it_is_used(kms: Any, tmp_path: Path) -> None:
    """An alias that leads to another key than on the day of the import; a service that signs otherwise."""
    kms.create_alias(AliasName="alias/ci", TargetKeyId=new_key(kms, "ECC_NIST_P256"))
    signer = keys.open_signer(public_file(tmp_path, "alias/ci"), bytes)
    assert signer.sign(b"data").signature
    kms.update_alias(AliasName="alias/ci", TargetKeyId=new_key(kms, "ECC_NIST_P256"))
    with pytest.raises(Usage, match="does not fit the public key") as caught:
        signer.sign(b"data")
    assert "bundles key import" in caught.value.advice


@pytest.mark.outside
def test_a_service_that_is_gone_signs_nothing(
    kms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = keys.open_signer(public_file(tmp_path, new_key(kms, "ECC_NIST_P256")), bytes)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    late = keys.open_signer(tmp_path / "ci.pub.pem", bytes)
    assert signer.sign(b"data").signature
    with pytest.raises(Usage, match=r"cannot be used.*127\.0\.0\.1:9"):
        late.sign(b"data")


def test_without_its_library_the_service_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_aws_signer, "AWS_IMPORT_ERROR", "it needs boto3")
    with pytest.raises(Usage, match="needs boto3") as caught:
        tokens.import_key("awskms:alias/ci", "ci")
    assert caught.value.advice == "Install what it needs: pip install 'securesystemslib[awskms]'."


@pytest.mark.parametrize("role", ["root", "release"])
def test_people_have_no_key_in_a_service(
    role: str, demo_vendor: DemoVendor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a stolen account can sign must not count as a person's word; the online key may lie there."""
    served = tmp_path / "ci.pub.pem"
    pem = (demo_vendor.keys / "release-3.pub.pem").read_text("ascii")
    served.write_text(pem.replace("Name: release-3", "Name: ci\nKey: awskms:alias/ci"), "ascii")
    with pytest.raises(Refused, match="an account signs and no person"):
        keys.load_persons(served)
    own = {one: [str(demo_vendor.keys / f"{one}-{n}.pub.pem") for n in (1, 2)] for one in ("root", "release")}
    own[role].append(str(served))
    command = ["root", "new", "--root-key", *own["root"], "--release-key", *own["release"], *DRAFT]
    online = ["--online-key", str(demo_vendor.keys / "online.pub.pem"), "-o", str(tmp_path / "root.json")]
    assert main([*command, *online]) == Refused.exit_status
    assert "Use it as the online key" in capsys.readouterr().err
    assert not (tmp_path / "root.json").exists()
