/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine's doors: construction, datagrams, data plane events, commands, time.
 *
 * Every door takes the time, does its one thing, lets ike_engine_run() start what is wanted now
 * and frees what died. The engine never reads a clock, opens a file or blocks. A datagram is
 * sorted here by header alone: IKE_SA_INIT to its two handlers, all else to the IKE SA that its
 * SPI names; what fits nothing is dropped, or answered within the rate for strangers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

#define MAJOR(version) ((version) >> 4)

int
ike_engine_new(struct ike_engine **out, const struct ike_engine_config *config, uint64_t now_ns)
{
	struct ike_engine *e = calloc(1, sizeof(*e));

	if (!e || spw_secret_alloc(&e->jar.keys, 2 * IKE_COOKIE_KEY) != 0) {
		free(e);
		return -ENOMEM;
	}
	e->config = *config;
	e->now = now_ns;
	e->spare = 100;
	e->spare_ns = now_ns;
	e->jar.turned_ns = now_ns;
	e->log = (struct spw_log_limit)SPW_LOG_LIMIT(10, 20);
	e->strangers_log = (struct spw_log_limit)SPW_LOG_LIMIT(1, 5);
	e->switch_log = (struct spw_log_limit)SPW_LOG_LIMIT(1, 1);
	config->ops->random(config->ctx, e->jar.keys.bytes, e->jar.keys.len);
	ike_qcd_begin(e);
	*out = e;
	return 0;
}

void
ike_engine_free(struct ike_engine *e)
{
	if (!e)
		return;
	for (struct ike_sa *sa = e->sas; sa; sa = sa->next)
		ike_state_set(sa, IKE_SA_DEAD);
	ike_door_close(e);
	while (e->conns)
		ike_conn_free(e->conns);
	ike_park_forget_strangers(e);
	ike_index_free(e);
	free(e->turns.heap);
	spw_secret_free(&e->jar.keys);
	spw_wipe(e, sizeof(*e));
	free(e);
}

static int
nobody_deletes(void *ctx, uint32_t spi_in, uint32_t parts)
{
	return 0;
}

static void
nobody_frees(void *ctx, uint32_t tunnel, uint32_t spi)
{
}

static int
nobody_switches(void *ctx, uint32_t spi_in)
{
	return 0;
}

void
ike_engine_abandon(struct ike_engine *e)
{
	static const struct ike_ops nobody = {.sa_delete = nobody_deletes,
					      .spi_free = nobody_frees,
					      .sa_switch = nobody_switches};

	if (!e)
		return;
	e->config.escrow = NULL;
	e->config.ops = &nobody;
	ike_door_forget(e);
	ike_engine_free(e);
}

/* SPIs nobody has here: told to the sender of a request, within limits. RFC 7296 2.21.4. */
static void
unknown_spi(struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h)
{
	uint64_t spi = (h->flags & IKE_FLAG_INITIATOR) ? h->spi_r : h->spi_i;

	if (ike_index_find(e, IKE_MARK_PROMISED, spi))
		return; /* ours: the answer that makes it is still under way */
	if (!(h->flags & IKE_FLAG_RESPONSE) && h->exchange != IKE_X_SA_INIT)
		ike_qcd_answer(e, d, h);
}

static void
sort_message(struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h)
{
	bool response = (h->flags & IKE_FLAG_RESPONSE) != 0;
	struct ike_sa *sa;

	if (h->exchange == IKE_X_SA_INIT && !response) {
		ike_init_request_in(e, d, h);
		return;
	}
	sa = ike_sa_find(e, (h->flags & IKE_FLAG_INITIATOR) ? h->spi_r : h->spi_i);
	if (!sa) {
		unknown_spi(e, d, h);
		return;
	}
	ike_wake(sa);
	if (h->exchange == IKE_X_SA_INIT)
		ike_init_response_in(sa, d, h);
	else
		ike_message_protected(sa, d, h);
}

void
ike_engine_input(struct ike_engine *e, uint64_t now_ns, const struct ike_datagram *d)
{
	struct ike_header h;

	e->now = now_ns;
	if (d->len > IKE_DATAGRAM_MAX || ike_wire_header(&h, d->bytes, d->len) != 0 ||
	    h.spi_i == 0 || MAJOR(h.version) < 2)
		return;
	if (MAJOR(h.version) > 2) {
		if (!(h.flags & IKE_FLAG_RESPONSE))
			ike_reply_plain(e, d, &h, IKE_N_INVALID_MAJOR_VERSION, NULL, 0);
		ike_door_close(e);
		return;
	}
	sort_message(e, d, &h);
	ike_engine_run(e);
}

static void
child_moved(struct ike_engine *e, struct ike_child *c, const struct spw_dp_sa_event *ev)
{
	struct ike_sa *sa = c->sa;

	/* only behind a NAT that was seen, and never when we are behind one (2.23) */
	if (!sa->nat_there || sa->nat_here || !spw_addr_is_set(&ev->remote))
		return;
	if (sa->remote_port == ev->remote_port && spw_addr_equal(&sa->remote, &ev->remote))
		return;
	sa->remote = ev->remote;
	sa->remote_port = ev->remote_port;
	for (struct ike_child *k = sa->children; k; k = k->next)
		if (!k->absent)
			e->config.ops->sa_move(e->config.ctx, k->spi_in, &sa->remote,
					       sa->remote_port, sa->local_port);
}

/* The peer sends on a child SA of which we have not heard. */
static void
early_packet(struct ike_engine *e, uint32_t spi_in)
{
	struct ike_sa *sa = ike_index_find(e, IKE_MARK_OFFERED, spi_in);

	if (sa)
		ike_request_early(sa);
	ike_engine_run(e);
}

void
ike_engine_sa_event(struct ike_engine *e, uint64_t now_ns, const struct spw_dp_sa_event *ev)
{
	struct ike_child *c = ike_child_find_in(e, ev->spi_in);

	e->now = now_ns;
	if (ev->kind == SPW_SA_EV_EARLY) {
		early_packet(e, ev->spi_in);
		return;
	}
	if (!c || c->absent)
		return;
	ike_touch(c->sa);
	switch (ev->kind) {
	case SPW_SA_EV_FIRST_IN:
		c->proven = true; /* it is sent on when it is the best: settle_active() */
		c->prove_at = UINT64_MAX;
		break;
	case SPW_SA_EV_SOFT:
		if (c->state == IKE_CHILD_LIVE && c->rekey_at > now_ns)
			c->rekey_at = now_ns;
		break;
	case SPW_SA_EV_HARD: ike_child_ended(c); break;
	case SPW_SA_EV_PEER_MOVED: child_moved(e, c, ev); break;
	default: break;
	}
	ike_engine_run(e);
}

void
ike_engine_incarnation(struct ike_engine *e, uint64_t incarnation)
{
	e->config.incarnation = incarnation;
}

/* Waits that failures for want of a data plane have made have lost their reason. */
static void
wait_no_longer(struct ike_conn *conn)
{
	conn->child_at = 0;
	if (!ike_conn_sa(conn) && conn->next_try > conn->e->now) {
		conn->next_try = 0;
		conn->attempts = 0;
	}
}

void
ike_engine_dataplane_again(struct ike_engine *e, uint64_t now_ns)
{
	e->now = now_ns;
	ike_wake_all(e);
	for (struct ike_conn *conn = e->conns; conn; conn = conn->next) {
		wait_no_longer(conn);
		for (struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next) {
			ike_touch(sa);
			for (struct ike_child *c = sa->children; c; c = c->next)
				ike_child_catch_up(c);
		}
	}
	ike_engine_run(e);
}

void
ike_engine_dataplane_reset(struct ike_engine *e, uint64_t now_ns, uint32_t encr_mask)
{
	e->now = now_ns;
	e->config.encr_mask = encr_mask;
	for (struct ike_sa *sa = e->sas; sa; sa = sa->next) {
		for (struct ike_child *c = sa->children; c; c = c->next)
			ike_child_lost(c);
		ike_touch(sa);
		if (sa->req.spi_in)
			sa->req.stale = true;
		ike_auth_spi_void(sa);
	}
	ike_wake_all(e);
	for (struct ike_conn *c = e->conns; c; c = c->next) {
		wait_no_longer(c);
		if (c->up)
			snprintf(c->reason, sizeof(c->reason), "the data plane started anew");
		ike_conn_update(c);
	}
	ike_engine_run(e);
}

uint64_t
ike_engine_wakeup(const struct ike_engine *e)
{
	return ike_turns_next(e);
}

uint64_t
ike_engine_tick(struct ike_engine *e, uint64_t now_ns)
{
	e->now = now_ns;
	ike_engine_run(e);
	return ike_engine_wakeup(e);
}

static void
reset_children(struct ike_conn *conn)
{
	for (struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next)
		for (struct ike_child *c = sa->children; c; c = c->next)
			if (c->state == IKE_CHILD_LIVE || c->state == IKE_CHILD_REPLACED) {
				ike_touch(sa);
				c->redundant = true;
				c->delete_at = conn->e->now;
			}
	conn->child_at = 0;
	conn->child_attempts = 0;
}

int
ike_engine_reset(struct ike_engine *e, uint64_t now_ns, const char *name, uint32_t what)
{
	struct ike_conn *conn = ike_conn_find(e, name);

	if (!conn)
		return -ENOENT;
	e->now = now_ns;
	ike_wake_conn(conn);
	snprintf(conn->reason, sizeof(conn->reason), "reset by command");
	if (what == SPW_IKE_RESET_CHILD)
		reset_children(conn);
	else
		ike_conn_close(conn);
	conn->next_try = 0;
	conn->attempts = 0;
	ike_engine_run(e);
	return 0;
}

int
ike_engine_rekey(struct ike_engine *e, uint64_t now_ns, const char *name, uint32_t what)
{
	struct ike_conn *conn = ike_conn_find(e, name);
	struct ike_child *child;
	struct ike_sa *sa;

	if (!conn)
		return -ENOENT;
	e->now = now_ns;
	sa = ike_conn_sa(conn);
	child = ike_child_best(conn, NULL);
	if (!sa || sa->req.task != IKE_TASK_NONE || sa->quiet_until > now_ns)
		return -EAGAIN;
	ike_touch(sa);
	if (what == SPW_IKE_RESET_IKE)
		sa->rekey_at = now_ns;
	else if (child && child->sa == sa && child->state == IKE_CHILD_LIVE && !child->redundant &&
		 child->proven)
		child->rekey_at = now_ns;
	else
		return -EAGAIN;
	ike_engine_run(e);
	return 0;
}

void
ike_engine_shutdown(struct ike_engine *e, uint64_t now_ns)
{
	e->now = now_ns;
	e->shutdown = true;
	ike_wake_all(e);
	for (struct ike_conn *c = e->conns; c; c = c->next) {
		snprintf(c->reason, sizeof(c->reason), "shut down");
		ike_conn_close(c);
	}
	ike_engine_run(e);
}
