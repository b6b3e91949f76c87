/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands in for the world around the leaves: functions named __wrap_X are called for X of the
 * product (linker option --wrap). The data plane keeps what it was told, the clock is bed.now, what
 * BGP and neighbours say is in the bed. One thread.
 */
#include "tests/control/leaves_bed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

uint64_t __wrap_spw_clock_ns(void);
bool __wrap_ctl_dataplane_connected(const struct ctl_runtime *rt);
int __wrap_ctl_dataplane_send(struct ctl_runtime *rt, uint16_t number, const void *elems,
			      uint16_t elem_size, size_t count, int fd, struct spw_err *err);
int __wrap_ctl_dataplane_get(struct ctl_runtime *rt, uint16_t number, const void *query,
			     uint16_t query_size, uint16_t elem_size,
			     void (*visit)(void *ctx, const void *elem), void *ctx,
			     struct spw_err *err);
struct ctl_neighbour *__wrap_ctl_neighbour_find(struct ctl_runtime *rt, struct ctl_iface *iface,
						const struct spw_addr *addr);
void __wrap_ctl_neighbour_want(struct ctl_runtime *rt, struct ctl_iface *iface,
			       const struct spw_addr *addr);
void __wrap_ctl_frr_ask(struct ctl_runtime *rt, const struct spw_addr *next_hop);
void __wrap_ctl_frr_apply(struct ctl_runtime *rt);
bool __wrap_ctl_bmp_is_withdrawn(const struct ctl_runtime *rt, const struct spw_prefix *prefix,
				 const struct spw_addr *next_hop);
enum ctl_bmp_word __wrap_ctl_bmp_gives(const struct ctl_runtime *rt,
				       const struct spw_addr *neighbour_addr,
				       const struct spw_prefix *prefix);
void __wrap_ctl_watch_path_gone(struct ctl_runtime *rt, const struct ctl_path *path);

static struct ctl_neighbour neighbour;

uint64_t
__wrap_spw_clock_ns(void)
{
	return bed.now;
}

bool
__wrap_ctl_dataplane_connected(const struct ctl_runtime *rt)
{
	return !bed.away;
}

static void
told_one(uint16_t number, const void *e)
{
	const struct spw_dp_route *r = e;
	const struct spw_dp_group *g = e;
	const struct spw_dp_path_state *s = e;
	struct ctl_rib_entry *leaf;

	switch (number) {
	case SPW_DP_PATH_STATE:
		bed.bit[s->id] = s->up;
		bed.states++;
		break;
	case SPW_DP_GROUP_SET:
		assert_in_range(g->id, 1, BED_GROUPS - 1);
		bed.group[g->id] = *g;
		bed.groups_set++;
		break;
	case SPW_DP_ROUTE_SET:
		leaf = ctl_rib_get(&bed.fib, &r->prefix);
		/* A leaf never names a group that was not told. */
		assert_true(r->group == 0 || bed.group[r->group].id == r->group);
		leaf->restored_ns = r->group;
		bed.routes_set++;
		break;
	case SPW_DP_ROUTE_DEL:
		leaf = ctl_rib_find(&bed.fib, &r->prefix);
		if (leaf)
			ctl_rib_remove(&bed.fib, leaf);
		bed.routes_del++;
		break;
	default: break;
	}
}

int
__wrap_ctl_dataplane_send(struct ctl_runtime *rt, uint16_t number, const void *elems,
			  uint16_t elem_size, size_t count, int fd, struct spw_err *err)
{
	const struct spw_dp_path_state *state = elems;

	if (bed.away)
		return -ENOTCONN;
	if (number == SPW_DP_PATH_STATE && state->up && state->clears != bed.clears[state->id])
		return spw_fail(err, -ESTALE, "cleared since the decision");
	if (bed.first_message == 0)
		bed.first_message = number;
	for (size_t i = 0; i < count; i++)
		told_one(number, (const char *)elems + i * elem_size);
	return 0;
}

int
__wrap_ctl_dataplane_get(struct ctl_runtime *rt, uint16_t number, const void *query,
			 uint16_t query_size, uint16_t elem_size,
			 void (*visit)(void *ctx, const void *elem), void *ctx, struct spw_err *err)
{
	for (const struct ctl_path *p = rt->paths; p && number == SPW_DP_GET_PATHS; p = p->next) {
		struct spw_dp_path_stats s = {
			.id = p->id, .up = bed.bit[p->id], .clears = bed.clears[p->id]};

		visit(ctx, &s);
	}
	return 0;
}

struct ctl_neighbour *
__wrap_ctl_neighbour_find(struct ctl_runtime *rt, struct ctl_iface *iface,
			  const struct spw_addr *addr)
{
	neighbour.reachable = true;
	for (unsigned int i = 0; i < 4; i++)
		if (spw_addr_equal(&bed.dead[i], addr))
			neighbour.reachable = false;
	return &neighbour;
}

void
__wrap_ctl_neighbour_want(struct ctl_runtime *rt, struct ctl_iface *iface,
			  const struct spw_addr *addr)
{
}

void
__wrap_ctl_frr_ask(struct ctl_runtime *rt, const struct spw_addr *next_hop)
{
}

void
__wrap_ctl_frr_apply(struct ctl_runtime *rt)
{
	bed.frr_applied++;
}

void
__wrap_ctl_watch_path_gone(struct ctl_runtime *rt, const struct ctl_path *path)
{
}

bool
__wrap_ctl_bmp_is_withdrawn(const struct ctl_runtime *rt, const struct spw_prefix *prefix,
			    const struct spw_addr *next_hop)
{
	return spw_addr_equal(&bed.withdrawn_by, next_hop) &&
	       spw_prefix_contains(&bed.withdrawn, prefix);
}

enum ctl_bmp_word
__wrap_ctl_bmp_gives(const struct ctl_runtime *rt, const struct spw_addr *neighbour_addr,
		     const struct spw_prefix *prefix)
{
	return spw_addr_equal(&bed.gives_not, neighbour_addr) ? CTL_BMP_NO : CTL_BMP_YES;
}
