"""What the tests of a stream found: frozen facts, standard library only.

Sources: FIPS 140-2 section 4.9.1 (before change notice 2); NIST SP 800-90B (2018) sections 4.4
and 6.3; `ent` for the figures on whole bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SAYS_NOTHING = (
    "sanity of the stream and says nothing about seeding: "
    "a generator with a known seed passes every one of these tests"
)


TOO_FEW = "too few bytes"  # the statistic of a test that can't be made
ESTIMATED_BYTES = 62_500  # the bit estimators see these first bytes


@dataclass(frozen=True, slots=True)
class Fips140:
    """Counts of 20,000-bit blocks that failed; one block may fail several tests."""

    blocks: int
    failures: int  # blocks that failed at least one test
    monobit: int
    poker: int
    runs: int
    long_run: int
    continuous: int


@dataclass(frozen=True, slots=True)
class RepetitionCount:
    """The longest run of one byte value against the cutoff for the entropy claimed."""

    cutoff: int  # a run this long fails
    max_run: int
    failures: int  # runs that reached the cutoff


@dataclass(frozen=True, slots=True)
class AdaptiveProportion:
    """How often the first byte of a window came again in it, at most over all windows."""

    window: int  # bytes; windows don't overlap
    cutoff: int  # a count this high fails
    windows: int
    max_count: int
    failures: int  # windows that reached the cutoff


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates of min-entropy; bits are of the first 62,500 bytes, most significant first."""

    mcv_bytes: float | None = None  # bits per byte, over all bytes; None: too few bytes
    mcv_bits: float | None = None  # bits per bit, here and below
    collision_bits: float | None = None
    markov_bits: float | None = None
    compression_bits: float | None = None  # None where it wasn't asked for


@dataclass(frozen=True, slots=True)
class WholeBytes:
    """Figures over all bytes."""

    chi_square: float  # of 256 equal counts; 255 degrees of freedom
    mean: float
    serial_correlation: float | None  # of each byte with the next, in a ring; None: all equal


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one test judges the stream."""

    test: str  # key: "fips140", "rct", "mcv_bits"
    passes: bool | None  # None: a figure without a limit of its own, or too few bytes
    statistic: str
    expected: str  # the band a perfect stream stays in
    false_alarm: str = ""  # how often a perfect stream of this length fails


@dataclass(frozen=True, slots=True)
class Health:
    """All that the tests tell about one stream."""

    nbytes: int
    min_entropy: float  # bits per byte claimed; sets the cutoffs of SP 800-90B 4.4
    fips140: Fips140
    rct: RepetitionCount
    apt: AdaptiveProportion
    estimates: Estimates = field(default_factory=Estimates)
    whole: WholeBytes | None = None  # None: no bytes
    verdicts: tuple[Verdict, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether no test failed."""
        return all(verdict.passes is not False for verdict in self.verdicts)

    @property
    def untested(self) -> tuple[str, ...]:
        """The tests for which there are too few bytes."""
        return tuple(one.test for one in self.verdicts if one.statistic == TOO_FEW)
