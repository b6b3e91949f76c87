/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: one BFD session as a state machine (RFC 5880 6.8), without I/O, clock or
 * memory of its own. Times are nanoseconds that only ever advance, from any start. One thread at a
 * time.
 */
#ifndef SPW_DATAPLANE_BFD_H
#define SPW_DATAPLANE_BFD_H

#include "dataplane/bfd_packet.h"

#define DP_BFD_SLOW_US	   1000000		 /* at least, while not up (RFC 5880 6.8.3) */
#define DP_BFD_PATIENCE_NS (100 * SPW_NS_PER_MS) /* for a listener that stands still */
#define DP_BFD_NEVER	   UINT64_MAX

/* RFC 5880 4.1. */
enum dp_bfd_diag {
	DP_BFD_DIAG_NONE = 0,
	DP_BFD_DIAG_EXPIRED = 1,   /* detection time */
	DP_BFD_DIAG_NEIGHBOUR = 3, /* the peer signalled down */
	DP_BFD_DIAG_ADMIN = 7,
};

/* What is configured. */
struct dp_bfd_params {
	uint32_t min_tx_us, min_rx_us;
	uint8_t mult;
	bool admin_down;
};

struct dp_bfd {
	struct dp_bfd_params want;
	uint64_t chance; /* state of the generator for jitter */
	uint32_t local_disc, remote_disc;
	uint8_t state, remote_state; /* enum spw_bfd_state */
	uint8_t diag, remote_diag;
	uint8_t remote_mult;
	bool remote_demand;
	bool poll;	 /* a Poll Sequence is under way */
	bool poll_again; /* its parameters changed: the next Final may be about the old ones */
	bool urgent;	 /* send without waiting: the content changed */
	bool heard;	 /* the detection time runs */
	uint32_t desired_tx_us, required_rx_us; /* as told to the peer */
	/* In use instead of these until the Poll Sequence ends, 0 = none (RFC 5880 6.8.3). */
	uint32_t held_tx_us, held_rx_us;
	uint32_t remote_min_tx_us, remote_min_rx_us;
	uint64_t sent_ns, heard_ns;
	uint32_t jitter; /* of the wait for the next packet, in 1/1024 */
	bool was_up;
	uint64_t changed_ns, last_rx_ns; /* 0 = never */
	uint64_t rx, tx, bad, ups, downs, gap_max_ns;
};

/* What an input or a tick did; bits. */
enum dp_bfd_did {
	DP_BFD_CHANGED = 1u << 0, /* the state */
	DP_BFD_LOST = 1u << 1,	  /* it was up and is not: a verdict on the path */
	DP_BFD_ANSWER = 1u << 2,  /* send a packet with the Final bit at once */
	DP_BFD_REFUSED = 1u << 3, /* the packet was discarded and counted as bad */
};

/*
 * @disc    our discriminator, unique and not 0
 * @chance  any number: seeds the jitter
 */
void dp_bfd_init(struct dp_bfd *b, const struct dp_bfd_params *want, uint32_t disc, uint64_t chance,
		 uint64_t now_ns);
/* Take other parameters while the session goes on. Returns bits; never LOST. */
unsigned int dp_bfd_set(struct dp_bfd *b, const struct dp_bfd_params *want, uint64_t now_ns);
/* A packet that dp_bfd_parse() found good, for this session by addresses. Returns bits. */
unsigned int dp_bfd_input(struct dp_bfd *b, const struct dp_bfd_packet *p, uint64_t rx_ns,
			  uint64_t now_ns);
/*
 * Look at the detection time.
 * @listened_ns  until when received packets are known: a silence that nobody listened to is none,
 *               for DP_BFD_PATIENCE_NS at most
 * Returns bits.
 */
unsigned int dp_bfd_tick(struct dp_bfd *b, uint64_t now_ns, uint64_t listened_ns);
/* Is a packet due? */
bool dp_bfd_due(const struct dp_bfd *b, uint64_t now_ns);
/* The packet to send now; with `final` the answer to a Poll, which no timer counts. */
struct dp_bfd_packet dp_bfd_output(struct dp_bfd *b, bool final, uint64_t now_ns);
/* When to look again, DP_BFD_NEVER = not before something comes. */
uint64_t dp_bfd_deadline(const struct dp_bfd *b);

/* Transmit interval now, before jitter; 0 = no periodic packets (RFC 5880 6.8.7). */
uint64_t dp_bfd_interval_us(const struct dp_bfd *b);
/* Detection time now (RFC 5880 6.8.4); 0 = not known. */
uint64_t dp_bfd_detect_us(const struct dp_bfd *b);

#endif
