"""Results imported in a process of their own."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import psutil

from kdash.backends.stack.facts import FileReport
from kdash.backends.stack.formats import json_line
from kdash.backends.stack.object_files import sample_paths
from kdash.backends.stack.service import import_results
from tests.backends.stack.test_sarif import BARE


async def imported(path: Path, build_dir: str = "") -> list[FileReport]:
    return [report async for report in import_results(str(path), build_dir)]


async def test_a_log_is_imported_with_what_the_validator_says(tmp_path: Path) -> None:
    sample = Path(next(path for path in sample_paths() if path.endswith("idle_enter.o")))
    log = tmp_path / "build.log"
    log.write_text(
        f"{sample.name}: warning: objtool: idle_enter()+0xf: sibling call from callable"
        " instruction with modified stack frame\n"
        "gone.o: warning: objtool: f()+0x1: undefined stack state\n"
    )
    first, second = await imported(log, str(sample.parent))
    assert first.findings[0].agrees is True
    assert first.findings[0].disassembly
    assert (second.file, second.findings[0].agrees) == ("gone.o", None)


async def test_objects_may_lie_beside_the_file(tmp_path: Path) -> None:
    sample = Path(sample_paths()[0])
    (tmp_path / sample.name).write_bytes(sample.read_bytes())
    log = tmp_path / "build.log"
    log.write_text(f"{sample.name}: warning: objtool: .text+0x0: undefined stack state\n")
    (report,) = await imported(log)
    assert report.findings[0].agrees is False


async def test_what_is_wrong_with_the_file_is_the_last_report(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text(json_line(BARE) + "\n{")
    *_, last = await imported(path)
    assert (last.file, last.error) == (str(path), "line 2 is no JSON; truncated?")
    (gone,) = await imported(tmp_path / "gone")
    assert gone.error == "No such file or directory"
    (unusable,) = await imported(Path("a\0b"))
    assert "no usable path" in unusable.error


async def test_whoever_stops_early_leaves_no_process(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    lines = (f"x{n}.o: warning: objtool: f()+0x1: undefined stack state\n" for n in range(20_000))
    log.write_text("".join(lines))
    async with aclosing(import_results(str(log))) as reports:
        async for _ in reports:
            break
    own = psutil.Process().children(recursive=True)
    assert not [one for one in own if "kdash.backends.stack.import_worker" in one.cmdline()]
