/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: traffic selectors of an SA as a worker reads them. Pure, IPv4. */
#ifndef SPW_DATAPLANE_SELECTOR_H
#define SPW_DATAPLANE_SELECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

/* One range; all in host order, both ends belong to it. protocol 0 = any. */
struct dp_selector {
	uint32_t low, high;
	uint16_t port_low, port_high; /* ICMP: type << 8 | code */
	uint8_t protocol;
};

/* The selectors of one child SA; does not change once an SA holds it. */
struct dp_selectors {
	bool any; /* every IPv4 packet matches: nothing else needs a look */
	uint8_t n_local, n_remote;
	struct dp_selector local[SPW_SA_SELECTORS];
	struct dp_selector remote[SPW_SA_SELECTORS];
};

/* What selectors look at in a packet, host order. */
struct dp_selector_key {
	uint32_t src, dst;
	uint16_t src_port, dst_port; /* ICMP: type << 8 | code in both */
	uint8_t protocol;
	bool has_ports; /* false: a later fragment, or a protocol without ports */
};

/*
 * Take the selectors of a child SA. Those of IPv6 are checked and left out: no IPv4 packet matches
 * them. -EINVAL with a sentence for ranges upside down, of mixed or no family, or a count that does
 * not fit.
 */
int dp_selectors_set(struct dp_selectors *s, const struct spw_sa_desc *sa, struct spw_err *err)
	__attribute__((warn_unused_result));
/*
 * Read the key of an IPv4 packet whose header has been checked.
 * @ip   the header; `len` bytes of packet are there, at least the whole header
 */
void dp_selector_key_read(struct dp_selector_key *k, const uint8_t *ip, uint32_t len);
/* Does a packet that leaves (source on our side) or arrives (source on the peer's) match? */
bool dp_selectors_match_out(const struct dp_selectors *s, const struct dp_selector_key *k);
bool dp_selectors_match_in(const struct dp_selectors *s, const struct dp_selector_key *k);

#endif
