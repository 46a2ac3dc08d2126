"""Builds the native module kdash.backends.entropy._native (cffi, API mode)."""

from pathlib import Path

from cffi import FFI

FOLDER = Path("backends/entropy")  # cffi builds from the root of the repository

ffibuilder = FFI()
ffibuilder.cdef(
    """
    int kdash_time_getrandom(uint64_t vdso, uint64_t state, uint64_t state_bytes,
                             uint32_t *nanoseconds, int calls);
    """
)
ffibuilder.set_source(
    "kdash.backends.entropy._native",
    '#include "getrandom_latency.h"\n',
    sources=[str(FOLDER / "getrandom_latency.c")],
    include_dirs=[str(FOLDER)],
    py_limited_api=True,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
