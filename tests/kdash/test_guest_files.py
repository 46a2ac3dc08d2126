"""The dialog of `o`: folders, names, what a file is, options, recent guests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from kdash.panes.folders import Folders
from kdash.panes.guest_files import guest_dialog
from kdash.panes.recent_guests import recent_guests, remember, state_file
from kdash.panes.vcpu import VcpuPane
from kdash.settings import Settings
from kdash.widgets.file_dialog import Entry, FileDialog
from kdash.widgets.line_table import LineTable
from tests.kdash.test_vcpu_pane import GivenSession, PaneApp, until
from tests.widgets.vcpu.made import snapshot

BOOT_SECTOR = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"


class OpeningPane(VcpuPane):
    """Remembers what was to be opened."""

    def __init__(self, guest: Path) -> None:
        super().__init__(Settings(guest=guest), id="vcpu")
        self.opened: list[Settings] = []

    def make_session(self, settings: Settings) -> GivenSession:
        return GivenSession(snapshot())

    def open_guest(self, settings: Settings) -> None:
        self.opened.append(settings)


class Opening(PaneApp):
    def __init__(self, guest: Path) -> None:
        self.opening = OpeningPane(guest)
        super().__init__(self.opening)


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "guests"
    (folder / "sub").mkdir(parents=True)
    (folder / "flat.bin").write_bytes(b"\x90\xf4")
    (folder / "boot.img").write_bytes(BOOT_SECTOR)
    (folder / ".hidden").write_bytes(b"\xf4")
    (folder / "broken").symlink_to("nowhere")
    (folder / "evil\x1b[31m[b]x").write_bytes(b"\xf4")
    (folder / "sub" / "inner guest.bin").write_bytes(b"\xf4")
    return folder


async def dialog(pilot: Pilot[Any]) -> FileDialog:
    await pilot.press("o")
    await until(pilot, lambda: isinstance(pilot.app.screen, FileDialog) and bool(names(pilot)))
    screen = pilot.app.screen
    assert isinstance(screen, FileDialog)
    return screen


def table(pilot: Pilot[Any]) -> LineTable[Entry]:
    found: LineTable[Entry] = pilot.app.screen.query_one(LineTable)
    return found


def names(pilot: Pilot[Any]) -> list[str]:
    return [entry.name for entry in table(pilot).shown_rows]


def about(pilot: Pilot[Any]) -> str:
    return str(pilot.app.screen.query_one(".about", Static).render())


async def test_it_begins_at_the_guest_with_folders_first_and_hidden_files_on_request(
    guests: Path,
) -> None:
    async with Opening(guests / "flat.bin").run_test(size=(80, 24)) as pilot:
        await dialog(pilot)
        shown = ["sub/", "boot.img", "broken", "evil\x1b[31m[b]x", "flat.bin"]
        assert names(pilot) == shown
        assert r"evil\x1b[31m[b]x" in table(pilot).render_line(4).text
        await pilot.press("ctrl+t")
        assert names(pilot) == ["sub/", ".hidden", *shown[1:]]


async def test_what_the_file_under_the_cursor_is_and_how_large_is_told(guests: Path) -> None:
    async with Opening(guests / "flat.bin").run_test(size=(80, 24)) as pilot:
        await dialog(pilot)
        await until(pilot, lambda: about(pilot).startswith("folder, of "))
        await pilot.press("down")
        await until(pilot, lambda: about(pilot).startswith("boot sector, 512 bytes, of "))
        await pilot.press("down")
        await until(pilot, lambda: about(pilot) == "a link to nowhere, which is not there")


async def test_typing_narrows_tab_completes_and_enter_opens(guests: Path) -> None:
    app = Opening(guests / "flat.bin")
    async with app.run_test(size=(80, 24)) as pilot:
        await dialog(pilot)
        await pilot.press("b", "o")
        assert names(pilot) == ["boot.img"]
        await pilot.press("tab")
        assert pilot.app.screen.query(Input).first().value == "boot.img"
        await pilot.press("enter")
        assert not isinstance(app.screen, FileDialog)
        assert [one.guest for one in app.opening.opened] == [guests / "boot.img"]


async def test_enter_goes_into_a_folder_and_backspace_up_again(guests: Path) -> None:
    app = Opening(guests / "flat.bin")
    async with app.run_test(size=(80, 24)) as pilot:
        await dialog(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: names(pilot) == ["inner guest.bin"])
        await pilot.press("backspace")
        await until(pilot, lambda: len(names(pilot)) == 5)
        current = table(pilot).current
        assert current is not None
        assert current.name == "sub/"
        await pilot.press("right")
        await until(pilot, lambda: names(pilot) == ["inner guest.bin"])
        await pilot.press("left")
        await until(pilot, lambda: len(names(pilot)) == 5)
        await pilot.press("s", "slash")
        await until(pilot, lambda: names(pilot) == ["inner guest.bin"])
        await pilot.press("enter")
        assert [one.guest for one in app.opening.opened] == [guests / "sub" / "inner guest.bin"]


async def test_a_path_that_is_pasted_leads_to_its_folder(guests: Path) -> None:
    async with Opening(guests / "flat.bin").run_test(size=(80, 24)) as pilot:
        screen = await dialog(pilot)
        screen.query(Input).first().value = f"{guests}/sub/inn"
        await until(pilot, lambda: names(pilot) == ["inner guest.bin"])
        screen.query(Input).first().value = "/no such folder/x"
        await until(pilot, lambda: "No such file or directory" in about(pilot))
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, FileDialog)


async def test_options_are_completed_and_what_is_wrong_with_them_is_told(guests: Path) -> None:
    app = Opening(guests / "flat.bin")
    async with app.run_test(size=(80, 24)) as pilot:
        await dialog(pilot)
        await pilot.press(*"flat", "tab", "tab")
        await pilot.press(*"--mod")
        await until(pilot, lambda: pilot.app.screen.query(Input).last()._suggestion == "--mode")
        await pilot.press("right", "space", *"wrong", "enter")
        assert "argument --mode: invalid choice: 'wrong'" in about(pilot)
        pilot.app.screen.query(Input).last().value = "--mode long"
        await pilot.press("enter")
        (settings,) = app.opening.opened
        assert settings.options is not None
        assert settings.options.mode == "long"


async def test_the_mouse_points_and_a_double_click_opens(guests: Path) -> None:
    app = Opening(guests / "flat.bin")
    async with app.run_test(size=(80, 24)) as pilot:
        await dialog(pilot)
        await pilot.click(LineTable, offset=(4, 2))
        current = table(pilot).current
        assert current is not None
        assert current.name == "boot.img"
        await pilot.press("f")  # the keyboard is still where names are typed
        assert names(pilot) == ["flat.bin"]
        await pilot.click(LineTable, offset=(4, 1), times=2)
        assert [one.guest for one in app.opening.opened] == [guests / "flat.bin"]


async def test_escape_opens_nothing(guests: Path) -> None:
    app = Opening(guests / "flat.bin")
    async with app.run_test(size=(80, 24)) as pilot:
        await dialog(pilot)
        await pilot.press("escape")
        assert not isinstance(app.screen, FileDialog)
        assert not app.opening.opened


async def test_recent_guests_come_first_with_their_options(guests: Path) -> None:
    inner = guests / "sub" / "inner guest.bin"
    remember(Settings(guest=guests / "gone.bin"))
    remember(Settings(guest=inner, words=("--mode", "long")))
    app = Opening(guests / "flat.bin")
    async with app.run_test(size=(120, 40)) as pilot:
        await dialog(pilot)
        assert names(pilot)[:2] == ["inner guest.bin", "sub/"]
        assert "--mode long" in table(pilot).render_line(1).text
        await pilot.press("enter")
        (settings,) = app.opening.opened
        assert settings.guest == inner
        assert settings.options is not None
        assert settings.options.mode == "long"


def test_a_guest_is_remembered_once_and_ten_are(guests: Path) -> None:
    for number in range(12):
        file = guests / f"{number}.bin"
        file.touch()
        remember(Settings(guest=file))
    remember(Settings(guest=guests / "5.bin"))
    remember(Settings())
    assert [Path(one.path).stem for one in recent_guests()] == [
        "5", "11", "10", "9", "8", "7", "6", "4", "3", "2",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "{", "[1]", '[["/x"]]', "7", "[" * 100_000])
def test_a_damaged_list_of_recent_guests_is_an_empty_one(guests: Path, text: str) -> None:
    state_file().parent.mkdir(parents=True)
    state_file().write_text(text)
    assert recent_guests() == []
    remember(Settings(guest=guests / "flat.bin"))
    assert [one.path for one in recent_guests()] == [str(guests / "flat.bin")]


def test_no_folder_is_made_by_looking(guests: Path) -> None:
    recent_guests()
    assert not state_file().parent.exists()


def folders() -> Folders:
    return Folders(lambda path: "a file", lambda path, options: "")


def test_a_folder_that_cant_be_listed_says_why(tmp_path: Path) -> None:
    assert "No such file or directory" in folders().listing(str(tmp_path / "nowhere")).problem
    (tmp_path / "file").touch()
    assert "Not a directory" in folders().listing(str(tmp_path / "file")).problem
    assert folders().listing("/\0").problem


def test_names_of_any_bytes_and_links_in_circles_are_listed(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))).touch()
    (tmp_path / "circle").symlink_to("circle")
    names = [entry.name for entry in folders().listing(str(tmp_path)).entries]
    assert names == ["circle", "\udcff\udcfe"]
    assert folders().about(str(tmp_path / "circle"))


def test_a_large_folder_is_listed_in_order(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:04}").touch()
    entries = folders().listing(str(tmp_path)).entries
    assert [entry.name for entry in entries] == [f"{number:04}" for number in range(3000)]


@pytest.mark.parametrize(
    ("typed", "place"),
    [("sub/", "/a/b/sub"), ("../", "/a"), ("/", "/"), ("/etc/", "/etc"), ("./", "/a/b")],
)
def test_a_typed_folder_is_meant_from_where_one_is(typed: str, place: str) -> None:
    assert folders().place("/a/b", typed) == place


def test_the_home_directory_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert folders().place("/a", "~/") == "/home/me"
    assert folders().place("/a", "~nobody-of-that-name/") == "/a/~nobody-of-that-name"


def test_the_dialog_of_the_sample_guest_begins_where_kdash_was_started() -> None:
    pane = VcpuPane(Settings(), id="vcpu")
    assert guest_dialog(pane)._listing.folder == str(Path.cwd())
