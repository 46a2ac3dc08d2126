"""Reports and requests through the pipe and back."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack.facts import (
    CheckOptions,
    FileReport,
    Finding,
    Level,
    Line,
    PathStep,
    Related,
    SourceLine,
)
from kdash.backends.stack.wire import (
    WireError,
    decode,
    decode_request,
    encode,
    encode_request,
)

# Any text, with control characters, and bytes that are no UTF-8 as surrogateescape has them.
_NAMES = st.text(max_size=8) | st.binary(max_size=8).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
_NUMBERS = st.integers(0, 1 << 64)
_FINDINGS = st.builds(
    Finding,
    file=_NAMES,
    section=_NAMES,
    function=_NAMES,
    offset=_NUMBERS,
    address=_NUMBERS,
    kind=_NAMES,
    level=st.sampled_from(Level),
    message=_NAMES,
    expected=_NAMES,
    found=_NAMES,
    callee=_NAMES,
    source=st.none() | st.builds(SourceLine, _NAMES, _NUMBERS),
    cause=_NAMES,
    path=st.lists(st.builds(PathStep, _NUMBERS, _NAMES, _NAMES, _NAMES), max_size=3).map(tuple),
    related=st.lists(st.builds(Related, _NAMES, _NUMBERS), max_size=3).map(tuple),
    origin=_NAMES,
    disassembly=st.lists(
        st.builds(
            Line,
            _NUMBERS,
            st.binary(max_size=15),
            _NAMES,
            st.booleans(),
            _NAMES,
            _NAMES,
            st.none() | st.builds(SourceLine, _NAMES, _NUMBERS),
        ),
        max_size=3,
    ).map(tuple),
)
_REPORTS = st.builds(
    FileReport,
    file=_NAMES,
    findings=st.lists(_FINDINGS, max_size=3).map(tuple),
    error=_NAMES,
    frame_pointer=st.booleans(),
    frame_pointer_reason=_NAMES,
    functions=_NUMBERS,
    instructions=_NUMBERS,
    seconds=st.floats(0, 1e6),
    sample=st.booleans(),
)


@given(_REPORTS)
def test_a_report_comes_back_as_it_was(report: FileReport) -> None:
    line = encode(report)
    assert line.isascii()
    assert "\n" not in line
    assert decode(line) == report


@given(_NAMES, st.lists(_NAMES, max_size=3), st.booleans())
def test_a_request_comes_back_as_it_was(path: str, names: list[str], sample: bool) -> None:
    options = CheckOptions("on", tuple(names), (("decode", "off"),))
    line = encode_request(path, options, sample=sample)
    assert decode_request(line) == (path, options, sample)


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"findings": 3}', "null", "Traceback"])
def test_a_line_that_no_worker_wrote_is_refused(line: str) -> None:
    with pytest.raises(WireError):
        decode(line)
    with pytest.raises(WireError):
        decode_request(line)


def test_what_the_app_imports_needs_the_standard_library_alone() -> None:
    code = (
        "import sys, kdash.backends.stack.wire, kdash.backends.stack.service\n"
        "heavy = {'numpy', 'iced_x86', 'elftools', 'textual'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
