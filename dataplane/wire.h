/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: unaligned big-endian loads and stores, inlined for the stages. */
#ifndef SPW_DATAPLANE_WIRE_H
#define SPW_DATAPLANE_WIRE_H

#include <stdint.h>
#include <string.h>

static inline uint16_t
dp_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t
dp_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t
dp_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static inline void
dp_put_be16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
dp_put_be32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

#endif
