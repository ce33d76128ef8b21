"""A device in words: who it is, which silicon it has, how each thing is known, and what to know of it."""

from __future__ import annotations

from updater.heads.silicon import the_table
from updater.words.facts import DeviceFacts, IdentityFrom, Mode


def device_rows(facts: DeviceFacts, *, explain: bool) -> list[tuple[str, str]]:
    """What is known of a device, as pairs of a name and a text; with `explain` for a newcomer."""
    rows = [("port", f"{facts.port} ({facts.usb})"), ("runs", _running(facts))]
    if facts.product:
        hardware = f", hardware {facts.hardware}" if facts.hardware else ""
        rows.append(("product", f"{facts.product}{hardware}"))
    if facts.version:
        rows.append(("version", f"{facts.version} (security counter {facts.security_counter})"))
    if facts.serial:
        rows.append(("serial", facts.serial))
    if facts.chips:
        rows += _silicon_words(facts, explain=explain)
    elif facts.rom is not None:
        rows.append(("silicon", "none that this updater knows"))
    if facts.mode is Mode.ROM:
        rows.append(("identity", IDENTITY_WORDS[facts.identity]))
    rows += _limitation_words(facts, explain=explain)
    if facts.problem:
        rows.append(("problem", facts.problem))
    if facts.refused:
        rows.append(("not updated", facts.refused))
    return rows


def _running(facts: DeviceFacts) -> str:
    if facts.mode is Mode.APPLICATION:
        return "its application" if facts.product else "an application that does not say what it is"
    if facts.refused and facts.mode is Mode.OTHER:
        return "a bootloader that is not an STM32's own"
    return "its bootloader (ROM)" if facts.mode is Mode.ROM else "something that this updater does not know"


def _silicon_words(facts: DeviceFacts, *, explain: bool) -> list[tuple[str, str]]:
    """Chip, revision, ROM and flash, and how each is known; explained for who does not know the words."""
    titles = [chip.title for chip in the_table().chip if chip.id in facts.chips]
    if facts.chip is None:
        rows = [("silicon", f"one of {', '.join(titles)}: these look alike over USB")]
        return [*rows, ("", _EXPLAINED["silicon"])] if explain else rows
    concluded = " (by what its bootloader shows)" if facts.mode is Mode.ROM else ""
    rows = [
        ("silicon", f"{titles[0]}{concluded}"),
        ("revision", _revision_words(facts)),
        ("ROM", _rom_words(facts)),
    ]
    if facts.flash_kib:
        rows.append(("flash", f"{facts.flash_kib:,} KiB (read from the chip)"))
    if facts.bank_mode:
        banks = "two banks" if facts.bank_mode == "dual" else "one bank"
        rows.append(("flash is in", f"{banks} (read from the option bytes)"))
    if not explain:
        return rows
    return [line for row in rows for line in (row, ("", _EXPLAINED.get(row[0], ""))) if line[1]]


_EXPLAINED = {
    "silicon": "The processor inside the device.",
    "revision": "The edition of that processor, also called its stepping. The maker improves a chip without "
    "giving it another name; the letter is printed on the chip.",
    "ROM": "The version of the bootloader that was built into the chip when it was made. It cannot be "
    "changed, and each version has its own faults.",
    "flash": "The memory that holds the device's program.",
    "flash is in": "How the chip divides that memory, which decides what can be erased by itself.",
}


def _revision_words(facts: DeviceFacts) -> str:
    if facts.revision and facts.revision_from == "rom-serial":
        return f"rev {facts.revision} (from the bootloader's serial number)"
    if facts.revision and facts.revision_from == "journal":
        return f"rev {facts.revision} (said by the application before the update that was not finished)"
    if facts.revision:
        return f"rev {facts.revision} (said by the application)"
    if facts.mode is Mode.ROM:
        return "not readable (this chip's bootloader does not tell it over USB)"
    return "not known (the application says one that this updater does not know)"


def _rom_words(facts: DeviceFacts) -> str:
    if facts.rom_version is None:
        return "not readable; the updater assumes the worst"
    how = "read from the ROM" if facts.rom_version_from == "rom-id" else "said by the application"
    return f"0x{facts.rom_version:02X} ({how})"


def _limitation_words(facts: DeviceFacts, *, explain: bool) -> list[tuple[str, str]]:
    """What the updater works around; with `explain` also what is only good to know, and who says so."""
    rows = []
    for limitation in facts.limitations:
        if explain or limitation.handled:
            rows.append(("limitation", limitation.text))
        if explain:
            rows += [("  source", source) for source in limitation.source]
    unsaid = sum(not limitation.handled for limitation in facts.limitations)
    if unsaid and not explain:
        more = f"{unsaid} thing{'s that are' if unsaid > 1 else ' that is'} good to know of this chip"
        rows.append(("more", f"`updater devices --explain` tells {more}"))
    return rows


IDENTITY_WORDS = {
    IdentityFrom.APPLICATION: "said by the application",
    IdentityFrom.UID: "proved by the chip's unique number",
    IdentityFrom.SERIAL: "proved by the serial number that was foretold",
    IdentityFrom.HEADER: "proved by the product header in its flash",
    IdentityFrom.OTP: "proved by its one-time-programmable memory",
    IdentityFrom.JOURNAL: "proved by the journal of an unfinished update and what the flash still holds",
    IdentityFrom.PERSON: "not proven; a person said so",
    IdentityFrom.NONE: "not known",
}
