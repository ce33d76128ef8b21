"""The release engineer's command line. Results go to stdout; what went wrong, and advice, to stderr."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from string import hexdigits

from updater.heads.container import read_container, roots_of
from updater.heads.vendor import Kind
from updater.words.errors import Cancelled, NotTrusted, UpdaterError, Usage

from . import choice, export, release
from .asking import Commands, add_key, ask, now, signer_of, vendor_in
from .cataloguecli import add_catalogue_commands
from .demo.make import DEFAULT_URL, make_demo
from .files import read_file, write_draft, write_file
from .keycli import add_key_commands, add_root_commands, add_targets_commands
from .recipe import parse_recipe
from .record import check_signer, record_file, record_of, sign_off
from .rehearse import rehearse
from .sitecli import add_site_commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and answer its exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        status: int | None = chosen.run(chosen)
        return status or 0
    except UpdaterError as error:
        sys.stdout.flush()  # what was said before comes before the error, also in a pipe
        print(f"bundles: {error.message}\n{error.advice}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("bundles: stopped", file=sys.stderr)
        return Cancelled.exit_status


def _build(chosen: argparse.Namespace) -> None:
    recipe = parse_recipe(read_file(chosen.recipe))
    vendor = vendor_in(chosen.vendor) if chosen.vendor else None
    roots = [read_file(file) for file in chosen.root]
    bundle = release.build(recipe, chosen.recipe.parent, roots, vendor=vendor)
    write_draft(chosen.output, bundle, lambda data: release.read_draft(data).signed_by)
    print("\n".join(release.describe(release.read_draft(bundle))))
    for sentence in choice.warnings(recipe):
        print(f"bundles: {sentence}", file=sys.stderr)


def _sign(chosen: argparse.Namespace) -> None:
    data = read_file(chosen.bundle)
    if chosen.root:
        data = release.with_roots(data, [read_file(file) for file in chosen.root])
    print("\n".join(release.describe(release.read_draft(data))))
    signer = signer_of(chosen)
    ask("Sign this release?", chosen)
    signed = release.sign(data, signer)
    write_file(chosen.bundle, signed)
    print(release.describe(release.read_draft(signed))[-1])


def _compare(chosen: argparse.Namespace) -> None:
    data = read_file(chosen.bundle)
    roots = roots_of(read_container(data))
    recipe = parse_recipe(read_file(chosen.recipe))
    rebuilt = release.build(recipe, chosen.recipe.parent, roots)
    differences = release.compare(data, rebuilt)
    if differences:
        print("\n".join(differences))
        raise NotTrusted(
            "the bundle is not what this recipe builds",
            advice="Do not sign it. Ask who built it from which sources, and with which compiler.",
        )
    print(f"the same: manifest sha256 {release.read_draft(data).manifest_sha256}")


def _rehearse(chosen: argparse.Namespace) -> None:
    data = read_file(chosen.bundle)
    signer = signer_of(chosen)
    draft = release.read_draft(data)
    check_signer(draft.root, signer)
    rehearsed = []
    for one in rehearse(data, vendor_in(chosen.vendor), now()):
        result = "well" if not one.wrong else f"WRONG: {'; '.join(one.wrong)}"
        print(f"{one.part}: {len(one.trials)} trials, {one.commands} updates, {result}", flush=True)
        rehearsed.append(one)
    record = record_of(draft, rehearsed, now())
    output = chosen.output or record_file(chosen.bundle)
    write_file(output, sign_off(record, signer))
    print(f"signed off in {output}")


def _show(chosen: argparse.Namespace) -> None:
    data = read_file(chosen.bundle)
    draft = release.read_draft(data)
    if chosen.json:
        print(json.dumps(release.as_json(draft)))
    else:
        print("\n".join(release.describe(draft)))
        print(f"file sha256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes")


def _export(chosen: argparse.Namespace) -> None:
    if chosen.output.suffix.lower() != ".dfu":
        raise Usage(f"{chosen.output} is not a .dfu file", advice="Name the output F.dfu.")
    data = read_file(chosen.bundle)
    draft = release.read_draft(data)
    image = export.pick_image(draft.manifest, chosen.image)
    dfuse = export.export_dfuse(data, draft.manifest, image, bcd_device=chosen.bcd_device)
    write_file(chosen.output, dfuse)
    print(f"{draft.manifest.product} {draft.manifest.version}, {release.signature_words(draft)}")
    print("\n".join(release.describe_image(image)))
    print(f"file sha256 {hashlib.sha256(dfuse).hexdigest()}, {len(dfuse)} bytes")
    words = "a .dfu file carries no signature and does not ask for the chip: for factory tools only"
    print(f"bundles: {words}", file=sys.stderr)


def _demo(chosen: argparse.Namespace) -> None:
    made = make_demo(chosen.folder, kind=Kind(chosen.kind), url=chosen.url, now=now())
    vendor = made.vendor
    print(f"{vendor.name}: a {vendor.kind} vendor in {chosen.folder}, its site is for {vendor.repository}")


def _bcd(text: str) -> int:
    digits = text.removeprefix("0x")
    if not 1 <= len(digits) <= 4 or not set(digits.lower()) <= set(hexdigits):
        raise argparse.ArgumentTypeError(f"{text!r} is not four hex digits, as in 0x2200")
    return int(digits, 16)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bundles", description="Build, sign and publish firmware releases.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_key_commands(commands)
    add_root_commands(commands)
    add_targets_commands(commands)
    _add_release_commands(commands)
    _add_showing(commands)
    add_site_commands(commands)
    add_catalogue_commands(commands)
    command = commands.add_parser("demo", help="make a whole vendor with throw-away keys, for trying")
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--kind", choices=[*Kind], default=Kind.DEMO)
    command.add_argument("--url", default=DEFAULT_URL, help="where the site will be (default: %(default)s)")
    command.set_defaults(run=_demo)
    return parser


def _add_release_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    build = commands.add_parser("build", help="make an unsigned bundle from a recipe")
    build.add_argument("recipe", type=Path, metavar="RECIPE", help="release.toml; see docs/publishing.md")
    build.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.fwb", help="the bundle")
    build.add_argument(
        "--root", type=Path, nargs="+", default=[], metavar="FILE", help="instead of the recipe's roots"
    )
    build.add_argument("--vendor", type=Path, metavar="DIR", help="check the release against its vendor.toml")
    build.set_defaults(run=_build)
    sign = commands.add_parser("sign", help="add a release key's signature to a bundle")
    sign.add_argument(
        "bundle", type=Path, metavar="FILE.fwb", help="the bundle; the signature is added to it"
    )
    add_key(sign, yes=True)
    sign.add_argument(
        "--root", type=Path, nargs="+", metavar="FILE", help="all roots, for a key that a newer one names"
    )
    sign.set_defaults(run=_sign)
    same = commands.add_parser("compare", help="build from the recipe again and compare with a bundle")
    same.add_argument("bundle", type=Path, metavar="FILE.fwb")
    same.add_argument("recipe", type=Path, metavar="RECIPE")
    same.set_defaults(run=_compare)
    play = commands.add_parser("rehearse", help="install it on virtual devices of every silicon, with faults")
    play.add_argument("bundle", type=Path, metavar="FILE.fwb", help="signed or not")
    play.add_argument("--vendor", type=Path, required=True, metavar="DIR", help="the product's vendor.toml")
    play.add_argument("-o", "--output", type=Path, metavar="F.rehearsal", help="default: beside the bundle")
    add_key(play)
    play.set_defaults(run=_rehearse)


def _add_showing(commands: Commands[argparse.ArgumentParser]) -> None:
    show = commands.add_parser("show", help="print what a bundle says of itself, and who has signed it")
    show.add_argument("bundle", type=Path, metavar="FILE.fwb")
    show.add_argument("--json", action="store_true", help="print one JSON object for programs")
    show.set_defaults(run=_show)
    out = commands.add_parser("export", help="write one image as a DfuSe file, for factory tools")
    out.add_argument("bundle", type=Path, metavar="FILE.fwb")
    out.add_argument("--image", metavar="NAME", help="needed where the bundle has several")
    out.add_argument(
        "--bcd-device", type=_bcd, default=0, metavar="0xNNNN", help="for the file's suffix (default: 0)"
    )
    out.add_argument("-o", "--output", type=Path, required=True, metavar="F.dfu")
    out.set_defaults(run=_export)
