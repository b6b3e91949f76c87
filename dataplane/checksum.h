/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the Internet checksum (RFC 1071) and its incremental form (RFC 1624). */
#ifndef SPW_DATAPLANE_CHECKSUM_H
#define SPW_DATAPLANE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One's complement sum of `len` bytes in network order, added to `sum`; not folded. */
static inline uint32_t
dp_csum_add(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (; len > 1; len -= 2, p += 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	if (len)
		sum += (uint32_t)p[0] << 8;
	return sum;
}

/* Fold a sum and complement it: the checksum field's value in host order. */
static inline uint16_t
dp_csum_finish(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Add with end-around carry, in 64, 32 and 16 bits: one's complement sums. */
static inline uint64_t
dp_csum_add64(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

static inline uint16_t
dp_csum_fold64(uint64_t sum)
{
	uint32_t upper = (uint32_t)(sum >> 32), half = (uint32_t)sum + upper;

	half += half < upper;
	uint16_t quarter = (uint16_t)(half >> 16), word = (uint16_t)(half + quarter);

	return (uint16_t)(word + (word < quarter));
}

/*
 * Is the checksum of an IPv4 header of `len` bytes (20 to 60, a multiple of four, all there) right?
 * Words are added as they lie in memory: the sum's value depends on the byte order, its being
 * all ones does not (RFC 1071 2B).
 */
static inline bool
dp_ipv4_csum_good(const uint8_t *ip, uint32_t len)
{
	uint64_t a, b, sum;
	uint32_t word;

	memcpy(&a, ip, 8);
	memcpy(&b, ip + 8, 8);
	memcpy(&word, ip + 16, 4);
	sum = dp_csum_add64(dp_csum_add64(a, b), word);
	for (uint32_t at = 20; at < len; at += 4) {
		memcpy(&word, ip + at, 4);
		sum = dp_csum_add64(sum, word);
	}
	return dp_csum_fold64(sum) == 0xffff;
}

/*
 * The checksum after a 16-bit word of the covered bytes changed from `old` to `new`; all in one
 * byte order (RFC 1624, equation 3).
 */
static inline uint16_t
dp_csum_update(uint16_t csum, uint16_t old, uint16_t new)
{
	uint32_t sum = (uint16_t)~csum + (uint32_t)(uint16_t)~old + new;

	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

#endif
