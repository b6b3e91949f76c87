/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: ICMP errors made by the workers. */
#ifndef SPW_DATAPLANE_ICMP_H
#define SPW_DATAPLANE_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"

enum dp_icmp_error_kind { DP_ICMP_TIME_EXCEEDED, DP_ICMP_TOO_BIG, DP_ICMP_KINDS };

/*
 * May an ICMP error be sent about this IPv4 packet? No for ICMP errors, later fragments, group or
 * broadcast destinations and sources that are no host (RFC 1812 4.3.2.7).
 * @ip   IPv4 header, host bits checked by parse; `len` bytes are there (>= header length)
 */
bool dp_icmp_may_answer(const uint8_t *ip, uint16_t len);

/*
 * Write an ICMP error about `about` (an IPv4 packet of `about_len` bytes) at `out`: IPv4 header,
 * ICMP header and as much of the packet as fits in 576 bytes (RFC 1812 4.3.2.3).
 * @mtu    next hop MTU, for DP_ICMP_TOO_BIG (RFC 1191)
 * @src    our address, host order
 * @out    room for 576 bytes
 * Returns the length written.
 */
uint16_t dp_icmp_write(uint8_t *out, enum dp_icmp_error_kind kind, uint16_t mtu, uint32_t src,
		       const uint8_t *about, uint16_t about_len);

/*
 * Make an ICMP error about the packet `m` (data at the IPv4 header; borrowed, not changed), from
 * the address of the interface it came in by. The reply has next == DP_NEXT_FIB and
 * DP_PKT_CREATED, is counted as created, and belongs to the caller, who appends it to the burst.
 * NULL when none may be sent, the rate is used up, or no buffer is left. Worker thread.
 */
struct rte_mbuf *dp_icmp_error(struct dp_worker *w, const struct rte_mbuf *m,
			       enum dp_icmp_error_kind kind, uint16_t mtu);

#endif
