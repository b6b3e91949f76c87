/* SPDX-License-Identifier: BSD-3-Clause */
/* The public header of ike/: the IKEv2 engine without I/O. */
#ifndef SPW_IKE_IKE_H
#define SPW_IKE_IKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ike/dh.h"
#include "ike/escrow.h"
#include "lib/spillway.h"

/* Largest datagram taken or made, without the non-ESP marker. */
#define IKE_DATAGRAM_MAX 16384

/*
 * One IKE message with its addresses. Ports in host order; port 4500 at the local end means that
 * the datagram carries (received) or needs (sent) the non-ESP marker; `bytes` never holds it.
 */
struct ike_datagram {
	struct spw_addr local;
	struct spw_addr remote;
	uint16_t local_port;
	uint16_t remote_port;
	const uint8_t *bytes;
	size_t len;
};

/* What the data plane knows of a child SA that an earlier instance installed. */
struct ike_adopted {
	bool heard;	/* a valid packet came in on it */
	uint64_t bytes; /* of the busier direction */
	uint64_t packets;
};

/*
 * What the engine asks of the world. Calls are made from inside ike_engine_*() on the same thread;
 * none may call back into the engine. sa_* return 0 or -errno and have taken effect on return: the
 * answer that promises an SA to the peer is sent after its installation.
 */
struct ike_ops {
	void (*send)(void *ctx, const struct ike_datagram *d);
	/* Fill with random bytes; a failure aborts the process of the caller, never zero bytes. */
	void (*random)(void *ctx, void *buf, size_t len);
	/* A fresh inbound ESP SPI for the tunnel, host order. */
	int (*spi_alloc)(void *ctx, uint32_t tunnel, uint32_t *spi);
	/*
	 * It will not be used. What an earlier instance installed under it, for a message that now
	 * nobody waits for, goes with it.
	 */
	void (*spi_free)(void *ctx, uint32_t tunnel, uint32_t spi);
	/*
	 * Install both directions; outbound = send on it at once. `sa` is wiped by the engine. One
	 * that stands there from an earlier instance, under this SPI, is this very SA: it is taken
	 * over as it is (its counters must not begin anew).
	 */
	int (*sa_install)(void *ctx, const struct spw_sa_desc *sa, bool outbound);
	/* Send on this SA from now on. */
	int (*sa_switch)(void *ctx, uint32_t spi_in);
	/* parts: enum spw_dp_sa_part. */
	int (*sa_delete)(void *ctx, uint32_t spi_in, uint32_t parts);
	int (*sa_move)(void *ctx, uint32_t spi_in, const struct spw_addr *remote,
		       uint16_t remote_port, uint16_t local_port);
	/* Take over a child SA that an earlier instance installed. -errno: it is not there. */
	int (*sa_adopt)(void *ctx, uint32_t tunnel, uint32_t spi_in, struct ike_adopted *a);
	/* CLOCK_MONOTONIC of the last valid inbound packet of the tunnel's SAs; 0 = never. */
	uint64_t (*last_inbound)(void *ctx, uint32_t tunnel);
	/*
	 * Have this computed, on another thread (ike_dh_job_run()), those of a lower rank first,
	 * and hand it to ike_engine_dh_done() later, never from inside this call. NULL: the engine
	 * computes in its calls. Not before the engine is freed may the world free a job instead.
	 */
	void (*dh_start)(void *ctx, struct ike_dh_job *job);
	/* A tunnel went up or down. */
	void (*tunnel_event)(void *ctx, const struct spw_ike_tunnel_event *ev);
};

struct ike_engine_config {
	const struct ike_ops *ops; /* borrowed, outlives the engine */
	void *ctx;
	uint32_t encr_mask;	    /* ESP ciphers the data plane has, bit n: enum spw_encr n */
	uint32_t half_open_cookies; /* ask for cookies above this many half-open SAs */
	bool no_initial_contact;    /* an orphan of an earlier instance may still carry traffic */
	/* Where IKE SAs are recorded, and found again at start; borrowed, NULL = nowhere. */
	struct ike_escrow *escrow;
	uint64_t incarnation; /* of the data plane, 0 = not known yet */
};

struct ike_engine;

/* Make an engine. 0 or -errno; free with ike_engine_free(). One thread owns it. */
int ike_engine_new(struct ike_engine **e, const struct ike_engine_config *config, uint64_t now_ns)
	__attribute__((warn_unused_result));
/* Wipe and free everything, SAs in the data plane and records in escrow too; sends nothing. */
void ike_engine_free(struct ike_engine *e);
/* Wipe and free as the death of the process would: nobody is told, the next instance goes on. */
void ike_engine_abandon(struct ike_engine *e);

/*
 * Add or replace a connection. A new one first takes its IKE SAs from escrow, when it negotiates
 * with what they were negotiated with: they go on where they stood. Equal settings leave the
 * running SAs untouched (only the generation moves); a change that matters deletes its SAs and
 * dials again. `conn` is copied, its PSK into guarded memory; the caller wipes its own. 0, -EINVAL
 * or -ENOMEM with a sentence, nothing changed.
 */
int ike_engine_conn_set(struct ike_engine *e, uint64_t now_ns, const struct spw_ike_conn *conn,
			struct spw_err *err) __attribute__((warn_unused_result));
/* Delete a connection: Delete to the peer, SAs removed. -ENOENT when unknown. */
int ike_engine_conn_del(struct ike_engine *e, uint64_t now_ns, const char *name);
/* Delete the connections of an older generation. */
void ike_engine_conn_sweep(struct ike_engine *e, uint64_t now_ns, uint32_t generation);
/* Close the IKE SA (or child SA) of a connection and dial again at once. -ENOENT when unknown. */
int ike_engine_reset(struct ike_engine *e, uint64_t now_ns, const char *name, uint32_t what);
/* Rekey now, make-before-break. -ENOENT unknown, -EAGAIN when not established or busy. */
int ike_engine_rekey(struct ike_engine *e, uint64_t now_ns, const char *name, uint32_t what);
/*
 * Every connection is set that records in escrow may be of: what an earlier instance had decided to
 * delete in the data plane, and may not have deleted, goes; records that nobody took are wiped.
 * Returns how many of those there were.
 */
unsigned int ike_engine_restored(struct ike_engine *e, uint64_t now_ns);
/* Send Delete for everything and stop dialling (orderly shutdown). */
void ike_engine_shutdown(struct ike_engine *e, uint64_t now_ns);

/* A datagram arrived. Any bytes are allowed. */
void ike_engine_input(struct ike_engine *e, uint64_t now_ns, const struct ike_datagram *d);
/* A job of dh_start is done; the engine takes it back, also when nobody waits for it any more. */
void ike_engine_dh_done(struct ike_engine *e, uint64_t now_ns, struct ike_dh_job *job);
/*
 * An event of the data plane about a child SA, or about one to come. Any content is allowed, and
 * each may be lost, by a kill or an overrun: what matters of them is read off the SAs later, or, of
 * EARLY, done by the next retransmission.
 */
void ike_engine_sa_event(struct ike_engine *e, uint64_t now_ns, const struct spw_dp_sa_event *ev);
/* Which incarnation of the data plane answers from now on; before the reset that it means. */
void ike_engine_incarnation(struct ike_engine *e, uint64_t incarnation);
/*
 * The data plane is another incarnation: every child SA is gone and none may be installed again.
 * The engine makes all children anew on the IKE SAs that stand.
 */
void ike_engine_dataplane_reset(struct ike_engine *e, uint64_t now_ns, uint32_t encr_mask);
/*
 * The same incarnation can be reached again after it could not: what it would have told of the
 * children meanwhile is read off them, what could not be told it is, and nobody waits on with a
 * dial or a child.
 */
void ike_engine_dataplane_again(struct ike_engine *e, uint64_t now_ns);
/* Run what is due. Returns when to call again (ns), UINT64_MAX for never. */
uint64_t ike_engine_tick(struct ike_engine *e, uint64_t now_ns);
/* When ike_engine_tick() is wanted next. */
uint64_t ike_engine_wakeup(const struct ike_engine *e);

/* A connection has this local address, or an IKE SA that has not ended yet. */
bool ike_engine_uses(const struct ike_engine *e, const struct spw_addr *local);

/* Fill up to `max` status rows, one a connection; returns how many connections there are. */
size_t ike_engine_status(const struct ike_engine *e, struct spw_ike_status *rows, size_t max);

#endif
