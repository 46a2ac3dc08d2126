"""CPUID and page walks as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kdash.backends.kvm.state_facts import (
    CpuidLeaf,
    CpuidState,
    DeviceRegister,
    PageLevel,
    PageWalk,
)
from kdash.widgets.vcpu.state_row import StateRow, gap_rows

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def cpuid_rows(state: CpuidState) -> list[StateRow]:
    """What the VCPU answers, then what KVM supports."""
    rows = [*_leaves("vcpu", state.own), *_leaves("kvm", state.supported)]
    if not state.own and "the VCPU's own CPUID" not in dict(state.unavailable):
        teach = "it answers 0 to every leaf; --cpuid host would give it what KVM supports"
        rows.insert(0, StateRow("vcpu", "-", "never set", teach, "muted"))
    return rows + gap_rows(state.unavailable)


def _leaves(part: str, leaves: Iterable[CpuidLeaf]) -> Iterator[StateRow]:
    for leaf in leaves:
        entry = leaf.entry
        values = (entry.eax, entry.ebx, entry.ecx, entry.edx)
        name = f"{entry.leaf:x}:{entry.subleaf:x}" if entry.indexed else f"{entry.leaf:x}"
        said = " ".join(filter(None, (leaf.meaning, " ".join(leaf.features))))
        registers = zip(("eax", "ebx", "ecx", "edx"), values, strict=True)
        detail = "\n".join(
            filter(
                None,
                (
                    f"CPUID {name} {leaf.name}".rstrip(),
                    " ".join(f"{register} {value:08x}" for register, value in registers),
                    leaf.meaning,
                    " ".join(leaf.features),
                ),
            )
        )
        meaning = f"{leaf.name}: {said}" if leaf.name and said else leaf.name or said
        value = " ".join(f"{value:08x}" for value in values)
        yield StateRow(part, name, value, meaning, "" if any(values) else "muted", detail)


def size_text(size: int) -> str:
    """Bytes of a page: 4 KiB, 2 MiB, 1 GiB."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} bytes"


def walk_rows(walk: PageWalk) -> list[StateRow]:
    """The address, each level, and where it leads or why it stops."""
    rows = [StateRow("walk", "linear", f"{walk.linear:x}", _paging(walk))]
    rows += [_level(one) for one in walk.levels]
    if walk.physical is None:
        rows.append(StateRow("walk", "stops", "not mapped", walk.stop, "bad"))
        return rows
    allowed = ", ".join(("read", *walk.rights))
    page = f"{size_text(walk.page)} page, {allowed}" if walk.page else "the linear address itself"
    if not walk.memory:
        page += "; no memory there: accesses exit as MMIO"
    tone = "" if walk.memory else "warning"
    rows.append(StateRow("walk", "physical", f"{walk.physical:x}", page, tone))
    return rows


def _paging(walk: PageWalk) -> str:
    return "paging is off" if walk.paging == "off" else f"{walk.paging} paging"


def _level(level: PageLevel) -> StateRow:
    name = f"{level.table}[{level.index:x}]"
    if level.raw is None:
        return StateRow("walk", name, "-", f"at {level.address:x}, where no memory is", "bad")
    leads = "" if level.next is None else f" leads to {level.next:x}"
    flags = " ".join(level.flags) or "not present"
    tone = "bad" if level.next is None else ""
    return StateRow("walk", name, f"{level.raw:016x}", f"at {level.address:x} {flags}{leads}", tone)


def device_rows(registers: Sequence[DeviceRegister]) -> list[StateRow]:
    """What the devices hold."""
    return [StateRow(one.device, one.name, one.value, one.meaning) for one in registers]
