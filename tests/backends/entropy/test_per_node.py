"""One nonblocking pool per NUMA node: what the proposal states, and what it leaves alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kdash.backends.entropy import devices
from kdash.backends.entropy.events import add_device_randomness, rand_initialize
from kdash.backends.entropy.generator import Generator, Machine
from kdash.backends.entropy.per_node import MOST_NODES, PerNodeDesign, PerNodeGenerator, Seeding
from kdash.backends.entropy.replay import Bench, replay
from kdash.backends.entropy.vectors import Case, load_vectors

CASES = load_vectors(Path(__file__).parent / "vectors.json")

designs = st.builds(
    PerNodeDesign,
    nodes=st.integers(1, 8),
    seeding=st.sampled_from(Seeding),
    passed_above=st.floats(0.1, 1.0),
    writes_to_all=st.booleans(),
)
credits = st.lists(st.integers(1, 600), min_size=1, max_size=80)


def booted(design: PerNodeDesign) -> PerNodeGenerator:
    """Past boot: node 0's pool is initialised, and every pool is empty."""
    generator = PerNodeGenerator(design)
    rand_initialize(generator)
    generator.credit(generator.nonblocking, 129)
    generator.credit(generator.input, 129)
    generator.run_work()
    for pool in generator.pools:
        pool.entropy_count = 0
    generator.pushes_to.clear()
    return generator


def words(generator: Generator) -> dict[str, tuple[int, ...]]:
    return {pool.name: tuple(pool.words) for pool in generator.pools}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_with_one_node_it_is_the_stock_generator_bit_for_bit(case: Case) -> None:
    bench = Bench(generator=PerNodeGenerator(PerNodeDesign(nodes=1)))
    assert replay(case, bench) is None


@given(designs, credits)
def test_spills_go_round_the_pools_while_none_is_nearly_full(
    design: PerNodeDesign, amounts: list[int]
) -> None:
    generator = booted(design)
    full = False
    for bits in amounts:
        generator.credit(generator.input, bits)
        generator.run_work()
        full |= not all(map(generator.has_room, generator.ring))
        if full:
            break
        pushed = [generator.pushes_to[pool.name] for pool in generator.ring]
        assert max(pushed) - min(pushed) <= 1


@given(designs, st.integers(0, 7), st.integers(1, 100))
def test_a_read_on_a_node_changes_that_nodes_pool_alone(
    design: PerNodeDesign, node: int, nbytes: int
) -> None:
    node %= design.nodes
    generator = booted(design)
    before = words(generator)
    devices.read_urandom(generator, nbytes, node)
    after = words(generator)
    outputs = [pool.name for pool in (generator.blocking, *generator.nonblocking_pools)]
    assert [name for name in outputs if before[name] != after[name]] == [
        generator.nonblocking_pools[node].name
    ]


@given(designs, st.lists(st.tuples(st.integers(0, 7), st.integers(1, 40)), max_size=8))
def test_no_pool_but_node_0s_is_used_before_that_is_initialised(
    design: PerNodeDesign, reads: list[tuple[int, int]]
) -> None:
    generator = PerNodeGenerator(design)
    rand_initialize(generator)
    generator.credit(generator.input, 2000)  # enough to spill
    before = words(generator)
    for node, nbytes in reads:
        devices.read_urandom(generator, nbytes, node % design.nodes)
        generator.credit(generator.input, 40)
    others = [pool.name for pool in generator.nonblocking_pools[1:]]
    if not generator.nonblocking.initialized:
        assert all(before[name] == words(generator)[name] for name in others)


@settings(max_examples=8)
@example(MOST_NODES)
@given(st.integers(2, 12))
def test_seeding_from_node_0_makes_every_pool_differ_at_once(nodes: int) -> None:
    generator = booted(PerNodeDesign(nodes=nodes, seeding=Seeding.NODE_0))
    states = {tuple(pool.words) for pool in generator.nonblocking_pools}
    assert len(states) == nodes
    assert all(pool.initialized for pool in generator.nonblocking_pools)


def test_without_that_seeding_the_pools_differ_by_what_they_are_fed() -> None:
    generator = PerNodeGenerator(PerNodeDesign(nodes=3, seeding=Seeding.FEEDING))
    rand_initialize(generator)
    generator.credit(generator.nonblocking, 129)
    assert generator.nonblocking_pools[1].words == generator.nonblocking_pools[2].words
    for _ in range(40):
        generator.credit(generator.input, 400)
        generator.run_work()
    assert generator.nonblocking_pools[1].words != generator.nonblocking_pools[2].words


def test_idle_nodes_receive_as_much_as_busy_ones() -> None:
    generator = booted(PerNodeDesign(nodes=4))
    for _ in range(60):
        generator.credit(generator.input, 700)
        generator.run_work()
        devices.read_urandom(generator, 100, node=2)
    pushed = [generator.pushes_to[pool.name] for pool in generator.nonblocking_pools]
    assert max(pushed) - min(pushed) <= 1


def test_the_order_of_the_ring_is_a_choice() -> None:
    generator = booted(PerNodeDesign(nodes=3, order=(2, 0, 1)))
    names = [pool.name for pool in generator.ring]
    assert names == ["blocking", "nonblocking 2", "nonblocking", "nonblocking 1"]


@pytest.mark.parametrize(
    ("to_all", "changed"),
    [
        (True, {"blocking", "nonblocking", "nonblocking 1", "nonblocking 2"}),
        (False, {"blocking", "nonblocking 1"}),
    ],
)
def test_where_a_write_goes_is_a_choice(to_all: bool, changed: set[str]) -> None:
    generator = booted(PerNodeDesign(nodes=3, writes_to_all=to_all))
    before = words(generator)
    devices.write(generator, b"something", node=1)
    after = words(generator)
    assert {name for name in before if before[name] != after[name]} == changed


def test_device_randomness_reaches_every_nodes_pool() -> None:
    generator = booted(PerNodeDesign(nodes=3))
    before = words(generator)
    add_device_randomness(generator, b"serial")
    assert {name for name, one in words(generator).items() if one != before[name]} == {
        "input", "nonblocking", "nonblocking 1", "nonblocking 2",
    }  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda: PerNodeDesign(nodes=0),
        lambda: PerNodeDesign(nodes=MOST_NODES + 1),
        lambda: PerNodeDesign(passed_above=0),
        lambda: PerNodeDesign(passed_above=1.1),
        lambda: PerNodeDesign(nodes=2, order=(0, 0)),
        lambda: PerNodeGenerator(PerNodeDesign(nodes=2), Machine()).reader_pool(2),
    ],
)
def test_parameters_out_of_range_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"node|passed over"):
        make()
