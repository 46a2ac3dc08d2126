"""In which line each value of a TOML document stands."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.toml_lines import value_lines

DOCUMENT = '''\
# stack = 1
top = "stack"

[stack]
"noreturn" = [
    "a",  # watch = 2
    "b",
]
watch = 1

[ stack . "rules" ]
decode = "off"
[keys]
vcpu.step = "f8"
"vcpu.until" = """
watch = 3
"""
'app'.zoom = 'z'
inline = { one = 1, two.three = 3 }
[[many]]
name = 1
[[many]]
name = 2
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("top",), 2),
        (("stack",), 4),
        (("stack", "noreturn"), 5),
        (("stack", "watch"), 9),
        (("stack", "rules"), 11),
        (("stack", "rules", "decode"), 12),
        (("keys", "vcpu"), 14),
        (("keys", "vcpu", "step"), 14),
        (("keys", "vcpu.until"), 15),
        (("keys", "app", "zoom"), 18),
        (("keys", "inline", "two", "three"), 19),
        (("many",), 20),
        (("many", "name"), 21),
    ],
)
def test_a_value_stands_where_its_statement_begins(key: tuple[str, ...], line: int) -> None:
    for text in (DOCUMENT, DOCUMENT.replace("\n", "\r\n")):
        assert value_lines(text)[key] == line


KEYS = st.sampled_from(["a", "'a b'", '"a.b"', "b.c", '"\\u0061x"', "d.'e'.f"])
VALUES = st.sampled_from(
    ["1", "'x'", '"""\n[a]\nq = 1\n"""', "[\n1,\n# ]\n2 ]", "{ k = 1, l.m = [ 2 ] }", "'''\n\n'''"]
)
LINES = st.one_of(
    st.builds("{} = {}".format, KEYS, VALUES),
    st.builds("[{}]".format, KEYS),
    st.builds("[[{}]]".format, KEYS),
    st.sampled_from(["", "# [a]", "  "]),
)


@given(st.lists(LINES, max_size=8))
def test_every_value_of_any_document_has_a_line(statements: list[str]) -> None:
    text = "\n".join(statements)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = value_lines(text)
    assert {key[0] for key in lines} == set(data)
    starts = {
        sum(one.count("\n") + 1 for one in statements[:n]) + 1 for n in range(len(statements))
    }
    assert set(lines.values()) <= starts
