/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wills: what a call of the engine takes out of the data plane, on record until it is done.
 *
 * A deletion waits until the records of its call hold (door.c). A process killed in between would
 * leave SAs that no record names any more: they carry traffic on, and keep the peer's liveness
 * checks quiet about an IKE SA that has ended. So the deletions of a call are part of its batch:
 * lists in slots of their own, which end when the deletions are done. The next instance does what
 * it finds there, but not before all its connections are set: whatever goes on has its sender by
 * then, and nothing is taken away that has no successor yet.
 *
 * It may have been done before, in part or whole. Then nothing is met, for the data plane does not
 * give an SPI twice within minutes. A will of another incarnation of the data plane is void. SAs
 * that the escrow never knew of, because it was full or is lost, are in no will: they are orphans,
 * and stay. So does what a will had no slot for.
 *
 * What is read is checked against its length, and touches nothing that this instance goes on with.
 * One thread.
 */
#include <string.h>

#include "ike/engine.h"

struct deed {
	uint32_t spi_in;
	uint32_t parts; /* enum spw_dp_sa_part */
};
struct ike_will {
	char name[IKE_ESCROW_NAME]; /* empty: of no connection */
	uint64_t incarnation;	    /* of the data plane */
	uint64_t n;
	struct deed deed[];
};

static void
finish(struct ike_engine *e)
{
	struct ike_wills *w = &e->wills;

	if (w->draft)
		ike_escrow_write(e->config.escrow, w->slot[w->n - 1],
				 sizeof(*w->draft) + w->draft->n * sizeof(struct deed));
	w->draft = NULL;
}

/* A list with room in it. false: there is no slot for another one. */
static bool
begin(struct ike_engine *e)
{
	struct ike_wills *w = &e->wills;
	unsigned int slot;
	size_t room;

	if (w->draft && w->draft->n < w->room)
		return true;
	finish(e);
	slot = w->n < IKE_WILLS ? ike_escrow_take(e->config.escrow) : 0;
	if (!slot)
		return false;
	w->slot[w->n++] = slot;
	w->draft = (struct ike_will *)(void *)ike_escrow_draft(e->config.escrow, &room);
	w->room = (room - sizeof(*w->draft)) / sizeof(struct deed);
	memset(w->draft, 0, sizeof(*w->draft));
	w->draft->incarnation = e->config.incarnation;
	return true;
}

void
ike_will_add(struct ike_engine *e, uint32_t spi_in, uint32_t parts)
{
	struct ike_will *d = e->wills.draft;

	if (d && d->n > 0 && d->deed[d->n - 1].spi_in == spi_in) {
		d->deed[d->n - 1].parts |= parts;
		return;
	}
	if (!begin(e)) {
		spw_log_limited(&e->log, SPW_LOG_WARNING, "ike", "escrow-full", "will=%08x",
				spi_in);
		return;
	}
	d = e->wills.draft;
	d->deed[d->n++] = (struct deed){spi_in, parts};
}

void
ike_wills_write(struct ike_engine *e)
{
	finish(e);
}

void
ike_wills_end(struct ike_engine *e)
{
	struct ike_wills *w = &e->wills;

	if (w->n == 0)
		return;
	while (w->n > 0)
		ike_escrow_remove(e->config.escrow, w->slot[--w->n]);
	ike_escrow_publish(e->config.escrow);
}

uint32_t
ike_will_rest(uint32_t parts, const struct ike_child *own)
{
	if (!own || own->absent)
		return parts;
	return own->out_gone ? parts & SPW_SA_PART_OUT : 0;
}

static const struct ike_will *
will_read(const struct ike_escrow *esc, unsigned int slot)
{
	size_t len;
	const uint8_t *bytes = ike_escrow_read(esc, slot, &len);
	const struct ike_will *w = (const struct ike_will *)(const void *)bytes;

	if (!bytes || len < sizeof(*w) || w->name[0] != '\0' ||
	    w->n > (len - sizeof(*w)) / sizeof(struct deed))
		return NULL;
	return w;
}

static void
carry_out(struct ike_engine *e, const struct ike_will *w)
{
	const struct ike_engine_config *c = &e->config;

	spw_log(SPW_LOG_INFO, "ike", "will", "deletions=%llu void=%d", (unsigned long long)w->n,
		w->incarnation != c->incarnation);
	for (uint64_t i = 0; i < w->n && w->incarnation == c->incarnation; i++) {
		const struct deed *d = &w->deed[i];
		uint32_t parts = ike_will_rest(d->parts, ike_child_find_in(e, d->spi_in));

		if (parts)
			c->ops->sa_delete(c->ctx, d->spi_in, parts);
	}
}

unsigned int
ike_engine_restored(struct ike_engine *e, uint64_t now_ns)
{
	static const char nobody[IKE_ESCROW_NAME];
	struct ike_escrow *esc = e->config.escrow;
	unsigned int slot = 0, wills = 0;

	e->now = now_ns;
	while (esc && (slot = ike_escrow_next_found(esc, slot, nobody)) != 0) {
		const struct ike_will *w = will_read(esc, slot);

		if (!w)
			continue;
		carry_out(e, w);
		wills++;
	}
	return esc ? ike_escrow_sweep(esc) - wills : 0;
}
