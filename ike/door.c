/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of every call into the engine: what changed is put into escrow, then what was said is
 * sent, the data plane changes its sender and deletes, then what died is freed.
 *
 * A call is a transaction. While it runs, datagrams, switches and deletions only queue up; at its
 * end the records of all IKE SAs that changed go into one batch of the escrow, and only when the
 * batch holds do they leave. So whatever a peer has ever seen of us, the escrow knows, and a
 * process killed anywhere in between has either said nothing or remembers what it said. What makes
 * an SA does take effect inside the call, but nothing is sent on it yet, for a first packet tells
 * the peer that we have it: what was installed but not recorded is met again when the peer's
 * message is, and installing is then a matter of taking over (struct ike_ops). That needs the same
 * SPI where the keys would be the same: a request has it on record, and so has, from before the
 * installation, an answer to IKE_AUTH, whose child brings no nonce of its own. What deletes one is
 * part of the batch until it is done (escrow_will.c).
 *
 * Changes are marked by connection (ike_touch), not by field: SAs of one connection change each
 * other. Writing a record equal to the present one costs a comparison. An SA that cannot be
 * recorded (full, too long) is taken out instead, so that nobody restores what it was before.
 * Without an escrow only the queue is left of all this. One thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

enum kind { DATAGRAM, SWITCH_SA, DELETE_SA, FREE_SPI };

struct ike_letter {
	struct ike_letter *next;
	enum kind kind;
	uint32_t tunnel, spi, parts;
	struct ike_datagram d;
	uint8_t bytes[];
};

void
ike_touch(struct ike_sa *sa)
{
	sa->dirty = true;
	sa->e->dirty = true;
	ike_wake(sa);
	if (sa->conn)
		sa->conn->dirty = true;
}

/* A letter with room for a datagram, at the end of the queue. NULL: as good as lost on the way. */
static struct ike_letter *
letter_new(struct ike_engine *e, enum kind kind, size_t len)
{
	struct ike_letter *l = malloc(sizeof(*l) + len);

	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->kind = kind;
	*(e->last ? &e->last->next : &e->letters) = l;
	e->last = l;
	return l;
}

void
ike_post(struct ike_engine *e, const struct ike_datagram *d)
{
	struct ike_letter *l = letter_new(e, DATAGRAM, d->len);

	if (!l)
		return;
	l->d = *d;
	memcpy(l->bytes, d->bytes, d->len);
	l->d.bytes = l->bytes;
}

void
ike_post_delete(struct ike_engine *e, uint32_t spi_in, uint32_t parts)
{
	struct ike_letter *l = letter_new(e, DELETE_SA, 0);

	if (!l) {
		e->config.ops->sa_delete(e->config.ctx, spi_in, parts);
		return;
	}
	l->spi = spi_in;
	l->parts = parts;
	e->dirty = true;
}

void
ike_post_spi_free(struct ike_engine *e, uint32_t tunnel, uint32_t spi)
{
	struct ike_letter *l = letter_new(e, FREE_SPI, 0);

	if (!l) {
		e->config.ops->spi_free(e->config.ctx, tunnel, spi);
		return;
	}
	l->tunnel = tunnel;
	l->spi = spi;
	e->dirty = true;
}

static void
start_sending(struct ike_engine *e, uint32_t spi_in)
{
	int rc = e->config.ops->sa_switch(e->config.ctx, spi_in);
	struct ike_child *c = rc == 0 ? NULL : ike_child_find_in(e, spi_in);

	if (rc == 0)
		return;
	spw_log_limited(&e->switch_log, SPW_LOG_ERROR, "ike", "switch-failed", "spi=%08x errno=%d",
			spi_in, -rc);
	if (c && rc == -ENOENT)
		ike_child_mute(c);
	else if (c) {
		c->active = false; /* tried again at the next call */
		ike_wake(c->sa);
	}
}

void
ike_post_switch(struct ike_engine *e, uint32_t spi_in)
{
	struct ike_letter *l = letter_new(e, SWITCH_SA, 0);

	if (l)
		l->spi = spi_in;
	else
		start_sending(e, spi_in);
}

static void
deliver(struct ike_engine *e, const struct ike_letter *l)
{
	const struct ike_engine_config *c = &e->config;

	switch (l->kind) {
	case DATAGRAM: c->ops->send(c->ctx, &l->d); break;
	case SWITCH_SA: start_sending(e, l->spi); break;
	case DELETE_SA: c->ops->sa_delete(c->ctx, l->spi, l->parts); break;
	case FREE_SPI: c->ops->spi_free(c->ctx, l->tunnel, l->spi); break;
	}
}

static void
deliver_all(struct ike_engine *e)
{
	while (e->letters) {
		struct ike_letter *l = e->letters;

		e->letters = l->next;
		deliver(e, l);
		free(l);
	}
	e->last = NULL;
}

/*
 * Which SAs have a record. Not one that has only dialled: the peer has nothing yet. Those that a
 * stranger can cause leave a quarter of the room to others.
 */
static bool
belongs(const struct ike_escrow *esc, const struct ike_sa *sa)
{
	if (!sa->conn || sa->state == IKE_SA_INIT_SENT || sa->state == IKE_SA_DEAD)
		return false;
	return !ike_sa_is_strangers(sa) || sa->slot != 0 ||
	       ike_escrow_used(esc) < ike_escrow_slots(esc) / 4 * 3;
}

static void
take_out(struct ike_escrow *esc, struct ike_sa *sa)
{
	if (sa->slot)
		ike_escrow_remove(esc, sa->slot);
	sa->slot = 0;
}

static void
put_in(struct ike_escrow *esc, struct ike_sa *sa)
{
	uint8_t *draft;
	size_t room, len;

	if (!sa->slot)
		sa->slot = ike_escrow_take(esc);
	if (!sa->slot) {
		spw_log_limited(&sa->e->log, SPW_LOG_WARNING, "ike", "escrow-full", "conn=%s",
				sa->conn->set.name);
		return;
	}
	draft = ike_escrow_draft(esc, &room);
	len = ike_record_save(sa, draft, room);
	if (len != 0) {
		ike_escrow_write(esc, sa->slot, len);
		return;
	}
	spw_wipe(draft, room);
	spw_log_limited(&sa->e->log, SPW_LOG_WARNING, "ike", "escrow-too-small", "conn=%s",
			sa->conn->set.name);
	take_out(esc, sa);
}

void
ike_record_now(struct ike_sa *sa)
{
	struct ike_escrow *esc = sa->e->config.escrow;

	if (!esc || !belongs(esc, sa))
		return;
	put_in(esc, sa);
	ike_escrow_publish(esc);
}

static void
record(struct ike_escrow *esc, struct ike_sa *sa)
{
	sa->dirty = false;
	if (belongs(esc, sa))
		put_in(esc, sa);
	else
		take_out(esc, sa);
}

/* What is about to go. Under an SPI that is given back an earlier instance's SA may stand. */
static void
bequeath(struct ike_engine *e)
{
	for (const struct ike_letter *l = e->letters; l; l = l->next) {
		if (l->kind == DELETE_SA)
			ike_will_add(e, l->spi, l->parts);
		else if (l->kind == FREE_SPI)
			ike_will_add(e, l->spi, SPW_SA_PART_IN | SPW_SA_PART_OUT);
	}
	ike_wills_write(e);
}

/* Whatever changed had a turn: ike_touch() gave it one. */
static void
commit(struct ike_engine *e)
{
	struct ike_escrow *esc = e->config.escrow;

	for (const struct ike_turn *t = e->turns.first; t; t = t->next) {
		if (t->sa && !t->sa->conn && t->sa->dirty)
			record(esc, t->sa);
		for (struct ike_sa *sa = ike_conn_sas(t->conn); sa; sa = sa->conn_next)
			if (sa->dirty || t->conn->dirty)
				record(esc, sa);
		if (t->conn)
			t->conn->dirty = false;
	}
	bequeath(e);
	ike_escrow_publish(esc);
}

void
ike_door_close(struct ike_engine *e)
{
	if (e->config.escrow && e->dirty)
		commit(e);
	e->dirty = false;
	e->turns.closing = true;
	deliver_all(e); /* what goes wrong in it is for the next call to record */
	ike_wills_end(e);
	e->turns.closing = false;
	ike_engine_reap(e);
	ike_turns_end(e);
}

void
ike_door_forget(struct ike_engine *e)
{
	while (e->letters) {
		struct ike_letter *l = e->letters;

		e->letters = l->next;
		free(l);
	}
	e->last = NULL;
}

/* ---- restoring, and a data plane that was away ---- */

/* What the data plane says of a child that still stands there. */
static void
child_resume(struct ike_child *c, const struct ike_adopted *a)
{
	const struct spw_ike_conn *set = &c->sa->conn->set;
	uint64_t most = 100 - (set->jitter_percent < 100 ? set->jitter_percent : 99);

	if (a->heard) { /* its first packet came in; that is told once only */
		c->proven = true;
		c->prove_at = UINT64_MAX;
	}
	/* its soft limit may have been met, which is told once only as well */
	if (c->state == IKE_CHILD_LIVE && c->rekey_at > c->sa->e->now &&
	    ((set->child_bytes.soft && a->bytes >= set->child_bytes.soft / 100 * most) ||
	     (set->child_packets.soft && a->packets >= set->child_packets.soft / 100 * most)))
		c->rekey_at = c->sa->e->now;
}

static void
child_adopt(struct ike_child *c)
{
	const struct ike_engine_config *ec = &c->sa->e->config;
	struct ike_adopted a = {0};

	if (c->absent)
		return;
	if (!ec->ops->sa_adopt ||
	    ec->ops->sa_adopt(ec->ctx, c->sa->conn->set.tunnel, c->spi_in, &a) != 0) {
		spw_log(SPW_LOG_WARNING, "ike", "child-missing", "conn=%s spi=%08x state=%s",
			c->sa->conn->set.name, c->spi_in, ike_child_state_name(c->state));
		ike_child_lost(c);
		return;
	}
	child_resume(c, &a);
	/* a change of the sender that was not recorded any more is taken back: both stand */
	if (c->active && ec->ops->sa_switch(ec->ctx, c->spi_in) != 0)
		ike_child_mute(c);
}

void
ike_child_catch_up(struct ike_child *c)
{
	const struct ike_engine_config *ec = &c->sa->e->config;
	const struct ike_sa *sa = c->sa;
	struct ike_adopted a = {0};

	if (c->absent || !ec->ops->sa_adopt ||
	    ec->ops->sa_adopt(ec->ctx, sa->conn->set.tunnel, c->spi_in, &a) != 0)
		return;
	child_resume(c, &a);
	if (sa->nat_there && !sa->nat_here)
		ec->ops->sa_move(ec->ctx, c->spi_in, &sa->remote, sa->remote_port, sa->local_port);
}

static void
sa_resume(struct ike_sa *sa, unsigned int slot)
{
	sa->slot = slot;
	ike_escrow_claim(sa->e->config.escrow, slot);
	for (struct ike_child *c = sa->children; c; c = c->next)
		child_adopt(c);
	ike_touch(sa);
	spw_log(SPW_LOG_INFO, "ike", "restored", "conn=%s spi_i=%016llx spi_r=%016llx state=%s",
		sa->conn->set.name, (unsigned long long)sa->spi_i, (unsigned long long)sa->spi_r,
		ike_state_name(sa->state));
}

void
ike_conn_restore(struct ike_conn *conn)
{
	struct ike_escrow *esc = conn->e->config.escrow;
	char name[IKE_ESCROW_NAME] = {0};
	unsigned int slot = 0;

	memcpy(name, conn->set.name, strnlen(conn->set.name, sizeof(conn->set.name)));
	while (esc && (slot = ike_escrow_next_found(esc, slot, name)) != 0) {
		const uint8_t *record;
		struct ike_sa *sa;
		size_t len;

		record = ike_escrow_read(esc, slot, &len);
		if (!record || !ike_record_fits(conn, record, len))
			continue;
		sa = ike_record_load(conn, record, len);
		if (sa)
			sa_resume(sa, slot);
		else
			spw_log(SPW_LOG_ERROR, "ike", "escrow-damaged", "conn=%s slot=%u",
				conn->set.name, slot);
	}
}
