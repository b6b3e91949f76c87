/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the stages of the pipeline and the state of a worker that they share.
 * A stage keeps, drops, mirrors or hands off; what it keeps stays in the burst, in order.
 */
#ifndef SPW_DATAPLANE_STAGES_H
#define SPW_DATAPLANE_STAGES_H

#include <rte_ethdev.h>

#include "dataplane/bell.h"
#include "dataplane/classify.h"
#include "dataplane/fib.h"
#include "dataplane/fib6.h"
#include "dataplane/group.h"
#include "dataplane/neigh.h"
#include "dataplane/packet.h"
#include "dataplane/path_bits.h"
#include "dataplane/rate.h"
#include "dataplane/tables.h"
#include "dataplane/worker.h"

#define DP_PENDING_SLOTS 64 /* next hops with waiting packets, for each worker */
#define DP_PENDING_PKTS	 32 /* packets that may wait for one next hop: 3 ms of 10,000 packets/s */
#define DP_PUNT_RING	 4096
#define DP_TWIN_RING	 1024
#define DP_EVENT_RING	 1024
#define DP_PORT_NONE	 UINT16_MAX
#define DP_ROUNDS	 3 /* inner, outer, and the outer of an ICMP error made on the way */

enum dp_worker_event_kind { DP_EVENT_NEIGH_MISS, DP_EVENT_SWITCHED };
/* What a worker tells the API thread. */
struct dp_worker_event {
	uint32_t kind;
	uint32_t group;
	uint8_t addr[16]; /* NEIGH_MISS: IPv4 mapped */
	uint16_t path;
	uint16_t iface;
	uint64_t tsc;
	uint8_t tag; /* SWITCHED: of the group, as the packet saw it */
	uint8_t pad[7];
};

/* Queues that a worker polls; published by the API thread. */
struct dp_rxq_list {
	uint32_t n;
	bool physical; /* all of them are NICs: busy polling is worth it */
	struct dp_rxq {
		uint16_t dpdk_id;
		uint16_t queue;
	} q[];
};

struct dp_path_counters {
	uint64_t packets, bytes;
};

/* What has gone over a path, about: by the packets that were looked at (stage_path.c). */
struct dp_path_load {
	uint64_t bytes[SPW_DP_CLASSES];
};

/* Packets gathered for one port during a burst. */
struct dp_tx_buffer {
	uint16_t n;
	struct rte_mbuf *pkt[DP_BURST_ROOM];
};

/* Packets that wait until a next hop's MAC is known. */
struct dp_pending {
	struct dp_neigh_key key; /* interface 0 = never used */
	uint64_t since_tsc;
	uint64_t asked_tsc;
	uint32_t n;
	struct rte_mbuf *pkt[DP_PENDING_PKTS];
};

/*
 * The way of a group's packets, when all of them go one. In the worker's table (way_cache.h) it
 * holds while `epoch` is the burst's.
 */
struct dp_way {
	uint32_t epoch;
	uint16_t path;
	uint16_t tunnel;
	uint16_t iface_out;
	uint8_t next;  /* enum dp_next */
	uint8_t flags; /* DP_PKT_* to set */
	uint8_t unused[2];
	uint16_t kinds; /* DP_KIND_* to set in the burst */
};
_Static_assert(sizeof(struct dp_way) == 16, "four to a cache line");

/* Private state of a worker (dp_worker.priv), written by it alone but where it says else. */
struct dp_worker_priv {
	_Atomic(struct dp_rxq_list *) rxqs; /* API thread publishes */
	struct dp_path_view view;	    /* renewed once per burst */
	struct dp_path_counters *path;	    /* [SPW_DP_PATHS_MAX] */
	struct dp_path_load *load;	    /* [SPW_DP_PATHS_MAX] */
	uint32_t chance;		    /* dp_chance() */
	struct dp_way *way;		    /* [DP_GROUPS_MAX] */
	uint16_t *seen_tier;		/* [DP_GROUPS_MAX] tag << 8 | tier + 1 of the last packet */
	struct rte_ring *to_punt;	/* mbufs for twins */
	struct rte_ring *from_punt;	/* mbufs from twins */
	struct rte_ring *events;	/* struct dp_worker_event to the API thread */
	struct rte_ring *to_monitor;	/* struct dp_monitor_note */
	struct rte_ring *from_monitor;	/* mbufs to send */
	struct dp_monitor_wants *wants; /* NULL: there is no monitor */
	struct dp_bell *punt_bell;
	struct dp_bell *api_bell;
	const _Atomic int *stop;
	bool busy_polling; /* never sleep, whatever the ports are */
	bool adaptive;	   /* always sleep when idle; neither: by the kind of ports */
	bool ring_punt;	   /* something was put into to_punt since the bell was rung */
	bool ring_api;
	/* Everything for the kernel, by the role of the interface whose twin gets it. */
	struct dp_rate punt_rate[SPW_IF_ROLE_TUNNEL + 1];
	struct dp_rate up_rate[DP_UP_KINDS]; /* of it, what comes from the Internet in the clear */
	struct dp_rate icmp_rate[2];
	struct dp_rate ask_rate; /* neighbour events */
	uint32_t neigh_changes;
	uint64_t pending_check_tsc;
	uint64_t hz;
	struct dp_pending pending[DP_PENDING_SLOTS];
	struct dp_tx_buffer tx[RTE_MAX_ETHPORTS];
};

static inline struct dp_worker_priv *
dp_priv(const struct dp_worker *w)
{
	return w->priv;
}

/* A number by lot, evenly from all of 32 bits; the upper ones are good. */
static inline uint32_t
dp_chance(const struct dp_worker *w)
{
	struct dp_worker_priv *p = dp_priv(w);

	p->chance = p->chance * 1664525u + 1013904223u;
	return p->chance;
}

/* The kinds of a packet that goes into a tunnel. Whoever sets next SEAL sets them in the burst. */
static inline uint16_t
dp_tunnel_kinds(const struct dp_tables *t, uint32_t tunnel)
{
	bool shaped = tunnel < DP_TUNNELS_MAX &&
		      atomic_load_explicit(&t->tunnel_shape[tunnel], memory_order_relaxed);

	return (uint16_t)(DP_KIND(DP_NEXT_SEAL) | (shaped ? DP_KIND_SHAPED : 0));
}

/* The kinds of a packet whose next has been set; whether it fits its way has yet to be asked. */
static inline uint16_t
dp_pkt_kinds(const struct dp_tables *t, const struct dp_pkt *p)
{
	return (uint16_t)(DP_KIND_FIT | (p->next == DP_NEXT_SEAL ? dp_tunnel_kinds(t, p->tunnel)
								 : DP_KIND(p->next)));
}

/* Received frames (data at the Ethernet header, port in the mbuf) become IP packets with next OPEN
 * or FIB; what is for the kernel is mirrored. */
void dp_stage_parse(struct dp_worker *w, struct dp_burst *b);
/* Frames from twins (iface_in set): out of their interface, into their tunnel, or to the FIB. */
void dp_stage_twin(struct dp_worker *w, struct dp_burst *b);
/* Decrypted packets: those for the gateway itself go up, the others count for their tunnel. */
void dp_stage_deliver(struct dp_worker *w, struct dp_burst *b);
/* TTL of forwarded packets, before the FIB; time exceeded is answered (reply appended). */
void dp_stage_ttl(struct dp_worker *w, struct dp_burst *b);
/* FIB: look the destination up. Next: PATH. */
void dp_stage_fib(struct dp_worker *w, struct dp_burst *b);
/* PATH: choose a path of the group. Next: ADJ or SEAL. */
void dp_stage_path(struct dp_worker *w, struct dp_burst *b);
/* SEAL, marked DP_KIND_SHAPED: keep tunnels within their capacity, by class. */
void dp_stage_shape(struct dp_worker *w, struct dp_burst *b);
/* OUTER: look the destination up and choose a path, once for each run. Next: ADJ. */
void dp_stage_outer(struct dp_worker *w, struct dp_burst *b);
/* ADJ: write the Ethernet header, or let the packet wait for it. Next: TX. */
void dp_stage_adjacency(struct dp_worker *w, struct dp_burst *b);
/* TX: give the frames to the ports. The burst is empty afterwards. */
void dp_stage_tx(struct dp_worker *w, struct dp_burst *b);

/* What the monitor sends: its way is resolved. Next: TX or SEAL. */
void dp_stage_monitor(struct dp_worker *w, struct dp_burst *b);

/* Received frames, through all stages. */
void dp_pipeline_rx(struct dp_worker *w, struct dp_burst *b);
/* What came before its SA (dp_park_take()), from open on. */
void dp_pipeline_parked(struct dp_worker *w, struct dp_burst *b);
/* Frames from the kernel. */
void dp_pipeline_twin(struct dp_worker *w, struct dp_burst *b);
/* Packets of the monitor. */
void dp_pipeline_monitor(struct dp_worker *w, struct dp_burst *b);
/* Packets whose cipher work is done (spread.c), from there on; returns how many, 0 when none is. */
uint32_t dp_pipeline_back(struct dp_worker *w, struct dp_burst *b);
/* Packets that waited for a sequence number, from seal on. */
void dp_pipeline_again(struct dp_worker *w, struct dp_burst *b);
/* Packets whose neighbour has become known: the end of the pipeline. */
void dp_pipeline_resume(struct dp_worker *w, struct dp_burst *b);

/*
 * Give a frame (Ethernet) to the twin of interface `iface`; counts, or drops when the queue is
 * full, the rate is used up or there is no twin.
 */
void dp_mirror_frame(struct dp_worker *w, struct rte_mbuf *m, uint16_t iface);
/* The same for an IP packet: TAP twins get an Ethernet header made up for them. */
void dp_mirror_ip(struct dp_worker *w, struct rte_mbuf *m, uint16_t iface);
/* The Ethernet header alone, where the twin wants one. False when there is no room. */
bool dp_mirror_frame_up(struct dp_worker *w, struct rte_mbuf *m, uint16_t iface);
/*
 * An IP packet to one of our addresses that would go to the twin of `iface`: hand it to the monitor
 * when that wants it. False: it does not, and the packet is as it was.
 */
bool dp_monitor_take(struct dp_worker *w, struct rte_mbuf *m, uint16_t iface);

/*
 * Let waiting packets go whose next hop is known now (appended to `b`, next ADJ) and drop those
 * that waited too long. Called by the worker's loop.
 */
void dp_pending_check(struct dp_worker *w, struct dp_burst *b);
/* Drop all waiting packets; when the worker ends. */
void dp_pending_flush(struct dp_worker *w);

/* Tell the API thread; false when its queue is full. */
static inline bool
dp_worker_tell(struct dp_worker *w, const struct dp_worker_event *ev)
{
	struct dp_worker_priv *p = dp_priv(w);

	if (rte_ring_sp_enqueue_elem(p->events, (void *)(uintptr_t)ev, sizeof(*ev)) != 0)
		return false;
	p->ring_api = true;
	return true;
}

#endif
