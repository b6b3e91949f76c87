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
#include "dataplane/wire.h"
#include "lib/spillway.h"

#define DP_OUTER_MAX 48 /* IPv6 and UDP */

enum dp_outer_kind { DP_OUTER_V4, DP_OUTER_V4_UDP, DP_OUTER_V6, DP_OUTER_V6_UDP };

/* A header without what differs from packet to packet; lies at the end of `bytes`. */
struct dp_outer {
	uint8_t bytes[DP_OUTER_MAX]; /* TOS, lengths, ID, DF and checksums zero */
	uint32_t sum;		     /* IPv4: of the header's 16-bit words, as in memory */
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

/* What differs: bytes behind the outer header (from the ESP header on), TOS, DF octet, ID. */
struct dp_outer_fields {
	uint32_t esp_len;
	uint8_t tos;
	uint8_t df;
	uint16_t id;
};

static inline void
dp_outer_v4(uint8_t *ip, const struct dp_outer *o, uint32_t total, const struct dp_outer_fields *f)
{
	uint16_t total_be = __builtin_bswap16((uint16_t)total);
	uint16_t id_be = __builtin_bswap16(f->id);
	uint16_t tos_be = (uint16_t)(f->tos << 8); /* the lower octet of its word */
	uint16_t csum = dp_csum_finish(o->sum + total_be + id_be + tos_be + f->df);

	ip[1] = f->tos;
	memcpy(ip + 2, &total_be, 2);
	memcpy(ip + 4, &id_be, 2);
	ip[6] = f->df;
	memcpy(ip + 10, &csum, 2);
}

static inline void
dp_outer_v6(uint8_t *ip, uint32_t payload, const struct dp_outer_fields *f)
{
	dp_put_be16(ip, (uint16_t)(6u << 12 | f->tos << 4));
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
	memcpy(esp - DP_OUTER_MAX, o->bytes, DP_OUTER_MAX);
	switch (kind) {
	case DP_OUTER_V4: dp_outer_v4(esp - 20, o, 20 + f->esp_len, f); break;
	case DP_OUTER_V4_UDP:
		dp_outer_v4(esp - 28, o, 28 + f->esp_len, f);
		dp_put_be16(esp - 4, (uint16_t)(8 + f->esp_len)); /* checksum 0: RFC 3948 2.1 */
		break;
	case DP_OUTER_V6: dp_outer_v6(esp - 40, f->esp_len, f); break;
	case DP_OUTER_V6_UDP:
		dp_outer_v6(esp - 48, 8 + f->esp_len, f);
		dp_put_be16(esp - 4, (uint16_t)(8 + f->esp_len));
		break;
	}
}

/* The UDP checksum of a complete packet (IPv6 demands one, RFC 8200 8.1). @ip its IPv6 header. */
void dp_outer_udp6(uint8_t *ip);

#endif
