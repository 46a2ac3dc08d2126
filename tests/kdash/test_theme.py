"""Themes: readable, told apart, chosen by option, file and prompt; ASCII on every screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color
from textual.pilot import Pilot

from kdash import configuration
from kdash.app import KdashApp
from kdash.commands.dashboard import configured, opened, read_settings
from kdash.configuration import ConfigurationError, read_configuration
from kdash.settings import Settings
from kdash.terminal import is_ascii_alone
from kdash.theme import THEMES
from screenshots.recorded import recorded_app

DRAWN = [name for name in THEMES if name != "ansi"]  # the terminal's own colours are its own


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.1 between two colours."""

    def luminance(name: str) -> float:
        parts = [part / 255 for part in Color.parse(name).rgb]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_names_are_those_of_options_and_configuration() -> None:
    assert tuple(THEMES) == configuration.THEMES


@pytest.mark.parametrize("name", DRAWN)
def test_what_has_a_meaning_is_readable(name: str) -> None:
    theme = THEMES[name]
    colours = {
        "foreground": theme.foreground,
        "muted": theme.variables["text-muted"],
        "accent": theme.accent,
        "warning": theme.warning,
        "error": theme.error,
        "success": theme.success,
    }
    least = 7.0 if name == "high-contrast" else 4.5
    for what, colour in colours.items():
        assert colour is not None
        for ground in (theme.background, theme.surface):
            assert ground is not None
            assert contrast(colour, ground) >= least, f"{what} {colour} on {ground}"


def seen_without_red_and_green(name: str) -> tuple[float, float]:
    """Brightness and blue against yellow, what is left without telling red from green."""
    red, green, blue = (part / 255 for part in Color.parse(name).rgb)
    yellow = (red + green) / 2
    return 0.3 * red + 0.59 * green + 0.11 * blue, yellow - blue


def test_good_and_bad_differ_for_who_sees_red_and_green_alike() -> None:
    theme = THEMES["colour-blind"]
    assert theme.success is not None
    assert theme.error is not None
    good, bad = map(seen_without_red_and_green, (theme.success, theme.error))
    assert abs(good[1] - bad[1]) > 0.5


async def built(app: KdashApp, pilot: Pilot[int]) -> None:
    """Wait until every pane stands: an end before that is no concern of these tests."""
    while not app.all_built:
        await pilot.pause(0.01)
    await pilot.pause()


@pytest.mark.no_cover
@pytest.mark.parametrize("name", THEMES)
async def test_every_theme_draws_every_pane(name: str) -> None:
    app = recorded_app(theme=name)
    async with app.run_test(size=(160, 48)) as pilot:
        await built(app, pilot)
        assert app.current_theme.name == name


async def typed(pilot: Pilot[int], line: str) -> None:
    await pilot.press("colon", *("space" if key == " " else key for key in line), "enter")
    await pilot.pause()


async def test_the_prompt_changes_the_theme_and_lists_them() -> None:
    app = recorded_app()
    async with app.run_test(size=(100, 40)) as pilot:
        await built(app, pilot)
        await typed(pilot, "theme light")
        assert app.theme == "light"
        await typed(pilot, "theme nonsense")
        assert app.theme == "light"
        assert app._complete("theme h") == ["theme high-contrast"]
        assert "theme" in app._complete("th")


def test_a_typed_theme_beats_that_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[dashboard]\ntheme = "light"\nascii = true\n[entropy]\ninterval = 3\n')
    monkeypatch.setenv("KDASH_CONFIG", str(file))
    found = read_configuration()
    by_file = configured(Settings(), found)
    assert (by_file.theme, by_file.ascii, by_file.interval) == ("light", True, 3.0)
    assert configured(read_settings(["--theme", "ansi"]), found).theme == "ansi"


def test_guest_and_objects_of_the_file_are_opened_where_none_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    for name in ("a.bin", "b.bin", "one.o"):
        (tmp_path / name).write_bytes(b"\xf4")
    file.write_text('[dashboard]\nguest = "a.bin"\nobjects = ["one.o"]\npane = "entropy"\n')
    monkeypatch.setenv("KDASH_CONFIG", str(file))
    found = read_configuration()
    alone = opened([], found)
    assert (alone.guest, alone.objects) == (tmp_path / "a.bin", (tmp_path / "one.o",))
    typed_one = configured(opened([str(tmp_path / "b.bin")], found), found)
    assert (typed_one.guest, typed_one.pane) == (tmp_path / "b.bin", 0)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(ConfigurationError, match=r"config.toml:2: \[dashboard\] guest: .*No such"):
        opened([], found)


async def test_keys_of_the_file_are_pressed_and_shown() -> None:
    app = KdashApp(Settings(keys=(("app.zoom", "f8"),)))
    async with app.run_test(size=(160, 48)) as pilot:
        await built(app, pilot)
        await pilot.press("z")
        assert not app.query_one("#panes").has_class("-zoomed")
        await pilot.press("f8")
        assert app.query_one("#panes").has_class("-zoomed")


@pytest.mark.parametrize(
    ("environment", "alone"),
    [
        ({}, False),
        ({"LANG": "C"}, True),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"LANG": "en_US.utf8"}, False),
        ({"LC_ALL": "C.UTF-8"}, False),
    ],
)
def test_the_locale_says_whether_a_terminal_knows_more_than_ascii(
    environment: dict[str, str], alone: bool
) -> None:
    assert is_ascii_alone(environment) is alone
