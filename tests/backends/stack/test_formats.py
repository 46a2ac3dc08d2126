"""The output of `kdash stack check`: text, JSON lines, summary."""

from __future__ import annotations

import json

from kdash.backends.stack.facts import (
    FileReport,
    Finding,
    Level,
    PathStep,
    Related,
    SourceLine,
)
from kdash.backends.stack.formats import Summary, json_line, text_line
from kdash.backends.stack.printable import printable

FULL = Finding(
    "drivers/x.o",
    ".text",
    "x_probe",
    29,
    0x4D,
    "call-without-frame",
    Level.ERROR,
    "call without frame pointer save/setup",
    "CFA is rbp+16, rbp saved at CFA-16",
    "CFA is rsp+8",
    "kmalloc",
    SourceLine("drivers/x.c", 120),
    "5f1c",
    (PathStep(0, "push rbx", "fallthrough"), PathStep(4, "nop", "alternative", "X86_FEATURE_SMAP")),
    (Related("unreachable", 40),),
)
BARE = Finding(
    "a.o", ".text", "", 2, 2, "return-outside", Level.WARNING, "return outside", cause="1"
)


def test_a_text_line_starts_with_the_source_line() -> None:
    assert text_line(FULL) == (
        "drivers/x.c:120: x_probe+0x1d: error: call-without-frame:"
        " call without frame pointer save/setup [drivers/x.o]"
    )


def test_a_text_line_without_source_starts_with_the_object() -> None:
    assert text_line(BARE) == "a.o: .text+0x2: warning: return-outside: return outside"


def test_control_characters_are_escaped_in_text() -> None:
    name = "f\x1b]0;x\x07\n\udcff"
    finding = Finding("a.o", ".text", name, 0, 0, "decode", Level.ERROR, "m")
    assert text_line(finding) == "a.o: f\\x1b]0;x\\x07\\x0a\\xff+0x0: error: decode: m"
    assert printable("Größe \u202e") == "Größe \\u202e"


def test_a_json_line_has_the_keys_of_the_interface() -> None:
    assert json.loads(json_line(FULL)) == {
        "file": "drivers/x.o",
        "section": ".text",
        "function": "x_probe",
        "offset": 29,
        "address": "0x4d",
        "kind": "call-without-frame",
        "level": "error",
        "message": "call without frame pointer save/setup",
        "expected": "CFA is rbp+16, rbp saved at CFA-16",
        "found": "CFA is rsp+8",
        "source": {"file": "drivers/x.c", "line": 120},
        "callee": "kmalloc",
        "cause": "5f1c",
        "path": [
            {"offset": 0, "text": "push rbx", "edge": "fallthrough"},
            {
                "offset": 4,
                "text": "nop",
                "edge": "alternative",
                "feature": "X86_FEATURE_SMAP",
            },
        ],
        "related": [{"kind": "unreachable", "offset": 40}],
        "origin": "kdash",
    }


def test_unknown_keys_are_absent_in_json() -> None:
    assert list(json.loads(json_line(BARE))) == [
        *("file", "section", "offset", "address", "kind", "level", "message", "cause", "origin")
    ]


def test_the_summary_counts_files_kinds_and_errors() -> None:
    summary = Summary()
    summary.add(FileReport("drivers/x.o", (FULL, FULL)))
    summary.add(FileReport("a.o", (BARE,)))
    summary.add(FileReport("b.o", error="empty file"))
    assert summary.errors == 2
    assert json.loads(summary.json_line(0.25)) == {
        "summary": {
            "files": 3,
            "unreadable": 1,
            "findings": {"call-without-frame": 2, "return-outside": 1},
            "seconds": 0.25,
        }
    }
    assert summary.text(0.25).splitlines() == [
        "3 files, 1 unreadable, 3 findings, 0.2 s",
        "       2 call-without-frame",
        "       1 return-outside",
    ]
