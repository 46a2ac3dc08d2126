from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy import facts as entropy
from kdash.backends.kvm import facts as kvm
from tests.recordings.codec import from_json, to_json


@given(st.builds(kvm.Exit, detail=st.builds(kvm.IoExit) | st.builds(kvm.MmioExit)))
def test_an_exit_comes_back_as_it_was(fact: kvm.Exit) -> None:
    assert from_json(to_json(fact), kvm) == fact


@given(st.builds(kvm.Snapshot, exits=st.just(())))
def test_a_snapshot_comes_back_as_it_was(fact: kvm.Snapshot) -> None:
    assert from_json(to_json(fact), kvm) == fact


@given(st.builds(entropy.Reading))
def test_a_reading_comes_back_as_it_was(fact: entropy.Reading) -> None:
    assert from_json(to_json(fact), entropy) == fact
