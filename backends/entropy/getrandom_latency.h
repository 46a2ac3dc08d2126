/* Timing single calls of getrandom. */
#ifndef KDASH_GETRANDOM_LATENCY_H
#define KDASH_GETRANDOM_LATENCY_H

#include <stdint.h>

/*
 * Time `calls` calls of getrandom(buf, bytes, GRND_NONBLOCK) one by one; bytes up to 4096.
 *
 * vdso: address of __vdso_getrandom, 0 for the system call; state, state_bytes: the opaque state
 * it takes. nanoseconds: receives one figure a call, the cost of reading the clock taken off.
 * Returns how many calls were timed: fewer than asked when the generator refuses
 * or gives less.
 */
int kdash_time_getrandom(uint64_t vdso, uint64_t state, uint64_t state_bytes,
                         uint32_t bytes, uint32_t *nanoseconds, int calls);

#endif
