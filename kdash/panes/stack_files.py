"""The dialog that finds other objects to check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kdash.panes.folders import Folders
from kdash.widgets.file_dialog import FileDialog

#: Kinds that go by the name; what is compressed or an archive is not looked into.
_BY_NAME = {
    ".a": "archive",
    ".ko.gz": "module, gzip",
    ".ko.xz": "module, xz",
    ".ko.zst": "module, Zstandard",
}


def object_dialog(checked: Sequence[Path], check: Callable[[Path], None]) -> FileDialog:
    """A dialog that begins where the objects are that were checked last.

    Args:
        checked: What was checked.
        check: Called with the file or folder that was chosen.
    """

    def choose(path: str, options: str) -> str:  # noqa: ARG001 - there are no options
        check(Path(path))
        return ""

    folder = Path.cwd()
    if checked:
        first = Path(checked[0]).absolute()
        folder = first if first.is_dir() else first.parent
    return FileDialog("Check objects", Folders(_kind, choose), str(folder), folders=True)


def _kind(path: str) -> str:
    """What a file is; raises OSError."""
    from kdash.backends.kvm.file_kinds import file_kind

    found = next((kind for end, kind in _BY_NAME.items() if path.endswith(end)), "")
    kind = found or file_kind(path)
    return "no object" if kind == "flat binary" else kind
