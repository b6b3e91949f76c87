/* SPDX-License-Identifier: BSD-3-Clause */
/* Diffie-Hellman as jobs, which whoever runs the engine may have computed elsewhere. */
#ifndef SPW_IKE_DH_H
#define SPW_IKE_DH_H

#include "ike/crypto.h"

/* Whom a job serves; a lower one goes first. */
enum ike_dh_rank {
	IKE_DH_LIVING,	 /* an established IKE SA */
	IKE_DH_DIAL,	 /* a dial of ours */
	IKE_DH_STRANGER, /* somebody who began a handshake with us */
	IKE_DH_RANKS
};

/*
 * One piece of work: make a key pair, compute a shared secret, or both in this order. It belongs to
 * the engine, then (struct ike_ops, dh_start) to the world, which has any one thread run it, then
 * by ike_engine_dh_done() to the engine again. Only who has it may look at it, but for the last two
 * fields, which are the engine's at all times and nobody else's.
 */
struct ike_dh_job {
	struct ike_dh_job *next; /* of who has it */
	enum ike_dh_rank rank;
	enum spw_group group;
	bool own;   /* `dh` is a pair that stood before */
	bool share; /* a secret is wanted, with this value of the peer */
	uint8_t peer[IKE_DH_PUBLIC_MAX];
	size_t peer_len;
	struct ike_dh *dh;
	struct spw_secret shared;
	int rc; /* 0, or as ike_dh_new() and ike_dh_shared() say */
	/* whom it is for; both NULL: nobody any more */
	struct ike_parked *parked;
	struct ike_pair *pair;
};

/* Compute. Any thread; blocks for as long as it takes, some hundred microseconds to milliseconds.
 */
void ike_dh_job_run(struct ike_dh_job *job);
/*
 * Wipe and free. For the world: only jobs that will not be handed back, once the engine they came
 * from is freed.
 */
void ike_dh_job_free(struct ike_dh_job *job);

#endif
