/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes: ROUTE_SET, ROUTE_DEL, the sweep, and the question what an address takes.
 *
 * A batch becomes FIB operations, IPv4 and IPv6 apart, because each family has a FIB of its own;
 * when the second one refuses, what the first took is taken back, so the batch stands whole or not
 * at all. Routes that stay as they are only note the generation. After the batch stands, groups
 * that got routes of others are marked, so that the first packet over them tells when it left: the
 * target of a moved route, the target of a new more specific one, and the covering route's when one
 * was withdrawn. Deleting what is not there is no error: the messages mirror a routing daemon's
 * stream.
 *
 * API thread.
 */
#include "dataplane/control.h"

#include <errno.h>
#include <stdlib.h>

/* The operations of one family, and which element of the batch each stands for. */
struct family_ops {
	bool ipv6;
	uint32_t n;
	struct dp_fib_op *op;
	uint32_t *element;
	uint32_t *before; /* group that the first address of each took before the batch */
};

static int
prefix_check(const struct spw_prefix *p, struct spw_err *err)
{
	unsigned int bits = 8 * (unsigned int)spw_addr_len(p->addr.family);
	char text[SPW_PREFIX_TEXT];

	if (bits == 0)
		return spw_fail(err, -EAFNOSUPPORT, "route of an address that is no IP address");
	if (p->len > bits)
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

/* The route that an address takes. */
static bool
fib_match(const struct dp_control *c, const struct spw_addr *a, struct dp_fib_route *out)
{
	return a->family == AF_INET6 ? dp_fib6_match(c->tables->fib6, a->bytes, out)
				     : dp_fib_match(c->tables->fib, spw_addr_get_v4(a), out);
}

/* The route with exactly this prefix. */
static bool
fib_get(const struct dp_control *c, const struct spw_prefix *p, struct dp_fib_route *out)
{
	return p->addr.family == AF_INET6
		       ? dp_fib6_get(c->tables->fib6, p->addr.bytes, p->len, out)
		       : dp_fib_get(c->tables->fib, spw_addr_get_v4(&p->addr), p->len, out);
}

static void
fib_touch(struct dp_control *c, const struct spw_dp_route *r)
{
	const struct spw_addr *a = &r->prefix.addr;

	if (a->family == AF_INET6)
		dp_fib6_touch(c->tables->fib6, a->bytes, r->prefix.len, r->generation);
	else
		dp_fib_touch(c->tables->fib, spw_addr_get_v4(a), r->prefix.len, r->generation);
}

static int
fib_apply(struct dp_control *c, struct family_ops *f, uint32_t *bad, struct spw_err *err)
{
	if (f->n == 0)
		return 0;
	return f->ipv6 ? dp_fib6_apply(c->tables->fib6, f->op, f->n, bad, err)
		       : dp_fib_apply(c->tables->fib, f->op, f->n, bad, err);
}

/* Group that the first address of an operation's prefix takes now; 0 = none. */
static uint32_t
group_of(const struct dp_control *c, const struct family_ops *f, const struct dp_fib_op *op)
{
	struct dp_fib_route r;
	bool found = f->ipv6 ? dp_fib6_match(c->tables->fib6, op->ip6, &r)
			     : dp_fib_match(c->tables->fib, op->ip, &r);

	return found ? r.group : 0;
}

static void
family_free(struct family_ops *f)
{
	free(f->op);
	free(f->element);
	free(f->before);
}

static int
family_make(struct family_ops *f, bool ipv6, uint32_t room)
{
	*f = (struct family_ops){.ipv6 = ipv6,
				 .op = calloc(room + 1, sizeof(*f->op)),
				 .element = calloc(room + 1, sizeof(*f->element)),
				 .before = calloc(room + 1, sizeof(*f->before))};
	if (f->op && f->element && f->before)
		return 0;
	family_free(f);
	*f = (struct family_ops){0};
	return -ENOMEM;
}

/* Bring a family back to what it was before its operations: the inverse ones, from the last on. */
static void
family_undo(struct dp_control *c, struct family_ops *f)
{
	struct family_ops back;
	struct spw_err err = {.text = "no memory"};
	uint32_t bad;
	int rc = family_make(&back, f->ipv6, f->n);

	for (uint32_t i = f->n; rc == 0 && i-- > 0;) {
		struct dp_fib_op *op = &back.op[back.n++];

		*op = f->op[i];
		op->del = !f->op[i].had;
		op->group = f->op[i].old_group;
		op->generation = f->op[i].old_generation;
	}
	if (rc == 0) {
		rc = fib_apply(c, &back, &bad, &err);
		family_free(&back);
	}
	if (rc != 0)
		spw_log(SPW_LOG_ERROR, "route", "undo-failed", "routes=%u cause=\"%s\"", f->n,
			err.text);
}

/* Count what groups are referred to, and mark those that got routes of others. */
static void
family_settle(struct dp_control *c, const struct family_ops *f)
{
	for (uint32_t i = 0; i < f->n; i++) {
		const struct dp_fib_op *op = &f->op[i];
		uint32_t after = op->del ? group_of(c, f, op) : op->group;

		if (op->had && op->old_group)
			c->group_refs[op->old_group]--;
		if (!op->del && op->group)
			c->group_refs[op->group]++;
		if (f->before[i] != 0 && after != f->before[i])
			dp_group_mark(c, after);
	}
}

/* Apply both families' operations, [0] IPv4 and [1] IPv6; `bad`: the element that is refused. */
static int
families_run(struct dp_control *c, struct family_ops f[2], uint32_t *bad, struct spw_err *err)
{
	int rc = 0;

	for (unsigned int k = 0; k < 2; k++)
		for (uint32_t i = 0; i < f[k].n; i++)
			f[k].before[i] = group_of(c, &f[k], &f[k].op[i]);
	for (unsigned int k = 0; rc == 0 && k < 2; k++) {
		uint32_t at = 0;

		rc = fib_apply(c, &f[k], &at, err);
		if (rc != 0)
			*bad = f[k].element[at];
		if (rc != 0 && k == 1 && f[0].n)
			family_undo(c, &f[0]);
	}
	for (unsigned int k = 0; rc == 0 && k < 2; k++)
		family_settle(c, &f[k]);
	return rc;
}

static void
op_add(struct family_ops *f, const struct spw_dp_route *r, bool del, uint32_t element)
{
	struct dp_fib_op *op = &f->op[f->n];

	f->element[f->n++] = element;
	*op = (struct dp_fib_op){
		.len = r->prefix.len, .del = del, .group = r->group, .generation = r->generation};
	if (f->ipv6)
		memcpy(op->ip6, r->prefix.addr.bytes, 16);
	else
		op->ip = spw_addr_get_v4(&r->prefix.addr);
}

static int
routes_apply(struct dp_control *c, struct dp_batch *b, bool del, struct spw_err *err)
{
	const struct spw_dp_route *r = b->elems;
	struct family_ops f[2] = {0};
	int rc = 0;

	for (unsigned int k = 0; rc == 0 && k < 2; k++)
		rc = family_make(&f[k], k == 1, b->count);
	if (rc != 0)
		rc = spw_fail(err, rc, "no memory for routes");
	for (uint32_t i = 0; rc == 0 && i < b->count; i++)
		op_add(&f[r[i].prefix.addr.family == AF_INET6], &r[i], del, i);
	if (rc == 0)
		rc = families_run(c, f, &b->bad, err);
	family_free(&f[0]);
	family_free(&f[1]);
	return rc;
}

/* True when every route of the batch stands already; then only generations are noted. */
static bool
all_stand(struct dp_control *c, const struct dp_batch *b)
{
	const struct spw_dp_route *r = b->elems;
	struct dp_fib_route have;

	for (uint32_t i = 0; i < b->count; i++)
		if (!fib_get(c, &r[i].prefix, &have) || have.group != r[i].group)
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
		fib_touch(c, &r[i]);
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

/* Old routes of one family, counted and then gathered for deletion. */
struct old_routes {
	struct family_ops *of; /* NULL: only count */
	uint32_t generation;
	uint32_t n;
};

static void
old_take(void *arg, const struct dp_fib_route *r)
{
	struct old_routes *o = arg;

	if (!dp_generation_older(r->generation, o->generation))
		return;
	o->n++;
	if (!o->of)
		return;
	struct dp_fib_op *op = &o->of->op[o->of->n++];

	*op = (struct dp_fib_op){.len = r->len, .del = true};
	memcpy(op->ip6, r->ip6, sizeof(op->ip6)); /* the union of both families */
}

/* Gather the old routes of a family. 0 or -ENOMEM. */
static int
old_gather(struct dp_control *c, bool ipv6, uint32_t generation, struct family_ops *f)
{
	struct old_routes o = {.generation = generation};
	int rc = 0;

	for (unsigned int pass = 0; rc == 0 && pass < 2; pass++) {
		if (ipv6)
			dp_fib6_walk(c->tables->fib6, old_take, &o);
		else
			dp_fib_walk(c->tables->fib, old_take, &o);
		if (pass == 0)
			rc = family_make(f, ipv6, o.n);
		o.of = f;
	}
	return rc;
}

/* In one batch, whatever their number: in parts each would have to be looked for anew. */
int
dp_routes_sweep(struct dp_control *c, uint32_t generation, struct spw_err *err)
{
	struct family_ops f[2] = {0};
	uint32_t bad;
	int rc = 0;

	for (unsigned int k = 0; rc == 0 && k < 2; k++)
		rc = old_gather(c, k == 1, generation, &f[k]);
	if (rc == 0)
		rc = families_run(c, f, &bad, err);
	else
		spw_fail(err, rc, "no memory to sweep routes");
	family_free(&f[0]);
	family_free(&f[1]);
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

static void
answer(struct dp_control *c, const struct spw_addr *addr, struct spw_dp_fib_answer *a)
{
	struct dp_fib_route r;

	a->path = SPW_DP_ADDR_NONE;
	if (!fib_match(c, addr, &r))
		return;
	a->group = r.group;
	a->path = path_now(c, r.group);
	a->prefix.len = r.len;
	a->prefix.addr.family = addr->family;
	if (addr->family == AF_INET6)
		memcpy(a->prefix.addr.bytes, r.ip6, 16);
	else
		a->prefix.addr = spw_addr_v4(r.ip);
}

int
dp_handle_get_fib(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_fib_query *q = b->elems;
	struct spw_dp_fib_answer *a = b->reply;

	for (b->bad = 0; b->bad < b->count; b->bad++)
		if (spw_addr_len(q[b->bad].addr.family) == 0)
			return spw_fail(err, -EAFNOSUPPORT,
					"only IPv4 and IPv6 addresses are looked up");
	for (uint32_t i = 0; i < b->count; i++)
		answer(c, &q[i].addr, &a[i]);
	return 0;
}
