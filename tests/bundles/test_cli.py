"""The command line: exit statuses, questions, and what lands where."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest

from bundles.cli import main
from bundles.demo.make import DemoVendor
from updater.heads.silicon import the_table
from updater.heads.vendor import parse_vendor

REPOSITORY = Path(__file__).parents[2]
Captured = pytest.CaptureFixture[str]
HOLDERS = (*(f"{role}-{n}" for role in ("root", "release") for n in (1, 2, 3)), "online")


@pytest.fixture
def bundle(demo_vendor: DemoVendor, tmp_path: Path) -> Path:
    file = tmp_path / "widget.fwb"
    file.write_bytes(demo_vendor.bundle("demo-widget-1.1.0"))
    return file


def key(demo_vendor: DemoVendor, name: str) -> list[str]:
    keys = demo_vendor.keys
    return ["--key", str(keys / f"{name}.pem"), "--passphrase-file", str(keys / "passphrase.txt")]


def test_show_answers_on_stdout_in_words_and_in_json(bundle: Path, capsys: Captured) -> None:
    assert main(["show", str(bundle)]) == 0
    assert capsys.readouterr().out.startswith("demo-widget 1.1.0 for hardware A\n")
    assert main(["show", str(bundle), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["type"], said["version"], said["signed_by"]) == (
        "bundle",
        "1.1.0",
        ["release-1", "release-2"],
    )


def test_signing_shows_the_release_and_asks(
    bundle: Path, demo_vendor: DemoVendor, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bundle.read_bytes()
    for answer in ("", "n\n", "yes please\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert main(["sign", str(bundle), *key(demo_vendor, "release-3")]) == 12
        assert "image stm32h743 for dev_id 0x450" in capsys.readouterr().out
    assert bundle.read_bytes() == before
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert main(["sign", str(bundle), *key(demo_vendor, "release-3")]) == 0
    assert "signed by release-1, release-2, release-3" in capsys.readouterr().out


def test_a_wrong_key_is_a_refusal_with_advice_on_stderr(
    bundle: Path, demo_vendor: DemoVendor, capsys: Captured
) -> None:
    assert main(["sign", str(bundle), "--yes", *key(demo_vendor, "online")]) == 6
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("bundles: this key is not one of the release keys")
    assert said[1].startswith("Sign with a key")


def test_a_file_that_is_no_bundle_is_not_trusted(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "x.fwb").write_bytes(b"hello")
    assert main(["show", str(tmp_path / "x.fwb")]) == 5
    assert capsys.readouterr().out == ""


def test_a_missing_file_and_a_wrong_word_are_usage(tmp_path: Path) -> None:
    assert main(["show", str(tmp_path / "nothing.fwb")]) == 2
    with pytest.raises(SystemExit) as caught:
        main(["frobnicate"])
    assert caught.value.code == 2


def test_a_release_split_by_revision_is_built_with_a_warning(
    demo_vendor: DemoVendor, tmp_path: Path, capsys: Captured
) -> None:
    firmware = REPOSITORY / "bundles/demo/firmware/images/demo-widget-1.1.0.hex"
    text = (REPOSITORY / "bundles/demo/recipes/demo-widget-1.1.0.toml").read_text("utf-8")
    text = text.replace("../firmware/images/demo-widget-1.1.0.hex", firmware.as_posix())
    root = demo_vendor.folder / "vendor/root.json"
    build = ["build", str(tmp_path / "release.toml"), "--root", str(root), "-o", str(tmp_path / "x.fwb")]
    (tmp_path / "release.toml").write_text(text)
    assert main(build) == 0
    assert capsys.readouterr().err == ""
    split = text.replace("dev_ids = [0x450]", 'dev_ids = [0x450], revisions = ["V"]')
    (tmp_path / "release.toml").write_text(split)
    assert main(build) == 2
    said = capsys.readouterr().err
    assert "no image for STM32H742/743" in said
    assert "say under not_for in the recipe why" in said
    (row,) = (row for row in the_table().chip if row.dev_id.value == 0x450)
    others = json.dumps([one.letter for one in row.revisions if one.letter != "V"])
    gap = f'not_for = [{{ dev_ids = [0x450], revisions = {others}, because = "not made" }}]\n[[image]]'
    (tmp_path / "release.toml").write_text(split.replace("[[image]]", gap))
    assert main(build) == 0
    said = capsys.readouterr().err
    assert "bundles: STM32H742/743" in said
    assert "whose revision cannot be read, or is newer than this release, will be refused" in said


def test_a_new_key_prints_its_id_and_never_its_secret(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUNDLES_PASSPHRASE", "correct horse battery")
    command = ["key", "new", "--name", "release-9", "-o", str(tmp_path / "r9.pem")]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "name:        release-9" in said
    assert "PRIVATE" not in said
    assert "battery" not in said
    assert main(command) == 2


def test_the_demo_is_a_whole_vendor_in_under_three_seconds(tmp_path: Path, capsys: Captured) -> None:
    began = time.monotonic()
    assert main(["demo", str(tmp_path / "demo"), "--kind", "product", "--url", "http://127.0.0.1:8123/"]) == 0
    assert time.monotonic() - began < 3
    made = tmp_path / "demo"
    vendor = parse_vendor((made / "vendor/vendor.toml").read_text(encoding="utf-8"), allow_loopback_http=True)
    assert (vendor.kind, vendor.repository) == ("product", "http://127.0.0.1:8123/")
    assert sorted(path.name for path in (made / "bundles").iterdir()) == [
        "demo-gadget-1.0.0.fwb",
        "demo-gadget-1.1.0.fwb",
        "demo-widget-1.0.0.fwb",
        "demo-widget-1.1.0.fwb",
    ]
    assert {path.name for path in (made / "keys").iterdir()} >= {
        "root-1.pem", "root-2.pem", "root-3.pem", "release-1.pem", "release-2.pem", "release-3.pem",
        "online.pem", "passphrase.txt",
    }  # fmt: skip
    assert (made / "vendor/root.json").is_file()
    capsys.readouterr()
    assert main(["demo", str(made)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_release_made_with_the_command_line_can_join_a_demo_site(
    bundle: Path, demo_vendor: DemoVendor, tmp_path: Path, capsys: Captured
) -> None:
    assert main(["demo", str(tmp_path / "demo")]) == 0
    where = ["--site", str(tmp_path / "demo/site")]
    keys = tmp_path / "demo/keys"
    online = ["--key", str(keys / "online.pem"), "--passphrase-file", str(keys / "passphrase.txt")]
    assert main(["channel", "set", "beta", str(bundle), *where, *online]) == 5, "signed for another root"
    own = str(tmp_path / "demo/bundles/demo-widget-1.1.0.fwb")
    assert main(["channel", "set", "beta", own, *where, *online]) == 0
    publish = ["publish", "--vendor", str(tmp_path / "demo/vendor"), *where, *online]
    assert main(publish) == 6, "nobody has rehearsed it"
    assert main([*publish, "--unrehearsed"]) == 0
    assert (tmp_path / "demo/site/u/demo-widget/beta/latest/index.html").is_file()


def test_what_people_have_signed_is_not_replaced_by_a_draft(
    bundle: Path, demo_vendor: DemoVendor, tmp_path: Path, capsys: Captured
) -> None:
    recipe = REPOSITORY / "bundles" / "demo" / "recipes" / "demo-widget-1.1.0.toml"
    root = tmp_path / "root.json"
    root.write_bytes(demo_vendor.root)
    before = root.read_bytes(), bundle.read_bytes()
    public = {name: str(demo_vendor.keys / f"{name}.pub.pem") for name in HOLDERS}
    holders = [
        *("--root-key", *(public[f"root-{n}"] for n in (1, 2, 3))),
        *("--release-key", *(public[f"release-{n}"] for n in (1, 2, 3))),
        *("--online-key", public["online"], "--expires", "12months"),
    ]
    for command in (
        ["build", str(recipe), "--root", str(root), "-o", str(bundle)],
        ["root", "new", *holders, "-o", str(root)],
    ):
        assert main(command) == 2, command
        assert "exists and is signed" in capsys.readouterr().err
    assert (root.read_bytes(), bundle.read_bytes()) == before


def test_who_may_not_sign_off_is_told_before_the_first_trial(
    bundle: Path, demo_vendor: DemoVendor, capsys: Captured
) -> None:
    vendor = ["--vendor", str(demo_vendor.folder / "vendor")]
    assert main(["rehearse", str(bundle), *vendor, *key(demo_vendor, "root-1")]) == 5
    said = capsys.readouterr()
    assert (said.out, "may not sign off" in said.err) == ("", True)


def test_a_folder_is_not_a_file(tmp_path: Path, capsys: Captured) -> None:
    assert main(["show", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
