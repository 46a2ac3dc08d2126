/* Extractions of the Linux 4.3 generator from an output pool, as plainly as C says it.
 *
 * usage: extract_loop COUNT; prints the processor nanoseconds of one extraction.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORDS = 32 };

static uint32_t pool[WORDS], at, turn;

static uint32_t rol(uint32_t v, unsigned n)
{
	return v << n | v >> (-n & 31);
}

static void compress(uint32_t h[5], const uint32_t *block)
{
	uint32_t w[80], v[5];

	for (int t = 0; t < 16; t++)
		w[t] = __builtin_bswap32(block[t]);
	for (int t = 16; t < 80; t++)
		w[t] = rol(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	memcpy(v, h, sizeof(v));
	for (int t = 0; t < 80; t++) {
		uint32_t f, k, next;

		if (t < 20)
			f = (v[1] & v[2]) | (~v[1] & v[3]), k = 0x5a827999;
		else if (t < 40)
			f = v[1] ^ v[2] ^ v[3], k = 0x6ed9eba1;
		else if (t < 60)
			f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]), k = 0x8f1bbcdc;
		else
			f = v[1] ^ v[2] ^ v[3], k = 0xca62c1d6;
		next = rol(v[0], 5) + f + v[4] + k + w[t];
		v[4] = v[3];
		v[3] = v[2];
		v[2] = rol(v[1], 30);
		v[1] = v[0];
		v[0] = next;
	}
	for (int i = 0; i < 5; i++)
		h[i] += v[i];
}

static void mix(const unsigned char *bytes, int count)
{
	static const uint32_t twist[8] = {
		0x00000000, 0x3b6e20c8, 0x76dc4190, 0x4db26158,
		0xedb88320, 0xd6d6a3e8, 0x9b64c2b0, 0xa00ae278,
	};

	for (int i = 0; i < count; i++) {
		uint32_t w = rol((uint32_t)(int32_t)(signed char)bytes[i], turn);

		at = (at - 1) % WORDS;
		w ^= pool[at] ^ pool[(at + 26) % WORDS] ^ pool[(at + 19) % WORDS] ^
		     pool[(at + 14) % WORDS] ^ pool[(at + 7) % WORDS] ^ pool[(at + 1) % WORDS];
		pool[at] = (w >> 3) ^ twist[w & 7];
		turn = (turn + (at ? 7 : 14)) & 31;
	}
}

static void extract(unsigned char out[10])
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };

	compress(h, pool);
	compress(h, pool + 16);
	mix((unsigned char *)h, 20);
	h[0] ^= h[3];
	h[1] ^= h[4];
	h[2] ^= rol(h[2], 16);
	memcpy(out, h, 10);
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 1;
	unsigned char out[10];
	struct timespec t;
	double began, sum = 0;

	for (int i = 0; i < WORDS; i++)
		pool[i] = 0x9e3779b9u * (uint32_t)(i + 1);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	began = (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
	for (long i = 0; i < count; i++) {
		extract(out);
		sum += out[0];
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	printf("%f %f\n", ((double)t.tv_sec * 1e9 + (double)t.tv_nsec - began) / (double)count, sum);
	return 0;
}
