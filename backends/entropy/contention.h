/* Threads that read from shared pools as the Linux 4.3 generator does, and what waiting costs.
 *
 * Each thread reads 16 bytes time after time: it accounts for them under the pool's lock, then
 * takes two extractions, each hashed and mixed back under that lock (extract_entropy_user of
 * drivers/char/random.c, Linux 4.3). The lock is a ticket lock, first come first served, as the
 * kernel's was on x86.
 */
#ifndef KDASH_CONTENTION_H
#define KDASH_CONTENTION_H

#include <stdint.h>

enum { KDASH_MOST_THREADS = 1024 };

enum kdash_source {
	KDASH_POOLS,     /* the pools of this laboratory */
	KDASH_GETRANDOM, /* getrandom of the running kernel */
};

struct kdash_contender {
	int32_t cpu;     /* in: pinned to it; -1: not pinned */
	int32_t pool;    /* in: index of the pool it reads from */
	uint64_t reads;  /* out: of 16 bytes */
	uint64_t cpu_ns; /* out: processor time used */
	uint64_t wait;   /* out, ticks of the time stamp counter: until the lock was had */
	uint64_t hold;   /* out, ticks: while the lock was held */
	uint64_t total;  /* out, ticks: of the whole run */
};

/* Let `threads` threads read for `*ns` nanoseconds, or until a signal is handled; `*ns` tells how
 * long it was.
 * With `stamped` not 0 waiting and holding are timed, which costs some of the rate.
 * Returns 0, or a positive errno when threads or memory could not be had. */
int kdash_contend(enum kdash_source source, int threads, int pools, uint64_t *ns, int stamped,
		  struct kdash_contender *contenders);

/* Extract `count` times ten bytes from one output pool without a lock; returns processor ns. */
uint64_t kdash_extract_alone(uint64_t count);

#endif
