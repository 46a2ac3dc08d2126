"""Rules explained as text: `kdash stack explain KIND`. Only the standard library."""

from __future__ import annotations

import textwrap

from kdash.backends.stack.rule_examples import BAD_AND_GOOD
from kdash.backends.stack.rules import RULES

_WIDTH = 79


def explain_rule(kind: str) -> str:
    """What a rule says, protects and asks for, with a bad and a good example."""
    rule = RULES[kind]
    bad, good = BAD_AND_GOOD[kind]
    parts = [
        f"{rule.kind} ({rule.level.value})",
        f"  {rule.message}",
        "",
        "Protects:",
        _paragraph(rule.protects),
        "",
        "Respond:",
        _paragraph(rule.respond),
        "",
        "Bad:",
        textwrap.indent(bad, "  "),
        "",
        "Good:",
        textwrap.indent(good, "  "),
    ]
    return "\n".join(parts)


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")
