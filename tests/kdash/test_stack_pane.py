"""The Stack pane with the real validator behind it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Static

from kdash.backends.stack import service
from kdash.backends.stack.facts import FileReport, Finding
from kdash.panes.stack import Check, StackPane
from kdash.panes.stack_files import object_dialog
from kdash.settings import Settings
from kdash.widgets.file_dialog import Entry
from kdash.widgets.line_table import LineTable
from kdash.widgets.pane import CommandError, Pane
from kdash.widgets.stack.browser import Browser
from kdash.widgets.stack.detail import Detail
from kdash.widgets.stack.entry import Entry as Row

CALLS_WITHOUT_FRAME = """
    .globl bad
    .type bad, @function
bad:
    call helper
    ret
    .size bad, . - bad
"""
CLEAN = """
    .globl leaf
    .type leaf, @function
leaf:
    ret
    .size leaf, . - leaf
"""
SMALL, LARGE = (80, 24), (160, 48)


def assemble(folder: Path, name: str, source: str) -> Path:
    text = folder / f"{name}.S"
    text.write_text(source)
    made = folder / f"{name}.o"
    subprocess.run(["gcc", "-g", "-c", str(text), "-o", str(made)], check=True)
    return made


class PaneApp(App[None]):
    pane_class: type[StackPane] = StackPane

    def __init__(self, *objects: Path) -> None:
        super().__init__()
        self.settings = Settings(objects=objects)
        self.statuses: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        self.pane = self.pane_class(self.settings, id="stack")
        yield self.pane

    def on_pane_status_changed(self, event: Pane.StatusChanged) -> None:
        self.statuses.append((event.text, event.tone))

    async def checked(self) -> None:
        """Wait until the validation has ended."""
        await asyncio.sleep(0)
        while any(worker.group == "validate" and not worker.is_finished for worker in self.workers):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)

    def text(self) -> str:
        return "\n".join(strip.text for strip in self.screen._compositor.render_strips())

    def rows(self) -> list[Row]:
        return list(self.pane.browser.findings.shown_rows)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.rows()]


pytestmark = pytest.mark.gcc


@pytest.mark.no_cover
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_objects_given_are_validated(tmp_path: Path, size: tuple[int, int]) -> None:
    assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME)
    assemble(tmp_path, "clean", CLEAN)
    (tmp_path / "junk.o").write_bytes(b"junk")
    app = PaneApp(tmp_path)
    async with app.run_test(size=size) as pilot:
        app.pane.run_command("frame-pointer on")
        await app.checked()
        await pilot.pause()
        assert app.kinds() == ["call-without-frame", "unreadable"]
        assert app.statuses[-1] == ("1 error, 1 unreadable", "bad")
        for part in ("bad+0x0", "callee helper", "junk.o", "3 files, 2 functions", "protects"):
            assert part in app.text() or (part == "protects" and size == SMALL), part


async def test_clean_objects_say_so(tmp_path: Path) -> None:
    app = PaneApp(assemble(tmp_path, "clean", CLEAN))
    async with app.run_test(size=SMALL) as pilot:
        await app.checked()
        await pilot.pause()
        assert "1 file, 1 function" in app.text()
        assert "no findings in " in app.text()
        assert app.statuses[-1] == ("no findings", "good")


async def test_a_folder_without_objects_says_so(tmp_path: Path) -> None:
    app = PaneApp(tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await app.checked()
        await pilot.pause()
        assert "Nothing to check in" in app.text()
        assert app.statuses[-1] == ("nothing to check", "warning")


@pytest.mark.no_cover
async def test_the_samples_are_shown_when_no_object_is_given() -> None:
    app = PaneApp()
    async with app.run_test(size=SMALL) as pilot:
        await app.checked()
        await pilot.pause()
        assert "samples: give object files or folders to check yours" in app.text()
        assert app.kinds()
        assert app.statuses[-1][0].startswith("samples: ")
        assert app.pane.browser.tally.unreadable == 0


@pytest.mark.no_cover
async def test_check_validates_other_objects_and_keeps_the_rules(tmp_path: Path) -> None:
    clean = assemble(tmp_path, "clean", CLEAN)
    bad = assemble(tmp_path, "a bad one", CALLS_WITHOUT_FRAME)
    app = PaneApp(clean)
    async with app.run_test(size=SMALL):
        app.pane.run_command("frame-pointer on")
        app.pane.run_command(f"check '{bad}'")
        await app.checked()
        assert app.kinds() == ["call-without-frame"]
        app.pane.run_command("frame-pointer off")
        await app.checked()
        assert app.kinds() == []


async def test_noreturn_functions_are_taken_at_their_word(tmp_path: Path) -> None:
    runs_off = CALLS_WITHOUT_FRAME.replace("ret", "")
    app = PaneApp(assemble(tmp_path, "bad", runs_off))
    async with app.run_test(size=SMALL):
        app.pane.run_command("frame-pointer off")
        await app.checked()
        assert app.kinds()
        assert "helper" in app.pane.run_command("noreturn helper")
        await app.checked()
        assert not app.kinds()


async def test_the_callee_becomes_noreturn_with_one_key(tmp_path: Path) -> None:
    app = PaneApp(assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME))
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("frame-pointer on")
        await app.checked()
        app.pane.focus_content()
        await pilot.press("n")
        await app.checked()
        assert "missing-noreturn" in app.kinds()
        await pilot.pause()
        assert app.focused is app.pane.browser.findings


RUNS_ON = """
    .globl {0}
    .type {0}, @function
{0}:
    call panics
    .size {0}, . - {0}
    .globl {0}_more
    .type {0}_more, @function
{0}_more:
    push %rbx
    ret
    .size {0}_more, . - {0}_more
"""


async def test_noreturn_stays_near_the_finding_and_says_what_came_of_it(tmp_path: Path) -> None:
    app = PaneApp(*(assemble(tmp_path, name, RUNS_ON.format(name)) for name in ("a", "b")))
    async with app.run_test(size=SMALL) as pilot:
        await app.checked()
        browser = app.pane.browser
        browser.findings.select(lambda row: row.kind == "fallthrough" and "b.o" in row.report.file)
        app.pane.focus_content()
        await pilot.press("enter", "n")
        await app.checked()
        await shown(app, pilot, lambda: any("before" in one.message for one in app._notifications))
        assert browser.current is not None
        assert browser.current.base_name == "b.o"
        assert browser.current.place == "b_more+0x1"
        told = [one.message for one in app._notifications][-1]
        assert told.startswith("noreturn: panics: ")
        assert "the one at b+0x0 is gone, the next one is at b_more+0x1" in told


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("frobnicate", "unknown command 'frobnicate'; :help lists all"),
        ("check", "give files or folders"),
        ("check /no/such/file.o", "/no/such/file.o: No such file or directory"),
        ("check 'x", "No closing quotation"),
        ("sort size", "'size' is not one of found, file, function, rule"),
        ("frame-pointer maybe", "'maybe' is not one of auto, on, off"),
        ("frame-pointer", "'' is not one of auto, on, off"),
        ("noreturn", "give the name of a function"),
        ("goto", "give the name of a function"),
        ("goto nowhere", "no finding shown is in 'nowhere'"),
    ],
)
async def test_a_command_that_can_not_be_carried_out_says_why(
    line: str, complaint: str, tmp_path: Path
) -> None:
    app = PaneApp(tmp_path)
    async with app.run_test(size=SMALL):
        with pytest.raises(CommandError) as raised:
            app.pane.run_command(line)
        assert complaint in str(raised.value)
        assert "\n" not in str(raised.value)


async def test_commands_filter_sort_and_go_to_a_function(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        assemble(tmp_path, name, CALLS_WITHOUT_FRAME.replace("bad", name))
    app = PaneApp(tmp_path)
    async with app.run_test(size=SMALL):
        app.pane.run_command("frame-pointer on")
        await app.checked()
        findings = app.pane.browser.findings
        app.pane.run_command("goto thr")
        assert findings.current is not None
        assert findings.current.place == "three+0x0"
        app.pane.run_command("sort function")
        assert [entry.place[:3] for entry in findings.shown_rows] == ["one", "thr", "two"]
        app.pane.run_command("filter !function:t")
        assert [entry.place for entry in findings.shown_rows] == ["one+0x0"]
        app.pane.run_command("filter")
        assert findings.row_count == 3


async def test_the_prompt_completes_words_values_names_and_paths(tmp_path: Path) -> None:
    bad = assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME)
    (tmp_path / "folder").mkdir()
    app = PaneApp(bad)
    async with app.run_test(size=SMALL):
        app.pane.run_command("frame-pointer on")
        await app.checked()
        complete = app.pane.complete
        assert complete("fr") == ["frame-pointer"]
        assert complete("frame-pointer o") == ["frame-pointer on", "frame-pointer off"]
        assert complete("sort r") == ["sort rule"]
        assert complete("goto b") == ["goto bad"]
        assert complete("noreturn h") == ["noreturn helper"]
        assert complete("filter x kind:c") == ["filter x kind:call-without-frame"]
        assert complete(f"check x {tmp_path}/fo") == [f"check x {tmp_path}/folder/"]
        assert complete(f"check {tmp_path}/b") == [f"check {tmp_path}/bad.S", f"check {bad}"]
        assert complete("check /no/such/place") == []
        assert complete("nonsense x") == []


async def test_copy_gives_the_line_that_the_command_line_prints(tmp_path: Path) -> None:
    bad = assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME)
    app = PaneApp(bad)
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("frame-pointer on")
        await app.checked()
        app.pane.focus_content()
        await pilot.press("y")
        assert app.clipboard == (
            f"{tmp_path}/bad.S:5: bad+0x0: error: call-without-frame: "
            f"call without frame pointer save/setup [{bad}]"
        )


async def test_editing_says_why_it_can_not_be_done(tmp_path: Path) -> None:
    app = PaneApp(assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME))
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("frame-pointer on")
        await app.checked()
        app.pane.focus_content()
        await pilot.press("e")
        (tmp_path / "bad.S").unlink()
        await pilot.press("e")
        messages = [notification.message for notification in app._notifications]
        assert "terminal can't be handed over" in messages[0]
        assert messages[1] == f"{tmp_path}/bad.S: no such file here"


async def test_keys_that_need_a_finding_say_so_when_there_is_none(tmp_path: Path) -> None:
    app = PaneApp(assemble(tmp_path, "clean", CLEAN))
    async with app.run_test(size=SMALL) as pilot:
        await app.checked()
        app.pane.focus_content()
        await pilot.press("y", "e", "n", "enter", "s", "I", "slash", "escape")
        messages = {notification.message for notification in app._notifications}
        assert messages == {"no finding under the cursor"}


def workers_alive() -> list[int]:
    return [child.pid for child in psutil.Process().children(recursive=True) if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # it ends while it is looked at
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and "kdash.backends.stack.worker" in process.cmdline()
    return False


async def all_workers_gone() -> None:
    """An app that ends cancels what its panes do; the loop still has to let that happen."""
    async with asyncio.timeout(30):
        while workers_alive():
            await asyncio.sleep(0.02)


async def test_no_worker_outlives_the_app(tmp_path: Path) -> None:
    first = assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME)
    for number in range(300):
        shutil.copy(first, tmp_path / f"copy{number}.o")
    app = PaneApp(tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        while not workers_alive():
            await pilot.pause(0.02)
    await all_workers_gone()


async def test_no_worker_outlives_the_check_that_it_belongs_to(tmp_path: Path) -> None:
    first = assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME)
    for number in range(300):
        shutil.copy(first, tmp_path / f"copy{number}.o")
    app = PaneApp(tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        while not (before := workers_alive()):
            await pilot.pause(0.02)
        app.pane.run_command(f"check {first}")
        await app.checked()
        assert not set(before) & set(workers_alive())
        assert app.pane.browser.tally.files == 1
        await app.pane.remove()
        await all_workers_gone()


async def test_a_failing_validator_fails_this_pane_alone_until_the_next_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: object, **_options: object) -> AsyncGenerator[FileReport, None]:
        none: tuple[FileReport, ...] = ()
        for report in none:
            yield report
        raise RuntimeError("[bold]boom")

    bad = assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME)
    app = PaneApp(bad)
    async with app.run_test(size=SMALL) as pilot:
        await app.checked()
        with monkeypatch.context() as patch:
            patch.setattr(service, "validate", broken)
            app.pane.run_command(f"check {bad}")
            for _ in range(20):
                await pilot.pause()
        assert "[bold]boom" in app.text()
        assert app.statuses[-1] == ("unavailable", "bad")
        assert len(app.pane.query(Browser)) == 0
        with pytest.raises(CommandError, match="check PATH starts another one"):
            app.pane.run_command("sort file")
        await pilot.press("y", "e")
        app.pane.run_command(f"check {bad}")
        await app.checked()
        assert app.pane.browser.tally.files == 1


async def test_o_finds_other_objects_and_takes_folders_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drivers").mkdir()
    (tmp_path / "a.o").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x01\0\x3e\0" + bytes(44))
    monkeypatch.chdir(tmp_path)
    chosen: list[Path] = []
    app = App[None]()
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(object_dialog((), chosen.append))
        table: LineTable[Entry] = LineTable((), lambda _: ())
        while not table.row_count:
            await pilot.pause(0.01)
            table = app.screen.query_one(LineTable)
        assert [entry.name for entry in table.shown_rows] == ["./", "drivers/", "a.o"]
        await pilot.press("down")
        while "relocatable object" not in str(app.screen.query_one(".about", Static).render()):
            await pilot.pause(0.01)
        await pilot.press("up", "up", "enter")
        assert chosen == [tmp_path]


@pytest.mark.no_cover
async def test_the_flow_view_draws_the_function_once_it_is_worked_out(tmp_path: Path) -> None:
    app = PaneApp(assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME))
    async with app.run_test(size=LARGE) as pilot:
        app.pane.run_command("frame-pointer on")
        await app.checked()
        app.pane.show_view(app.pane.VIEWS.index("Flow"))
        for _ in range(1000):
            await pilot.pause()
            if "bad: 1 block," in app.text():
                break
            await asyncio.sleep(0.01)
        assert "┌─ +0x0 " in app.text()
        assert "returns ─┘" in app.text()
        (tmp_path / "bad.o").unlink()
        app.pane.prepare()
        app.pane.show_view(app.pane.VIEWS.index("Code"))
        assert "call helper" in app.text()


async def test_the_flow_view_says_that_the_object_is_no_longer_the_one_checked(
    tmp_path: Path,
) -> None:
    path = assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME)
    app = PaneApp(path)
    async with app.run_test(size=LARGE) as pilot:
        app.pane.run_command("frame-pointer on")
        await app.checked()
        kept = path.rename(tmp_path / "kept")
        app.pane.show_view(app.pane.VIEWS.index("Flow"))
        await shown(app, pilot, lambda: "W checks what changes again" in app.text())
        kept.rename(path)
        app.pane.browser.query_one(Detail).post_message(Detail.FlowWanted(only_finding(app)))
        await shown(app, pilot, lambda: "┌─ +0x0 " in app.text())


def only_finding(app: PaneApp) -> Finding:
    (row,) = app.pane.browser.findings.held_rows
    assert row.finding is not None
    return row.finding


async def test_a_file_that_changes_is_checked_again_while_it_is_watched(
    tmp_path: Path,
) -> None:
    assemble(tmp_path, "other", CALLS_WITHOUT_FRAME)
    path = assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME)
    app = PaneApp(tmp_path)
    app.settings = replace(app.settings, watch=0.02)
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("frame-pointer on")
        await app.checked()
        assert app.kinds() == ["call-without-frame"] * 2
        assert app.pane.run_command("watch") == "watching: a file that changes is checked again"
        clean = assemble(tmp_path / "..", path.stem + "-clean", CLEAN)
        clean.replace(path)
        await shown(app, pilot, lambda: app.kinds() == ["call-without-frame"])
        assert app.pane.browser.tally.files == 2
        assemble(tmp_path, "new", CALLS_WITHOUT_FRAME)
        await shown(app, pilot, lambda: len(app.kinds()) == 2)
        away = path.rename(tmp_path / "away")
        await shown(app, pilot, lambda: "unreadable" in app.kinds())
        assert "the file is gone" in next(row.message for row in app.rows() if not row.finding)
        away.rename(path)
        await shown(app, pilot, lambda: "unreadable" not in app.kinds())
        assert app.pane.run_command("watch off") == "files are watched no longer"


async def shown(app: PaneApp, pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    for _ in range(1500):
        await pilot.pause()
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"it did not come to be: {app.text()}")


async def test_samples_are_not_watched() -> None:
    app = PaneApp()
    async with app.run_test(size=SMALL):
        await app.checked()
        with pytest.raises(CommandError, match="only objects can be watched"):
            app.pane.run_command("watch")


async def test_the_findings_shown_are_exported_and_nothing_is_written_over(
    tmp_path: Path,
) -> None:
    app = PaneApp(assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME))
    async with app.run_test(size=SMALL):
        app.pane.run_command("frame-pointer on")
        await app.checked()
        lines, text, notes = (tmp_path / name for name in ("a.json", "a.txt", "a.suppress"))
        assert "1 finding written to" in app.pane.run_command(f"export {lines}")
        assert json.loads(lines.read_text().splitlines()[0])["kind"] == "call-without-frame"
        assert "summary" in json.loads(lines.read_text().splitlines()[1])
        app.pane.run_command(f"export {text}")
        assert text.read_text().count("\n") == 1
        app.pane.run_command(f"export {notes} annotations")
        assert "STACK_FRAME_NON_STANDARD bad" in notes.read_text()
        for line, says in (
            (f"export {text}", "is there already"),
            ("export", "give a file"),
            (f"export {tmp_path}/x pdf", "'pdf' is not one of"),
            (f"export {tmp_path}/none/x", "No such file or directory"),
        ):
            with pytest.raises(CommandError, match=says):
                app.pane.run_command(line)
        app.pane.run_command("filter nothing-passes")
        with pytest.raises(CommandError, match="no finding is shown"):
            app.pane.run_command(f"export {tmp_path}/y")


class GatedPane(StackPane):
    """The pane, whose validator waits behind every second file until it is let go."""

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(settings, id=id)
        self.asked: list[list[str]] = []
        self.gate = asyncio.Event()

    async def reports(self, files: list[str], check: Check) -> AsyncGenerator[FileReport]:
        self.asked.append(list(files))
        async with aclosing(super().reports(files, check)) as stream:
            number = 0
            async for report in stream:
                yield report
                number += 1
                if number == 2:
                    await self.gate.wait()


async def test_a_check_is_stopped_and_goes_on_with_the_files_that_are_left(tmp_path: Path) -> None:
    source = CALLS_WITHOUT_FRAME.replace("call", "push %rbx\n    call")
    for number in range(4):
        assemble(tmp_path, f"bad{number}", source)
    app = PaneApp(tmp_path)
    app.pane_class = GatedPane
    async with app.run_test(size=SMALL) as pilot:
        pane = app.pane
        assert isinstance(pane, GatedPane)
        await shown(app, pilot, lambda: "2/4" in app.text())
        app.pane.focus_content()
        await pilot.press("x")
        await shown(app, pilot, lambda: "stopped at 2/4, x goes on" in app.text())
        assert app.statuses[-1] == ("stopped at 2/4", "warning")
        pane.gate.set()
        await pilot.press("x")
        await shown(app, pilot, lambda: app.pane.browser.tally.files == 4)
        await app.checked()
        assert len(pane.asked[0]) == 4
        assert len(pane.asked[1]) == 2
        assert sorted({entry.report.file for entry in app.rows()}) == sorted(pane.asked[0])
        assert "stopped at" not in app.text()


@pytest.mark.no_cover
async def test_source_lines_stand_in_the_detail_with_their_text(tmp_path: Path) -> None:
    path = assemble(tmp_path, "bad", CALLS_WITHOUT_FRAME)
    app = PaneApp(path)
    async with app.run_test(size=LARGE) as pilot:
        app.pane.run_command("frame-pointer on")
        await app.checked()
        await shown(app, pilot, lambda: app.text().count("call helper") >= 4)
        assert "bad.S:5  call helper" in app.text()
        (tmp_path / "bad.S").unlink()
        app.pane.run_command("frame-pointer on")
        await app.checked()
        await shown(app, pilot, lambda: "bad.S:5 " in app.text())
        assert "bad.S:5  call helper" not in app.text()
