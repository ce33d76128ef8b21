"""Sizes, fonts and styles. Sizes are for 96 dots per inch and grow with the screen's."""

from __future__ import annotations

import tkinter as tk
from tkinter import font, ttk

from updater.doors.window.palette import DARK, LIGHT
from updater.hands.desktop import Taste


class Theme:
    """The look of one window: its palette, its fonts, and how long a pixel is."""

    def __init__(self, root: tk.Tk, taste: Taste) -> None:
        if taste.scale != 1.0:
            root.tk.call("tk", "scaling", float(root.tk.call("tk", "scaling")) * taste.scale)
        self._factor = float(root.tk.call("tk", "scaling")) * 72 / 96
        self.palette = DARK if taste.dark else LIGHT
        self.plain = taste.plain
        base = font.nametofont("TkDefaultFont")
        size = max(abs(int(base.actual("size"))), 10)
        for name in ("TkDefaultFont", "TkTextFont"):
            font.nametofont(name).configure(size=size)
        family = str(base.actual("family"))
        self.headline = font.Font(root, family=family, size=size + 4, weight="bold")
        self.strong = font.Font(root, family=family, size=size, weight="bold")
        self.small = font.Font(root, family=family, size=size - 1)
        self.mono = font.nametofont("TkFixedFont")
        self.mono.configure(size=size - 1)
        root.configure(background=self.palette.ground)
        self._styles(ttk.Style(root))

    def px(self, pixels: float) -> int:
        """So many pixels of a screen with 96 dots per inch, on this one."""
        return max(1, round(pixels * self._factor))

    def _styles(self, style: ttk.Style) -> None:
        p, px = self.palette, self.px
        style.theme_use("clam")
        style.configure(
            ".", background=p.ground, foreground=p.text, bordercolor=p.line, lightcolor=p.ground,
            darkcolor=p.ground, troughcolor=p.card, focuscolor=p.accent, insertcolor=p.text,
            fieldbackground=p.ground, selectbackground=p.accent, selectforeground=p.on_accent,
        )  # fmt: skip
        style.configure("TLabel", padding=(px(3), 0))
        style.configure("Muted.TLabel", foreground=p.muted)
        style.configure("Small.TLabel", foreground=p.muted, font=self.small)
        style.configure("Headline.TLabel", font=self.headline)
        style.configure("Strong.TLabel", font=self.strong)
        style.configure("Card.TFrame", background=p.card)
        style.configure("Card.TLabel", background=p.card)
        style.configure("CardMuted.TLabel", background=p.card, foreground=p.muted)
        style.configure("CardStrong.TLabel", background=p.card, font=self.strong)
        style.configure("Line.TFrame", background=p.card)
        self._buttons(style)
        style.configure("TRadiobutton", padding=px(2), indicatorsize=px(14), font=self.strong)
        style.map(
            "TRadiobutton",
            background=[("active", p.ground)],
            indicatorbackground=[("selected", p.accent), ("", p.ground)],
            indicatorforeground=[("selected", p.on_accent)],
        )
        style.configure("TEntry", padding=px(6), bordercolor=p.line, lightcolor=p.ground, foreground=p.text)
        style.map("TEntry", bordercolor=[("focus", p.accent)], lightcolor=[("focus", p.accent)])
        style.configure(
            "Horizontal.TProgressbar", background=p.accent, troughcolor=p.card, bordercolor=p.line,
            lightcolor=p.accent, darkcolor=p.accent, thickness=px(12),
        )  # fmt: skip
        style.configure(
            "Vertical.TScrollbar", background=p.card, troughcolor=p.ground, bordercolor=p.ground,
            arrowcolor=p.muted, arrowsize=px(12), lightcolor=p.card, darkcolor=p.card,
        )  # fmt: skip
        style.map("Vertical.TScrollbar", background=[("active", p.line), ("disabled", p.ground)])

    def _buttons(self, style: ttk.Style) -> None:
        p, pad = self.palette, (self.px(14), self.px(6))
        style.configure(
            "TButton", padding=pad, background=p.card, foreground=p.text, bordercolor=p.line,
            lightcolor=p.card, darkcolor=p.card, width=0, anchor="center",
        )  # fmt: skip
        style.map(
            "TButton",
            background=[("disabled", p.card), ("pressed", p.line), ("active", p.ground)],
            foreground=[("disabled", p.muted)],
            bordercolor=[("focus", p.accent)],
            lightcolor=[("focus", p.accent)],
            darkcolor=[("focus", p.accent)],
        )
        style.configure(
            "Primary.TButton", background=p.accent, foreground=p.on_accent, bordercolor=p.accent,
            lightcolor=p.accent, darkcolor=p.accent, focuscolor=p.on_accent,
        )  # fmt: skip
        style.map(
            "Primary.TButton",
            background=[("disabled", p.card), ("pressed", p.accent_pressed), ("active", p.accent_pressed)],
            foreground=[("disabled", p.muted)],
            bordercolor=[("disabled", p.card), ("focus", p.text)],
            lightcolor=[("disabled", p.card), ("focus", p.accent)],
            darkcolor=[("disabled", p.card), ("focus", p.accent)],
        )
        style.configure(
            "Aside.TButton", padding=(self.px(2), self.px(2)), background=p.ground, foreground=p.accent,
            bordercolor=p.ground, lightcolor=p.ground, darkcolor=p.ground,
        )  # fmt: skip
        style.map(
            "Aside.TButton",
            background=[("active", p.card), ("pressed", p.card)],
            foreground=[("disabled", p.muted)],
            bordercolor=[("focus", p.accent)],
            lightcolor=[("focus", p.ground)],
            darkcolor=[("focus", p.ground)],
        )
