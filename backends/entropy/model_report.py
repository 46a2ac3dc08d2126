"""What an event of the running Linux 4.3 model did, as the JSON object other programs parse."""

from __future__ import annotations

from collections.abc import Iterable

from kdash.backends.entropy.facts import Changes, ModelStep, PoolState

Json = dict[str, object]


def step_json(step: ModelStep, seconds: float, pools: Iterable[PoolState]) -> Json:
    """A line of `kdash entropy model --seed`.

    Args:
        step: What was done, and all it changed.
        seconds: Of the model since its boot.
        pools: The pools after it.
    """
    return {
        "index": step.index,
        "seconds": round(seconds, 9),
        "event": step.operation,
        "pools": {pool.name: _pool(pool) for pool in pools},
        "changes": {change.place: _changes(change) for change in step.changes},
    }


def _pool(pool: PoolState) -> Json:
    """Counters as the kernel has them; entropy_count is in 1/8 bit."""
    return {
        "entropy_count": pool.entropy_count,
        "entropy_total": pool.entropy_total,
        "initialized": pool.initialized,
        "add_ptr": pool.add_ptr,
        "input_rotate": pool.input_rotate,
    }


def _changes(change: Changes) -> Json:
    """Counters and words before and after; words by their index, in hexadecimal."""
    return {
        "counters": {one.name: [one.before, one.after] for one in change.counters},
        "words": {
            str(one.index): [f"{one.before:08x}", f"{one.after:08x}"] for one in change.words
        },
    }
