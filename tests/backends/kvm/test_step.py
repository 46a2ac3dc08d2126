"""One logical step on hosts that are not at hand: their exits, replayed."""

from __future__ import annotations

from collections.abc import Sequence

from kdash.backends.kvm.exits import RawExit
from kdash.backends.kvm.facts import ExitReason, IoExit, MmioExit, OtherExit
from kdash.backends.kvm.step import Kind, Start, StepEnd, step

AT = 0x1000

DEBUG = RawExit(ExitReason.DEBUG, OtherExit())
HLT = RawExit(ExitReason.HLT, OtherExit())
SHUTDOWN = RawExit(ExitReason.SHUTDOWN, OtherExit())
OUT = RawExit(ExitReason.IO, IoExit("out", 0x3F8, 1, 1, b"4"))
IN = RawExit(ExitReason.IO, IoExit("in", 0x3FD, 1, 1, b"\0"))
READ = RawExit(ExitReason.MMIO, MmioExit(False, 0xD0000000, b"\0"))
WRITE = RawExit(ExitReason.MMIO, MmioExit(True, 0xD0000000, b"\1"))

RUN, COMPLETE = False, True


class ScriptedVcpu:
    """Answers each KVM_RUN from a list of (complete_only, exit or None for EINTR, RIP)."""

    def __init__(self, start: Start, script: Sequence[tuple[bool, RawExit | None, int]]) -> None:
        self.start = start
        self.script = list(script)
        self.rip = start.rip
        self.latest: RawExit | None = None
        self.serviced: list[RawExit] = []

    def look(self) -> Start:
        return self.start

    def enter(self, complete_only: bool) -> bool:
        assert self.script, "one KVM_RUN more than the host would need"
        expected, self.latest, self.rip = self.script.pop(0)
        assert complete_only is expected
        return self.latest is not None

    def exit(self) -> RawExit:
        assert self.latest is not None
        return self.latest

    def step(self) -> tuple[StepEnd, RawExit | None]:
        result = step(self, self.serviced.append)
        assert not self.script, "the host was not asked often enough"
        return result


def plain(*script: tuple[bool, RawExit | None, int]) -> ScriptedVcpu:
    return ScriptedVcpu(Start(AT, Kind.PLAIN), script)


def rep(*script: tuple[bool, RawExit | None, int]) -> ScriptedVcpu:
    return ScriptedVcpu(Start(AT, Kind.REP), script)


def test_a_plain_instruction_is_one_entry() -> None:
    assert plain((RUN, DEBUG, AT + 3)).step() == (StepEnd.COMPLETE, None)


def test_a_jump_to_itself_is_complete_though_rip_stays() -> None:
    assert plain((RUN, DEBUG, AT)).step() == (StepEnd.COMPLETE, None)


def test_an_out_with_rip_at_it_completes_on_reentry_as_hardware_does() -> None:
    vcpu = plain((RUN, OUT, AT), (COMPLETE, DEBUG, AT + 1))
    assert vcpu.step() == (StepEnd.COMPLETE, None)
    assert vcpu.serviced == [OUT]
    assert vcpu.rip == AT + 1


def test_an_out_with_rip_past_it_completes_by_eintr_as_an_emulating_host_does() -> None:
    vcpu = plain((RUN, OUT, AT + 1), (COMPLETE, None, AT + 1))
    assert vcpu.step() == (StepEnd.COMPLETE, None)
    assert vcpu.serviced == [OUT]


def test_an_in_is_serviced_before_it_is_completed() -> None:
    vcpu = plain((RUN, IN, AT), (COMPLETE, DEBUG, AT + 1))
    assert vcpu.step() == (StepEnd.COMPLETE, None)
    assert vcpu.serviced == [IN]


def test_an_mmio_read_completes_on_reentry() -> None:
    vcpu = plain((RUN, READ, AT), (COMPLETE, DEBUG, AT + 2))
    assert vcpu.step() == (StepEnd.COMPLETE, None)


def test_a_read_and_a_write_of_one_instruction_are_one_step() -> None:
    vcpu = plain((RUN, READ, AT), (COMPLETE, WRITE, AT + 2), (COMPLETE, None, AT + 2))
    assert vcpu.step() == (StepEnd.COMPLETE, None)
    assert vcpu.serviced == [READ, WRITE]


def test_an_mmio_write_across_pages_is_one_step() -> None:
    vcpu = plain((RUN, WRITE, AT + 2), (COMPLETE, WRITE, AT + 2), (COMPLETE, None, AT + 2))
    assert vcpu.step() == (StepEnd.COMPLETE, None)
    assert vcpu.serviced == [WRITE, WRITE]


def test_rep_movs_is_one_step_where_hardware_stops_at_each_iteration() -> None:
    vcpu = rep((RUN, DEBUG, AT), (RUN, DEBUG, AT), (RUN, DEBUG, AT + 2))
    assert vcpu.step() == (StepEnd.COMPLETE, None)


def test_rep_movs_is_one_step_where_the_count_is_used_up_before_rip_moves() -> None:
    assert rep((RUN, DEBUG, AT), (RUN, DEBUG, AT + 2)).step() == (StepEnd.COMPLETE, None)


def test_rep_outs_gives_each_element_and_is_one_step() -> None:
    element = [(RUN, OUT, AT), (COMPLETE, None, AT)]
    vcpu = rep(*element, *element, *element, (RUN, DEBUG, AT + 2))
    assert vcpu.step() == (StepEnd.COMPLETE, None)
    assert vcpu.serviced == [OUT, OUT, OUT]


def test_rep_outs_of_hardware_that_ends_with_the_last_element_is_complete() -> None:
    vcpu = rep((RUN, OUT, AT), (COMPLETE, DEBUG, AT), (RUN, OUT, AT), (COMPLETE, DEBUG, AT + 2))
    assert vcpu.step() == (StepEnd.COMPLETE, None)


def test_rep_ins_of_several_elements_is_one_step() -> None:
    five = RawExit(ExitReason.IO, IoExit("in", 0x3F8, 1, 5, bytes(5)))
    vcpu = rep((RUN, five, AT), (COMPLETE, DEBUG, AT), (RUN, DEBUG, AT + 2))
    assert vcpu.step() == (StepEnd.COMPLETE, None)
    assert vcpu.serviced == [five]


def test_a_fault_in_a_rep_instruction_ends_the_step_in_its_handler() -> None:
    assert rep((RUN, DEBUG, AT), (RUN, DEBUG, 0x5000)).step() == (StepEnd.COMPLETE, None)


def test_hlt_that_exits_is_left_to_the_caller() -> None:
    vcpu = ScriptedVcpu(Start(AT, Kind.HLT, 1), [(RUN, HLT, AT + 1)])
    assert vcpu.step() == (StepEnd.EXIT, HLT)


def test_hlt_that_shows_as_a_debug_exit_is_halted() -> None:
    vcpu = ScriptedVcpu(Start(AT, Kind.HLT, 1), [(RUN, DEBUG, AT + 1)])
    assert vcpu.step() == (StepEnd.HALTED, None)


def test_hlt_with_a_prefix_that_shows_as_a_debug_exit_is_halted() -> None:
    vcpu = ScriptedVcpu(Start(AT, Kind.HLT, 2), [(RUN, DEBUG, AT + 2)])
    assert vcpu.step() == (StepEnd.HALTED, None)


def test_hlt_at_the_end_of_the_segment_is_halted() -> None:
    vcpu = ScriptedVcpu(Start(0xFFFF, Kind.HLT, 1, 16), [(RUN, DEBUG, 0)])
    assert vcpu.step() == (StepEnd.HALTED, None)


def test_hlt_that_faults_is_not_halted() -> None:
    vcpu = ScriptedVcpu(Start(AT, Kind.HLT, 1), [(RUN, DEBUG, 0x5000)])
    assert vcpu.step() == (StepEnd.COMPLETE, None)


def test_a_shutdown_is_left_to_the_caller() -> None:
    assert plain((RUN, SHUTDOWN, AT)).step() == (StepEnd.EXIT, SHUTDOWN)


def test_a_shutdown_while_an_access_is_completed_is_left_to_the_caller() -> None:
    vcpu = plain((RUN, IN, AT), (COMPLETE, SHUTDOWN, AT))
    assert vcpu.step() == (StepEnd.EXIT, SHUTDOWN)


def test_a_kick_before_the_instruction_leaves_it_undone() -> None:
    assert plain((RUN, None, AT)).step() == (StepEnd.KICKED, None)


def test_a_kick_within_a_rep_instruction_leaves_the_step_open() -> None:
    assert rep((RUN, DEBUG, AT), (RUN, None, AT)).step() == (StepEnd.KICKED, None)
