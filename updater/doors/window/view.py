"""The window itself: draws a page with tk and says what a person does. Knows nothing else."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import replace
from tkinter import filedialog, ttk
from typing import Literal

from updater.doors.window import texts as t
from updater.doors.window.page import Button, Choice, Page
from updater.doors.window.speech import Speak
from updater.doors.window.state import Action, Entered, FileChosen, Happening, Picked, Pressed, ReportWanted
from updater.doors.window.texts import Text, say
from updater.doors.window.theme import Theme

WIDTH, HEIGHT, PAD = 560, 330, 24
NOTES_LINES, DETAILS_LINES = 5, 10
MOVES_EVERY_MS = 30
REPORT_NAME = "updater-report.zip"

Did = Callable[[Happening], None]


class View:
    """One window. `did` hears what a person does."""

    def __init__(self, root: tk.Tk, theme: Theme, speak: Speak, did: Did) -> None:
        self.root, self._theme, self._speak, self._did = root, theme, speak, did
        self._page: Page | None = None
        self._wrapped: list[tuple[ttk.Label, int]] = []
        self._buttons: dict[Action, ttk.Button] = {}
        self._bar: ttk.Progressbar | None = None
        self._bar_words: tuple[ttk.Label, ttk.Label] | None = None
        # made once: a tk variable must not be cleared away by another thread
        self._picked, self._typed = tk.StringVar(root), tk.StringVar(root)
        self._typed.trace_add("write", lambda *_: did(Entered(self._typed.get())))
        self._shows_details = False
        self._width = theme.px(WIDTH)
        self._frame()
        root.protocol("WM_DELETE_WINDOW", lambda: did(Pressed(Action.CLOSE)))
        root.bind("<Return>", self._entered)
        root.bind("<KP_Enter>", self._entered)
        root.bind("<Escape>", self._escaped)
        root.bind("<Alt-d>", lambda _event: self._toggle_details())

    def _frame(self) -> None:
        px = self._theme.px
        self.root.minsize(px(WIDTH), px(HEIGHT))
        outer = ttk.Frame(self.root, padding=px(PAD))
        outer.pack(fill="both", expand=True)
        self._body = ttk.Frame(outer)
        self._body.pack(fill="both", expand=True)
        foot = ttk.Frame(outer)
        foot.pack(fill="x", pady=(px(16), 0))
        self._details_button = ttk.Button(
            foot, style="Aside.TButton", command=self._toggle_details, takefocus=True
        )
        self._details_button.pack(side="left")
        self._foot = ttk.Frame(foot)
        self._foot.pack(side="right")
        self._details_frame = ttk.Frame(outer)
        self._details = self._text(self._details_frame, DETAILS_LINES)
        self._details.configure(font=self._theme.mono)
        self._say_details()
        self.root.bind("<Configure>", self._resized)

    # ------------------------------------------------------------------------------------------------ drawing

    def show(self, page: Page) -> None:
        """Draw this page. What only moves is moved, so that nobody loses the field he types into."""
        before, self._page = self._page, page
        if before is None or _shape(before) != _shape(page):
            self._draw(page)
        if before is None or before.lines != page.lines:
            self._write_lines(page.lines)
        if before is None or before.title != page.title:
            self.root.title(self._speak(page.title))
        self._move(page)

    def _draw(self, page: Page) -> None:
        for old in (*self._body.winfo_children(), *self._foot.winfo_children()):
            old.destroy()
        self._wrapped, self._bar, self._bar_words = [], None, None
        self._headline(page)
        if page.steps:
            self._steps(page.steps)
        for sentence in page.sentences:
            self._label(sentence, pady=(0, 8))
        if page.rows:
            self._rows(page)
        if page.choices:
            self._choices(page)
        if page.entry is not None:
            self._entry(page.entry)
        if page.bar is not None:
            self._progress(page)
        self._tips(page.tips)
        for text in page.small:
            self._label(text, style="Small.TLabel", pady=(8, 0))
        self._asides([one for one in page.buttons if one.is_aside])
        self._main_buttons([one for one in page.buttons if not one.is_aside])
        self._fit()
        self._focus(page)

    def _label(
        self, text: Text, *, style: str = "TLabel", pady: tuple[int, int] = (0, 0), indent: int = 0
    ) -> ttk.Label:
        px = self._theme.px
        label = ttk.Label(self._body, text=self._speak(text), style=style, justify="left")
        label.pack(
            anchor="w", fill="x", padx=(px(indent), 0) if indent else 0, pady=(px(pady[0]), px(pady[1]))
        )
        self._wrapped.append((label, indent))
        return label

    def _headline(self, page: Page) -> None:
        px = self._theme.px
        row = ttk.Frame(self._body)
        row.pack(fill="x", pady=(0, px(12)))
        mark = tk.Frame(row, width=px(5), background=self._theme.palette.tone(page.tone))
        mark.pack(side="left", fill="y", padx=(0, px(12)))
        label = ttk.Label(row, text=self._speak(page.headline), style="Headline.TLabel", justify="left")
        label.pack(side="left", fill="x", expand=True)
        self._wrapped.append((label, 18))

    def _steps(self, steps: str) -> None:
        px = self._theme.px
        card = ttk.Frame(self._body, style="Card.TFrame", padding=px(14))
        card.pack(fill="x", pady=(px(4), px(12)))
        label = ttk.Label(card, text=steps, style="CardStrong.TLabel", justify="left")
        label.pack(anchor="w", fill="x")
        self._wrapped.append((label, 28))

    def _rows(self, page: Page) -> None:
        px = self._theme.px
        card = ttk.Frame(self._body, style="Card.TFrame", padding=px(14))
        card.pack(fill="x", pady=(px(4), px(4)))
        grid = ttk.Frame(card, style="Card.TFrame")
        grid.pack(fill="x")
        for number, (name, value) in enumerate(page.rows):
            pad = (0, px(24)), px(2)
            ttk.Label(grid, text=self._speak(name), style="CardMuted.TLabel").grid(
                row=number, column=0, sticky="w", padx=pad[0], pady=pad[1]
            )
            ttk.Label(grid, text=self._speak(value), style="CardStrong.TLabel").grid(
                row=number, column=1, sticky="w", pady=pad[1]
            )
        if page.notes:
            ttk.Label(card, text=self._speak(say(t.ROW_NOTES)), style="CardMuted.TLabel").pack(
                anchor="w", pady=(px(8), px(2))
            )
            self._notes(card, page.notes)

    def _notes(self, card: ttk.Frame, notes: str) -> None:
        """Short notes are a label; long ones can be scrolled."""
        if len(notes) < 160 and notes.count("\n") < NOTES_LINES - 1:
            label = ttk.Label(card, text=notes, style="Card.TLabel", justify="left")
            label.pack(anchor="w", fill="x")
            self._wrapped.append((label, 28))
            return
        text = self._text(card, NOTES_LINES)
        text.configure(background=self._theme.palette.card)
        _set(text, notes)

    def _choices(self, page: Page) -> None:
        px = self._theme.px
        self._picked.set(page.picked or "")
        for choice in page.choices:
            self._choice(choice).pack(anchor="w", fill="x", pady=(px(4), 0))
            if choice.below is not None:
                self._label(choice.below, style="Small.TLabel", indent=24)

    def _choice(self, choice: Choice) -> ttk.Radiobutton:
        return ttk.Radiobutton(
            self._body,
            text=self._speak(choice.text),
            value=choice.key,
            variable=self._picked,
            command=lambda: self._did(Picked(self._picked.get())),
        )

    def _entry(self, label: Text) -> None:
        px = self._theme.px
        self._label(label, style="Strong.TLabel", pady=(4, 4))
        self._typed.set("")
        entry = ttk.Entry(self._body, textvariable=self._typed, font="TkTextFont")
        entry.pack(fill="x", pady=(0, px(8)))
        self.field = entry

    def _progress(self, page: Page) -> None:
        bar, px = page.bar, self._theme.px
        assert bar is not None
        if bar.fraction is None and self._theme.plain:
            return
        row = ttk.Frame(self._body)
        row.pack(fill="x", pady=(px(12), px(4)))
        step, left = ttk.Label(row), ttk.Label(row, style="Muted.TLabel")
        step.pack(side="left")
        left.pack(side="right")
        self._bar_words = step, left
        mode: Literal["determinate", "indeterminate"]
        mode = "determinate" if bar.fraction is not None else "indeterminate"
        self._bar = ttk.Progressbar(self._body, maximum=1000, mode=mode)
        self._bar.pack(fill="x", pady=(0, px(8)))
        if bar.fraction is None:
            self._bar.configure(maximum=100)
            self._bar.start(MOVES_EVERY_MS)

    def _tips(self, tips: tuple[Text, ...]) -> None:
        if not tips:
            return
        self._label(say(t.ADVICE_TITLE), style="Strong.TLabel", pady=(8, 4))
        for tip in tips:
            row = ttk.Frame(self._body)
            row.pack(fill="x", pady=self._theme.px(2))
            ttk.Label(row, text="•").pack(side="left", anchor="n", padx=(0, self._theme.px(8)))
            label = ttk.Label(row, text=self._speak(tip), justify="left")
            label.pack(side="left", fill="x", expand=True)
            self._wrapped.append((label, 20))

    def _asides(self, buttons: list[Button]) -> None:
        if not buttons:
            return
        px = self._theme.px
        row = ttk.Frame(self._body)
        row.pack(fill="x", side="bottom", pady=(px(12), 0))
        for button in buttons:
            self._made(row, button, "Aside.TButton").pack(side="left", padx=(0, px(20)))

    def _main_buttons(self, buttons: list[Button]) -> None:
        for button in buttons:
            style = "Primary.TButton" if button.is_primary else "TButton"
            self._made(self._foot, button, style).pack(side="left", padx=(self._theme.px(10), 0))

    def _made(self, parent: ttk.Frame, button: Button, style: str) -> ttk.Button:
        made = ttk.Button(
            parent, text=self._speak(button.text), style=style, command=lambda: self.press(button.action)
        )
        self._buttons[button.action] = made
        return made

    def _move(self, page: Page) -> None:
        for button in page.buttons:
            self._buttons[button.action].state(["!disabled" if button.is_armed else "disabled"])
        if page.bar is not None and self._bar is not None and self._bar_words is not None:
            if page.bar.fraction is not None:
                self._bar.configure(value=round(page.bar.fraction * 1000))
            for label, text in zip(self._bar_words, (page.bar.step, page.bar.left), strict=True):
                label.configure(text=self._speak(text) if text else "")

    # ------------------------------------------------------------------------------------------- the details

    def _text(self, parent: ttk.Frame, lines: int) -> tk.Text:
        p = self._theme.palette
        bar = ttk.Scrollbar(parent, orient="vertical")
        text = tk.Text(
            parent, height=lines, width=20, wrap="word", relief="flat", background=p.card, foreground=p.text,
            highlightthickness=1, highlightbackground=p.card, highlightcolor=p.accent, borderwidth=0,
            padx=self._theme.px(8), pady=self._theme.px(6), state="disabled", yscrollcommand=bar.set,
            selectbackground=p.accent, selectforeground=p.on_accent,
        )  # fmt: skip
        bar.configure(command=text.yview)
        bar.pack(side="right", fill="y")
        text.pack(side="left", fill="both", expand=True)
        for key, step in (("<Tab>", text.tk_focusNext), ("<Shift-Tab>", text.tk_focusPrev)):
            text.bind(key, lambda _event, step=step: _go_to(step()))  # type: ignore[misc] # tkinter has no type for a default
        return text

    def _toggle_details(self) -> None:
        self._shows_details = not self._shows_details
        if self._shows_details:
            self._details_frame.pack(fill="both", expand=True, pady=(self._theme.px(12), 0))
        else:
            self._details_frame.pack_forget()
        self._say_details()
        self._fit()

    def _say_details(self) -> None:
        arrow = "▾" if self._shows_details else "▸"
        self._details_button.configure(text=f"{arrow} {self._speak(say(t.DETAILS))}")

    def _write_lines(self, lines: tuple[str, ...]) -> None:
        _set(self._details, "\n".join(lines))
        self._details.see("end")

    # ----------------------------------------------------------------------------------- size, focus and keys

    def _resized(self, event: tk.Event[tk.Misc]) -> None:
        if event.widget is self.root and event.width not in (self._width, 1):
            self._width = event.width
            self._wrap()

    def _wrap(self) -> None:
        px = self._theme.px
        for label, less in self._wrapped:
            label.configure(wraplength=self._width - 2 * px(PAD) - px(less + 12))

    def _fit(self) -> None:
        """As wide as it was, and as high as its content needs."""
        px = self._theme.px
        self._wrap()
        self.root.update_idletasks()
        buttons = self._foot.winfo_reqwidth() + self._details_button.winfo_reqwidth() + 2 * px(PAD) + px(16)
        if buttons > self._width:  # a language with long words
            self._width = buttons
            self._wrap()
            self.root.update_idletasks()
        height = min(max(self.root.winfo_reqheight(), px(HEIGHT)), self.root.winfo_screenheight())
        self.root.geometry(f"{self._width}x{height}")

    def _focus(self, page: Page) -> None:
        if page.entry is not None:
            self.field.focus_set()
            return
        if page.choices and page.picked is None:
            first = next(one for one in self._body.winfo_children() if isinstance(one, ttk.Radiobutton))
            first.focus_set()
            return
        default = next((one for one in page.buttons if one.is_default and one.is_armed), None)
        (self._buttons[default.action] if default else self.root).focus_set()

    def _entered(self, _event: object) -> str:
        """Enter presses the button that has the focus, else the page's default."""
        focused = self.root.focus_get()
        if focused is self._details_button:
            self._toggle_details()
        elif isinstance(focused, ttk.Button):
            focused.invoke()
        elif self._page is not None:
            for button in self._page.buttons:
                if button.is_default and button.is_armed:
                    self.press(button.action)
        return "break"

    def _escaped(self, _event: object) -> None:
        """Escape goes back where there is a way back, and else asks to close."""
        has = {button.action for button in self._page.buttons} if self._page else set()
        back = next((one for one in (Action.KEEP, Action.BACK, Action.CANCEL) if one in has), Action.CLOSE)
        self._did(Pressed(back))

    def come_forward(self) -> None:
        """Somebody has asked for this window again."""
        self.root.deiconify()
        self.root.lift()

    def press(self, action: Action) -> None:
        """What a click on this button does."""
        if action is Action.OPEN_FILE:
            kinds = [(self._speak(say(t.DIALOG_UPDATES)), "*.fwb"), (self._speak(say(t.DIALOG_ALL)), "*")]
            title = self._speak(say(t.DIALOG_OPEN))
            if name := filedialog.askopenfilename(parent=self.root, title=title, filetypes=kinds):
                self._did(FileChosen(name))
        elif action is Action.REPORT:
            title = self._speak(say(t.DIALOG_REPORT))
            if name := filedialog.asksaveasfilename(
                parent=self.root, title=title, initialfile=REPORT_NAME, defaultextension=".zip"
            ):
                self._did(ReportWanted(name))
        else:
            self._did(Pressed(action))


def _shape(page: Page) -> Page:
    """The page without what moves while it is shown."""
    bar = None
    if page.bar is not None:
        bar = replace(page.bar, fraction=None if page.bar.fraction is None else 0.0, step=None, left=None)
    buttons = tuple(replace(button, is_armed=True) for button in page.buttons)
    return replace(page, bar=bar, buttons=buttons, picked=None, lines=(), title=page.headline)


def _set(text: tk.Text, content: str) -> None:
    text.configure(state="normal")
    text.delete("1.0", "end")
    text.insert("1.0", content)
    text.configure(state="disabled")


def _go_to(widget: tk.Misc | None) -> str:
    """Tab leaves a field that cannot be written to."""
    if widget is not None:
        widget.focus_set()
    return "break"
