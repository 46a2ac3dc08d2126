"""Files of test vectors for the Linux 4.3 model: reading them, and saying where one is malformed.

A file is JSON: {"cases": [{"id", "ops": [{"op", ...}], "expect": [{...}], "final_pools": {...}}]}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

POOLS = ("input", "blocking", "nonblocking")
DISKS = 4
MOST_BYTES = 64 << 20  # of a file; a thousand cases take less

Json = object  # what json.loads returns


class VectorError(ValueError):
    """A malformed file of vectors; the message names the place."""


@dataclass(frozen=True, slots=True)
class Case:
    """A sequence of operations from the zero state, and what each must leave behind."""

    id: str
    ops: tuple[Mapping[str, Json], ...]
    expect: tuple[Mapping[str, Json], ...]
    final_pools: Mapping[str, str]  # u32 words, 8 hexadecimal digits each


Check = Callable[[object], bool]


def _integer(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _hexadecimal(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return len(bytes.fromhex(value)) * 2 == len(value)
    except ValueError:
        return False


def _blocks(value: object) -> bool:
    return _hexadecimal(value) and isinstance(value, str) and len(value) % 128 == 0


def _longs(value: object) -> bool:
    return isinstance(value, list) and all(_U64(item) for item in value)


def _pool(value: object) -> bool:
    return value in POOLS


_U8 = _integer(0, 0xFF)
_U32 = _integer(0, 0xFFFFFFFF)
_U64 = _integer(0, 0xFFFFFFFFFFFFFFFF)
_S32 = _integer(-0x80000000, 0x7FFFFFFF)
_SIZE = _integer(0, 0x7FFFFFFF)
_FLAG = _integer(0, 1)
_POOL_SIZES = {"pool": _pool, "nbytes": _SIZE, "min": _SIZE, "reserved": _SIZE}

# What each operation takes; the ranges are those of the kernel's own types and sysctl tables.
OPERATIONS: Mapping[str, Mapping[str, Check]] = {
    "jiffies": {"value": _U64},
    "cycles": {"value": _U64},
    "ip": {"value": _U64},
    "ktime": {"value": _integer(-(1 << 63), (1 << 63) - 1)},
    "fips": {"value": _FLAG},
    "read_wakeup": {"value": _integer(8, 1024)},
    "write_wakeup": {"value": _integer(0, 4096)},
    "min_reseed": {"value": _SIZE},
    "uts": {"hex": _hexadecimal},
    "archq": {"values": _longs},
    "seedq": {"values": _longs},
    "autorun": {"value": _FLAG},
    "run_work": {},
    "rand_initialize": {},
    "mix": {"pool": _pool, "hex": _hexadecimal},
    "credit": {"pool": _pool, "bits": _S32},
    "credit_safe": {"pool": _pool, "bits": _S32},
    "account": _POOL_SIZES,
    "extract_buf": {"pool": _pool},
    "extract_entropy": _POOL_SIZES,
    "get_random_bytes": {"nbytes": _SIZE},
    "read_random": {"nbytes": _SIZE, "nonblock": _FLAG},
    "read_urandom": {"nbytes": _SIZE},
    "getrandom": {"nbytes": _SIZE, "flags": _U32},
    "write_dev": {"hex": _hexadecimal},
    "ioctl_addentropy": {"bits": _S32, "hex": _hexadecimal},
    "ioctl_addtoentcnt": {"bits": _S32},
    "ioctl_getentcnt": {},
    "ioctl_zapentcnt": {},
    "poll": {},
    "hwrng": {"bits": _S32, "hex": _hexadecimal},
    "device": {"hex": _hexadecimal},
    "input": {"type": _U32, "code": _U32, "value": _U32},
    "disk": {"index": _integer(0, DISKS - 1)},
    "irq": {"irq": _S32},
    "fast_pool": {},
    "dump": {"pool": _pool},
    "sha": {"hex": _blocks},
}
_COUNTER_FIELDS = {
    "ret", "input", "blocking", "nonblocking", "wakeups", "blocked", "fips_panics", "xfers",
    "pushes", "queued",
}  # fmt: skip
# What may be expected of an operation that does not report the counters.
_OWN_FIELDS = {
    "dump": {"pool_words"},
    "sha": {"state"},
    "fast_pool": {"fast_pool", "count", "last"},
}
_OUTPUT_FIELDS = {"out", "out_len", "out_sha256", "out_head"}


def load_vectors(path: Path) -> tuple[Case, ...]:
    """Read a file of vectors.

    Raises:
        OSError: The file can't be read.
        VectorError: It is not a file of vectors; the message names the place.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise VectorError(f"more than {MOST_BYTES >> 20} MiB, too large for a file of vectors")
    try:
        document = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise VectorError(f"byte {error.start}: not UTF-8 text") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise VectorError(f"{place}: not JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise VectorError(f"not JSON that can be read: {error}") from None
    cases = document.get("cases") if isinstance(document, dict) else None
    if not isinstance(cases, list):
        raise VectorError('top level: expected an object with a list of "cases"')
    if not cases:
        raise VectorError('top level: "cases" is an empty list, nothing to replay')
    return tuple(_case(raw, ordinal) for ordinal, raw in enumerate(cases))


def _case(raw: object, ordinal: int) -> Case:
    if not isinstance(raw, dict):
        raise VectorError(f"case number {ordinal}: expected an object")
    name = raw.get("id")
    if not isinstance(name, str):
        raise VectorError(f'case number {ordinal}: "id" must be a string')
    place = f"case {name}"
    ops = _objects(raw, "ops", place)
    expect = _objects(raw, "expect", place)
    if len(ops) != len(expect):
        raise VectorError(f'{place}: {len(ops)} "ops" but {len(expect)} "expect"')
    for index, (op, expected) in enumerate(zip(ops, expect, strict=True)):
        _check_operation(op, f"{place}, operation {index}")
        _check_expectation(op, expected, f"{place}, operation {index}")
    return Case(name, ops, expect, _final_pools(raw.get("final_pools"), place))


def _objects(raw: Mapping[str, object], key: str, place: str) -> tuple[Mapping[str, Json], ...]:
    found = raw.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise VectorError(f'{place}: "{key}" must be a list of objects')
    return tuple(found)


def _check_operation(op: Mapping[str, Json], place: str) -> None:
    name = op.get("op")
    fields = OPERATIONS.get(name) if isinstance(name, str) else None
    if fields is None:
        raise VectorError(f"{place}: unknown operation {name!r}")
    for field, check in fields.items():
        if field not in op:
            raise VectorError(f'{place} ({name}): "{field}" is missing')
        if not check(op[field]):
            shown = repr(op[field])
            shown = shown if len(shown) <= 40 else shown[:37] + "..."
            raise VectorError(f'{place} ({name}): "{field}" can\'t be {shown}')
    extra = sorted(set(op) - set(fields) - {"op"})
    if extra:
        raise VectorError(f'{place} ({name}): takes no "{extra[0]}"')


def _check_expectation(op: Mapping[str, Json], expected: Mapping[str, Json], place: str) -> None:
    known = _OWN_FIELDS.get(str(op["op"]), _COUNTER_FIELDS | _OUTPUT_FIELDS)
    unknown = sorted(set(expected) - known)
    if unknown:
        raise VectorError(f'{place} ({op["op"]}): nothing called "{unknown[0]}" can be expected')
    missing = sorted(_OWN_FIELDS.get(str(op["op"]), _COUNTER_FIELDS) - set(expected))
    if missing:
        raise VectorError(f'{place} ({op["op"]}): "{missing[0]}" must be expected')


def _final_pools(raw: object, place: str) -> Mapping[str, str]:
    if (
        not isinstance(raw, dict)
        or set(raw) != set(POOLS)
        or not all(isinstance(words, str) for words in raw.values())
    ):
        raise VectorError(f'{place}: "final_pools" must give the words of {", ".join(POOLS)}')
    return raw
