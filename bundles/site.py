"""The published site: a TUF repository of static files, in a folder that any web server can show.

    metadata/   N.root.json, N.targets.json, N.stable.json, N.stable-00.json …, N.snapshot.json,
                timestamp.json
    targets/    CHANNEL/PRODUCT/SHA256.current.fwb and SHA256.VERSION.fwb (the same bytes, twice addressable)
                stable/catalogue/SHA256.current.dsse, the catalogue of products
                updater/SHA256.NAME, the programs for which people have signed
    updater/    HASH/NAME, the same programs under their own names, and index.json, which of them pages offer
    files/      PRODUCT-VERSION.fwb for e-mail and sticks, catalogue-VERSION.dsse
    rehearsals/ PRODUCT-VERSION.rehearsal, the signed-off records
    u/          PRODUCT/CHANNEL/VERSION/index.html, the pages that update links point to

Each channel delegates to hash bins, so that no client downloads the list of all releases. Whatever
exists is never rewritten, except timestamp.json, index.json and the pages: changes are new files, and
they are invisible until the snapshot and, last, the timestamp name them. A crash in between changes
nothing, and nothing is ever deleted: a slow client goes on with the state that it has begun to read.
One process at a time works on a site; a second one waits.
TUF specification 1.0.34, sections 4.4 to 4.6 and 6.2; TAP 15 for the bins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from semver import Version
from tuf.api.metadata import (
    Delegations,
    MetaFile,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)

from updater.heads.catalogue import TARGET_PATH
from updater.heads.gate import Catalogue, verify_bundle, verify_catalogue
from updater.heads.manifest import Manifest
from updater.heads.silicon import the_table
from updater.heads.trust import walk_roots
from updater.words.errors import NotTrusted, Refused, Usage
from updater.words.facts import RESERVED_PRODUCT, Channel

from . import announce
from .announce import CURRENT, Staging, path_of
from .catalogue import check_change, payload_sha256, signature_words
from .catalogue import read as read_catalogue
from .expiry import CHANNEL_LIFE, SNAPSHOT_LIFE, TIMESTAMP_LIFE
from .files import read_file
from .record import check_record
from .release import read_draft
from .root import CHANNELS, chain_of, load_targets, require_signed
from .sitefolder import Release, SiteFolder, record_name

__all__ = ["BIN_BITS", "Release", "Site"]

BIN_BITS = 8
_RENEW_BEFORE = CHANNEL_LIFE / 2


class Site(SiteFolder):
    """A site to work on: what is set, withdrawn and trusted becomes visible by `publish`."""

    def create(self, roots: Sequence[bytes], targets: bytes, *, bin_bits: int = BIN_BITS) -> None:
        """Begin a site: the roots from the first on, the signed targets.json, and empty channels."""
        if (self.folder / "metadata").exists():
            raise Usage(f"{self.folder} holds a site already", advice="Choose a new folder.")
        self._check_trust(roots, targets)
        for number, root in enumerate(roots, start=1):
            self._write(f"metadata/{number}.root.json", root)
        self._write(f"metadata/{load_targets(targets).signed.version}.targets.json", targets)
        for channel in CHANNELS:
            bins = SuccinctRoles([self._key.public_key.keyid], 1, bin_bits, channel)
            delegations = Delegations({self._key.public_key.keyid: self._key.public_key}, None, bins)
            self._put(channel, Targets(version=1, delegations=delegations), CHANNEL_LIFE)
            for name in bins.get_roles():
                self._put(name, Targets(version=1), CHANNEL_LIFE)

    def set_current(
        self,
        channel: Channel,
        data: bytes,
        staging: Staging | None = None,
        rehearsal: bytes | None = None,
    ) -> Manifest:
        """Make this bundle the channel's current release of its product, and addressable by version.

        Nobody sees it before `publish`. `rehearsal` is the signed record of `bundles rehearse`. Raises
        NotTrusted for a bundle that too few people signed, and Refused for one that its signers did not
        make for this channel, another one of this version, or a record that is not of this bundle.
        """
        with self._alone():
            self._check()
            roots = self._roots()
            try:
                bundle = verify_bundle(data, embedded_root=roots[0], known_roots=roots[1:], now=self.now)
            except NotTrusted as error:
                raise NotTrusted(
                    error.message, advice="Only what customers would accept is published."
                ) from error
            manifest = bundle.manifest
            if channel not in CHANNELS or channel not in manifest.channels:
                raise Refused(
                    f"its signers did not release {manifest.product} {manifest.version} for {channel}",
                    advice="Build and sign it with this channel in its recipe.",
                )
            self._refuse_other_content(channel, manifest, bundle.manifest_sha256)
            current = announce.said_of(self._entry(channel, manifest.product, CURRENT))
            said, now = announce.entries(manifest, staging or Staging(), current)
            if rehearsal is not None:
                check_record(rehearsal, self._root(), bundle.manifest_sha256)
                self._write(record_name(manifest.product, str(manifest.version)), rehearsal)
            self._list(channel, manifest, data, said, now)
            return manifest

    def set_catalogue(self, data: bytes) -> Catalogue:
        """Make this the site's catalogue of products. Nobody sees it before `publish`.

        Raises NotTrusted for one that too few people signed, and Refused for one that does not follow the
        site's; the same one with more signatures may come again.
        """
        with self._alone():
            self._check()
            roots = self._roots()
            found = verify_catalogue(
                data, embedded_root=roots[0], known_roots=roots[1:], chips=the_table().chip_ids
            )
            listed = self.catalogue()
            if listed is not None and payload_sha256(listed) != payload_sha256(data):
                check_change(found, read_catalogue(listed))
            self._write(f"files/{RESERVED_PRODUCT}-{found.version}.dsse", data)
            target = TargetFile.from_data(TARGET_PATH, data, ["sha256"])
            self._write(f"targets/{target.get_prefixed_paths()[0]}", data)
            self._put_entries(Channel.STABLE, [target])
            return found

    def _list(
        self,
        channel: Channel,
        manifest: Manifest,
        data: bytes,
        said: Mapping[str, object],
        now: Mapping[str, object],
    ) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self._write(f"files/{manifest.product}-{manifest.version}.fwb", data)
        changed = []
        for name, custom in ((str(manifest.version), said), (CURRENT, now)):
            self._write(f"targets/{channel}/{manifest.product}/{digest}.{name}.fwb", data)
            target = TargetFile.from_data(path_of(channel, manifest.product, name), data, ["sha256"])
            target.unrecognized_fields["custom"] = dict(custom)
            changed.append(target)
        self._put_entries(channel, changed)

    def _put_entries(self, channel: Channel, changed: Sequence[TargetFile]) -> None:
        """New versions of the bins of these entries; `current` comes last, for a crash in between."""
        bins: dict[str, Targets] = {}
        for target in changed:
            role = self._bins(channel).get_role_for_target(target.path)
            bins.setdefault(role, self._targets(role)).targets[target.path] = target
        for role, bin_ in bins.items():
            bin_.version += 1
            self._put(role, bin_, CHANNEL_LIFE)

    def withdraw(
        self, channel: Channel, product: str, version: Version, back_to: Version | None = None
    ) -> None:
        """Nobody shall install this version any more; with `back_to` that one becomes current instead.

        The entry and its file stay, so that updaters can say what happened. Nobody sees it before
        `publish`. Raises Usage for a version that the channel does not list, Refused for one that is
        withdrawn already.
        """
        with self._alone():
            self._check()
            bad = self._listed(channel, product, version)
            current = self._listed(channel, product, CURRENT)
            if str(version) in announce.said_of(current).get("withdrawn", ()):
                raise Refused(f"{product} {version} is withdrawn already", advice="There is nothing to do.")
            said = announce.said_of(current)
            if said.get("previous") == str(version):
                del said["previous"]
            if back_to is not None:
                good = self._listed(channel, product, back_to)
                if str(back_to) in (str(version), *said.get("withdrawn", ())):
                    raise Refused(f"{product} {back_to} is withdrawn itself", advice="Name a good release.")
                current = self._copy_to_current(channel, product, good)
                said = announce.said_of(good) | {"withdrawn": said.get("withdrawn", [])}
            bad.unrecognized_fields["custom"] = announce.said_of(bad) | {"withdrawn": [str(version)]}
            current.unrecognized_fields["custom"] = announce.withdraw(said, str(version))
            self._put_entries(channel, [bad, current])

    def _copy_to_current(self, channel: Channel, product: str, good: TargetFile) -> TargetFile:
        data = read_file(self.folder / "targets" / good.get_prefixed_paths()[0])
        target = TargetFile.from_data(path_of(channel, product, CURRENT), data, ["sha256"])
        self._write(f"targets/{target.get_prefixed_paths()[0]}", data)
        return target

    def publish(self, *, unrehearsed: bool = False) -> None:
        """Sign a new snapshot of all that lies here, and then the timestamp that makes it visible.

        Raises Refused for a new release without a record of its rehearsal, unless `unrehearsed`, and for
        one that leads devices to a version which is not listed.
        """
        with self._alone():
            self._check()
            shown = self._timestamp_version()  # may refuse, so it comes before the first file is written
            for channel, target in self._news():
                self._check_news(channel, target, unrehearsed=unrehearsed)
            newest = self._newest()
            self._renew([name for name in newest if name.split("-")[0] in CHANNELS])
            self._show(shown + 1, self._newest())

    def trust(self, roots: Sequence[bytes], targets: bytes) -> list[str]:
        """Take over new roots and targets.json, and show them: after a rotation, a revocation, a renewal.

        `roots` are those that follow the site's newest. With another online key everything that it signs is
        signed anew. Answers the releases that lack signatures under the new root. Run again after a crash:
        it finishes what was begun.
        """
        with self._alone():
            known = self._roots()
            chain = [*known, *(root for root in roots if root not in known)]
            self._check_trust(chain, targets)
            shown = self._timestamp_version()
            version = load_targets(targets).signed.version
            if version < self._newest()["targets"]:
                raise Refused(
                    f"targets {version} is older than the site's", advice="Draft it with --previous."
                )
            self._write(f"metadata/{version}.targets.json", targets)
            self._rekey()
            self._show(shown + 1, self._newest(), before=lambda: self._add_roots(chain, len(known)))
            return self._short_of_signatures(chain)

    def _add_roots(self, chain: Sequence[bytes], known: int) -> None:
        for number, root in enumerate(chain[known:], start=known + 1):
            self._write(f"metadata/{number}.root.json", root)

    def _rekey(self) -> None:
        """Everything that another online key has signed is signed by this one."""
        keyid = self._key.public_key.keyid
        for name in [name for name in self._newest() if name.split("-")[0] in CHANNELS]:
            metadata = load_targets(read_file(self._path(name)))
            if keyid in metadata.signatures:
                continue
            role, bins = metadata.signed, metadata.signed.delegations
            if bins is not None and bins.succinct_roles is not None:
                bins.keys = {keyid: self._key.public_key}
                bins.succinct_roles.keyids = [keyid]
            role.version += 1
            self._put(name, role, CHANNEL_LIFE)

    def _short_of_signatures(self, chain: Sequence[bytes]) -> list[str]:
        short = []
        for one in self.releases():
            entry = self._listed(one.channel, one.product, one.version)
            data = read_file(self.folder / "targets" / entry.get_prefixed_paths()[0])
            try:
                verify_bundle(data, embedded_root=chain[0], known_roots=chain[1:], now=self.now)
            except NotTrusted:
                short.append(f"{one.channel} {one.product} {one.version}")
        listed, root = self.catalogue(), walk_roots(chain[0], chain[1:]).root
        if listed is not None and not signature_words(listed, root)[1]:
            short.append("the catalogue of products")
        return short

    def refresh(self) -> list[str]:
        """Sign again what is visible now, and nothing else: for cron. Answers what waits for `publish`."""
        with self._alone():
            self._check()
            shown, seen = self._timestamp_version(), self._published()
            if not seen:
                raise Usage(f"{self.folder} was never published", advice="Run `bundles publish` first.")
            newest = self._newest()
            waiting = sorted(name for name, version in seen.items() if newest[name] != version)
            same = [name for name in seen if name not in waiting and name.split("-")[0] in CHANNELS]
            self._renew(same)
            after = self._newest()
            self._show(shown + 1, {name: seen[name] if name in waiting else after[name] for name in seen})
            return waiting

    def _show(
        self,
        timestamp_version: int,
        roles: Mapping[str, int],
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """The snapshot, whatever must come `before` the timestamp, and the timestamp."""
        names = (name for name in roles if name not in ("root", "snapshot"))
        meta = {f"{name}.json": MetaFile(roles[name]) for name in names}
        version = self._newest().get("snapshot", 0) + 1
        snapshot = self._signed(Snapshot(version=version, meta=meta), SNAPSHOT_LIFE)
        self._write(f"metadata/{version}.snapshot.json", snapshot)
        digest = {"sha256": hashlib.sha256(snapshot).hexdigest()}  # two sites' states never look the same
        timestamp = Timestamp(
            version=timestamp_version, snapshot_meta=MetaFile(version, len(snapshot), digest)
        )
        before()
        self._write("metadata/timestamp.json", self._signed(timestamp, TIMESTAMP_LIFE))

    def _check_news(self, channel: Channel, target: TargetFile, *, unrehearsed: bool) -> None:
        if target.path == TARGET_PATH:
            return  # what it says was checked when it was set
        said = announce.said_of(target)
        product, version = target.path.split("/")[1], said["version"]
        for other in announce.led_to(said):
            if self._entry(channel, product, other) is None:
                raise Refused(
                    f"{channel} leads devices from {product} {version} to {other}, which it does not list",
                    advice=f"Put {other} into {channel} first with `bundles channel set`.",
                )
        if unrehearsed or said.get("withdrawn") or target.path.endswith(f"/{CURRENT}.fwb"):
            return
        record = self.folder / record_name(product, version)
        if not record.exists():
            raise Refused(
                f"{product} {version} was not rehearsed",
                advice="Run `bundles rehearse`, and `bundles channel set` again; or give --unrehearsed.",
            )
        data = read_file(self.folder / "targets" / target.get_prefixed_paths()[0])
        check_record(read_file(record), self._root(), read_draft(data).manifest_sha256)

    def _refuse_other_content(self, channel: Channel, manifest: Manifest, manifest_sha256: str) -> None:
        """A version number means one thing for ever; only more signatures may be added to it."""
        known = self._entry(channel, manifest.product, manifest.version)
        if known is None:
            return
        data = read_file(self.folder / "targets" / known.get_prefixed_paths()[0])
        if read_draft(data).manifest_sha256 != manifest_sha256:  # signed once, perhaps by a key since revoked
            raise Refused(
                f"{manifest.product} {manifest.version} is published already, with other content",
                advice="Give the changed firmware a new version number.",
            )

    def _renew(self, names: Sequence[str]) -> None:
        """Sign again what would expire soon, so that daily publishing keeps a quiet channel alive."""
        for name in names:
            role = self._targets(name)
            if role.expires - self.now < _RENEW_BEFORE:
                role.version += 1
                self._put(name, role, CHANNEL_LIFE)

    def _check(self) -> None:
        self._check_trust(self._roots(), read_file(self._path("targets")))

    def _check_trust(self, roots: Sequence[bytes], targets_json: bytes) -> None:
        """What a client will check, and that the key at hand is the one which the root names."""
        chain = chain_of(roots)
        if len(chain.versions) != len(roots):
            raise NotTrusted("the site's roots are not an unbroken chain", advice="Sign the newest root.")
        root = chain.root
        targets = load_targets(targets_json)
        require_signed(root, "targets", targets)
        for role, signed in (("root", root), ("targets", targets.signed)):
            if signed.is_expired(self.now):
                raise Refused(f"{role}.json expired on {signed.expires:%Y-%m-%d}", advice="Renew it first.")
        keyid = self._key.public_key.keyid
        if any(keyid not in root.roles[role].keyids for role in ("snapshot", "timestamp")):
            raise Refused("this key is not the online key of the site's root", advice="Use the online key.")
