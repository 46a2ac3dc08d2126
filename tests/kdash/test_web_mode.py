"""What a dashboard of a browser may not do, whatever asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TRY = """\
import os, pathlib, subprocess, sys, tempfile, asyncio
from kdash.web_mode import NotFromBrowserError, forbid_changes
forbid_changes()
there, new = sys.argv[1:3]
try:
    {}
except NotFromBrowserError as error:
    print(error.strerror)
"""


def said(statement: str, folder: Path) -> str:
    there = folder / "there"
    there.write_text("as it was")
    new = folder / "new"
    found = subprocess.run(
        [sys.executable, "-c", TRY.format(statement), str(there), str(new)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert there.read_text() == "as it was"
    assert list(folder.iterdir()) == [there]
    return found.stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "open(there, 'w')",
        "os.open(new, os.O_CREAT | os.O_WRONLY); tempfile.mkstemp(dir=os.path.dirname(new))",
        "os.mkdir(new)",
        "os.replace(there, new)",
        "os.unlink(there); os.truncate(there, 0)",
        "os.symlink(there, new)",
    ],
)
def test_no_file_is_changed(statement: str, tmp_path: Path) -> None:
    assert said(statement, tmp_path) == "writing files is off in a browser"


@pytest.mark.parametrize(
    "statement",
    [
        "subprocess.run(['touch', new])",
        "os.system('touch ' + new)",
        "os.execvp('touch', [new])",
        "os.posix_spawn('/usr/bin/touch', ['touch', new], os.environ)",
    ],
)
def test_no_program_is_started(statement: str, tmp_path: Path) -> None:
    assert said(statement, tmp_path) == "starting programs is off in a browser"


def test_files_are_read_and_workers_started(tmp_path: Path) -> None:
    statement = "print(open(there).read(), subprocess.run([sys.executable, '-c', '']).returncode)"
    assert said(statement, tmp_path) == "as it was 0"
