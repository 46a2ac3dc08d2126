"""Build logs, SARIF and results of earlier runs in the Stack pane."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kdash.backends.stack.baseline import accept, write_baseline
from kdash.backends.stack.check import Checker
from kdash.backends.stack.formats import Summary, json_line
from kdash.backends.stack.object_files import sample_paths
from kdash.backends.stack.sarif import SarifForm
from kdash.commands.dashboard import read_settings
from kdash.widgets.pane import CommandError
from tests.kdash.test_stack_pane import LARGE, SMALL, PaneApp
from tests.widgets.stack.test_browser import settle

SAMPLE = Path(next(path for path in sample_paths() if path.endswith("idle_enter.o")))
LOG = """\
  CC      idle_enter.o
idle_enter.o: warning: objtool: idle_enter()+0xf: sibling call from callable instruction with \
modified stack frame
idle_enter.o: warning: objtool: idle_enter()+0x5: stack state mismatch: cfa1=6+16 cfa2=7+8
gone.o: warning: objtool: f()+0x9: undefined stack state
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    shutil.copy(SAMPLE, tmp_path)
    path = tmp_path / "build.log"
    path.write_text(LOG)
    return path


@pytest.mark.no_cover
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_both_verdicts_stand_side_by_side(log: Path, size: tuple[int, int]) -> None:
    app = PaneApp(log)
    async with app.run_test(size=size) as pilot:
        await app.checked()
        await settle(pilot)
        ours = [entry.ours for entry in app.pane.browser.findings.shown_rows]
        assert ours == ["same", "sibling-modified+0xf", "not known"]
        text = app.text()
        for part in ("kdash", "not known", "objtool   sibling call", "kdash     finds it, too"):
            assert part in text, part


async def test_where_the_object_is_missing_it_is_named(log: Path) -> None:
    app = PaneApp(log)
    async with app.run_test(size=LARGE) as pilot:
        await app.checked()
        app.pane.run_command("filter agrees:^$")
        await settle(pilot)
        assert app.kinds() == ["undefined-state"]
        assert "gone.o is not here" in app.text()


@pytest.mark.no_cover
async def test_where_the_object_is_at_hand_its_code_and_path_are_shown(log: Path) -> None:
    app = PaneApp(log)
    async with app.run_test(size=LARGE) as pilot:
        await app.checked()
        app.pane.run_command("filter agrees:yes")
        await settle(pilot)
        text = app.text()
        for part in ("jne idle_cancel", "path 4/4", "CFA=rbp+16"):
            assert part in text, part


@pytest.mark.no_cover
async def test_sarif_and_json_lines_open_as_logs_do(tmp_path: Path) -> None:
    report = Checker().check(str(SAMPLE))
    form = SarifForm()
    sarif = [*form.head(), *form.of(report), *form.tail(Summary(), 0, complete=True)]
    (tmp_path / "scan").write_text("\n".join(sarif))
    (tmp_path / "results").write_text("\n".join(map(json_line, report.findings)))
    app = PaneApp(tmp_path / "scan")
    async with app.run_test(size=SMALL):
        await app.checked()
        expected = [finding.kind for finding in report.findings]
        assert app.kinds() == expected
        app.pane.run_command(f"open {tmp_path / 'results'}")
        await app.checked()
        assert app.kinds() == expected
        rows = app.pane.browser.findings.shown_rows
        assert {entry.ours for entry in rows} == {"same"}


async def test_a_baseline_opens_as_what_it_accepts(tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path)
    report = Checker().check(str(tmp_path / SAMPLE.name))
    write_baseline(str(tmp_path / "base"), accept(report.findings))
    (tmp_path / "cut").write_text((tmp_path / "base").read_text()[:-40])
    app = PaneApp(tmp_path / "base")
    async with app.run_test(size=SMALL):
        await app.checked()
        assert sorted(app.kinds()) == sorted(one.kind for one in report.findings)
        rows = list(app.pane.browser.findings.shown_rows)
        assert all(row.ours.startswith("same") for row in rows)
        assert {row.finding.origin for row in rows if row.finding} == {"baseline"}
        app.pane.run_command(f"open {tmp_path / 'cut'}")
        await app.checked()
        assert app.kinds() == ["unreadable"]


async def test_results_and_objects_open_together(log: Path) -> None:
    app = PaneApp(log, SAMPLE)
    async with app.run_test(size=SMALL):
        await app.checked()
        assert len(app.kinds()) == 3 + 3


async def test_a_file_that_is_cut_off_shows_what_it_holds_and_what_is_wrong(
    tmp_path: Path,
) -> None:
    path = tmp_path / "results"
    first = json_line(Checker().check(str(SAMPLE)).findings[0])
    path.write_text(f'{first}\n{{"file": "x')
    app = PaneApp(path)
    async with app.run_test(size=LARGE) as pilot:
        await app.checked()
        app.pane.run_command("filter kind:unreadable")
        await settle(pilot)
        assert "line 2 is no JSON; truncated?" in app.text()
        assert app.pane.browser.tally.findings == 1


async def test_a_log_without_warnings_says_so(tmp_path: Path) -> None:
    path = tmp_path / "build.log"
    path.write_text("  CC x.o\n")
    app = PaneApp(path)
    async with app.run_test(size=SMALL) as pilot:
        await app.checked()
        await pilot.pause()
        assert "No warning of objtool or stacktool in" in app.text()


async def test_the_folder_of_the_build_can_be_told(log: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "build" / "drivers"
    elsewhere.mkdir(parents=True)
    (tmp_path / SAMPLE.name).rename(elsewhere / SAMPLE.name)
    app = PaneApp(log)
    async with app.run_test(size=SMALL):
        await app.checked()
        known = [entry.ours for entry in app.pane.browser.findings.shown_rows]
        assert known == ["not known"] * 3
        app.pane.run_command(f"open {log} --build-dir {tmp_path / 'build'}")
        await app.checked()
        known = [entry.ours for entry in app.pane.browser.findings.shown_rows]
        assert known[0] == "same"
        with pytest.raises(CommandError, match="--build-dir: /nowhere: no such folder"):
            app.pane.run_command(f"open {log} --build-dir /nowhere")
        with pytest.raises(CommandError, match="open: give files"):
            app.pane.run_command("open")


def test_the_command_line_opens_a_log_in_the_stack_pane(log: Path, tmp_path: Path) -> None:
    settings = read_settings([str(log), "--build-dir", str(tmp_path)])
    assert (settings.objects, settings.pane, settings.build_dir) == ((log,), 1, str(tmp_path))
    with pytest.raises(ValueError, match="--build-dir /nowhere: no such folder"):
        read_settings([str(log), "--build-dir", "/nowhere"])
