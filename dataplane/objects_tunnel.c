/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tunnels: TUNNEL_SET, removal. They live in the SAD; here is only what the rest of the data plane
 * must know: that they exist, and the path of their outer packets.
 *
 * API thread.
 */
#include "dataplane/control.h"

#include <errno.h>
#include <stdlib.h>

static int
tunnel_check(struct dp_control *c, const struct spw_dp_tunnel *t, struct spw_err *err)
{
	if (t->id >= DP_TUNNELS_MAX)
		return spw_fail(err, -EINVAL, "tunnel id %u is beyond the last, %u", t->id,
				DP_TUNNELS_MAX - 1);
	if (!memchr(t->name, 0, sizeof(t->name)))
		return spw_fail(err, -EINVAL, "tunnel %u: the name is not terminated", t->id);
	if (spw_addr_len(t->local.family) == 0 || t->local.family != t->remote.family)
		return spw_fail(err, -EAFNOSUPPORT,
				"tunnel '%.15s': outer addresses must both be IPv4 or both IPv6",
				t->name);
	if (t->mtu < 576 || t->mtu > c->opt->mbuf_size - DP_MBUF_SPARE)
		return spw_fail(
			err, -EINVAL,
			"tunnel '%.15s': MTU %u is not in 576..%u; larger ones need a larger "
			"--mbuf-size",
			t->name, t->mtu, c->opt->mbuf_size - DP_MBUF_SPARE);
	if (t->outer_path != SPW_DP_ADDR_NONE &&
	    (t->outer_path >= SPW_DP_PATHS_MAX || !dp_path_get(c->tables, t->outer_path)))
		return spw_fail(err, -ENOENT, "tunnel '%.15s': there is no path %u", t->name,
				t->outer_path);
	return 0;
}

/* Take over `t`, or NULL for none, in the place of what the number stood for. */
static void
tunnel_put(struct dp_control *c, uint32_t id, struct spw_dp_tunnel *t)
{
	const struct spw_dp_tunnel *old = c->tunnel[id];
	uint32_t outer = t && t->outer_path != SPW_DP_ADDR_NONE ? t->outer_path + 1 : 0;

	if (old && old->outer_path != SPW_DP_ADDR_NONE)
		c->outer_refs[old->outer_path]--;
	if (outer)
		c->outer_refs[outer - 1]++;
	atomic_store_explicit(&c->tables->tunnel_outer[id], outer, memory_order_release);
	free(c->tunnel[id]);
	c->tunnel[id] = t;
}

/* Bring the SAD back to what it was for the first `n` elements. */
static void
tunnels_undo(struct dp_control *c, const struct spw_dp_tunnel *t, uint32_t n)
{
	struct spw_err ignored;

	for (uint32_t i = 0; i < n; i++) {
		int rc = c->tunnel[t[i].id]
				 ? dp_sad_tunnel_set(c->sad, c->tunnel[t[i].id], &ignored)
				 : dp_sad_tunnel_del(c->sad, t[i].id, &ignored);

		if (rc != 0)
			spw_log(SPW_LOG_ERROR, "tunnel", "undo-failed", "tunnel=%u cause=\"%s\"",
				t[i].id, ignored.text);
	}
}

int
dp_handle_tunnel_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_tunnel *t = b->elems;
	struct spw_dp_tunnel **made = calloc(b->count, sizeof(*made));
	struct dp_shape **shapes = NULL;
	int rc = made ? 0 : spw_fail(err, -ENOMEM, "no memory for tunnels");

	for (b->bad = 0; rc == 0 && b->bad < b->count; b->bad += rc == 0)
		rc = tunnel_check(c, &t[b->bad], err);
	for (uint32_t i = 0; rc == 0 && i < b->count; i++)
		if (!(made[i] = malloc(sizeof(*made[i]))))
			rc = spw_fail(err, -ENOMEM, "no memory for tunnels");
	if (rc == 0)
		rc = dp_shapes_prepare(c, t, b->count, &shapes, err);
	if (rc == 0) {
		for (b->bad = 0; rc == 0 && b->bad < b->count; b->bad += rc == 0)
			rc = dp_sad_tunnel_set(c->sad, &t[b->bad], err);
		if (rc != 0)
			tunnels_undo(c, t, b->bad);
	}
	for (uint32_t i = 0; made && i < b->count; i++) {
		if (rc != 0) {
			free(made[i]);
			continue;
		}
		*made[i] = t[i];
		tunnel_put(c, t[i].id, made[i]);
	}
	if (rc == 0)
		dp_shapes_commit(c, t, b->count, shapes);
	else
		dp_shapes_discard(shapes, b->count);
	free(made);
	return rc;
}

int
dp_tunnel_may_del(struct dp_control *c, uint32_t id, struct spw_err *err)
{
	if (id >= DP_TUNNELS_MAX || !c->tunnel[id])
		return spw_fail(err, -ENOENT, "there is no tunnel %u", id);
	if (atomic_load(&c->tables->tunnel_iface[id]) != DP_NO_IFACE)
		return spw_fail(err, -EBUSY, "tunnel '%.15s' has an interface",
				c->tunnel[id]->name);
	for (uint32_t n = 0; n < SPW_DP_PATHS_MAX; n++) {
		const struct dp_path *p = dp_path_get(c->tables, n);

		if (p && p->conf.kind == SPW_PATH_TUNNEL && p->conf.tunnel == id)
			return spw_fail(err, -EBUSY, "tunnel '%.15s' is used by path %u",
					c->tunnel[id]->name, n);
	}
	return 0;
}

void
dp_tunnel_del(struct dp_control *c, uint32_t id)
{
	struct spw_err err;

	if (dp_sad_tunnel_del(c->sad, id, &err) != 0)
		spw_log(SPW_LOG_ERROR, "tunnel", "delete-failed", "tunnel=%u cause=\"%s\"", id,
			err.text);
	dp_shape_tunnel_del(c, id);
	tunnel_put(c, id, NULL);
}

const struct spw_dp_tunnel *
dp_tunnel_by_outer(const struct dp_control *c, uint32_t path, const struct spw_dp_sweep *sweep)
{
	for (uint32_t id = 0; c->outer_refs[path] && id < DP_TUNNELS_MAX; id++) {
		const struct spw_dp_tunnel *t = c->tunnel[id];

		if (t && t->outer_path == path &&
		    !(sweep && dp_generation_older(t->generation, sweep->generation)))
			return t;
	}
	return NULL;
}

void
dp_tunnels_let_go(struct dp_control *c, uint32_t path)
{
	for (uint32_t id = 0; c->outer_refs[path] && id < DP_TUNNELS_MAX; id++) {
		if (!c->tunnel[id] || c->tunnel[id]->outer_path != path)
			continue;
		c->tunnel[id]->outer_path = SPW_DP_ADDR_NONE;
		c->outer_refs[path]--;
		atomic_store_explicit(&c->tables->tunnel_outer[id], 0, memory_order_release);
	}
}
