"""Lines typed at the prompts, from one start to the next."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.panes.kept_state import state_file
from kdash.panes.prompt_history import FILE, MOST, PromptHistory


@pytest.fixture(autouse=True, scope="module")
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


def test_two_dashboards_lose_nothing_of_each_other() -> None:
    one, other = PromptHistory(), PromptHistory()
    one.of("vcpu"), other.of("vcpu")
    one.add("vcpu", "step 1")
    other.add("vcpu", "step 2")
    one.add("stack", "watch")
    kept = PromptHistory()
    assert kept.of("vcpu")[-2:] == ["step 1", "step 2"]
    assert kept.of("stack")[-1:] == ["watch"]
    assert stat.S_IMODE(state_file(FILE).stat().st_mode) == 0o600


def test_a_line_typed_again_and_all_beyond_the_newest_are_not_kept() -> None:
    history = PromptHistory()
    for number in range(MOST + 5):
        history.add("entropy", f"zoom {number}s")
        history.add("entropy", f"zoom {number}s")
    assert PromptHistory().of("entropy") == [f"zoom {number}s" for number in range(5, MOST + 5)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_whatever_the_file_holds_only_lines_come_of_it(data: object) -> None:
    state_file(FILE).parent.mkdir(parents=True, exist_ok=True)
    state_file(FILE).write_text(json.dumps(data))
    assert all(line.isprintable() for line in PromptHistory().of("vcpu"))
    state_file(FILE).write_text(json.dumps({"vcpu": ["ok", "\x1b[2J", 3, "", "x" * 9999]}))
    assert PromptHistory().of("vcpu") == ["ok"]
