"""What README shows works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def commands_and_output(text: str) -> tuple[str, str]:
    """The indented lines that begin with $, and the others."""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    output = [line for line in lines if not line.startswith("$ ")]
    return "\n".join(commands), "\n".join(output) + "\n"


@pytest.mark.kvm
def test_the_device_of_ten_lines_does_what_readme_says(tmp_path: Path) -> None:
    section = README.read_text().partition("### Your own hardware in ten lines")[2]
    section = section.partition("\n## ")[0]
    found = re.search(r"`(\w+\.py)`:\n\n```python\n(.*?)```\n(.*)", section, re.DOTALL)
    assert found is not None
    name, code, rest = found.groups()
    (tmp_path / name).write_text(code)
    commands, output = commands_and_output(rest)
    kdash = f'kdash() {{ "{sys.executable}" -m kdash "$@"; }}\n'
    done = subprocess.run(
        ["sh", "-e", "-c", kdash + commands],
        check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(README.parent)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, output)
