"""Rules explained as text and JSON: `kdash stack explain KIND`. Only the standard library."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace

from kdash.backends.stack.facts import MITIGATIONS, Rule
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
    parts += ["", _paragraph(f"{_applies(kind)} Another level: --rule {kind}=warning or =off.")]
    return "\n".join(parts)


def rules_with_examples() -> dict[str, Rule]:
    """All rules, each with an example that breaks it and one that does not."""
    return {
        kind: replace(rule, bad=BAD_AND_GOOD[kind][0], good=BAD_AND_GOOD[kind][1])
        for kind, rule in RULES.items()
    }


def rule_as_json(kind: str) -> str:
    """The same as one JSON object."""
    rule = RULES[kind]
    bad, good = BAD_AND_GOOD[kind]
    return json.dumps(
        {
            "kind": kind,
            "level": rule.level.value,
            "message": rule.message,
            "protects": rule.protects,
            "respond": rule.respond,
            "bad": bad,
            "good": good,
            "applies": _applies(kind),
        }
    )


def list_rules() -> str:
    """A line a rule: kind, default level, message."""
    width = max(map(len, RULES))
    return "\n".join(
        f"{kind:{width}}  {rule.level.value:7}  {rule.message}" for kind, rule in RULES.items()
    )


def _applies(kind: str) -> str:
    """When the validator looks for it."""
    if kind in MITIGATIONS or kind == "uaccess":
        return f"Looked for with --{kind}."
    if kind in ("call-without-frame", "bp-scratch"):
        return "Looked for where the frame pointer rules are on (--frame-pointer)."
    return "Always looked for."


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")
