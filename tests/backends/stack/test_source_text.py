"""Source lines for the screen: bounded, and never more than data."""

import os
from pathlib import Path

from kdash.backends.stack.source_text import source_text


def test_lines_are_read_by_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "x.c"
    file.write_bytes(b"int f(void)\n{\n\treturn g();\n\n}\xff\n")
    found = source_text(str(file), [3, 4, 5, 0, -1, 99])
    assert found == {3: "return g();", 5: "}\ufffd"}


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "x.c"
    file.write_bytes(b"x" * 100_000)
    assert len(source_text(str(file), [1])[1]) == 200


def test_what_is_no_file_has_no_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "missing", ".", "nul\0"):
        assert source_text(str(tmp_path / name), [1]) == {}
