"""Colours, light and dark. A test holds that everything that is read stands out enough (WCAG 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

from updater.doors.window.page import Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """`text`, `muted` and the tones are read on `ground` and `card`; `on_accent` on `accent`."""

    ground: str
    card: str
    line: str
    text: str
    muted: str
    accent: str
    accent_pressed: str
    on_accent: str
    good: str
    care: str
    bad: str

    def tone(self, tone: Tone) -> str:
        """The colour of the mark beside the headline."""
        return {
            Tone.PLAIN: self.accent,
            Tone.BUSY: self.accent,
            Tone.GOOD: self.good,
            Tone.CARE: self.care,
            Tone.BAD: self.bad,
        }[tone]


LIGHT = Palette(
    ground="#ffffff",
    card="#f3f5f8",
    line="#8a94a3",
    text="#1a1e24",
    muted="#56606d",
    accent="#0b5cad",
    accent_pressed="#094a8c",
    on_accent="#ffffff",
    good="#19713a",
    care="#8a5a00",
    bad="#b3261e",
)
DARK = Palette(
    ground="#1d2025",
    card="#282c33",
    line="#7b8593",
    text="#eceef1",
    muted="#aeb6c1",
    accent="#7db8ff",
    accent_pressed="#a5cdff",
    on_accent="#0c1a2b",
    good="#7bd394",
    care="#f0bd5b",
    bad="#ff9a92",
)
