"""The registers of a VCPU, changed ones marked."""

from __future__ import annotations

from kdash.backends.kvm.facts import Mode, Registers, Snapshot
from kdash.widgets.vcpu.part import Line, LinePart
from kdash.widgets.vcpu.register_lines import register_lines


def mode_text(registers: Registers) -> str:
    """The mode in words: "real, 16-bit"."""
    if registers.mode is Mode.REAL:
        return "real mode"
    return f"{registers.mode.value} mode, {registers.code_bits}-bit code"


class RegisterView(LinePart):
    """General, segment and control registers with the names of the bits set in them."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Registers", id=id)
        self._registers = Registers()
        self._changed: frozenset[str] = frozenset()
        self._flipped = 0
        self._lines_for: dict[tuple[int, bool], tuple[Line, ...]] = {}

    def show(self, snapshot: Snapshot, before: Registers | None = None) -> None:
        """Draw the registers of `snapshot`; `before` are those of the previous stop."""
        self._registers = snapshot.registers
        self._changed = snapshot.changed
        known = before if "rflags" in snapshot.changed else None
        self._flipped = known.rflags ^ snapshot.registers.rflags if known else 0
        self._lines_for.clear()
        self.set_title("Registers", mode_text(snapshot.registers))
        self.lay_out()

    def lay_out(self) -> None:
        """Make the lines for the room there is."""
        width, height = self.room
        if width:
            lines = self._made(width, full=False)
            if len(lines) <= height and len(whole := self._made(width, full=True)) <= height:
                lines = whole
            self.set_lines(lines)

    def _made(self, width: int, *, full: bool) -> tuple[Line, ...]:
        if (width, full) not in self._lines_for:
            self._lines_for[width, full] = register_lines(
                self._registers, self._changed, self._flipped, width, full=full
            )
        return self._lines_for[width, full]

    def lines_needed(self, width: int, *, full: bool) -> int:
        """Lines that all registers take in `width` cells."""
        return len(self._made(width, full=full))
