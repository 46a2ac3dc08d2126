"""The exits of a run: counted in full, the latest ones kept for the screen.

Exits of full speed are kept as raw records and told only when asked for, since a guest can
make a hundred thousand a second.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Final

from kdash.backends.kvm.exit_reasons import UNCOUNTED, exit_name
from kdash.backends.kvm.exits import RawExit, decode_union, meaning, normalised_count
from kdash.backends.kvm.facts import Exit, ExitDetail, ExitReason, IoExit, MmioExit
from kdash.backends.kvm.origin import instruction_ip
from kdash.backends.kvm.records import POSTED, RECORD, Record

#: Exits kept; at least one batch.
WINDOW: Final = 512


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
        self._kept: deque[Exit | tuple[bytes, int]] = deque()

    @property
    def total(self) -> int:
        """Normalised number of exits so far."""
        return sum(self.counts.values())

    def add(self, raw: RawExit, ip: int, step: int | None, code: str = "") -> Exit:
        """Count one exit and keep it, told; `code` is the instruction where that says more."""
        self._count(raw.reason, raw.detail)
        told = tell(raw, self.next_index, ip, step, code)
        self._keep(told, 1)
        if self._listener:
            self._listener(told)
        return told

    def add_posted(self, records: bytes) -> None:
        """Count and keep a run of OUT records."""
        elements = 0
        amount = len(records) // RECORD.size
        for _, port, _, _, count, _ in POSTED.iter_unpack(records):
            self._port(port)[1] += count
            elements += count
        self.counts[ExitReason.IO] += elements
        entry = records, self.next_index
        self._keep(entry, amount)
        if self._listener:
            for told in self._tell(entry):
                self._listener(told)

    def _count(self, reason: int, detail: ExitDetail) -> None:
        if reason in UNCOUNTED:
            return
        amount = normalised_count(detail)
        self.counts[reason] += amount
        if isinstance(detail, IoExit):
            self._port(detail.port)[detail.direction == "out"] += amount
        elif isinstance(detail, MmioExit):
            self.mmio[detail.write] += 1

    def _port(self, port: int) -> list[int]:
        return self.ports.setdefault(port, [0, 0])

    def _keep(self, entry: Exit | tuple[bytes, int], amount: int) -> None:
        self._kept.append(entry)
        self.next_index += amount
        oldest = self.next_index - WINDOW
        while self._kept and _last_index(self._kept[0]) < oldest:
            self._kept.popleft()

    def latest(self, count: int) -> tuple[Exit, ...]:
        """The last exits, at most `count` (and WINDOW), oldest first."""
        return self.since(self.next_index - count)

    def since(self, index: int) -> tuple[Exit, ...]:
        """The kept exits whose index is at least `index`."""
        told: list[Exit] = []
        for position in range(len(self._kept) - 1, -1, -1):
            entry = self._kept[position]
            if _last_index(entry) < index:
                break
            told[:0] = [one for one in self._tell(entry) if one.index >= index]
        return tuple(told)

    def _tell(self, entry: Exit | tuple[bytes, int]) -> Iterable[Exit]:
        if isinstance(entry, Exit):
            return (entry,)
        records, first = entry
        found = []
        for position in range(len(records) // RECORD.size):
            record = Record.unpack(records, position * RECORD.size)
            ip = instruction_ip(record, self.out_rip_after)
            found.append(tell(raw_of(record), first + position, ip, None))
        return found


def _last_index(entry: Exit | tuple[bytes, int]) -> int:
    if isinstance(entry, Exit):
        return entry.index
    return entry[1] + len(entry[0]) // RECORD.size - 1


def tell(raw: RawExit, index: int, ip: int, step: int | None, code: str = "") -> Exit:
    """An exit with its name and meaning."""
    text = meaning(raw.reason, raw.detail)
    return Exit(
        index=index,
        step=step,
        vcpu=0,
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
