"""Types of the native module that native_build.py builds."""

from typing import Any

ffi: Any

class lib:  # noqa: N801
    """The compiled functions; see getrandom_latency.h, pool_extract.h and contention.h."""

    KDASH_MOST_THREADS: int
    KDASH_POOLS: int
    KDASH_GETRANDOM: int

    @staticmethod
    def kdash_time_getrandom(
        vdso: int, state: int, state_bytes: int, bytes: int, nanoseconds: Any, calls: int
    ) -> int: ...
    @staticmethod
    def kdash_sha_transform(hash: Any, block: Any) -> None: ...
    @staticmethod
    def kdash_mix_pool(pool: Any, bytes: Any, count: int) -> None: ...
    @staticmethod
    def kdash_hash_pool(pool: Any, hash: Any) -> None: ...
    @staticmethod
    def kdash_fold_hash(hash: Any, out: Any) -> None: ...
    @staticmethod
    def kdash_contend(
        source: int, threads: int, pools: int, ns: int, stamped: int, contenders: Any
    ) -> int: ...
    @staticmethod
    def kdash_extract_alone(count: int) -> int: ...
