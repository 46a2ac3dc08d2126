#include "pool_extract.h"

#include <string.h>

enum { TAPS = 5 };

static const uint32_t twist[8] = {
	0x00000000, 0x3b6e20c8, 0x76dc4190, 0x4db26158,
	0xedb88320, 0xd6d6a3e8, 0x9b64c2b0, 0xa00ae278,
};
static const uint32_t input_taps[TAPS] = { 104, 76, 51, 25, 1 };
static const uint32_t output_taps[TAPS] = { 26, 19, 14, 7, 1 };

static inline uint32_t rotate_left(uint32_t value, uint32_t count)
{
	return value << count | value >> (-count & 31);
}

/* One round; the names of the five variables turn instead of their values. The schedule is a ring
 * of 16 words, of which round t writes the one that round t + 16 needs no more. */
#define ROUND(a, b, c, d, e, t, f, k) do { \
	(e) += rotate_left(a, 5) + (f) + (k) + w[(t) & 15]; \
	(b) = rotate_left(b, 30); \
	w[(t) & 15] = rotate_left(w[((t) + 13) & 15] ^ w[((t) + 8) & 15] ^ \
				  w[((t) + 2) & 15] ^ w[(t) & 15], 1); \
} while (0)

#define FIVE(t, F, k) do { \
	ROUND(a, b, c, d, e, (t), F(b, c, d), k); \
	ROUND(e, a, b, c, d, (t) + 1, F(a, b, c), k); \
	ROUND(d, e, a, b, c, (t) + 2, F(e, a, b), k); \
	ROUND(c, d, e, a, b, (t) + 3, F(d, e, a), k); \
	ROUND(b, c, d, e, a, (t) + 4, F(c, d, e), k); \
} while (0)

#define TWENTY(t, F, k) do { \
	FIVE(t, F, k); \
	FIVE((t) + 5, F, k); \
	FIVE((t) + 10, F, k); \
	FIVE((t) + 15, F, k); \
} while (0)

#define CHOOSE(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define PARITY(b, c, d) ((b) ^ (c) ^ (d))
#define MAJORITY(b, c, d) (((b) & (c)) + ((d) & ((b) ^ (c))))

void kdash_sha_transform(uint32_t hash[KDASH_HASH_WORDS],
			 const uint32_t block[KDASH_BLOCK_WORDS])
{
	uint32_t w[KDASH_BLOCK_WORDS];
	uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];

	for (int t = 0; t < KDASH_BLOCK_WORDS; t++)
		w[t] = __builtin_bswap32(block[t]);
	TWENTY(0, CHOOSE, 0x5a827999);
	TWENTY(20, PARITY, 0x6ed9eba1);
	TWENTY(40, MAJORITY, 0x8f1bbcdc);
	TWENTY(60, PARITY, 0xca62c1d6);
	hash[0] += a;
	hash[1] += b;
	hash[2] += c;
	hash[3] += d;
	hash[4] += e;
}

static inline void mix(struct kdash_pool *pool, const unsigned char *bytes, size_t count,
		       uint32_t size, const uint32_t taps[TAPS])
{
	uint32_t *words = pool->words;
	uint32_t mask = size - 1, at = pool->add_ptr, turn = pool->input_rotate;

	for (size_t i = 0; i < count; i++) {
		/* A char is signed on x86: the sign fills the upper bytes. */
		uint32_t w = rotate_left((uint32_t)(int32_t)(signed char)bytes[i], turn);

		at = (at - 1) & mask;
		w ^= words[at];
		for (int tap = 0; tap < TAPS; tap++)
			w ^= words[(at + taps[tap]) & mask];
		words[at] = (w >> 3) ^ twist[w & 7];
		turn = (turn + (at ? 7 : 14)) & 31;
	}
	pool->add_ptr = at;
	pool->input_rotate = turn;
}

void kdash_mix_pool(struct kdash_pool *pool, const unsigned char *bytes, size_t count)
{
	if (pool->size == KDASH_INPUT_WORDS)
		mix(pool, bytes, count, KDASH_INPUT_WORDS, input_taps);
	else
		mix(pool, bytes, count, KDASH_OUTPUT_WORDS, output_taps);
}

void kdash_initial_hash(uint32_t hash[KDASH_HASH_WORDS])
{
	static const uint32_t start[KDASH_HASH_WORDS] = {
		0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0,
	};

	memcpy(hash, start, sizeof(start));
}

void kdash_hash_pool(struct kdash_pool *pool, uint32_t hash[KDASH_HASH_WORDS])
{
	unsigned char bytes[4 * KDASH_HASH_WORDS];

	for (uint32_t at = 0; at < pool->size; at += KDASH_BLOCK_WORDS)
		kdash_sha_transform(hash, pool->words + at);
	memcpy(bytes, hash, sizeof(bytes));
	kdash_mix_pool(pool, bytes, sizeof(bytes));
}

void kdash_fold_hash(const uint32_t hash[KDASH_HASH_WORDS],
		     unsigned char out[KDASH_EXTRACT_BYTES])
{
	uint32_t folded[3] = {
		hash[0] ^ hash[3],
		hash[1] ^ hash[4],
		hash[2] ^ rotate_left(hash[2], 16),
	};

	memcpy(out, folded, KDASH_EXTRACT_BYTES);
}
