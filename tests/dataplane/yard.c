/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A yard where packets are sent their way: tables with interfaces, paths, groups and a small FIB,
 * and a worker, as the control side would have made them. There are no ports and no other threads,
 * so objects are replaced in place and freed at once, between bursts.
 *
 * Packets belong to the yard: a test that runs a stage which may drop holds a second reference.
 */
#include "tests/dataplane/yard.h"

#include <stdlib.h>
#include <string.h>

#include "tests/dataplane/fib_bed.h"

#define HZ 1000000000u

uint32_t
yard_roll(struct yard *y, uint32_t n)
{
	return (uint32_t)((fib_bed_random(&y->state) >> 32) * n >> 32);
}

void
yard_iface_put(struct yard *y, uint16_t id, uint32_t role)
{
	struct dp_iface *i = calloc(1, sizeof(*i));

	i->conf = (struct spw_dp_iface){
		.id = id, .kind = SPW_IFACE_PORT, .role = role, .mtu = 1500, .up = 1};
	i->port = &y->port;
	free(atomic_exchange(&y->t->iface[id], i));
}

void
yard_path_put(struct yard *y, uint32_t id, uint32_t kind, uint32_t iface, uint32_t tunnel)
{
	struct dp_path *p = calloc(1, sizeof(*p));

	p->conf = (struct spw_dp_path){.id = id, .kind = kind, .iface = iface, .tunnel = tunnel};
	free(atomic_exchange(&y->t->path[id], p));
}

void
yard_path_up(struct yard *y, uint32_t id, bool up)
{
	struct dp_path_bits *bits = y->t->bits;
	bool was;
	uint32_t clears = dp_path_bits_life(bits, id, &was).clears;

	assert_int_equal(dp_path_bits_set(bits, id, up, clears, 1), 0);
	dp_path_view_renew(&y->priv->view, bits);
}

void
yard_group_put(struct yard *y, const struct spw_dp_group *conf)
{
	free(atomic_exchange(&y->t->group[conf->id], dp_group_new(conf)));
}

static void
group_put(struct yard *y, uint32_t id, uint32_t flags, uint32_t role, uint32_t path, bool er_first)
{
	struct spw_dp_group conf = {.id = id, .flags = flags};
	struct spw_dp_tier *t = conf.tier;

	if (er_first)
		*t++ = (struct spw_dp_tier){
			.role = SPW_TIER_EXPRESSROUTE, .n_paths = 1, .path = {P_ER}, .weight = {1}};
	*t++ = (struct spw_dp_tier){.role = role, .n_paths = 1, .path = {path}, .weight = {1}};
	conf.n_tiers = (uint32_t)(t - conf.tier);
	yard_group_put(y, &conf);
}

/* The IPv6 one, because it is small. */
static void
fib_put(struct yard *y)
{
	struct dp_fib_op ops[] = {{.ip6 = {0xfd, 2}, .len = 16, .group = G_ER},
				  {.ip6 = {0xfd, 3}, .len = 16, .group = G_OPEN}};
	uint32_t bad;

	y->qsbr = fib_bed_qsbr();
	assert_int_equal(dp_fib6_new(&y->t->fib6, 64, y->qsbr, NULL), 0);
	assert_int_equal(dp_fib6_apply(y->t->fib6, ops, 2, &bad, NULL), 0);
}

static void
objects_put(struct yard *y)
{
	yard_iface_put(y, ER_IF, SPW_IF_ROLE_EXPRESSROUTE);
	yard_iface_put(y, LAN_IF, SPW_IF_ROLE_LAN);
	yard_path_put(y, P_ER, SPW_PATH_CONNECTED, ER_IF, 0);
	yard_path_put(y, P_SHAPED, SPW_PATH_TUNNEL, 0, SHAPED);
	yard_path_put(y, P_FREE, SPW_PATH_TUNNEL, 0, FREE);
	group_put(y, G_ER, SPW_GROUP_PROTECTED, SPW_TIER_TUNNEL, P_SHAPED, true);
	group_put(y, G_SHAPED, SPW_GROUP_PROTECTED, SPW_TIER_TUNNEL, P_SHAPED, false);
	group_put(y, G_FREE, SPW_GROUP_PROTECTED, SPW_TIER_TUNNEL, P_FREE, false);
	group_put(y, G_OPEN, 0, SPW_TIER_TUNNEL, P_FREE, false);
	for (uint32_t p = P_ER; p < PATHS; p++)
		yard_path_up(y, p, true);
}

/* What a worker owns. */
static void
worker_arm(struct dp_worker *w, const char *name)
{
	struct dp_worker_priv *p = calloc(1, sizeof(*p));

	w->priv = p;
	w->iface = calloc(DP_IFACES_MAX, sizeof(*w->iface));
	p->path = calloc(SPW_DP_PATHS_MAX, sizeof(*p->path));
	p->load = calloc(SPW_DP_PATHS_MAX, sizeof(*p->load));
	p->way = calloc(DP_GROUPS_MAX, sizeof(*p->way));
	p->seen_tier = calloc(DP_GROUPS_MAX, sizeof(*p->seen_tier));
	p->events =
		rte_ring_create_elem(name, sizeof(struct dp_worker_event), 64, SOCKET_ID_ANY, 0);
	assert_non_null(p->events);
}

void
yard_worker_open(struct yard *y, struct dp_worker *w, const char *name)
{
	*w = (struct dp_worker){
		.sad = y->w->sad, .tables = y->t, .pool = y->w->pool, .now_tsc = y->w->now_tsc};
	worker_arm(w, name);
	dp_path_view_renew(&dp_priv(w)->view, y->t->bits);
}

void
yard_worker_close(struct dp_worker *w)
{
	struct dp_worker_priv *p = dp_priv(w);

	rte_ring_free(p->events);
	free(p->seen_tier);
	free(p->way);
	free(p->load);
	free(p->path);
	free(w->iface);
	free(p);
}

struct yard *
yard_open(void)
{
	struct yard *y = aligned_alloc(64, (sizeof(*y) + 63) / 64 * 64);

	memset(y, 0, sizeof(*y));
	y->state = 88172645463325252;
	bed_open(&y->e, 0xc0000201, DP_CRYPTO_AUTO, 1);
	y->w = &y->e.w;
	y->w->tables = y->t = dp_tables_new();
	y->t->bits = aligned_alloc(64, (sizeof(*y->t->bits) + 63) / 64 * 64);
	dp_path_bits_init(y->t->bits);
	worker_arm(y->w, "yard_events");
	y->priv = dp_priv(y->w);
	fib_put(y);
	objects_put(y);
	for (unsigned int i = 0; i < DP_BURST; i++)
		y->pkt[i] = bed_packet(64);
	return y;
}

static void
objects_free(struct yard *y)
{
	for (unsigned int i = 0; i < YARD_GROUPS; i++)
		free(atomic_load(&y->t->group[i]));
	for (unsigned int i = 0; i < YARD_PATHS; i++)
		free(atomic_load(&y->t->path[i]));
	for (unsigned int i = 0; i < YARD_IFACES; i++)
		free(atomic_load(&y->t->iface[i]));
	for (unsigned int i = 0; i < y->w->sad->max_tunnels; i++)
		free(atomic_load(&y->t->tunnel_shape[i]));
}

void
yard_close(struct yard *y)
{
	for (unsigned int i = 0; i < DP_BURST; i++)
		rte_pktmbuf_free(y->pkt[i]);
	objects_free(y);
	dp_fib6_free(y->t->fib6);
	if (y->t->fib != NULL)
		dp_fib_free(y->t->fib);
	free(y->qsbr);
	yard_worker_close(y->w);
	dp_path_bits_fini(y->t->bits);
	free(y->t->bits);
	dp_tables_free(y->t);
	bed_close(&y->e);
	free(y);
}

void
yard_shape_put_at(struct yard *y, uint32_t tunnel, uint32_t kbps)
{
	free(atomic_exchange(
		&y->t->tunnel_shape[tunnel],
		kbps ? dp_shape_new(kbps, &dp_classes_default, HZ, y->w->now_tsc, &y->count)
		     : NULL));
	atomic_fetch_add(&y->t->epoch, 1);
}

void
yard_shape_put(struct yard *y, uint32_t kbps)
{
	yard_shape_put_at(y, SHAPED, kbps);
}

struct dp_pkt *
yard_fresh(struct yard *y, struct dp_burst *b, uint16_t i, uint8_t next, uint8_t dscp, uint16_t len)
{
	struct rte_mbuf *m = y->pkt[i];
	struct dp_pkt *p = dp_pkt(m);

	memset(p, 0, sizeof(*p));
	p->next = next;
	rte_pktmbuf_mtod(m, uint8_t *)[1] = (uint8_t)(dscp << 2);
	m->pkt_len = len;
	b->pkt[i] = m;
	if (b->n <= i)
		b->n = (uint16_t)(i + 1);
	b->kinds |= (uint16_t)DP_KIND(next);
	return p;
}

void
yard_packets_mend(struct yard *y)
{
	for (unsigned int i = 0; i < DP_BURST; i++)
		y->pkt[i]->pkt_len = y->pkt[i]->data_len;
}
