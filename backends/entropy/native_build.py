"""Builds the native module kdash.backends.entropy._native (cffi, API mode)."""

from pathlib import Path

from cffi import FFI

FOLDER = Path("backends/entropy")  # cffi builds from the root of the repository
SOURCES = ("getrandom_latency.c", "pool_extract.c", "contention.c")

ffibuilder = FFI()
ffibuilder.cdef(
    """
    int kdash_time_getrandom(uint64_t vdso, uint64_t state, uint64_t state_bytes,
                             uint32_t bytes, uint32_t *nanoseconds, int calls);

    struct kdash_pool {
        uint32_t words[128];
        uint32_t size, add_ptr, input_rotate;
        int32_t entropy_count;
        ...;
    };
    void kdash_sha_transform(uint32_t *hash, const uint32_t *block);
    void kdash_mix_pool(struct kdash_pool *pool, const unsigned char *bytes, size_t count);
    void kdash_hash_pool(struct kdash_pool *pool, uint32_t *hash);
    void kdash_fold_hash(const uint32_t *hash, unsigned char *out);

    #define KDASH_MOST_THREADS ...
    enum kdash_source { KDASH_POOLS, KDASH_GETRANDOM, ... };
    struct kdash_contender {
        int32_t cpu, pool;
        uint64_t reads, cpu_ns, wait, hold, total;
        ...;
    };
    int kdash_contend(enum kdash_source source, int threads, int pools, uint64_t *ns, int stamped,
                      struct kdash_contender *contenders);
    uint64_t kdash_extract_alone(uint64_t count);
    """
)
ffibuilder.set_source(
    "kdash.backends.entropy._native",
    '#include "getrandom_latency.h"\n#include "pool_extract.h"\n#include "contention.h"\n',
    sources=[str(FOLDER / name) for name in SOURCES],
    include_dirs=[str(FOLDER)],
    extra_compile_args=["-std=gnu11", "-O2", "-g0", "-Wall", "-Wextra", "-pthread"],
    py_limited_api=True,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
