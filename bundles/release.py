"""From a recipe to a signed bundle: build, sign, show.

An unsigned bundle is a bundle whose envelope has no signatures yet. Signing adds a signature and
changes nothing else, so two engineers can compare the manifest's SHA-256, which does not depend on who
signed in which order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import Signer

from updater.heads.container import ENVELOPE, LAYOUT, contents_of, read_container, roots_of, write_container
from updater.heads.manifest import (
    SCHEMA,
    Image,
    LayoutFile,
    Manifest,
    ManifestSegment,
    format_manifest,
    parse_manifest,
)
from updater.heads.report import bundle_line
from updater.heads.trust import PAYLOAD_TYPE, Envelope, Root, format_envelope, parse_envelope, walk_roots
from updater.heads.vendor import Vendor
from updater.words.errors import NotTrusted, Refused, Usage
from updater.words.facts import Segment

from .choice import check_choice
from .descriptor import described_product, refuse_kept
from .files import read_file
from .keys import name_of
from .layout import layout_words, read_layout
from .placement import place
from .recipe import Recipe, RecipeImage, image_segments
from .root import chain_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a bundle says of itself, signed or not. Good for showing; never a proof."""

    manifest: Manifest
    manifest_sha256: str
    root: Root
    signed_by: tuple[str, ...]
    threshold: int
    layout: bytes | None = None

    @property
    def complete(self) -> bool:
        return len(self.signed_by) >= self.threshold


def build(
    recipe: Recipe, folder: Path, roots: Sequence[bytes] = (), *, vendor: Vendor | None = None
) -> bytes:
    """The unsigned bundle: the same recipe, inputs and roots are the same bytes.

    `folder` is the recipe's; `roots` replace those that the recipe names. With a `vendor`, what its
    descriptor of the product forbids is refused here already. Raises Usage, NotTrusted, Refused.
    """
    roots = tuple(roots) or tuple(read_file(folder / name) for name in recipe.roots)
    if not roots:
        raise Usage("the recipe names no root", advice="Name at least the first root under `roots`.")
    chain = chain_of(roots)
    if chain.versions != roots:
        raise NotTrusted("the roots are not an unbroken chain", advice="List all of them, oldest first.")
    members = {f"root/{chain.version - len(roots) + 1 + n}.root.json": root for n, root in enumerate(roots)}
    product = described_product(recipe, vendor) if vendor is not None else None
    check_choice(recipe, product)
    images = []
    for image in recipe.images:
        segments = place(image.name, image.for_, image_segments(recipe, image, folder), product)
        if product is not None:
            refuse_kept(image, segments, product)
        images.append(_image(image, segments))
        members |= {_file(image, part): part.data for part in segments}
    layout = read_layout(recipe, folder, product)
    if layout is not None:
        members[LAYOUT] = layout
    payload = format_manifest(_manifest(recipe, tuple(images), layout))
    try:
        parse_manifest(payload)  # the customer's own reader has the last word
    except (NotTrusted, Refused) as error:
        raise Usage(f"the recipe breaks a rule: {error.message}", advice="Correct the recipe.") from error
    members[ENVELOPE] = format_envelope(Envelope(payload, PAYLOAD_TYPE, {}))
    return write_container(members)


def read_draft(data: bytes) -> Draft:
    """Look into a bundle, signed or not. Raises NotTrusted when it is not one."""
    members = read_container(data)
    roots = roots_of(members)
    if not roots:
        raise NotTrusted("the bundle carries no root", advice="Build it again with `roots` in its recipe.")
    root = walk_roots(roots[0], roots[1:]).root
    envelope = parse_envelope(members[ENVELOPE])
    manifest = parse_manifest(envelope.payload)
    _compare(manifest, contents_of(members))
    verdict = root.get_verification_result("targets", envelope.pae(), envelope.signatures)
    return Draft(
        manifest=manifest,
        manifest_sha256=hashlib.sha256(envelope.payload).hexdigest(),
        root=root,
        signed_by=tuple(sorted(name_of(key) for key in verdict.signed.values())),
        threshold=verdict.threshold,
        layout=members.get(LAYOUT),
    )


def sign(data: bytes, signer: Signer) -> bytes:
    """The bundle with one more signature.

    Raises Refused for a key that the root does not name as a release key, or that has signed already.
    """
    draft = read_draft(data)
    keyid = signer.public_key.keyid
    if keyid not in draft.root.roles["targets"].keyids:
        raise Refused(
            "this key is not one of the release keys in the bundle's root",
            advice="Sign with a key that `root new` got as --release-key.",
        )
    members = read_container(data)
    envelope = parse_envelope(members[ENVELOPE])
    if keyid in envelope.signatures:
        raise Refused(
            f"{name_of(draft.root.keys[keyid])} has signed this bundle already",
            advice="A second person has to sign.",
        )
    envelope.sign(signer)
    return write_container(members | {ENVELOPE: format_envelope(envelope)})


def with_roots(data: bytes, roots: Sequence[bytes]) -> bytes:
    """The bundle with this longer chain of roots, so that keys of the newest can sign it.

    Raises NotTrusted when they are no unbroken chain that begins with the bundle's own.
    """
    members = read_container(data)
    own = roots_of(members)
    if tuple(roots[: len(own)]) != tuple(own) or walk_roots(roots[0], roots[1:]).versions != tuple(roots):
        raise NotTrusted(
            "these roots do not continue those of the bundle", advice="Name all of them, oldest first."
        )
    first = walk_roots(roots[0], roots[1:]).version - len(roots) + 1
    return write_container(members | {f"root/{first + n}.root.json": root for n, root in enumerate(roots)})


def compare(data: bytes, rebuilt: bytes) -> list[str]:
    """How a bundle differs from one that was rebuilt from the recipe, in words; empty when it does not.

    Signatures are left out: two people sign the same manifest. Images and OTP layout are compared byte by
    byte.
    """
    one, other = read_draft(data), read_draft(rebuilt)
    differences = []
    if one.manifest_sha256 != other.manifest_sha256:
        for field in one.manifest.__struct_fields__:
            said, built = getattr(one.manifest, field), getattr(other.manifest, field)
            if said != built and field not in ("images", "otp"):
                differences.append(f"{field}: the bundle says {said}, the rebuild {built}")
    mine, theirs = contents_of(read_container(data)), contents_of(read_container(rebuilt))
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in theirs or name not in mine:
            differences.append(f"{name}: only in the {'bundle' if name in mine else 'rebuild'}")
        elif mine[name] != theirs[name]:
            at = next(
                (n for n, (a, b) in enumerate(zip(mine[name], theirs[name], strict=False)) if a != b), None
            )
            where = f"first at byte {at}" if at is not None else "in their length"
            differences.append(f"{name}: the bytes differ, {where}")
    if one.manifest_sha256 != other.manifest_sha256 and not differences:
        differences.append("images: the manifest describes them otherwise")
    return differences


def describe(draft: Draft) -> list[str]:
    """A bundle in words, one line each."""
    manifest = draft.manifest
    words = [
        f"{manifest.product} {manifest.version} for hardware {', '.join(manifest.hardware)}",
        f"security counter {manifest.security_counter}, channels {', '.join(manifest.channels)}",
        f"created {manifest.created}, needs updater {manifest.min_tool} or newer",
    ]
    if manifest.accept_no_recovery:
        words.append("ACCEPTS DEVICES WITHOUT A WAY TO RECOVER")
    for image in manifest.images:
        words += describe_image(image)
    if manifest.otp is not None and draft.layout is not None:
        words.append(f"OTP layout {manifest.otp.length} bytes sha256 {manifest.otp.sha256}")
        words += layout_words(draft.layout)
    return [*words, f"manifest sha256 {draft.manifest_sha256}", signature_words(draft)]


def signature_words(draft: Draft) -> str:
    """Who has signed, and how many must."""
    signers = ", ".join(draft.signed_by) or "nobody"
    return f"signed by {signers} ({len(draft.signed_by)} of {draft.threshold} needed signatures)"


def describe_image(image: Image) -> list[str]:
    """One image in words: the silicon it is for, and its segments."""
    return [
        f"image {image.name} for {_silicon(image)}",
        *(f"  0x{part.address:08X} {part.length} bytes sha256 {part.sha256}" for part in image.segments),
    ]


def as_json(draft: Draft) -> dict[str, object]:
    """A bundle as the JSON line of `updater verify` (docs/json.md), however many have signed it yet."""
    return bundle_line(
        draft.manifest,
        signed_by=draft.signed_by,
        threshold=draft.threshold,
        root_version=draft.root.version,
        manifest_sha256=draft.manifest_sha256,
    )


def _manifest(recipe: Recipe, images: tuple[Image, ...], layout: bytes | None) -> Manifest:
    return Manifest(
        schema=SCHEMA,
        product=recipe.product,
        hardware=recipe.hardware,
        version=recipe.version,
        security_counter=recipe.security_counter,
        channels=recipe.channels,
        created=recipe.created,
        min_tool=recipe.min_tool,
        from_min_version=recipe.from_min_version,
        accept_no_recovery=recipe.accept_no_recovery,
        notes=recipe.notes,
        images=images,
        otp=LayoutFile(length=len(layout), sha256=hashlib.sha256(layout).hexdigest()) if layout else None,
    )


def _image(image: RecipeImage, segments: Sequence[Segment]) -> Image:
    return Image(
        name=image.name,
        for_=image.for_,
        segments=tuple(
            ManifestSegment(
                address=part.address,
                length=len(part.data),
                sha256=hashlib.sha256(part.data).hexdigest(),
                file=_file(image, part),
            )
            for part in segments
        ),
    )


def _file(image: RecipeImage, part: Segment) -> str:
    return f"images/{image.name}-{part.address:08x}.bin"


def _compare(manifest: Manifest, files: dict[str, bytes]) -> None:
    """Nobody signs a description whose bytes are others."""
    parts = [part for image in manifest.images for part in image.segments]
    said = {part.file: part.sha256 for part in parts}
    if manifest.otp is not None:
        said[LAYOUT] = manifest.otp.sha256
    if said != {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}:
        raise NotTrusted(
            "the images or the OTP layout are not those of the manifest", advice="Build the bundle again."
        )


def _silicon(image: Image) -> str:
    chosen = image.for_
    words = ["dev_id " + ", ".join(f"0x{dev_id:03X}" for dev_id in chosen.dev_ids)]
    if chosen.revisions:
        words.append("revision " + ", ".join(chosen.revisions))
    if chosen.rom_versions:
        words.append("ROM " + ", ".join(f"0x{rom:02X}" for rom in chosen.rom_versions))
    return "; ".join(words)
