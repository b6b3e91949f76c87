/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages and wishes that wait for Diffie-Hellman (docs/decisions/0021).
 *
 * A handler that needs a key pair or a shared secret asks for it before it changes anything
 * (ike_dh_obtain). Where the world computes elsewhere, the answer is at first -EINPROGRESS: the
 * handler returns IKE_FAULT_PARKED, and its message is kept as it was understood (opened, whole),
 * with the job. When the job is done the same handler runs again over the same message and now
 * finds the result. So a message that waits is one that has not arrived yet, and everything an
 * engine must bear in a network that delays and reorders covers it; nothing is written down for it
 * in the escrow, for the peer repeats what was not answered.
 *
 * An IKE SA has at most one message of each direction here, because its window is one; further
 * copies are dropped before they are opened. An answer that waits stops the repeats and the
 * patience of its request. A request that comes behind it waits for it, without a job of its own:
 * who has answered a rekey may delete what it replaced in the next message, and the order of the
 * two must hold (IKE-160). What ends the SA, or the request, forgets the message; the job then
 * belongs to nobody, and is wiped when it comes back. Requests of strangers are counted among the
 * half-open SAs.
 *
 * A request of ours needs its pair before it exists, so there it is the wish that waits: the pair
 * is kept with the SA (or with the connection that is to be dialled) for the one run that follows
 * its arrival, where the wish is read off again and finds it, or is no more.
 *
 * Without dh_start all of this is computed in the call. One thread, the engine's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

/* ---- what a handler asks for ---- */

/* A pair of our own stays as it is: the peer's value may be refused, and a better one come. */
static int
at_once(const struct ike_dh_want *w, struct ike_dh **made, struct spw_secret *shared)
{
	struct ike_dh *dh = NULL;
	int rc = w->own ? ike_dh_copy(&dh, w->own) : ike_dh_new(&dh, w->group);

	if (rc == 0 && w->peer)
		rc = ike_dh_shared(dh, w->peer->bytes, w->peer->len, shared);
	if (rc == 0 && !w->own)
		*made = dh;
	else
		ike_dh_free(dh);
	return rc;
}

static bool
same_value(const struct ike_dh *a, const struct ike_dh *b)
{
	return a && b && ike_dh_group(a) == ike_dh_group(b) &&
	       memcmp(ike_dh_public(a), ike_dh_public(b),
		      spw_group_info(ike_dh_group(a))->public_len) == 0;
}

/* Is this what the job has computed? */
static bool
answers(const struct ike_dh_job *job, const struct ike_dh_want *w)
{
	if (job->group != w->group || job->own != (w->own != NULL) ||
	    job->share != (w->peer != NULL))
		return false;
	if (w->own && !same_value(job->dh, w->own))
		return false;
	return !w->peer || (w->peer->len == job->peer_len &&
			    memcmp(w->peer->bytes, job->peer, job->peer_len) == 0);
}

static int
take(struct ike_dh_job *job, struct ike_dh **made, struct spw_secret *shared)
{
	if (job->rc != 0)
		return job->rc;
	if (job->share)
		spw_secret_move(shared, &job->shared);
	if (!job->own) {
		*made = job->dh;
		job->dh = NULL;
	}
	return 0;
}

static int
job_new(const struct ike_dh_want *w, struct ike_dh_job **out)
{
	struct ike_dh_job *job = calloc(1, sizeof(*job));
	int rc = 0;

	if (!job)
		return -ENOMEM;
	job->rank = w->rank;
	job->group = w->group;
	if (w->peer) {
		job->share = true;
		job->peer_len = w->peer->len;
		memcpy(job->peer, w->peer->bytes, w->peer->len);
	}
	if (w->own) {
		job->own = true;
		rc = ike_dh_copy(&job->dh, w->own);
	}
	if (rc == 0)
		*out = job;
	else
		ike_dh_job_free(job);
	return rc;
}

int
ike_dh_obtain(struct ike_engine *e, const struct ike_dh_want *w, struct ike_dh **made,
	      struct spw_secret *shared)
{
	int rc;

	if (e->done && answers(e->done, w))
		return take(e->done, made, shared);
	if (!e->config.ops->dh_start)
		return at_once(w, made, shared);
	if (w->peer && w->peer->len != spw_group_info(w->group)->public_len)
		return -EINVAL;
	ike_dh_job_free(e->wanted); /* a handler asks once */
	e->wanted = NULL;
	rc = job_new(w, &e->wanted);
	return rc == 0 ? -EINPROGRESS : rc;
}

enum ike_dh_rank
ike_sa_rank(const struct ike_sa *sa)
{
	return sa->state == IKE_SA_ESTABLISHED ? IKE_DH_LIVING : IKE_DH_DIAL;
}

enum ike_fault
ike_dh_fault(int rc)
{
	return rc == -EINPROGRESS ? IKE_FAULT_PARKED
	       : rc == -EINVAL	  ? IKE_FAULT_CHILD_SYNTAX
				  : IKE_FAULT_INTERNAL;
}

/* ---- messages ---- */

static void
parked_free(struct ike_parked *p)
{
	if (p->job)
		p->job->parked = NULL;
	if (p->message.bytes)
		spw_wipe(p->message.bytes, p->message.len);
	ike_blob_free(&p->message);
	free(p);
}

/* A copy of a message. NULL: it is as lost on the way. */
static struct ike_parked *
parked_new(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_header *h,
	   const struct ike_chunk *message, uint8_t first)
{
	struct ike_parked *p = calloc(1, sizeof(*p));

	if (!p || ike_blob_set(&p->message, message->bytes, message->len) != 0) {
		free(p);
		return NULL;
	}
	p->sa = sa;
	p->d = *d;
	p->d.bytes = p->message.bytes;
	p->d.len = p->message.len;
	p->h = *h;
	p->first = first;
	return p;
}

void
ike_park_behind(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_header *h,
		const struct ike_chunk *message, uint8_t first)
{
	sa->parked[false] = parked_new(sa, d, h, message, first);
}

void
ike_park(struct ike_engine *e, struct ike_sa *sa, const struct ike_datagram *d,
	 const struct ike_header *h, const struct ike_chunk *message, uint8_t first)
{
	struct ike_dh_job *job = e->wanted;
	struct ike_parked *p = job ? parked_new(sa, d, h, message, first) : NULL;

	e->wanted = NULL;
	if (!p) {
		ike_dh_job_free(job);
		return;
	}
	p->job = job;
	job->parked = p;
	if (sa) {
		sa->parked[(h->flags & IKE_FLAG_RESPONSE) != 0] = p;
	} else {
		p->next = e->strangers;
		e->strangers = p;
	}
	e->config.ops->dh_start(e->config.ctx, job);
}

void
ike_park_forget(struct ike_sa *sa, bool response)
{
	struct ike_parked *p = sa->parked[response];

	sa->parked[response] = NULL;
	if (!p)
		return;
	parked_free(p);
	/* the peer repeats what waited behind it */
	if (response && sa->parked[false] && !sa->parked[false]->job)
		ike_park_forget(sa, false);
}

void
ike_park_forget_strangers(struct ike_engine *e)
{
	while (e->strangers) {
		struct ike_parked *p = e->strangers;

		e->strangers = p->next;
		parked_free(p);
	}
}

bool
ike_park_knows(const struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h)
{
	for (const struct ike_parked *p = e->strangers; p; p = p->next)
		if (p->h.spi_i == h->spi_i && spw_addr_equal(&p->d.remote, &d->remote) &&
		    p->message.len == d->len && memcmp(p->message.bytes, d->bytes, d->len) == 0)
			return true;
	return false;
}

unsigned int
ike_park_strangers(const struct ike_engine *e, const struct spw_addr *from, unsigned int *of_source)
{
	unsigned int n = 0;

	for (const struct ike_parked *p = e->strangers; p; p = p->next) {
		n++;
		*of_source += spw_addr_equal(&p->d.remote, from);
	}
	return n;
}

static void
take_out(struct ike_engine *e, struct ike_parked *p)
{
	struct ike_parked **at = &e->strangers;

	if (p->sa) {
		p->sa->parked[(p->h.flags & IKE_FLAG_RESPONSE) != 0] = NULL;
		return;
	}
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
}

/* The request that came while the answer before it waited. */
static void
handle_behind(struct ike_sa *sa)
{
	struct ike_parked *p = sa->parked[false];

	if (!p || p->job || sa->parked[true])
		return;
	sa->parked[false] = NULL;
	ike_message_again(sa, p);
	parked_free(p);
}

/* Handle the message again, as if it came now. */
static void
handle_again(struct ike_engine *e, struct ike_dh_job *job)
{
	struct ike_parked *p = job->parked;

	job->parked = NULL;
	p->job = NULL;
	take_out(e, p);
	if (p->sa)
		ike_wake(p->sa);
	e->done = job;
	if (!p->sa)
		ike_init_request_again(e, &p->d, &p->h);
	else if (p->h.exchange == IKE_X_SA_INIT)
		ike_init_response_in(p->sa, &p->d, &p->h);
	else
		ike_message_again(p->sa, p);
	e->done = NULL;
	if (p->sa)
		handle_behind(p->sa);
	parked_free(p);
}

/* ---- wishes ---- */

void
ike_pair_forget(struct ike_engine *e, struct ike_pair *pair)
{
	if (e->fresh == pair)
		e->fresh = NULL;
	if (pair->job)
		pair->job->pair = NULL;
	ike_dh_free(pair->dh);
	*pair = (struct ike_pair){.turn = pair->turn};
}

int
ike_pair_take(struct ike_engine *e, struct ike_pair *pair, enum spw_group group,
	      enum ike_dh_rank rank, struct ike_dh **dh)
{
	const struct ike_dh_want w = {.group = group, .rank = rank};
	int rc;

	if (!e->config.ops->dh_start)
		return ike_dh_new(dh, group);
	if (pair->job && pair->job->group == group)
		return -EINPROGRESS;
	if (!pair->job && pair->rc != 0) {
		rc = pair->rc;
		pair->rc = 0;
		return rc;
	}
	if (pair->dh && ike_dh_group(pair->dh) == group) {
		*dh = pair->dh;
		pair->dh = NULL;
		return 0;
	}
	ike_pair_forget(e, pair);
	rc = job_new(&w, &pair->job);
	if (rc != 0)
		return rc;
	pair->job->pair = pair;
	e->config.ops->dh_start(e->config.ctx, pair->job);
	return -EINPROGRESS;
}

static void
pair_arrives(struct ike_engine *e, struct ike_dh_job *job)
{
	struct ike_pair *pair = job->pair;

	job->pair = NULL;
	pair->job = NULL;
	pair->rc = job->rc;
	pair->dh = job->dh;
	job->dh = NULL;
	e->fresh = pair;
	ike_wake_turn(pair->turn);
}

void
ike_engine_dh_done(struct ike_engine *e, uint64_t now_ns, struct ike_dh_job *job)
{
	bool wanted = job->parked || job->pair;

	e->now = now_ns;
	if (job->pair)
		pair_arrives(e, job);
	else if (job->parked)
		handle_again(e, job);
	ike_dh_job_free(job);
	if (!wanted)
		return;
	ike_engine_run(e);
	if (e->fresh) /* the wish is gone; a key is not kept for the next one */
		ike_pair_forget(e, e->fresh);
}
