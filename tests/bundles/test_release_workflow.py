"""docs/ci/release.yml: linted, and its shell steps run in their order, on a folder instead of a store."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundles.cli import main
from tests.hands.web import Page, serve
from tests.tools import need, need_library

REPOSITORY = Path(__file__).parents[2]
WORKFLOW = REPOSITORY / "docs/ci/release.yml"
SECRET = "a passphrase for this test"


def workflow() -> dict[str, Any]:
    loaded = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def steps(job: str) -> list[dict[str, Any]]:
    return [step for step in workflow()["jobs"][job]["steps"] if "run" in step and step["name"] != "Install"]


def test_the_workflow_is_lawful_yaml_and_says_what_never_ran_it() -> None:
    config = WORKFLOW.parent / "yamllint.yml"
    command = [sys.executable, "-m", "yamllint", "--strict", "-c", str(config), str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "The service itself never ran this file" in WORKFLOW.read_text("utf-8")


@pytest.mark.outside
def test_the_workflow_has_the_services_own_form(tmp_path: Path) -> None:
    """GitHub's schema of workflows, as the linter carries it: a wrong key or event would be refused there."""
    need_library("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    good = subprocess.run([*command, str(WORKFLOW)], capture_output=True, text=True)
    assert good.returncode == 0, good.stdout + good.stderr
    wrong = tmp_path / "release.yml"
    wrong.write_text(WORKFLOW.read_text("utf-8").replace("runs-on:", "runs_on:"), "utf-8")
    bad = subprocess.run([*command, str(wrong)], capture_output=True, text=True)
    assert bad.returncode == 1
    assert "runs_on" in bad.stdout


def test_what_comes_from_outside_never_stands_in_a_shell_step() -> None:
    """`${{ inputs.x }}` inside `run` would be code of whoever fills the form."""
    for job in workflow()["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_one_job_at_a_time_works_on_the_site() -> None:
    assert workflow()["concurrency"] == {"group": "update-site", "cancel-in-progress": False}


def test_the_shell_steps_pass_shellcheck() -> None:
    need("shellcheck")
    for job in workflow()["jobs"]:
        for step in steps(job):
            done = subprocess.run(
                ["shellcheck", "-s", "bash", "-"], input=step["run"], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout


class Runner:
    """What the service would do with the steps: its shell, its variables, one folder."""

    def __init__(self, folder: Path, values: dict[str, str]) -> None:
        self.folder, self.values = folder, values

    def run(self, step: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        own = {name: self._value(text) for name, text in step.get("env", {}).items()}
        env = {
            "PATH": f"{self.folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "RUNNER_TEMP": str(self.folder.parent),
            "PYTHONPATH": str(REPOSITORY),
            **own,
        }
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(shell, cwd=self.folder, env=env, capture_output=True, text=True)

    def _value(self, text: str) -> str:
        named = re.fullmatch(r"\$\{\{ ([a-z_.A-Z]+) \}\}", text)
        assert named, f"{text} is no plain name"
        return self.values[named[1]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The firmware's repository of a vendor, with a recipe for one silicon, and `bundles` on the PATH."""
    folder = tmp_path / "checkout"
    assert main(["demo", str(tmp_path / "demo")]) == 0
    shutil.copytree(tmp_path / "demo/vendor", folder / "vendor")
    shutil.copy(REPOSITORY / "bundles/demo/firmware/images/demo-widget-1.1.0.hex", folder)
    text = (REPOSITORY / "bundles/demo/recipes/demo-widget-1.1.0.toml").read_text("utf-8")
    text = (
        text.replace("../firmware/images/", "")
        .replace('"stable", ', "")
        .replace("header_address", 'roots = ["vendor/root.json"]\nheader_address')
    )
    chosen = 'dev_ids = [0x450], revisions = ["V"], rom_versions = [0x91]'
    gaps = (
        'not_for = [{ dev_ids = [0x450], revisions = ["A", "Z", "Y", "X"], because = "not made" },'
        ' { dev_ids = [0x450], revisions = ["V"], rom_versions = [0xD2, 0xD3, 0x90, 0x92], '
        'because = "not made" }]\n[[image]]'
    )
    (folder / "release.toml").write_text(
        text.replace("dev_ids = [0x450]", chosen).replace("[[image]]", gaps), "utf-8"
    )
    (tmp_path / "bin").mkdir()
    launcher = tmp_path / "bin/bundles"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bundles "$@"\n', "utf-8")
    launcher.chmod(0o755)
    return folder


@pytest.mark.outside
def test_from_a_tag_to_the_field(checkout: Path, tmp_path: Path) -> None:
    keys, store = tmp_path / "demo/keys", tmp_path / "store"
    secret = (keys / "passphrase.txt").read_text("utf-8").strip()
    online = (keys / "online.pem").read_text("utf-8")
    assert main(["upload", str(tmp_path / "demo/site"), str(store)]) == 0
    with serve(store) as web:
        runner = Runner(
            checkout,
            {
                "vars.PRODUCT": "demo-widget",
                "github.ref_name": "v1.1.0",
                "secrets.ONLINE_KEY": online,
                "secrets.BUNDLES_PASSPHRASE": secret,
                "vars.STORE_URL": str(store),
                "vars.SITE_URL": web.url,
                "inputs.bundle": "signed/demo-widget-1.1.0.fwb",
                "inputs.channel": "beta",
                "inputs.percent": "25",
            },
        )
        for step in steps("build"):
            done = runner.run(step)
            assert done.returncode == 0, (step["name"], done.stderr)
        shutil.copytree(checkout / "dist", checkout / "signed")
        for name in ("release-1", "release-2"):
            key = ["--key", str(keys / f"{name}.pem"), "--passphrase-file", str(keys / "passphrase.txt")]
            assert main(["sign", str(checkout / "signed/demo-widget-1.1.0.fwb"), *key, "--yes"]) == 0
        publish, look = steps("publish")
        done = runner.run(publish)
        assert done.returncode == 0, done.stderr
        timestamp = (store / "metadata/timestamp.json").read_bytes()
        json = {"Content-Type": "application/json", "Cache-Control": "no-cache"}
        web.pages["/metadata/timestamp.json"] = Page(timestamp, headers=json)
        done = runner.run(look)
        assert done.returncode == 21
        assert done.stdout.count("FOUND") == 1, "only that loopback has no TLS"
        assert (store / "u/demo-widget/beta/latest/index.html").is_file()
        for step in steps("refresh"):
            done = runner.run(step)
            assert done.returncode == 0, (step["name"], done.stderr)
        assert not (tmp_path / "online.pem").exists(), "the key does not stay on the runner"
        assert (store / "metadata/timestamp.json").read_bytes() != timestamp
