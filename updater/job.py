"""The nouns of the story: the hands it works with, what is asked, and what is known before the question."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from semver import Version

from updater.channel import UpdateSite
from updater.devices import Connected
from updater.drivers import Drivers, NoDriversNeeded
from updater.events import Step
from updater.facts import Channel
from updater.host import Home
from updater.manifest import Bundle
from updater.plan import Plan
from updater.policy import OpenedFrom, Verdict
from updater.silicon import Silicon
from updater.store import Store
from updater.usbio import Bus
from updater.vendor import Product


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Everything that touches the world, and today's date. Made by a door."""

    bus: Bus
    site: UpdateSite
    store: Store
    home: Home
    silicon: Silicon
    now: datetime
    drivers: Drivers = field(default_factory=NoDriversNeeded)
    virtual: bool = False
    clock: Literal["virtual", "real"] = "real"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person, a link or a file asks for. `data` is a bundle file's content."""

    opened_from: OpenedFrom
    channel: Channel = Channel.STABLE
    version: Version | None = None
    product: str | None = None
    data: bytes | None = None
    device: str | None = None
    as_product: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that is known before the one question. `plan` is None when there is nothing to do.

    `as_told`: what a person said with --as, the product and the hardware.
    """

    connected: Connected
    product: Product
    bundle: Bundle
    verdict: Verdict
    plan: Plan | None
    steps: tuple[tuple[Step, int], ...]
    as_told: tuple[Product, str | None] | None = None
