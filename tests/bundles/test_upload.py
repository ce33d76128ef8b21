"""Uploading: in the order in which nobody misses a file, cut off anywhere, and never back in time."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest

from bundles import upload as uploading
from bundles.cli import main
from bundles.demo.make import DemoVendor
from bundles.site import Site
from bundles.upload import TIMESTAMP, in_order, upload
from tests.bundles.conftest import Look
from tests.bundles.servers import aws, free_port, running
from tests.bundles.test_publishing import STABLE, release
from tests.tools import find, need, need_library
from updater.words.errors import NetworkFailed, Refused, Usage


@pytest.fixture
def today(site: Site) -> Site:
    """The site on this computer's day: an updater looks at the clock."""
    made = dataclasses.replace(site, now=datetime.now(UTC))
    made.refresh()
    return made


def publish(site: Site, demo: DemoVendor, version: str) -> None:
    site.set_current(STABLE, release(demo, version))
    site.publish(unrehearsed=True)


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in in_order(folder)}


def test_what_is_named_goes_before_what_names_it(today: Site) -> None:
    names = in_order(today.folder)
    first = [name.partition("/")[0] for name in names]
    assert names[-1] == TIMESTAMP
    assert first.index("metadata") > first.index("files") > first.index("targets")
    snapshots = [at for at, name in enumerate(names) if name.endswith(".snapshot.json")]
    roles = [at for at, name in enumerate(names) if name.endswith(".stable-0.json")]
    assert min(snapshots) > max(roles)
    assert not [name for name in names if name.endswith(".part") or "/." in name or name.startswith(".")]


def test_cut_off_at_any_file_the_host_shows_the_old_state(
    today: Site, demo_vendor: DemoVendor, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = dataclasses.replace(today, folder=tmp_path / "host")
    upload(today.folder, str(host.folder))
    assert look(host) == "1.1.0"
    publish(today, demo_vendor, "1.2.0")
    put, cut, left = uploading._put, 0, 0

    def cutting(fs: Any, path: str, name: str, data: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError("the network went")
        put(fs, path, name, data)

    monkeypatch.setattr(uploading, "_put", cutting)
    while True:
        left = 1  # one file a time, then it is cut off
        try:
            upload(today.folder, str(host.folder))
            break
        except NetworkFailed:
            cut += 1
            assert look(host) == "1.1.0"
        assert cut < 50
    assert cut >= 4
    assert look(host) == "1.2.0"


def test_a_host_never_goes_back(today: Site, demo_vendor: DemoVendor, tmp_path: Path) -> None:
    """Two machines publish from two folders: the slower one is told, and nothing is overwritten."""
    other = dataclasses.replace(today, folder=tmp_path / "other")
    shutil.copytree(today.folder, other.folder)
    publish(today, demo_vendor, "1.2.0")
    upload(today.folder, str(tmp_path / "host"))
    before = files(tmp_path / "host")
    with pytest.raises(Refused, match="it was published from elsewhere"):
        upload(other.folder, str(tmp_path / "host"))
    publish(other, demo_vendor, "1.3.0")
    with pytest.raises(Refused, match="it was published from elsewhere"):
        upload(other.folder, str(tmp_path / "host"))
    assert files(tmp_path / "host") == before


def test_what_is_there_is_not_sent_again(today: Site) -> None:
    url = f"memory://{uuid.uuid4()}/site"
    everything = upload(today.folder, url)
    assert everything == len(in_order(today.folder))
    assert upload(today.folder, url) == 0
    fs, base = fsspec.core.url_to_fs(url)
    for name, data in files(today.folder).items():
        assert fs.cat_file(f"{base}/{name}") == data


def test_a_folder_without_a_site_and_a_scheme_that_nobody_knows_are_usage(
    tmp_path: Path, today: Site
) -> None:
    with pytest.raises(Usage, match="holds no published site"):
        upload(tmp_path, "memory://x")
    with pytest.raises(Usage, match="cannot be used"):
        upload(today.folder, "carrier-pigeon://loft/site")


def test_an_untested_scheme_is_said_to_be_one(today: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upload", str(today.folder), "carrier-pigeon://loft"]) == 2
    assert "carrier-pigeon:// was never tested" in capsys.readouterr().err


# ------------------------------------------------------------------------------------- real hosts on loopback


@pytest.fixture
def sftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """Debian's sshd on loopback, for this account and one throw-away key."""
    need("sshd")
    need_library("paramiko")
    ssh, host = tmp_path / "home/.ssh", tmp_path / "host"
    ssh.mkdir(parents=True)
    host.mkdir()
    for file in (ssh / "id_ed25519", tmp_path / "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port, config = free_port(), tmp_path / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {tmp_path / 'host_key'}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {ssh / 'id_ed25519.pub'}\nStrictModes no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
    with running(str(find("sshd")), "-D", "-f", str(config), port=port):
        yield f"sftp://{user}@127.0.0.1:{port}{host}/site", host / "site"


@pytest.mark.outside
def test_sftp(
    today: Site, demo_vendor: DemoVendor, look: Look, sftp: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, there = sftp
    upload(today.folder, url)
    assert files(there) == files(today.folder)
    publish(today, demo_vendor, "1.2.0")
    put = uploading._put

    def cut(fs: Any, path: str, name: str, data: bytes) -> None:
        if name.endswith(".snapshot.json"):
            raise OSError("the network went")
        put(fs, path, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(uploading, "_put", cut)
        with pytest.raises(NetworkFailed, match="the network went"):
            upload(today.folder, url)
    host = dataclasses.replace(today, folder=there)
    assert look(host) == "1.1.0"
    upload(today.folder, url)
    assert look(host) == "1.2.0"
    assert not list(there.rglob("*.part"))


@pytest.mark.outside
def test_sftp_without_the_right_key_fails_before_anything_is_sent(
    today: Site, sftp: tuple[str, Path], tmp_path: Path
) -> None:
    url, there = sftp
    (tmp_path / "home/.ssh/id_ed25519").unlink()
    with pytest.raises(NetworkFailed, match="cannot be opened"):
        upload(today.folder, url)
    assert not there.exists()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server from PyPI (moto) on loopback, with an empty bucket."""
    need_library("s3fs")
    with aws(monkeypatch):
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        fs.mkdir("updates")
        yield "s3://updates/site"
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.outside
def test_s3(today: Site, demo_vendor: DemoVendor, s3: str) -> None:
    upload(today.folder, s3)
    fs = fsspec.filesystem("s3")
    fs.invalidate_cache()
    base = s3.removeprefix("s3://")
    for name, data in files(today.folder).items():
        assert fs.cat_file(f"{base}/{name}") == data
    assert fs.metadata(f"{base}/{TIMESTAMP}") == {}
    head = fs.call_s3("head_object", Bucket="updates", Key=f"site/{TIMESTAMP}")
    assert (head["CacheControl"], head["ContentType"]) == ("no-cache", "application/json")
    head = fs.call_s3("head_object", Bucket="updates", Key="site/metadata/1.root.json")
    assert head["CacheControl"] == "public, max-age=31536000, immutable"
    older = dataclasses.replace(today, folder=today.folder.parent / "older")
    shutil.copytree(today.folder, older.folder)
    publish(today, demo_vendor, "1.2.0")
    sent: list[str] = []
    upload(today.folder, s3, told=sent.append)
    assert sent[-1] == TIMESTAMP
    assert "metadata/1.root.json" not in sent
    with pytest.raises(Refused, match="published from elsewhere"):
        upload(older.folder, s3)
