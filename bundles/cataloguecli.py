"""`bundles catalogue`: newer product descriptors for updaters that are in the field."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from updater.heads.trust import Root
from updater.words.errors import NotTrusted, Usage

from . import catalogue
from .asking import Commands, add_key, ask, now, signer_of, vendor_in
from .files import read_file, write_file
from .root import chain_of
from .site import Site


def _new(chosen: argparse.Namespace) -> None:
    vendor = vendor_in(chosen.vendor)
    data = catalogue.build(read_file(chosen.vendor / "vendor.toml").decode(), vendor)
    words = _words(data, chosen.previous)
    write_file(chosen.output, data)
    print("\n".join(words))


def _sign(chosen: argparse.Namespace) -> None:
    data, root = read_file(chosen.file), _root(chosen.root)
    print("\n".join([*_words(data, chosen.previous), catalogue.signature_words(data, root)[0]]))
    signer = signer_of(chosen)
    ask("Sign this catalogue?", chosen)
    signed = catalogue.sign(data, root, signer)
    write_file(chosen.file, signed)
    print(catalogue.signature_words(signed, root)[0])


def _check(chosen: argparse.Namespace) -> None:
    data, root = read_file(chosen.file), _root(chosen.root)
    words, enough = catalogue.signature_words(data, root)
    print("\n".join([*_words(data, chosen.previous), words]))
    if not enough:
        raise NotTrusted(
            "the catalogue does not have enough signatures", advice="Let the missing people sign first."
        )


def _set(chosen: argparse.Namespace) -> None:
    site = Site(folder=chosen.site, online=signer_of(chosen), now=now())
    version = site.set_catalogue(read_file(chosen.file)).version
    print(f"the catalogue of products is version {version} after the next `bundles publish`")


def _words(data: bytes, previous: Path | None) -> list[str]:
    """What a person reads before he signs. Raises Usage where he would not see what changes."""
    read = catalogue.read(data)
    before = catalogue.read(read_file(previous)) if previous else None
    if before is not None:
        catalogue.check_change(read, before)
    elif read.version > 1:
        raise Usage(
            f"this is catalogue {read.version}, which changes an older one",
            advice="Name the published one with --previous, to see the change; it is in files/ of the site.",
        )
    return [*catalogue.describe(read, before), f"payload sha256 {catalogue.payload_sha256(data)}"]


def _root(files: Sequence[Path]) -> Root:
    roots = [read_file(file) for file in files]
    chain = chain_of(roots)
    if len(chain.versions) != len(roots):
        raise NotTrusted("the roots are not an unbroken chain", advice="List all of them, oldest first.")
    return chain.root


def add_catalogue_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """`bundles catalogue …`."""
    verbs = commands.add_parser(
        "catalogue", help="newer product descriptors for updaters in the field"
    ).add_subparsers(required=True, metavar="VERB")
    new = verbs.add_parser("new", help="make the unsigned catalogue of vendor.toml's products")
    new.add_argument("--vendor", type=Path, required=True, metavar="DIR", help="its vendor.toml")
    new.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.dsse")
    _add_previous(new)
    new.set_defaults(run=_new)
    sign = verbs.add_parser("sign", help="add a release key's signature to a catalogue")
    sign.add_argument("file", type=Path, metavar="FILE.dsse", help="the signature is added to it")
    _add_root(sign)
    _add_previous(sign)
    add_key(sign, yes=True)
    sign.set_defaults(run=_sign)
    check = verbs.add_parser("check", help="say in words what changes, and whether enough have signed")
    check.add_argument("file", type=Path, metavar="FILE.dsse")
    _add_root(check)
    _add_previous(check)
    check.set_defaults(run=_check)
    set_ = verbs.add_parser("set", help="make a signed catalogue the site's")
    set_.add_argument("file", type=Path, metavar="FILE.dsse")
    set_.add_argument("--site", type=Path, required=True, metavar="DIR", help="the update site's folder")
    add_key(set_)
    set_.set_defaults(run=_set)


def _add_previous(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--previous", type=Path, metavar="FILE.dsse", help="the one that is published, to see what changes"
    )


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", type=Path, nargs="+", required=True, metavar="FILE", help="all signed roots, oldest first"
    )
