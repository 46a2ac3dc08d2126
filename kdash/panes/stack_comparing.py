"""The part of the Stack pane that compares with an older run, and accepts what is there."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from kdash.backends.stack.baseline import BaselineError, accept, write_baseline
from kdash.backends.stack.compare import Comparison, looked_at
from kdash.backends.stack.facts import FileReport, Finding, ResultsError
from kdash.backends.wording import counted
from kdash.panes.stack_checking import Checking
from kdash.targets import covers, is_results
from kdash.widgets.pane import CommandError

CHANGED = "!change:^(same|moved)$"  # what a baseline does not accept, is fixed or unreadable


class Comparing(Checking):
    """Findings say what they are to the older run, and what was fixed since is listed, too."""

    _comparison: Comparison | None = None
    _reported: list[FileReport]  # of this run, without their findings

    def on_mount(self) -> None:
        """Filter as the command line says."""
        if self.settings.changed_only:
            self.call_after_refresh(self.browser.set_filter, CHANGED)

    async def begin(self) -> None:
        """Read or validate the older run."""
        self._comparison, self._reported = None, []
        if (older := self.check.older) is None:
            return
        self.browser.progress(f"reading {older.name}", f"reading the older run {older}")
        try:
            found = await self._older_findings(older)
        except (ResultsError, BaselineError) as error:
            told = str(error)
            self.say(told if str(older) in told else f"{older}: {told}", failed=True)
            return
        except OSError as error:
            self.say(f"{older}: {error.strerror or error}", failed=True)
            return
        self._comparison = Comparison(found)

    async def _older_findings(self, older: Path) -> list[Finding]:
        from kdash.backends.stack.import_results import read_run
        from kdash.backends.stack.service import validate

        found: list[Finding] = []
        if is_results(older):
            for report in await asyncio.to_thread(lambda: list(read_run(str(older)))):
                found += report.findings
            return found
        async with aclosing(
            validate([str(older)], self.check.options, cache=not self.settings.web)
        ) as reports:
            async for report in reports:
                if report.error:
                    self.say(f"{report.file}: {report.error}", failed=True)
                found += report.findings
        return found

    @property
    def compared(self) -> bool:
        """Whether there is an older run to compare with."""
        return self._comparison is not None

    def seen(self, report: FileReport) -> FileReport:
        """A report whose findings say what they are to the older run."""
        if self._comparison is None:
            return report
        self._reported.append(replace(report, findings=()))
        return self._comparison.classified(report)

    def end(self) -> None:
        """What went to another file is no longer new; what is left of the older run is fixed."""
        if self._comparison is None:
            return
        self.browser.settle(self._comparison.settled)
        whole = self.check.older is not None and covers(self.check.older, self.check.paths)
        fixed = self._comparison.fixed(None if whole else looked_at(self._reported))
        if fixed:
            self.browser.add(fixed)

    # -- the words of the prompt --------------------------------------------------------

    def compare_with(self, older: Path | None) -> None:
        """Check again, compared with an older run, or with none."""
        self.start(replace(self.check, older=older))

    def show_changed(self, baseline: Path | None) -> None:
        """Check again and show only what a baseline does not accept; all without one."""
        self.compare_with(baseline)
        self.browser.set_filter(CHANGED if baseline else "")

    def write_baseline(self, path: Path) -> str:
        """Accept all findings of this run, whatever the filter; what was done.

        Raises:
            CommandError: They are not all known, or the file can't be written.
        """
        if not self.is_whole:
            raise CommandError("baseline: the check has not come to its end")
        rows = self.browser.findings.of_this_run
        if unread := [row for row in rows if row.finding is None]:
            # Without this file its findings would be called new later on.
            raise CommandError(f"baseline: {unread[0].report.file} was not read; nothing written")
        findings = [row.finding for row in rows if row.finding is not None]
        try:
            write_baseline(str(path), accept(findings))
        except BaselineError as error:
            raise CommandError(f"baseline: {error}") from None
        except OSError as error:
            raise CommandError(f"baseline: {path}: {error.strerror or error}") from None
        return f"{counted(len(findings), 'finding')} accepted in {path}"
