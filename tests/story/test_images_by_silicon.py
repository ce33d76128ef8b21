"""A product whose firmware depends on the silicon: the right image, and the reason in the plan."""

from __future__ import annotations

import pytest

from tests.desk import Desk, program

OLD = program("1.0.0")
FOR_V, FOR_Y = program("1.1.0", revisions=("V",)), program("1.1.0", revisions=("Y", "X"))


@pytest.mark.parametrize(("revision", "right"), [("V", FOR_V), ("Y", FOR_Y), ("X", FOR_Y)])
@pytest.mark.parametrize("in_rom", [False, True])
def test_each_revision_gets_its_own_image(desk: Desk, revision: str, right: object, in_rom: bool) -> None:
    desk.sells("stm32h743")
    desk.plug_in_gizmo("stm32h743", OLD, revision=revision, in_rom=in_rom)
    said = desk.install(desk.bundle(FOR_V, FOR_Y))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    (plan,) = [line for line in said.lines if line["type"] == "plan"]
    assert plan["image"] == ("rev-v" if right is FOR_V else "rev-y")
    assert plan["image_because"] == f"of 2 images it is the one for revision {revision}"
    assert desk.holds(FOR_V if right is FOR_V else FOR_Y)
    assert FOR_V.segments != FOR_Y.segments


def test_a_revision_that_nobody_can_tell_gets_no_image_that_depends_on_it(desk: Desk) -> None:
    """Found in its ROM, an F405 does not say it; its application does."""
    bundle_for = program("1.1.0", revisions=("Y",)), program("1.1.0", revisions=("3",))
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", OLD, revision="Y", in_rom=True)
    bundle = desk.bundle(*bundle_for)
    said = desk.install(bundle)
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")
    assert "no image for this device's chip" in said.last["message"]
    assert "revision unknown" in said.last["message"]
    assert desk.holds(OLD)
    desk.replug()
    said = desk.install(bundle)
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert desk.holds(bundle_for[0])


def test_an_image_for_all_silicon_needs_no_revision(desk: Desk) -> None:
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", OLD, in_rom=True)
    assert desk.install(desk.bundle(program("1.1.0"))).exit == 0


def test_a_device_that_was_cut_off_still_gets_the_image_of_its_revision(desk: Desk) -> None:
    """Its ROM cannot say the revision; the journal remembers what the application had said."""
    images = program("1.1.0", (0x0800_0000, 40_000), revisions=("Y",)), program("1.1.0", revisions=("3",))
    old = program("1.0.0", (0x0800_0000, 40_000))
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", old, revision="Y")
    bundle = desk.bundle(*images)
    with desk.cut(lambda block, data: block == 0 and data[:1] == b"\x41"):
        assert desk.install(bundle).exit == 9
    said = desk.install(bundle)
    assert (said.exit, said.last["identity"]) == (0, "journal"), said.last
    assert desk.holds(images[0])
