"""The part of the Stack pane that checks a file again when it changes on disk."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import PurePath
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.timer import Timer

from kdash.backends.stack.facts import FileReport
from kdash.backends.stack.object_files import signatures
from kdash.backends.wording import counted
from kdash.panes.stack_checking import Signature
from kdash.panes.stack_results import results_among
from kdash.panes.stack_verdicts import VerdictKeys
from kdash.widgets.pane import CommandError

GONE = "the file is gone; while it is watched, it is checked again when it comes back"
SEARCH = 5  # looks after which folders are searched for new files, too


class Watching(VerdictKeys):
    """Looks at the files once a second; one that changed and rests is checked again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("W", "watch", "Watch", show=False, id="stack.watch",
                tooltip="Check a file again when it changes on disk, or no longer"),
    ]  # fmt: skip

    _watch: Timer | None = None
    _looking = False
    _looks = 0

    @property
    def watching(self) -> bool:
        """Whether files that change are checked again."""
        return self._watch is not None

    def action_watch(self) -> None:
        """Begin or end watching."""
        try:
            self.say(self.set_watching(not self.watching))
        except CommandError as error:
            self.say(str(error), failed=True)

    def set_watching(self, on: bool) -> str:
        """Begin or end watching; what to tell.

        Raises:
            CommandError: There is nothing that could change.
        """
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if not on:
            return "files are watched no longer"
        if not self.check.paths or results_among(self.check.paths):
            raise CommandError("watch: only objects can be watched; :check PATH names some")
        self._changing: dict[str, Signature] = {}  # seen changed, not known to rest yet
        self._missing = set[str]()  # not there, not known to stay away yet
        self._gone = set[str]()  # told to be gone
        self._looks = 0
        self._watch = self.set_interval(self.settings.watch, self._look_at_files)
        return "watching: a file that changes is checked again"

    def _look_at_files(self) -> None:
        """Look in a worker: messages go on meanwhile."""
        if not self._looking and self.is_whole and self.browser_shown:
            self._looking = True
            self.run_worker(self._look_and_check(), group="watch", exit_on_error=False)

    async def _look_and_check(self) -> None:
        try:
            self._looks += 1
            search = self._looks % SEARCH == 0
            known = list(dict.fromkeys([*self.checked, *self._changing, *self._gone]))

            def look() -> dict[str, Signature]:
                return self._files()[1] if search else signatures(known)

            check = self.check
            found = await asyncio.to_thread(look)
            if check is not self.check or not self.is_whole:
                return
            if gone := self._staying_away(found):
                self._tell_gone(gone)
            if changed := self._resting(found):
                await self._check_again(changed)
        finally:
            self._looking = False

    def _resting(self, found: dict[str, Signature]) -> list[str]:
        """Files that are other ones than those checked, and the same as a look ago."""
        changed = {file: seen for file, seen in found.items() if seen != self.checked.get(file)}
        resting = [file for file, seen in changed.items() if self._changing.get(file) == seen]
        self._changing = {file: seen for file, seen in changed.items() if file not in resting}
        self.checked |= {file: changed[file] for file in resting}
        return resting

    def _staying_away(self, found: dict[str, Signature]) -> list[str]:
        """Checked files that are not there, and were not a look ago: builds replace files."""
        missing = self.checked.keys() - found.keys()
        gone = [file for file in self.checked if file in missing & self._missing]
        self._missing = missing.difference(gone)
        for file in gone:
            del self.checked[file]
        self._gone = self._gone.union(gone) - found.keys()
        return gone

    def _tell_gone(self, files: list[str]) -> None:
        """What was found in files that are no more is no more."""
        if self.compared:
            self.start(self.check)
            return
        self.browser.replace([FileReport(file, error=GONE) for file in files])
        self.end_of_check()
        self.say(f"{_named(files)} {'is' if len(files) == 1 else 'are'} gone", failed=True)

    async def _check_again(self, files: list[str]) -> None:
        if self.compared:
            self.start(self.check)
            return
        check, reports = self.check, list[FileReport]()
        async with aclosing(self.reports(files, check)) as stream:
            async for report in stream:
                reports.append(report)
        if check is not self.check or not self.browser_shown:
            return
        self.browser.replace(reports)
        self.end_of_check()
        findings = sum(len(report.findings) for report in reports)
        self.say(f"{_named(files)} changed: {counted(findings, 'finding')} now")


def _named(files: list[str]) -> str:
    return PurePath(files[0]).name if len(files) == 1 else f"{len(files)} files"
