/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine's objects: IKE SAs, their keys, nonces, buffers and lists.
 *
 * The engine owns a list of connections and a list of IKE SAs; an IKE SA owns its children, its
 * request in flight and its last response. An SA that is over becomes DEAD and stays in the list
 * until the public call ends (ike_engine_reap), so handlers never hold a freed pointer. Keys are
 * in guarded memory, cipher keys only inside the ciphers. One thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

int
ike_blob_set(struct ike_blob *b, const void *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes, len);
	free(b->bytes);
	b->bytes = copy;
	b->len = len;
	return 0;
}

void
ike_blob_free(struct ike_blob *b)
{
	free(b->bytes);
	b->bytes = NULL;
	b->len = 0;
}

uint64_t
ike_random_u64(struct ike_engine *e)
{
	uint64_t v;

	e->config.ops->random(e->config.ctx, &v, sizeof(v));
	return v;
}

void
ike_nonce_new(struct ike_engine *e, struct ike_nonce *n)
{
	n->len = 32;
	e->config.ops->random(e->config.ctx, n->bytes, n->len);
}

void
ike_nonce_set(struct ike_nonce *n, const struct ike_chunk *c)
{
	n->len = (uint16_t)c->len;
	memcpy(n->bytes, c->bytes, c->len);
}

uint64_t
ike_sa_own_spi(const struct ike_sa *sa)
{
	return sa->initiator ? sa->spi_i : sa->spi_r;
}

struct ike_sa *
ike_sa_find(struct ike_engine *e, uint64_t own_spi)
{
	struct ike_sa *sa = ike_index_find(e, IKE_MARK_OWN, own_spi);

	return sa && sa->state != IKE_SA_DEAD ? sa : NULL;
}

/* An SPI promised in a rekey under way counts as used. RFC 7296 2.6. */
static bool
spi_used(struct ike_engine *e, uint64_t spi)
{
	return spi == 0 || ike_index_find(e, IKE_MARK_OWN, spi) ||
	       ike_index_find(e, IKE_MARK_PROMISED, spi);
}

uint64_t
ike_sa_fresh_spi(struct ike_engine *e)
{
	uint64_t spi;

	do
		spi = ike_random_u64(e);
	while (spi_used(e, spi));
	return spi;
}

void
ike_sa_attach(struct ike_sa *sa, struct ike_conn *conn)
{
	struct ike_sa **at = sa->conn ? &sa->conn->sas : NULL;

	if (sa->conn == conn)
		return;
	ike_touch(sa);
	while (at && *at != sa)
		at = &(*at)->conn_next;
	if (at)
		*at = sa->conn_next;
	sa->conn = conn;
	sa->conn_next = conn ? conn->sas : NULL;
	if (conn)
		conn->sas = sa;
	ike_touch(sa);
}

struct ike_sa *
ike_sa_new(struct ike_engine *e, struct ike_conn *conn, bool initiator)
{
	struct ike_sa *sa = calloc(1, sizeof(*sa));

	if (!sa || ike_turn_join(e, &sa->turn, NULL, sa) != 0) {
		free(sa);
		return NULL;
	}
	sa->e = e;
	sa->pair.turn = &sa->turn;
	ike_sa_attach(sa, conn);
	sa->initiator = initiator;
	sa->made_ns = sa->since_ns = e->now;
	sa->rekey_at = sa->hard_at = sa->close_at = sa->expire_at = UINT64_MAX;
	sa->next = e->sas;
	if (sa->next)
		sa->next->prev = sa;
	e->sas = sa;
	return sa;
}

/* The answer to IKE_SA_INIT is kept until AUTH was verified, and the GONE keep what they had. */
bool
ike_sa_is_strangers(const struct ike_sa *sa)
{
	return sa->state == IKE_SA_HALF_OPEN ||
	       (sa->state == IKE_SA_GONE && !sa->initiator && sa->own_init.len != 0);
}

bool
ike_sa_is_crowded(const struct ike_sa *sa, unsigned int most)
{
	unsigned int n = 0;

	for (const struct ike_child *c = sa->children; c; c = c->next)
		n++;
	return n >= most;
}

/* Make the cipher of one direction; its keys leave struct ike_keys. */
static int
make_cipher(struct ike_cipher **c, const struct spw_ike_proposal *suite, struct spw_secret *key,
	    struct spw_secret *integ)
{
	int rc = ike_cipher_new(c, suite->encr, key->bytes, key->len, suite->integ, integ->bytes,
				integ->len);

	spw_secret_free(key);
	spw_secret_free(integ);
	return rc;
}

int
ike_sa_set_keys(struct ike_sa *sa, const struct ike_keys_input *in)
{
	struct ike_cipher *i = NULL, *r = NULL;
	int rc = ike_keys_derive(in, &sa->keys);

	if (rc != 0)
		return rc;
	rc = make_cipher(&i, in->suite, &sa->keys.ei, &sa->keys.ai);
	if (rc == 0)
		rc = make_cipher(&r, in->suite, &sa->keys.er, &sa->keys.ar);
	if (rc != 0) {
		ike_cipher_free(i);
		ike_keys_free(&sa->keys);
		return rc;
	}
	sa->seal = sa->initiator ? i : r;
	sa->open = sa->initiator ? r : i;
	return 0;
}

void
ike_request_clear(struct ike_sa *sa)
{
	struct ike_request *r = &sa->req;

	if (r->task != IKE_TASK_NONE)
		ike_touch(sa);
	ike_park_forget(sa, true);
	if (r->spi_in && !r->stale && sa->conn)
		ike_post_spi_free(sa->e, sa->conn->set.tunnel, r->spi_in);
	ike_dh_free(r->dh);
	ike_blob_free(&r->msg);
	memset(r, 0, sizeof(*r));
}

void
ike_request_forget(struct ike_sa *sa)
{
	struct ike_request *r = &sa->req;
	struct ike_request kept = {.task = IKE_TASK_PROBE,
				   .exchange = r->exchange,
				   .mid = r->mid,
				   .msg = r->msg,
				   .first_ns = r->first_ns,
				   .next_ns = r->next_ns,
				   .sent = r->sent};

	if (r->task == IKE_TASK_NONE)
		return;
	r->msg = (struct ike_blob){0};
	ike_request_clear(sa);
	*r = kept;
}

void
ike_sa_close(struct ike_sa *sa)
{
	ike_touch(sa);
	if (sa->state == IKE_SA_ESTABLISHED) {
		ike_request_forget(sa);
		ike_sa_drop_children(sa);
		sa->rekey_at = sa->hard_at = sa->expire_at = UINT64_MAX;
		ike_state_step(sa, IKE_EV_RETIRE, NULL, NULL);
	}
	/* The peer has it as soon as our IKE_AUTH is there: it is told when its answer is here. */
	if (sa->state == IKE_SA_AUTH_SENT) {
		ike_request_forget(sa);
		sa->close_at = sa->e->now;
	}
	if (sa->state == IKE_SA_CLOSING)
		ike_sa_drop_children(sa);
	else if (sa->state == IKE_SA_RETIRED)
		sa->close_at = sa->e->now;
	else if (ike_state_allows(sa->state, IKE_EV_CLOSE) && sa->state != IKE_SA_GONE)
		ike_state_step(sa, IKE_EV_CLOSE, NULL, NULL);
}

void
ike_sa_drop_children(struct ike_sa *sa)
{
	while (sa->children)
		ike_child_free(sa->children);
}

void
ike_sa_move_children(struct ike_sa *from, struct ike_sa *to)
{
	while (from->children) {
		struct ike_child *c = from->children;

		from->children = c->next;
		c->sa = to;
		c->next = to->children;
		to->children = c;
	}
}

static void
sa_free(struct ike_sa *sa)
{
	ike_auth_spi_free(sa);
	ike_request_clear(sa);
	ike_park_forget(sa, false);
	ike_pair_forget(sa->e, &sa->pair);
	ike_sa_drop_children(sa);
	ike_cipher_free(sa->seal);
	ike_cipher_free(sa->open);
	ike_keys_free(&sa->keys);
	ike_blob_free(&sa->own_init);
	ike_blob_free(&sa->peer_init);
	ike_blob_free(&sa->cookie);
	ike_blob_free(&sa->response);
	ike_qcd_forget(sa);
	ike_fragment_forget(sa);
	ike_turn_leave(sa->e, &sa->turn);
	free(sa);
}

static void
sa_bury(struct ike_sa *sa)
{
	*(sa->prev ? &sa->prev->next : &sa->e->sas) = sa->next;
	if (sa->next)
		sa->next->prev = sa->prev;
	ike_sa_attach(sa, NULL);
	sa_free(sa);
}

void
ike_engine_reap(struct ike_engine *e)
{
	struct ike_turn *t = e->turns.first, *after;
	struct ike_sa *next;

	for (; t; t = after) {
		for (struct ike_sa *sa = ike_conn_sas(t->conn); sa; sa = next) {
			next = sa->conn_next;
			if (sa->state == IKE_SA_DEAD)
				sa_bury(sa);
		}
		after = t->next; /* a buried one has left the queue */
		if (t->sa && !t->sa->conn && t->sa->state == IKE_SA_DEAD)
			sa_bury(t->sa);
	}
}

void
ike_sa_reason(struct ike_sa *sa, const char *text)
{
	if (sa->conn)
		snprintf(sa->conn->reason, sizeof(sa->conn->reason), "%s", text);
}
