#define _GNU_SOURCE
#include "contention.h"
#include "pool_extract.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 16, CACHE_LINE = 64, PATIENCE = 4096 };

/* The lock, the pool and the next lock each have cache lines of their own. */
struct locked_pool {
	_Alignas(CACHE_LINE) atomic_uint next_ticket;
	atomic_uint now_serving;
	_Alignas(CACHE_LINE) struct kdash_pool pool;
};

struct race {
	struct locked_pool *pools;
	enum kdash_source source;
	int stamped;
	atomic_int ready, go, stop;
};

struct entrant {
	struct race *race;
	struct kdash_contender *contender;
	pthread_t thread;
};

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void lock(struct locked_pool *at)
{
	unsigned int ticket = atomic_fetch_add_explicit(&at->next_ticket, 1, memory_order_relaxed);
	unsigned int spins = 0;

	while (atomic_load_explicit(&at->now_serving, memory_order_acquire) != ticket) {
		relax();
		/* In user space a holder can lose its processor: let it have this one. */
		if (++spins % PATIENCE == 0)
			sched_yield();
	}
}

static inline void unlock(struct locked_pool *at)
{
	unsigned int now = atomic_load_explicit(&at->now_serving, memory_order_relaxed);

	atomic_store_explicit(&at->now_serving, now + 1, memory_order_release);
}

struct stamps {
	uint64_t wait, hold, began;
};

static inline void lock_stamped(struct locked_pool *at, int stamped, struct stamps *stamps)
{
	uint64_t asked = stamped ? ticks() : 0;

	lock(at);
	if (stamped) {
		stamps->began = ticks();
		stamps->wait += stamps->began - asked;
	}
}

static inline void unlock_stamped(struct locked_pool *at, int stamped, struct stamps *stamps)
{
	if (stamped)
		stamps->hold += ticks() - stamps->began;
	unlock(at);
}

static inline void read_pool(struct locked_pool *at, int stamped, struct stamps *stamps,
			     unsigned char *out)
{
	unsigned char folded[KDASH_EXTRACT_BYTES];
	uint32_t hash[KDASH_HASH_WORDS];
	int debit = READ_BYTES << 6;

	lock_stamped(at, stamped, stamps);
	at->pool.entropy_count -= at->pool.entropy_count < debit ? at->pool.entropy_count : debit;
	unlock_stamped(at, stamped, stamps);
	for (int done = 0; done < READ_BYTES; done += KDASH_EXTRACT_BYTES) {
		int part = READ_BYTES - done;

		kdash_initial_hash(hash);
		lock_stamped(at, stamped, stamps);
		kdash_hash_pool(&at->pool, hash);
		unlock_stamped(at, stamped, stamps);
		kdash_fold_hash(hash, folded);
		memcpy(out + done, folded,
		       part < KDASH_EXTRACT_BYTES ? (size_t)part : KDASH_EXTRACT_BYTES);
	}
}

static uint64_t read_pools(struct race *race, struct locked_pool *at, struct stamps *stamps)
{
	unsigned char out[READ_BYTES];
	uint64_t reads = 0;

	/* Two loops, so that the one that is timed as a whole pays nothing for stamps. */
	if (race->stamped)
		for (; !atomic_load_explicit(&race->stop, memory_order_relaxed); reads++)
			read_pool(at, 1, stamps, out);
	else
		for (; !atomic_load_explicit(&race->stop, memory_order_relaxed); reads++)
			read_pool(at, 0, stamps, out);
	return reads;
}

static uint64_t read_kernel(struct race *race)
{
	unsigned char out[READ_BYTES];
	uint64_t reads = 0;

	for (; !atomic_load_explicit(&race->stop, memory_order_relaxed); reads++)
		if (syscall(SYS_getrandom, out, sizeof(out), 1) != READ_BYTES)
			break;
	return reads;
}

static void *run(void *argument)
{
	struct entrant *entrant = argument;
	struct kdash_contender *contender = entrant->contender;
	struct race *race = entrant->race;
	struct stamps stamps = { 0, 0, 0 };
	uint64_t began, cpu;

	if (contender->cpu >= 0) {
		cpu_set_t cpus;

		CPU_ZERO(&cpus);
		CPU_SET(contender->cpu, &cpus);
		/* A processor that is gone is no failure: the thread runs where it may. */
		(void)pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	}
	atomic_fetch_add(&race->ready, 1);
	while (!atomic_load_explicit(&race->go, memory_order_acquire))
		sched_yield();
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	began = ticks();
	if (race->source == KDASH_GETRANDOM)
		contender->reads = read_kernel(race);
	else
		contender->reads = read_pools(race, race->pools + contender->pool, &stamps);
	contender->total = ticks() - began;
	contender->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	contender->wait = stamps.wait;
	contender->hold = stamps.hold;
	return NULL;
}

static void fill(struct locked_pool *pools, int count)
{
	for (int i = 0; i < count; i++) {
		pools[i].pool.size = KDASH_OUTPUT_WORDS;
		pools[i].pool.entropy_count = KDASH_OUTPUT_WORDS << 8;
		for (uint32_t word = 0; word < KDASH_OUTPUT_WORDS; word++)
			pools[i].pool.words[word] = 0x9e3779b9u * (word + 1 + 64u * (uint32_t)i);
	}
}

/* A signal that is handled ends it early: `*ns` tells how long it was, so that a rate stays right.
 * `signals` are blocked but for this time: one that came while the threads started ends it too. */
static void pass_time(uint64_t *ns, const sigset_t *signals)
{
	struct timespec left = { (time_t)(*ns / 1000000000u), (long)(*ns % 1000000000u) };
	uint64_t began = clock_ns(CLOCK_MONOTONIC);

	ppoll(NULL, 0, &left, signals);
	*ns = clock_ns(CLOCK_MONOTONIC) - began;
}

int kdash_contend(enum kdash_source source, int threads, int pools, uint64_t *ns, int stamped,
		  struct kdash_contender *contenders)
{
	struct race race = { .source = source, .stamped = stamped };
	struct entrant *entrants = calloc((size_t)threads, sizeof(*entrants));
	int started = 0, error = entrants ? 0 : ENOMEM;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* for the threads too: they have no handlers */
	race.pools = aligned_alloc(CACHE_LINE, (size_t)pools * sizeof(*race.pools));
	if (!race.pools)
		error = ENOMEM;
	if (!error) {
		memset(race.pools, 0, (size_t)pools * sizeof(*race.pools));
		fill(race.pools, pools);
	}
	while (!error && started < threads) {
		entrants[started].race = &race;
		entrants[started].contender = contenders + started;
		error = pthread_create(&entrants[started].thread, NULL, run, entrants + started);
		started += !error;
	}
	if (error)
		atomic_store(&race.stop, 1);
	while (!error && atomic_load(&race.ready) < threads)
		sched_yield();
	atomic_store_explicit(&race.go, 1, memory_order_release);
	if (!error)
		pass_time(ns, &before);
	atomic_store(&race.stop, 1);
	while (started > 0)
		pthread_join(entrants[--started].thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	free(race.pools);
	free(entrants);
	return error;
}

uint64_t kdash_extract_alone(uint64_t count)
{
	struct locked_pool alone = { 0 };
	unsigned char out[KDASH_EXTRACT_BYTES];
	uint32_t hash[KDASH_HASH_WORDS];
	uint64_t began;

	fill(&alone, 1);
	began = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (uint64_t i = 0; i < count; i++) {
		kdash_initial_hash(hash);
		kdash_hash_pool(&alone.pool, hash);
		kdash_fold_hash(hash, out);
	}
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - began;
}
