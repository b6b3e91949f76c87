/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of stage parse share: a worker over two ports, and frames for it. */
#ifndef SPW_TESTS_DATAPLANE_PARSE_BED_H
#define SPW_TESTS_DATAPLANE_PARSE_BED_H

#include "dataplane/stages.h"
#include "tests/dataplane/esp_bed.h"

#define PORTS	2
#define PLAIN	1 /* interfaces of port 0: untagged, VLAN 100, QinQ 300/20, down */
#define TAGGED	2
#define DOUBLE	3
#define DOWN	4
#define OTHER	5 /* of port 1, role Internet */
#define OUR_V4	0x0a010001
#define SHORTER 60

extern const uint8_t bed_our_v6[16];

/* One worker over two ports. */
struct yard {
	struct dp_worker w;
	struct dp_worker_priv *priv;
	struct dp_port *port[PORTS];
	struct dp_iface *iface[OTHER + 1];
	struct rte_rcu_qsbr *qsbr;
};

void yard_open(struct yard *y);
void yard_close(struct yard *y);
/* Every rate of what goes up to the kernel has so many tokens. */
void yard_rates_fill(struct dp_worker_priv *p, uint32_t tokens);
/* An IPv4 frame in transit of `ip_len` bytes behind `tags_len` bytes of tags; returns its length.
 */
uint16_t bed_frame_v4(uint8_t *f, const uint8_t *tags, uint16_t tags_len, uint16_t ip_len);
/* A frame that is good but for some bytes, or noise all through; returns its length. */
uint16_t bed_noise(uint8_t *f);
/* The frame as received by a port. */
struct rte_mbuf *bed_received(const uint8_t *f, uint16_t len, uint16_t port);

#endif
