/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the Internet checksum, changed in place (RFC 1624). Pure. */
#ifndef SPW_DATAPLANE_CSUM_H
#define SPW_DATAPLANE_CSUM_H

#include <stdint.h>

/* A sum of 16-bit words folded into one. */
static inline uint16_t
dp_csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/*
 * The checksum after one 16-bit word went from `from` to `to` (RFC 1624 eqn. 3). All in one byte
 * order, whichever it is.
 */
static inline uint16_t
dp_csum_replace(uint16_t csum, uint16_t from, uint16_t to)
{
	return (uint16_t)~dp_csum_fold((uint32_t)(uint16_t)~csum + (uint16_t)~from + to);
}

#endif
