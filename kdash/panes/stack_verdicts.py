"""The part of the Stack pane in which the user decides about findings."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePath
from typing import ClassVar

from textual.binding import Binding, BindingType

from kdash.backends.stack.facts import VERDICTS, Finding, Verdict
from kdash.backends.stack.verdicts import NothingToUndoError, VerdictError, VerdictFile
from kdash.backends.wording import counted
from kdash.panes.stack_comparing import Comparing
from kdash.state_folder import verdict_path
from kdash.widgets.pane import CommandError
from kdash.widgets.stack.entry import Entry
from kdash.widgets.stack.verdict_choice import Choice, VerdictChoice

LOOK = 2.0  # seconds between two looks whether another program changed the verdicts
DAYS = re.compile(r"(\d{1,4})d")
USAGE = f"verdict {'|'.join(VERDICTS)}|none [until YYYY-MM-DD|Nd] [NOTE]"


class VerdictKeys(Comparing):
    """Verdicts are kept in a file of the user's, and shown as that file has them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "verdict", "Verdict", id="stack.verdict",
                tooltip="Decide about the finding, or all below the heading"),
        Binding("U", "undo", "Undo", show=False, id="stack.undo",
                tooltip="Take the last verdict back"),
    ]  # fmt: skip

    _verdict_file: VerdictFile | None = None
    _refused = ""  # why the verdicts can't be used
    _shown_for = date.min  # the day whose verdicts are shown

    def on_mount(self) -> None:
        """Look now and then whether another program changed the verdicts."""
        self.set_interval(LOOK, self._look)

    def verdicts_at(self) -> str:
        """The path of the file."""
        return verdict_path()

    @property
    def _file(self) -> VerdictFile:
        if self._verdict_file is None:
            self._verdict_file = VerdictFile(self.verdicts_at())
            self._deciding = asyncio.Lock()  # one change after the other
        return self._verdict_file

    def prepare(self) -> None:
        """Read the verdicts before findings come."""
        self._read()

    def _look(self) -> None:
        if self.browser_shown and (self._file.changed or self._shown_for != _today()):
            self._read()

    def _read(self) -> None:
        try:
            self._file.load()
        except (VerdictError, OSError) as error:
            told, self._refused = self._refused, _reason(error)
            if told != self._refused:
                self.say(self._refused, failed=True)
        else:
            self._refused = ""
        self._show_verdicts()

    def _show_verdicts(self) -> None:
        self._shown_for = _today()
        self.browser.judge(self._file.verdicts, self._shown_for)

    # -- deciding -----------------------------------------------------------------------

    def _chosen(self) -> list[Finding]:
        """The findings a verdict would be about."""
        rows: Sequence[Entry] = self.browser.findings.chosen_rows if self.browser_shown else ()
        return [row.finding for row in rows if row.finding and row.finding.fingerprint]

    def action_verdict(self) -> None:
        """Ask for a verdict on the finding under the cursor, or on all below the heading."""
        chosen = self._chosen()
        if not chosen:
            self.say("no finding under the cursor")
            return
        one = chosen[0]
        subject = f"{one.kind}  {one.place}"
        if len(chosen) > 1:
            subject = f"{len(chosen)} findings, the first: {subject}"

        def answered(choice: Choice | None) -> None:
            if choice is None:
                return
            if choice.noted:
                self.call_later(self.app.run_action, f"app.command('verdict {choice.word} ')")
            else:
                self._decide(choice.word, "", "")

        self.app.push_screen(VerdictChoice(subject), answered)

    def verdict_command(self, text: str) -> str:
        """Carry out `verdict WORD [until DAY] [NOTE]`.

        Raises:
            CommandError: The line means nothing, or there is no finding.
        """
        word, expires, note = parse_verdict(text, _today())
        if not self._chosen():
            raise CommandError("verdict: no finding under the cursor")
        self._decide(word, expires, note)
        return ""

    def _decide(self, word: str, expires: str, note: str) -> None:
        made = datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00")
        change: dict[str, Verdict | None] = {}
        for one in self._chosen():
            mark = one.fingerprint
            place = (one.kind, one.function or one.section, PurePath(one.file).name)
            change[mark] = Verdict(mark, word, note, expires, made, *place) if word else None
        told = f"{word or 'no verdict'}: {counted(len(change), 'finding')}; U takes it back"
        self._carry_out(lambda: self._file.change(change), lambda _: told)

    def action_undo(self) -> None:
        """Take the last change of verdicts back."""
        self._carry_out(self._file.undo, _told_undone)

    def _carry_out(self, change: Callable[[], object], told: Callable[[object], str]) -> None:
        """Change the file in a thread: a slow disk must not hold up keys."""

        async def work() -> None:
            async with self._deciding:
                try:
                    result = await asyncio.to_thread(change)
                except (VerdictError, OSError) as error:
                    self.say(_reason(error), failed=True)
                    return
            self._show_verdicts()
            self.say(told(result))

        _ = self._file
        self.run_worker(work(), group="verdict", exit_on_error=False)


def _told_undone(result: object) -> str:
    assert isinstance(result, tuple)
    back, left = result
    other = f"; {left} were changed by another program and stay" if left else ""
    return f"undone: {counted(back, 'finding')} as before{other}"


def _today() -> date:
    return datetime.now().date()  # an expiry is a day where the user is


def _reason(error: VerdictError | OSError) -> str:
    if isinstance(error, OSError):
        return f"verdicts: {error.filename or verdict_path()}: {error.strerror or error}"
    if isinstance(error, NothingToUndoError):
        return f"{error}; t, then x takes an older one back"
    damaged = "damaged" in str(error) or "not a" in str(error)
    return f"{error}; move it away to start a new one" if damaged else str(error)


def parse_verdict(text: str, today: date) -> tuple[str, str, str]:
    """Word, last day (as a text, or empty) and note of a line such as `toolchain until 90d why`.

    Raises:
        CommandError: It is none.
    """
    word, _, rest = text.strip().partition(" ")
    if word not in (*VERDICTS, "none"):
        raise CommandError(f"verdict: {word!r} is no verdict; usage: {USAGE}")
    note = rest.strip()
    expires = ""
    if note.split(" ", 1)[0] == "until":
        day, _, note = note.removeprefix("until").strip().partition(" ")
        expires = _day(day, today).isoformat()
    return "" if word == "none" else word, expires, note.strip()


def _day(text: str, today: date) -> date:
    days = DAYS.fullmatch(text)
    try:
        day = today + timedelta(int(days[1])) if days else date.fromisoformat(text)
    except (ValueError, OverflowError):
        raise CommandError(
            f"verdict: until {text!r}: give a day, as 2027-01-31, or days from today, as 90d"
        ) from None
    if day < today:
        raise CommandError(f"verdict: until {text}: that day is past")
    return day
