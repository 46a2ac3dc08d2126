"""Opening a source line in the user's editor."""

from pathlib import Path

import pytest

from kdash.editor import editor_command, find_source


def test_a_source_named_relative_to_the_tree_is_found_above_the_object(tmp_path: Path) -> None:
    source = tmp_path / "drivers" / "net" / "x.c"
    source.parent.mkdir(parents=True)
    source.touch()
    found = find_source("drivers/net/x.c", str(tmp_path / "drivers" / "net" / "x.o"))
    assert found == source


def test_an_absolute_source_is_taken_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "x.c"
    source.touch()
    assert find_source(str(source), "x.o") == source


def test_a_source_in_the_working_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "-x.c").touch()
    monkeypatch.chdir(tmp_path)
    assert find_source("-x.c", "/nowhere/x.o") == tmp_path / "-x.c"


@pytest.mark.parametrize("name", ["gone.c", "/gone/x.c", "nul\0.c", "x" * 5000])
def test_a_source_that_is_not_there_is_nothing(name: str, tmp_path: Path) -> None:
    assert find_source(name, str(tmp_path / "x.o")) is None


@pytest.mark.parametrize(
    ("visual", "editor", "command"),
    [
        ("", "", ["vi", "+7", "/x.c"]),
        ("", "nano -w", ["nano", "-w", "+7", "/x.c"]),
        ("emacs -nw", "nano", ["emacs", "-nw", "+7", "/x.c"]),
        ("code --wait", "", ["code", "--wait", "--goto", "/x.c:7"]),
    ],
)
def test_the_editor_is_the_one_the_user_chose(
    visual: str, editor: str, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", visual)
    monkeypatch.setenv("EDITOR", editor)
    assert editor_command(Path("/x.c"), 7) == command


def test_an_editor_that_can_not_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "vim 'x")
    with pytest.raises(ValueError, match="quot"):
        editor_command(Path("/x.c"), 7)


def test_a_source_is_found_in_the_folder_it_was_compiled_in(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    source = tmp_path / "tree" / "compiled.c"
    source.touch()
    assert find_source("compiled.c", "/nowhere/x.o") is None
    assert find_source("compiled.c", "/nowhere/x.o", str(tmp_path / "tree")) == source
