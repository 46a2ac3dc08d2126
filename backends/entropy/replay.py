"""Replaying test vectors on the Linux 4.3 model, and finding where it differs."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from kdash.backends.entropy import devices, events
from kdash.backends.entropy.devices import Answer
from kdash.backends.entropy.events import FastPool, InputEvents, TimerState
from kdash.backends.entropy.extract import extract_buf
from kdash.backends.entropy.generator import UTS_BYTES, Generator
from kdash.backends.entropy.pool import Pool, mix_pool_bytes
from kdash.backends.entropy.sha1 import INITIAL_STATE, sha_transform
from kdash.backends.entropy.vectors import DISKS, POOLS, Case

_FIRST_DISK = 0x800000  # dev_t of disk 0 in the vectors; the others follow in steps
_DISK_STEP = 16

Arguments = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first place where the model differs from what a case expects."""

    id: str
    operation: int  # from 0
    field: str
    expected: object
    got: object


@dataclass(slots=True)
class Bench:
    """A generator and its event sources, driven one operation at a time."""

    generator: Generator = field(default_factory=Generator)
    keyboard: InputEvents = field(default_factory=InputEvents)
    disks: tuple[TimerState, ...] = field(
        default_factory=lambda: tuple(TimerState() for _ in range(DISKS))
    )
    fast_pool: FastPool = field(default_factory=FastPool)
    autorun: bool = True

    def pool(self, name: object) -> Pool:
        """The pool of this name."""
        return self.generator.pools[POOLS.index(str(name))]

    def run(self, operation: Arguments) -> dict[str, object]:
        """Run one checked operation; returns every field that may be expected of it."""
        name = str(operation["op"])
        inspect = _INSPECTIONS.get(name)
        if inspect:
            return inspect(self, operation)
        answer = _OPERATIONS[name](self, operation)
        if self.autorun:
            self.generator.run_work()
        return _counters(self.generator) | _answered(answer)


def replay(case: Case, bench: Bench | None = None) -> Mismatch | None:
    """Run a case from the zero state; returns the first difference, None when there is none.

    Args:
        case: Operations and what the kernel made of them.
        bench: A bench that was not used yet, for a generator of another design.
    """
    bench = bench or Bench()
    for index, (operation, expected) in enumerate(zip(case.ops, case.expect, strict=True)):
        got = bench.run(operation)
        for name, value in expected.items():
            if got[name] != value:
                return Mismatch(case.id, index, name, value, got[name])
    for name, words in case.final_pools.items():
        final = _words(bench.pool(name).words)
        if final != words:
            return Mismatch(case.id, len(case.ops) - 1, f"final_pools.{name}", words, final)
    return None


def _counters(generator: Generator) -> dict[str, object]:
    counters: dict[str, object] = {
        pool.name: [
            pool.entropy_count,
            pool.entropy_total,
            int(pool.initialized),
            pool.add_ptr,
            pool.input_rotate,
            pool.last_pulled,
        ]
        for pool in generator.pools
    }
    wakeups = generator.wakeups
    counters["wakeups"] = [wakeups.readers, wakeups.writers, wakeups.seed_waiters]
    counters["fips_panics"] = generator.fips_panics
    counters["xfers"] = generator.transfers
    counters["pushes"] = generator.pushes
    counters["queued"] = len(generator.queued)
    return counters


def _answered(answer: Answer) -> dict[str, object]:
    return {
        "ret": answer.ret,
        "blocked": int(answer.blocked),
        "out": answer.out.hex(),
        "out_len": len(answer.out),
        "out_sha256": hashlib.sha256(answer.out).hexdigest(),
        "out_head": answer.out[:_HEAD_BYTES].hex(),
    }


def _words(words: Iterable[int]) -> str:
    return "".join(f"{word:08x}" for word in words)


def _integer(value: object) -> int:
    assert isinstance(value, int)  # vectors.py has checked it
    return value


def _bytes(value: object) -> bytes:
    return bytes.fromhex(str(value))


def _integers(value: object) -> list[int]:
    assert isinstance(value, list)  # vectors.py has checked it
    return value


def _set_machine(name: str) -> Callable[[Bench, Arguments], Answer]:
    def run(bench: Bench, args: Arguments) -> Answer:
        setattr(bench.generator.machine, name, _integer(args["value"]))
        return Answer(0)

    return run


def _set_generator(name: str) -> Callable[[Bench, Arguments], Answer]:
    def run(bench: Bench, args: Arguments) -> Answer:
        setattr(bench.generator, name, _integer(args["value"]))
        return Answer(0)

    return run


def _queue(name: str) -> Callable[[Bench, Arguments], Answer]:
    def run(bench: Bench, args: Arguments) -> Answer:
        queue = getattr(bench.generator.machine, name)
        queue.clear()
        queue.extend(_integers(args["values"]))
        return Answer(0)

    return run


def _autorun(bench: Bench, args: Arguments) -> Answer:
    bench.autorun = bool(args["value"])
    return Answer(0)


def _uts(bench: Bench, args: Arguments) -> Answer:
    bench.generator.machine.uts = _bytes(args["hex"])[:UTS_BYTES].ljust(UTS_BYTES, b"\0")
    return Answer(0)


def _run_work(bench: Bench, _: Arguments) -> Answer:
    bench.generator.run_work()
    return Answer(0)


def _rand_initialize(bench: Bench, _: Arguments) -> Answer:
    events.rand_initialize(bench.generator)
    return Answer(0)


def _mix(bench: Bench, args: Arguments) -> Answer:
    mix_pool_bytes(bench.pool(args["pool"]), _bytes(args["hex"]))
    return Answer(0)


def _credit(bench: Bench, args: Arguments) -> Answer:
    bench.generator.credit(bench.pool(args["pool"]), _integer(args["bits"]))
    return Answer(0)


def _credit_safe(bench: Bench, args: Arguments) -> Answer:
    bench.generator.credit_safe(bench.pool(args["pool"]), _integer(args["bits"]))
    return Answer(0)


def _account(bench: Bench, args: Arguments) -> Answer:
    return Answer(
        bench.generator.account(
            bench.pool(args["pool"]),
            _integer(args["nbytes"]),
            minimum=_integer(args["min"]),
            reserved=_integer(args["reserved"]),
        )
    )


def _extract_buf(bench: Bench, args: Arguments) -> Answer:
    out = extract_buf(bench.pool(args["pool"]), bench.generator.machine.arch_random)
    return Answer(0, out)


def _extract_entropy(bench: Bench, args: Arguments) -> Answer:
    out = bench.generator.extract_entropy(
        bench.pool(args["pool"]),
        _integer(args["nbytes"]),
        minimum=_integer(args["min"]),
        reserved=_integer(args["reserved"]),
    )
    return Answer(len(out), out)


def _hwrng(bench: Bench, args: Arguments) -> Answer:
    slept = events.add_hwgenerator_randomness(
        bench.generator, _bytes(args["hex"]), _integer(args["bits"])
    )
    return Answer(0, blocked=slept)


def _device(bench: Bench, args: Arguments) -> Answer:
    events.add_device_randomness(bench.generator, _bytes(args["hex"]))
    return Answer(0)


def _input(bench: Bench, args: Arguments) -> Answer:
    bench.keyboard.add(
        bench.generator, _integer(args["type"]), _integer(args["code"]), _integer(args["value"])
    )
    return Answer(0)


def _disk(bench: Bench, args: Arguments) -> Answer:
    index = _integer(args["index"])
    device = _FIRST_DISK + _DISK_STEP * index
    events.add_disk_randomness(bench.generator, bench.disks[index], device)
    return Answer(0)


def _irq(bench: Bench, args: Arguments) -> Answer:
    bench.fast_pool.add_interrupt(bench.generator, _integer(args["irq"]))
    return Answer(0)


def _dump(bench: Bench, args: Arguments) -> dict[str, object]:
    return {"pool_words": _words(bench.pool(args["pool"]).words)}


def _fast_pool(bench: Bench, _: Arguments) -> dict[str, object]:
    pool = bench.fast_pool
    return {"fast_pool": _words(pool.words), "count": pool.count, "last": pool.last}


def _sha(_: Bench, args: Arguments) -> dict[str, object]:
    data = _bytes(args["hex"])
    state = INITIAL_STATE
    for block in struct.iter_unpack(">16I", data):
        state = sha_transform(state, block)
    return {"state": _words(state)}


_HEAD_BYTES = 32
_INSPECTIONS: Mapping[str, Callable[[Bench, Arguments], dict[str, object]]] = {
    "dump": _dump,
    "fast_pool": _fast_pool,
    "sha": _sha,
}
_OPERATIONS: Mapping[str, Callable[[Bench, Arguments], Answer]] = {
    "jiffies": _set_machine("jiffies"),
    "cycles": _set_machine("cycles"),
    "ip": _set_machine("ip"),
    "ktime": _set_machine("ktime"),
    "fips": _set_generator("fips"),
    "read_wakeup": _set_generator("read_wakeup"),
    "write_wakeup": _set_generator("write_wakeup"),
    "min_reseed": _set_generator("min_reseed_seconds"),
    "uts": _uts,
    "archq": _queue("arch_random"),
    "seedq": _queue("arch_seed"),
    "autorun": _autorun,
    "run_work": _run_work,
    "rand_initialize": _rand_initialize,
    "mix": _mix,
    "credit": _credit,
    "credit_safe": _credit_safe,
    "account": _account,
    "extract_buf": _extract_buf,
    "extract_entropy": _extract_entropy,
    "get_random_bytes": lambda b, a: devices.get_random_bytes(b.generator, _integer(a["nbytes"])),
    "read_random": lambda b, a: devices.read_random(
        b.generator, _integer(a["nbytes"]), nonblock=bool(a["nonblock"])
    ),
    "read_urandom": lambda b, a: devices.read_urandom(b.generator, _integer(a["nbytes"])),
    "getrandom": lambda b, a: devices.getrandom(
        b.generator, _integer(a["nbytes"]), _integer(a["flags"])
    ),
    "write_dev": lambda b, a: devices.write(b.generator, _bytes(a["hex"])),
    "ioctl_addentropy": lambda b, a: devices.ioctl_addentropy(
        b.generator, _integer(a["bits"]), _bytes(a["hex"])
    ),
    "ioctl_addtoentcnt": lambda b, a: devices.ioctl_addtoentcnt(b.generator, _integer(a["bits"])),
    "ioctl_getentcnt": lambda b, _: devices.ioctl_getentcnt(b.generator),
    "ioctl_zapentcnt": lambda b, _: devices.ioctl_zapentcnt(b.generator),
    "poll": lambda b, _: devices.poll(b.generator),
    "hwrng": _hwrng,
    "device": _device,
    "input": _input,
    "disk": _disk,
    "irq": _irq,
}
