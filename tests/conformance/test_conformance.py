"""Our client under python-tuf's conformance suite, where that suite is at hand; and the adapter by itself.

The suite is not on PyPI. Clone github.com/theupdateframework/tuf-conformance, install what its pyproject.toml
asks for and Debian's `faketime`, and say where it is:

    TUF_CONFORMANCE_DIR=/path/to/tuf-conformance python -m pytest -m conformance -s

No test of it is expected to fail. What was run so far, and of which state, stands in docs/security.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.kit import own_site
from tests.conformance.adapter import main
from tests.desk import Published

PROJECT = Path(__file__).parents[2]
NAME = "stable/demo-widget/current.fwb"


@pytest.mark.conformance
def test_the_conformance_suite_passes(tmp_path: Path) -> None:
    suite = os.environ.get("TUF_CONFORMANCE_DIR")
    if not suite:
        pytest.skip("TUF_CONFORMANCE_DIR is not set: the suite is not on PyPI and was not run")
    adapter = tmp_path / "adapter"
    adapter.write_text(
        f'#!/bin/sh\nPYTHONPATH={PROJECT} exec {sys.executable} -m tests.conformance.adapter "$@"\n'
    )
    adapter.chmod(0o755)
    command = [sys.executable, "-m", "pytest", "tuf_conformance", "--entrypoint", str(adapter), "-q"]
    environment = {**os.environ, "PYTHONPATH": suite}
    done = subprocess.run(
        command, cwd=suite, env=environment, capture_output=True, text=True, check=False, timeout=1800
    )
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


# -- the adapter keeps the suite's contract, against a site of our own -----------------------------------


@pytest.fixture
def site(published: Published, tmp_path: Path) -> Iterator[Path]:
    with own_site(published, tmp_path) as folder:
        yield folder


class Client:
    """The suite's side: the folders that it makes, and the commands that it gives."""

    def __init__(self, folder: Path, published: Published) -> None:
        self.metadata, self.targets, self.url = folder / "metadata", folder / "targets", published.web.url
        self.metadata.mkdir()
        root = folder / "initial_root.json"
        root.write_bytes(published.vendor.root)
        assert main(["--metadata-dir", str(self.metadata), "init", str(root)]) == 0

    def refresh(self) -> int:
        return main([*self._where(), "refresh"])

    def download(self, name: str = NAME) -> int:
        base = ["--target-base-url", f"{self.url}targets/", "--target-dir", str(self.targets)]
        return main([*self._where(), "--target-name", name, *base, "download"])

    def _where(self) -> list[str]:
        return ["--metadata-url", f"{self.url}metadata/", "--metadata-dir", str(self.metadata)]


@pytest.fixture
def client(tmp_path: Path, published: Published, site: Path) -> Client:
    return Client(tmp_path, published)


def test_init_asks_nobody(client: Client, published: Published) -> None:
    asked = len(published.web.asked)
    assert (client.metadata / "root.json").read_bytes() == published.vendor.root
    assert len(published.web.asked) == asked


def test_refresh_leaves_the_trusted_metadata_without_numbers_in_their_names(client: Client) -> None:
    assert client.refresh() == 0
    names = {file.name for file in client.metadata.glob("*.json")}
    assert names == {"root.json", "timestamp.json", "snapshot.json", "targets.json"}


def test_what_does_not_verify_is_exit_1(client: Client, site: Path) -> None:
    timestamp = site / "metadata/timestamp.json"
    timestamp.write_bytes(timestamp.read_bytes().replace(b'"version": 1', b'"version": 2', 1) + b" ")
    (site / "metadata/1.snapshot.json").write_bytes(b"{}")
    assert client.refresh() == 1
    assert not (client.metadata / "snapshot.json").exists()


def test_a_target_is_downloaded_once(client: Client, published: Published) -> None:
    assert client.download() == 0
    (file,) = client.targets.iterdir()
    assert file.read_bytes() == published.vendor.bundle("demo-widget-1.1.0")
    asked = [request.path for request in published.web.asked]
    assert client.download() == 0
    again = [request.path for request in published.web.asked][len(asked) :]
    assert not any(path.startswith("/targets/") for path in again)


def test_a_target_that_is_not_listed_is_exit_1(client: Client) -> None:
    assert client.download("stable/demo-widget/9.9.9.fwb") == 1
