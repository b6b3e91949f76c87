/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Child SAs and the data plane: install, switch, delete, linger.
 *
 * Of the children of a connection exactly one is `active`, the one the data plane sends on, as
 * long as there is any. Whoever takes an active child's outbound half away first hands over to
 * the best of the others. Inbound halves outlive their Delete by IKE_LINGER_NS, so that nothing
 * in flight is lost (IKE-077). A child that is `absent` is not in the data plane (it was refused
 * there, or belongs to an earlier incarnation) and no call is made for it. One thread.
 */
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

static void
set_active(struct ike_child *c)
{
	ike_touch(c->sa);
	for (struct ike_sa *sa = ike_conn_sas(c->sa->conn); sa; sa = sa->conn_next)
		for (struct ike_child *k = sa->children; k; k = k->next)
			k->active = false;
	c->active = true;
}

int
ike_child_install(struct ike_child *c, const struct spw_sa_desc *d, bool outbound)
{
	struct ike_engine *e = c->sa->e;
	/* the first packet shows the peer that we have it: not before that is on record */
	int rc = e->config.ops->sa_install(e->config.ctx, d, false);

	if (rc != 0) {
		c->absent = true;
		spw_log(SPW_LOG_ERROR, "ike", "install-failed", "conn=%s spi=%08x errno=%d",
			c->sa->conn->set.name, c->spi_in, -rc);
		return rc;
	}
	spw_log(SPW_LOG_INFO, "ike", "child-installed",
		"conn=%s spi_in=%08x spi_out=%08x encr=%s integ=%s pfs=%s role=%s sends=%d",
		c->sa->conn->set.name, c->spi_in, c->spi_out,
		spw_encr_info(c->suite.encr)->show_name, spw_integ_info(c->suite.integ)->show_name,
		spw_group_info(c->suite.group)->show_name, c->mine ? "initiator" : "responder",
		outbound);
	if (outbound) {
		ike_post_switch(e, c->spi_in);
		set_active(c);
	}
	if (!c->proven)
		c->prove_at = ike_after(e->now, IKE_HOLD_NS);
	return 0;
}

void
ike_child_mute(struct ike_child *c)
{
	ike_touch(c->sa);
	c->active = false;
	c->out_gone = true;
	if (c->state == IKE_CHILD_LIVE && !c->redundant)
		c->rekey_at = c->sa->e->now;
}

void
ike_child_activate(struct ike_child *c)
{
	if (c->active || c->absent || c->out_gone)
		return;
	ike_post_switch(c->sa->e, c->spi_in);
	set_active(c);
}

void
ike_sa_proven(struct ike_sa *own)
{
	ike_touch(own);
	for (struct ike_child *c = own->children; c; c = c->next) {
		c->proven = true;
		c->prove_at = UINT64_MAX;
	}
	for (struct ike_sa *sa = ike_conn_sas(own->conn); sa; sa = sa->conn_next)
		sa->quiet_until = 0;
}

void
ike_sa_unproven(struct ike_sa *own)
{
	uint64_t later = ike_after(own->e->now, IKE_HOLD_NS);

	ike_touch(own);
	if (own->state == IKE_SA_RETIRED && own->close_at != UINT64_MAX)
		own->close_at = ike_after(own->e->now, IKE_REKEYED_NS);
	for (struct ike_child *c = own->children; c; c = c->next)
		if (!c->proven)
			c->prove_at = later;
	for (struct ike_sa *sa = ike_conn_sas(own->conn); sa; sa = sa->conn_next)
		if (sa->quiet_until > own->e->now)
			sa->quiet_until = later;
}

/*
 * How much a child is worth as the one to send on; 0 = not at all. One that the peer may not have
 * yet is the last choice: what is sent on it may be lost.
 */
static int
worth(const struct ike_child *c)
{
	bool live = c->state == IKE_CHILD_LIVE || c->state == IKE_CHILD_REKEYING;

	if (c->absent || c->out_gone || (!live && c->state != IKE_CHILD_REPLACED))
		return 0;
	if (!c->proven)
		return 1;
	if (!live)
		return 3;
	return c->redundant || c->sa->redundant || c->sa->state == IKE_SA_CLOSING ? 2 : 4;
}

struct ike_child *
ike_child_best(struct ike_conn *conn, const struct ike_child *except)
{
	struct ike_child *best = NULL;

	for (struct ike_sa *sa = ike_conn_sas(conn); sa; sa = sa->conn_next) {
		for (struct ike_child *c = sa->children; c; c = c->next) {
			if (c == except || worth(c) == 0)
				continue;
			if (!best || worth(c) > worth(best) ||
			    (worth(c) == worth(best) && c->made_ns > best->made_ns))
				best = c;
		}
	}
	return best;
}

void
ike_child_stop_out(struct ike_child *c)
{
	struct ike_child *heir;

	ike_touch(c->sa);
	if (c->active) {
		heir = ike_child_find_in(c->sa->e, c->heir);
		if (!heir || worth(heir) < 4)
			heir = ike_child_best(c->sa->conn, c);
		if (heir)
			ike_child_activate(heir);
		c->active = false;
	}
	if (!c->absent && !c->out_gone)
		ike_post_delete(c->sa->e, c->spi_in, SPW_SA_PART_OUT);
	c->out_gone = true;
}

/* Rekeys may follow one another faster than inbound halves leave: the oldest makes room. */
static void
make_room(struct ike_sa *sa)
{
	struct ike_child *oldest = NULL;
	unsigned int n = 0;

	for (struct ike_child *c = sa->children; c; c = c->next) {
		if (c->gone_at == UINT64_MAX || c->gone_at <= sa->e->now)
			continue;
		n++;
		if (!oldest || c->gone_at < oldest->gone_at)
			oldest = c;
	}
	if (n > IKE_LINGERING)
		oldest->gone_at = sa->e->now;
}

void
ike_child_linger(struct ike_child *c)
{
	ike_child_stop_out(c);
	c->gone_at = ike_after(c->sa->e->now, c->absent ? 0 : IKE_LINGER_NS);
	c->rekey_at = c->hard_at = c->delete_at = UINT64_MAX;
	make_room(c->sa);
}

void
ike_child_free(struct ike_child *c)
{
	struct ike_child **at = &c->sa->children;

	ike_child_stop_out(c);
	if (!c->absent)
		ike_post_delete(c->sa->e, c->spi_in, SPW_SA_PART_IN);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	ike_index_child_gone(c);
	free(c);
}

struct ike_child *
ike_child_find_out(struct ike_sa *own, uint32_t spi_out)
{
	for (struct ike_sa *sa = ike_conn_sas(own->conn); sa; sa = sa->conn_next)
		for (struct ike_child *c = sa->children; c; c = c->next)
			if (c->spi_out == spi_out && c->state != IKE_CHILD_LINGER)
				return c;
	return NULL;
}

unsigned int
ike_conn_live_children(const struct ike_conn *conn)
{
	unsigned int n = 0;

	for (struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next)
		for (struct ike_child *c = sa->children; c; c = c->next)
			n += (c->state == IKE_CHILD_LIVE || c->state == IKE_CHILD_REKEYING) &&
			     !c->redundant && !c->out_gone;
	return n;
}

void
ike_child_lost(struct ike_child *c)
{
	uint64_t now = c->sa->e->now;

	ike_touch(c->sa);
	c->absent = true;
	c->active = false;
	c->hard_at = UINT64_MAX;
	if (c->state == IKE_CHILD_LINGER)
		c->gone_at = now;
	else if (c->state == IKE_CHILD_LIVE && !c->redundant)
		c->rekey_at = now;
}

void
ike_child_ended(struct ike_child *c)
{
	if (c->state == IKE_CHILD_LINGER)
		return;
	spw_log(SPW_LOG_WARNING, "ike", "child-expired", "conn=%s spi=%08x state=%s",
		c->sa->conn ? c->sa->conn->set.name : "-", c->spi_in,
		ike_child_state_name(c->state));
	if (c->sa->conn && !c->sa->conn->reason[0])
		ike_sa_reason(c->sa,
			      "the child SA came to its hard limit and nothing had replaced it");
	ike_child_stop_out(c);
	if (!c->absent)
		ike_post_delete(c->sa->e, c->spi_in, SPW_SA_PART_IN);
	c->absent = true;
	c->redundant = true;
	c->hard_at = c->rekey_at = UINT64_MAX;
	c->delete_at = c->sa->e->now;
}

bool
ike_child_timers(struct ike_child *c)
{
	uint64_t now = c->sa->e->now;

	if (c->gone_at <= now) {
		ike_child_free(c);
		return false;
	}
	if (c->hard_at <= now)
		ike_child_ended(c);
	if (c->prove_at <= now) {
		ike_touch(c->sa);
		c->prove_at = UINT64_MAX;
		c->proven = true;
	}
	return true;
}
