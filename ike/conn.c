/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections: checking, adding, replacing, deleting, and their status.
 *
 * A connection is checked whole before anything changes. What only steers timers and limits is
 * taken over by a running one; anything that was negotiated or authenticated with (addresses,
 * identities, proposals, selectors, tunnel, a post-quantum key) makes it begin anew. Pre-shared
 * keys may change under a running one as long as the key it was authenticated with stays (psk.c).
 * One thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

bool
ike_peer_known(const struct ike_engine *e, const struct spw_addr *remote)
{
	for (const struct ike_conn *c = ike_index_near(e, remote); c; c = c->near)
		if (spw_addr_equal(&c->set.remote, remote))
			return true;
	return false;
}

bool
ike_engine_uses(const struct ike_engine *e, const struct spw_addr *local)
{
	for (const struct ike_conn *c = e->conns; c; c = c->next)
		if (spw_addr_equal(&c->set.local, local))
			return true;
	for (const struct ike_sa *sa = e->sas; sa; sa = sa->next)
		if (spw_addr_equal(&sa->local, local))
			return true;
	return false;
}

static int
check_selectors(const struct spw_ike_conn *c, const struct spw_selector *s, uint32_t n,
		const char *side, struct spw_err *err)
{
	struct spw_selector same;

	if (n == 0 || n > SPW_SA_SELECTORS)
		return spw_fail(err, -EINVAL, "tunnel %s: 1 to %d %s selectors are needed", c->name,
				SPW_SA_SELECTORS, side);
	for (uint32_t i = 0; i < n; i++)
		if (!ike_selector_meet(&s[i], &s[i], &same))
			return spw_fail(err, -EINVAL, "tunnel %s: %s selector %u is empty", c->name,
					side, i + 1);
	return 0;
}

static int
check_proposals(const struct spw_ike_conn *c, const struct spw_ike_proposal *p, uint32_t n,
		uint8_t protocol, struct spw_err *err)
{
	const char *what = protocol == IKE_PROTO_ESP ? "ESP" : "IKE";

	if (n == 0 || n > SPW_IKE_PROPOSALS)
		return spw_fail(err, -EINVAL, "tunnel %s: 1 to %d %s proposals are needed", c->name,
				SPW_IKE_PROPOSALS, what);
	for (uint32_t i = 0; i < n; i++)
		if (!ike_proposal_valid(&p[i], protocol))
			return spw_fail(err, -EINVAL,
					"tunnel %s: %s proposal %u is not a valid "
					"combination of algorithms",
					c->name, what, i + 1);
	return 0;
}

static int
check_ids(const struct spw_ike_conn *c, struct spw_err *err)
{
	const struct spw_ike_id *id[] = {&c->local_id, &c->remote_id};

	for (unsigned int i = 0; i < 2; i++) {
		bool v4 = id[i]->type == SPW_ID_IPV4, v6 = id[i]->type == SPW_ID_IPV6;

		if (id[i]->type == 0)
			continue;
		if (id[i]->len == 0 || id[i]->len > SPW_IKE_ID_MAX || (v4 && id[i]->len != 4) ||
		    (v6 && id[i]->len != 16))
			return spw_fail(err, -EINVAL,
					"tunnel %s: the %s identity has a wrong length", c->name,
					i == 0 ? "local" : "remote");
	}
	return 0;
}

static int
check_secrets(const struct spw_ike_conn *c, struct spw_err *err)
{
	if (c->psk_len == 0 || c->psk_len > SPW_IKE_PSK_MAX)
		return spw_fail(err, -EINVAL, "tunnel %s: no pre-shared key is set", c->name);
	if (c->next_psk_len > SPW_IKE_PSK_MAX || c->ppk_len > SPW_IKE_PSK_MAX)
		return spw_fail(err, -EINVAL, "tunnel %s: a key is longer than %d bytes", c->name,
				SPW_IKE_PSK_MAX);
	if (c->ppk_id_len > SPW_IKE_PPK_ID_MAX || (c->ppk_len == 0) != (c->ppk_id_len == 0))
		return spw_fail(err, -EINVAL,
				"tunnel %s: a PPK needs a key and a name of 1 to %d bytes", c->name,
				SPW_IKE_PPK_ID_MAX);
	if (c->ppk_required && c->ppk_len == 0)
		return spw_fail(err, -EINVAL, "tunnel %s: a PPK is required, and none is set",
				c->name);
	return 0;
}

static int
check(const struct spw_ike_conn *c, struct spw_err *err)
{
	int rc;

	if (c->name[0] == '\0' || !memchr(c->name, '\0', sizeof(c->name)))
		return spw_fail(err, -EINVAL, "a tunnel needs a name shorter than %zu bytes",
				sizeof(c->name));
	if (!spw_addr_is_set(&c->local) || !spw_addr_is_set(&c->remote) ||
	    c->local.family != c->remote.family)
		return spw_fail(err, -EINVAL,
				"tunnel %s: local and remote address of one family "
				"are needed",
				c->name);
	if (c->mode > SPW_IKE_MODE_RESPOND)
		return spw_fail(err, -EINVAL, "tunnel %s: unknown mode %u", c->name, c->mode);
	rc = check_secrets(c, err);
	if (rc == 0)
		rc = check_ids(c, err);
	if (rc == 0)
		rc = check_proposals(c, c->ike, c->n_ike, IKE_PROTO_IKE, err);
	if (rc == 0)
		rc = check_proposals(c, c->esp, c->n_esp, IKE_PROTO_ESP, err);
	if (rc == 0)
		rc = check_selectors(c, c->sel_local, c->n_local, "local", err);
	if (rc == 0)
		rc = check_selectors(c, c->sel_remote, c->n_remote, "remote", err);
	return rc;
}

static bool
same_id(const struct spw_ike_id *a, const struct spw_ike_id *b)
{
	return a->type == b->type && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool
same_proposals(const struct spw_ike_proposal *a, uint32_t na, const struct spw_ike_proposal *b,
	       uint32_t nb)
{
	for (uint32_t i = 0; na == nb && i < na; i++)
		if (!ike_proposal_equal(&a[i], &b[i]))
			return false;
	return na == nb;
}

static bool
same_selectors(const struct spw_selector *a, uint32_t na, const struct spw_selector *b, uint32_t nb)
{
	for (uint32_t i = 0; na == nb && i < na; i++)
		if (!ike_selector_covers(&a[i], &b[i]) || !ike_selector_covers(&b[i], &a[i]))
			return false;
	return na == nb;
}

/* The name of the PPK and whether it is required. */
static bool
same_ppk(const struct spw_ike_conn *a, const struct spw_ike_conn *b)
{
	return a->ppk_required == b->ppk_required && a->ppk_id_len == b->ppk_id_len &&
	       memcmp(a->ppk_id, b->ppk_id, a->ppk_id_len) == 0;
}

/* True when what the SAs were negotiated with is the same, but for secrets. */
static bool
same_peer(const struct ike_conn *old, const struct spw_ike_conn *c)
{
	const struct spw_ike_conn *o = &old->set;

	return o->tunnel == c->tunnel && spw_addr_equal(&o->local, &c->local) &&
	       spw_addr_equal(&o->remote, &c->remote) && same_id(&o->local_id, &c->local_id) &&
	       same_id(&o->remote_id, &c->remote_id) && same_ppk(o, c) &&
	       o->force_encap == c->force_encap && o->replay_window == c->replay_window &&
	       same_proposals(o->ike, o->n_ike, c->ike, c->n_ike) &&
	       same_proposals(o->esp, o->n_esp, c->esp, c->n_esp) &&
	       same_selectors(o->sel_local, o->n_local, c->sel_local, c->n_local) &&
	       same_selectors(o->sel_remote, o->n_remote, c->sel_remote, c->n_remote);
}

static void
take_settings(struct ike_conn *conn, const struct spw_ike_conn *c)
{
	conn->set = *c;
	spw_wipe(conn->set.psk, sizeof(conn->set.psk));
	spw_wipe(conn->set.next_psk, sizeof(conn->set.next_psk));
	spw_wipe(conn->set.ppk, sizeof(conn->set.ppk));
	conn->set.psk_len = conn->set.next_psk_len = conn->set.ppk_len = 0;
}

void
ike_conn_close(struct ike_conn *conn)
{
	for (struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next)
		ike_sa_close(sa);
	ike_conn_update(conn);
}

/* Free one that is in no list. */
static void
conn_drop(struct ike_conn *conn)
{
	ike_psk_unload(conn);
	if (conn->e)
		ike_turn_leave(conn->e, &conn->turn);
	free(conn);
}

void
ike_conn_free(struct ike_conn *conn)
{
	struct ike_conn **at = &conn->e->conns;

	ike_pair_forget(conn->e, &conn->pair);
	while (conn->sas)
		ike_sa_attach(conn->sas, NULL);
	while (*at != conn)
		at = &(*at)->next;
	*at = conn->next;
	ike_index_conn_gone(conn);
	conn_drop(conn);
}

/* Close and forget; SAs whose Delete is out live on without a connection. */
static void
remove_conn(struct ike_conn *conn)
{
	snprintf(conn->reason, sizeof(conn->reason), "the tunnel was removed or changed");
	ike_conn_close(conn);
	ike_conn_free(conn);
}

/* A connection that is in no list yet. */
static int
conn_new(struct ike_engine *e, const struct spw_ike_conn *c, struct ike_conn **out,
	 struct spw_err *err)
{
	struct ike_conn *conn = calloc(1, sizeof(*conn));

	if (!conn || ike_psk_load(conn, c) != 0) {
		free(conn);
		return spw_fail(err, -ENOMEM, "tunnel %s: no guarded memory for its key", c->name);
	}
	conn->e = e;
	conn->pair.turn = &conn->turn;
	conn->since_ns = e->now;
	conn->check.due_ns = UINT64_MAX;
	take_settings(conn, c);
	if (ike_turn_join(e, &conn->turn, conn, NULL) != 0) {
		conn_drop(conn);
		return spw_fail(err, -ENOMEM, "tunnel %s: no memory for it", c->name);
	}
	if (ike_conn_mark(conn) != 0) {
		conn_drop(conn);
		return spw_fail(err, -EIO, "tunnel %s: the cryptography failed", c->name);
	}
	*out = conn;
	return 0;
}

/* Other secrets, and perhaps other settings: in place where the SAs stand, or anew. */
static int
replace(struct ike_engine *e, struct ike_conn *old, const struct spw_ike_conn *c,
	struct spw_err *err)
{
	struct ike_conn *conn = NULL;
	int rc = conn_new(e, c, &conn, err);

	if (rc != 0)
		return rc;
	if (old && same_peer(old, c) && ike_psk_carries(old, conn)) {
		ike_psk_move(old, conn);
		take_settings(old, c);
		ike_wake_conn(old);
		conn_drop(conn);
		spw_log(SPW_LOG_INFO, "ike", "keys-changed", "conn=%s", old->set.name);
		return 0;
	}
	conn->next = e->conns; /* in front of the old one until that is gone */
	e->conns = conn;
	ike_index_conn(conn);
	ike_wake_conn(conn);
	ike_conn_restore(conn);
	if (old)
		remove_conn(old);
	return 0;
}

int
ike_engine_conn_set(struct ike_engine *e, uint64_t now_ns, const struct spw_ike_conn *c,
		    struct spw_err *err)
{
	struct ike_conn *old;
	int rc = check(c, err);

	if (rc != 0)
		return rc;
	e->now = now_ns;
	old = ike_conn_find(e, c->name);
	if (old && same_peer(old, c) && ike_psk_same(old, c)) {
		take_settings(old, c);
		ike_wake_conn(old);
		if (old->up && old->check.outcome == SPW_IKE_CHECK_NOT_YET)
			ike_check_up(old);
	} else {
		rc = replace(e, old, c, err);
	}
	ike_engine_run(e);
	return rc;
}

int
ike_engine_conn_del(struct ike_engine *e, uint64_t now_ns, const char *name)
{
	struct ike_conn *conn = ike_conn_find(e, name);

	if (!conn)
		return -ENOENT;
	e->now = now_ns;
	remove_conn(conn);
	ike_engine_run(e);
	return 0;
}

void
ike_engine_conn_sweep(struct ike_engine *e, uint64_t now_ns, uint32_t generation)
{
	struct ike_conn *next;

	e->now = now_ns;
	for (struct ike_conn *c = e->conns; c; c = next) {
		next = c->next;
		if (c->set.generation < generation)
			remove_conn(c);
	}
	ike_engine_run(e);
}

/* The IKE SA a person means: the one in use, else the one being made or closed. */
static const struct ike_sa *
shown_sa(const struct ike_conn *conn)
{
	const struct ike_sa *best = ike_conn_sa(conn);

	for (const struct ike_sa *sa = conn->sas; sa && !best; sa = sa->conn_next)
		if (sa->state != IKE_SA_GONE && sa->state != IKE_SA_DEAD)
			best = sa;
	return best;
}

static uint32_t
shown_state(const struct ike_sa *sa)
{
	switch (sa->state) {
	case IKE_SA_INIT_SENT:
	case IKE_SA_HALF_OPEN:
	case IKE_SA_AUTH_SENT: return SPW_IKE_CONNECTING;
	case IKE_SA_ESTABLISHED:
		return sa->req.task == IKE_TASK_IKE_REKEY ? SPW_IKE_REKEYING : SPW_IKE_ESTABLISHED;
	case IKE_SA_LEAVING:
	case IKE_SA_RETIRED:
	case IKE_SA_CLOSING: return SPW_IKE_CLOSING;
	case IKE_SA_GONE:
	case IKE_SA_DEAD:
	case IKE_SA_STATES:
	default: return SPW_IKE_IDLE;
	}
}

static void
status_sa(struct spw_ike_status *s, const struct ike_sa *sa)
{
	s->state = shown_state(sa);
	s->local = sa->local;
	s->remote = sa->remote;
	s->remote_port = sa->remote_port;
	s->initiator = sa->initiator;
	s->ike = sa->suite;
	s->spi_i = sa->spi_i;
	s->spi_r = sa->spi_r;
	s->since_ns = sa->since_ns;
	s->rekey_at_ns = sa->rekey_at == UINT64_MAX ? 0 : sa->rekey_at;
	s->heard_ns = sa->heard_ns;
	s->retransmits = sa->req.sent > 1 ? sa->req.sent - 1 : 0;
	s->nat_here = sa->nat_here;
	s->nat_there = sa->nat_there;
	s->escrow = sa->slot != 0;
	s->psk = (uint32_t)(ike_psk_of(sa) + 1);
	s->ppk = sa->ppk == IKE_PPK_USED;
}

/* The reason, and the time of the next try while one is waited for. */
static void
status_reason(struct spw_ike_status *s, const struct ike_conn *conn)
{
	if (s->state == SPW_IKE_IDLE && conn->next_try > conn->e->now)
		s->next_try_ns = conn->next_try;
	snprintf(s->reason, sizeof(s->reason), "%s", conn->reason);
}

static void
status_check(struct spw_ike_status *s, const struct ike_check *k)
{
	s->check = k->outcome;
	s->check_notify = k->notify;
	s->check_wanted = k->wanted;
	s->check_ns = k->at_ns;
	s->check_at_ns = k->due_ns == UINT64_MAX ? 0 : k->due_ns;
}

static void
status_conn(struct spw_ike_status *s, const struct ike_conn *conn)
{
	const struct ike_engine_config *c = &conn->e->config;
	const struct ike_sa *sa = shown_sa(conn);
	const struct ike_child *child = ike_child_best((struct ike_conn *)conn, NULL);
	uint64_t esp;

	memset(s, 0, sizeof(*s));
	snprintf(s->name, sizeof(s->name), "%s", conn->set.name);
	s->tunnel = conn->set.tunnel;
	s->local = conn->set.local;
	s->remote = conn->set.remote;
	s->since_ns = conn->since_ns;
	if (sa)
		status_sa(s, sa);
	if (child)
		s->esp = child->suite;
	s->children = ike_conn_live_children(conn);
	s->attempts = conn->attempts;
	s->ike_rekeys = conn->ike_rekeys;
	s->child_rekeys = conn->child_rekeys;
	s->child_rekey_failures = conn->child_rekey_failures;
	status_check(s, &conn->check);
	esp = c->ops->last_inbound(c->ctx, conn->set.tunnel);
	if (sa && esp > s->heard_ns)
		s->heard_ns = esp;
	status_reason(s, conn);
}

size_t
ike_engine_status(const struct ike_engine *e, struct spw_ike_status *rows, size_t max)
{
	size_t n = 0;

	for (const struct ike_conn *c = e->conns; c; c = c->next, n++)
		if (n < max)
			status_conn(&rows[n], c);
	return n;
}
