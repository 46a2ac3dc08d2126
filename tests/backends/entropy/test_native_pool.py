"""The native extraction path of the contention laboratory, held to the vectors of the model."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy import devices, events, extract, generator, replay
from kdash.backends.entropy._native import ffi, lib
from kdash.backends.entropy.pool import INPUT_GEOMETRY, OUTPUT_GEOMETRY, Pool, mix_pool_bytes
from kdash.backends.entropy.sha1 import INITIAL_STATE, State, sha_transform
from kdash.backends.entropy.vectors import Case, load_vectors

CASES = load_vectors(Path(__file__).parent / "vectors.json")


def native(pool: Pool) -> Any:
    made = ffi.new("struct kdash_pool *")
    made.size = len(pool.words)
    for index, word in enumerate(pool.words):
        made.words[index] = word
    made.add_ptr, made.input_rotate = pool.add_ptr, pool.input_rotate
    return made


def taken_back(made: Any, pool: Pool) -> None:
    pool.words[:] = [made.words[index] for index in range(made.size)]
    pool.add_ptr, pool.input_rotate = made.add_ptr, made.input_rotate


def native_mix(pool: Pool, data: bytes) -> None:
    made = native(pool)
    lib.kdash_mix_pool(made, data, len(data))
    taken_back(made, pool)


def native_extract(pool: Pool, arch_random: deque[int]) -> bytes:
    made = native(pool)
    hashed = ffi.new("uint32_t[5]", list(extract._initial_hash(arch_random)))
    lib.kdash_hash_pool(made, hashed)
    taken_back(made, pool)
    out = ffi.new("unsigned char[10]")
    lib.kdash_fold_hash(hashed, out)
    return bytes(out)


def native_sha(state: State, block: Sequence[int]) -> State:
    hashed = ffi.new("uint32_t[5]", list(state))
    little = [int.from_bytes(word.to_bytes(4, "big"), "little") for word in block]
    lib.kdash_sha_transform(hashed, ffi.new("uint32_t[16]", little))
    a, b, c, d, e = hashed
    return a, b, c, d, e


NATIVE = {
    "mix_pool_bytes": native_mix,
    "extract_buf": native_extract,
    "sha_transform": native_sha,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_vectors_pass_on_the_native_path(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, function in NATIVE.items():
        users = [module for module in (devices, events, generator, replay) if hasattr(module, name)]
        assert users
        for module in users:
            monkeypatch.setattr(module, name, function)
    assert replay.replay(case) is None


@given(st.lists(st.integers(0, 2**32 - 1), min_size=16, max_size=16))
def test_a_block_is_compressed_as_the_model_does(words: list[int]) -> None:
    assert native_sha(INITIAL_STATE, words) == sha_transform(INITIAL_STATE, words)


@given(st.sampled_from([INPUT_GEOMETRY, OUTPUT_GEOMETRY]), st.lists(st.binary(max_size=300)))
def test_bytes_are_mixed_as_the_model_does(geometry: Any, pieces: list[bytes]) -> None:
    ours, theirs = (Pool("p", geometry, limit=False) for _ in range(2))
    for piece in pieces:
        native_mix(ours, piece)
        mix_pool_bytes(theirs, piece)
    assert ours == theirs
