/* LZ4 blocks, as in the LZ4 block format description (2022-07-31). */
#include "native.h"

#include <errno.h>
#include <string.h>

/* The rest of a length whose first four bits were all ones. */
static int more(const uint8_t **at, const uint8_t *end, size_t *length)
{
	uint8_t byte;

	do {
		if (*at == end)
			return -1;
		byte = *(*at)++;
		*length += byte;
	} while (byte == 255);
	return 0;
}

int64_t kdash_lz4(const uint8_t *data, size_t size, uint8_t *into, size_t room)
{
	const uint8_t *end = data + size;
	size_t done = 0;

	while (data < end) {
		uint8_t token = *data++;
		size_t literals = token >> 4, match = (token & 15) + 4, distance;

		if (literals == 15 && more(&data, end, &literals))
			return -EINVAL;
		if (literals > (size_t)(end - data) || literals > room - done)
			return -EINVAL;
		memcpy(into + done, data, literals);
		data += literals;
		done += literals;
		if (data == end) /* the last sequence is literals alone */
			return done;
		if (end - data < 2)
			return -EINVAL;
		distance = data[0] | data[1] << 8;
		data += 2;
		if (match == 19 && more(&data, end, &match))
			return -EINVAL;
		if (!distance || distance > done || match > room - done)
			return -EINVAL;
		for (; match; match--, done++) /* they may overlap */
			into[done] = into[done - distance];
	}
	return -EINVAL;
}
