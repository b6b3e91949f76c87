/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two workers of one data plane, for tests that give one of them a burst and the other the same
 * packets one by one. What is compared is said in burst_test.c.
 */
#ifndef SPW_TESTS_DATAPLANE_BURST_BED_H
#define SPW_TESTS_DATAPLANE_BURST_BED_H

#include "dataplane/wire.h"
#include "tests/dataplane/fib_bed.h"
#include "tests/dataplane/yard.h"

#define ROUNDS 6000 /* of each test; with SPW_LONG=1 in the environment twenty times as many */
#define BYTES  72   /* of each packet that are there */
#define PORTS  3
#define OURS   0x0a020005u
#define PUNTED 64 /* of a worker's queue to the kernel */

enum { WAN_IF = 3, GONE_IF = 4, TWIN_TUN_IF = 20, TUN_IF = 21 };
enum { TUNNELS = 4 }; /* those that packets come out of */
enum { A1 = 1, A2, A_TAGS, A_PORT, A_GONE, A_SLOW, A_SILENT, NET, NO_PATH, WAYS = NO_PATH };

static const uint16_t way_iface[WAYS + 1] = {0,	      LAN_IF, ER_IF,  WAN_IF, WAN_IF,
					     GONE_IF, LAN_IF, LAN_IF, ER_IF,  LAN_IF};

/* Frames that a port was given. */
struct wire {
	uint16_t room, n;
	struct rte_mbuf *pkt[DP_BURST];
};

/* What one of the two workers has. */
struct side {
	struct dp_worker *w;
	struct rte_mbuf **pkt;
	struct rte_ring *punt;
	struct wire wire[PORTS];
	uint64_t own_in;
};

struct world {
	struct yard *y;
	struct dp_worker lone;
	struct rte_mbuf *copy[DP_BURST];
	struct side together, alone;
	void (*stage)(struct dp_worker *, struct dp_burst *);
	uint16_t n;
	struct dp_port port[PORTS];
	struct dp_l2 l2[WAYS + 1];
	uint64_t whole, parts, punted, sent, waited, one_way; /* seen */
};

static inline uint32_t
roll(struct world *o, uint32_t n)
{
	return yard_roll(o->y, n);
}

/* How many rounds a test takes. */
int world_rounds(void);
struct world *world_open(void (*stage)(struct dp_worker *, struct dp_burst *));
void world_close(struct world *o);
/* Both copies of packet `i`, as they are before the stage; `len` is what it says of itself. */
void world_packet(struct world *o, uint16_t i, const struct dp_pkt *p, const uint8_t ip[BYTES],
		  uint16_t headroom);
void world_random_ip(struct world *o, uint8_t ip[BYTES], bool ipv6);
/* One burst, of packets that were put, together and alone. */
void world_compare(struct world *o);
void world_dropped_for(const struct world *o, enum dp_drop reason);
void world_burst_size(struct world *o);

#endif
