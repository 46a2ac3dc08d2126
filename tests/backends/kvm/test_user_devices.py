"""Devices that users write, loaded from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kdash.backends.kvm import device_calls
from kdash.backends.kvm.devices import Bus
from kdash.backends.kvm.facts import GuestError, KvmError, Mode, Outcome, RunState
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.run import Request, run_guest
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.user_devices import DeviceClass, DeviceError, load_device, make_devices

METHODS = """
    def read(self, address, size): return 0x1234
    def write(self, address, size, value): self.written = (address, size, value)
"""
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Writes a file with a class `Card`; its specification."""

    def file(body: str, head: str = "") -> str:
        path = tmp_path / "card.py"
        path.write_text(f"{head}\nclass Card:\n    {body}\n")
        return f"{path}:Card"

    yield file


def complaint(spec: str) -> str:
    with pytest.raises(GuestError) as caught:
        load_device(spec)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_class_is_found_by_its_path_and_answers_on_the_bus(write: Write) -> None:
    spec = write(f"ports = range(0x10, 0x12)\n    mmio = None\n{METHODS}")
    (device,) = make_devices([load_device(spec)])
    assert Bus([device]).read_port(0x11, 2) == b"\x34\x12"


def test_a_string_reaches_the_device_element_by_element(write: Write) -> None:
    body = """ports, mmio, seen = range(1), None, []
    def read(self, address, size): return self.seen.pop(0)
    def write(self, address, size, value): self.seen.append(value)"""
    (device,) = make_devices([load_device(write(body))])
    bus = Bus([device])
    bus.write_port(0, 2, b"\1\0\2\3")
    assert bus.read_port(0, 2, 2) == b"\1\0\2\3"


def test_every_machine_gets_an_instance_of_its_own(write: Write) -> None:
    found = load_device(write(f"ports, mmio = range(1), None\n{METHODS}"))
    assert found.build() is not found.build()


def test_a_dataclass_with_late_annotations_is_a_device(write: Write) -> None:
    head = (
        "from __future__ import annotations\nfrom dataclasses import dataclass, field\n@dataclass"
    )
    body = f"ports: range = range(2)\n    mmio: range | None = None\n{METHODS}"
    make_devices([load_device(write(body, head))])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("pass", "neither ports nor mmio is a range"),
        (f"ports, mmio = 0x10, None\n{METHODS}", "ports must be a range like range(0x10, 0x12)"),
        (f"ports, mmio = range(0), None\n{METHODS}", "ports must be a range"),
        (f"ports, mmio = range(0, 9, 2), None\n{METHODS}", "ports must be a range"),
        (f"ports, mmio = range(0xffff, 0x10001), None\n{METHODS}", "goes beyond 0xffff"),
        (f"ports, mmio = None, range(-1, 1)\n{METHODS}", "mmio -0x1-0x0 goes beyond"),
        ("ports, mmio = range(1), None", "no method read(address, size)"),
        ("ports, mmio, read = range(1), None, print", "no method write(address, size, value)"),
        ("def __init__(self, colour): pass", "missing 1 required positional argument"),
        ("def __init__(self): raise SystemExit(3)", "SystemExit: 3"),
        ("def __init__(self): raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("ports = = 1", "SyntaxError: invalid syntax (line 3)"),
    ],
)
def test_what_is_no_device_is_told_in_one_line(write: Write, body: str, told: str) -> None:
    spec = write(body)
    text = complaint(spec)
    assert text.startswith(f"{spec}: ")
    assert told in text


@pytest.mark.parametrize("spec", ["card.py", ":Card", "card.py:", ""])
def test_a_specification_names_a_file_and_a_class(spec: str) -> None:
    assert "is not FILE.py:CLASS" in complaint(spec)


def test_a_missing_file_or_class_is_named(write: Write, tmp_path: Path) -> None:
    assert "no file nowhere.py" in complaint("nowhere.py:Card")
    spec = write("pass").replace(":Card", ":Other")
    assert complaint(spec).endswith(f"no class Other in {tmp_path / 'card.py'}")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.txt"
    path.write_text("class Card: pass")
    assert "is no Python file" in complaint(f"{path}:Card")


def test_devices_that_claim_the_same_are_refused(write: Write) -> None:
    found = load_device(write(f"ports, mmio = range(0x10, 0x20), None\n{METHODS}"))
    other = DeviceClass("other.py:Other", found.build)
    with pytest.raises(GuestError, match=r"ports 0x10-0x1f overlaps 0x10-0x1f of .*card.py:Card"):
        make_devices([found, other])


def test_addresses_in_the_guests_memory_are_refused(write: Write) -> None:
    found = load_device(write(f"ports, mmio = None, range(0x1fff, 0x3000)\n{METHODS}"))
    with pytest.raises(GuestError, match="overlaps 0x0-0x1fff of the guest's memory"):
        make_devices([found], [range(0x2000)])
    make_devices([found], [range(0x1000), range(0x3000, 0x4000)])


# -- live

FAILING = """ports, mmio = range(0x10, 0x11), None
    def read(self, address, size): raise ValueError("no \\x1b[31m sum")
    def write(self, address, size, value): pass"""
READ_THEN_HALT = bytes.fromhex("e410f4")


@pytest.mark.kvm
@pytest.mark.parametrize("steps", [None, 10])
def test_an_exception_ends_the_run_with_its_traceback_as_data(
    write: Write, steps: int | None
) -> None:
    device = load_device(write(FAILING))
    report = run_guest(Request(flat(READ_THEN_HALT, "t"), devices=[device], max_steps=steps))
    assert report.outcome is Outcome.UNHANDLED_EXIT
    assert report.detail == "device Card: ValueError: no \x1b[31m sum, at 0x1000"
    assert report.failure.startswith("Traceback (most recent call last):\n")
    assert "card.py" in report.failure
    assert "user_devices.py" not in report.failure


@pytest.mark.parametrize("engine", [pytest.param("kvm", marks=pytest.mark.kvm), "emulator"])
@pytest.mark.parametrize("steps", [None, 10])
@pytest.mark.parametrize("code", ["e610 f4", "e410 f4"], ids=["out", "in"])
def test_the_access_that_a_device_fails_in_is_an_exit(
    write: Write, code: str, steps: int | None, engine: str
) -> None:
    device = load_device(write(FAILING.replace("pass", "raise ValueError")))
    request = Request(
        flat(bytes.fromhex("90" + code), "t"), devices=[device], max_steps=steps, engine=engine
    )
    report = run_guest(request)
    assert report.detail.endswith(", at 0x1001")
    assert report.exits == {"IO": 1}
    assert report.ports == {0x10: (0, 1) if code.startswith("e6") else (1, 0)}


@pytest.mark.parametrize("engine", [pytest.param("kvm", marks=pytest.mark.kvm), "emulator"])
@pytest.mark.parametrize("steps", [None, 10])
def test_a_repeated_read_counts_up_to_the_element_that_a_device_fails_in(
    steps: int | None, engine: str
) -> None:
    class Third:
        ports = range(0x10, 0x11)
        mmio = None
        reads = 0

        def read(self, address: int, size: int) -> int:
            self.reads += 1
            return 7 // (3 - self.reads)

        def write(self, address: int, size: int, value: int) -> None: ...

    # mov di,0x4000; mov cx,5; mov dx,0x10; rep insb
    guest = flat(bytes.fromhex("bf0040 b90500 ba1000 f36c f4"), "t")
    devices = [DeviceClass("third.py:Third", Third)]
    report = run_guest(Request(guest, devices=devices, max_steps=steps, engine=engine))
    assert report.detail.startswith("device Third: ZeroDivisionError")
    assert report.ports == {0x10: (3, 0)}


def test_a_device_that_was_ended_shows_its_own_frames_alone(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = load_device(write(FAILING.replace("raise ValueError", "ended() or ValueError"))).make()
    device._device.read.__globals__["ended"] = device_calls.end_calls
    monkeypatch.setattr(device_calls, "PATIENCE", 0.0)
    with pytest.raises(DeviceError) as failure:
        device.read(0x10, 1)
    assert "card.py" in failure.value.trace
    assert "device_calls.py" not in failure.value.trace


@pytest.mark.kvm
def test_an_answer_that_is_no_number_ends_the_run(write: Write) -> None:
    device = load_device(write(FAILING.replace("raise ValueError", "return str")))
    report = run_guest(Request(flat(READ_THEN_HALT, "t"), devices=[device]))
    assert "TypeError: 'str' object cannot be interpreted as an integer" in report.detail


@pytest.mark.kvm
@pytest.mark.parametrize("steps", [None, 10])
@pytest.mark.parametrize("answer", ["0x100", "-1", "1 << 64"])
def test_an_answer_that_does_not_fit_the_access_ends_the_run(
    write: Write, steps: int | None, answer: str
) -> None:
    device = load_device(
        write(FAILING.replace('raise ValueError("no \\x1b[31m sum")', f"return {answer}"))
    )
    report = run_guest(Request(flat(READ_THEN_HALT, "t"), devices=[device], max_steps=steps))
    told = f"read(0x10, 1) gave {eval(answer):#x}; 8 bits hold 0 to 0xff"
    assert report.outcome is Outcome.UNHANDLED_EXIT
    assert report.detail == f"device Card: OverflowError: {told}, at 0x1000"
    assert report.registers.rax == 0


def test_the_largest_answer_of_a_size_fits(write: Write) -> None:
    body = """ports, mmio = range(1), None
    def read(self, address, size): return (1 << 8 * size) - 1
    def write(self, address, size, value): pass"""
    (device,) = make_devices([load_device(write(body))])
    assert [device.read(0, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFF_FFFF]


@pytest.mark.kvm
@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "SystemExit", "GeneratorExit"])
def test_no_exception_of_a_device_leaves_its_guest(write: Write, kind: str) -> None:
    device = load_device(write(FAILING.replace("ValueError", kind)))
    session = VcpuSession(flat(READ_THEN_HALT, "t"), devices=[device])
    try:
        after = session.run().result(20)
        assert (after.state, after.outcome) == (RunState.ENDED, Outcome.UNHANDLED_EXIT)
        assert after.detail.startswith(f"device Card: {kind}")
        assert "card.py" in after.failure
        assert session.restart().result(20).state is RunState.READY
    finally:
        session.close()


@pytest.mark.kvm
def test_a_session_shows_the_traceback_and_goes_on_after_a_restart(write: Write) -> None:
    session = VcpuSession(flat(READ_THEN_HALT, "t"), devices=[load_device(write(FAILING))])
    try:
        after = session.step(5).result(20)
        assert (after.state, after.outcome) == (RunState.ENDED, Outcome.UNHANDLED_EXIT)
        assert "Traceback" in after.failure
        again = session.restart().result(20)
        assert (again.state, again.failure, again.registers.rip) == (RunState.READY, "", 0x1000)
    finally:
        session.close()


@pytest.mark.kvm
def test_a_device_sees_memory_and_registers_as_they_are_at_the_access(write: Write) -> None:
    body = """ports, mmio = None, range(0xd0000000, 0xd0001000)
    def attach(self, machine): self.memory = machine.memory
    def read(self, address, size): return self.memory.read(0x2000, 1)[0] + 1
    def write(self, address, size, value): self.memory.write(0x2000, bytes([value]))"""
    # mov eax,0xd0000000; mov byte [eax],0x41; mov bl,[eax]; hlt
    guest = flat(bytes.fromhex("b8000000d0c600418a18f4"), "t", mode=Mode.PROTECTED)
    report = run_guest(Request(guest, devices=[load_device(write(body))], dumps=[(0x2000, 1)]))
    assert report.outcome is Outcome.HLT
    assert (report.registers.rbx & 0xFF, report.memory[0x2000]) == (0x42, b"A")
    assert report.mmio == (1, 1)


@pytest.mark.kvm
def test_a_device_takes_over_a_built_in_port(write: Write) -> None:
    body = """ports, mmio = range(0xf4, 0xf5), None
    def read(self, address, size): return 7
    def write(self, address, size, value): pass"""
    guest = flat(bytes.fromhex("e6f4e4f4f4"), "t")
    report = run_guest(Request(guest, devices=[load_device(write(body))]))
    assert (report.outcome, report.registers.rax & 0xFF) == (Outcome.HLT, 7)


@pytest.mark.kvm
def test_what_a_machine_refuses_a_device_is_told_with_the_device(write: Write) -> None:
    twice = (
        """ports, mmio = range(0x20, 0x21), None
    def attach(self, machine):
        for _ in range(2): machine.ioeventfd(0x30, 1, print)"""
        + METHODS
    )
    spec = write(twice)
    with pytest.raises(KvmError, match="Card: attach: KVM_IOEVENTFD failed"):
        run_guest(Request(flat(b"\xf4", "guest"), devices=(load_device(spec),)))


@pytest.mark.kvm
def test_an_ioeventfd_needs_a_function_to_call(write: Write) -> None:
    body = (
        """ports, mmio = range(0x20, 0x21), None
    def attach(self, machine): machine.ioeventfd(0x30, 1, None)"""
        + METHODS
    )
    spec = write(body)
    with pytest.raises(GuestError, match="an ioeventfd calls a function, not None"):
        run_guest(Request(flat(b"\xf4", "guest"), devices=(load_device(spec),)))
