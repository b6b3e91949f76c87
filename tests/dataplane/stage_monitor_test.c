/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The monitor between one worker and two users of the test's: what is taken of the packets to us,
 * what goes out which way, what is told back, and that it goes on when buffers are used up.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/bfd_packet.h"
#include "dataplane/checksum.h"
#include "dataplane/l2.h"
#include "dataplane/monitor.h"
#include "dataplane/path_bits.h"
#include "tests/dataplane/esp_bed.h"

#define ER     5 /* interfaces */
#define LAN    6
#define ICMP0  0x4000 /* echo identifiers, UDP ports of probes */
#define UDP0   0xf000
#define P_ER   3 /* paths */
#define P_TUN  4
#define P_LAN  5 /* connected: no way for the monitor */
#define OURS   0x0a000001u
#define HOP    0x0a000002u
#define NOBODY 0x0a000003u

struct heard {
	unsigned int inputs, refusals;
	bool wants;
	uint8_t last[2048];
	uint32_t len, tunnel, mtu;
	uint16_t iface;
	enum dp_drop why;
};

struct yard {
	struct bed_end at, far;
	struct dp_worker *worker[1];
	struct dp_worker_priv *priv;
	struct dp_port port;
	struct dp_iface iface[2];
	struct dp_path path[3];
	struct dp_bell bell;
	struct dp_monitor *m;
	struct heard user[DP_MONITOR_USERS];
	struct dp_worker_counters count[1];
	unsigned int up;
};

static bool
input(void *ctx, const struct dp_monitor_in *in)
{
	struct heard *h = ctx;

	h->inputs++;
	h->len = in->len;
	h->iface = in->iface;
	h->tunnel = in->tunnel;
	memcpy(h->last, in->ip, RTE_MIN(in->len, sizeof(h->last)));
	return h->wants;
}

static void
refused(void *ctx, const struct dp_monitor_refusal *r)
{
	struct heard *h = ctx;

	h->refusals++;
	h->why = r->why;
	h->mtu = r->mtu;
	h->len = r->len;
}

static uint64_t
tick(void *ctx, uint64_t now_ns)
{
	return now_ns + SPW_NS_PER_S;
}

static void
up(void *ctx, unsigned int worker, struct rte_mbuf *m)
{
	struct yard *y = ctx;

	y->up++;
	assert_int_equal(dp_pkt(m)->twin, ER);
	assert_int_equal(dp_be16(rte_pktmbuf_mtod_offset(m, uint8_t *, 12)), DP_ETHERTYPE_IPV4);
	rte_pktmbuf_free(m);
}

static struct rte_ring *
ring(const char *name, unsigned int elem, unsigned int n)
{
	struct rte_ring *r =
		rte_ring_create_elem(name, elem, n, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);

	assert_non_null(r);
	return r;
}

static void
iface_make(struct yard *y, unsigned int n, uint16_t id)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	const struct dp_l2_tags none = {.tpid = DP_ETHERTYPE_VLAN};
	struct dp_iface *i = &y->iface[n];

	i->conf = (struct spw_dp_iface){.id = id, .kind = SPW_IFACE_PORT, .mtu = 1500, .up = 1};
	i->port = &y->port;
	i->twin = true;
	memcpy(i->mac, mac, 6);
	i->l2 = dp_l2_make(mac, &none, id, 0);
	atomic_store(&y->at.w.tables->iface[id], i);
}

static void
path_make(struct yard *y, unsigned int n, const struct spw_dp_path *conf)
{
	y->path[n].conf = *conf;
	y->path[n].hop = dp_neigh_key4(ER, HOP);
	atomic_store(&y->at.w.tables->path[conf->id], &y->path[n]);
}

static void
tables_make(struct yard *y)
{
	static const uint8_t hop_mac[6] = {2, 0, 0, 0, 0, 2};
	struct dp_tables *t = y->at.w.tables = dp_tables_new();
	const struct dp_neigh_key hop = dp_neigh_key4(ER, HOP);
	struct dp_neigh_table *old;

	t->neighs = dp_neighs_new();
	assert_int_equal(dp_neighs_reserve(t->neighs, 8, &old), 0);
	free(old);
	dp_neigh_set(t->neighs, &hop, hop_mac, 1);
	iface_make(y, 0, ER);
	iface_make(y, 1, LAN);
	path_make(y, 0, &(struct spw_dp_path){.id = P_ER, .kind = SPW_PATH_ADJACENCY, .iface = ER});
	path_make(
		y, 1,
		&(struct spw_dp_path){.id = P_TUN, .kind = SPW_PATH_TUNNEL, .tunnel = BED_TUNNEL});
	path_make(y, 2,
		  &(struct spw_dp_path){.id = P_LAN, .kind = SPW_PATH_CONNECTED, .iface = LAN});
}

static void
yard_open(struct yard *y)
{
	struct spw_err err;

	memset(y, 0, sizeof(*y));
	bed_open(&y->at, 0xc0000201, DP_CRYPTO_AUTO, 1);
	bed_open(&y->far, 0xc0000202, DP_CRYPTO_AUTO, 1);
	bed_tunnel(&y->at, &y->far, 1400);
	y->worker[0] = &y->at.w;
	tables_make(y);
	y->at.w.priv = y->priv = calloc(1, sizeof(*y->priv));
	y->priv->to_monitor = ring("t-to-mon", sizeof(struct dp_monitor_note), DP_MONITOR_RX_RING);
	y->priv->from_monitor = ring("t-from-mon", sizeof(void *), DP_MONITOR_TX_RING);
	y->priv->events = ring("t-events", sizeof(struct dp_worker_event), 64);
	y->priv->ask_rate = dp_rate_make(1000000000, 1000, 100);
	assert_int_equal(dp_bell_init(&y->bell), 0);
	const struct dp_monitor_config config = {.worker = y->worker,
						 .n_workers = 1,
						 .pool = bed_pool(),
						 .mbuf_size = 2048,
						 .bell = &y->bell};

	assert_int_equal(dp_monitor_new(&y->m, &config, &err), 0);
	y->priv->wants = dp_monitor_wants(y->m);
	for (unsigned int i = 0; i < DP_MONITOR_USERS; i++) {
		const struct dp_monitor_user user = {
			.ctx = &y->user[i], .input = input, .refused = refused, .tick = tick};

		y->user[i].wants = true;
		dp_monitor_attach(y->m, i, &user);
	}
	dp_monitor_want_bfd(y->m, ER, 1);
	dp_monitor_want_probes(y->m, ICMP0, 16, UDP0, 16);
}

static void
yard_close(struct yard *y)
{
	dp_monitor_free(y->m);
	close(y->bell.fd);
	rte_ring_free(y->priv->to_monitor);
	rte_ring_free(y->priv->from_monitor);
	rte_ring_free(y->priv->events);
	free(y->priv);
	y->at.w.priv = NULL;
	dp_neighs_free(y->at.w.tables->neighs);
	dp_tables_free(y->at.w.tables);
	y->at.w.tables = NULL;
	bed_close(&y->at);
	bed_close(&y->far);
}

static void
turn(struct yard *y)
{
	dp_monitor_turn(y->m, y->count, up, y);
}

/* An IPv4 packet to us with an upper layer of `len` bytes. */
static uint16_t
packet(uint8_t *ip, uint8_t protocol, uint8_t ttl, const uint8_t *upper, uint16_t len)
{
	memset(ip, 0, 20);
	ip[0] = 0x45;
	dp_put_be16(ip + 2, (uint16_t)(20 + len));
	ip[8] = ttl;
	ip[9] = protocol;
	dp_put_be32(ip + 12, HOP);
	dp_put_be32(ip + 16, OURS);
	memcpy(ip + 20, upper, len);
	return (uint16_t)(20 + len);
}

static uint16_t
udp(uint8_t *ip, uint8_t ttl, uint16_t from, uint16_t to)
{
	uint8_t upper[32] = {0};

	dp_put_be16(upper, from);
	dp_put_be16(upper + 2, to);
	dp_put_be16(upper + 4, sizeof(upper));
	return packet(ip, IPPROTO_UDP, ttl, upper, sizeof(upper));
}

static uint16_t
icmp(uint8_t *ip, uint8_t type, uint16_t id, const uint8_t *quote, uint16_t quote_len)
{
	uint8_t upper[128] = {type};

	dp_put_be16(upper + 4, id);
	if (quote_len)
		memcpy(upper + 8, quote, quote_len);
	return packet(ip, IPPROTO_ICMP, 64, upper, (uint16_t)(8 + RTE_MAX(quote_len, 8)));
}

/* Was it taken? Whatever is not comes back to us and is freed. */
static bool
takes(struct yard *y, const uint8_t *ip, uint16_t len, uint16_t iface, uint8_t flags)
{
	uint8_t frame[2100] = {[12] = 0x08};
	struct rte_mbuf *m;

	memcpy(frame + DP_ETHER_LEN, ip, len);
	m = bed_mbuf(frame, (uint16_t)(DP_ETHER_LEN + len));
	*dp_pkt(m) = (struct dp_pkt){.iface_in = iface, .flags = flags, .tunnel = BED_TUNNEL};
	rte_pktmbuf_adj(m, DP_ETHER_LEN);
	if (dp_monitor_take(&y->at.w, m, ER))
		return true;
	assert_int_equal(m->data_len, len);
	assert_memory_equal(rte_pktmbuf_mtod(m, uint8_t *), ip, len);
	rte_pktmbuf_free(m);
	return false;
}

static void
bfd_is_taken_where_a_session_is_and_only_in_the_clear(void **state)
{
	struct yard y;
	uint8_t ip[256];
	uint16_t len = udp(ip, 255, 50000, DP_BFD_PORT);

	yard_open(&y);
	assert_true(takes(&y, ip, len, ER, 0));
	assert_false(takes(&y, ip, len, LAN, 0));
	assert_false(takes(&y, ip, len, ER, DP_PKT_DECRYPTED));
	dp_put_be16(ip + 6, 0x2000);
	assert_false(takes(&y, ip, len, ER, 0));
	len = udp(ip, 255, DP_BFD_PORT, 1);
	assert_false(takes(&y, ip, len, ER, 0));
	len = udp(ip, 254, 50000, DP_BFD_PORT);
	assert_true(takes(&y, ip, len, ER, 0));
	turn(&y);
	assert_int_equal(y.user[DP_MONITOR_BFD].inputs, 2);
	assert_int_equal(y.user[DP_MONITOR_BFD].iface, ER);
	assert_int_equal(y.user[DP_MONITOR_BFD].len, len);
	assert_memory_equal(y.user[DP_MONITOR_BFD].last, ip, len);
	assert_int_equal(y.count[0].mirrored, 2);
	dp_monitor_want_bfd(y.m, ER, -1);
	assert_false(takes(&y, ip, len, ER, 0));
	yard_close(&y);
}

static void
answers_to_probes_and_errors_about_them_are_taken_from_any_way(void **state)
{
	struct yard y;
	uint8_t ip[256], probe[64];
	uint16_t len;

	yard_open(&y);
	for (unsigned int i = 0; i < 20; i++) {
		bool ours = i >= 2 && i < 18;

		len = icmp(ip, 0, (uint16_t)(ICMP0 - 2 + i), NULL, 0);
		assert_int_equal(takes(&y, ip, len, LAN, i & 1 ? DP_PKT_DECRYPTED : 0), ours);
		len = udp(ip, 64, 862, (uint16_t)(UDP0 - 2 + i));
		assert_int_equal(takes(&y, ip, len, ER, 0), ours);
		len = icmp(probe, 8, (uint16_t)(ICMP0 - 2 + i), NULL, 0);
		len = icmp(ip, 3, 0, probe, len);
		assert_int_equal(takes(&y, ip, len, ER, 0), ours);
		len = udp(probe, 64, (uint16_t)(UDP0 - 2 + i), 862);
		len = icmp(ip, 11, 0, probe, RTE_MIN(len, (uint16_t)28));
		assert_int_equal(takes(&y, ip, len, ER, 0), ours);
	}
	turn(&y);
	assert_int_equal(y.user[DP_MONITOR_PROBES].inputs, 64);
	/* A request, an answer to somebody else's, an error that quotes too little. */
	len = icmp(ip, 8, ICMP0, NULL, 0);
	assert_false(takes(&y, ip, len, ER, 0));
	len = icmp(probe, 0, ICMP0, NULL, 0);
	len = icmp(ip, 3, 0, probe, len);
	assert_false(takes(&y, ip, len, ER, 0));
	len = icmp(probe, 8, ICMP0, NULL, 0);
	len = icmp(ip, 3, 0, probe, 27);
	assert_false(takes(&y, ip, len, ER, 0));
	dp_monitor_want_probes(y.m, ICMP0, 0, UDP0, 0);
	len = icmp(ip, 0, ICMP0, NULL, 0);
	assert_false(takes(&y, ip, len, ER, 0));
	yard_close(&y);
}

static void
what_its_user_does_not_know_goes_up_to_the_kernel(void **state)
{
	struct yard y;
	uint8_t ip[256];

	yard_open(&y);
	y.user[DP_MONITOR_PROBES].wants = false;
	uint16_t len = icmp(ip, 0, ICMP0, NULL, 0);

	assert_true(takes(&y, ip, len, ER, 0));
	assert_true(takes(&y, ip, len, LAN, DP_PKT_DECRYPTED));
	turn(&y);
	assert_int_equal(y.up, 2);
	assert_int_equal(y.count[0].mirrored, 0);
	yard_close(&y);
}

static void
strangers_cannot_fill_the_queue_of_a_neighbour(void **state)
{
	struct yard y;
	uint8_t near[256], strange[256];
	uint16_t near_len = udp(near, 255, 50000, DP_BFD_PORT);
	uint16_t strange_len = udp(strange, 64, 862, UDP0);

	yard_open(&y);
	for (unsigned int i = 0; i < DP_MONITOR_RX_RING; i++)
		takes(&y, strange, strange_len, ER, 0);
	assert_int_equal(y.at.w.count.drop[DP_DROP_PUNT_FULL], DP_MONITOR_RX_RING / 2);
	for (unsigned int i = 0; i < DP_MONITOR_RX_RING / 4; i++)
		takes(&y, near, near_len, ER, 0);
	assert_int_equal(y.at.w.count.drop[DP_DROP_PUNT_FULL], DP_MONITOR_RX_RING / 2);
	turn(&y);
	assert_int_equal(y.user[DP_MONITOR_BFD].inputs, DP_MONITOR_RX_RING / 4);
	assert_int_equal(y.user[DP_MONITOR_PROBES].inputs, DP_MONITOR_RX_RING / 2);
	yard_close(&y);
}

/* From the Internet in the clear no more than strangers may send there; out of a tunnel, all. */
static void
strangers_on_the_internet_have_their_rate(void **state)
{
	struct yard y;
	uint8_t ip[256];
	uint16_t len = udp(ip, 64, 862, UDP0);

	yard_open(&y);
	y.iface[0].conf.role = SPW_IF_ROLE_INTERNET;
	y.priv->up_rate[DP_UP_PROBE] = dp_rate_make(1000000000, 1000, 100);
	for (unsigned int i = 0; i < 300; i++)
		takes(&y, ip, len, ER, 0);
	assert_int_equal(y.at.w.count.drop[DP_DROP_PUNT_FULL], 200);
	for (unsigned int i = 0; i < 50; i++)
		takes(&y, ip, len, ER, DP_PKT_DECRYPTED);
	turn(&y);
	assert_int_equal(y.user[DP_MONITOR_PROBES].inputs, 150);
	yard_close(&y);
}

static const struct dp_monitor_way to_hop = {.path = SPW_DP_ADDR_NONE, .iface = ER};

static struct dp_monitor_way
way_to(uint32_t hop)
{
	struct dp_monitor_way way = to_hop;

	way.hop = spw_addr_v4(hop);
	return way;
}

static struct dp_monitor_way
way_path(uint32_t path)
{
	return (struct dp_monitor_way){.path = path};
}

/* Send, resolve, and look: the packet, or NULL when it was dropped. */
static struct rte_mbuf *
goes(struct yard *y, const struct dp_monitor_way *way, uint16_t size)
{
	uint8_t ip[2048] = {0x45};
	struct dp_burst b = {0};

	assert_int_equal(dp_monitor_send(y->m, DP_MONITOR_PROBES, way, ip, size), 0);
	b.n = (uint16_t)rte_ring_sc_dequeue_burst(y->priv->from_monitor, (void **)b.pkt, DP_BURST,
						  NULL);
	assert_int_equal(b.n, 1);
	dp_stage_monitor(&y->at.w, &b);
	turn(y);
	return b.n ? b.pkt[0] : NULL;
}

static void
a_hop_or_path_is_taken_whatever_its_bit_says(void **state)
{
	const struct dp_monitor_way hop = way_to(HOP), path = way_path(P_ER);
	const struct dp_monitor_way *ways[] = {&hop, &path};
	struct yard y;

	yard_open(&y); /* there are no path bits at all */
	for (unsigned int i = 0; i < 2; i++) {
		struct rte_mbuf *m = goes(&y, ways[i], 1500);

		assert_non_null(m);
		assert_int_equal(dp_pkt(m)->next, DP_NEXT_TX);
		assert_int_equal(dp_pkt(m)->port_out, 0);
		assert_int_equal(dp_pkt(m)->iface_out, ER);
		assert_int_equal(m->pkt_len, DP_ETHER_LEN + 1500);
		assert_int_equal(rte_pktmbuf_mtod(m, uint8_t *)[5], 2);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(y.at.w.count.created, 2);
	assert_int_equal(y.user[DP_MONITOR_PROBES].refusals, 0);
	yard_close(&y);
}

static void
into_a_tunnel_it_goes_as_the_gateways_own(void **state)
{
	const struct dp_monitor_way way = way_path(P_TUN);
	const struct bed_sa how = {0};
	struct spw_sa_desc a, b;
	struct heard *h;
	struct yard y;

	yard_open(&y);
	h = &y.user[DP_MONITOR_PROBES];
	assert_null(goes(&y, &way, 100));
	assert_int_equal(h->why, DP_DROP_NO_SA);
	bed_pair(&y.at, &y.far, &how, &a, &b);
	struct rte_mbuf *m = goes(&y, &way, 1400);

	assert_non_null(m);
	assert_int_equal(dp_pkt(m)->next, DP_NEXT_SEAL);
	assert_int_equal(dp_pkt(m)->tunnel, BED_TUNNEL);
	assert_true(dp_pkt(m)->flags & DP_PKT_FROM_TWIN);
	rte_pktmbuf_free(m);
	assert_null(goes(&y, &way, 1401));
	assert_int_equal(h->why, DP_DROP_TOO_BIG);
	assert_int_equal(h->mtu, 1400);
	assert_int_equal(h->len, 1401);
	yard_close(&y);
}

static void
what_cannot_go_is_told_with_the_reason_and_counted_once(void **state)
{
	static const struct {
		uint32_t path, hop;
		uint16_t size;
		enum dp_drop why;
	} row[] = {
		{SPW_DP_ADDR_NONE, NOBODY, 100, DP_DROP_NO_NEIGHBOUR},
		{SPW_DP_ADDR_NONE, HOP, 1501, DP_DROP_TOO_BIG},
		{P_LAN, 0, 100, DP_DROP_PORT_GONE},
		{99, 0, 100, DP_DROP_PORT_GONE},
		{SPW_DP_PATHS_MAX, 0, 100, DP_DROP_PORT_GONE},
	};
	struct dp_worker_event ask;
	struct yard y;

	yard_open(&y);
	for (unsigned int i = 0; i < RTE_DIM(row); i++) {
		const struct dp_monitor_way way = {
			.path = row[i].path, .iface = ER, .hop = spw_addr_v4(row[i].hop)};

		assert_null(goes(&y, &way, row[i].size));
		assert_int_equal(y.user[DP_MONITOR_PROBES].refusals, i + 1);
		assert_int_equal(y.user[DP_MONITOR_PROBES].why, row[i].why);
	}
	assert_int_equal(y.at.w.count.created, RTE_DIM(row));
	assert_int_equal(y.at.w.count.dropped, RTE_DIM(row));
	assert_int_equal(rte_ring_sc_dequeue_elem(y.priv->events, &ask, sizeof(ask)), 0);
	assert_int_equal(ask.kind, DP_EVENT_NEIGH_MISS);
	y.iface[0].conf.up = 0;
	assert_null(goes(&y, &to_hop, 100));
	assert_int_equal(y.user[DP_MONITOR_PROBES].why, DP_DROP_IFACE_DOWN);
	yard_close(&y);
}

/* Send until nothing goes any more; frees what went. */
static unsigned int
sends(struct yard *y, enum dp_monitor_user_id user, unsigned int most)
{
	static const uint8_t ip[100] = {0x45};
	const struct dp_monitor_way way = way_to(HOP);
	unsigned int n = 0;

	while (n < most && dp_monitor_send(y->m, user, &way, ip, sizeof(ip)) == 0)
		n++;
	return n;
}

static void
with_no_buffer_left_it_goes_on_and_probes_leave_some_to_bfd(void **state)
{
	unsigned int all = bed_pool()->size, n = 0, probes;
	struct rte_mbuf **held = calloc(all, sizeof(*held)), *m = NULL;
	struct yard y;

	yard_open(&y);
	while (n < all && (held[n] = rte_pktmbuf_alloc(bed_pool())) != NULL)
		n++;
	assert_null(rte_pktmbuf_alloc(bed_pool()));
	probes = sends(&y, DP_MONITOR_PROBES, 1000);
	assert_in_range(probes, 300, 500);
	assert_int_equal(sends(&y, DP_MONITOR_BFD, 1000), 511 - probes);
	while (rte_ring_sc_dequeue(y.priv->from_monitor, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	/* And again, for as long as it takes. */
	for (unsigned int i = 0; i < 2000; i++) {
		assert_int_equal(sends(&y, DP_MONITOR_BFD, 1), 1);
		rte_ring_sc_dequeue(y.priv->from_monitor, (void **)&m);
		rte_pktmbuf_free(m);
	}
	for (unsigned int i = 0; i < n; i++)
		rte_pktmbuf_free(held[i]);
	free(held);
	yard_close(&y);
}

static void
a_packet_that_no_buffer_holds_is_refused(void **state)
{
	static uint8_t ip[4096] = {0x45};
	struct yard y;

	yard_open(&y);
	assert_int_equal(dp_monitor_send(y.m, DP_MONITOR_BFD, &to_hop, ip, 2049), -EMSGSIZE);
	assert_int_equal(dp_monitor_send(y.m, DP_MONITOR_BFD, &to_hop, ip, 19), -EMSGSIZE);
	yard_close(&y);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bfd_is_taken_where_a_session_is_and_only_in_the_clear),
		cmocka_unit_test(answers_to_probes_and_errors_about_them_are_taken_from_any_way),
		cmocka_unit_test(what_its_user_does_not_know_goes_up_to_the_kernel),
		cmocka_unit_test(strangers_cannot_fill_the_queue_of_a_neighbour),
		cmocka_unit_test(strangers_on_the_internet_have_their_rate),
		cmocka_unit_test(a_hop_or_path_is_taken_whatever_its_bit_says),
		cmocka_unit_test(into_a_tunnel_it_goes_as_the_gateways_own),
		cmocka_unit_test(what_cannot_go_is_told_with_the_reason_and_counted_once),
		cmocka_unit_test(with_no_buffer_left_it_goes_on_and_probes_leave_some_to_bfd),
		cmocka_unit_test(a_packet_that_no_buffer_holds_is_refused),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
