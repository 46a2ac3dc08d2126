"""All modules of Debian's kernel, judged by both tools: the same modules must be named."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from measurement import Aim, Measurement
from stack_notes import with_reachable_notes
from stack_packages import Packages
from stack_peer import Said, peer_says, same, silent_for_a_reason, we_say

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions

PROCESSES = 2


def judged(objtool: Path, modules: list[Path]) -> list[tuple[str, set[Said], set[Said]]]:
    """For each module that either tool names: what the peer says, and what we say."""
    checker = Checker(CheckOptions())
    found = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "module.ko"
        for module in modules:
            ours = we_say(checker, module)
            peer = peer_says(objtool, with_reachable_notes(module.read_bytes()), copy, "--orc")
            if ours or peer:
                found.append((module.name, peer, ours))
    return found


def measure(packages: Packages, most: int = 0) -> Iterator[Measurement]:
    """Modules that one tool names alone; who names which, and every difference, is printed."""
    modules = packages.modules[: most or None]
    parts = [modules[at :: PROCESSES * 8] for at in range(PROCESSES * 8)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        found = sorted(
            (one for part in pool.map(judged, [packages.objtool] * len(parts), parts)
             for one in part), key=lambda one: one[0],
        )  # fmt: skip
    peers = [name for name, peer, _ in found if peer]
    ours = [name for name, _, own in found if own]
    print(f"modules: {len(modules)}; objtool names {', '.join(peers) or 'none'};"
          f" kdash names {', '.join(ours) or 'none'}")  # fmt: skip
    missed: Counter[str] = Counter()
    added: Counter[str] = Counter()
    for name, peer, own in found:
        for one in peer:
            if not any(same(one, other) for other in own):
                missed[f"{name} {one.where}: {one.kind}"] += 1
        for one in own:
            alone = not any(same(one, other) for other in peer)
            if alone and not silent_for_a_reason(one, peer):
                added[f"{name} {one.where}: {one.kind}"] += 1
    for text, counts in (("only objtool", missed), ("only kdash", added)):
        for place, _ in counts.most_common(20):
            print(f"  {text}: {place}")
    yield Measurement(
        f"of {len(modules):,} modules, named by kdash or objtool alone",
        (len(set(peers) ^ set(ours)),), aim=Aim(0),
    )  # fmt: skip
