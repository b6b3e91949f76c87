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

/*
 * Fold a sum and complement it: the checksum field's value in host order. Added to itself with its
 * halves exchanged, a sum has in its upper half what they come to, with the carry of the lower half
 * come round.
 */
static inline uint16_t
dp_csum_finish(uint32_t sum)
{
	return (uint16_t) ~((sum + (sum << 16 | sum >> 16)) >> 16);
}

/* Add with end-around carry: a one's complement sum. */
static inline uint64_t
dp_csum_add64(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

/* dp_csum_finish() of such a sum, in its byte order. */
static inline uint16_t
dp_csum_finish64(uint64_t sum)
{
	return dp_csum_finish((uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32));
}

/*
 * Is such a sum all ones once it is folded to 16 bits? So are the multiples of 65,535 but 0: folding
 * keeps what is left over when dividing by it. The largest quotient times 65,535 is -1 modulo 2^64,
 * thus times q * 65,535 it is -q; one more of it makes that largest - q, which is less than the
 * largest for each multiple, and for no other number, for each product is that of one number alone.
 */
static inline bool
dp_csum_is_ones64(uint64_t sum)
{
	const uint64_t largest = UINT64_MAX / 0xffff;

	_Static_assert(UINT64_MAX % 0xffff == 0, "no rest");
	return (sum + 1) * largest < largest;
}

/*
 * Is the checksum of an IPv4 header of `len` bytes (20 to 60, a multiple of four, all there) right?
 * Words are added as they lie in memory: the sum's value depends on the byte
 * order, its being all ones does not (RFC 1071 2B). They are loaded as those read them who look at
 * the TTL (dp_ttl_take()) and at both addresses.
 */
static inline bool
dp_ipv4_csum_good(const uint8_t *ip, uint32_t len)
{
	uint64_t first, addrs, sum;
	uint32_t word;

	memcpy(&first, ip, 8);
	memcpy(&word, ip + 8, 4);
	memcpy(&addrs, ip + 12, 8);
	sum = dp_csum_add64(dp_csum_add64(addrs, first), word);
	for (uint32_t at = 20; at < len; at += 4) {
		memcpy(&word, ip + at, 4);
		sum = dp_csum_add64(sum, word);
	}
	return dp_csum_is_ones64(sum);
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
