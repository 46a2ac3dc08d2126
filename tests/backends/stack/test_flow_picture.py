"""The control flow around a finding: blocks, edges, and the way that offends."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdash.backends.stack import flow as flow_module
from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, Finding, Flow, ObjectError
from kdash.backends.stack.flow import flow_around
from kdash.backends.stack.flow_wire import decode_flow, encode_error, encode_flow
from kdash.backends.stack.object_files import sample_paths
from kdash.backends.stack.service import flow_around as flow_by_worker
from kdash.backends.stack.wire import WireError
from tests.backends.stack.conftest import Assemble

OPTIONS = CheckOptions()


def sample(name: str, kind: str) -> Finding:
    path = next(path for path in sample_paths() if path.endswith(f"/{name}.o"))
    return next(one for one in Checker(OPTIONS).check(path).findings if one.kind == kind)


def flow_of(finding: Finding) -> Flow:
    return flow_around(finding.file, OPTIONS, finding.section, finding.address, finding.kind)


def edges(flow: Flow) -> set[tuple[str, str, str]]:
    labels = [block.label for block in flow.blocks]
    return {(labels[one.source], labels[one.target], one.kind) for one in flow.edges}


def test_a_mismatch_shows_the_way_that_brought_the_other_state() -> None:
    flow = flow_of(sample("checksum_alt", "state-mismatch"))
    assert flow.function == "checksum_block"
    assert edges(flow) == {
        ("+0x0", "+0xe", "next"),
        ("+0x0", ".altinstr_replacement+0x0", "alternative"),
        (".altinstr_replacement+0x0", "+0xe", "alternative"),
    }
    (offending,) = [one for one in flow.edges if one.offending]
    assert flow.blocks[offending.source].label == ".altinstr_replacement+0x0"
    assert [one.feature for one in flow.edges if one.feature] == ["X86_FEATURE_ERMS"]
    assert [one.leaves for one in flow.blocks] == ["", "returns", ""]
    assert [line.text for block in flow.blocks for line in block.lines if line.site] == [
        "add rax, rdx"
    ]


def test_switch_tables_and_cold_parts_belong_to_the_picture_and_padding_does_not() -> None:
    flow = flow_of(sample("ring_ioctl", "return-modified"))
    labels = [block.label for block in flow.blocks]
    assert "ring_ioctl.cold" in labels
    assert ("ring_ioctl.cold", "+0x25", "branch") in edges(flow)
    switched = [one for one in edges(flow) if one[2] == "jump-table"]
    assert len(switched) == 6
    assert all(block.lines[0].state for block in flow.blocks)
    assert any(one.on_path for one in flow.edges)


def test_a_function_that_runs_into_the_next_one_says_so() -> None:
    flow = flow_of(sample("journal", "fallthrough"))
    assert flow.blocks[-1].leaves.startswith("runs on into journal_")


@pytest.mark.gcc
def test_loops_calls_away_and_ends_are_told(assemble: Assemble) -> None:
    path = assemble("""
        .type f, @function
    f:  push %rbx
    1:  dec %edi
        jnz 1b
        test %esi, %esi
        jz other
        test %edx, %edx
        jz 2f
        ud2
    2:  ret
        .size f, . - f
    """)
    finding = next(one for one in Checker(OPTIONS).check(str(path)).findings)
    flow = flow_of(finding)
    assert ("+0x1", "+0x1", "branch") in edges(flow)
    assert "may go to other()" in [block.leaves for block in flow.blocks]
    assert "ends here: never goes on" in [block.leaves for block in flow.blocks]


def test_of_a_function_of_too_many_blocks_those_around_the_site_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finding = sample("ring_ioctl", "return-modified")
    whole = flow_of(finding)
    monkeypatch.setattr(flow_module, "_MOST", 3)
    part = flow_of(finding)
    assert len(part.blocks) == 3
    assert part.cut == len(whole.blocks) - 3
    assert any(line.site for block in part.blocks for line in block.lines)


def test_code_outside_of_functions_is_drawn_around_the_finding() -> None:
    flow = flow_of(sample("copy_words", "return-outside"))
    assert flow.function == ".text"
    assert any(line.site for block in flow.blocks for line in block.lines)


def test_every_finding_of_the_samples_has_a_flow_with_its_site() -> None:
    for path in sample_paths():
        for finding in Checker(OPTIONS).check(path).findings:
            flow = flow_of(finding)
            lines = [line for block in flow.blocks for line in block.lines]
            assert sum(line.site for line in lines) == 1, finding
            for edge in flow.edges:
                assert 0 <= edge.line < len(flow.blocks[edge.source].lines)
                assert edge.target < len(flow.blocks)


def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    finding = sample("journal", "fallthrough")
    with pytest.raises(ObjectError, match="changed meanwhile"):
        flow_around(finding.file, OPTIONS, ".text", 1 << 20, "decode")
    with pytest.raises(ObjectError, match="no code at"):
        flow_around(finding.file, OPTIONS, ".nowhere", 0, "decode")
    with pytest.raises(ObjectError, match="no such file"):
        flow_around(str(tmp_path / "gone.o"), OPTIONS, ".text", 0, "decode")


def test_a_flow_survives_the_pipe() -> None:
    flow = flow_of(sample("checksum_alt", "state-mismatch"))
    assert decode_flow(encode_flow(flow)) == flow
    with pytest.raises(ObjectError, match="gone"):
        decode_flow(encode_error("gone"))
    with pytest.raises(WireError):
        decode_flow("[1]")


async def test_a_worker_tells_the_same() -> None:
    finding = sample("checksum_alt", "state-mismatch")
    assert await flow_by_worker(finding, OPTIONS) == flow_of(finding)
