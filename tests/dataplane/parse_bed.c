/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker over two ports, and frames for it, by the test's own thread. */
#include "tests/dataplane/parse_bed.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/wire.h"
#include "tests/dataplane/fib_bed.h"

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
const uint8_t bed_our_v6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 1};

static struct dp_iface *
iface_new(struct yard *y, uint16_t id, uint16_t port, uint32_t role, bool up)
{
	struct dp_iface *i = calloc(1, sizeof(*i));

	i->conf = (struct spw_dp_iface){
		.id = id, .kind = SPW_IFACE_PORT, .role = role, .mtu = 1500, .up = up};
	i->port = y->port[port];
	memcpy(i->mac, our_mac, 6);
	i->mac_word = 0;
	memcpy(&i->mac_word, our_mac, 6);
	atomic_store(&y->w.tables->iface[id], i);
	return y->iface[id] = i;
}

static void
port_new(struct yard *y, uint16_t id, const struct dp_vlan_entry *e, uint32_t n)
{
	struct dp_port *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);

	memset(p, 0, sizeof(*p));
	p->dpdk_id = id;
	p->rx_csum = true;
	atomic_store(&p->vlans, dp_vlan_map_new(e, n));
	atomic_store(&y->w.tables->port[id], p);
	y->port[id] = p;
}

void
yard_rates_fill(struct dp_worker_priv *p, uint32_t tokens)
{
	for (unsigned int i = 0; i < DP_UP_KINDS; i++)
		p->up_rate[i] = dp_rate_make(1000000000, 1000, tokens);
}

void
yard_open(struct yard *y)
{
	static const struct dp_vlan_entry first[] = {
		{0, PLAIN}, {100u << 16, TAGGED}, {300u << 16 | 20, DOUBLE}, {400u << 16, DOWN}};
	static const struct dp_vlan_entry second[] = {{0, OTHER}};
	const struct dp_local_entry v4 = {OUR_V4, PLAIN};
	struct dp_local6_entry v6 = {.iface = PLAIN};

	memset(y, 0, sizeof(*y));
	memcpy(v6.addr, bed_our_v6, 16);
	y->w.tables = dp_tables_new();
	y->w.pool = bed_pool();
	y->w.iface = calloc(DP_IFACES_MAX, sizeof(*y->w.iface));
	y->w.priv = y->priv = calloc(1, sizeof(*y->priv));
	y->w.now_tsc = 1000000000;
	yard_rates_fill(y->priv, 100);
	port_new(y, 0, first, 4);
	port_new(y, 1, second, 1);
	iface_new(y, PLAIN, 0, SPW_IF_ROLE_LAN, true);
	iface_new(y, TAGGED, 0, SPW_IF_ROLE_EXPRESSROUTE, true);
	iface_new(y, DOUBLE, 0, SPW_IF_ROLE_EXPRESSROUTE, true);
	iface_new(y, DOWN, 0, SPW_IF_ROLE_LAN, false);
	iface_new(y, OTHER, 1, SPW_IF_ROLE_INTERNET, true);
	atomic_store(&y->w.tables->local, dp_local_new(&v4, 1, OUR_V4));
	atomic_store(&y->w.tables->local6, dp_local6_new(&v6, 1, bed_our_v6));
	/* Without a route: nobody may answer from the Internet. */
	y->qsbr = fib_bed_qsbr();
	assert_int_equal(dp_fib_new(&y->w.tables->fib, 64, y->qsbr, NULL), 0);
	assert_int_equal(dp_fib6_new(&y->w.tables->fib6, 64, y->qsbr, NULL), 0);
}

void
yard_close(struct yard *y)
{
	for (unsigned int p = 0; p < PORTS; p++) {
		free(atomic_load(&y->port[p]->vlans));
		free(y->port[p]);
	}
	for (unsigned int i = 1; i <= OTHER; i++)
		free(y->iface[i]);
	free(atomic_load(&y->w.tables->local));
	free(atomic_load(&y->w.tables->local6));
	dp_fib_free(y->w.tables->fib);
	dp_fib6_free(y->w.tables->fib6);
	free(y->qsbr);
	dp_tables_free(y->w.tables);
	free(y->w.iface);
	free(y->priv);
}

uint16_t
bed_frame_v4(uint8_t *f, const uint8_t *tags, uint16_t tags_len, uint16_t ip_len)
{
	uint8_t *ip = f + 14 + tags_len;

	memset(f, 0, 14u + tags_len + ip_len);
	memcpy(f, our_mac, 6);
	f[6] = 4;
	if (tags_len)
		memcpy(f + 12, tags, tags_len);
	dp_put_be16(f + 12 + tags_len, 0x0800);
	ip[0] = 0x45;
	dp_put_be16(ip + 2, ip_len);
	ip[8] = 64;
	ip[9] = 17;
	dp_put_be32(ip + 12, 0x0a020202);
	dp_put_be32(ip + 16, 0x0a030303);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	for (uint16_t i = 20; i < ip_len; i++)
		ip[i] = (uint8_t)(i * 7);
	return (uint16_t)(14 + tags_len + ip_len);
}

struct rte_mbuf *
bed_received(const uint8_t *f, uint16_t len, uint16_t port)
{
	struct rte_mbuf *m = bed_mbuf(f, len);

	m->port = port;
	return m;
}

uint16_t
bed_noise(uint8_t *f)
{
	static const uint8_t tags[8] = {0x88, 0xa8, 1, 44, 0x81, 0, 0, 20};
	uint16_t tags_len = (uint16_t)(random() % 3 * 4);
	uint16_t len = bed_frame_v4(f, tags + (tags_len == 4 ? 4 : 0), tags_len, 120);
	uint8_t *ip = f + 14 + tags_len;

	if (random() % 2) {
		dp_put_be16(f + 12 + tags_len, 0x86dd);
		memset(ip, 0, 40);
		ip[0] = 0x60;
		dp_put_be16(ip + 4, 80);
		ip[6] = (uint8_t[]){0, 17, 43, 44, 50, 58, 60}[random() % 7];
		ip[8] = 0x20;
		memcpy(ip + 24, bed_our_v6, 16);
		for (unsigned int i = 40; i < 120; i++)
			ip[i] = random() % 3 ? 0 : (uint8_t)random();
		ip[40] = (uint8_t[]){0, 17, 43, 44, 50, 58, 60}[random() % 7];
	} else if (random() % 2) {
		dp_put_be32(ip + 16, OUR_V4);
		dp_put_be16(ip + 22, 4500);
		dp_put_be16(ip + 10, 0);
		dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	}
	for (int k = (int)random() % 4; k > 0; k--)
		f[random() % len] = (uint8_t)random();
	return (uint16_t)(random() % 4 ? len : 1 + random() % len);
}
