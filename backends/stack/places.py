"""Where the objects are that somebody else's results name; standard library only."""

from __future__ import annotations

import os
from typing import Final

from kdash.backends.stack.reading import split_member

NO_OBJECT: Final = "the log does not name the object"
_OBJECTS: Final = (".o", ".ko")
_SOURCES: Final = (".c", ".S", ".s", ".rs")
_MOST_FILES: Final = 2_000_000  # looked at below a build folder


class Places:
    """Finds the objects that results name.

    Args:
        build_dir: where the paths in the results start; searched for objects that are not there.
        beside: a folder that they may start at as well as at the current one, where no
            `build_dir` is given.
    """

    def __init__(self, build_dir: str = "", beside: str = "") -> None:
        self._root = build_dir
        self._beside = beside
        self._named: dict[str, list[str]] | None = None

    def find(self, file: str) -> tuple[str, str]:
        """The path of an object, or "" and why there is none.

        Args:
            file: as the results have it; a source file stands for the object that Kbuild makes
                of it beside it.
        """
        if not file:
            return "", NO_OBJECT
        stem, suffix = os.path.splitext(file)
        if suffix in _SOURCES:
            file = f"{stem}.o"
        for folder in (self._root,) if self._root else ("", self._beside):
            path = os.path.join(folder, file)
            if os.path.isfile(split_member(path)[0]):
                return path, ""
        if not self._root:
            return "", f"{file} is not here; --build-dir says where the build was"
        found = [one for one in self._below(os.path.basename(file)) if _ends(one, file)]
        if len(found) == 1:
            return found[0], ""
        if found:
            return "", f"{len(found)} files below {self._root} are called {file}"
        return "", f"no {file} below {self._root}"

    def _below(self, name: str) -> list[str]:
        """Files of a name below the build folder, which is read once."""
        if self._named is None:
            self._named = {}
            count = 0
            for folder, _, names in os.walk(self._root):
                for one in names:
                    if one.endswith(_OBJECTS):
                        self._named.setdefault(one, []).append(os.path.join(folder, one))
                count += len(names)
                if count > _MOST_FILES:
                    break
        return self._named.get(name, [])


def _ends(path: str, file: str) -> bool:
    wanted = [part for part in os.path.normpath(file).split(os.sep) if part]
    return path.split(os.sep)[-len(wanted) :] == wanted
