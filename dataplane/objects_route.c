/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes: ROUTE_SET, ROUTE_DEL, the sweep, and the question what an address takes.
 *
 * A batch becomes FIB operations; routes that stay as they are only note the generation. After the
 * batch stands, groups that got routes of others are marked, so that the first packet over them
 * tells when it left: the target of a moved route, the target of a new more specific one, and
 * the covering route's when one was withdrawn. Deleting what is not there is no error: the
 * messages mirror a routing daemon's stream.
 *
 * API thread.
 */
#include "dataplane/control.h"

#include <errno.h>
#include <stdlib.h>

#define SWEEP_CHUNK 2048

static int
prefix_check(const struct spw_prefix *p, struct spw_err *err)
{
	char text[SPW_PREFIX_TEXT];

	if (p->addr.family != AF_INET)
		return spw_fail(err, -EAFNOSUPPORT, "route %s: only IPv4 is routed",
				spw_addr_len(p->addr.family) ? spw_prefix_format(p, text) : "?");
	if (p->len > 32)
		return spw_fail(err, -EINVAL, "route with a prefix length of %u", p->len);
	struct spw_prefix masked = spw_prefix_masked(p);

	if (!spw_addr_equal(&masked.addr, &p->addr))
		return spw_fail(err, -EINVAL, "route %s has host bits set",
				spw_prefix_format(p, text));
	return 0;
}

static int
route_check(struct dp_control *c, const struct spw_dp_route *r, struct spw_err *err)
{
	char text[SPW_PREFIX_TEXT];
	int rc = prefix_check(&r->prefix, err);

	if (rc != 0)
		return rc;
	if (r->group != 0 && !dp_group_get(c->tables, r->group))
		return spw_fail(err, -ENOENT, "route %s: there is no group %u",
				spw_prefix_format(&r->prefix, text), r->group);
	return 0;
}

/* Group that an address takes now; 0 = none. */
static uint32_t
group_of(struct dp_control *c, uint32_t ip)
{
	struct dp_fib_route r;

	return dp_fib_match(c->tables->fib, ip, &r) ? r.group : 0;
}

static void
refs_move(struct dp_control *c, const struct dp_fib_op *op)
{
	if (op->had && op->old_group)
		c->group_refs[op->old_group]--;
	if (!op->del && op->group)
		c->group_refs[op->group]++;
}

/* `before`: for each operation the group that its first address took before the batch. */
static int
ops_run(struct dp_control *c, struct dp_fib_op *ops, uint32_t n, struct dp_batch *b,
	struct spw_err *err)
{
	uint32_t *before = calloc(n + 1, sizeof(*before)), bad = 0;
	int rc;

	if (!before)
		return spw_fail(err, -ENOMEM, "no memory for routes");
	for (uint32_t i = 0; i < n; i++)
		before[i] = group_of(c, ops[i].ip);
	rc = dp_fib_apply(c->tables->fib, ops, n, &bad, err);
	if (b)
		b->bad = bad;
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		uint32_t after = ops[i].del ? group_of(c, ops[i].ip) : ops[i].group;

		refs_move(c, &ops[i]);
		if (before[i] != 0 && after != before[i])
			dp_group_mark(c, after);
	}
	free(before);
	return rc;
}

static struct dp_fib_op
op_of(const struct spw_dp_route *r, bool del)
{
	return (struct dp_fib_op){.ip = spw_addr_get_v4(&r->prefix.addr),
				  .len = r->prefix.len,
				  .del = del,
				  .group = r->group,
				  .generation = r->generation};
}

static int
routes_apply(struct dp_control *c, struct dp_batch *b, bool del, struct spw_err *err)
{
	const struct spw_dp_route *r = b->elems;
	struct dp_fib_op *ops = calloc(b->count + 1, sizeof(*ops));
	uint32_t n = 0;

	if (!ops)
		return spw_fail(err, -ENOMEM, "no memory for routes");
	for (uint32_t i = 0; i < b->count; i++)
		ops[n++] = op_of(&r[i], del);
	int rc = n ? ops_run(c, ops, n, b, err) : 0;

	free(ops);
	return rc;
}

/* True when every route of the batch stands already; then only generations are noted. */
static bool
all_stand(struct dp_control *c, const struct dp_batch *b)
{
	const struct spw_dp_route *r = b->elems;
	struct dp_fib_route have;

	for (uint32_t i = 0; i < b->count; i++)
		if (!dp_fib_get(c->tables->fib, spw_addr_get_v4(&r[i].prefix.addr), r[i].prefix.len,
				&have) ||
		    have.group != r[i].group)
			return false;
	return true;
}

int
dp_handle_route_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_route *r = b->elems;

	for (b->bad = 0; b->bad < b->count; b->bad++) {
		int rc = route_check(c, &r[b->bad], err);

		if (rc != 0)
			return rc;
	}
	if (!all_stand(c, b))
		return routes_apply(c, b, false, err);
	for (uint32_t i = 0; i < b->count; i++)
		dp_fib_touch(c->tables->fib, spw_addr_get_v4(&r[i].prefix.addr), r[i].prefix.len,
			     r[i].generation);
	return 0;
}

int
dp_handle_route_del(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_route *r = b->elems;

	for (b->bad = 0; b->bad < b->count; b->bad++) {
		int rc = prefix_check(&r[b->bad].prefix, err);

		if (rc != 0)
			return rc;
	}
	return routes_apply(c, b, true, err);
}

struct old_routes {
	struct dp_fib_op op[SWEEP_CHUNK];
	uint32_t n;
	uint32_t generation;
};

static void
collect_old(void *arg, const struct dp_fib_route *r)
{
	struct old_routes *o = arg;

	if (o->n < SWEEP_CHUNK && dp_generation_older(r->generation, o->generation))
		o->op[o->n++] = (struct dp_fib_op){.ip = r->ip, .len = r->len, .del = true};
}

int
dp_routes_sweep(struct dp_control *c, uint32_t generation, struct spw_err *err)
{
	struct old_routes *o = calloc(1, sizeof(*o));
	int rc = o ? 0 : spw_fail(err, -ENOMEM, "no memory to sweep routes");

	while (rc == 0) {
		o->n = 0;
		o->generation = generation;
		dp_fib_walk(c->tables->fib, collect_old, o);
		if (o->n == 0)
			break;
		rc = ops_run(c, o->op, o->n, NULL, err);
	}
	free(o);
	return rc;
}

static uint32_t
path_now(struct dp_control *c, uint32_t group)
{
	const struct dp_group *g = group ? dp_group_get(c->tables, group) : NULL;
	struct dp_path_view view = {0};
	struct dp_choice choice;

	dp_path_view_renew(&view, c->tables->bits);
	return g && dp_group_choose(g, view.word, 0, &choice) ? choice.path : SPW_DP_ADDR_NONE;
}

int
dp_handle_get_fib(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_fib_query *q = b->elems;
	struct spw_dp_fib_answer *a = b->reply;
	struct dp_fib_route r;

	for (b->bad = 0; b->bad < b->count; b->bad++)
		if (q[b->bad].addr.family != AF_INET)
			return spw_fail(err, -EAFNOSUPPORT, "only IPv4 addresses are looked up");
	for (uint32_t i = 0; i < b->count; i++) {
		a[i].path = SPW_DP_ADDR_NONE;
		if (!dp_fib_match(c->tables->fib, spw_addr_get_v4(&q[i].addr), &r))
			continue;
		a[i].group = r.group;
		a[i].path = path_now(c, r.group);
		a[i].prefix.addr = spw_addr_v4(r.ip);
		a[i].prefix.len = r.len;
	}
	return 0;
}
