"""The calls of a host as a test wants it: capabilities missing, structures made by hand."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping

from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.state_calls import StateCalls

Answer = bytes | Callable[[bytes], bytes]


class ScriptedCalls:
    """Answers from tables; what is not in them is refused with EINVAL."""

    def __init__(
        self,
        capabilities: Mapping[str, int] | None = None,
        answers: Mapping[str, Answer] | None = None,
        msrs: Mapping[int, int] | None = None,
    ) -> None:
        self.capabilities = dict(capabilities or {})
        self.answers = dict(answers or {})
        self.msrs = dict(msrs or {})
        self.asked: list[str] = []

    def capability(self, name: str) -> int:
        return self.capabilities.get(name, 0)

    def system(self, name: str, data: bytes = b"") -> bytes:
        self.asked.append(name)
        if name not in self.answers:
            raise KvmError(f"{name} failed: Invalid argument (EINVAL)", "", errno.EINVAL)
        answer = self.answers[name]
        return answer if isinstance(answer, bytes) else answer(data)

    vcpu = system

    def vcpu_msrs(self, data: bytes) -> tuple[int, bytes]:
        """As KVM: stops at the first that is not there."""
        count = int.from_bytes(data[:4], "little")
        changed = bytearray(data)
        for place in range(count):
            at = 8 + 16 * place
            number = int.from_bytes(data[at : at + 4], "little")
            if number not in self.msrs:
                return place, bytes(changed)
            changed[at + 8 : at + 16] = self.msrs[number].to_bytes(8, "little")
        return count, bytes(changed)

    feature_msrs = vcpu_msrs


class Lacking:
    """Real calls on a host that lacks some capabilities."""

    def __init__(self, calls: StateCalls, *lacking: str) -> None:
        self._calls = calls
        self._lacking = lacking
        self.system, self.vcpu = calls.system, calls.vcpu
        self.vcpu_msrs, self.feature_msrs = calls.vcpu_msrs, calls.feature_msrs

    def capability(self, name: str) -> int:
        return 0 if name in self._lacking else self._calls.capability(name)
