"""Older runs and baselines in the Stack pane: new, fixed, moved; accepting what is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kdash.backends.stack.baseline import read_baseline
from kdash.backends.stack.object_files import sample_paths
from kdash.commands.dashboard import read_settings
from kdash.commands.stack import run
from kdash.widgets.pane import CommandError
from tests.kdash.test_stack_pane import LARGE, SMALL, PaneApp
from tests.widgets.stack.test_browser import settle


def sample(name: str) -> str:
    return next(path for path in sample_paths() if path.endswith(name))


@pytest.fixture
def builds(tmp_path: Path) -> tuple[Path, Path]:
    """An old build, and a new one in which one object stays, one is changed, and one came."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        shutil.copy(sample("idle_enter.o"), folder / "stays.o")
    shutil.copy(sample("copy_words.o"), old / "fixed.o")
    shutil.copy(sample("uart_irq.o"), new / "fixed.o")
    shutil.copy(sample("journal.o"), new / "broken.o")
    return old, new


def shown(app: PaneApp) -> dict[str, set[str]]:
    """Changes shown, by the names of their files."""
    found: dict[str, set[str]] = {}
    for row in app.pane.browser.findings.shown_rows:
        assert row.finding is not None
        found.setdefault(row.base_name, set()).add(row.finding.change)
    return found


CHANGES = {"stays.o": {"same"}, "broken.o": {"new"}, "fixed.o": {"new", "fixed"}}


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_what_is_new_fixed_and_the_same_stands_in_the_list(
    builds: tuple[Path, Path], size: tuple[int, int]
) -> None:
    old, new = builds
    app = PaneApp(new)
    async with app.run_test(size=size) as pilot:
        await app.checked()
        assert {change for changes in shown(app).values() for change in changes} == {""}
        app.pane.run_command(f"compare {old}")
        await app.checked()
        await settle(pilot)
        assert shown(app) == CHANGES
        assert app.pane.browser.tally.files == 3
        text = app.text()
        for part in ("fixed, 0 moved)", "new ", "same "):
            assert part in text, part
        app.pane.run_command("filter change:fixed")
        await settle(pilot)
        assert shown(app) == {"fixed.o": {"fixed"}}
        assert "the older run has it, this one does not" in app.text()
        app.pane.run_command("compare")
        app.pane.run_command("filter")
        await app.checked()
        assert shown(app) == {"stays.o": {""}, "broken.o": {""}, "fixed.o": {""}}


async def test_results_of_an_earlier_run_are_an_older_run(
    builds: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = builds
    run(["check", str(old), "--format", "json"])
    (tmp_path / "before").write_text(capsys.readouterr().out)
    app = PaneApp(new)
    async with app.run_test(size=SMALL):
        app.pane.run_command(f"compare {tmp_path / 'before'}")
        await app.checked()
        assert shown(app) == CHANGES


async def test_what_is_there_is_accepted_and_only_new_and_fixed_shown(
    builds: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = builds
    baseline = tmp_path / "base line"
    app = PaneApp(old)
    async with app.run_test(size=SMALL):
        await app.checked()
        said = app.pane.run_command(f"baseline write '{baseline}'")
        count = app.pane.browser.tally.findings
        assert said == f"{count} findings accepted in {baseline}"
        assert len(read_baseline(str(baseline)).accepted) == count
        app.pane.run_command(f"check {new}")
        app.pane.run_command(f"baseline '{baseline}'")
        await app.checked()
        assert shown(app) == {"broken.o": {"new"}, "fixed.o": {"new", "fixed"}}
        app.pane.run_command("baseline")
        await app.checked()
        assert shown(app) == {"stays.o": {""}, "broken.o": {""}, "fixed.o": {""}}


async def test_a_finding_that_went_to_another_file_moved(tmp_path: Path) -> None:
    for folder, name in (("old", "z.o"), ("new", "a.o")):
        (tmp_path / folder).mkdir()
        shutil.copy(sample("idle_enter.o"), tmp_path / folder / name)
    app = PaneApp(tmp_path / "new")
    async with app.run_test(size=LARGE) as pilot:
        app.pane.run_command(f"compare {tmp_path / 'old'}")
        await app.checked()
        await settle(pilot)
        assert shown(app) == {"a.o": {"moved"}}
        assert "0 new, 0 fixed, 3 moved" in app.text()
        assert "elsewhere: " in app.text()


async def test_what_is_no_older_run_is_told_and_the_check_goes_on(
    builds: tuple[Path, Path], tmp_path: Path
) -> None:
    _, new = builds
    (tmp_path / "cut").write_text(json.dumps({"file": "x.o"}) + "\n")
    app = PaneApp(new)
    async with app.run_test(size=SMALL):
        app.pane.run_command(f"compare {tmp_path / 'cut'}")
        await app.checked()
        assert set(shown(app)) == {"stays.o", "broken.o", "fixed.o"}
        messages = [one.message for one in app._notifications]
        assert messages == [f"{tmp_path / 'cut'}: line 1 is no finding: it has no 'kind'"]


async def test_a_baseline_is_never_written_over_something_else_or_of_half_a_check(
    builds: tuple[Path, Path],
) -> None:
    old, _ = builds
    (old / "junk.o").write_bytes(b"junk")
    app = PaneApp(old)
    async with app.run_test(size=SMALL):
        with pytest.raises(CommandError, match="has not come to its end"):
            app.pane.run_command("baseline write x")
        await app.checked()
        with pytest.raises(CommandError, match=r"junk.o was not read; nothing written"):
            app.pane.run_command("baseline write x")
        (old / "junk.o").unlink()
        app.pane.run_command(f"check {old}")
        await app.checked()
        before = (old / "stays.o").read_bytes()
        with pytest.raises(CommandError, match="not a baseline of kdash, so it is not replaced"):
            app.pane.run_command(f"baseline write {old / 'stays.o'}")
        assert (old / "stays.o").read_bytes() == before
        with pytest.raises(CommandError, match="No such file"):
            app.pane.run_command("baseline write /nowhere/x")
        with pytest.raises(CommandError, match="takes the name of a file"):
            app.pane.run_command("baseline write")


async def test_the_command_line_compares_from_the_start(
    builds: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = builds
    settings = read_settings(["--compare", str(old), str(new)])
    assert (settings.objects, settings.older, settings.changed_only) == ((new,), old, False)
    assert run(["baseline", "write", str(tmp_path / "base"), str(old)]) == 0
    app = PaneApp()
    app.settings = read_settings(["--baseline", str(tmp_path / "base"), str(new)])
    async with app.run_test(size=SMALL):
        await app.checked()
        assert shown(app) == {"broken.o": {"new"}, "fixed.o": {"new", "fixed"}}
    for option in ("--compare", "--baseline", "--build-dir"):
        with pytest.raises(ValueError, match=f"{option}: give objects"):
            read_settings([option, str(old)])
    with pytest.raises(OSError, match="gone"):
        read_settings(["--compare", str(tmp_path / "gone"), str(new)])
    with pytest.raises(ValueError, match="not allowed with"):
        read_settings(["--compare", str(old), "--baseline", str(old), str(new)])
