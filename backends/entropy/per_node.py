"""The Linux 4.3 generator with one nonblocking pool per NUMA node, as proposed in September 2015.

Source: Andi Kleen, "random: Make /dev/urandom scalable" (patch and article text). Stated there: the
input pool stays global; what overflows goes round over the blocking pool and all nonblocking
pools, so that idle nodes get as much as busy ones; readers use their own node's pool; while
someone waits for the first seed, node 0's pool is used; with one node nothing changes. A later
version initialises the other pools from node 0's once that has 128 bits.

Not stated there, so our choice, and parameters of `PerNodeDesign`: the order of the ring, the
share above which a pool is passed over, where a write goes, what seeding takes from node 0's pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kdash.backends.entropy.generator import Generator, Machine
from kdash.backends.entropy.pool import OUTPUT_GEOMETRY, Pool, mix_pool_bytes

MOST_NODES = 64
_SEED_BYTES = 128  # a whole output pool


class Seeding(Enum):
    """How the pools of the other nodes come to differ from node 0's."""

    FEEDING = "feeding"  # the first version: by what they are fed alone
    NODE_0 = "node 0"  # the later version: from output of node 0's pool once that is initialised


@dataclass(frozen=True, slots=True)
class PerNodeDesign:
    """What the proposal leaves open, and how many nodes there are."""

    nodes: int = 2
    seeding: Seeding = Seeding.NODE_0
    order: tuple[int, ...] = ()  # of the nodes behind the blocking pool in the ring; () ascending
    passed_above: float = 0.75  # share of its capacity above which a pool is passed over
    writes_to_all: bool = True  # else a write is mixed into the blocking and the writer's pool

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MOST_NODES:
            raise ValueError(f"{self.nodes} nodes: the model has 1 to {MOST_NODES}")
        if self.order and sorted(self.order) != list(range(self.nodes)):
            raise ValueError(f"the order of {self.nodes} nodes names each once, from 0")
        if not 0 < self.passed_above <= 1:
            raise ValueError(f"a pool is passed over above 0 to 1 of it, not {self.passed_above:g}")


class PerNodeGenerator(Generator):
    """One input and one blocking pool, and a nonblocking pool for each node."""

    def __init__(self, design: PerNodeDesign, machine: Machine | None = None) -> None:
        super().__init__(machine)
        self.design = design
        others = (
            Pool(f"nonblocking {node}", OUTPUT_GEOMETRY, limit=False)
            for node in range(1, design.nodes)
        )
        self._nodes = (self.nonblocking, *others)

    def take_over(self, other: Generator) -> None:
        """Go on with the pools of another design: its pool becomes node 0's, the others are new.

        Where that pool is initialised the others are made to differ from it at once, as at boot.
        """
        self._nodes = (other.nonblocking, *self._nodes[1:])
        super().take_over(other)
        if self.nonblocking.initialized:
            self._seed_others()

    @property
    def nonblocking_pools(self) -> tuple[Pool, ...]:
        """One a node, in the order of the nodes."""
        return self._nodes

    @property
    def ring(self) -> tuple[Pool, ...]:
        """The blocking pool and the nodes' pools; node 0's alone while that is not initialised."""
        if not self.nonblocking.initialized:
            return self.blocking, self.nonblocking
        order = self.design.order or range(len(self._nodes))
        return (self.blocking, *(self._nodes[node] for node in order))

    def reader_pool(self, node: int) -> Pool:
        """The node's own pool, or node 0's while that is not initialised.

        Raises:
            ValueError: There is no such node.
        """
        if not 0 <= node < len(self._nodes):
            raise ValueError(f"no node {node}: there are {len(self._nodes)}, from 0")
        return self._nodes[node] if self.nonblocking.initialized else self.nonblocking

    def has_room(self, pool: Pool) -> bool:
        """Whether the pool is at or below the share above which it is passed over."""
        return pool.entropy_count <= int(self.design.passed_above * pool.geometry.frac)

    def write_pools(self, node: int) -> tuple[Pool, ...]:
        """The pools that a write on a node is mixed into."""
        nodes = self._nodes if self.design.writes_to_all else (self.reader_pool(node),)
        return (self.blocking, *nodes)

    def seeded(self) -> None:
        """Node 0's pool was just initialised: the others are made to differ from it."""
        super().seeded()
        self._seed_others()

    def _seed_others(self) -> None:
        for pool in self._nodes[1:]:
            if self.design.seeding is Seeding.NODE_0:
                mix_pool_bytes(
                    pool, self._extract_loop(self.nonblocking, _SEED_BYTES, tested=False)
                )
                pool.initialized = True
