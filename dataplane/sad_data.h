/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to the SAD and the stages that use it: how SAs and tunnels lie in memory.
 *
 * One child SA is a struct dp_child (API thread) with an inbound and an outbound half, which the
 * workers see. Halves and outer headers are immutable once published except for the fields marked
 * otherwise, and are freed only after all workers have passed a quiescent state.
 */
#ifndef SPW_DATAPLANE_SAD_DATA_H
#define SPW_DATAPLANE_SAD_DATA_H

#include <rte_prefetch.h>
#include <rte_ring.h>
#include <rte_spinlock.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "dataplane/crypto/crypto.h"
#include "dataplane/crypto/keys.h"
#include "dataplane/outer.h"
#include "dataplane/replay.h"
#include "dataplane/sad.h"
#include "dataplane/selector.h"
#include "dataplane/spread_claim.h"
#include "dataplane/worker.h"

#define DP_ESP_HDR     8
#define DP_ESP_IV      DP_CRYPTO_IV
#define DP_ESP_FRONT   (DP_ESP_HDR + DP_ESP_IV) /* before the text */
#define DP_L2_ROOM     22			/* Ethernet with two tags */
#define DP_NO_LIMIT    UINT64_MAX
#define DP_SENDS_BITS  20
#define DP_FETCH_AHEAD 6  /* open: packets whose SA and key are fetched before their turn */
#define DP_SAS_AHEAD   24 /* seal: packets whose SA is fetched before its turn */

/* Limits of one direction; reached at `soft`, ended at `hard`; DP_NO_LIMIT = none. */
struct dp_sa_limits {
	uint64_t soft_bytes, hard_bytes;
	uint64_t soft_packets, hard_packets;
};

struct dp_child;

/* What a worker needs for every run comes first, in one cache line. */
struct dp_sa_out {
	dp_crypto_run_t seal;
	const struct dp_crypto_key *key;
	_Atomic(struct dp_outer *) outer; /* API thread writes (release), workers read (acquire) */
	const struct dp_selectors *sel;	  /* asked unless sel_pass says that it needs not be */
	struct dp_child *child;
	uint32_t spi_be;
	uint32_t slot;
	uint32_t tunnel;
	uint8_t iv_len, tag_len;
	uint8_t align;	  /* of the text */
	uint8_t sel_pass; /* dp_selectors_pass() */
	bool udp6;	  /* in UDP over IPv6: a checksum over the whole packet */
	/* Packets with one of these bits in their state must be held against the selectors. */
	uint32_t ask;
	/* Claimed by all workers. */
	_Atomic uint64_t seq __attribute__((aligned(64))); /* last number claimed */
	_Atomic uint64_t bytes;				   /* inner bytes claimed */
	/* The lowest limit: from it on, look at all of them; 0 = ended. Any thread ends; relaxed.
	 */
	_Atomic uint64_t watch_packets;
	uint64_t watch_bytes;
	/* Of what was claimed, what a limit refused. Any worker adds; relaxed. */
	_Atomic uint64_t refused_packets, refused_bytes;
	struct dp_outer first_outer; /* until the peer moves; beside what else a packet needs */
	/* Looked at when a limit is near. */
	struct dp_sa_limits limit;
	uint64_t seq_max; /* last number that may be sent */
	/* Where several workers share the SA: written by worker n. */
	struct dp_sa_out_count count[];
};

struct dp_sa_in {
	dp_crypto_run_t open;
	const struct dp_crypto_key *key;
	const struct dp_selectors *sel; /* asked unless sel_pass says that it needs not be */
	struct dp_child *child;
	_Atomic uint64_t remote; /* dp_peer_word() of the peer; API thread writes; relaxed */
	uint32_t spi;		 /* host order */
	uint32_t spi_be;
	uint32_t tunnel;
	uint32_t slot;
	uint8_t iv_len, tag_len;
	uint8_t align;	  /* of the text */
	uint8_t sel_pass; /* dp_selectors_pass() */
	bool esn;
	bool follow; /* tell when the peer's address or port changes */
	/*
	 * Written by the worker that holds `guard`; counters read by the API thread (relaxed). One
	 * ESP flow comes from one receive queue, so the guard is free but for the moments when a
	 * peer's packets change queues; with one worker it is not taken at all.
	 */
	rte_spinlock_t guard __attribute__((aligned(64)));
	_Atomic uint64_t packets, bytes;
	_Atomic uint64_t last_in_tsc;
	uint64_t moved_tsc;		     /* when the last peer-moved event was raised */
	uint64_t watch_packets, watch_bytes; /* the lowest limit: beyond it, look at all of them */
	/* Any worker adds (relaxed). */
	_Atomic uint64_t auth_failed __attribute__((aligned(64)));
	_Atomic uint64_t replayed, late;
	struct dp_sa_limits limit;
	struct dp_replay replay __attribute__((aligned(64))); /* must be last */
};

/* API thread only, except `raised`, `why`, and `out` for workers that end the SA. */
struct dp_child {
	/* Bit n: event n (enum spw_dp_sa_event_kind) was raised; HARD ends the SA. All threads. */
	_Atomic uint32_t raised __attribute__((aligned(64)));
	_Atomic uint8_t why[8]; /* enum spw_dp_sa_limit_kind by event */
	uint32_t delivered __attribute__((aligned(64)));
	uint32_t slot;
	uint32_t tunnel;
	uint32_t spi_in, spi_out;
	uint32_t encr, integ;
	struct spw_addr local, remote; /* outer, as they are now */
	uint16_t local_port, remote_port;
	uint32_t flags;
	uint32_t replay_window;
	uint64_t installed_ns;
	uint64_t ended_ns; /* 0 while the keys are there */
	struct spw_sa_limit seconds;
	struct dp_sa_in *in;
	/* NULL from before the grace on after which it is freed; a worker may hold `in` alone. */
	_Atomic(struct dp_sa_out *) out;
	struct dp_sa_out *out_gone; /* it is, until it is freed */
	struct dp_crypto_key *key_in, *key_out;
	struct dp_selectors sel;
	LIST_ENTRY(dp_child) all;
	LIST_ENTRY(dp_child) mates; /* of the tunnel */
};
LIST_HEAD(dp_child_list, dp_child);

/* SPIs of a tunnel. API thread only. */
struct dp_tunnel_spis {
	struct dp_child_list children;
	uint32_t allocated; /* and not installed */
};

/* Counters of one tunnel by one worker. */
struct dp_tunnel_count {
	_Atomic uint64_t in, own_in;	      /* `in` has all, the own ones too */
	_Atomic uint64_t own_out, violations; /* what is sent is counted by the SAs */
	_Atomic uint64_t asymmetric;	      /* about (asym.c) */
} __attribute__((aligned(64)));

/* What a worker needs to know of a tunnel; API thread writes, workers read. */
struct dp_tunnel {
	_Atomic(struct dp_sa_out *) out; /* the SA it sends on; release/acquire */
	_Atomic uint64_t fit;		 /* dp_fit_word(); 0 = no such tunnel. Relaxed. */
	_Atomic uint32_t outer_rule;	 /* dp_outer_rule(): what the outer header takes */
} __attribute__((aligned(32)));

/* The same, of all workers; API thread. */
struct dp_tunnel_sum {
	uint64_t in, own_in;
	uint64_t out, own_out, violations; /* `out` has all, the own ones too */
	uint64_t asymmetric;
};

enum dp_spi_state { DP_SPI_FREE, DP_SPI_ALLOCATED, DP_SPI_INSTALLED };

/* One value of the index bits. API thread only, except `early`. */
struct dp_spi_slot {
	uint32_t spi;
	uint32_t tunnel;
	uint32_t next; /* in the queue of free slots */
	uint8_t state;
	_Atomic bool
		early;	   /* a packet came before the SA, and that was noted; any worker sets it */
	uint64_t freed_ns; /* 0 = never used */
	uint64_t given_ns; /* allocated */
	struct dp_child *child;
};

#define DP_NOTE_PATH_MTU 32 /* beside enum spw_dp_sa_event_kind; ends in the SAD */

/* An event on its way from a worker to the API thread. */
struct dp_sa_note {
	uint32_t kind;
	uint32_t limit;	 /* PATH_MTU: outer bytes */
	uint32_t spi_in; /* PATH_MTU: the outbound one */
	uint16_t local_port, remote_port;
	uint8_t local[16];  /* PATH_MTU */
	uint8_t remote[16]; /* as in dp_pkt.outer_src */
};

/* What ICMP taught about the path of a tunnel. API thread only. */
struct dp_learnt_mtu {
	uint32_t mtu; /* inner bytes; 0 = nothing */
	uint64_t until_ns;
};

struct dp_once; /* sad_once.c */

struct dp_sad {
	/* Read by workers. */
	_Atomic(struct dp_sa_in *) *in; /* by index bits; release/acquire */
	/*
	 * By index bits: the SPI that was given out, from its allocation until its inbound half or
	 * the SPI itself goes; 0 = none. An SPI that is expected and has no SA waits for one.
	 */
	_Atomic uint32_t *expect;
	/*
	 * By a hash of the outbound SPI: how many SAs that send have one like it, so that quotes of
	 * packets that cannot be ours cost nobody anything (pmtu.c). Stays at 255 once there.
	 */
	_Atomic uint8_t *sends;
	struct dp_tunnel *tunnels;
	_Atomic uint32_t version; /* counts what dp_park_take() must look at; release/acquire */
	uint32_t index_mask;
	uint32_t max_tunnels;
	bool shared; /* more than one worker */
	struct rte_ring *events;
	struct dp_tunnel_count **tunnel_count; /* [worker][tunnel] */
	/* API thread. */
	unsigned int n_workers __attribute__((aligned(64)));
	struct rte_rcu_qsbr *qsbr;
	uint64_t (*clock)(void);
	struct dp_crypto *crypto;
	/* Apart, so that what sends keeps the memory that it touches close together. */
	struct dp_keys *keys_in, *keys_out;
	struct dp_once *once;
	struct dp_spi_slot *slots;
	uint32_t free_head, free_tail;
	uint32_t next_look; /* dp_sad_spi_tick() */
	uint32_t n_children;
	struct spw_dp_tunnel *tunnel_conf; /* [max_tunnels]; mtu 0 = none */
	struct dp_tunnel_sum *tunnel_base; /* [max_tunnels] counters when the tunnel was made */
	uint64_t *sent_before;		   /* [max_tunnels] packets of outbound SAs that are gone */
	struct dp_learnt_mtu *learnt;	   /* [max_tunnels] */
	uint64_t learnt_until_ns;	   /* the first of them ends; 0 = there is none */
	struct dp_child_list children;
	struct dp_tunnel_spis *spis; /* [max_tunnels] */
};

/* Wait until no worker holds anything that was unpublished before the call. API thread. */
void dp_sad_grace(struct dp_sad *sad);
/* The child of an inbound SPI; NULL when there is none. API thread. */
struct dp_child *dp_sad_child(const struct dp_sad *sad, uint32_t spi_in);
/* Give a slot's SPI back; its index rests for DP_SPI_REST_NS. API thread. */
void dp_sad_slot_free(struct dp_sad *sad, uint32_t slot);
/* Look at some slots: free SPIs that were allocated long ago and never installed. API thread. */
void dp_sad_spi_tick(struct dp_sad *sad, uint64_t now_ns);
/* Take a child out of service, wait for grace, wipe and free it. API thread. */
void dp_sad_child_remove(struct dp_sad *sad, struct dp_child *c);
/* Take one direction out of service (the caller waits for grace, then frees). API thread. */
void dp_sad_unpublish(struct dp_sad *sad, struct dp_child *c, uint32_t parts);
/* Tell the workers' parks that an inbound SA came or went, after it did. API thread. */
void dp_sad_changed(struct dp_sad *sad);
/* A tunnel is new under its number: its counters begin (sad_stats.c). API thread. */
void dp_sad_counts_begin(struct dp_sad *sad, uint32_t tunnel);
/*
 * What a tunnel takes (sad_mtu.c), API thread: publish it after its configuration changed; forget
 * what was learnt; take a note of kind DP_NOTE_PATH_MTU; let what is old go; say so when an SA that
 * carries IPv6 was installed in a tunnel that is too small for it.
 */
void dp_sad_mtu_apply(struct dp_sad *sad, uint32_t tunnel);
void dp_sad_mtu_forget(struct dp_sad *sad, uint32_t tunnel);
void dp_sad_mtu_heard(struct dp_sad *sad, const struct dp_sa_note *note);
void dp_sad_mtu_tick(struct dp_sad *sad, uint64_t now_ns);
void dp_sad_mtu_installed(const struct dp_sad *sad, const struct dp_child *c);

/*
 * The set of keys that were ever installed. -EEXIST from dp_once_add() when this key material was
 * seen before.
 */
struct dp_once *dp_once_new(void);
void dp_once_free(struct dp_once *o);
bool dp_once_has(const struct dp_once *o, const uint8_t *key, uint32_t len);
int dp_once_add(struct dp_once *o, const uint8_t *key, uint32_t len)
	__attribute__((warn_unused_result));

/*
 * A peer's address (as in dp_pkt.outer_src) and port in one word, to be compared: exact for IPv4,
 * folded for IPv6.
 */
static inline uint64_t
dp_peer_word(const uint8_t addr[16], uint16_t port)
{
	uint64_t hi, lo;

	memcpy(&hi, addr, 8);
	memcpy(&lo, addr + 8, 8);
	return (hi * UINT64_C(0x9e3779b97f4a7c15)) ^ lo ^ (uint64_t)port << 16;
}

static inline uint64_t
dp_peer_of(const struct spw_addr *addr, uint16_t port)
{
	uint8_t mapped[16];

	spw_addr_to_mapped(addr, mapped);
	return dp_peer_word(mapped, port);
}

/* Add to a counter of which this thread is the only writer. */
static inline void
dp_count(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t was = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, was + n, memory_order_relaxed);
}

static inline uint64_t
dp_counted(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Raise an event of a child once; later calls do nothing. Any thread. */
void dp_child_raise(struct dp_sad *sad, struct dp_child *c, uint32_t spi_in,
		    enum spw_dp_sa_event_kind kind, enum spw_dp_sa_limit_kind limit);

/*
 * A packet came on an SPI that is expected and has no SA: note that once for each time the SPI is
 * given out. Any worker.
 */
void dp_sad_early(struct dp_sad *sad, uint32_t spi);

static inline bool
dp_child_raised(const struct dp_child *c, enum spw_dp_sa_event_kind kind)
{
	return (atomic_load_explicit(&c->raised, memory_order_relaxed) & 1u << kind) != 0;
}

/* Has a hard limit ended the SA? Its keys must not be used then. */
static inline bool
dp_child_ended(const struct dp_child *c)
{
	return dp_child_raised(c, SPW_SA_EV_HARD);
}

static inline uint64_t
dp_sa_out_watch(const struct dp_sa_out *sa)
{
	return atomic_load_explicit(&sa->watch_packets, memory_order_relaxed);
}

/* The same of its outbound half, from the line that its claims write anyway. Workers. */
static inline bool
dp_sa_out_ended(const struct dp_sa_out *sa)
{
	return dp_sa_out_watch(sa) == 0;
}

/*
 * Bring near what sealing a packet touches of a tunnel's SA: three lines in a row, unless the peer
 * has moved. Workers.
 */
static inline void
dp_sa_out_fetch(const struct dp_tunnel *t)
{
	const struct dp_sa_out *sa = atomic_load_explicit(&t->out, memory_order_relaxed);

	if (unlikely(sa == NULL))
		return;
	rte_prefetch0(sa);
	rte_prefetch0(&sa->seq);
	rte_prefetch0(&sa->first_outer);
}

/* Packets sent on an SA: what was claimed without what was refused, which never passes it. */
static inline uint64_t
dp_sa_out_sent(const struct dp_sa_out *sa)
{
	uint64_t refused = dp_counted(&sa->refused_packets);

	return dp_counted(&sa->seq) - refused;
}

/* The inbound SA with this SPI (host order); NULL when there is none. Workers. */
static inline struct dp_sa_in *
dp_sad_find(const struct dp_sad *sad, uint32_t spi)
{
	/* Partner: dp_sad_install(). */
	struct dp_sa_in *sa =
		atomic_load_explicit(&sad->in[spi & sad->index_mask], memory_order_acquire);

	return sa != NULL && sa->spi == spi ? sa : NULL;
}

/* Slot of an outbound SPI in dp_sad.sends. */
static inline uint32_t
dp_sends_slot(uint32_t spi)
{
	return spi * UINT32_C(0x9e3779b1) >> (32 - DP_SENDS_BITS);
}

/* May there be an outbound SA with this SPI? No is certain. Workers. */
static inline bool
dp_sad_sends(const struct dp_sad *sad, uint32_t spi)
{
	return atomic_load_explicit(&sad->sends[dp_sends_slot(spi)], memory_order_relaxed) != 0;
}

/*
 * Is an SA with this SPI to come? Ask after dp_sad_find() found none: what ends an SA takes the
 * expectation away first. Workers.
 */
static inline bool
dp_sad_expects(const struct dp_sad *sad, uint32_t spi)
{
	/* Partner: dp_sad_spi_alloc(). */
	return spi != 0 && atomic_load_explicit(&sad->expect[spi & sad->index_mask],
						memory_order_acquire) == spi;
}

/* Take dropped packets (NULL) out of a burst, keeping the order. */
static inline void
dp_burst_compact(struct dp_burst *b)
{
	uint16_t n = 0;

	for (uint16_t i = 0; i < b->n; i++)
		if (b->pkt[i] != NULL)
			b->pkt[n++] = b->pkt[i];
	b->n = n;
}

#endif
