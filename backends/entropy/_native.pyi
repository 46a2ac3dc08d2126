"""Types of the native module that native_build.py builds."""

from typing import Any

ffi: Any

class lib:  # noqa: N801
    """The compiled functions; see getrandom_latency.h."""

    @staticmethod
    def kdash_time_getrandom(
        vdso: int, state: int, state_bytes: int, nanoseconds: Any, calls: int
    ) -> int: ...
