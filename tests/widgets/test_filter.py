"""The filter language of the lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.widgets.filter import parse, predicate, search_text, select, unknown_fields

KNOWN = ("kind", "file", "function")
ROW = {"kind": "unreachable", "file": "drivers/KVM.o", "function": "mutex_lock"}


def passes(text: str) -> bool:
    return predicate(text, KNOWN)(ROW)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "kvm", "KVM", "reach lock", "kind:unreach", "!kind:return", "mutex_.*ck", "^mutex",
     "lock$", "kind:^unreachable$", "file:kvm|xen", "!", "kind:", "!kind:", "function:mutex kvm",
     "K[V]M", r"\x4bvm", r"drivers\SKVM\Wo", "(?P<Name>MUTEX)_", "[A-Z]utex", r"MUTEX\B"],
)  # fmt: skip
def test_a_row_passes(text: str) -> None:
    assert passes(text)


@pytest.mark.parametrize(
    "text",
    ["xen", "kind:kvm", "!kvm", "reach xen", "^lock", "kind:return", "!file:drivers", "nosuch:kvm",
     "unreachable.*mutex"],
)  # fmt: skip
def test_a_row_does_not_pass(text: str) -> None:
    assert not passes(text)


def test_an_expression_that_is_not_valid_is_plain_text() -> None:
    assert predicate("f(", ("name",))({"name": "f(x"})
    assert not predicate("f(", ("name",))({"name": "fx"})


def test_a_prefix_that_is_no_field_belongs_to_the_text() -> None:
    assert predicate("std::sort", ("name",))({"name": "std::sort"})


def test_a_newline_in_one_field_leaves_the_others_in_place() -> None:
    row = {"a": "one\ntwo", "b": "three"}
    assert predicate("b:^three$", row)(row)
    assert predicate("a:^one.two$", row)(row)


def test_half_typed_words_hide_nothing() -> None:
    assert parse("! kind: !file:", KNOWN) == ()


@given(st.text(max_size=40))
def test_any_text_is_a_filter(text: str) -> None:
    predicate(text, KNOWN)(ROW)


@given(st.text(alphabet="[](){}|*+?\\^$.!:-az09 kindfile<>=#", max_size=30))
def test_any_expression_is_a_filter(text: str) -> None:
    predicate(text, KNOWN)(ROW)


@given(
    st.lists(st.fixed_dictionaries({"kind": st.text("ab\n", max_size=4), "file": st.text("aB.")})),
    st.sampled_from(["a", "kind:b", "file:b", "kind:a.", "^a$", "a b"]),
)
def test_every_row_passes_a_filter_or_its_inverse(rows: list[dict[str, str]], word: str) -> None:
    names, texts, every = ("kind", "file"), [search_text(row) for row in rows], range(len(rows))
    first = word.split(maxsplit=1)[0]
    found = select(parse(first, names), names, texts, every)
    missed = select(parse(f"!{first}", names), names, texts, every)
    assert sorted(found + missed) == list(every)


def test_a_word_before_a_colon_that_is_no_field_is_told() -> None:
    terms = parse("vcpu:1 !kin:x kind:un VCPU:2", KNOWN)
    assert unknown_fields(terms, (search_text(ROW),)) == ("vcpu", "kin")


def test_text_with_a_colon_that_occurs_in_a_row_is_meant_as_text() -> None:
    texts = (search_text({"name": "rcu: stall"}),)
    assert unknown_fields(parse("rcu:", ("name",)), texts) == ()
    assert unknown_fields(parse("std::sort 12:30 f.c:7", ("name",)), texts) == ()


@pytest.mark.parametrize(
    ("typed", "step", "port"),
    [
        ("step:5", "5", ""),
        ("step:0x10", "16", ""),
        ("port:0x3f8", "1", "0x3f8"),
        ("port:3F8", "1", "0x3f8"),
        ("port:1016", "1", "0x3f8"),
        ("port:0x03f8", "1", "0x3f8"),
        ("port:60", "1", "0x60"),
        ("step:^79", "79625", ""),
    ],
)
def test_a_field_that_is_a_number_is_found_however_it_is_typed(
    typed: str, step: str, port: str
) -> None:
    terms = parse(typed, ("step", "port"), ("step", "port"))
    text = search_text({"step": step, "port": port})
    assert select(terms, ("step", "port"), [text], [0]) == [0]


@pytest.mark.parametrize("typed", ["step:5", "step:7962", "port:0x3f", "port:3f8f", "port:f8"])
def test_a_part_of_a_number_is_another_number(typed: str) -> None:
    terms = parse(typed, ("step", "port"), ("step", "port"))
    text = search_text({"step": "79625", "port": "0x3f8"})
    assert select(terms, ("step", "port"), [text], [0]) == []
