"""The threat model in ARCHITECTURE.md: its tests exist, and those that belong to no part alone."""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kdash.panes.kept_state import read_state, state_file, write_state

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for room in ("kdash", "widgets", "backends")
    for path in (ROOT / room).rglob("*.py")
    if not (ROOT / room / "backends" in path.parents or ROOT / room / "widgets" in path.parents)
]
#: Modules that make code or objects out of data, or hand words to a shell.
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "pty"}
UNSAFE_BUILTINS = {"eval", "exec", "compile", "system", "popen"}
UNSAFE_CALLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
                "asyncio.create_subprocess_shell", "builtins.eval", "builtins.exec"}  # fmt: skip
UNSAFE_WORDS = {"shell", "allow_pickle"}  # arguments


def unsafe_places(source: str) -> list[str]:
    """What in a module makes code or objects out of data, or starts a shell."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
            found += sorted(names & UNSAFE_MODULES)
        elif isinstance(node, ast.ImportFrom):
            found += sorted({(node.module or "").partition(".")[0]} & UNSAFE_MODULES)
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            owner = getattr(getattr(called, "value", None), "id", "")
            words = {one.arg for one in node.keywords}
            builtin = isinstance(called, ast.Name) and name in UNSAFE_BUILTINS
            if builtin or f"{owner}.{name}" in UNSAFE_CALLS or words & UNSAFE_WORDS:
                found.append(name)
    return found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "eval(data)",
        "exec(compile(data, 'x', 'exec'))",
        "os.system(name)",
        "subprocess.run(name, shell=True)",
        "numpy.load(name, allow_pickle=True)",
    ],
)
def test_what_runs_data_is_seen(line: str) -> None:
    assert unsafe_places(line)


@pytest.mark.no_cover  # it reads the program and runs nothing of it
def test_no_module_runs_data() -> None:
    assert len(SOURCES) > 200
    found = {
        str(path.relative_to(ROOT)): places
        for path in SOURCES
        if (places := unsafe_places(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def threats() -> list[str]:
    """The rows of the threat model."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition("## Threat model\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def test_every_answer_of_the_threat_model_has_its_test() -> None:
    assert len(threats()) > 10
    for row in threats():
        *_, answer, tests, _ = row.split("|")
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests)
        assert answer.strip()
        assert named, row
        for file, test in named:
            defined = re.search(rf"def {test}\(", (ROOT / file).read_text(encoding="utf-8"))
            assert defined, f"{file}::{test}"


def test_what_the_dashboard_keeps_is_its_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    write_state("borders.json", {"registers": 30})
    kept = state_file("borders.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("engine", ["emulator", pytest.param("kvm", marks=pytest.mark.kvm)])
def test_a_guest_that_writes_beyond_its_memory_reaches_nothing(engine: str, tmp_path: Path) -> None:
    guest = tmp_path / "beyond.bin"
    # mov ax,0xf000; mov ds,ax; mov byte [0],0x41; mov bl,[0]; hlt
    guest.write_bytes(bytes.fromhex("b800f08ed8c6060000418a1e0000f4"))
    words = ["vcpu", "run", str(guest), "--engine", engine, "--memory", "64K", "--format", "json"]
    found = subprocess.run(
        [sys.executable, "-m", "kdash", *words], capture_output=True, timeout=60, check=False
    )
    result = json.loads(found.stdout)
    assert result["outcome"] == "hlt"
    assert result["mmio"] == {"reads": 1, "writes": 1}
    assert int(result["vcpus"][0]["rbx"], 16) & 0xFF == 0xFF  # nobody answered


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("entropy", "export", "--listen", "0"), r"http://([\d.]+):(\d+)/metrics"),
        (("vcpu", "run", "--engine", "emulator", "--gdb", "0"), r"([\d.]+):(\d+)"),
    ],
)
def test_a_server_without_a_host_listens_on_loopback_alone(
    words: tuple[str, ...], said: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kdash", *words], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        found = None
        while found is None and (line := process.stderr.readline()):
            found = re.search(said, line)
        assert found is not None
        assert found[1] == "127.0.0.1"
        with socket.socket() as other, pytest.raises(OSError):
            other.connect(("127.0.0.2", int(found[2])))  # another address of this machine
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_pipe_in_the_state_folder_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    state_file("first-start").parent.mkdir()
    os.mkfifo(state_file("first-start"))
    assert read_state("first-start") is None
