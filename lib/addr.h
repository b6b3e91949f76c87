/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_ADDR_H
#define SPW_LIB_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/err.h"

#define SPW_ADDR_TEXT	48 /* "ffff:....:ffff" and the terminator */
#define SPW_PREFIX_TEXT 52

/* An IP address. `bytes` in network order; IPv4 uses the first four, the rest are zero. */
struct spw_addr {
	uint8_t family; /* AF_INET, AF_INET6, or 0 = none */
	uint8_t pad[3];
	uint8_t bytes[16];
};

/* An address and a prefix length (0..32 or 0..128). */
struct spw_prefix {
	struct spw_addr addr;
	uint8_t len;
	uint8_t pad[3];
};

/* Bytes of an address of this family: 4, 16, or 0. */
size_t spw_addr_len(uint8_t family);
/* An IPv4 address from a host-order integer, and back. */
struct spw_addr spw_addr_v4(uint32_t host_order);
uint32_t spw_addr_get_v4(const struct spw_addr *a);
/* As 16 bytes, IPv4 mapped (RFC 4291 2.5.5.2), and back; zeroes when none. */
void spw_addr_to_mapped(const struct spw_addr *a, uint8_t out[16]);
struct spw_addr spw_addr_from_mapped(const uint8_t in[16]);
bool spw_addr_equal(const struct spw_addr *a, const struct spw_addr *b);
/* Order by family, then bytes: <0, 0, >0. */
int spw_addr_compare(const struct spw_addr *a, const struct spw_addr *b);
bool spw_addr_is_set(const struct spw_addr *a);
/* Text to address. 0, or -EINVAL with a sentence naming the text. */
int spw_addr_parse(struct spw_addr *a, const char *text, struct spw_err *err)
	__attribute__((warn_unused_result));
/* Address to text; "-" when none. Returns out. */
char *spw_addr_format(const struct spw_addr *a, char out[SPW_ADDR_TEXT]);
/* To and from a socket address; port in host order. */
socklen_t spw_addr_to_sockaddr(const struct spw_addr *a, uint16_t port,
			       struct sockaddr_storage *ss);
int spw_addr_from_sockaddr(struct spw_addr *a, uint16_t *port, const struct sockaddr_storage *ss)
	__attribute__((warn_unused_result));

/*
 * Text "A/LEN" to prefix, host bits kept as written (an interface address). Without "/LEN" the
 * full length is taken. 0 or -EINVAL with a sentence.
 */
int spw_prefix_parse(struct spw_prefix *p, const char *text, struct spw_err *err)
	__attribute__((warn_unused_result));
char *spw_prefix_format(const struct spw_prefix *p, char out[SPW_PREFIX_TEXT]);
/* The same prefix with host bits cleared. */
struct spw_prefix spw_prefix_masked(const struct spw_prefix *p);
bool spw_prefix_equal(const struct spw_prefix *a, const struct spw_prefix *b);
/* Order by family, address, length: <0, 0, >0. */
int spw_prefix_compare(const struct spw_prefix *a, const struct spw_prefix *b);
bool spw_prefix_contains_addr(const struct spw_prefix *p, const struct spw_addr *a);
/* True when every address of `inner` is in `outer` (equal counts). */
bool spw_prefix_contains(const struct spw_prefix *outer, const struct spw_prefix *inner);

#endif
