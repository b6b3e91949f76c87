/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the part of the punt thread that watches paths.
 *
 * A user of it (BFD sessions, probes) is attached before the threads start:
 *
 *	static const struct dp_monitor_user probes = {.ctx = p, .input = .., .tick = ..};
 *	dp_monitor_attach(monitor, DP_MONITOR_PROBES, &probes);
 *
 * Its callbacks run on the punt thread, under the monitor's lock, and must be short: no allocation,
 * no logging that a stranger can cause. The API thread changes and reads what belongs to the user
 * between dp_monitor_lock() and dp_monitor_unlock(), and calls dp_monitor_wake() afterwards when a
 * deadline may have come nearer. Nothing else is taken while the lock is held but the lock of the
 * path bits.
 *
 * In each turn the packets received so far are given to `input` first, then `tick` is called: a
 * thread that was kept from running finds the answers that came meanwhile before it judges.
 */
#ifndef SPW_DATAPLANE_MONITOR_H
#define SPW_DATAPLANE_MONITOR_H

#include "dataplane/monitor_ring.h"
#include "dataplane/stages.h"

#define DP_MONITOR_NEVER UINT64_MAX

struct dp_monitor;

struct dp_monitor_in {
	const uint8_t *ip; /* an IP packet to one of our addresses, in one piece, header checked */
	uint32_t len;
	uint32_t tunnel; /* it came out of; SPW_DP_ADDR_NONE: none */
	uint16_t iface;	 /* it came in by; of a tunnel its interface, or DP_NO_IFACE */
	uint64_t rx_ns;	 /* CLOCK_MONOTONIC when a worker received it */
};

/* A packet that did not leave. */
struct dp_monitor_refusal {
	const uint8_t *ip; /* as it was given to dp_monitor_send() */
	uint32_t len;
	enum dp_drop why;
	uint32_t mtu; /* TOO_BIG: IP bytes that would have fitted */
};

struct dp_monitor_user {
	void *ctx;
	/* False: not for this user after all; the packet goes up to the kernel. */
	bool (*input)(void *ctx, const struct dp_monitor_in *in);
	/* NULL: does not want to know. Packets dropped behind the worker's resolving are not told:
	 * link down, transmit queue full. */
	void (*refused)(void *ctx, const struct dp_monitor_refusal *r);
	/* Do what is due at `now_ns`; returns when to be called again, DP_MONITOR_NEVER = never.
	 * Called in every turn, also before that time. */
	uint64_t (*tick)(void *ctx, uint64_t now_ns);
};

/* One way out. */
struct dp_monitor_way {
	uint32_t path; /* adjacency or tunnel, whatever its bit says; SPW_DP_ADDR_NONE: next hop */
	uint16_t iface;
	struct spw_addr hop;
};

struct dp_monitor_config {
	struct dp_worker *const *worker; /* borrowed; filled in before the start */
	unsigned int n_workers;
	struct rte_mempool *pool; /* of everybody */
	uint16_t mbuf_size;	  /* packet bytes in a buffer */
	struct dp_bell *bell;	  /* of the punt thread */
};

/* 0 or -errno with a sentence. The caller frees with dp_monitor_free(), after all threads ended. */
int dp_monitor_new(struct dp_monitor **out, const struct dp_monitor_config *config,
		   struct spw_err *err) __attribute__((warn_unused_result));
void dp_monitor_free(struct dp_monitor *m);
/* Attach a user; what `user` points to is copied. Before the punt thread starts. */
void dp_monitor_attach(struct dp_monitor *m, enum dp_monitor_user_id id,
		       const struct dp_monitor_user *user);
/* For struct dp_worker_config. */
struct dp_monitor_wants *dp_monitor_wants(struct dp_monitor *m);

/* API thread: guard what the punt thread uses, and make it look at deadlines anew. */
void dp_monitor_lock(struct dp_monitor *m);
void dp_monitor_unlock(struct dp_monitor *m);
void dp_monitor_wake(struct dp_monitor *m);

/* API thread: a session over the interface came (1) or went (-1). */
void dp_monitor_want_bfd(struct dp_monitor *m, uint16_t iface, int by);
/*
 * API thread: echo replies to us with an identifier of `n` from `icmp` on, UDP to us on a port of
 * `n_udp` from `udp` on, and ICMP errors to us about packets with these as echo identifier or UDP
 * source port go to DP_MONITOR_PROBES. None with n 0.
 */
void dp_monitor_want_probes(struct dp_monitor *m, uint16_t icmp, uint16_t n, uint16_t udp,
			    uint16_t n_udp);

/*
 * Send one IP packet, complete with checksums, along one way: it meets no FIB and no path group,
 * and is counted as created, in a tunnel among the gateway's own packets. Punt thread, from a
 * callback. It goes even when the ordinary packet buffers are used up.
 * 0, -ENOBUFS when the buffers kept for that are used up, too, -EMSGSIZE when no buffer holds it.
 */
int dp_monitor_send(struct dp_monitor *m, enum dp_monitor_user_id user,
		    const struct dp_monitor_way *way, const uint8_t *ip, uint32_t len)
	__attribute__((warn_unused_result));

/*
 * Until when every worker has looked at its receive queues, CLOCK_MONOTONIC: silence after that is
 * ours, not the peer's. Punt thread.
 */
uint64_t dp_monitor_listened_ns(const struct dp_monitor *m);

/* For the punt thread: takes a packet that `input` did not want, a frame for the twin named in its
 * metadata. It has met no rate limit. */
typedef void dp_monitor_up(void *ctx, unsigned int worker, struct rte_mbuf *m);
/*
 * One turn: packets, then ticks. Consumed packets are added to count[worker].mirrored. Returns when
 * the next turn is due. Punt thread.
 */
uint64_t dp_monitor_turn(struct dp_monitor *m, struct dp_worker_counters *count, dp_monitor_up *up,
			 void *up_ctx);
/* Does a packet or a change wait? Punt thread. */
bool dp_monitor_waits(const struct dp_monitor *m);

#endif
