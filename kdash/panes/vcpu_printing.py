"""`:print`: the value of an expression in the guest that is shown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm.facts import KvmError
from kdash.panes.vcpu_session import Session
from kdash.widgets.pane import CommandError

if TYPE_CHECKING:
    from kdash.backends.kvm.conditions import Condition
    from kdash.panes.vcpu import VcpuPane
    from kdash.panes.vcpu_words import Print

SIGN: Final = 1 << 63
PRINTABLE: Final = range(0x20, 0x7F)


def show(pane: VcpuPane, command: Print) -> None:
    """Answer with the value; it may have to wait for the VCPU's thread.

    Raises:
        CommandError: The expression means nothing.
    """
    from kdash.backends.kvm.condition_words import ConditionError
    from kdash.backends.kvm.conditions import parse

    session = pane.session
    try:
        expression = parse(command.expression, session.symbols.address)
    except ConditionError as error:
        raise CommandError(f"print: {str(error).removeprefix('condition ')}") from None
    pane.run_worker(_answer(pane, session, expression, command.form), group="print")


async def _answer(pane: VcpuPane, session: Session, expression: Condition, form: str) -> None:
    from kdash.backends.kvm.conditions import CannotEvaluate
    from kdash.backends.kvm.moments import Moment

    moment = Moment(session.snapshot().registers, session.read_memory)
    try:
        value = await asyncio.to_thread(expression.evaluate, moment)
    except (CannotEvaluate, KvmError, TimeoutError) as error:
        text = f"print: {expression.text}: {str(error) or 'the guest is busy'}"
        pane.post_message(pane.Answered(pane, text, failed=True))
        return
    shown = f"{expression.text} = {value_text(value, form)}"
    if not form and (near := session.symbols.nearest(value)):
        shown += f"  <{near}>"
    pane.post_message(pane.Answered(pane, shown))


def value_text(value: int, form: str = "") -> str:
    """An unsigned number of 64 bits in a form: x, d, u, t, c; hexadecimal and decimal without."""
    signed = value - (1 << 64) if value & SIGN else value
    match form:
        case "x":
            return f"{value:#x}"
        case "d":
            return f"{signed:,}"
        case "u":
            return f"{value:,}"
        case "t":
            return f"{value:#b}"
        case "c":
            return f"{value & 0xFF} {chr(value & 0xFF)!r}"
    character = f"  {chr(value)!r}" if value in PRINTABLE else ""
    negative = f"  {signed:,}" if signed < 0 else ""
    return f"{value:#x}  {value:,}{negative}{character}"
