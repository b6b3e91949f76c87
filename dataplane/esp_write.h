/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what ESP puts around a text (RFC 4303 2). Pure. */
#ifndef SPW_DATAPLANE_ESP_WRITE_H
#define SPW_DATAPLANE_ESP_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/inner.h"

/*
 * Padding 1, 2, 3.. to a multiple of `align` (a power of two), its length, the next header (RFC
 * 4303 2.4). Returns the length of the text.
 */
static inline uint32_t
dp_esp_trailer(uint8_t *text, uint32_t len, uint32_t align, bool ipv6)
{
	static const uint8_t padding[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	uint32_t total = (len + 2 + align - 1) & ~(align - 1);
	uint16_t last = (uint16_t)((ipv6 ? DP_NEXT_HDR_IPV6 : DP_NEXT_HDR_IPV4) << 8 |
				   (total - 2 - len)); /* length of the padding first */

	memcpy(text + len, padding, 16); /* room was checked for the most */
	memcpy(text + total - 2, &last, 2);
	return total;
}

/* ESP header and the IV of eight bytes, which is the number (RFC 4106 3.1). */
static inline void
dp_esp_header(uint8_t *esp, uint32_t spi_be, uint64_t seq)
{
	uint64_t head = (uint64_t)__builtin_bswap32((uint32_t)seq) << 32 | spi_be;
	uint64_t iv = __builtin_bswap64(seq);

	memcpy(esp, &head, 8);
	memcpy(esp + 8, &iv, 8);
}

#endif
