"""The part of the Stack pane that validates: files in, findings streaming into the browser."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import Worker

from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.panes import stack_words as words
from kdash.panes.stack_results import reports_of, results_among
from kdash.settings import Settings
from kdash.widgets.pane import CommandError, Pane
from kdash.widgets.stack.browser import Browser

Signature = tuple[int, int, int]  # see object_files.signatures

MANY = 5000  # findings
BEAT = 0.1  # seconds between two pictures while findings stream in
AT_ONCE = 10_000  # findings put into a picture, so that keys are not held up


@dataclass(frozen=True, slots=True)
class Check:
    """What is validated, and by which rules."""

    paths: tuple[Path, ...]  # none: the bundled samples
    options: CheckOptions = field(default_factory=CheckOptions)
    build_dir: str = ""  # where paths in results of others start, if somebody said so
    older: Path | None = None  # an older run to compare with

    @property
    def subject(self) -> str:
        """The paths in words."""
        return ", ".join(map(str, self.paths)) if self.paths else "the samples"


class Checking(Pane):
    """Streams the reports of a validation into a browser; it can be stopped and go on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "stop_or_go_on", "Stop", show=False, id="stack.stop",
                tooltip="Stop the check; once stopped, go on with the files that are left"),
    ]  # fmt: skip

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(id=id)
        self.settings = settings
        options = settings.check or CheckOptions()
        self.check = Check(settings.objects, options, settings.build_dir, settings.older)
        self._pending: list[FileReport] = []
        self._total = 0  # files to validate
        self._left: list[str] = []  # files that have no report yet
        self.checked: dict[str, Signature] = {}  # files as they were when they were checked
        self._checking: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the pane."""
        yield Browser()

    def on_mount(self) -> None:
        """Start with what the command line named."""
        self.start(self.check)

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

    @property
    def is_whole(self) -> bool:
        """Whether all files were checked."""
        return self._checking is not None and self._checking.is_finished and not self._left

    @property
    def compared(self) -> bool:
        """Whether findings are compared with an older run."""
        return False

    @property
    def browser_shown(self) -> bool:
        """Whether the browser is there; a failure takes its place."""
        return bool(self.query(Browser))

    def reports(self, files: list[str], check: Check) -> AsyncGenerator[FileReport]:
        """The reports on `files`, each as it is done."""
        from kdash.backends.stack.service import validate

        if results := results_among(check.paths):
            objects = [file for file in files if file not in results]
            return reports_of(results, objects, check.options, check.build_dir)
        cache = not self.settings.web
        return validate(files, check.options, sample=not check.paths, cache=cache)

    def start(self, check: Check) -> None:
        """Validate; a validation under way ends."""
        self.check = check
        self._checking = self._validate()

    @work(group="validate", exclusive=True, exit_on_error=False)
    async def _validate(self) -> None:
        from kdash.backends.stack.rule_text import rules_with_examples

        if not self.browser_shown:
            await self.recompose()
            if self.has_class("-active"):
                self.focus_content()
        self._pending = []
        self.browser.rules = rules_with_examples()
        self.browser.begin(f"checking {self.check.subject}")
        self.prepare()
        self.report_status("checking")
        self._left, self.checked = await asyncio.to_thread(self._files)
        self._total = len(self._left)
        await self.begin()
        await self._stream()

    async def begin(self) -> None:
        """Before the first report; subclasses read what reports are compared with."""

    def seen(self, report: FileReport) -> FileReport:
        """A report as it is shown; subclasses may say more in it."""
        return report

    def end(self) -> None:
        """All reports are shown; subclasses may add to them."""

    def prepare(self) -> None:
        """The browser is empty and a check begins; subclasses give it what it shows besides."""

    def _files(self) -> tuple[list[str], dict[str, Signature]]:
        """What there is to validate, and as what."""
        from kdash.backends.stack.object_files import object_files, sample_paths, signatures

        paths = self.check.paths
        files = list(object_files(map(str, paths)) if paths else sample_paths())
        return files, signatures(files)

    @work(group="validate", exclusive=True, exit_on_error=False)
    async def _go_on(self) -> None:
        await self._stream()

    async def _stream(self) -> None:
        """Validate the files that are left."""
        check, left = self.check, dict.fromkeys(self._left)
        beat = self.set_interval(BEAT, self._show_pending)
        try:
            async with aclosing(self.reports(self._left, check)) as stream:
                async for report in stream:
                    left.pop(report.file, None)
                    self._pending.append(self.seen(report))
            left.clear()
        finally:
            beat.stop()
            if check is self.check:
                self._left = list(left)
        while self._pending:
            self._show_pending()
            await asyncio.sleep(0)
        self.end()
        self.end_of_check()

    def action_stop_or_go_on(self) -> None:
        """Stop the check that is under way, or go on where one was stopped."""
        if self._checking and not self._checking.is_finished:
            self._checking.cancel()
            self.call_later(self._show_stopped)
        elif self._left and results_among(self.check.paths):
            self.start(self.check)  # results are read as a whole
        elif self._left:
            self._checking = self._go_on()
        else:
            self.say("nothing is left to check; :check PATH starts another one")

    async def _show_stopped(self) -> None:
        """Say how far the check came, once its workers have ended."""
        checking = self._checking
        while checking is not None and not checking.is_finished:
            await asyncio.sleep(BEAT / 5)
        if checking is not self._checking or not self.browser_shown or not self._left:
            return
        while self._pending:
            self._show_pending()
        done = f"stopped at {self._total - len(self._left)}/{self._total}"
        self.browser.progress(f"{done}, x goes on", f"{done}: no finding so far; x goes on")
        self.report_status(done, "warning")

    def say(self, text: str, *, failed: bool = False) -> None:
        """Tell something in passing."""
        self.notify(text, severity="warning" if failed else "information", timeout=4, markup=False)

    def _show_pending(self) -> None:
        upto = itertools.accumulate(len(report.findings) for report in self._pending)
        some = 1 + sum(total < AT_ONCE for total in upto)
        pending, self._pending = self._pending[:some], self._pending[some:]
        if pending:
            self.browser.add(pending)
            files = self.browser.tally.files
            done = f"checking {files}" + (f"/{self._total}" if files <= self._total else "")
            self.browser.progress(done, f"{done} in {self.check.subject}: no finding so far")
            self.report_status(done)

    def end_of_check(self) -> None:
        """Say what came of it."""
        check = self.check
        tally = self.browser.tally
        if tally.findings > MANY:
            gc.freeze()  # else each full collection goes through millions of facts that stay
        outcome = tally.outcome()
        if not tally.files:
            empty = words.nothing_in(check.subject, results=bool(results_among(check.paths)))
            self.browser.progress("", f"{empty}\n\n{words.TEACH}")
            self.report_status("nothing to check", "warning")
            return
        self.browser.progress("", f"{outcome} in {check.subject}\n\n{words.TEACH}")
        if tally.samples:
            self.report_status(f"samples: {outcome}")
        elif tally.errors:
            self.report_status(outcome, "bad")
        else:
            self.report_status(outcome, "warning" if outcome != "no findings" else "good")
