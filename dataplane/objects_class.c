/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic classes, and the capacity of tunnels.
 *
 * The classes are one object for all tunnels; without one the built-in classes hold. Each tunnel
 * with a capacity has a shape (shape.h), made of both and replaced when either changes; a tunnel
 * that is set again as it was keeps its own, and what its buckets hold. Its counters by class
 * belong to the tunnel and live as long, whatever becomes of its capacity.
 *
 * All is prepared before anything is published, so a request takes effect whole or not at all.
 * API thread.
 */
#include "dataplane/shape.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/control.h"

/* The tunnel's counters, made when first wanted. */
static struct dp_shape_count *
counts_of(struct dp_control *c, uint32_t tunnel)
{
	size_t size = c->n_workers * sizeof(struct dp_shape_count);

	if (!c->tunnel_class[tunnel] &&
	    (c->tunnel_class[tunnel] = aligned_alloc(_Alignof(struct dp_shape_count), size)))
		memset(c->tunnel_class[tunnel], 0, size);
	return c->tunnel_class[tunnel];
}

static struct dp_shape *
shape_make(struct dp_control *c, const struct spw_dp_tunnel *t,
	   const struct spw_dp_classes *classes)
{
	struct dp_shape_count *count = counts_of(c, t->id);

	return count ? dp_shape_new(t->capacity_kbps, classes, rte_get_tsc_hz(), rte_rdtsc(), count)
		     : NULL;
}

void
dp_shapes_discard(struct dp_shape **made, uint32_t n)
{
	for (uint32_t i = 0; made && i < n; i++)
		free(made[i]);
	free(made);
}

/* Publish a tunnel's shape (NULL = none). Room to retire one was reserved. */
static void
shape_publish(struct dp_control *c, uint32_t tunnel, struct dp_shape *shape)
{
	/* Partners: run_begin() in stage_shape.c, dp_tunnel_kinds(). */
	dp_retire(c, atomic_exchange_explicit(&c->tables->tunnel_shape[tunnel], shape,
					      memory_order_acq_rel));
}

int
dp_shapes_prepare(struct dp_control *c, const struct spw_dp_tunnel *t, uint32_t n,
		  struct dp_shape ***out, struct spw_err *err)
{
	struct dp_shape **made = calloc(n, sizeof(*made));
	int rc = made && dp_retire_reserve(c, n) == 0 ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < n; i++)
		if (t[i].capacity_kbps &&
		    !(made[i] = shape_make(c, &t[i], dp_classes_get(c->tables))))
			rc = -ENOMEM;
	if (rc == 0) {
		*out = made;
		return 0;
	}
	dp_shapes_discard(made, n);
	return spw_fail(err, rc, "no memory for the capacity of tunnels");
}

void
dp_shapes_commit(struct dp_control *c, const struct spw_dp_tunnel *t, uint32_t n,
		 struct dp_shape **made)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct dp_shape *old = atomic_load(&c->tables->tunnel_shape[t[i].id]);

		if ((old ? old->capacity_kbps : 0) == t[i].capacity_kbps)
			continue;
		shape_publish(c, t[i].id, made[i]);
		made[i] = NULL;
	}
	dp_shapes_discard(made, n);
}

void
dp_shape_tunnel_del(struct dp_control *c, uint32_t tunnel)
{
	struct dp_shape *old = atomic_exchange(&c->tables->tunnel_shape[tunnel], NULL);
	struct dp_shape_count *count = c->tunnel_class[tunnel];

	c->tunnel_class[tunnel] = NULL;
	if (!old) {
		free(count);
	} else if (dp_retire_reserve(c, 2) == 0) {
		dp_retire(c, old);
		dp_retire(c, count);
	} else { /* no room to let them wait: wait here */
		c->changed = true;
		dp_control_grace(c);
		free(old);
		free(count);
	}
}

static uint32_t
shapes_count(const struct dp_control *c)
{
	uint32_t n = 0;

	for (uint32_t id = 0; id < DP_TUNNELS_MAX; id++)
		n += c->tunnel[id] && c->tunnel[id]->capacity_kbps;
	return n;
}

/* The shapes of all tunnels with a capacity, in the order of their ids. */
static int
shapes_make(struct dp_control *c, const struct spw_dp_classes *classes, struct dp_shape **made)
{
	uint32_t n = 0;

	for (uint32_t id = 0; id < DP_TUNNELS_MAX; id++)
		if (c->tunnel[id] && c->tunnel[id]->capacity_kbps &&
		    !(made[n++] = shape_make(c, c->tunnel[id], classes)))
			return -ENOMEM;
	return 0;
}

static void
classes_publish(struct dp_control *c, struct spw_dp_classes *classes, struct dp_shape **made)
{
	uint32_t n = 0;

	/* Partner: dp_classes_get(). */
	dp_retire(c, atomic_exchange_explicit(&c->tables->classes, classes, memory_order_acq_rel));
	for (uint32_t id = 0; id < DP_TUNNELS_MAX; id++)
		if (c->tunnel[id] && c->tunnel[id]->capacity_kbps)
			shape_publish(c, id, made[n++]);
	free(made);
}

int
dp_handle_classes_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_classes *conf = b->elems;
	uint32_t n = shapes_count(c);
	int rc;

	if (b->count != 1)
		return spw_fail(err, -EINVAL, "there is one set of classes, not %u", b->count);
	rc = dp_classes_check(conf, err);
	if (rc != 0 || memcmp(conf, dp_classes_get(c->tables), sizeof(*conf)) == 0)
		return rc;
	struct dp_shape **made = calloc(n + 1, sizeof(*made));
	struct spw_dp_classes *classes = malloc(sizeof(*classes));

	if (made && classes && dp_retire_reserve(c, n + 1) == 0 &&
	    shapes_make(c, conf, made) == 0) {
		*classes = *conf;
		classes_publish(c, classes, made);
		return 0;
	}
	dp_shapes_discard(made, n);
	free(classes);
	return spw_fail(err, -ENOMEM, "no memory for the traffic classes");
}

void
dp_shape_stats(const struct dp_control *c, struct spw_dp_tunnel_stats *row)
{
	const struct dp_shape_count *count = c->tunnel_class[row->id];

	for (unsigned int w = 0; count && w < c->n_workers; w++)
		for (unsigned int i = 0; i < SPW_DP_CLASSES; i++) {
			row->class_packets[i] += count[w].passed[i];
			row->class_dropped[i] += count[w].dropped[i];
		}
}

void
dp_shapes_free(struct dp_control *c)
{
	for (uint32_t id = 0; id < DP_TUNNELS_MAX; id++) {
		if (c->tables)
			free(atomic_load(&c->tables->tunnel_shape[id]));
		free(c->tunnel_class[id]);
	}
	if (c->tables)
		free(atomic_load(&c->tables->classes));
}
