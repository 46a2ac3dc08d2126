/* A pool of the Linux 4.3 generator and what is done to it, for the contention laboratory.
 *
 * The rules and their source are those of pool.py, extract.py and sha1.py beside this file; the
 * same test vectors pass.
 */
#ifndef KDASH_POOL_EXTRACT_H
#define KDASH_POOL_EXTRACT_H

#include <stddef.h>
#include <stdint.h>

enum {
	KDASH_INPUT_WORDS = 128,
	KDASH_OUTPUT_WORDS = 32,
	KDASH_EXTRACT_BYTES = 10,
	KDASH_HASH_WORDS = 5,
	KDASH_BLOCK_WORDS = 16,
};

struct kdash_pool {
	uint32_t words[KDASH_INPUT_WORDS]; /* the first `size` are used */
	uint32_t size;                     /* KDASH_INPUT_WORDS or KDASH_OUTPUT_WORDS */
	uint32_t add_ptr;                  /* index of the word written last */
	uint32_t input_rotate;             /* 0..31 */
	int32_t entropy_count;             /* 1/8 bit */
};

/* The bare compression function on a block of words as they lie in the pool. */
void kdash_sha_transform(uint32_t hash[KDASH_HASH_WORDS],
			 const uint32_t block[KDASH_BLOCK_WORDS]);

/* Stir bytes into the pool, crediting nothing. */
void kdash_mix_pool(struct kdash_pool *pool, const unsigned char *bytes, size_t count);

/* Hash the pool, which must be done under its lock, and mix the hash back.
 * `hash` holds the starting state on entry, the hash on return. */
void kdash_hash_pool(struct kdash_pool *pool, uint32_t hash[KDASH_HASH_WORDS]);

/* The starting state without hardware longs. */
void kdash_initial_hash(uint32_t hash[KDASH_HASH_WORDS]);

/* Fold a hash to the bytes that are handed out. */
void kdash_fold_hash(const uint32_t hash[KDASH_HASH_WORDS],
		     unsigned char out[KDASH_EXTRACT_BYTES]);

#endif
