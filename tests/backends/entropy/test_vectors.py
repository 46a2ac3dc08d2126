import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.replay import Bench, replay
from kdash.backends.entropy.vectors import OPERATIONS, POOLS, Case, VectorError, load_vectors

VECTORS = Path(__file__).parent / "vectors.json"
CASES = load_vectors(VECTORS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_model_matches_the_kernel_in_every_field(case: Case) -> None:
    assert replay(case) is None


def test_the_vectors_hold_all_their_operations() -> None:
    assert (len(CASES), sum(len(case.ops) for case in CASES)) == (19, 2048)


def counters(ret: int) -> dict[str, Any]:
    """What is expected after 64 bits were credited to the input pool."""
    pools = {"input": [384, 64, 0, 0, 0, 0], **{name: [0] * 6 for name in POOLS[1:]}}
    counts = dict.fromkeys(("blocked", "fips_panics", "xfers", "pushes", "queued"), 0)
    return {"ret": ret, **pools, "wakeups": [0, 0, 0], **counts}


def document() -> Any:
    return {
        "cases": [
            {
                "id": "X1",
                "ops": [{"op": "credit", "pool": "input", "bits": 64}, {"op": "poll"}],
                "expect": [counters(ret=0), counters(ret=260)],
                "final_pools": {"input": "0" * 1024, **dict.fromkeys(POOLS[1:], "0" * 256)},
            }
        ]
    }


def load(tmp_path: Path, found: Any) -> tuple[Case, ...]:
    path = tmp_path / "vectors.json"
    path.write_text(found if isinstance(found, str) else json.dumps(found), encoding="utf-8")
    return load_vectors(path)


@pytest.mark.parametrize(
    ("field", "value", "operation"),
    [("input", [383, 64, 0, 0, 0, 0], 0), ("ret", 256, 1), ("blocked", 1, 1)],
)
def test_a_wrong_field_is_named_with_its_operation(
    tmp_path: Path, field: str, value: object, operation: int
) -> None:
    found = document()
    found["cases"][0]["expect"][operation][field] = value
    mismatch = replay(load(tmp_path, found)[0])
    assert mismatch is not None
    assert (mismatch.id, mismatch.operation, mismatch.field) == ("X1", operation, field)
    assert mismatch.expected == value != mismatch.got


def test_a_wrong_final_word_is_named_with_its_pool(tmp_path: Path) -> None:
    found = document()
    found["cases"][0]["final_pools"]["blocking"] = "0" * 255 + "1"
    mismatch = replay(load(tmp_path, found)[0])
    assert mismatch is not None
    assert (mismatch.operation, mismatch.field) == (1, "final_pools.blocking")


def broken(*path: Any, value: object) -> Any:
    found = copy.deepcopy(document())
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("", "line 1, column 1: not JSON"),
        ('{"cases": [', "line 1, column 12: not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", 'list of "cases"'),
        ({"cases": []}, '"cases" is an empty list, nothing to replay'),
        ({"cases": [7]}, "case number 0: expected an object"),
        ({"cases": [{"id": 7}]}, 'case number 0: "id"'),
        (broken("cases", 0, "ops", value={}), 'case X1: "ops"'),
        (broken("cases", 0, "expect", value=[]), '2 "ops" but 0 "expect"'),
        (
            broken("cases", 0, "ops", 1, value={"op": "stir"}),
            "operation 1: unknown operation 'stir'",
        ),
        (broken("cases", 0, "ops", 1, value={"op": ["poll"]}), "operation 1: unknown operation"),
        (broken("cases", 0, "ops", 0, "pool", value="urandom"), 'operation 0 (credit): "pool"'),
        (broken("cases", 0, "ops", 0, "bits", value=1 << 40), '"bits" can\'t be 1099511627776'),
        (broken("cases", 0, "ops", 0, "bits", value="9" * 99), "\"bits\" can't be '999"),
        (broken("cases", 0, "ops", 0, "bits", value=True), '"bits" can\'t be True'),
        (broken("cases", 0, "ops", 0, value={"op": "mix", "pool": "input"}), '"hex" is missing'),
        (broken("cases", 0, "ops", 0, value={"op": "sha", "hex": "00"}), "\"hex\" can't be '00'"),
        (broken("cases", 0, "ops", 0, value={"op": "poll", "x": 1}), 'takes no "x"'),
        (broken("cases", 0, "ops", 0, value={"op": "read_wakeup", "value": 0}), '"value"'),
        (broken("cases", 0, "expect", 1, "colour", value=1), 'nothing called "colour"'),
        (broken("cases", 0, "final_pools", value={"pool": ""}), '"final_pools"'),
        (broken("cases", 0, "final_pools", value={}), '"final_pools"'),
        (broken("cases", 0, "final_pools", value=None), '"final_pools"'),
        (broken("cases", 0, "expect", 1, value={}), '"blocked" must be expected'),
    ],
)
def test_a_malformed_file_is_refused_with_the_place(tmp_path: Path, found: Any, said: str) -> None:
    with pytest.raises(VectorError) as caught:
        load(tmp_path, found)
    assert said in str(caught.value)


def test_a_file_that_is_not_text_is_refused_with_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "vectors.json"
    path.write_bytes(b'{"cases": "\xff"}')
    with pytest.raises(VectorError, match="byte 11"):
        load_vectors(path)


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(VectorError, match="more than 64 MiB"):
        load_vectors(Path("/dev/zero"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["cases", "id", "ops", "op", "expect", "pool"]), inner)
    ),
    max_leaves=12,
)


@given(found=JSON)
def test_any_json_is_vectors_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, found: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    try:
        cases = load_vectors(path)
    except VectorError:
        return
    for case in cases:
        replay(case)


BYTES = st.binary(max_size=40).map(bytes.hex)
NUMBERS = st.sampled_from([0, 1, 2, 64, 129, 900, -1, 0x7FFFFFFF, -0x80000000, (1 << 64) - 1])
SMALL = st.integers(0, 80)  # bytes asked for


def arguments_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Operations of this name that the format allows."""
    known = {
        "pool": st.sampled_from(POOLS),
        "hex": BYTES,
        "values": st.lists(st.integers(0, (1 << 64) - 1), max_size=3),
        "nbytes": SMALL,
    }
    fields = {
        field: known.get(field, NUMBERS | SMALL).filter(check)
        for field, check in OPERATIONS[name].items()
    }
    if name == "sha":
        fields = {"hex": st.just("00" * 64)}
    elif name in ("read_wakeup", "write_wakeup"):
        fields = {"value": st.integers(8, 1024)}
    return st.fixed_dictionaries({"op": st.just(name), **fields})


@given(st.lists(st.sampled_from(sorted(OPERATIONS)).flatmap(arguments_of), max_size=25))
def test_every_allowed_sequence_of_operations_runs(operations: list[dict[str, Any]]) -> None:
    bench = Bench()
    for operation in operations:
        got = bench.run(operation)
        assert got
        for pool in bench.generator.pools:
            assert 0 <= pool.entropy_count <= pool.geometry.frac
