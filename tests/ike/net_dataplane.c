/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data planes of the scripted network.
 *
 * Each keeps a table of child SAs and refuses what a real one refuses: an SPI that it did not give
 * out, an SPI twice, a key that was ever there before. It keeps account of the SPIs that are given
 * out and neither installed nor freed, and tells of the first packet on each. After a kill of the
 * process it lives on with what it has: what the next process does not take over is an orphan. An
 * operation of a process that is being killed has no effect (net_process.c says which).
 */
#include "tests/ike/net_priv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/witness.h"

/* A data plane is not as it was. */
static void
changed(const struct net_host *h)
{
	if (h->net->witness && h->net->strict)
		witness_change(h->net);
}

struct net_sa *
net_find_sa(struct net_host *h, uint32_t spi_in)
{
	for (unsigned int i = 0; i < h->sa_top; i++)
		if ((h->sa[i].in || h->sa[i].out) && h->sa[i].spi_in == spi_in)
			return &h->sa[i];
	return NULL;
}

struct net_spi *
net_find_spi(struct net_host *h, uint32_t spi)
{
	for (unsigned int i = 0; spi && i < NET_SPIS; i++)
		if (h->given[i].spi == spi)
			return &h->given[i];
	return NULL;
}

/* One less is given out. */
static void
spi_settled(struct net_host *h, uint32_t spi)
{
	struct net_spi *given = net_find_spi(h, spi);

	if (given)
		*given = (struct net_spi){0};
	h->spis_out--;
}

static int
op_spi_alloc(void *ctx, uint32_t tunnel, uint32_t *spi)
{
	struct net_host *h = ctx;

	assert_int_equal(tunnel, NET_TUNNEL);
	do
		*spi = (uint32_t)net_random(&h->rng);
	while (*spi < 256 || net_find_sa(h, *spi));
	if (net_dying(h, false))
		return 0;
	h->spis_out++;
	h->given[h->next_given++ % NET_SPIS] = (struct net_spi){.spi = *spi};
	return 0;
}

static void
op_spi_free(void *ctx, uint32_t tunnel, uint32_t spi)
{
	struct net_host *h = ctx;
	struct net_sa *sa = net_find_sa(h, spi);

	if (net_dying(h, true))
		return;
	assert_true(h->spis_out > 0);
	spi_settled(h, spi);
	assert_true(!sa || sa->orphan); /* nobody waits for the message that it was made for */
	if (sa)
		sa->in = sa->out = false;
}

/* The process before has left it: the same answer made the same SA. */
static void
take_over(struct net_host *h, struct net_sa *slot, const struct spw_sa_desc *sa)
{
	assert_int_equal(slot->key_len, sa->key_len);
	assert_memory_equal(slot->key_in, sa->key_in, sa->key_len);
	assert_memory_equal(slot->key_out, sa->key_out, sa->key_len);
	slot->orphan = false;
	spi_settled(h, sa->spi_in);
	h->adopted++;
}

/* A free slot for it; NULL: its SPI is not given out any more. */
static struct net_sa *
slot_for(struct net_host *h, const struct spw_sa_desc *sa)
{
	struct net_sa *slot = NULL;

	for (unsigned int i = 0; i < NET_SAS && i <= h->sa_top; i++) {
		/* an SPI whose SA has ended meanwhile is not given out any more */
		if (h->kills && h->sa[i].key_len && h->sa[i].spi_in == sa->spi_in)
			return NULL;
		/* a key that was ever used here must not come back, whatever became of its SA */
		if (h->sa[i].key_len && memcmp(h->sa[i].key_out, sa->key_out, sa->key_len) == 0)
			fail_msg("a key was installed twice");
		if (!slot && !h->sa[i].in && !h->sa[i].out)
			slot = &h->sa[i];
	}
	assert_null(net_find_sa(h, sa->spi_in));
	assert_non_null(slot);
	assert_true(h->spis_out > 0);
	return slot;
}

static void
fill(struct net_sa *slot, const struct spw_sa_desc *sa)
{
	*slot = (struct net_sa){.spi_in = sa->spi_in,
				.spi_out = sa->spi_out,
				.in = true,
				.out = true,
				.key_len = sa->key_len,
				.flags = sa->flags,
				.desc = *sa};
	memcpy(slot->key_in, sa->key_in, sa->key_len);
	memcpy(slot->key_out, sa->key_out, sa->key_len);
}

static int
op_sa_install(void *ctx, const struct spw_sa_desc *sa, bool outbound)
{
	struct net_host *h = ctx;
	struct net_sa *slot = net_find_sa(h, sa->spi_in);

	if (net_dying(h, false))
		return 0;
	if (slot && slot->orphan) {
		take_over(h, slot, sa);
		if (outbound)
			h->active = sa->spi_in;
		return 0;
	}
	if (h->refuse_installs > 0) {
		h->refuse_installs--;
		return -EIO;
	}
	slot = slot_for(h, sa);
	if (!slot)
		return -EINVAL;
	spi_settled(h, sa->spi_in);
	h->installs++;
	h->sa_top += slot == &h->sa[h->sa_top];
	fill(slot, sa);
	if (outbound)
		h->active = sa->spi_in;
	changed(h);
	return 0;
}

static int
op_sa_switch(void *ctx, uint32_t spi_in)
{
	struct net_host *h = ctx;
	struct net_sa *sa = net_find_sa(h, spi_in);

	if (net_dying(h, true))
		return 0;
	if (h->refuse_switches > 0) {
		h->refuse_switches--;
		return -EIO;
	}
	if (h->kills && (!sa || !sa->out)) /* a deletion that was not recorded any more */
		return -ENOENT;
	assert_non_null(sa);
	assert_true(sa->out);
	h->active = spi_in;
	h->switches++;
	changed(h);
	return 0;
}

static int
op_sa_delete(void *ctx, uint32_t spi_in, uint32_t parts)
{
	struct net_host *h = ctx;
	struct net_sa *sa = net_find_sa(h, spi_in);

	if (net_dying(h, true))
		return 0;
	if (!sa)
		return -ENOENT;
	if (parts & SPW_SA_PART_IN)
		sa->in = false;
	if (parts & SPW_SA_PART_OUT)
		sa->out = false;
	if (!sa->out && h->active == spi_in)
		h->active = 0;
	changed(h);
	return 0;
}

static int
op_sa_move(void *ctx, uint32_t spi_in, const struct spw_addr *remote, uint16_t remote_port,
	   uint16_t local_port)
{
	struct net_host *h = ctx;

	if (net_dying(h, false))
		return 0;
	h->moves++;
	return net_find_sa(h, spi_in) ? 0 : -ENOENT;
}

static int
op_sa_adopt(void *ctx, uint32_t tunnel, uint32_t spi_in, struct ike_adopted *a)
{
	struct net_host *h = ctx;
	struct net_sa *sa = net_find_sa(h, spi_in);

	if (net_dying(h, false))
		return 0;
	if (!sa || !sa->in)
		return -ENOENT;
	sa->orphan = false;
	h->adopted++;
	*a = (struct ike_adopted){.heard = sa->heard};
	return 0;
}

static uint64_t
op_last_inbound(void *ctx, uint32_t tunnel)
{
	return ((struct net_host *)ctx)->last_inbound;
}

static void
op_tunnel_event(void *ctx, const struct spw_ike_tunnel_event *ev)
{
	struct net_host *h = ctx;

	if (h->killed)
		return;
	if (ev->up)
		h->ups++;
	else
		h->downs++;
}

void
net_orphans_end(struct net *net, int i)
{
	struct net_host *h = &net->host[i];

	for (unsigned int k = 0; k < h->sa_top; k++) {
		if (!h->sa[k].orphan)
			continue;
		assert_int_not_equal(h->active, h->sa[k].spi_in);
		h->sa[k].in = h->sa[k].out = h->sa[k].orphan = false;
	}
}

void
net_dataplane_reset(struct net *net, int i)
{
	struct net_host *h = &net->host[i];

	for (unsigned int k = 0; k < h->sa_top; k++)
		h->sa[k].in = h->sa[k].out = false; /* keys stay, to see none come back */
	h->active = 0;
	h->incarnation++;
	h->spis_out = 0;
	memset(h->given, 0, sizeof(h->given));
	net_call_begins(h);
	ike_engine_incarnation(h->engine, 1 + h->incarnation);
	ike_engine_dataplane_reset(h->engine, net->now, 0xffff);
	net_call_ends(h);
}

unsigned int
net_sas(const struct net *net, int i)
{
	unsigned int n = 0;

	for (unsigned int k = 0; k < net->host[i].sa_top; k++)
		n += net->host[i].sa[k].in;
	return n;
}

bool
net_agrees(const struct net *net)
{
	for (int i = 0; i < 2; i++) {
		struct net_sa *out =
			net_find_sa((struct net_host *)&net->host[i], net->host[i].active);
		struct net_sa *in =
			out ? net_find_sa((struct net_host *)&net->host[!i], out->spi_out) : NULL;

		if (!in || !in->in || !out->out || in->key_len != out->key_len ||
		    memcmp(in->key_in, out->key_out, out->key_len) != 0)
			return false;
	}
	return true;
}

void
net_dataplane_ops(struct ike_ops *ops)
{
	ops->spi_alloc = op_spi_alloc;
	ops->spi_free = op_spi_free;
	ops->sa_install = op_sa_install;
	ops->sa_switch = op_sa_switch;
	ops->sa_delete = op_sa_delete;
	ops->sa_move = op_sa_move;
	ops->sa_adopt = op_sa_adopt;
	ops->last_inbound = op_last_inbound;
	ops->tunnel_event = op_tunnel_event;
}
