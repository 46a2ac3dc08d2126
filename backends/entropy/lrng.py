"""What the alternative generator LRNG tells about itself.

Source: LRNG's /proc/lrng_type, lines of "name: value"; kernels without LRNG have no such file.
"""

from __future__ import annotations

from kdash.backends.entropy.procfs import Root, Unavailable

LRNG_TYPE = "proc/lrng_type"
MOST_FACTS = 64
_LENGTH = 80  # of a name or a value that is kept


def lrng_facts(root: Root) -> tuple[tuple[str, str], ...]:
    """Names and values in the file's order; a line without a colon is a value without a name.

    Raises:
        Unavailable: It can't be read, as a rule since LRNG is not what runs here, or is empty.
    """
    found = []
    for line in root.text(LRNG_TYPE).splitlines():
        name, colon, value = line.partition(":")
        if line.strip():
            pair = (name.strip(), value.strip()) if colon else ("", line.strip())
            found.append((pair[0][:_LENGTH], pair[1][:_LENGTH]))
    if not found:
        raise Unavailable("tells nothing")
    return tuple(found[:MOST_FACTS])
