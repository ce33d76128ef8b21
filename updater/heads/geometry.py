"""The flash that this very device has: how large, in how many banks, in which sectors.

A ROM's layout string says what the ROM was built for, not what the part has, and an option bit may divide
the flash in another way. What is not known is not guessed: it is refused before anything is touched.
"""

from __future__ import annotations

from dataclasses import dataclass

from updater.heads.silicon import BankMode, Chip
from updater.heads.vendor import Product
from updater.words.errors import Refused, WrongDevice
from updater.words.facts import DeviceFacts, Sector


@dataclass(frozen=True, slots=True, kw_only=True)
class RealFlash:
    """The sectors of one device, and where its second bank begins when it is divided into two."""

    sectors: tuple[Sector, ...]
    bank2_at: int | None = None

    @property
    def start(self) -> int:
        return self.sectors[0].address

    @property
    def end(self) -> int:
        return self.sectors[-1].end


def flash_of(chip: Chip, facts: DeviceFacts, product: Product, *, needed_end: int) -> RealFlash:
    """The flash of this device, as far as an image that ends at `needed_end` needs to know it.

    Raises `Refused` where a size, a bank mode or a geometry is not known, `WrongDevice` where the device
    and the vendor's description of the product contradict each other.
    """
    if chip.geometry is None:
        why = chip.not_written.value if chip.not_written else "no public source says how its flash is divided"
        raise Refused(
            f"this updater does not write to a {chip.title}: {why}",
            advice="Tell the vendor: this chip is not supported yet.",
        )
    kib = _size_kib(chip, facts, product)
    mode = _bank_mode(chip, facts, product, kib)
    if kib is None and chip.layout_follows_size.value and facts.rom is not None:
        return RealFlash(sectors=facts.rom.regions[0].sectors)
    if kib is None:
        kib = _smallest(chip, needed_end, mode)
    sectors = chip.sectors(kib=kib, bank_mode=mode)
    if not sectors:
        banks = " in two banks" if mode == "dual" else ""
        raise Refused(
            f"no public source says how the flash of a {chip.title} with {kib} KiB{banks} is divided",
            advice="Tell the vendor: this part is not supported yet.",
        )
    return RealFlash(sectors=sectors, bank2_at=sectors[len(sectors) // 2].address if mode == "dual" else None)


def _bank_mode(chip: Chip, facts: DeviceFacts, product: Product, kib: int | None) -> BankMode | None:
    """None where the option changes nothing, as on parts whose size alone decides."""
    if chip.bank_mode is None:
        return None
    if kib and chip.sectors(kib=kib, bank_mode="single") == chip.sectors(kib=kib, bank_mode="dual"):
        return None
    if facts.bank_mode and product.bank_mode and facts.bank_mode != product.bank_mode:
        raise WrongDevice(
            f"the device's flash is in {facts.bank_mode} bank mode ({chip.bank_mode.option}), "
            f"but a {product.title} should be in {product.bank_mode} bank mode"
        )
    mode = facts.bank_mode or product.bank_mode
    if mode is None:
        raise Refused(
            f"it is not known whether the device's flash is in one bank or two ({chip.bank_mode.option})",
            advice="Start the device's bootloader by hand and run the same command: then it can be read. "
            "The vendor can also state bank_mode in the product's description.",
        )
    return mode


def _size_kib(chip: Chip, facts: DeviceFacts, product: Product) -> int | None:
    """What the flash-size register says, or the vendor; None when neither does and there are several."""
    if facts.flash_kib and product.flash_kib and facts.flash_kib != product.flash_kib:
        raise WrongDevice(
            f"the device has {facts.flash_kib} KiB of flash, but a {product.title} has {product.flash_kib}"
        )
    sizes = chip.sizes_kib.value
    return facts.flash_kib or product.flash_kib or (sizes[0] if len(sizes) == 1 else None)


def _smallest(chip: Chip, needed_end: int, mode: BankMode | None) -> int:
    """The smallest size, where the image lies in sectors that parts of every size have alike."""
    sizes = chip.sizes_kib.value
    parts = [chip.sectors(kib=kib, bank_mode=mode) for kib in sizes]
    needed = {tuple(sector for sector in part if sector.address < needed_end) for part in parts}
    words = ", ".join(str(kib) for kib in sizes)
    if len(needed) > 1 or any(not part or part[-1].end < needed_end for part in parts):
        raise Refused(
            f"it is not known how much flash this {chip.title} has (parts have {words} KiB), "
            "and not all of them have the sectors that the update needs",
            advice="Tell the vendor: state flash_kib in the product's description.",
        )
    return min(sizes)
