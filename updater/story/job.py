"""The nouns of the story: the hands it works with, what is asked, and what is known before the question."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from semver import Version

from updater.hands.channel import UpdateSite
from updater.hands.host import Home
from updater.hands.store import Store
from updater.hands.usbio import Bus, Wire
from updater.heads.drivers import Drivers, NoDriversNeeded
from updater.heads.manifest import Bundle
from updater.heads.plan import Plan, make_plan
from updater.heads.policy import OpenedFrom, Verdict
from updater.heads.silicon import Behaviour, Silicon
from updater.heads.vendor import Product
from updater.story.devices import Connected
from updater.words.events import Step
from updater.words.facts import Channel, DeviceFacts


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
class Errand(ABC):
    """A device, and what is to be written into its flash. `plan` is None when there is nothing to do.

    `as_told`: what a person said with --as, the product and the hardware. `before_erase` looks at the open
    bootloader once more, and raises where nothing may be erased.
    """

    connected: Connected
    product: Product
    plan: Plan | None
    as_told: tuple[Product, str | None] | None = None
    before_erase: Callable[[Wire, Behaviour, DeviceFacts], None] | None = None

    @abstractmethod
    def plan_for(self, facts: DeviceFacts, behaviour: Behaviour) -> Plan:
        """The plan, made again for a device of which more is known by now. Raises what `make_plan` does."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of what is written, or of what describes it."""

    @property
    @abstractmethod
    def goal(self) -> str:
        """What is written, in a word or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(Errand):
    """An update: all that is known before the one question. `home` has the products as known then."""

    home: Home
    bundle: Bundle
    verdict: Verdict
    steps: tuple[tuple[Step, int], ...]

    def plan_for(self, facts: DeviceFacts, behaviour: Behaviour) -> Plan:
        return make_plan(facts, self.bundle, self.product, behaviour)

    @property
    def digest(self) -> str:
        return self.bundle.manifest_sha256

    @property
    def goal(self) -> str:
        return str(self.bundle.manifest.version)
