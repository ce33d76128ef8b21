"""One target under libFuzzer: `python -m tests.fuzz.one TARGET [libFuzzer's options]`."""

from __future__ import annotations

import importlib
import sys

import atheris


def main() -> None:
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["updater", "bundles"]):
        target = importlib.import_module("tests.fuzz.targets").TARGETS[name]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
