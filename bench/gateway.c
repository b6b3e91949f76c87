/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A data plane in one process and one thread, for benches.
 *
 * It is made of the product's own objects: the handlers of the API messages build the tables, the
 * worker is a real one whose loop is replaced by calls of the bench. Ports are net_ring devices:
 * what is sent on one is read back from it. No worker thread is registered for quiescence, so
 * writers never wait; the bench must not write while a burst runs.
 */
#include "bench/gateway.h"

#include <rte_eal.h>
#include <rte_rcu_qsbr.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dataplane/checksum.h"
#include "dataplane/wire.h"

#define PATH_LAN     0
#define PATH_PEER    1
#define PATH_TUNNEL  2
#define GROUP_LAN    1
#define GROUP_PEER   2
#define GROUP_TUNNEL 3
#define IFACE_LAN    1
#define IFACE_WAN    2
#define MTU	     1500

static const uint8_t host_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

void
bg_die(const char *what, const struct spw_err *err)
{
	fprintf(stderr, "bench: %s%s%s\n", what, err ? ": " : "", err ? err->text : "");
	exit(1);
}

/* Free huge pages of 2 MiB; 0 when there are none. */
static unsigned int
huge_free(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	unsigned int n = 0;

	if (f != NULL) {
		if (fscanf(f, "%u", &n) != 1)
			n = 0;
		fclose(f);
	}
	return n;
}

void
bg_eal(unsigned int memory_mb)
{
	char memory[16];
	const bool huge = huge_free() >= memory_mb / 2 + 2;
	char *argv[] = {"bench",
			huge ? "--in-memory" : "--no-huge",
			"--no-pci",
			huge ? "--single-file-segments" : "--no-shconf",
			"--no-telemetry",
			"--log-level=*:4",
			"-l",
			"0",
			"-m",
			memory,
			NULL};

	snprintf(memory, sizeof(memory), "%u", memory_mb);
	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0 || spw_secret_init() < 0)
		bg_die("the EAL does not start", NULL);
	if (!huge)
		fprintf(stderr,
			"bench: no huge pages free; with them the figures are those of production "
			"(echo %u > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages)\n",
			memory_mb / 2 + 16);
}

static void *
pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		bg_die("out of memory", NULL);
	return p;
}

void
bg_call(struct bg *g, const char *what, dp_handler *handler, const void *elems, uint32_t n,
	void *reply)
{
	struct dp_batch b = {.elems = elems, .count = n, .reply = reply};
	struct spw_err err = {0};

	if (handler(g->c, &b, &err) != 0)
		bg_die(what, &err);
	dp_control_reclaim(g->c);
}

static void
control_new(struct bg *g, unsigned int n_workers)
{
	struct dp_control *c = pages(sizeof(*c));
	size_t size = rte_rcu_qsbr_get_memsize(n_workers);

	g->c = c;
	c->opt = &g->opt;
	c->n_workers = n_workers;
	c->incarnation = 1;
	c->group_refs = pages(DP_GROUPS_MAX * sizeof(c->group_refs[0]));
	c->switch_told = pages(DP_GROUPS_MAX * sizeof(c->switch_told[0]));
	c->qsbr = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (c->qsbr == NULL || rte_rcu_qsbr_init(c->qsbr, n_workers) != 0 ||
	    dp_bell_init(&c->bell) < 0)
		bg_die("out of memory", NULL);
	c->pool = rte_pktmbuf_pool_create("bench-packets", g->opt.mbufs, 256, sizeof(struct dp_pkt),
					  (uint16_t)(RTE_PKTMBUF_HEADROOM + g->opt.mbuf_size),
					  SOCKET_ID_ANY);
	if (c->pool == NULL)
		bg_die("no packet buffers", NULL);
}

static void
tables_new(struct bg *g)
{
	struct dp_tables *t = dp_tables_new();
	struct spw_err err = {0};

	if (t == NULL || dp_tables_start(t, &g->opt, g->c->qsbr, &err) != 0)
		bg_die("no tables", &err);
	g->c->tables = t;
}

static void
cipher_replace(const struct bg *g, struct dp_worker *w)
{
	struct dp_crypto *crypto;
	struct spw_err err = {0};

	if (dp_crypto_new(&crypto, g->isa, &err) != 0)
		bg_die("no cipher", &err);
	dp_crypto_free(w->crypto);
	w->crypto = crypto;
}

static void
worker_new(struct bg *g)
{
	const struct dp_sad_config sad = {.qsbr = g->c->qsbr,
					  .n_workers = g->c->n_workers,
					  .max_sas = g->opt.max_sas,
					  .isa = g->isa,
					  .max_tunnels = 16384};
	struct spw_err err = {0};

	if (dp_sad_init(&g->c->sad, &sad, &err) != 0 ||
	    dp_punt_new(&g->c->punt, g->c->worker, g->c->n_workers, g->c->pool, &err) != 0)
		bg_die("cannot set up", &err);
	for (unsigned int i = 0; i < g->c->n_workers; i++) {
		const struct dp_worker_config config = {.index = i,
							.polling = DP_POLL_BUSY,
							.tables = g->c->tables,
							.sad = g->c->sad,
							.pool = g->c->pool,
							.punt_bell = dp_punt_bell(g->c->punt),
							.api_bell = &g->c->bell,
							.stop = &g->c->stop};

		if (dp_worker_new(&g->c->worker[i], &config, &err) != 0)
			bg_die("no worker", &err);
		if (g->isa != DP_CRYPTO_AUTO)
			cipher_replace(g, g->c->worker[i]);
	}
	g->w = g->c->worker[0];
	g->w->cycles = &g->cycles;
}

static void
path_up(struct bg *g, const struct spw_dp_path *path)
{
	const struct spw_dp_path_state up = {.id = path->id, .up = 1};

	bg_call(g, "path", dp_handle_path_set, path, 1, NULL);
	bg_call(g, "path state", dp_handle_path_state, &up, 1, NULL);
}

static void
group(struct bg *g, uint32_t id, uint32_t path, uint32_t role)
{
	const struct spw_dp_group conf = {
		.id = id,
		.n_tiers = 1,
		.tier = {{.role = role, .n_paths = 1, .path = {path}, .weight = {1}}}};

	bg_call(g, "group", dp_handle_group_set, &conf, 1, NULL);
}

void
bg_route(struct bg *g, uint32_t prefix, uint8_t len, uint32_t id)
{
	const struct spw_dp_route route = {.prefix = {.addr = spw_addr_v4(prefix), .len = len},
					   .group = id};

	bg_call(g, "route", dp_handle_route_set, &route, 1, NULL);
}

static void
port_and_iface(struct bg *g, uint32_t port, uint32_t iface, uint32_t role, uint32_t addr)
{
	struct spw_dp_port p = {.id = port, .mtu = MTU};
	struct spw_dp_iface i = {.id = iface,
				 .kind = SPW_IFACE_PORT,
				 .role = role,
				 .port = port,
				 .mtu = MTU,
				 .up = 1};
	const struct spw_dp_addr a = {.iface = iface,
				      .prefix = {.addr = spw_addr_v4(addr), .len = 32}};
	struct spw_dp_port_reply reply;

	snprintf(p.name, sizeof(p.name), "p%u", port);
	snprintf(p.devargs, sizeof(p.devargs), "net_ring%u", port);
	memcpy(i.name, p.name, sizeof(i.name));
	bg_call(g, "port", dp_handle_port_set, &p, 1, &reply);
	bg_call(g, "interface", dp_handle_iface_set, &i, 1, NULL);
	bg_call(g, "address", dp_handle_addr_set, &a, 1, NULL);
}

static void
neighbour(struct bg *g, uint32_t iface, uint32_t addr, const uint8_t mac[6], uint32_t path)
{
	struct spw_dp_neigh n = {.iface = iface, .addr = spw_addr_v4(addr), .reachable = 1};
	const struct spw_dp_path p = {.id = path,
				      .kind = SPW_PATH_ADJACENCY,
				      .iface = iface,
				      .next_hop = spw_addr_v4(addr)};

	memcpy(n.mac, mac, 6);
	bg_call(g, "neighbour", dp_handle_neigh_set, &n, 1, NULL);
	path_up(g, &p);
}

static void
gateway_new(struct bg *g, const struct dp_options *opt, enum dp_crypto_isa isa)
{
	memset(g, 0, sizeof(*g));
	g->isa = isa;
	g->opt = *opt;
	g->opt.max_sas = 1u << 19; /* a bench rekeys faster than SPIs come back */
	g->opt.mbuf_size = 2048;
	control_new(g, g->opt.n_workers);
	tables_new(g);
	worker_new(g);
	port_and_iface(g, BG_LAN, IFACE_LAN, SPW_IF_ROLE_LAN, BG_LAN_ADDR);
	port_and_iface(g, BG_WAN, IFACE_WAN, SPW_IF_ROLE_INTERNET, BG_WAN_ADDR);
	neighbour(g, IFACE_LAN, BG_LAN_HOST, host_mac, PATH_LAN);
	neighbour(g, IFACE_WAN, BG_PEER, peer_mac, PATH_PEER);
	group(g, GROUP_LAN, PATH_LAN, SPW_TIER_PLAIN);
	group(g, GROUP_PEER, PATH_PEER, SPW_TIER_PLAIN);
	bg_route(g, 0x0a010000, 16, GROUP_LAN);
	bg_route(g, 0, 0, GROUP_PEER);
}

void
bg_new(struct bg *g, unsigned int n_workers)
{
	bg_new_isa(g, n_workers, DP_CRYPTO_AUTO);
}

void
bg_new_isa(struct bg *g, unsigned int n_workers, enum dp_crypto_isa isa)
{
	gateway_new(
		g,
		&(struct dp_options){.n_workers = n_workers, .max_routes = 1u << 16, .mbufs = 8191},
		isa);
}

void
bg_new_sized(struct bg *g, unsigned int n_workers, uint32_t max_routes, uint32_t mbufs)
{
	gateway_new(g,
		    &(struct dp_options){.n_workers = n_workers,
					 .max_routes = max_routes,
					 .max_routes6 = max_routes,
					 .mbufs = mbufs},
		    DP_CRYPTO_AUTO);
}

void
bg_free(struct bg *g)
{
	struct dp_control *c = g->c;

	dp_control_free_objects(c);
	dp_punt_free(c->punt);
	for (unsigned int i = 0; i < c->n_workers; i++)
		dp_worker_free(c->worker[i]);
	dp_sad_free(c->sad);
	dp_tables_stop(c->tables);
	rte_mempool_free(c->pool);
	rte_eal_cleanup();
}

static struct spw_selector
any(void)
{
	return (struct spw_selector){
		.low = spw_addr_v4(0), .high = spw_addr_v4(UINT32_MAX), .port_high = UINT16_MAX};
}

static struct spw_selector
any6(void)
{
	struct spw_selector s = {.low.family = AF_INET6, .port_high = UINT16_MAX};

	s.high = s.low;
	memset(s.high.bytes, 0xff, sizeof(s.high.bytes));
	return s;
}

static uint32_t
key_length(const struct bg_sa *sa)
{
	const struct spw_encr_info *e = spw_encr_info(sa->encr);

	return e->key_len + (e->icv_len ? e->salt_len : spw_integ_info(sa->integ)->key_len);
}

static void
sa_install(struct bg *g, struct bg_sa *sa)
{
	struct spw_dp_spi spi = {.tunnel = sa->tunnel};
	struct spw_dp_sa_install in = {.incarnation = 1, .outbound = 1};

	bg_call(g, "SPI", dp_handle_spi_alloc, &spi, 1, &spi);
	sa->spi_in = spi.spi;
	sa->spi_out = 0x80000000u | sa->tunnel;
	sa->key_len = key_length(sa);
	randombytes_buf(sa->key_in, sa->key_len);
	randombytes_buf(sa->key_out, sa->key_len);
	in.sa = (struct spw_sa_desc){.tunnel = sa->tunnel,
				     .spi_in = sa->spi_in,
				     .spi_out = sa->spi_out,
				     .encr = sa->encr,
				     .integ = sa->integ,
				     .key_len = sa->key_len,
				     .flags = (sa->udp ? SPW_SA_UDP_ENCAP : 0) |
					      (sa->esn ? SPW_SA_ESN : 0),
				     .local = spw_addr_v4(BG_WAN_ADDR),
				     .remote = spw_addr_v4(BG_PEER),
				     .local_port = sa->udp ? 4500 : 0,
				     .remote_port = sa->udp ? 4500 : 0,
				     .replay_window = 4096,
				     .seconds = {27000, 30000},
				     .bytes = {UINT64_C(1) << 50, UINT64_C(1) << 51},
				     .n_local = sa->ipv6 ? 2 : 1,
				     .n_remote = sa->ipv6 ? 2 : 1,
				     .sel_local = {any(), any6()},
				     .sel_remote = {any(), any6()}};
	memcpy(in.sa.key_in, sa->key_in, sa->key_len);
	memcpy(in.sa.key_out, sa->key_out, sa->key_len);
	bg_call(g, "SA", dp_handle_sa_install, &in, 1, NULL);
}

void
bg_tunnel(struct bg *g, struct bg_sa *sa, uint32_t prefix, uint8_t len)
{
	struct spw_dp_tunnel t = {.id = sa->tunnel,
				  .local = spw_addr_v4(BG_WAN_ADDR),
				  .remote = spw_addr_v4(BG_PEER),
				  .mtu = 1420,
				  .outer_path = SPW_DP_ADDR_NONE};
	/* Tunnels beyond the last path id share paths by remainder; one bench uses few. */
	const struct spw_dp_path path = {
		.id = PATH_TUNNEL + sa->tunnel, .kind = SPW_PATH_TUNNEL, .tunnel = sa->tunnel};

	snprintf(t.name, sizeof(t.name), "t%u", sa->tunnel);
	bg_call(g, "tunnel", dp_handle_tunnel_set, &t, 1, NULL);
	sa_install(g, sa);
	path_up(g, &path);
	group(g, GROUP_TUNNEL + sa->tunnel, path.id, SPW_TIER_TUNNEL);
	bg_route(g, prefix, len, GROUP_TUNNEL + sa->tunnel);
}

static uint8_t *
ethernet(const struct bg *g, uint8_t *out, unsigned int port)
{
	memcpy(out, atomic_load(&g->c->tables->port[port])->mac, 6);
	memcpy(out + 6, port == BG_LAN ? host_mac : peer_mac, 6);
	dp_put_be16(out + 12, 0x0800);
	return out + 14;
}

static void
ipv4(uint8_t *ip, uint32_t src, uint32_t dst, uint8_t protocol, uint32_t len)
{
	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[8] = 64;
	ip[9] = protocol;
	dp_put_be16(ip + 2, (uint16_t)len);
	dp_put_be32(ip + 12, src);
	dp_put_be32(ip + 16, dst);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
}

static void
inner(uint8_t *ip, uint32_t src, uint32_t dst, uint32_t size)
{
	ipv4(ip, src, dst, 17, size);
	memset(ip + 20, 0, size - 20);
	dp_put_be16(ip + 20, 1024);
	dp_put_be16(ip + 22, 1025);
	dp_put_be16(ip + 24, (uint16_t)(size - 20));
}

uint32_t
bg_frame(const struct bg *g, uint8_t *out, uint32_t src, uint32_t dst, uint32_t size)
{
	inner(ethernet(g, out, BG_LAN), src, dst, size);
	return 14 + size;
}

static uint32_t
seal_for_us(const struct bg *g, uint8_t *esp, const struct bg_sa *sa, uint64_t seq, uint32_t size)
{
	static uint8_t slot[DP_CRYPTO_KEY_BYTES] __attribute__((aligned(64)));
	struct dp_crypto_key *key = (struct dp_crypto_key *)slot;
	static struct dp_cipher cipher;
	static uint32_t made_for; /* SPI whose key is expanded */

	if (made_for != sa->spi_in) {
		if (dp_crypto_cipher(g->w->crypto, sa->encr, sa->integ, sa->esn, &cipher) < 0)
			bg_die("no such cipher", NULL);
		dp_crypto_expand(g->w->crypto, &cipher, key, sa->key_in);
		made_for = sa->spi_in;
	}

	uint32_t pad = -(size + 2) & (cipher.align - 1u);
	uint8_t *text = esp + 8 + cipher.iv_len;
	uint64_t iv = __builtin_bswap64(seq);

	dp_put_be32(esp, sa->spi_in);
	dp_put_be32(esp + 4, (uint32_t)seq);
	memcpy(esp + 8, &iv, 8);
	inner(text, BG_REMOTE_HOST, BG_LAN_HOST, size);
	for (uint32_t i = 0; i < pad; i++)
		text[size + i] = (uint8_t)(i + 1);
	text[size + pad] = (uint8_t)pad;
	text[size + pad + 1] = 4;
	const struct dp_crypto_job job = {.text = text,
					  .text_len = size + pad + 2,
					  .spi_be = __builtin_bswap32(sa->spi_in),
					  .seq = seq};

	cipher.seal(g->w->crypto, key, &job, 1);
	return 8 + cipher.iv_len + size + pad + 2 + cipher.tag_len;
}

uint32_t
bg_esp_frame(const struct bg *g, uint8_t *out, const struct bg_sa *sa, uint64_t seq, uint32_t size)
{
	uint8_t *ip = ethernet(g, out, BG_WAN);
	uint32_t front = sa->udp ? 28 : 20;
	uint32_t len = front + seal_for_us(g, ip + front, sa, seq, size);

	ipv4(ip, BG_PEER, BG_WAN_ADDR, sa->udp ? 17 : 50, len);
	if (sa->udp) {
		dp_put_be16(ip + 20, 4500);
		dp_put_be16(ip + 22, 4500);
		dp_put_be32(ip + 24, (len - 20) << 16);
	}
	return 14 + len;
}

uint64_t
bg_burst(struct bg *g, struct rte_mbuf **frames, unsigned int n)
{
	static struct dp_burst b;
	uint64_t start;

	b.n = (uint16_t)n;
	memcpy(b.pkt, frames, n * sizeof(b.pkt[0]));
	start = rte_rdtsc();
	dp_pipeline_rx(g->w, &b);
	return rte_rdtsc() - start;
}

unsigned int
bg_sent(const struct bg *g, unsigned int port, struct rte_mbuf **out, unsigned int n)
{
	return rte_eth_rx_burst(atomic_load(&g->c->tables->port[port])->dpdk_id, 0, out,
				(uint16_t)n);
}
