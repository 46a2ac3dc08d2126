"""The Stack pane: validates objects in a worker process and lets the findings be browsed."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType

from kdash.backends.stack.facts import CheckOptions, FileReport, Finding
from kdash.backends.stack.formats import text_line
from kdash.editor import editor_command, find_source
from kdash.panes import stack_words as words
from kdash.panes.stack_results import reports_of, results_among
from kdash.settings import Settings
from kdash.widgets.pane import CommandError, CommandWord, Pane
from kdash.widgets.stack.browser import Browser
from kdash.widgets.stack.detail import VIEWS
from kdash.widgets.stack.entry import ORDERS
from kdash.widgets.stack.tally import count

BEAT = 0.1  # seconds between two pictures while findings stream in


@dataclass(frozen=True, slots=True)
class Check:
    """What is validated, and by which rules."""

    paths: tuple[Path, ...]  # none: the bundled samples
    options: CheckOptions = field(default_factory=CheckOptions)

    @property
    def subject(self) -> str:
        """The paths in words."""
        return ", ".join(map(str, self.paths)) if self.paths else "the samples"


class StackPane(Pane):
    """Streams the reports of a validation into a browser."""

    NAME: ClassVar[str] = "Stack"
    VIEWS: ClassVar[tuple[str, ...]] = VIEWS
    WORDS: ClassVar[tuple[CommandWord, ...]] = words.WORDS

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit", id="stack.edit", tooltip="Open the source line in $EDITOR"),
        Binding("y", "copy", "Copy", show=False, id="stack.copy",
                tooltip="Copy the finding as one line of text"),
        Binding("n", "noreturn", "Noreturn", show=False, id="stack.noreturn",
                tooltip="Treat the callee as noreturn, check again"),
    ]  # fmt: skip

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(id=id)
        self.settings = settings
        self._check = Check(settings.objects, settings.check or CheckOptions())
        self._pending: list[FileReport] = []
        self._total = 0  # files to validate
        self._build_dir = settings.build_dir

    def compose(self) -> ComposeResult:
        """Lay out the pane."""
        yield Browser()

    def on_mount(self) -> None:
        """Start with what the command line named."""
        self._start(self._check)

    @property
    def browser(self) -> Browser:
        """What shows the findings.

        Raises:
            CommandError: The pane has failed and shows why.
        """
        found = self.query(Browser)
        if not found:
            raise CommandError("the check has failed; check PATH starts another one")
        return found.first()

    def focus_content(self) -> None:
        """The list has the keyboard."""
        if self.query(Browser):
            self.screen.set_focus(self.browser.findings)
        else:
            super().focus_content()

    def view_changed(self, index: int) -> None:
        """The sub-views belong to the detail."""
        if self.query(Browser):
            self.browser.show_view(index)

    # -- validation ---------------------------------------------------------------------

    def reports(self, files: list[str], check: Check) -> AsyncGenerator[FileReport]:
        """The reports on `files`, each as it is done."""
        from kdash.backends.stack.service import validate

        if results := results_among(check.paths):
            objects = [file for file in files if file not in results]
            return reports_of(results, objects, check.options, self._build_dir)
        return validate(files, check.options, samples=not check.paths)

    def _start(self, check: Check) -> None:
        """Validate; a validation under way ends."""
        self._check = check
        self._validate()

    @work(group="validate", exclusive=True, exit_on_error=False)
    async def _validate(self) -> None:
        from kdash.backends.stack.object_files import object_files, sample_paths
        from kdash.backends.stack.rules import RULES

        check = self._check
        if not self.query(Browser):
            await self.recompose()
            if self.has_class("-active"):
                self.focus_content()
        self._pending = []
        self.browser.rules = RULES
        self.browser.begin(f"checking {check.subject}")
        self.report_status("checking")
        files = await asyncio.to_thread(lambda: list(object_files(map(str, check.paths))))
        self._total = len(files) if check.paths else len(sample_paths())
        beat = self.set_interval(BEAT, self._show_pending)
        try:
            reports = self.reports(files, check)
            async with aclosing(reports) as stream:
                async for report in stream:
                    self._pending.append(report)
            self._show_pending()
            self._show_outcome(check)
        finally:
            beat.stop()

    def _show_pending(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            self.browser.add(pending)
            files = self.browser.tally.files
            done = f"checking {files}" + (f"/{self._total}" if files <= self._total else "")
            self.browser.progress(done, f"{done} in {self._check.subject}: no finding so far")
            self.report_status(done)

    def _show_outcome(self, check: Check) -> None:
        tally = self.browser.tally
        outcome = tally.outcome()
        numbers = f"{count(tally.files, 'file')}, {count(tally.functions, 'function')}"
        if not tally.files:
            empty = words.nothing_in(check.subject, results=bool(results_among(check.paths)))
            self.browser.progress("", f"{empty}\n\n{words.TEACH}")
            self.report_status("nothing to check", "warning")
            return
        self.browser.progress("", f"{numbers}: {outcome}\n\n{words.TEACH}")
        if tally.samples:
            self.report_status(f"samples: {outcome}")
        elif tally.errors:
            self.report_status(outcome, "bad")
        else:
            self.report_status(outcome, "warning" if outcome != "no findings" else "good")

    # -- one finding --------------------------------------------------------------------

    def _finding(self) -> Finding | None:
        entry = self.browser.current if self.query(Browser) else None
        if entry is None or entry.finding is None:
            self._say("no finding under the cursor")
            return None
        return entry.finding

    def _say(self, text: str, *, failed: bool = False) -> None:
        self.notify(text, severity="warning" if failed else "information", timeout=4, markup=False)

    def action_copy(self) -> None:
        """Copy the finding as one line of text."""
        if finding := self._finding():
            line = text_line(finding)
            self.app.copy_to_clipboard(line)
            self._say(f"copied: {line}")

    def action_edit(self) -> None:
        """Open the source line in the user's editor."""
        if not (finding := self._finding()):
            return
        if finding.source is None:
            self._say("no source line: the object has no DWARF line table (gcc -g)", failed=True)
            return
        path = find_source(finding.source.file, finding.file)
        if path is None:
            self._say(f"{finding.source.file}: no such file here", failed=True)
            return
        try:
            command = editor_command(path, finding.source.line)
            with self.app.suspend():
                subprocess.run(command, check=False)
        except SuspendNotSupported:
            self._say("no editor here: this terminal can't be handed over", failed=True)
        except (OSError, ValueError) as error:
            self._say(f"the editor did not start: {error}", failed=True)
        self.app.refresh()

    def action_noreturn(self) -> None:
        """Treat the function called at the finding as noreturn and check again."""
        if finding := self._finding():
            if finding.callee:
                self._say(self._noreturn([finding.callee]))
            else:
                self._say("this finding names no function that is called", failed=True)

    # -- command prompt -----------------------------------------------------------------

    def run_command(self, line: str) -> str:
        """Carry out one line of the command prompt."""
        word, rest = words.split(line)
        try:
            names = shlex.split(rest) if word in ("check", "open", "noreturn") else [rest]
        except ValueError as error:
            raise CommandError(f"{word}: {error}") from None
        if word in ("check", "open"):
            names, self._build_dir = words.with_build_dir(names, self._build_dir)
            self._start(replace(self._check, paths=words.existing_paths(word, names)))
            return ""
        if word == "noreturn":
            if not names:
                raise CommandError("noreturn: give the name of a function")
            return self._noreturn(names)
        if word == "frame-pointer":
            return self._frame_pointer(words.one_of(word, rest, words.FRAME_POINTER))
        if word == "sort":
            self.browser.findings.order_by(words.one_of(word, rest, ORDERS))
        elif word == "goto":
            self._goto(rest)
        else:
            self.browser.set_filter(rest)
        return ""

    def _noreturn(self, names: Sequence[str]) -> str:
        options = self._check.options
        known = tuple(dict.fromkeys((*options.noreturn, *names)))
        self._start(replace(self._check, options=replace(options, noreturn=known)))
        return f"checking again; noreturn: {', '.join(known)}"

    def _frame_pointer(self, value: str) -> str:
        options = replace(self._check.options, frame_pointer=value)
        self._start(replace(self._check, options=options))
        return f"checking again; frame pointer rules: {value}"

    def _goto(self, name: str) -> None:
        if not name:
            raise CommandError("goto: give the name of a function")
        findings = self.browser.findings
        for exact in (True, False):
            for place, entry in enumerate(findings.shown_rows):
                function = entry.finding.function if entry.finding else ""
                if function == name or (not exact and function.startswith(name)):
                    findings.cursor = place
                    return
        raise CommandError(f"goto: no finding shown is in {name!r}")

    def complete(self, line: str) -> Sequence[str]:
        """Completions of a partly typed command line, best first."""
        word, blank, rest = line.partition(" ")
        if not blank or not self.query(Browser):
            return super().complete(line)
        if word in ("check", "open"):
            stem = rest.rpartition(" ")[2]
            return words.complete_last(line, words.path_completions(stem))
        tally = self.browser.tally
        choices = {
            "sort": tuple(ORDERS),
            "frame-pointer": words.FRAME_POINTER,
            "filter": tuple(f"kind:{kind}" for kind in tally.kinds),
            "goto": self._names("function") if word == "goto" else (),
            "noreturn": self._names("callee") if word == "noreturn" else (),
        }
        return words.complete_last(line, choices.get(word, ()))

    def _names(self, attribute: str) -> Sequence[str]:
        found = (entry.finding for entry in self.browser.findings.shown_rows)
        return tuple(dict.fromkeys(getattr(f, attribute) for f in found if f))
