"""The part of the Stack pane about one finding: editor, clipboard, noreturn."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from kdash.backends.stack.facts import FileReport, Finding, Flow, SourceLine
from kdash.backends.stack.formats import text_line
from kdash.backends.stack.source_text import source_text
from kdash.editor import EditorError, edit, find_source
from kdash.panes.stack_rechecking import Rechecking
from kdash.widgets.stack.detail import Detail
from kdash.widgets.stack.entry import last_called

LINGER = 0.15  # seconds on a finding before its control flow is worked out
MOST_FLOWS = 64  # kept
AGAIN = "W checks what changes again, :check PATH checks anew"


class FindingKeys(Rechecking):
    """What can be done with the finding under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit", id="stack.edit", tooltip="Open the source line in $EDITOR"),
        Binding("y", "copy", "Copy", show=False, id="stack.copy",
                tooltip="Copy the finding as one line of text"),
        Binding("n", "noreturn", "Noreturn", show=False, id="stack.noreturn",
                tooltip="Treat the callee as noreturn, check again"),
        Binding("L", "livepatch", "Livepatch", show=False, id="stack.livepatch",
                tooltip="Are traces through this function reliable, and which tasks are in it"),
    ]  # fmt: skip

    def finding(self) -> Finding | None:
        """The finding under the cursor; without one it says so."""
        entry = self.browser.current if self.browser_shown else None
        if entry is None or entry.finding is None:
            self.say("no finding under the cursor")
            return None
        return entry.finding

    def action_copy(self) -> None:
        """Copy the finding as one line of text."""
        if finding := self.finding():
            line = text_line(finding)
            self.app.copy_to_clipboard(line)
            self.say(f"copied: {line}")

    def action_edit(self) -> None:
        """Open the source line in the user's editor."""
        if not (finding := self.finding()):
            return
        if finding.source is None:
            self.say("no source line: the object has no DWARF line table (gcc -g)", failed=True)
            return
        path = find_source(finding.source.file, finding.file, finding.source.directory)
        if path is None:
            self.say(f"{finding.source.file}: no such file here", failed=True)
            return
        try:
            edit(self.app, path, finding.source.line)
        except EditorError as error:
            self.say(str(error), failed=True)

    def action_noreturn(self) -> None:
        """Treat the function called at the finding as noreturn and check again."""
        if finding := self.finding():
            if callee := last_called(finding):
                self.say(self.noreturn([callee]))
            else:
                self.say("this finding names no function that is called", failed=True)

    @on(Detail.FlowWanted)
    def _flow_wanted(self, event: Detail.FlowWanted) -> None:
        event.stop()
        self.run_worker(
            self._show_flow(event.finding), group="flow", exclusive=True, exit_on_error=False
        )

    @on(Detail.SourcesWanted)
    def _sources_wanted(self, event: Detail.SourcesWanted) -> None:
        event.stop()
        if not self.settings.web:  # a browser elsewhere gets no files that an object names
            showing = self._show_sources(event.finding, event.places)
            self.run_worker(showing, group="sources", exclusive=True, exit_on_error=False)

    async def _show_sources(self, finding: Finding, places: frozenset[SourceLine]) -> None:
        texts = await asyncio.to_thread(texts_of, places, finding.file)
        if self.browser_shown:
            self.browser.show_sources(finding, texts)

    async def _show_flow(self, finding: Finding) -> None:
        """Work out the control flow, for whoever stays with the finding for a moment."""
        from kdash.backends.stack.object_files import signatures

        file, options = finding.file, self.check.options
        seen = (await asyncio.to_thread(signatures, [file])).get(file)
        key = (file, seen, finding.section, finding.address, finding.kind, options)
        shown: Flow | str | None = self._flows.get(key)
        if shown is None and seen != self.checked.get(file, seen):
            shown = f"{file} has {'changed' if seen else 'gone'} since it was checked: {AGAIN}"
        elif shown is None:
            await asyncio.sleep(LINGER)
            shown = await self._work_out_flow(finding, key)
        if self.browser_shown:
            self.browser.show_flow(finding, shown)

    async def _work_out_flow(self, finding: Finding, key: object) -> Flow | str:
        """The control flow, which is kept, or why there is none."""
        from kdash.backends.stack.facts import ObjectError
        from kdash.backends.stack.service import flow_around

        try:
            flow = await flow_around(finding, self.check.options)
        except ObjectError as error:
            told = str(error)
            return told if finding.file in told else f"{finding.file}: {told}"
        if len(self._flows) >= MOST_FLOWS:
            self._flows.pop(next(iter(self._flows)))
        self._flows[key] = flow
        return flow

    def prepare(self) -> None:
        """What was worked out may be of other files."""
        super().prepare()
        self._flows: dict[object, Flow] = {}

    def action_livepatch(self) -> None:
        """Tell whether the function can be patched live, and which tasks are inside of it."""
        if finding := self.finding():
            if finding.function:
                self.livepatch(finding.function)
            else:
                self.say("this finding is outside of functions", failed=True)

    def livepatch(self, function: str) -> None:
        """Judge a function by the findings on its object, and look for tasks inside of it."""
        entry = self.browser.current
        report = entry.report if entry else FileReport("")
        self.run_worker(self._livepatch(function, report), group="livepatch", exclusive=True)

    async def _livepatch(self, function: str, report: FileReport) -> None:
        from kdash.backends.stack.livepatch import NoTasksError, look_at_tasks
        from kdash.backends.stack.livepatch_facts import module_name
        from kdash.backends.stack.livepatch_text import reliability_line, task_lines
        from kdash.backends.stack.reliability import judge_function

        lines = reliability_line(judge_function(report.file, function, report.findings))
        try:
            module = module_name(report.file)
            lines += task_lines(await asyncio.to_thread(look_at_tasks, [function], module))
        except NoTasksError as error:
            lines.append(f"tasks inside of it are not known: {error}")
        self.post_message(self.Answered(self, "\n".join(line.strip() for line in lines)))


def texts_of(places: Collection[SourceLine], object_file: str) -> dict[SourceLine, str]:
    """What stands in source lines, of those files that are here."""
    numbers: dict[str, list[int]] = {}
    for place in places:
        numbers.setdefault(place.file, []).append(place.line)
    directory = next((place.directory for place in places if place.directory), "")
    texts = {}
    for name, wanted in numbers.items():
        if path := find_source(name, object_file, directory):
            for number, text in source_text(str(path), wanted).items():
                texts[SourceLine(name, number)] = text
    return texts
