/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: outer headers of ESP packets (IPv4 or IPv6, with UDP or without), kept
 * ready for each SA and put before the packets by wide stores.
 */
#ifndef SPW_DATAPLANE_OUTER_H
#define SPW_DATAPLANE_OUTER_H

#include <rte_common.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/ecn.h"
#include "dataplane/wire.h"
#include "lib/spillway.h"

#define DP_OUTER_MAX 48 /* IPv6 and UDP */

enum dp_outer_kind { DP_OUTER_V4, DP_OUTER_V4_UDP, DP_OUTER_V6, DP_OUTER_V6_UDP };

/* A header without what differs from packet to packet; lies at the end of `bytes`. */
struct dp_outer {
	uint8_t bytes[DP_OUTER_MAX]; /* TOS, lengths, ID, DF and checksums zero */
	uint64_t sum;		     /* IPv4: of the last 12 octets, as in memory */
	uint8_t kind;		     /* enum dp_outer_kind */
	uint8_t len;
} __attribute__((aligned(64)));

/* The endpoints of a header; addresses of one family, ports in host order, 0 = no UDP. */
struct dp_outer_ends {
	struct spw_addr local, remote;
	uint16_t local_port, remote_port;
};

/*
 * Check the outer addresses of a tunnel or an SA: one family, both set. 0, or -EINVAL or
 * -EAFNOSUPPORT with a sentence that begins with `what`.
 */
int dp_outer_check(const struct spw_addr *local, const struct spw_addr *remote, const char *what,
		   struct spw_err *err) __attribute__((warn_unused_result));
/* Fill in a header. Pure. */
void dp_outer_set(struct dp_outer *o, const struct dp_outer_ends *ends);

/* What differs from packet to packet. */
struct dp_outer_fields {
	uint64_t marks;	  /* dp_outer_marks() */
	uint32_t esp_len; /* bytes behind the outer header, from the ESP header on */
	uint16_t id;
};

/* The 20 bytes of an IPv4 header, by stores as wide as its fields allow. */
static inline void
dp_outer_v4(uint8_t *ip, const uint8_t *from, uint64_t sum, uint32_t total,
	    const struct dp_outer_fields *f)
{
	uint64_t total_be = __builtin_bswap32(total) >> 16, id_be = __builtin_bswap32(f->id) >> 16;
	uint64_t a, b;
	uint32_t dst;

	memcpy(&a, from, 8);
	memcpy(&b, from + 8, 8);
	memcpy(&dst, from + 16, 4);
	a |= f->marks | total_be << 16 | id_be << 32;
	b |= (uint64_t)dp_csum_finish64(dp_csum_add64(sum, a)) << 16;
	memcpy(ip, &a, 8);
	memcpy(ip + 8, &b, 8);
	memcpy(ip + 16, &dst, 4);
}

/* Ports, length, and a checksum of zero. */
static inline void
dp_outer_udp(uint8_t *udp, const uint8_t *from, uint32_t len)
{
	uint64_t word;

	memcpy(&word, from, 8);
	word |= (uint64_t)__builtin_bswap16((uint16_t)len) << 32;
	memcpy(udp, &word, 8);
}

static inline void
dp_outer_v6(uint8_t *ip, uint32_t payload, const struct dp_outer_fields *f)
{
	dp_put_be16(ip, (uint16_t)(6u << 12 | dp_outer_tos(f->marks) << 4));
	dp_put_be16(ip + 4, (uint16_t)payload);
}

/*
 * Put the header right before `esp`, where DP_OUTER_MAX bytes are free. `kind` is o->kind, given
 * apart so that a loop over one SA's packets is compiled for it. The UDP checksum of IPv6 is left
 * zero: dp_outer_udp6() fills it in once the packet is sealed.
 */
static __rte_always_inline void
dp_outer_put(uint8_t *esp, const struct dp_outer *o, enum dp_outer_kind kind,
	     const struct dp_outer_fields *f)
{
	const uint8_t *end = o->bytes + DP_OUTER_MAX;

	switch (kind) {
	case DP_OUTER_V4: dp_outer_v4(esp - 20, end - 20, o->sum, 20 + f->esp_len, f); break;
	case DP_OUTER_V4_UDP:
		dp_outer_v4(esp - 28, end - 28, o->sum, 28 + f->esp_len, f);
		dp_outer_udp(esp - 8, end - 8, 8 + f->esp_len); /* checksum 0: RFC 3948 2.1 */
		break;
	case DP_OUTER_V6:
		memcpy(esp - 40, end - 40, 40);
		dp_outer_v6(esp - 40, f->esp_len, f);
		break;
	case DP_OUTER_V6_UDP:
		memcpy(esp - 48, end - 48, 40);
		dp_outer_v6(esp - 48, 8 + f->esp_len, f);
		dp_outer_udp(esp - 8, end - 8, 8 + f->esp_len);
		break;
	}
}

/* The UDP checksum of a complete packet (IPv6 demands one, RFC 8200 8.1). @ip its IPv6 header. */
void dp_outer_udp6(uint8_t *ip);

#endif
