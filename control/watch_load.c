/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Once a second: what the paths carry by class, which neighbour nears its prefix limit, and whether
 * traffic comes back another way than it goes.
 *
 * Rates are moving averages over some five seconds. Bytes of a path are exact, their split by class
 * is sampled by the data plane: the exact rate is divided in the sampled proportions. Nothing here
 * decides anything; it is shown, and warned of at most once a minute.
 */
#include <stdlib.h>
#include <string.h>

#include "control/bmp.h"
#include "control/dataplane.h"
#include "control/fib.h"
#include "control/watch_private.h"

#define SMOOTHING     0.2
#define CLASS_OF_REST 2 /* of bytes that no sample speaks for */
#define WARN_NS	      (60 * SPW_NS_PER_S)
#define LIMIT_PERCENT 80

static void
average(struct watch_load *l, const struct spw_dp_path_stats *s, double seconds)
{
	uint64_t part[SPW_DP_CLASSES], sum = 0;
	double kbps = (double)(s->bytes - l->bytes) * 8 / 1000 / seconds;

	for (unsigned int c = 0; c < SPW_DP_CLASSES; c++) {
		part[c] = s->class_bytes[c] - l->class_bytes[c];
		sum += part[c];
	}
	for (unsigned int c = 0; c < SPW_DP_CLASSES; c++) {
		double share = sum ? (double)part[c] / (double)sum : c == CLASS_OF_REST;

		l->kbps[c] += SMOOTHING * (kbps * share - l->kbps[c]);
	}
}

static bool
counts(const struct ctl_path *p)
{
	return p && (p->kind == SPW_PATH_TUNNEL ||
		     (p->iface && p->iface->role == SPW_IF_ROLE_EXPRESSROUTE));
}

static void
load_one(void *ctx, const void *elem)
{
	const struct spw_dp_path_stats *s = elem;
	struct ctl_runtime *rt = ctx;
	uint64_t now = spw_clock_ns();
	struct watch_load *l;

	if (!counts(ctl_path_by_id(rt, s->id)))
		return;
	l = rt->watch->load[s->id];
	if (!l && s->bytes)
		l = rt->watch->load[s->id] = calloc(1, sizeof(*l));
	if (!l)
		return;
	if (l->at_ns && s->bytes >= l->bytes && now > l->at_ns)
		average(l, s, (double)(now - l->at_ns) / SPW_NS_PER_S);
	l->at_ns = now;
	l->bytes = s->bytes;
	memcpy(l->class_bytes, s->class_bytes, sizeof(l->class_bytes));
}

void
watch_load_forget(struct ctl_runtime *rt, uint32_t path)
{
	free(rt->watch->load[path]);
	rt->watch->load[path] = NULL;
}

bool
watch_load_of(const struct ctl_runtime *rt, uint32_t path, double kbps[SPW_DP_CLASSES])
{
	const struct watch_load *l =
		rt->watch && path < SPW_DP_PATHS_MAX ? rt->watch->load[path] : NULL;

	if (l)
		memcpy(kbps, l->kbps, sizeof(l->kbps));
	return l != NULL;
}

static void
asymmetric_iface(void *ctx, const void *elem)
{
	*(uint64_t *)ctx += ((const struct spw_dp_iface_stats *)elem)->asymmetric;
}

static void
asymmetric_tunnel(void *ctx, const void *elem)
{
	*(uint64_t *)ctx += ((const struct spw_dp_tunnel_stats *)elem)->asymmetric;
}

static void
watch_asymmetry(struct ctl_runtime *rt)
{
	struct ctl_watch *w = rt->watch;
	uint64_t sum = 0, now = spw_clock_ns();

	ctl_dataplane_get(rt, SPW_DP_GET_IFACES, NULL, 0, sizeof(struct spw_dp_iface_stats),
			  asymmetric_iface, &sum, NULL);
	ctl_dataplane_get(rt, SPW_DP_GET_TUNNELS, NULL, 0, sizeof(struct spw_dp_tunnel_stats),
			  asymmetric_tunnel, &sum, NULL);
	if (sum < w->asymmetric_told)
		w->asymmetric_told = 0; /* another data plane */
	w->asymmetric = sum;
	if (sum == w->asymmetric_told || now - w->asymmetric_told_ns < WARN_NS)
		return;
	spw_log(SPW_LOG_WARNING, "failover", "asymmetric",
		"packets=%llu total=%llu mend=\"look at what Azure prefers: show failover detail\"",
		(unsigned long long)(sum - w->asymmetric_told), (unsigned long long)sum);
	w->asymmetric_told = sum;
	w->asymmetric_told_ns = now;
}

bool
ctl_watch_prefixes(const struct ctl_runtime *rt, const struct spw_addr *neighbour, uint32_t *n)
{
	return rt->bmp && ctl_bmp_count(rt, neighbour, n);
}

/* Azure ends a session that gives it too many prefixes, and so may we: say so before. */
static void
watch_limits(struct ctl_runtime *rt)
{
	for (unsigned int i = 0; i < rt->config.bgp.n_neighbors; i++) {
		const struct ctl_neighbor *n = &rt->config.bgp.neighbor[i];
		char text[SPW_ADDR_TEXT];
		uint32_t count;
		bool near;

		if (!n->prefix_limit || !ctl_watch_prefixes(rt, &n->address, &count))
			continue;
		near = (uint64_t)count * 100 >= (uint64_t)n->prefix_limit * LIMIT_PERCENT;
		if (near && !rt->watch->limit_told[i])
			spw_log(SPW_LOG_WARNING, "bgp", "prefix-limit",
				"neighbor=%s prefixes=%u limit=%u",
				spw_addr_format(&n->address, text), count, n->prefix_limit);
		rt->watch->limit_told[i] = near;
	}
}

void
watch_load_tick(struct ctl_runtime *rt)
{
	if (rt->vnets)
		ctl_dataplane_get(rt, SPW_DP_GET_PATHS, NULL, 0, sizeof(struct spw_dp_path_stats),
				  load_one, rt, NULL);
	watch_asymmetry(rt);
	watch_limits(rt);
}
