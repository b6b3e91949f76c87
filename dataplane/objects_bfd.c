/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BFD sessions as objects: BFD_SET, removal, and which paths each of them speaks for.
 *
 * A batch is checked whole; applying it cannot fail, because sessions have their memory. Chance
 * gives each new session a discriminator that is not zero and nobody else's (RFC 5880 6.8.1) and a
 * source port of its own (RFC 5881 4). The masks of paths are made anew when paths or sessions
 * change, and put in place under the monitor's lock in one go, before the answer goes out: a path
 * is down until controld, which waits for that answer, sets it. A session goes with its interface.
 *
 * API thread.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/bfd_sessions.h"
#include "dataplane/control.h"

#define MULT_MIN     2
#define INTERVAL_MIN 10000
#define INTERVAL_MAX 60000000

static int
numbers_check(const struct spw_dp_bfd *s, struct spw_err *err)
{
	if (s->id >= SPW_DP_BFD_MAX)
		return spw_fail(err, -EINVAL, "BFD session id %u is beyond the last, %u", s->id,
				SPW_DP_BFD_MAX - 1);
	if (s->detect_mult < MULT_MIN || s->detect_mult > UINT8_MAX)
		return spw_fail(err, -EINVAL, "BFD session %u: multiplier %u is not in %d..%d",
				s->id, s->detect_mult, MULT_MIN, UINT8_MAX);
	if (s->min_tx_us < INTERVAL_MIN || s->min_tx_us > INTERVAL_MAX ||
	    s->min_rx_us < INTERVAL_MIN || s->min_rx_us > INTERVAL_MAX)
		return spw_fail(err, -EINVAL,
				"BFD session %u: intervals %u and %u us are not both in %d..%d",
				s->id, s->min_tx_us, s->min_rx_us, INTERVAL_MIN, INTERVAL_MAX);
	return 0;
}

static int
ends_check(const struct dp_control *c, const struct spw_dp_bfd *s, struct spw_err *err)
{
	const struct dp_iface *i = s->iface > 0 && s->iface < DP_IFACES_MAX
					   ? dp_iface_get(c->tables, (uint16_t)s->iface)
					   : NULL;

	if (!i)
		return spw_fail(err, -ENOENT, "BFD session %u: there is no interface %u", s->id,
				s->iface);
	if (!i->port)
		return spw_fail(err, -EINVAL,
				"BFD session %u: interface '%.15s' is a tunnel, which has no "
				"neighbour on a link",
				s->id, i->conf.name);
	if (spw_addr_len(s->peer.family) == 0 || s->peer.family != s->local.family ||
	    spw_addr_equal(&s->peer, &s->local))
		return spw_fail(err, -EAFNOSUPPORT,
				"BFD session %u: local and peer must be two addresses, both IPv4 "
				"or both IPv6",
				s->id);
	return 0;
}

/* Would these two be told apart on the wire? */
static bool
clash(const struct spw_dp_bfd *a, const struct spw_dp_bfd *b)
{
	return a->id != b->id && a->iface == b->iface && spw_addr_equal(&a->peer, &b->peer) &&
	       spw_addr_equal(&a->local, &b->local);
}

static bool
in_batch(const struct dp_batch *b, uint32_t id)
{
	const struct spw_dp_bfd *s = b->elems;

	for (uint32_t i = 0; i < b->count; i++)
		if (s[i].id == id)
			return true;
	return false;
}

/* Against the sessions as they will be after the batch. */
static int
others_check(const struct dp_control *c, const struct dp_batch *b, const struct spw_dp_bfd *s,
	     struct spw_err *err)
{
	const struct spw_dp_bfd *all = b->elems;

	for (const struct spw_dp_bfd *o = all; o < s; o++) {
		if (o->id == s->id)
			return spw_fail(err, -EINVAL, "BFD session %u is named twice", s->id);
		if (clash(o, s))
			return spw_fail(err, -EEXIST,
					"BFD sessions %u and %u have the same neighbour", o->id,
					s->id);
	}
	for (uint32_t id = 0; id < SPW_DP_BFD_MAX; id++) {
		const struct dp_bfd_session *o = &c->bfds->session[id];

		if (o->used && clash(&o->conf, s) && !in_batch(b, id))
			return spw_fail(err, -EEXIST,
					"BFD session %u has the same neighbour as session %u",
					s->id, id);
	}
	return 0;
}

/* Is the discriminator or the port somebody's? The former only the API thread ever sets. */
static bool
taken(const struct dp_bfds *b, uint32_t disc, uint16_t port)
{
	if (disc == 0 || port < DP_BFD_PORT_LOW)
		return true;
	for (uint32_t id = 0; id < SPW_DP_BFD_MAX; id++)
		if (b->session[id].used &&
		    (b->session[id].bfd.local_disc == disc || b->session[id].src_port == port))
			return true;
	return false;
}

struct chance {
	uint32_t disc;
	uint16_t port;
	uint16_t pad;
	uint64_t seed;
};

/* Chance for one session. 0 or -EIO with a sentence. */
static int
draw(struct chance *ch, struct spw_err *err)
{
	if (getrandom(ch, sizeof(*ch), 0) == sizeof(*ch))
		return 0;
	return spw_fail(err, -EIO, "no random number: %s", strerror(errno));
}

/* From what chance gave, the next that is free; there are far more than sessions. */
static void
settle(const struct dp_bfds *b, struct chance *ch)
{
	do {
		ch->disc += 1;
		ch->port = (uint16_t)(ch->port + 1) | DP_BFD_PORT_LOW;
	} while (taken(b, ch->disc, ch->port));
}

int
dp_handle_bfd_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_bfd *s = b->elems;
	struct chance ch[SPW_DP_BFD_MAX];
	int rc = 0;

	for (b->bad = 0; b->bad < b->count; b->bad++) {
		rc = numbers_check(&s[b->bad], err);
		if (rc == 0)
			rc = ends_check(c, &s[b->bad], err);
		if (rc == 0)
			rc = others_check(c, b, &s[b->bad], err);
		if (rc == 0)
			rc = draw(&ch[b->bad], err);
		if (rc != 0)
			return rc;
	}
	for (uint32_t i = 0; i < b->count; i++) {
		settle(c->bfds, &ch[i]);
		dp_bfds_set(c->bfds, &s[i], ch[i].disc, ch[i].port, ch[i].seed);
	}
	dp_bfds_remask(c);
	return 0;
}

int
dp_bfd_may_del(struct dp_control *c, uint32_t id, struct spw_err *err)
{
	if (id >= SPW_DP_BFD_MAX || !c->bfds->session[id].used)
		return spw_fail(err, -ENOENT, "there is no BFD session %u", id);
	return 0;
}

void
dp_bfd_del(struct dp_control *c, uint32_t id)
{
	dp_bfds_del(c->bfds, id);
}

bool
dp_bfd_generation(const struct dp_control *c, uint32_t id, uint32_t *generation)
{
	*generation = c->bfds->session[id].conf.generation;
	return c->bfds->session[id].used;
}

void
dp_bfds_iface_del(struct dp_control *c, uint32_t iface)
{
	for (uint32_t id = 0; id < c->bfds->end; id++)
		if (c->bfds->session[id].used && c->bfds->session[id].conf.iface == iface)
			dp_bfds_del(c->bfds, id);
}

/* Note the path with every session that speaks for its next hop. */
static void
path_note(struct dp_bfds *b, const struct spw_dp_path *p)
{
	for (uint32_t id = 0; id < b->end; id++) {
		const struct dp_bfd_session *s = &b->session[id];

		if (s->used && s->conf.iface == p->iface &&
		    spw_addr_equal(&s->conf.peer, &p->next_hop))
			dp_path_mask_add(&b->made[id], p->id);
	}
}

void
dp_bfds_remask(struct dp_control *c)
{
	struct dp_bfds *b = c->bfds;

	if (!b || b->end == 0)
		return;
	memset(b->made, 0, b->end * sizeof(b->made[0]));
	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id++) {
		const struct dp_path *p = dp_path_get(c->tables, id);

		if (p && p->conf.kind == SPW_PATH_ADJACENCY)
			path_note(b, &p->conf);
	}
	dp_bfds_masks_put(b);
}
