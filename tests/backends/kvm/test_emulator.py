"""The same guests on both engines: the same exits, registers and outcome."""

from __future__ import annotations

import gc
import os
import threading
import time
from dataclasses import astuple, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdash.backends.kvm.engines import (
    EMULATOR,
    KVM,
    choose,
    open_machine,
    open_runner,
    probe_emulator,
)
from kdash.backends.kvm.facts import IoExit, KvmError, MmioExit, Mode, Outcome, RunState
from kdash.backends.kvm.guests import article_guest, flat
from kdash.backends.kvm.run import Report, Request, run_guest
from kdash.backends.kvm.runner import Slice
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.user_devices import DeviceClass

WAIT = 20
ENGINES = [pytest.param(KVM, marks=pytest.mark.kvm), EMULATOR]
engines = pytest.mark.parametrize("engine", ENGINES)


def report(engine: str, code: str, mode: Mode = Mode.REAL, **options: object) -> Report:
    registers = options.pop("registers", {})
    guest = flat(bytes.fromhex(code), "guest", mode=mode, memory=1 << 21, registers=registers)  # type: ignore[arg-type]
    return run_guest(Request(guest, timeout=10, engine=engine, **options))  # type: ignore[arg-type]


@engines
@pytest.mark.parametrize("steps", [None, 100])
def test_the_article_guest_prints_its_sum_and_halts(engine: str, steps: int | None) -> None:
    found = run_guest(Request(article_guest(), max_steps=steps, engine=engine))
    assert (found.engine, found.outcome, found.detail) == (engine, Outcome.HLT, "HLT at 0x100b")
    assert found.serial == b"4\n"
    assert found.exits == {"IO": 2, "HLT": 1}
    assert found.steps == (None if steps is None else 7)
    assert found.registers.rip == 0x100C


GUESTS = {
    "real arithmetic": ("b80300 bb0400 f7e3 01d8 f4", Mode.REAL, {}),
    "real segments": ("b80020 8ed8 c70600003412 a10000 f4", Mode.REAL, {}),
    "protected arithmetic": ("b878563412 89c3 c1e304 f7d8 f4", Mode.PROTECTED, {}),
    "long arithmetic": ("48b8efcdab8967452301 4989c0 49c1c014 f4", Mode.LONG, {}),
    "in of all sizes": ("66ba3412 ec 89c3 66ed 89c1 ed f4", Mode.PROTECTED, {}),
    "out of all sizes": ("66bae900 b878563412 ee 66ef ef e6e9 f4", Mode.PROTECTED, {}),
    "rep outsb": ("66bae900 f36e f4", Mode.LONG, {"rsi": 0x1000, "rcx": 5}),
    "rep insb": ("66ba3412 f36c f4", Mode.LONG, {"rdi": 0x4000, "rcx": 5}),
    "mmio": ("bb00003000 8b03 8903 668b03 8803 0003 f4", Mode.PROTECTED, {}),
    "unaligned mmio": ("bb01003000 8b03 f4", Mode.PROTECTED, {}),
    "mmio of eight bytes": ("bb00003000 488b03 488903 f4", Mode.LONG, {}),
    "self-modifying": ("c60508100000f4 9090 f4", Mode.PROTECTED, {}),
    "rep movsb": ("f3a4 f4", Mode.LONG, {"rsi": 0x1000, "rdi": 0x4000, "rcx": 300}),
    "calls": ("e80100 f4 b80100 c3", Mode.REAL, {}),
    "to protected": (
        "0f01162010 0f20c0 6683c801 0f22c0 ea1a100800 909090909090 f4 9090909090"
        "1700281000000000 0000000000000000 ffff0000009bcf00 ffff00000093cf00",
        Mode.REAL,
        {},
    ),
}  # fmt: skip


@pytest.mark.kvm
@pytest.mark.parametrize("name", GUESTS)
@pytest.mark.parametrize("steps", [None, 500])
def test_a_guest_does_the_same_on_both_engines(name: str, steps: int | None) -> None:
    code, mode, registers = GUESTS[name]
    one, other = (
        report(engine, code, mode, registers=registers, max_steps=steps, dumps=((0x4000, 16),))
        for engine in (KVM, EMULATOR)
    )
    assert (other.outcome, other.detail) == (one.outcome, one.detail)
    assert (other.exits, other.ports, other.mmio) == (one.exits, one.ports, one.mmio)
    assert (other.steps, other.memory, other.debug_port) == (one.steps, one.memory, one.debug_port)
    if one.outcome is Outcome.HLT:
        assert astuple(other.registers) == astuple(one.registers)


@engines
def test_a_port_read_tells_its_size_and_answer(engine: str) -> None:
    with open_machine(flat(bytes.fromhex("66ba3412edf4"), "in", mode=Mode.LONG), engine) as machine:
        runner = open_runner(machine, engine)
        while runner.run() is not Slice.ENDED:
            pass
        first, _ = runner.log.latest(2)
        assert first.detail == IoExit("in", 0x1234, 4, 1, b"\xff\xff\xff\xff")
        assert (first.ip, first.name) == (0x1004, "IO")


@engines
def test_an_access_without_memory_tells_address_and_data(engine: str) -> None:
    code = bytes.fromhex("bb00003000b8785634128903f4")
    with open_machine(flat(code, "mmio", mode=Mode.PROTECTED, memory=1 << 21), engine) as machine:
        runner = open_runner(machine, engine)
        while runner.run() is not Slice.ENDED:
            pass
        first, _ = runner.log.latest(2)
        assert first.detail == MmioExit(True, 0x300000, bytes.fromhex("78563412"))
        assert first.ip == 0x100A


@engines
def test_an_exception_without_a_handler_is_a_triple_fault(engine: str) -> None:
    found = report(engine, "0f0bf4", Mode.LONG)
    assert (found.outcome, found.exits) == (Outcome.SHUTDOWN, {"SHUTDOWN": 1})


@engines
def test_the_exit_port_ends_the_run_before_the_next_instruction(engine: str) -> None:
    found = report(engine, "b003e6f4b009f4")
    assert (found.outcome, found.exit_value, found.registers.rax) == (Outcome.EXIT_PORT, 3, 3)


def test_a_real_mode_interrupt_reaches_its_handler_and_returns() -> None:
    # IVT[0x10] = 0:0x1010, int 0x10, hlt; the handler sets AX and returns.
    code = "c70640001010 cd10 f4".replace(" ", "").ljust(32, "9") + "b83412cf"
    found = report(EMULATOR, code, max_steps=50)
    assert found.detail == "HLT at 0x1008"
    assert (found.registers.rax, found.registers.rsp) == (0x1234, 0x8000)


@pytest.mark.parametrize(
    ("options", "word"), [({"vcpus": 2}, "several VCPUs"), ({"irqchip": True}, "interrupt contr")]
)
def test_what_the_emulator_can_not_do_is_said(options: dict[str, Any], word: str) -> None:
    with pytest.raises(KvmError, match=f"the emulator can't do this: {word}"):
        open_machine(replace(flat(b"\xf4", "guest"), **options), EMULATOR)


def test_a_closed_machine_gives_its_memory_back_without_the_garbage_collector() -> None:
    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    def run() -> None:
        with open_machine(article_guest(), EMULATOR) as machine:
            runner = open_runner(machine, EMULATOR)
            while runner.run() is not Slice.ENDED:
                pass

    for _ in range(3):
        run()
    gc.collect()
    gc.disable()
    try:
        before = resident()
        for _ in range(20):
            run()
        assert resident() - before < 20 << 20  # a machine takes 3 MB
    finally:
        gc.enable()


def test_a_spinning_guest_is_kicked_out_of_full_speed() -> None:
    with open_machine(flat(b"\x40\xeb\xfd", "spin"), EMULATOR) as machine:
        runner = open_runner(machine, EMULATOR)
        runner.kick()
        assert runner.run() is Slice.KICKED
        runner.start_ticks(100)
        assert runner.run() is Slice.KICKED
        runner.stop_ticks()
        assert machine.vcpu.rip in {0x1000, 0x1001}
        assert runner.steps == 0


class Broken:
    ports = range(0x300, 0x302)
    mmio = None

    def read(self, address: int, size: int) -> int:
        raise RuntimeError("no answer")

    def write(self, address: int, size: int, value: int) -> None:
        raise RuntimeError("not taken")


@engines
@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize(
    ("code", "word"), [("ba0003 ec 40 f4", "no answer"), ("ba0003 ee 40 f4", "not taken")]
)
def test_a_device_that_raises_stops_the_guest(
    engine: str, stepped: bool, code: str, word: str
) -> None:
    device = DeviceClass("broken.py:Broken", Broken)
    guest = flat(bytes.fromhex(code), "guest")
    found = run_guest(
        Request(guest, timeout=10, engine=engine, devices=(device,), step_by_step=stepped)
    )
    assert found.outcome is Outcome.UNHANDLED_EXIT
    assert word in found.detail
    assert "RuntimeError" in found.failure
    assert found.registers.rax == 0


@engines
@pytest.mark.parametrize("stepped", [False, True])
def test_a_reset_by_the_keyboard_controller_ends_the_run(engine: str, stepped: bool) -> None:
    guest = flat(bytes.fromhex("b0fe e664 40 f4"), "guest")
    found = run_guest(Request(guest, timeout=10, engine=engine, step_by_step=stepped))
    assert (found.outcome, found.registers.rax) == (Outcome.SYSTEM_EVENT, 0xFE)


def test_the_emulator_is_taken_where_kvm_can_not_be_used(tmp_path: os.PathLike[str]) -> None:
    choice = choose("auto", os.path.join(tmp_path, "kvm"))
    assert choice.engine == EMULATOR
    assert "does not exist" in choice.cause
    assert choice.remedy
    assert choose("kvm", os.path.join(tmp_path, "kvm")).engine == KVM
    assert probe_emulator().verdict == "ok"


@engines
def test_a_session_steps_sets_breaks_runs_pauses_and_restarts(engine: str) -> None:
    session = VcpuSession(flat(bytes.fromhex("b80500 40 ebfd"), "spin"), engine=engine)
    try:
        assert session.snapshot().engine == engine
        assert session.step().result(WAIT).registers.rax == 5
        assert session.set_register("rax", 9).result(WAIT).registers.rax == 9
        session.add_breakpoint(0x1004).result(WAIT)
        met = session.run().result(WAIT)
        assert (met.registers.rip, met.registers.rax) == (0x1004, 10)
        session.remove_breakpoint(0x1004).result(WAIT)
        session.run()
        end = time.monotonic() + WAIT
        while session.snapshot().state is not RunState.RUNNING:
            assert time.monotonic() < end
        assert session.pause().result(WAIT).state is RunState.STOPPED
        assert session.read_memory(0x1000, 4) == bytes.fromhex("b8050040")
        assert session.restart().result(WAIT).registers.rip == 0x1000
    finally:
        session.close()


@settings(max_examples=25, deadline=None)
@given(
    image=st.binary(min_size=1, max_size=64),
    mode=st.sampled_from(list(Mode)),
    count=st.integers(0, 2**64 - 1),
)
def test_random_guests_end_at_full_speed_too(image: bytes, mode: Mode, count: int) -> None:
    guest = flat(b"\x90" + image, "random", mode=mode, memory=1 << 20)
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    found = run_guest(Request(guest, {"rcx": count}, timeout=0.1, engine=EMULATOR))
    assert found.detail.isprintable()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


@settings(max_examples=25, deadline=None)
@given(
    image=st.binary(min_size=1, max_size=64),
    mode=st.sampled_from(list(Mode)),
    count=st.integers(0, 2**64 - 1),
)
def test_random_guests_end_on_the_emulator_too(image: bytes, mode: Mode, count: int) -> None:
    guest = flat(b"\x90" + image, "random", mode=mode, memory=1 << 20)
    before = len(os.listdir("/proc/self/fd"))
    found = run_guest(Request(guest, {"rcx": count}, timeout=0.1, max_steps=200, engine=EMULATOR))
    assert found.detail.isprintable()
    assert found.steps is not None
    assert found.steps <= 200
    assert len(os.listdir("/proc/self/fd")) == before
