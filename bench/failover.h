/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to bench-failover: numbered traffic through a gateway, and what became of it. */
#ifndef SPW_BENCH_FAILOVER_H
#define SPW_BENCH_FAILOVER_H

#include "bench/gateway.h"
#include "dataplane/crypto/crypto.h"

#define FO_SIZES 3    /* 1, 10,000 and 1,000,000 prefixes, each behind an ExpressRoute port */
#define FO_FLOWS 1024 /* destinations of a stream */
#define FO_INNER 128  /* bytes of an inner packet */
#define FO_KEPT	 2048 /* newest packets that are kept for judging */

/* What is behind one next hop: so many prefixes of a family. */
struct fo_side {
	bool six;
	unsigned int size; /* 0..FO_SIZES-1 */
	uint32_t prefixes;
	unsigned int port; /* of ExpressRoute */
	uint32_t path;
	uint32_t group;
	uint8_t frame[FO_FLOWS][14 + FO_INNER];
};

/* Prefix number `i` of a side. */
struct spw_prefix fo_prefix(const struct fo_side *s, uint32_t i);
/* Fill in the frames of a side's stream: flows spread over its prefixes. */
void fo_frames(const struct bg *g, struct fo_side *s);

struct fo_packet {
	struct rte_mbuf *m;
	uint64_t tsc; /* when it was with the port */
	unsigned int port;
};

/* The stream that runs, and its newest packets in the order in which they left. One thread. */
struct fo_tap {
	struct bg *g;
	const struct bg_sa *sa;
	const struct fo_side *side;
	struct dp_crypto *crypto; /* of the peer who opens */
	uint64_t number;	  /* of the next packet */
	uint64_t taken;
	struct fo_packet kept[FO_KEPT];
};

void fo_tap_init(struct fo_tap *t, struct bg *g, const struct bg_sa *sa);
void fo_tap_free(struct fo_tap *t);
/* Begin another stream; what was kept goes. */
void fo_tap_start(struct fo_tap *t, const struct fo_side *side);
/*
 * One burst of DP_BURST packets: into the LAN port, out of it, through the pipeline, and off the
 * ports that it left by. True when one left by `port`; *sent is the TSC when all were with their
 * ports.
 */
bool fo_tap_burst(struct fo_tap *t, unsigned int port, uint64_t *sent);

struct fo_verdict {
	uint64_t packets, lost, duplicated, foreign;
	uint64_t overtaken; /* by how many numbers the most overtaken packet came late */
	uint64_t old_path;  /* packets that left by `port` after the event */
};
/* Judge what is kept, opening what went through the tunnel; `port` and `since`: see old_path. */
struct fo_verdict fo_tap_judge(struct fo_tap *t, unsigned int port, uint64_t since);

#endif
