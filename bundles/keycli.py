"""`bundles key`, `bundles root` and `bundles targets`: who is trusted."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from updater.words.errors import Usage

from . import ceremony, keys, root, tokens
from .asking import Commands, add_key, add_passphrase, ask, now, signer_of
from .files import read_file, write_draft, write_file


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


def _key_import(chosen: argparse.Namespace) -> None:
    if chosen.output.exists():
        raise Usage(f"{chosen.output} exists", advice="Keys are never overwritten; choose another name.")
    keys.check_name(chosen.name)
    write_file(chosen.output, tokens.import_key(chosen.uri, chosen.name))
    _print_key(chosen.output)


def _print_key(public: Path) -> None:
    key = keys.load_public(public)
    print(
        f"name:        {keys.name_of(key)}\nkey ID:      {key.keyid}\ntype:        {key.keytype} {key.scheme}"
    )


def _signatures(data: bytes) -> object:
    try:
        return Metadata.from_bytes(data).signatures
    except DeserializationError:
        return None


def _root_new(chosen: argparse.Namespace) -> None:
    draft = root.new_root(
        root_keys=[keys.load_persons(file) for file in chosen.root_key],
        root_threshold=chosen.root_threshold,
        release_keys=[keys.load_persons(file) for file in chosen.release_key],
        release_threshold=chosen.release_threshold,
        online_key=keys.load_public(chosen.online_key),
        expires=root.expiry(chosen.expires, now()),
    )
    words = root.check_root(draft, now())
    write_draft(chosen.output, root.dump(draft), _signatures)
    print("\n".join(words))


def _root_rotate(chosen: argparse.Namespace) -> None:
    old = root.load_root(read_file(chosen.old)).signed
    people = {"root": chosen.root_key, "release": chosen.release_key}
    wanted = {role: [keys.load_persons(file) for file in files] for role, files in people.items() if files}
    if chosen.online_key:
        wanted["online"] = [keys.load_public(file) for file in chosen.online_key]
    thresholds = {
        role: count
        for role, count in (("root", chosen.root_threshold), ("release", chosen.release_threshold))
        if count is not None
    }
    if not wanted and not thresholds:
        raise Usage("what is to change?", advice="Name new keys; to keep all of them, `bundles root renew`.")
    _draft_next(chosen, ceremony.next_root(old, _expires(chosen), keys=wanted, thresholds=thresholds))


def _root_revoke(chosen: argparse.Namespace) -> None:
    old = root.load_root(read_file(chosen.old)).signed
    left = ceremony.without(old, chosen.name)
    _draft_next(chosen, ceremony.next_root(old, _expires(chosen), keys=left))


def _root_renew(chosen: argparse.Namespace) -> None:
    old = root.load_root(read_file(chosen.old)).signed
    _draft_next(chosen, ceremony.next_root(old, _expires(chosen)))


def _expires(chosen: argparse.Namespace) -> datetime:
    return root.expiry(chosen.expires, now())


def _draft_next(chosen: argparse.Namespace, draft: Metadata[Root]) -> None:
    words = ceremony.check_change(draft, root.load_root(read_file(chosen.old)), now())
    write_draft(chosen.output, root.dump(draft), _signatures)
    print("\n".join(words))


def _root_sign(chosen: argparse.Namespace) -> None:
    draft = root.load_root(read_file(chosen.draft))
    previous = _previous_root(chosen, draft)
    print("\n".join(_root_words(draft, previous)))
    signer = signer_of(chosen)
    ask("Sign this root?", chosen)
    if previous is None:
        name = root.sign(draft, draft.signed, "root", signer)
    else:
        name = ceremony.sign_change(draft, previous, signer)
    write_file(chosen.draft, root.dump(draft))
    print(f"signed by {name}")


def _root_check(chosen: argparse.Namespace) -> None:
    draft = root.load_root(read_file(chosen.draft))
    previous = _previous_root(chosen, draft)
    print("\n".join(_root_words(draft, previous)))
    if previous is None:
        root.require_signed(draft.signed, "root", draft)
    else:
        ceremony.require_change_signed(draft, previous)


def _previous_root(chosen: argparse.Namespace, draft: Metadata[Root]) -> Metadata[Root] | None:
    if chosen.previous is not None:
        return root.load_root(read_file(chosen.previous))
    if draft.signed.version > 1:
        raise Usage(
            f"this is root {draft.signed.version}, which changes an older one",
            advice=f"Name root {draft.signed.version - 1} with --previous, to see the change.",
        )
    return None


def _root_words(draft: Metadata[Root], previous: Metadata[Root] | None) -> list[str]:
    if previous is None:
        return root.check_root(draft, now())
    return ceremony.check_change(draft, previous, now())


def _targets_new(chosen: argparse.Namespace) -> None:
    trusted = root.load_root(read_file(chosen.root)).signed
    expires = root.expiry(chosen.expires, now())
    root.check_expiry("targets", expires, now())
    version, programs = 1, [root.program(file.name, read_file(file)) for file in chosen.program or ()]
    if chosen.previous is not None:
        previous = root.load_targets(read_file(chosen.previous)).signed
        version = previous.version + 1
        if chosen.program is None:
            programs = list(root.programs_in(previous).values())
    online = keys.load_public(chosen.online_key)
    draft = root.new_targets(trusted, online, expires, version=version, programs=programs)
    write_draft(chosen.output, root.dump(draft), _signatures)
    print("\n".join([*root.describe_targets(draft.signed), "Nobody has signed yet."]))


def _targets_sign(chosen: argparse.Namespace) -> None:
    trusted = root.load_root(read_file(chosen.root)).signed
    draft = root.load_targets(read_file(chosen.draft))
    root.check_expiry("targets", draft.signed.expires, now())
    print("\n".join(root.describe_targets(draft.signed)))
    signer = signer_of(chosen)
    ask("Sign this?", chosen)
    name = root.sign(draft, trusted, "targets", signer)
    write_file(chosen.draft, root.dump(draft))
    print(f"signed by {name}")


def add_key_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """`bundles key …`."""
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
    add_passphrase(new)
    new.set_defaults(run=_key_new)
    import_ = verbs.add_parser("import", help="the public file of a key on a token or in a key service")
    import_.add_argument("uri", metavar="URI", help="hsm:[ID][?label=TOKEN], awskms:…, gcpkms:…")
    import_.add_argument("--name", required=True, help="whose key it is; people will read this")
    import_.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.pub.pem")
    import_.set_defaults(run=_key_import)
    show = verbs.add_parser("show", help="name and key ID of a public key")
    show.add_argument("file", type=Path, metavar="FILE.pub.pem")
    show.set_defaults(run=_key_show)


def add_root_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """`bundles root …`."""
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
    _add_root_changes(verbs)
    sign = verbs.add_parser("sign", help="add a root key's signature to a draft")
    sign.add_argument("draft", type=Path, metavar="DRAFT", help="the file that `root new` wrote")
    _add_previous(sign)
    add_key(sign, yes=True)
    sign.set_defaults(run=_root_sign)
    check = verbs.add_parser("check", help="say in words what a root says, and whether enough have signed")
    check.add_argument("draft", type=Path, metavar="ROOT", help="a root file, signed or not")
    _add_previous(check)
    check.set_defaults(run=_root_check)


def _add_previous(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--previous", type=Path, metavar="ROOT", help="the root before it, to see what changes"
    )


def _add_root_changes(verbs: Commands[argparse.ArgumentParser]) -> None:
    rotate = verbs.add_parser("rotate", help="draft the next root, with other keys")
    for role in ("root", "release", "online"):
        rotate.add_argument(
            f"--{role}-key",
            type=Path,
            nargs="+",
            default=[],
            metavar="PUB",
            help=f"all {role} keys from now on; left out, they stay",
        )
    for role in ("root", "release"):
        rotate.add_argument(f"--{role}-threshold", type=int, metavar="N", help="left out, it stays")
    rotate.set_defaults(run=_root_rotate)
    revoke = verbs.add_parser("revoke", help="draft the next root, without a lost or stolen key")
    revoke.add_argument("name", metavar="NAME", help="the key's name, as `root check` shows it")
    revoke.set_defaults(run=_root_revoke)
    renew = verbs.add_parser("renew", help="draft the next root, with the same keys and a later expiry")
    renew.set_defaults(run=_root_renew)
    for parser in (rotate, revoke, renew):
        parser.add_argument("--old", type=Path, required=True, metavar="ROOT", help="the newest signed root")
        parser.add_argument(
            "--expires", required=True, metavar="DATE", help="2030-01-31 or 20months; at most 24 months away"
        )
        parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the draft")


def add_targets_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """`bundles targets …`."""
    verbs = commands.add_parser(
        "targets", help="say which channels there are, and which updaters are genuine: targets.json"
    ).add_subparsers(required=True, metavar="VERB")
    new = verbs.add_parser("new", help="draft targets.json")
    new.add_argument("--root", type=Path, required=True, metavar="FILE", help="the signed root.json")
    new.add_argument(
        "--online-key", type=Path, required=True, metavar="PUB", help="the publishing server's .pub.pem file"
    )
    new.add_argument(
        "--expires", required=True, metavar="DATE", help="2030-01-31 or 12months; at most 12 months away"
    )
    new.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="usually targets.json")
    new.add_argument("--previous", type=Path, metavar="FILE", help="the targets.json that it replaces")
    new.add_argument(
        "--program",
        type=Path,
        nargs="*",
        metavar="EXE",
        help="all updaters for download from now on (alone: none); left out, those of --previous stay",
    )
    new.set_defaults(run=_targets_new)
    sign = verbs.add_parser("sign", help="add a release key's signature to a draft")
    sign.add_argument("draft", type=Path, metavar="DRAFT", help="the file that `targets new` wrote")
    sign.add_argument("--root", type=Path, required=True, metavar="FILE", help="the signed root.json")
    add_key(sign, yes=True)
    sign.set_defaults(run=_targets_sign)
