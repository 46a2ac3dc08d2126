"""The validation of one object in memory, from its bytes to its findings."""

from __future__ import annotations

from kdash.backends.stack.coverage import Coverage, Site
from kdash.backends.stack.events import make_events
from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.backends.stack.findings import FindingMaker
from kdash.backends.stack.image import ObjectImage
from kdash.backends.stack.layouts import layout_conflicts
from kdash.backends.stack.mitigations import Mitigations
from kdash.backends.stack.program import Program
from kdash.backends.stack.rules import levels_of
from kdash.backends.stack.transition import Transitions
from kdash.backends.stack.walk import Walk
from kdash.backends.wording import counted


class Validator:
    """Validates objects one after the other, what it learns of stack states kept between.

    Args:
        options: how to validate.
    """

    def __init__(self, options: CheckOptions) -> None:
        self.options = options
        self._transitions: dict[int, Transitions] = {}  # by machine

    def validate(self, path: str, data: bytes, sample: bool) -> tuple[FileReport, Walk]:
        """The report on an object, and the walk that led to it.

        Args:
            path: what the report calls it.
            data: its bytes.
            sample: whether it is a bundled one.

        Raises:
            ObjectError: it can't be validated.
        """
        program = Program(ObjectImage(data), self.options.noreturn)
        frame_pointer, reason = _decide_frame_pointer(self.options.frame_pointer, program)
        walk = self.walk(program, frame_pointer)
        coverage = Coverage(program, walk.events, walk)
        maker = FindingMaker(path, walk, levels_of(self.options.levels))
        sites = coverage.walked() + coverage.sites()
        sites += [Site(violation) for violation in layout_conflicts(walk)]
        hardening = Mitigations(program, walk.events, self.options.builds)
        sites += [Site(violation) for violation in hardening.violations()]
        findings = maker.make(sites) + maker.make_malformed(program.special.malformed)
        findings += maker.make_data(hardening.data_references())
        report = FileReport(
            path,
            findings,
            frame_pointer=frame_pointer,
            frame_pointer_reason=reason,
            functions=len(program.functions),
            instructions=len(program.code),
            left_out=maker.left_out,
            sample=sample,
        )
        return report, walk

    def walk(self, program: Program, frame_pointer: bool) -> Walk:
        """Walk a program with the states known so far."""
        processor = program.architecture
        known = self._transitions.get(processor.machine)
        if known is None or known.full:
            known = self._transitions[processor.machine] = Transitions(processor.operation)
        uaccess = self.options.uaccess
        events = make_events(program, frame_pointer, uaccess)
        walk = Walk(program, events, known, frame_pointer, uaccess)
        walk.run()
        return walk


def _decide_frame_pointer(choice: str, program: Program) -> tuple[bool, str]:
    """Whether the frame pointer rules apply, and why if that was decided here."""
    if choice != "auto":
        return choice == "on", ""
    if program.image.sections_named(".orc_unwind"):
        return False, "off: the object has .orc_unwind"
    prologues, calling = program.count_frames()
    framed, others = counted(prologues, "function"), counted(calling, "function")
    counts = f"{framed} with a prologue, {others} that {'calls' if calling == 1 else 'call'}"
    if 2 * prologues < calling:
        return False, f"off: {counts}"
    return True, f"on: {counts}"
