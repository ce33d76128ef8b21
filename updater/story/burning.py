"""Burning: an OTP plan is carried out on an open bootloader, and every byte of the area is read back.

The area is read again right before the first byte is sent. After each run the whole of it, lock bytes
included, is read and compared with what it must hold then, before the next run is sent: that a download
was answered with OK proves nothing (AN3156 on write protection), and a bootloader that burns a neighbour
must not be given a second chance.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NoReturn

from updater.hands.usbio import FLASH_ALTERNATE, Clock, Wire
from updater.heads.dfu.scripts import (
    Pace,
    get_status,
    go_to_idle,
    leave,
    read,
    read_if_allowed,
    select,
    write,
)
from updater.heads.dfu.words import (
    DeviceRefused,
    Out,
    Request,
    Script,
    Stalled,
    StatusCode,
    Vanished,
    WireError,
)
from updater.heads.otp.lock import LockPlan
from updater.heads.otp.plan import BLANK, OtpContents, OtpPlan, alternate_of, otp_area
from updater.heads.silicon import Behaviour, Chip
from updater.heads.vendor import Recovery
from updater.story.steps import Steps
from updater.words.errors import (
    Cancelled,
    DeviceIs,
    NotFinished,
    Protected,
    Refused,
    UpdaterError,
    UsbFailed,
    WrongDevice,
)
from updater.words.events import Step
from updater.words.facts import DeviceFacts, Segment


def glimpse(wire: Wire, behaviour: Behaviour, facts: DeviceFacts, clock: Clock) -> OtpContents:
    """What the OTP memory holds, read beside other work; the flash's alternate is selected again.

    Raises `Protected`, `Refused`, `WrongDevice`; lets wire errors through.
    """
    heard, burner = wire.on_bytes, Burner(wire, Steps(lambda _event: None, clock), behaviour, facts)
    try:
        burner.select()
        contents = burner.read()
        if burner.alternate is not None:
            wire.run(go_to_idle(behaviour.pace.may_stick))
            wire.run(select(FLASH_ALTERNATE))
        return contents
    finally:
        wire.on_bytes = heard


class Burner:
    """The OTP memory behind one wire. `touched` says whether a byte may have been burnt.

    `alternate` is the setting that holds the memory; None where it is reached by its address alone.
    """

    def __init__(self, wire: Wire, steps: Steps, behaviour: Behaviour, facts: DeviceFacts) -> None:
        self._wire, self._steps = wire, steps
        self._chip, self._pace = behaviour.chip, behaviour.pace
        self._area = otp_area(self._chip)
        self._regions = facts.rom.regions if facts.rom else ()
        self.alternate: int | None = None
        self.touched = False
        wire.on_bytes = steps.moved

    def select(self) -> None:
        """Choose the alternate setting of the OTP memory, where the bootloader has one. Raises `Refused`."""
        self.alternate = alternate_of(self._area, self._regions)
        if self.alternate is not None:
            self._wire.run(go_to_idle(self._pace.may_stick))
            self._wire.run(select(self.alternate))

    def read(self) -> OtpContents:
        """What the memory holds: the first look. Raises `Protected` or `Refused`."""
        with self._steps.whole(Step.READ, self._area.bytes + self._area.lock_bytes):
            return self._read()

    def burn(self, plan: OtpPlan) -> None:
        """Send the runs of the plan, each proved before the next. What must be so is in `perform`."""
        self._check_same(plan.before)
        size = plan.area.bytes + plan.area.lock_bytes
        self._steps.open(Step.WRITE, plan.write_bytes)
        self._steps.open(Step.VERIFY, size * len(plan.runs))
        holds = plan.before
        for run in plan.runs:
            expected = _with(holds, run, plan)
            self._burn(run, holds)
            with self._steps.during(Step.VERIFY):
                back = self._read()
            self._check(back, holds, expected, plan.before)
            holds = expected
        for step in (Step.WRITE, Step.VERIFY):
            self._steps.close(step)

    def lock(self, plan: LockPlan) -> None:
        """Send the one unit with the lock byte, and prove that this byte alone has changed."""
        if plan.run is None:
            return
        self._check_same(plan.before)
        size = plan.area.bytes + plan.area.lock_bytes
        self._steps.open(Step.WRITE, len(plan.run.data))
        self._steps.open(Step.VERIFY, size)
        self._burn(plan.run, plan.before)
        with self._steps.during(Step.VERIFY):
            back = self._read()
        self._check(back, plan.before, plan.after, plan.before)
        for step in (Step.WRITE, Step.VERIFY):
            self._steps.close(step)

    def _check_same(self, before: OtpContents) -> None:
        if self._read() != before:
            raise WrongDevice(
                "the OTP memory does not hold any more what it held when the plan was made",
                advice="Nothing was written. Run the command again: it makes a new plan.",
            )

    def leave(self) -> None:
        """Start the application; whether it runs is seen by its coming back."""
        start_application(self._wire, self._chip, self._pace, reselect=self.alternate is not None)

    def _read(self) -> OtpContents:
        area = self._area
        data = self._upload(area.at, area.bytes)
        return OtpContents(data, self._upload(area.lock_at, area.lock_bytes) if area.lock_bytes else b"")

    def _upload(self, address: int, length: int) -> bytes:
        self._wire.run(go_to_idle(self._pace.may_stick))
        try:
            return self._wire.run(read(address, length, self._pace))
        except DeviceRefused as error:
            self._refuse_unreadable(error.code, error)
        except Stalled as error:
            self._refuse_unreadable(self._wire.run(get_status()).code, error)

    def _refuse_unreadable(self, code: int, error: WireError) -> NoReturn:
        if self.touched:
            raise error
        if code == StatusCode.errVENDOR or not self._flash_is_readable():
            raise Protected(
                "the device does not let its OTP memory be read: read-out protection is on",
                device_is=DeviceIs.IN_BOOTLOADER,
            ) from error
        raise Refused(
            f"this bootloader does not let the OTP memory at 0x{self._area.at:08X} be read ({error})",
            advice="Nothing was changed: what cannot be read is not written either. Unplug the device, plug "
            "it in again and try once more; then ask the vendor.",
            device_is=DeviceIs.IN_BOOTLOADER,
        ) from error

    def _flash_is_readable(self) -> bool:
        """Not every ROM names the reason: where the flash cannot be read either, it is protection."""
        self._wire.run(go_to_idle(self._pace.may_stick))
        if self.alternate is not None:
            self._wire.run(select(FLASH_ALTERNATE))
        return self._wire.run(read_if_allowed(self._chip.flash.address, 4, self._pace)) is not None

    def _burn(self, run: Segment, holds: OtpContents) -> None:
        was_touched, self.touched = self.touched, True
        try:
            with self._steps.during(Step.WRITE):
                self._wire.run(go_to_idle(self._pace.may_stick))
                self._wire.run(write(run.address, run.data, self._pace))
        except DeviceRefused as error:
            if not was_touched and self._read() == holds:
                self.touched = False
                raise Protected(
                    f"the device refused the bytes, and nothing was written ({error})",
                    device_is=DeviceIs.IN_BOOTLOADER,
                ) from error
            raise

    def _check(self, back: OtpContents, was: OtpContents, expected: OtpContents, before: OtpContents) -> None:
        if back == expected:
            return
        if back == was and was == before:
            self.touched = False
            raise Protected(
                "the device took the bytes and stored none of them: its OTP memory is write-protected",
                device_is=DeviceIs.IN_BOOTLOADER,
            )
        raise NotFinished(
            f"the device did not store what it was sent: {'; '.join(_differences(back, expected))}",
            advice=_NO_WAY_ON if _is_spoilt(back, expected) else NotFinished.advice,
            device_is=DeviceIs.IN_BOOTLOADER,
        )


_NO_WAY_ON = (
    "Do not write to this device again: what was burnt cannot be undone. Put it aside and send the text "
    "above to the vendor's support."
)


def _with(holds: OtpContents, run: Segment, plan: OtpPlan) -> OtpContents:
    """What the memory must hold once this run is done: the wanted bytes there, everything else as it was."""
    at = run.address - plan.area.at
    until = at + len(run.data)
    data = holds.data[:at] + plan.after.data[at:until] + holds.data[until:]
    return OtpContents(data, holds.locks)


def _is_spoilt(back: OtpContents, expected: OtpContents) -> bool:
    """Whether some byte is neither as it must be nor blank, or a lock byte has changed."""
    wrong = any(a not in (b, BLANK) for a, b in zip(back.data, expected.data, strict=True))
    return wrong or back.locks != expected.locks


def _differences(back: OtpContents, expected: OtpContents) -> list[str]:
    """The first few places where something else stands, in words."""
    places = [
        (f"offset 0x{at:04X}", here, there)
        for at, (here, there) in enumerate(zip(back.data, expected.data, strict=True))
    ]
    places += [
        (f"lock byte {at}", here, there)
        for at, (here, there) in enumerate(zip(back.locks, expected.locks, strict=True))
    ]
    wrong = [
        f"{place} holds 0x{here:02X}, not 0x{there:02X}" for place, here, there in places if here != there
    ]
    return wrong[:_MOST_SAID] + ([f"and {len(wrong) - _MOST_SAID} more"] if len(wrong) > _MOST_SAID else [])


_MOST_SAID = 4


def start_application(wire: Wire, chip: Chip, pace: Pace, *, reselect: bool) -> None:
    """Leave a bootloader in which nothing of the flash was touched. `reselect`: another memory is chosen."""
    again = leave(chip.flash.address, pace.polling)
    with suppress(WireError):
        wire.run(go_to_idle(pace.may_stick))
        if reselect:
            wire.run(select(FLASH_ALTERNATE))
        try:
            wire.run(leave(chip.flash.address, pace.polling))
        except DeviceRefused as error:
            if error.code == StatusCode.errVENDOR:  # read-protected: the pointer never moved (AN3156)
                again = _leave_from_the_start()
            wire.run(go_to_idle(pace.may_stick))
            wire.run(again)


def _leave_from_the_start() -> Script[None]:
    yield Out(Request.DNLOAD)
    yield from get_status()


def as_our_error(error: BaseException, recovery: Recovery, *, touched: bool) -> BaseException:
    """What stopped the work, as an error that says what to do. What is not about the device stays itself."""
    if isinstance(error, UpdaterError) and not (touched and isinstance(error, UsbFailed)):
        if isinstance(error, NotFinished) and error.advice == NotFinished.advice:
            error.advice = _way_back(recovery)
        return error
    if touched:
        what = "it was stopped" if isinstance(error, KeyboardInterrupt) else str(error)
        return NotFinished(
            f"the writing of OTP bytes was cut off: {what}",
            advice=_way_back(recovery),
            device_is=DeviceIs.UNKNOWN,
        )
    if isinstance(error, KeyboardInterrupt):
        return Cancelled("it was stopped before anything was written", device_is=DeviceIs.IN_BOOTLOADER)
    if isinstance(error, WireError):
        return UsbFailed(
            f"the connection to the device failed before anything was written: {error}",
            device_is=DeviceIs.UNKNOWN if isinstance(error, Vanished) else DeviceIs.IN_BOOTLOADER,
        )
    return error


def _way_back(recovery: Recovery) -> str:
    """What to do after a cut. The flash was not touched, so the application can always start."""
    by_hand = f" If the device is not found then: {recovery.steps}" if recovery.steps else ""
    return (
        "Unplug the device, plug it in again, and run the same command: bytes that are there by then are "
        f"skipped.{by_hand}"
    )
