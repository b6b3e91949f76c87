/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bed of the ESP tests. Packets do not come from ports: tests put mbufs in bursts and call the
 * stages, as the pipeline does. Ends have SADs of their own, so that one end's keys are the other's
 * in the opposite direction, and no key is ever installed twice in one SAD.
 */
#include "tests/dataplane/esp_bed.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <rte_eal.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "tests/dataplane/esp_ivs.h"

#define POOL_SIZE 1023

static struct rte_mempool *pool;
uint64_t bed_now = 1000 * SPW_NS_PER_S;

static uint64_t
bed_clock(void)
{
	return bed_now;
}

int
bed_start(void **state)
{
	char *args[] = {"esp_test", "--no-huge", "--no-pci",	   "--no-shconf",   "-m", "400",
			"-l",	    "0",	 "--no-telemetry", "--log-level=4", NULL};

	cpu_set_t cpus; /* the EAL pins us, and threads would inherit that and never race */

	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (rte_eal_init(sizeof(args) / sizeof(args[0]) - 1, args) < 0)
		return -1;
	sched_setaffinity(0, sizeof(cpus), &cpus);
	pool = rte_pktmbuf_pool_create("bed", POOL_SIZE, 0, sizeof(struct dp_pkt),
				       RTE_PKTMBUF_HEADROOM + BED_BUF, SOCKET_ID_ANY);
	return pool == NULL ? -1 : 0;
}

/* Every buffer must be back: a stage that loses one fails here. */
int
bed_stop(void **state)
{
	int lost;

	if (pool == NULL)
		return -1;
	lost = (int)rte_mempool_in_use_count(pool);
	if (lost != 0)
		print_error("%d packet buffers were lost\n", lost);
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return lost == 0 ? 0 : -1;
}

struct rte_mempool *
bed_pool(void)
{
	return pool;
}

void
bed_open(struct bed_end *e, uint32_t addr, enum dp_crypto_isa isa, unsigned int n_workers)
{
	struct dp_sad_config config = {
		.n_workers = n_workers,
		.max_sas = 256,
		.max_tunnels = 16,
		.isa = isa,
		.clock = bed_clock,
	};
	struct dp_crypto *crypto;

	bed_ivs_forget();
	memset(e, 0, sizeof(*e));
	e->addr = addr;
	assert_int_equal(dp_sad_init(&e->sad, &config, NULL), 0);
	assert_int_equal(dp_crypto_new(&crypto, isa, NULL), 0);
	e->w.sad = e->sad;
	e->w.pool = pool;
	e->w.crypto = crypto;
	e->w.now_tsc = rte_rdtsc();
}

void
bed_close(struct bed_end *e)
{
	dp_crypto_free(e->w.crypto);
	dp_sad_free(e->sad);
}

static void
set_tunnel(struct bed_end *e, uint32_t peer, uint32_t mtu)
{
	struct spw_dp_tunnel t = {
		.id = BED_TUNNEL,
		.name = "bed",
		.local = spw_addr_v4(e->addr),
		.remote = spw_addr_v4(peer),
		.mtu = mtu,
		.outer_path = SPW_DP_ADDR_NONE,
	};

	assert_int_equal(dp_sad_tunnel_set(e->sad, &t, NULL), 0);
}

void
bed_tunnel(struct bed_end *a, struct bed_end *b, uint32_t mtu)
{
	set_tunnel(a, b->addr, mtu);
	set_tunnel(b, a->addr, mtu);
}

static struct spw_selector
prefix16(uint32_t low)
{
	return (struct spw_selector){.low = spw_addr_v4(low),
				     .high = spw_addr_v4(low | 0xffff),
				     .port_high = UINT16_MAX};
}

static struct spw_selector
any(void)
{
	return (struct spw_selector){
		.low = spw_addr_v4(0), .high = spw_addr_v4(UINT32_MAX), .port_high = UINT16_MAX};
}

struct spw_sa_desc
bed_desc(struct bed_end *e, uint32_t peer, const struct bed_sa *how)
{
	struct spw_sa_desc sa = {
		.tunnel = BED_TUNNEL,
		.spi_out = 0x10000000u + (uint32_t)rand(),
		.flags = how->flags,
		.encr = how->encr != 0 ? how->encr : SPW_ENCR_AES128_GCM,
		.local = spw_addr_v4(e->addr),
		.remote = spw_addr_v4(peer),
		.local_port = 4500,
		.remote_port = 4500,
		.replay_window = how->window != 0 ? how->window : 4096,
		.seconds = how->seconds,
		.bytes = how->bytes,
		.packets = how->packets,
		.n_local = 1,
		.n_remote = 1,
		.sel_local = {how->narrow ? prefix16(0x0a010000) : any()},
		.sel_remote = {how->narrow ? prefix16(0x0a020000) : any()},
	};

	sa.key_len = spw_encr_info(sa.encr)->key_len + 4u;
	assert_int_equal(RAND_bytes(sa.key_in, (int)sa.key_len), 1);
	assert_int_equal(RAND_bytes(sa.key_out, (int)sa.key_len), 1);
	assert_int_equal(dp_sad_spi_alloc(e->sad, BED_TUNNEL, &sa.spi_in, NULL), 0);
	return sa;
}

void
bed_pair(struct bed_end *a, struct bed_end *b, const struct bed_sa *how, struct spw_sa_desc *at_a,
	 struct spw_sa_desc *at_b)
{
	*at_a = bed_desc(a, b->addr, how);
	*at_b = bed_desc(b, a->addr, how);
	at_a->spi_out = at_b->spi_in;
	at_b->spi_out = at_a->spi_in;
	memcpy(at_b->key_in, at_a->key_out, SPW_SA_KEY_MAX);
	memcpy(at_b->key_out, at_a->key_in, SPW_SA_KEY_MAX);
	at_b->sel_local[0] = at_a->sel_remote[0];
	at_b->sel_remote[0] = at_a->sel_local[0];
	assert_int_equal(dp_sad_install(a->sad, at_a, !how->held, NULL), 0);
	assert_int_equal(dp_sad_install(b->sad, at_b, !how->held, NULL), 0);
}

void
bed_ip_checksum(uint8_t *ip)
{
	spw_put_be16(ip + 10, 0);
	spw_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, (ip[0] & 15u) * 4)));
}

struct rte_mbuf *
bed_mbuf(const void *bytes, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	memset(dp_pkt(m), 0, sizeof(struct dp_pkt));
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	return m;
}

struct rte_mbuf *
bed_packet(uint32_t len)
{
	static uint8_t ip[BED_BUF];
	struct rte_mbuf *m;

	memcpy(ip, "\x45\0\0\0\x12\x34\0\0\x40\x11\0\0\x0a\1\0\1\x0a\2\0\1", 20);
	spw_put_be16(ip + 2, (uint16_t)len);
	for (uint32_t i = 20; i < len; i++)
		ip[i] = (uint8_t)rand();
	bed_ip_checksum(ip);
	m = bed_mbuf(ip, len);
	dp_pkt(m)->next = DP_NEXT_SEAL;
	dp_pkt(m)->tunnel = BED_TUNNEL;
	return m;
}

void
bed_single(struct dp_burst *b, struct rte_mbuf *m)
{
	b->n = 1;
	b->pkt[0] = m;
}

static void
receive_one(struct rte_mbuf *m)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	struct dp_pkt was = *dp_pkt(m), *p = dp_pkt(m);
	uint16_t cut = 20;

	assert_int_equal(was.next, DP_NEXT_OUTER);
	assert_true(was.flags & DP_PKT_OUTER);
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(spw_get_be16(ip + 2), m->pkt_len);
	assert_int_equal(spw_get_be16(ip + 6), 0x4000);
	assert_int_equal(dp_csum_finish(dp_csum_add(0, ip, 20)), 0);
	memset(p, 0, sizeof(*p));
	p->next = DP_NEXT_OPEN;
	p->outer_tos = ip[1];
	memcpy(p->outer_src, dp_v4_mapped, 12);
	memcpy(p->outer_src + 12, ip + 12, 4);
	if (ip[9] == 17) {
		assert_int_equal(spw_get_be16(ip + 24), m->pkt_len - 20);
		assert_int_equal(spw_get_be16(ip + 26), 0);
		p->outer_src_port = spw_get_be16(ip + 20);
		p->flags = DP_PKT_UDP_ENCAP;
		cut = 28;
	} else {
		assert_int_equal(ip[9], 50);
	}
	assert_true(bed_ivs_note(spw_get_be32(ip + cut), ip + cut + 8));
	assert_non_null(rte_pktmbuf_adj(m, cut));
}

void
bed_receive(struct dp_burst *b)
{
	for (uint16_t i = 0; i < b->n; i++)
		receive_one(b->pkt[i]);
}

void
bed_through(struct bed_end *from, struct bed_end *to, struct dp_burst *b)
{
	dp_stage_esp_seal(&from->w, b);
	bed_receive(b);
	dp_stage_esp_open(&to->w, b);
}

void
bed_free(struct dp_burst *b)
{
	rte_pktmbuf_free_bulk(b->pkt, b->n);
	b->n = 0;
}

uint64_t
bed_drops(const struct bed_end *e, enum dp_drop reason)
{
	return e->w.count.drop[reason];
}

unsigned int
bed_events(struct bed_end *e, uint32_t kind, struct spw_dp_sa_event *last)
{
	struct spw_dp_sa_event ev;
	unsigned int n = 0;

	while (dp_sad_event(e->sad, &ev)) {
		if (ev.kind != kind)
			continue;
		n++;
		if (last != NULL)
			*last = ev;
	}
	return n;
}

static const EVP_CIPHER *
evp(uint32_t key_len)
{
	return key_len == 20   ? EVP_aes_128_gcm()
	       : key_len == 28 ? EVP_aes_192_gcm()
			       : EVP_aes_256_gcm();
}

/* Nonce and additional data as RFC 4106 4 and 5 write them. */
static int
parameters(const uint8_t *key, uint32_t key_len, const uint8_t *esp, uint64_t seq_hi, bool esn,
	   uint8_t nonce[12], uint8_t aad[12])
{
	memcpy(nonce, key + key_len - 4, 4);
	memcpy(nonce + 4, esp + 8, 8);
	memcpy(aad, esp, 4);
	if (!esn) {
		memcpy(aad + 4, esp + 4, 4);
		return 8;
	}
	spw_put_be32(aad + 4, (uint32_t)seq_hi);
	memcpy(aad + 8, esp + 4, 4);
	return 12;
}

uint32_t
bed_oracle_seal(const uint8_t *key, uint32_t key_len, uint32_t spi, uint64_t seq, bool esn,
		const uint8_t *inner, uint32_t len, uint32_t extra, int pad_len, uint8_t next,
		uint8_t *out)
{
	static uint8_t text[BED_BUF];
	uint32_t n = len + extra, pad = 0;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t nonce[12], aad[12];
	int aad_len, done;

	memcpy(text, inner, len);
	memset(text + len, 0, extra);
	for (; (n + 2) % 4 != 0; n++)
		text[n] = (uint8_t)++pad;
	text[n++] = pad_len >= 0 ? (uint8_t)pad_len : (uint8_t)pad;
	text[n++] = next;
	spw_put_be32(out, spi);
	spw_put_be32(out + 4, (uint32_t)seq);
	assert_int_equal(RAND_bytes(out + 8, 8), 1); /* the receiver takes any IV */
	aad_len = parameters(key, key_len, out, seq >> 32, esn, nonce, aad);
	assert_int_equal(EVP_EncryptInit_ex(c, evp(key_len), NULL, key, nonce), 1);
	assert_int_equal(EVP_EncryptUpdate(c, NULL, &done, aad, aad_len), 1);
	assert_int_equal(EVP_EncryptUpdate(c, out + 16, &done, text, (int)n), 1);
	assert_int_equal(EVP_EncryptFinal_ex(c, out + 16 + n, &done), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, out + 16 + n), 1);
	EVP_CIPHER_CTX_free(c);
	return 16 + n + 16;
}

int
bed_oracle_open(const uint8_t *key, uint32_t key_len, uint64_t seq_hi, bool esn, const uint8_t *esp,
		uint32_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint32_t n = len - 32;
	uint8_t nonce[12], aad[12];
	int aad_len, done, ok;

	aad_len = parameters(key, key_len, esp, seq_hi, esn, nonce, aad);
	assert_int_equal(EVP_DecryptInit_ex(c, evp(key_len), NULL, key, nonce), 1);
	assert_int_equal(EVP_DecryptUpdate(c, NULL, &done, aad, aad_len), 1);
	assert_int_equal(EVP_DecryptUpdate(c, out, &done, esp + 16, (int)n), 1);
	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, (void *)(uintptr_t)(esp + 16 + n)),
		1);
	ok = EVP_DecryptFinal_ex(c, out + n, &done);
	EVP_CIPHER_CTX_free(c);
	return ok == 1 ? (int)n : -1;
}
