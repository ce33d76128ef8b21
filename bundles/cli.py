"""The release engineer's command line. Results go to stdout; what went wrong, and advice, to stderr."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import hexdigits

from securesystemslib.signer import Signer

from updater.heads.vendor import Kind, Vendor, parse_vendor
from updater.words.errors import Cancelled, UpdaterError, Usage
from updater.words.facts import Channel

from . import choice, export, keys, pages, release, root
from .demo.make import DEFAULT_URL, make_demo
from .files import read_file, write_file
from .recipe import parse_recipe
from .site import BIN_BITS, Site


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and answer its exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except UpdaterError as error:
        sys.stdout.flush()  # what was said before comes before the error, also in a pipe
        print(f"bundles: {error.message}\n{error.advice}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("bundles: stopped", file=sys.stderr)
        return Cancelled.exit_status
    return 0


def _key_new(chosen: argparse.Namespace) -> None:
    public = keys.public_file(chosen.output)
    if public.exists():
        raise Usage(f"{public} exists", advice="Keys are never overwritten; choose another name.")
    pem, public_pem = keys.new_key(chosen.name, keys.passphrase(chosen.passphrase_file, twice=True))
    keys.write_private(chosen.output, pem)
    write_file(public, public_pem)
    print(f"private key: {chosen.output}\npublic key:  {public}")
    _print_key(public)


def _key_show(chosen: argparse.Namespace) -> None:
    _print_key(chosen.file)


def _print_key(public: Path) -> None:
    key = keys.load_public(public)
    print(
        f"name:        {keys.name_of(key)}\nkey ID:      {key.keyid}\ntype:        {key.keytype} {key.scheme}"
    )


def _root_new(chosen: argparse.Namespace) -> None:
    draft = root.new_root(
        root_keys=[keys.load_public(file) for file in chosen.root_key],
        root_threshold=chosen.root_threshold,
        release_keys=[keys.load_public(file) for file in chosen.release_key],
        release_threshold=chosen.release_threshold,
        online_key=keys.load_public(chosen.online_key),
        expires=root.expiry(chosen.expires, _now()),
    )
    words = root.check_root(draft, _now())
    write_file(chosen.output, root.dump(draft))
    print("\n".join(words))


def _root_sign(chosen: argparse.Namespace) -> None:
    draft = root.load_root(read_file(chosen.draft))
    print("\n".join(root.check_root(draft, _now())))
    signer = _signer(chosen)
    _ask("Sign this root?", chosen)
    name = root.sign(draft, draft.signed, "root", signer)
    write_file(chosen.draft, root.dump(draft))
    print(f"signed by {name}")


def _root_check(chosen: argparse.Namespace) -> None:
    draft = root.load_root(read_file(chosen.draft))
    print("\n".join(root.check_root(draft, _now())))
    root.require_signed(draft.signed, "root", draft)


def _targets_new(chosen: argparse.Namespace) -> None:
    trusted = root.load_root(read_file(chosen.root)).signed
    expires = root.expiry(chosen.expires, _now())
    root.check_expiry("targets", expires, _now())
    draft = root.new_targets(trusted, keys.load_public(chosen.online_key), expires)
    write_file(chosen.output, root.dump(draft))
    print(f"channels {', '.join(root.CHANNELS)}, valid until {expires:%Y-%m-%d}; nobody has signed yet")


def _targets_sign(chosen: argparse.Namespace) -> None:
    trusted = root.load_root(read_file(chosen.root)).signed
    draft = root.load_targets(read_file(chosen.draft))
    root.check_expiry("targets", draft.signed.expires, _now())
    print("\n".join(root.describe_targets(draft.signed)))
    signer = _signer(chosen)
    _ask("Sign this?", chosen)
    name = root.sign(draft, trusted, "targets", signer)
    write_file(chosen.draft, root.dump(draft))
    print(f"signed by {name}")


def _build(chosen: argparse.Namespace) -> None:
    recipe = parse_recipe(read_file(chosen.recipe))
    vendor = _vendor(chosen.vendor) if chosen.vendor else None
    roots = [read_file(file) for file in chosen.root]
    bundle = release.build(recipe, chosen.recipe.parent, roots, vendor=vendor)
    write_file(chosen.output, bundle)
    print("\n".join(release.describe(release.read_draft(bundle))))
    for sentence in choice.warnings(recipe):
        print(f"bundles: {sentence}", file=sys.stderr)


def _sign(chosen: argparse.Namespace) -> None:
    data = read_file(chosen.bundle)
    print("\n".join(release.describe(release.read_draft(data))))
    signer = _signer(chosen)
    _ask("Sign this release?", chosen)
    signed = release.sign(data, signer)
    write_file(chosen.bundle, signed)
    print(release.describe(release.read_draft(signed))[-1])


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


def _site_new(chosen: argparse.Namespace) -> None:
    roots = [read_file(file) for file in chosen.root]
    _site(chosen).create(roots, read_file(chosen.targets), bin_bits=BIN_BITS)
    print(f"{chosen.site} is an update site; `bundles publish` makes it visible")


def _channel_set(chosen: argparse.Namespace) -> None:
    manifest = _site(chosen).set_current(Channel(chosen.channel), read_file(chosen.bundle))
    print(f"{chosen.channel} of {manifest.product} is {manifest.version} after the next `bundles publish`")


def _publish(chosen: argparse.Namespace) -> None:
    site = _site(chosen)
    written = pages.write_pages(site, _vendor(chosen.vendor)) if chosen.vendor else 0
    site.publish()
    pages_words = f"{written} landing pages written" if chosen.vendor else "no landing pages without --vendor"
    print(f"published; {pages_words}")
    for sentence in site.expiring():
        print(f"bundles: {sentence}", file=sys.stderr)


def _demo(chosen: argparse.Namespace) -> None:
    made = make_demo(chosen.folder, kind=Kind(chosen.kind), url=chosen.url, now=_now())
    vendor = made.vendor
    print(f"{vendor.name}: a {vendor.kind} vendor in {chosen.folder}, its site is for {vendor.repository}")


def _site(chosen: argparse.Namespace) -> Site:
    return Site(folder=chosen.site, online=_signer(chosen), now=_now())


def _signer(chosen: argparse.Namespace) -> Signer:
    return keys.load_signer(chosen.key, keys.passphrase(chosen.passphrase_file))


def _vendor(folder: Path) -> Vendor:
    try:
        text = read_file(folder / "vendor.toml").decode()
    except UnicodeDecodeError as error:
        raise Usage(f"{folder / 'vendor.toml'} is not UTF-8 text", advice="Save it as UTF-8.") from error
    return parse_vendor(text, allow_loopback_http=True)


def _bcd(text: str) -> int:
    digits = text.removeprefix("0x")
    if not 1 <= len(digits) <= 4 or not set(digits.lower()) <= set(hexdigits):
        raise argparse.ArgumentTypeError(f"{text!r} is not four hex digits, as in 0x2200")
    return int(digits, 16)


def _ask(question: str, chosen: argparse.Namespace) -> None:
    if chosen.yes:
        return
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Cancelled("not signed", advice="Nothing was changed.")


def _now() -> datetime:
    return datetime.now(UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bundles", description="Build, sign and publish firmware releases.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_key_commands(commands)
    _add_root_commands(commands)
    _add_targets_commands(commands)
    _add_release_commands(commands)
    _add_site_commands(commands)
    command = commands.add_parser("demo", help="make a whole vendor with throw-away keys, for trying")
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--kind", choices=[*Kind], default=Kind.DEMO)
    command.add_argument("--url", default=DEFAULT_URL, help="where the site will be (default: %(default)s)")
    command.set_defaults(run=_demo)
    return parser


_Commands = argparse._SubParsersAction  # argparse has no public name for what add_subparsers answers


def _add_key_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    verbs = commands.add_parser("key", help="make and show signing keys").add_subparsers(
        required=True, metavar="VERB"
    )
    new = verbs.add_parser("new", help="make a key pair; the private key under a passphrase")
    new.add_argument("--name", required=True, help="whose key it is; people will read this")
    new.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE.pem",
        help="FILE.pub.pem is written beside it",
    )
    _add_passphrase(new)
    new.set_defaults(run=_key_new)
    show = verbs.add_parser("show", help="name and key ID of a public key")
    show.add_argument("file", type=Path, metavar="FILE.pub.pem")
    show.set_defaults(run=_key_show)


def _add_root_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    verbs = commands.add_parser("root", help="say who is trusted: root.json").add_subparsers(
        required=True, metavar="VERB"
    )
    new = verbs.add_parser("new", help="draft the first root")
    for role in ("root", "release"):
        new.add_argument(
            f"--{role}-key", type=Path, nargs="+", required=True, metavar="PUB", help="their .pub.pem files"
        )
        new.add_argument(
            f"--{role}-threshold",
            type=int,
            default=2,
            metavar="N",
            help="how many of them must sign (default: %(default)s)",
        )
    new.add_argument(
        "--online-key", type=Path, required=True, metavar="PUB", help="the publishing server's .pub.pem file"
    )
    new.add_argument(
        "--expires", required=True, metavar="DATE", help="2030-01-31 or 20months; at most 24 months away"
    )
    new.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="usually root.json")
    new.set_defaults(run=_root_new)
    sign = verbs.add_parser("sign", help="add a root key's signature to a draft")
    sign.add_argument("draft", type=Path, metavar="DRAFT", help="the file that `root new` wrote")
    _add_key(sign, yes=True)
    sign.set_defaults(run=_root_sign)
    check = verbs.add_parser("check", help="say in words what a root says, and whether enough have signed")
    check.add_argument("draft", type=Path, metavar="ROOT", help="a root file, signed or not")
    check.set_defaults(run=_root_check)


def _add_targets_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    verbs = commands.add_parser("targets", help="say which channels there are: targets.json").add_subparsers(
        required=True, metavar="VERB"
    )
    new = verbs.add_parser("new", help="draft targets.json")
    new.add_argument("--root", type=Path, required=True, metavar="FILE", help="the signed root.json")
    new.add_argument(
        "--online-key", type=Path, required=True, metavar="PUB", help="the publishing server's .pub.pem file"
    )
    new.add_argument(
        "--expires", required=True, metavar="DATE", help="2030-01-31 or 12months; at most 12 months away"
    )
    new.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="usually targets.json")
    new.set_defaults(run=_targets_new)
    sign = verbs.add_parser("sign", help="add a release key's signature to a draft")
    sign.add_argument("draft", type=Path, metavar="DRAFT", help="the file that `targets new` wrote")
    sign.add_argument("--root", type=Path, required=True, metavar="FILE", help="the signed root.json")
    _add_key(sign, yes=True)
    sign.set_defaults(run=_targets_sign)


def _add_release_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
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
    _add_key(sign, yes=True)
    sign.set_defaults(run=_sign)
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


def _add_site_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    verbs = commands.add_parser("site", help="begin an update site").add_subparsers(
        required=True, metavar="VERB"
    )
    new = verbs.add_parser("new", help="begin a site in a new folder")
    new.add_argument(
        "--root", type=Path, nargs="+", required=True, metavar="FILE", help="all signed roots, oldest first"
    )
    new.add_argument("--targets", type=Path, required=True, metavar="FILE", help="the signed targets.json")
    _add_site(new)
    new.set_defaults(run=_site_new)
    verbs = commands.add_parser("channel", help="say which release is current").add_subparsers(
        required=True, metavar="VERB"
    )
    set_ = verbs.add_parser("set", help="make a signed bundle the current release of a channel")
    set_.add_argument("channel", choices=[*root.CHANNELS])
    set_.add_argument("bundle", type=Path, metavar="FILE.fwb")
    _add_site(set_)
    set_.set_defaults(run=_channel_set)
    publish = commands.add_parser("publish", help="make all changes of the site visible")
    publish.add_argument(
        "--vendor", type=Path, metavar="DIR", help="write landing pages from its vendor.toml"
    )
    _add_site(publish)
    publish.set_defaults(run=_publish)


def _add_site(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", type=Path, required=True, metavar="DIR", help="the update site's folder")
    _add_key(parser)


def _add_key(parser: argparse.ArgumentParser, *, yes: bool = False) -> None:
    parser.add_argument("--key", type=Path, required=True, metavar="FILE.pem", help="the private key")
    _add_passphrase(parser)
    if yes:
        parser.add_argument("--yes", action="store_true", help="do not ask")


def _add_passphrase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=f"its first line is the passphrase; without it {keys.PASSPHRASE_VARIABLE} is, or you are asked",
    )
