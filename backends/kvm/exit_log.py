"""The exits of a run: counted in full, the latest ones kept for the screen.

Exits of full speed are kept as raw records and told only when asked for, since a guest can
make a hundred thousand a second.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kdash.backends.kvm.device_state import State
from kdash.backends.kvm.exit_reasons import UNCOUNTED, exit_name
from kdash.backends.kvm.exits import RawExit, decode_union, meaning, normalised_count
from kdash.backends.kvm.facts import Exit, ExitDetail, ExitReason, IoExit, MmioExit
from kdash.backends.kvm.origin import instruction_ip
from kdash.backends.kvm.owners import Owners
from kdash.backends.kvm.records import ACCESS, RECORD, Record

#: Exits kept; at least one batch.
WINDOW: Final = 512


#: An exit as it is kept: raw, index, RIP, step, text of its instruction, VCPU.
Logged = tuple[RawExit, int, int, int | None, str, int]


class _Batch:
    """Accesses of full speed as records."""

    __slots__ = ("_log", "_records", "_told", "_vcpu", "first", "last")

    def __init__(self, log: ExitLog, records: bytes, first: int, amount: int, vcpu: int) -> None:
        self._log = log
        self._vcpu = vcpu
        self._records = records
        self._told: dict[int, Exit] = {}
        self.first = first
        self.last = first + amount - 1

    def tell(self, first: int = 0) -> list[Exit]:
        """From number `first` on: the screen wants the latest of a long run."""
        wanted = range(max(self.first, first), self.last + 1)
        for index in wanted:
            if index not in self._told:
                self._told[index] = tell(*self._raw(index), owners=self._log.owners)
        return [self._told[index] for index in wanted]

    def raw(self) -> list[Logged]:
        return [self._raw(index) for index in range(self.first, self.last + 1)]

    def _raw(self, index: int) -> Logged:
        record = Record.unpack(self._records, (index - self.first) * RECORD.size)
        ip = instruction_ip(record, self._log.out_rip_after)
        return raw_of(record), index, ip, None, "", self._vcpu


class _Single:
    """One exit whose instruction is known; by elements where KVM returned several at once."""

    __slots__ = ("_log", "_raws", "_told", "_where", "first", "last")

    def __init__(
        self, log: ExitLog, raw: RawExit, index: int, where: tuple[int, int | None, str, int]
    ) -> None:
        self._log = log
        self._raws = _elements(raw)
        self._told: list[Exit] | None = None
        self._where = where
        self.first, self.last = index, index + len(self._raws) - 1

    def tell(self, first: int = 0) -> list[Exit]:
        if self._told is None:
            self._told = [tell(*one, owners=self._log.owners) for one in self.raw()]
        return self._told[max(first - self.first, 0) :]

    def raw(self) -> list[Logged]:
        return [(raw, index, *self._where) for index, raw in enumerate(self._raws, self.first)]


class ExitLog:
    """Counts and the latest exits of one machine.

    Args:
        listener: told of every exit as it comes, which is then slower.
    """

    def __init__(self, listener: Callable[[Exit], None] | None = None) -> None:
        self._listener = listener
        self.counts: Counter[int] = Counter()  # by KVM_EXIT_* number, normalised
        self.ports: dict[int, list[int]] = {}  # elements in, elements out
        self.mmio = [0, 0]  # reads, writes
        self.next_index = 0
        self.out_rip_after: bool | None = None
        self.owners: Owners | None = None  # who answers where, once that is known
        self._kept: deque[_Batch | _Single] = deque()

    @property
    def total(self) -> int:
        """Normalised number of exits so far."""
        return sum(self.counts.values())

    def counted(self) -> tuple[tuple[str, int], ...]:
        """How many exits of each kind, by name, the most frequent first."""
        return tuple((exit_name(reason), count) for reason, count in self.counts.most_common())

    def add(self, raw: RawExit, ip: int, step: int | None, code: str = "", vcpu: int = 0) -> None:
        """Count one exit and keep it.

        Args:
            raw: the exit.
            ip: RIP of its instruction.
            step: the logical step it belongs to; None at full speed.
            code: the instruction, where that says more.
            vcpu: which VCPU it came from.
        """
        self._count(raw.reason, raw.detail)
        self._keep(_Single(self, raw, self.next_index, (ip, step, code, vcpu)))

    def add_accesses(self, records: bytes, alike: bool, vcpu: int = 0) -> None:
        """Count and keep IO and MMIO records, at least one.

        Args:
            records: as the native loop left them.
            alike: all have the same reason, port, size, direction and count.
            vcpu: which VCPU they came from.
        """
        amount = len(records) // RECORD.size
        if alike:
            reason, port, _, write, most, _, _ = ACCESS.unpack_from(records)
            self._count_access(reason, port, write, most, amount)
        else:
            most = 1
            for reason, port, _, write, count, _, _ in ACCESS.iter_unpack(records):
                self._count_access(reason, port, write, count)
                most = max(most, count)
        self._keep_records(records, most, vcpu)

    def add_access(  # noqa: PLR0913, PLR0917 - called at every exit
        self, record: bytes, reason: int, port: int, write: int, count: int, vcpu: int = 0
    ) -> None:
        """Count and keep one IO or MMIO record, its answer in it; the rest is out of it."""
        self._count_access(reason, port, write, count)
        self._keep_records(record, count, vcpu)

    def _keep_records(self, records: bytes, most: int, vcpu: int) -> None:
        """Keep records with at most so many elements each."""
        if most > 1:
            records = b"".join(
                one.pack()
                for offset in range(0, len(records), RECORD.size)
                for one in Record.unpack(records, offset).by_element()
            )
        self._keep(_Batch(self, records, self.next_index, len(records) // RECORD.size, vcpu))

    def _count_access(self, reason: int, port: int, write: int, count: int, times: int = 1) -> None:
        if reason == ExitReason.IO:
            self._count_port(port, bool(write), count * times)
        else:
            self.counts[reason] += times
            self.mmio[bool(write)] += times

    def _count(self, reason: int, detail: ExitDetail) -> None:
        if reason in UNCOUNTED:
            return
        amount = normalised_count(detail)
        if isinstance(detail, IoExit):
            self._count_port(detail.port, detail.direction == "out", amount)
            return
        self.counts[reason] += amount
        if isinstance(detail, MmioExit):
            self.mmio[detail.write] += 1

    def _count_port(self, port: int, out: bool, amount: int) -> None:
        self.counts[ExitReason.IO] += amount
        self.ports.setdefault(port, [0, 0])[out] += amount

    def _keep(self, entry: _Batch | _Single) -> None:
        kept = self._kept
        kept.append(entry)
        self.next_index = entry.last + 1
        while kept[0].last < self.next_index - WINDOW:
            kept.popleft()
        if self._listener:
            for told in entry.tell():
                self._listener(told)

    def since(self, index: int) -> list[Logged]:
        """The exits kept from `index` on: raw, index, RIP, step, instruction's text, VCPU."""
        found: list[Logged] = []
        for entry in reversed(self._kept):
            if entry.last < index:
                break
            found[:0] = [one for one in entry.raw() if one[1] >= index]
        return found

    def save(self) -> State:
        """All that is counted."""
        return {
            "counts": [[reason, count] for reason, count in self.counts.items()],
            "ports": [[port, *counts] for port, counts in self.ports.items()],
            "mmio": self.mmio,
            "next": self.next_index,
        }

    def restore(self, state: State) -> None:
        """Count from what was saved; exits that came later are forgotten."""
        self.counts = Counter(dict(state["counts"]))
        self.ports = {port: [read, written] for port, read, written in state["ports"]}
        self.mmio = list(state["mmio"])
        self.next_index = state["next"]
        kept = [one for entry in self._kept for one in entry.raw() if one[1] < self.next_index]
        self._kept = deque(
            _Single(self, raw, index, (ip, step, code, vcpu))
            for raw, index, ip, step, code, vcpu in kept
        )

    def latest(self, count: int) -> tuple[Exit, ...]:
        """The last exits, at most `count` (and WINDOW), oldest first."""
        index = self.next_index - count
        told: list[Exit] = []
        for entry in reversed(self._kept):
            if entry.last < index:
                break
            told[:0] = entry.tell(index)
        return tuple(told[-count:])


def _elements(raw: RawExit) -> list[RawExit]:
    """An exit for each element: KVM answers REP INS at once, others one by one."""
    detail = raw.detail
    if not isinstance(detail, IoExit) or detail.count <= 1:
        return [raw]
    size = detail.size
    return [
        RawExit(raw.reason, replace(detail, count=1, data=detail.data[at : at + size]))
        for at in range(0, size * detail.count, size)
    ]


def tell(  # noqa: PLR0913, PLR0917 - the fields of an exit
    raw: RawExit, index: int, ip: int, step: int | None, code: str = "", vcpu: int = 0,
    *, owners: Owners | None = None,
) -> Exit:  # fmt: skip
    """An exit with its name and meaning."""
    text = meaning(raw.reason, raw.detail, owners)
    return Exit(
        index=index,
        step=step,
        vcpu=vcpu,
        reason=raw.reason,
        name=exit_name(raw.reason),
        ip=ip,
        detail=raw.detail,
        meaning=f"{text} ({code})" if code else text,
    )


def raw_of(record: Record) -> RawExit:
    """The exit in a record, as far as the record holds it."""
    if record.reason == ExitReason.IO:
        direction = "out" if record.write else "in"
        detail: ExitDetail = IoExit(
            direction, record.port, record.size, record.elements, record.data
        )
    elif record.reason == ExitReason.MMIO:
        detail = MmioExit(record.write, record.address, record.data)
    else:
        detail = decode_union(record.reason, bytes(256))
    return RawExit(record.reason, detail)
