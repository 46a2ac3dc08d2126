"""The catalogue of rules, its explanations, and what the doctor is told."""

from __future__ import annotations

import pytest

from kdash.backends.stack.probe import probe_stack
from kdash.backends.stack.rule_examples import BAD_AND_GOOD
from kdash.backends.stack.rule_text import explain_rule
from kdash.backends.stack.rules import RULES


def test_every_rule_has_a_bad_and_a_good_example() -> None:
    assert set(BAD_AND_GOOD) == set(RULES)
    assert all(bad and good and bad != good for bad, good in BAD_AND_GOOD.values())


@pytest.mark.parametrize("kind", sorted(RULES))
def test_an_explanation_holds_all_a_rule_says(kind: str) -> None:
    text = explain_rule(kind)
    words = " ".join(text.split())
    assert RULES[kind].message in words
    assert " ".join(RULES[kind].protects.split()) in words
    assert " ".join(RULES[kind].respond.split()) in words
    assert max(map(len, text.splitlines())) <= 100


def test_the_doctor_is_told_that_decoder_and_readers_work() -> None:
    probes = {probe.name: probe for probe in probe_stack()}
    assert probes["x86 decoder"].verdict == "ok"
    assert probes["ELF and DWARF reader"].verdict == "ok"
    assert "source line" in probes["ELF and DWARF reader"].detail


def test_a_missing_compiler_is_a_warning_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    probe = probe_stack()[-1]
    assert (probe.name, probe.verdict) == ("gcc", "warning")
    assert probe.remedy
