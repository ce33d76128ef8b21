"""docs/publishing.md is true: its commands are run here, in its order, with its files."""

from __future__ import annotations

import io
import re
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundles import rehearse
from bundles.cli import main
from updater.heads.gate import verify_bundle

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.outside
def test_the_guide_leads_from_nothing_to_a_published_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (REPOSITORY / "docs/publishing.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNDLES_PASSPHRASE", "a passphrase for this test")
    for name, text in re.findall(r"<!-- file: (\S+) -->\n```toml\n(.*?)```", guide, re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copy(REPOSITORY / "bundles/demo/firmware/images/demo-widget-1.0.0.hex", tmp_path)
    (tmp_path / "vendor").mkdir()
    shutil.copy(REPOSITORY / "bundles/demo/vendor.toml", tmp_path / "vendor")
    every_part = rehearse.parts
    monkeypatch.setattr(rehearse, "parts", lambda *of: every_part(*of)[-1:])  # the guide's reader has time
    blocks = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(commands) > 15
    for program, *arguments in commands:
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        if program == "mkdir":
            (tmp_path / arguments[0]).mkdir()
            continue
        if program == "cp":
            shutil.copy(tmp_path / arguments[0], tmp_path / arguments[1])
            continue
        assert program == "bundles"
        assert main(arguments) == 0, arguments
    bundle = verify_bundle(
        (tmp_path / "site/files/demo-widget-1.0.0.fwb").read_bytes(),
        embedded_root=(tmp_path / "root.json").read_bytes(),
        now=datetime.now(UTC),
    )
    assert bundle.signed_by == ("release-1", "release-2")
    assert (tmp_path / "site/metadata/timestamp.json").is_file()
    assert (tmp_path / "site/u/demo-widget/stable/latest/index.html").is_file()
