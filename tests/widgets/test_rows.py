"""Rows with a filter and an order, against the plain way of doing it."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kdash.widgets.filter import predicate
from kdash.widgets.rows import Rows, SortKey

Row = tuple[str, str]
NAMES = ("kind", "file")
ROWS = st.lists(st.tuples(st.text("abAB", max_size=3), st.text("ab.\n", max_size=3)), max_size=6)
FILTERS = st.sampled_from(
    [
        "",
        "a",
        "ab",
        "aba",
        "kind:a",
        "kind:ab",
        "!a",
        "!kind:b",
        "a b",
        "a.b",
        "^a",
        "file:a a",
        "(",
    ]
)


def fields(row: Row) -> dict[str, str]:
    return dict(zip(NAMES, row, strict=True))


def by_kind(row: Row) -> str:
    return row[0]


def by_file(row: Row) -> str:
    return row[1]


class RowsMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, the rows shown are the ones a plain list would show."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: Rows[Row] = Rows(fields, ())
        self.held: list[Row] = []
        self.text = ""
        self.key: SortKey[Row] | None = None
        self.reverse = False

    @rule(rows=ROWS)
    def extend(self, rows: list[Row]) -> None:
        self.rows.extend(rows)
        self.held += rows

    @rule(rows=ROWS)
    def replace(self, rows: list[Row]) -> None:
        self.rows.replace(rows)
        self.held = list(rows)

    @rule(text=FILTERS)
    def filter(self, text: str) -> None:
        self.rows.filter(text)
        self.text = text

    @rule(key=st.sampled_from([None, by_kind, by_file]), reverse=st.booleans())
    def sort(self, key: SortKey[Row] | None, reverse: bool) -> None:
        self.rows.sort(key, reverse=reverse)
        self.key, self.reverse = key, reverse

    @rule(data=st.data())
    def exchange(self, data: st.DataObject) -> None:
        places = st.integers(0, max(0, len(self.held) - 1))
        rows = data.draw(st.dictionaries(places, ROWS.filter(bool).map(lambda rows: rows[0])))
        if self.held:
            self.rows.exchange(rows)
            for place, row in rows.items():
                self.held[place] = row

    @rule(count=st.integers(0, 3))
    def index(self, count: int) -> None:
        self.rows.index_some(count)

    @invariant()
    def shows_what_a_plain_list_would(self) -> None:
        passes = predicate(self.text, NAMES)
        expected = [row for row in self.held if passes(fields(row))]
        if self.key is not None:
            expected.sort(key=self.key, reverse=self.reverse)
        elif self.reverse:
            expected.reverse()
        assert [self.rows.held[place] for place in self.rows.shown] == expected


TestRows = RowsMachine.TestCase


@given(ROWS)
def test_the_names_of_the_fields_come_from_the_first_row(rows: list[Row]) -> None:
    model: Rows[Row] = Rows(fields, ("other",))
    model.extend(rows)
    assert model.names == (NAMES if rows else ("other",))
