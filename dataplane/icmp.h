/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: ICMP and ICMPv6 errors made by the workers. */
#ifndef SPW_DATAPLANE_ICMP_H
#define SPW_DATAPLANE_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"

enum dp_icmp_error_kind { DP_ICMP_TIME_EXCEEDED, DP_ICMP_TOO_BIG, DP_ICMP_KINDS };

#define DP_ICMP_MAX  576  /* bytes of an IPv4 error (RFC 1812 4.3.2.3) */
#define DP_ICMP6_MAX 1280 /* bytes of an IPv6 error (RFC 4443 2.4 c) */

/*
 * May an ICMP error be sent about this IPv4 packet? No for ICMP errors, later fragments, group or
 * broadcast destinations and sources that are no host (RFC 1812 4.3.2.7).
 * @ip   IPv4 header, host bits checked by parse; `len` bytes are there (>= header length)
 */
bool dp_icmp_may_answer(const uint8_t *ip, uint16_t len);
/*
 * The same for an IPv6 packet (RFC 4443 2.4 e): no for ICMPv6 errors and redirects, for packets
 * whose chain of headers does not show that they are none, for sources that are no host, and for
 * group destinations unless they were too big.
 * @ip   IPv6 header; `len` bytes are there (>= 40)
 */
bool dp_icmp6_may_answer(enum dp_icmp_error_kind kind, const uint8_t *ip, uint16_t len);

/*
 * Write an ICMP error about `about` (an IPv4 packet of `about_len` bytes) at `out`: IPv4 header,
 * ICMP header and as much of the packet as fits.
 * @mtu    next hop MTU, for DP_ICMP_TOO_BIG (RFC 1191)
 * @src    our address, host order
 * @out    room for DP_ICMP_MAX bytes
 * Returns the length written.
 */
uint16_t dp_icmp_write(uint8_t *out, enum dp_icmp_error_kind kind, uint16_t mtu, uint32_t src,
		       const uint8_t *about, uint16_t about_len);
/* The same about an IPv6 packet. @out  room for DP_ICMP6_MAX bytes */
uint16_t dp_icmp6_write(uint8_t *out, enum dp_icmp_error_kind kind, uint16_t mtu,
			const uint8_t src[16], const uint8_t *about, uint16_t about_len);

/*
 * Make an ICMP error about the packet `m` (data at the IP header, of the family that DP_PKT_IPV6
 * tells; borrowed, not changed), from the address of the interface it came in by. The reply has
 * next == DP_NEXT_FIB and DP_PKT_CREATED, is counted as created, and belongs to the caller, who
 * appends it to the burst. One about a packet of the kernel's goes up by the packet's twin instead.
 * NULL then, and when none may be sent, the rate is used up, or no buffer is left. Worker thread.
 */
struct rte_mbuf *dp_icmp_error(struct dp_worker *w, const struct rte_mbuf *m,
			       enum dp_icmp_error_kind kind, uint16_t mtu);

#endif
