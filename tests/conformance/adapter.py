"""Our channel behind the command line that the tuf-conformance suite speaks (its CLIENT-CLI.md).

    adapter --metadata-dir DIR init ROOT
    adapter --metadata-dir DIR --metadata-url URL refresh
    adapter --metadata-dir DIR --metadata-url URL --target-name NAME --target-base-url URL \\
            --target-dir DIR download

Exit status 0 or 1. It is the client of `updater.hands.channel` with its fetcher, its limits and its folder;
only the names of targets are not ours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from updater.hands.channel import UpdateSite, _in_our_words
from updater.hands.host import load_home
from updater.words.errors import NoSuchRelease, UpdaterError

EMBEDDED = "embedded-root"
"""Beside the metadata, without the suffix of one: what a program would carry inside."""


def main(arguments: Sequence[str]) -> int:
    """Run one command of the suite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metadata-dir", type=Path, required=True)
    for name in ("--metadata-url", "--target-name", "--target-base-url"):
        parser.add_argument(name)
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    args = parser.parse_args(arguments)
    if args.command == "init":
        (args.metadata_dir / EMBEDDED).write_bytes(args.root.read_bytes())
        (args.metadata_dir / "root.json").write_bytes(args.root.read_bytes())
        return 0
    try:
        site = _site(args.metadata_dir, args.metadata_url)
        if args.command == "refresh":
            site.refresh()
            return 0
        data = site.target(args.target_name)
        args.target_dir.mkdir(parents=True, exist_ok=True)
        (args.target_dir / quote(args.target_name, "")).write_bytes(data)
    except UpdaterError as error:
        print(f"{type(error).__name__}: {error.message}", file=sys.stderr)
        return 1
    return 0


class AnySite(UpdateSite):
    """What `offer` and `download` are made of, for targets of any name."""

    def refresh(self) -> None:
        """Look at the site. Raises what `offer` does."""
        with _in_our_words(), self._refreshed():
            pass

    def target(self, name: str) -> bytes:
        """The bytes of a target. Raises what `offer` and `download` do."""
        with _in_our_words(), self._refreshed() as client:
            target = client.get_targetinfo(name)
            if target is None:
                raise NoSuchRelease(f"the site does not list {name!r}")
            return self._download(client, target, "target")


def _site(metadata: Path, url: str) -> AnySite:
    """A vendor whose site is there; the folder of its metadata is called `metadata` with us too."""
    assert metadata.name == "metadata", metadata
    assert url.rstrip("/").endswith("/metadata"), url
    repository = url.rstrip("/").removesuffix("metadata")
    vendor = msgspec.structs.replace(load_home().vendor, repository=repository)
    return AnySite(vendor, (metadata / EMBEDDED).read_bytes(), metadata.parent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
