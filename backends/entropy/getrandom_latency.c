#include "getrandom_latency.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BYTES = 4096, NONBLOCK = 1, CLOCK_TRIES = 16 };

typedef ssize_t (*vdso_getrandom)(void *, size_t, unsigned int, void *, size_t);

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What two readings of the clock with nothing between them show at best. */
static uint64_t clock_cost(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < CLOCK_TRIES; i++) {
		uint64_t start = now_ns();
		uint64_t cost = now_ns() - start;

		if (cost < best)
			best = cost;
	}
	return best;
}

int kdash_time_getrandom(uint64_t vdso, uint64_t state, uint64_t state_bytes,
                         uint32_t bytes, uint32_t *nanoseconds, int calls)
{
	vdso_getrandom through_vdso = (vdso_getrandom)(uintptr_t)vdso;
	void *opaque = (void *)(uintptr_t)state;
	unsigned char buf[MOST_BYTES];
	uint64_t overhead = clock_cost();

	if (bytes > MOST_BYTES)
		return 0;

	for (int i = 0; i < calls; i++) {
		uint64_t start = now_ns();
		ssize_t given = vdso ? through_vdso(buf, bytes, NONBLOCK, opaque, state_bytes)
		                     : syscall(SYS_getrandom, buf, (size_t)bytes, NONBLOCK);
		uint64_t took = now_ns() - start;

		if (given != (ssize_t)bytes)
			return i;
		took = took > overhead ? took - overhead : 0;
		nanoseconds[i] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
	}
	return calls;
}
