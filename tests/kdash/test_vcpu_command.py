"""`kdash vcpu` as other programs use it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kdash.backends.kvm.facts import GuestFileError
from kdash.commands import vcpu
from kdash.commands.vcpu_output import harmless

kvm = pytest.mark.kvm


@pytest.fixture
def guest(tmp_path: Path) -> Any:
    """Writes a flat binary given in hexadecimal; its path."""

    def write(code: str) -> str:
        path = tmp_path / "guest.bin"
        path.write_bytes(bytes.fromhex(code))
        return str(path)

    return write


def run(*arguments: str) -> int:
    try:
        return int(vcpu.run(list(arguments)))
    except SystemExit as end:
        return int(end.code or 0)


def json_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    run("run", *arguments, "--format", "json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@kvm
def test_the_sample_prints_its_digit_and_tells_its_exits(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert run("run") == 0
    out, err = capfdbinary.readouterr()
    assert out == b"4\n"
    lines = err.decode().splitlines()
    assert lines[0].split(maxsplit=3) == [
        "0", "0x001007", "IO", "out 0x3f8, 1 byte: 0x34 '4' (serial, transmit)",
    ]  # fmt: skip
    assert lines[-1] == "hlt: HLT at 0x100b"
    assert len(lines) == 4


@kvm
def test_quiet_leaves_the_outcome(capfd: pytest.CaptureFixture[str]) -> None:
    run("run", "--quiet")
    assert capfd.readouterr().err == "hlt: HLT at 0x100b\n"


@kvm
def test_the_json_object_has_the_keys_of_the_interface(capsys: pytest.CaptureFixture[str]) -> None:
    found = json_of(capsys, "--dump", "0x1000:12")
    seconds = found.pop("seconds")
    assert 0 < seconds < 60
    general = {f"r{n}": "0x0" for n in range(8, 16)}
    assert found == {
        "engine": "kvm",
        "outcome": "hlt",
        "detail": "HLT at 0x100b",
        "serial": "4\n",
        "debug_port": "",
        "exits": {"IO": 2, "HLT": 1},
        "ports": {"0x3f8": {"in": 0, "out": 2}},
        "mmio": {"reads": 0, "writes": 0},
        "steps": None,
        "vcpus": [
            {
                "outcome": "hlt", "rip": "0x100c", "rax": "0xa", "rbx": "0x2", "rcx": "0x0",
                "rdx": "0x3f8", "rsi": "0x0", "rdi": "0x0", "rsp": "0x8000", "rbp": "0x0",
                **general, "rflags": "0x2", "cs_base": "0x0", "cr0": "0x60000010", "cr3": "0x0",
                "cr4": "0x0", "efer": "0x0",
            }
        ],
        "memory": {"0x1000": "baf80300d80430eeb00aeef4"},
    }  # fmt: skip


@kvm
def test_raw_exits_are_added_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    found = json_of(capsys, "--raw-exits", "--max-steps", "100")
    assert found["steps"] == 7
    assert found["raw_exits"]["IO"] == 2
    assert found["raw_exits"]["DEBUG"] > 0


@kvm
@pytest.mark.parametrize(
    ("code", "options", "status", "outcome"),
    [
        ("f4", [], 0, "hlt"),
        ("b000 e6f4", [], 0, "exit_port"),
        ("b001 e6f4", [], 1, "exit_port"),
        ("0f0b", ["--mode", "protected"], 1, "shutdown"),
        ("ebfe", ["--timeout", "0.1"], 1, "timeout"),
        ("ebfe", ["--max-steps", "10"], 1, "max_steps"),
    ],
)
def test_the_status_says_how_the_guest_ended(
    guest: Any,
    capsys: pytest.CaptureFixture[str],
    code: str,
    options: list[str],
    status: int,
    outcome: str,
) -> None:
    assert run("run", guest(code), *options, "--format", "json") == status
    assert json.loads(capsys.readouterr().out)["outcome"] == outcome


@kvm
def test_options_reach_the_guest(guest: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = guest("90 0104 25 00200000 f4")  # at 0x30001: add [0x2000],eax
    found = json_of(
        capsys, path, "--mode", "long", "--load", "0x30000", "--entry", "0x30001",
        "--memory", "1M", "--set", "rax=0x1234", "--dump", "0x2000:4", "--dump", "0xffffe:1K",
    )  # fmt: skip
    assert found["detail"] == "HLT at 0x30008"
    assert found["memory"] == {"0x2000": "34120000", "0xffffe": "0000"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "required: command"),
        (["start"], "invalid choice: 'start'"),
        (["run", "--mode", "unreal"], "--mode"),
        (["run", "--load", "here"], "--load: 'here' is no number like 4096 or 0x1000"),
        (["run", "--load", "-1"], "--load"),
        (["run", "--memory", "2X"], "--memory: '2X' is no size like 2M"),
        (["run", "--memory", "9999999999G"], "is more memory than a machine can have"),
        (["run", "--memory", "0"], "--memory"),
        (["run", "--set", "rax"], "--set: 'rax' is not REG=VALUE"),
        (["run", "--set", "eaxx=1"], "--set: no register 'eaxx'"),
        (["run", "--set", "cs=0x10000"], "--set: cs: 0x10000 does not fit 16 bits"),
        (["run", "--timeout", "0"], "--timeout"),
        (["run", "--timeout", "nan"], "--timeout"),
        (["run", "--max-steps", "0"], "--max-steps: 0 is too few"),
        (["run", "--dump", "0x1000"], "--dump: '0x1000' is not ADDR:LEN"),
        (["run", "--engine", "magic"], "--engine"),
        (["run", "--recording", "on"], "--recording goes with --gdb"),
        (["run", "--record-memory", "1M"], "--record-memory goes with --record FILE or --gdb"),
        (["run", "a", "b"], "unrecognized arguments: b"),
        (["caps", "--format", "xml"], "--format"),
    ],
)
def test_a_mistake_is_told_in_one_line_that_names_it(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_a_guest_that_can_not_be_loaded_is_told(
    guest: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", str(tmp_path / "none.bin")) == 3
    assert "none.bin: No such file or directory" in capsys.readouterr().err
    assert run("run", guest("")) == 2
    assert "guest.bin: the file is empty" in capsys.readouterr().err
    assert run("run", guest("7f454c46")) == 2
    assert "objcopy -O binary" in capsys.readouterr().err


@pytest.mark.kvm
def test_cpuid_is_what_was_asked_for(guest: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code = guest("66b8150000000fa2f4")  # mov eax,0x15; cpuid; hlt
    found = json_of(capsys, code, "--cpuid", "0x15.ecx=0x1234")
    assert found["vcpus"][0]["rcx"] == "0x1234"


@pytest.mark.kvm
def test_a_cpuid_that_kvm_refuses_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "--cpuid", "0x80000008.eax=0x2020") == 2  # linear addresses of 32 bits
    told = capsys.readouterr().err
    assert "--cpuid 0x80000008.eax=0x2020: refused by KVM: KVM_SET_CPUID2" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["run"], ["trace"], ["caps"]])
def test_every_command_has_help_with_an_example(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert run(*command, "--help") == 0
    assert "example" in capsys.readouterr().out


@kvm
def test_a_trace_is_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trace") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = [line for line in lines if "step" in line and "exit" not in line]
    exits = [line for line in lines if "exit" in line]
    assert steps[0] == {
        "step": 0, "ip": "0x1000", "code": "baf803", "text": "mov dx,0x3f8",
        "changed": {"rdx": "0x3f8"},
    }  # fmt: skip
    assert [step["step"] for step in steps] == list(range(7))
    assert [(one["exit"], one["step"]) for one in exits] == [("IO", 3), ("IO", 5), ("HLT", 6)]
    assert lines[-1]["steps"] == 7


@kvm
def test_a_trace_of_exits_runs_at_full_speed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trace", "--exits") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("exit") for line in lines] == ["IO", "IO", "HLT", None]
    assert lines[-1]["steps"] is None


@kvm
def test_capabilities_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("caps") == 0
    assert "   3          1 KVM_CAP_USER_MEMORY\n" in capsys.readouterr().out
    assert run("caps", "--format", "json") == 0
    items = json.loads(capsys.readouterr().out)["capabilities"]
    assert {"name": "KVM_CAP_USER_MEMORY", "number": 3, "value": 1} in items


def test_bytes_that_a_terminal_would_obey_are_shown() -> None:
    assert harmless(b"a\x1b[2J\x07\r\n\tb\x9bc\xff\r") == "a<1b>[2J<07>\n\tb<9b>c<ff><0d>"


# -- as a process

KDASH = [sys.executable, "-m", "kdash", "vcpu"]


@contextmanager
def started(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive its test."""
    process = subprocess.Popen([*KDASH, *arguments], stderr=subprocess.PIPE, **options)
    try:
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
    finally:
        process.kill()


@kvm
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_run_with_what_is_known(
    guest: Any, number: signal.Signals, status: int
) -> None:
    path = guest("b041 baf803 ee ebfe")
    with started("run", path, "--format", "json", stdout=subprocess.PIPE) as process:
        wait_for_kvm(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    found = json.loads(out)
    assert (process.returncode, found["outcome"], found["serial"]) == (status, "interrupted", "A")
    assert err == b""


def wait_for_kvm(process: subprocess.Popen[bytes]) -> None:
    """Until the process has a VCPU, and the guest had time to begin."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if any("kvm-vcpu" in target for target in open_files(process.pid)):
            time.sleep(0.3)
            return
        time.sleep(0.01)
    raise AssertionError("no VCPU")


def open_files(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed in between
            yield os.readlink(link)


@kvm
def test_serial_output_comes_while_the_guest_runs(guest: Any) -> None:
    path = guest("b041 baf803 ee ebfe")
    with started("run", path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"A"
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 143


@kvm
def test_serial_bytes_reach_a_pipe_unchanged(guest: Any) -> None:
    with started("run", guest("b01b baf803 ee b0ff ee f4"), stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=30)
    assert out == b"\x1b\xff"


@kvm
def test_serial_bytes_are_escaped_on_a_terminal(guest: Any) -> None:
    leader, follower = pty.openpty()
    with started("run", guest("b01b baf803 ee b041 ee f4"), stdout=follower) as process:
        process.communicate(timeout=30)
    shown = os.read(leader, 100)
    os.close(leader)
    os.close(follower)
    assert shown == b"<1b>A"


@kvm
def test_a_reader_that_goes_away_ends_the_trace_quietly(guest: Any) -> None:
    with started("trace", guest("ebfe"), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 141


def test_the_headless_command_loads_no_interface() -> None:
    code = (
        "import sys; from kdash.commands import vcpu;"
        "vcpu.run(['run', '--quiet', '--timeout', '1']);"
        "sys.exit(any(name.partition('.')[0] in"
        " ('textual', 'rich', 'numpy', 'psutil', 'elftools') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@kvm
def test_a_failing_device_is_told_without_obeying_it(
    guest: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "card.py"
    card.write_text(
        "class Card:\n  ports, mmio, write = range(16, 17), None, print\n"
        "  def read(self, address, size): raise ValueError('\\x1b[31m')\n"
    )
    assert run("run", guest("e410f4"), "--device", f"{card}:Card", "--quiet") == 1
    err = capfd.readouterr().err
    assert err.startswith(r"unhandled_exit: device Card: ValueError: \x1b[31m, at 0x1000")
    assert "Traceback" in err
    assert "\x1b" not in err


PRINTS = """\
from threading import Thread
print("at import")
class Card:
    ports = range(16, 17)
    def __init__(self): print("when made")
    def read(self, address, size):
        print("when read")
        other = Thread(target=print, args=("in a thread",))
        other.start()
        other.join()
        return 7
    def write(self, address, size, value): pass
"""


@kvm
@pytest.mark.parametrize("format_", ["text", "json"])
def test_what_a_device_prints_is_narration(
    guest: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], format_: str
) -> None:
    (tmp_path / "card.py").write_text(PRINTS)
    code = guest("e410 baf803 ee f4")  # in al, 0x10; out 0x3f8, al; hlt
    assert run("run", code, "--device", f"{tmp_path}/card.py:Card", "--format", format_) == 0
    out, err = capfd.readouterr()
    assert out == "\7" if format_ == "text" else json.loads(out)["serial"] == "\7"
    for told in ("at import", "when made", "when read", "in a thread"):
        assert told in err


def test_a_wrong_device_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "--device", "nowhere.py:Card") == 2
    assert capsys.readouterr().err == "kdash vcpu: nowhere.py:Card: no file nowhere.py\n"


def test_the_dashboard_refuses_a_wrong_device_before_it_opens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from kdash.commands import dashboard

    assert dashboard.run(["--device", "nowhere.py:Card"]) == 2
    assert capsys.readouterr().err == "kdash: nowhere.py:Card: no file nowhere.py\n"


@kvm
def test_a_file_is_the_input_of_the_serial_port(
    guest: Any, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "input").write_bytes(b"Q\xff")
    # mov dx,0x3f8; in al,dx; out dx,al; in al,dx; out dx,al; hlt
    path = guest("baf803eceeeceef4")
    assert run("run", path, "--stdin", str(tmp_path / "input"), "--quiet") == 0
    assert capfdbinary.readouterr().out == b"Q\xff"


def test_input_that_cannot_be_read_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "--stdin", "/nowhere/at/all") == 3
    told = "kdash vcpu: --stdin /nowhere/at/all: No such file or directory\n"
    assert capsys.readouterr().err == told


def test_endless_input_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "--stdin", "/dev/zero") == 2
    assert "more than 16 MiB of input" in capsys.readouterr().err


def test_input_that_never_comes_is_waited_for_no_longer_than_the_timeout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert run("run", "--stdin", str(tmp_path / "pipe"), "--timeout", "0.1") == 3
    assert capsys.readouterr().err.endswith("pipe: no end of input within 0.1 s\n")


def test_a_signal_ends_the_wait_for_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "kdash", "vcpu", "run", "--stdin", str(tmp_path / "pipe")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as program:
        # Opening it for writing succeeds once the program has it open for reading.
        descriptor = os.open(tmp_path / "pipe", os.O_WRONLY)
        try:
            program.send_signal(signal.SIGTERM)
            assert program.wait(30) == 143
        finally:
            os.close(descriptor)
        assert program.stderr is not None
        assert b"ended while waiting for input" in program.stderr.read()


@kvm
def test_a_pipe_is_the_input_of_the_serial_port(
    guest: Any, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"Q\xff")
    os.close(writing)
    path = guest("baf803eceeeceef4")
    try:
        assert run("run", path, "--stdin", f"/dev/fd/{reading}", "--quiet") == 0
    finally:
        os.close(reading)
    assert capfdbinary.readouterr().out == b"Q\xff"


@pytest.mark.kvm
def test_a_recording_runs_on_where_it_ends(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "four.kdash")
    assert run("run", "--max-steps", "4", "--record", path) == 1
    assert capfd.readouterr().out == "4"
    assert run("run", path) == 0
    told = capfd.readouterr()
    assert told.out == "\n"
    assert told.err.splitlines()[-1] == "hlt: HLT at 0x100b"
    assert run("trace", path) == 0
    first = json.loads(capfd.readouterr().out.splitlines()[0])
    assert first == {
        "step": 4, "ip": "0x1008", "code": "b00a", "text": "mov al,0xa", "changed": {"rax": "0xa"},
    }  # fmt: skip
    assert run("run", path, "--engine", "emulator") == 3
    assert "goes on with KVM alone" in capfd.readouterr().err
    assert run("run", path, "--vcpus", "2") == 2
    assert "--vcpus can't change it" in capfd.readouterr().err


@pytest.mark.kvm
def test_a_recording_does_not_replace_the_guest_it_is_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guest = tmp_path / "guest.bin"
    guest.write_bytes(b"\xf4")
    assert vcpu.run(["run", str(guest), "--record", str(guest)]) == 2
    assert "would be lost" in capsys.readouterr().err
    assert guest.read_bytes() == b"\xf4"


@pytest.mark.kvm
def test_a_place_where_nothing_can_be_written_is_told_before_the_guest_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vcpu.run(["run", "--record", str(tmp_path / "gone" / "x")]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no folder" in captured.err
    assert vcpu.run(["run", "--record", "/dev/null"]) == 2


@pytest.mark.kvm
def test_what_the_guest_did_is_told_though_its_recording_can_not_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise GuestFileError("no space left")

    monkeypatch.setattr("kdash.backends.kvm.past.Past.save", full)
    path = str(tmp_path / "x.kdash")
    assert vcpu.run(["run", "--record", path, "--format", "json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["serial"], told["unwritten"]) == ("4\n", "no space left")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--initrd", "nope"], "--initrd is for Linux kernels"),
        (["--append", "quiet"], "--append is for Linux kernels and multiboot images"),
        (["--no-extract"], "--no-extract is for Linux kernels"),
    ],
)
def test_an_option_of_kernels_is_refused_for_other_guests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    (tmp_path / "guest.bin").write_bytes(b"\xf4")
    assert vcpu.run(["run", str(tmp_path / "guest.bin"), *options]) == 2
    assert says in capsys.readouterr().err
