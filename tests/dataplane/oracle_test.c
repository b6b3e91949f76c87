/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP-14 (and with it ESP-01, 03, 49) against a second implementation: random packets through the
 * stages seal and open, and through OpenSSL on the other side (esp_oracle.c). 0 differences are
 * allowed.
 *
 * Two ends have sixteen tunnels at once, one for each suite with and without ESN, native or in UDP,
 * over IPv4 or IPv6; bursts of up to 64 packets jump between them in runs. Inner packets, IPv4
 * and IPv6, take every size from 20 to 9,000 in an order that only repeats after all were there.
 * Numbers start at random, with ESN shortly before the lower half wraps.
 *   seal   what our stage sends, OpenSSL must open; number, IV, padding and text are checked
 *   open   what OpenSSL sends our stage must open to the same packet; spoilt ones it must refuse
 *
 * All of it in each instruction set of the cipher that this CPU has. SPW_SEED sets the seed, which
 * is printed; SPW_LONG=1 runs PACKETS_LONG packets each way and instruction set instead of a
 * sample.
 */
#include <netinet/in.h>
#include <openssl/rand.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/dataplane/esp_bed.h"
#include "tests/dataplane/esp_oracle.h"

#define TUNNELS	     16
#define SIZE_MIN     20
#define SIZE_MAX_    9000
#define SIZES	     (SIZE_MAX_ - SIZE_MIN + 1)
#define SIZE_STEP    3571  /* has no factor in common with SIZES */
#define PACKETS	     13000 /* each way and instruction set */
#define PACKETS_LONG 100000
#define ESP_MAX	     (ORACLE_FRONT_MAX + SIZE_MAX_ + 64 + ORACLE_TAG_MAX) /* trailer: up to 49 */

/* One SA of the two ends: a's outbound half sends to b's inbound half. */
struct sa {
	const struct oracle_suite *suite;
	bool esn, udp, outer6;
	uint8_t key[SPW_SA_KEY_MAX]; /* of the direction a to b */
	uint32_t spi;		     /* of that direction */
	uint64_t next;		     /* number of the next packet */
};

struct bench {
	struct bed_end a, b;
	struct sa sa[TUNNELS];
};

/* A packet on its way: what it was, and of which SA with which number. */
struct sent {
	struct sa *sa;
	uint64_t seq;
	uint32_t len;
	bool ipv6, spoilt;
	uint8_t inner[SIZE_MAX_];
};

static struct sent sent[DP_CRYPTO_RUN];
static uint64_t state, sizes_done;
static uint32_t size_at;

/* xorshift64*: fast and of good enough quality; the seed names the whole run. */
static uint64_t
draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint32_t
below(uint32_t n)
{
	return (uint32_t)((draw() >> 32) * n >> 32);
}

static void
fill(uint8_t *p, uint32_t len)
{
	uint32_t i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t word = draw();

		memcpy(p + i, &word, 8);
	}
	for (; i < len; i++)
		p[i] = (uint8_t)draw();
}

static uint32_t
next_size(void)
{
	size_at = (size_at + SIZE_STEP) % SIZES;
	sizes_done++;
	return SIZE_MIN + size_at;
}

static void
make_inner(struct sent *s)
{
	uint8_t *ip = s->inner;

	s->len = next_size();
	s->ipv6 = s->len >= 40 && below(2) == 0;
	fill(ip, s->len);
	if (s->ipv6) {
		ip[0] = 0x60 | (ip[0] & 15);
		spw_put_be16(ip + 4, (uint16_t)(s->len - 40));
		ip[6] = 59; /* no next header: nothing to walk through */
		return;
	}
	ip[0] = 0x45;
	spw_put_be16(ip + 2, (uint16_t)s->len);
	spw_put_be16(ip + 6, 0x4000);
	bed_ip_checksum(ip);
}

static struct spw_selector
all_of(uint8_t family)
{
	struct spw_selector s = {
		.low.family = family, .high.family = family, .port_high = UINT16_MAX};

	memset(s.high.bytes, 0xff, spw_addr_len(family));
	return s;
}

static struct spw_addr
outer_addr(const struct bed_end *e, bool ipv6)
{
	struct spw_addr a = {.family = AF_INET6, .bytes = {0x20, 0x01, 0x0d, 0xb8}};

	if (!ipv6)
		return spw_addr_v4(e->addr);
	spw_put_be32(a.bytes + 12, e->addr);
	return a;
}

static void
set_tunnel(struct bed_end *e, const struct bed_end *peer, uint32_t id, bool outer6)
{
	struct spw_dp_tunnel t = {
		.id = id,
		.name = "oracle",
		.local = outer_addr(e, outer6),
		.remote = outer_addr(peer, outer6),
		.mtu = SIZE_MAX_,
		.outer_path = SPW_DP_ADDR_NONE,
	};

	assert_int_equal(dp_sad_tunnel_set(e->sad, &t, NULL), 0);
}

static struct spw_sa_desc
describe(struct bed_end *e, const struct bed_end *peer, uint32_t tunnel, const struct sa *sa)
{
	struct spw_sa_desc d = {
		.tunnel = tunnel,
		.flags = (sa->esn ? SPW_SA_ESN : 0u) | (sa->udp ? SPW_SA_UDP_ENCAP : 0u),
		.encr = sa->suite->encr,
		.integ = sa->suite->integ,
		.key_len = oracle_key_len(sa->suite),
		.local = outer_addr(e, sa->outer6),
		.remote = outer_addr(peer, sa->outer6),
		.local_port = 4500,
		.remote_port = 4500,
		.replay_window = 4096,
		.n_local = 2,
		.n_remote = 2,
		.sel_local = {all_of(AF_INET), all_of(AF_INET6)},
		.sel_remote = {all_of(AF_INET), all_of(AF_INET6)},
	};

	fill(d.key_in, d.key_len);
	fill(d.key_out, d.key_len);
	assert_int_equal(dp_sad_spi_alloc(e->sad, tunnel, &d.spi_in, NULL), 0);
	return d;
}

static void
must_install(struct bed_end *e, const struct spw_sa_desc *d)
{
	struct spw_err err = {0};

	if (dp_sad_install(e->sad, d, true, &err) < 0)
		fail_msg("%s", err.text);
}

/* Where the numbers begin: with ESN so that the lower half wraps soon, without far from the end. */
static uint64_t
first_number(const struct sa *sa)
{
	if (!sa->esn)
		return below(1u << 31);
	return ((uint64_t)(1 + below(1000)) << 32) - below(300);
}

static void
install(struct bench *t, uint32_t tunnel, struct sa *sa)
{
	struct spw_sa_desc at_a, at_b;

	set_tunnel(&t->a, &t->b, tunnel, sa->outer6);
	set_tunnel(&t->b, &t->a, tunnel, sa->outer6);
	at_a = describe(&t->a, &t->b, tunnel, sa);
	at_b = describe(&t->b, &t->a, tunnel, sa);
	at_a.spi_out = at_b.spi_in;
	at_b.spi_out = at_a.spi_in;
	memcpy(at_b.key_in, at_a.key_out, SPW_SA_KEY_MAX);
	memcpy(at_b.key_out, at_a.key_in, SPW_SA_KEY_MAX);
	must_install(&t->a, &at_a);
	must_install(&t->b, &at_b);
	memcpy(sa->key, at_a.key_out, SPW_SA_KEY_MAX);
	sa->spi = at_a.spi_out;
	sa->next = first_number(sa) + 1;
	atomic_store(&dp_sad_child(t->a.sad, at_a.spi_in)->out->seq, sa->next - 1);
	dp_sad_child(t->b.sad, at_b.spi_in)->in->replay.top = sa->next - 1;
}

/* All suites with and without ESN; how they are sent around changes from round to round. */
static void
open_bench(struct bench *t, enum dp_crypto_isa isa, unsigned int round)
{
	bed_open(&t->a, 0xc0000201, isa, 1);
	bed_open(&t->b, 0xc6336401, isa, 1);
	assert_int_equal(2 * oracle_n_suites, TUNNELS);
	for (uint32_t i = 0; i < TUNNELS; i++) {
		t->sa[i] = (struct sa){
			.suite = &oracle_suites[i / 2],
			.esn = i % 2 != 0,
			.udp = ((i / 2 + round) & 1) != 0,
			.outer6 = ((i / 4 + round / 2) & 1) != 0,
		};
		install(t, i, &t->sa[i]);
	}
}

static void
close_bench(struct bench *t)
{
	bed_close(&t->a);
	bed_close(&t->b);
}

/* The SAs of a burst of n packets: random ones in runs of random length. */
static void
deal(struct bench *t, unsigned int n)
{
	struct sa *sa = &t->sa[below(TUNNELS)];

	for (unsigned int i = 0; i < n; i++) {
		if (below(6) == 0)
			sa = &t->sa[below(TUNNELS)];
		sent[i].sa = sa;
		sent[i].seq = sa->next++;
		sent[i].spoilt = false;
		make_inner(&sent[i]);
	}
}

/* Where the ESP header is behind the outer one, which is of the right kind. */
static uint32_t
outer_len(const struct sa *sa, const uint8_t *ip)
{
	uint32_t len = sa->outer6 ? 40 : 20;

	assert_int_equal(ip[0] >> 4, sa->outer6 ? 6 : 4);
	assert_int_equal(sa->outer6 ? ip[6] : ip[9], sa->udp ? IPPROTO_UDP : IPPROTO_ESP);
	return len + (sa->udp ? 8 : 0);
}

/* Text as RFC 4303 2.4 has it: packet, padding 1, 2, 3.., its length, next header. */
static void
check_text(const struct sent *s, const uint8_t *text, uint32_t len)
{
	uint32_t pad = text[len - 2];

	assert_int_equal(len % s->sa->suite->align, 0);
	assert_int_equal(text[len - 1], s->ipv6 ? 41 : 4);
	assert_int_equal(s->len + pad + 2, len);
	assert_true(pad < s->sa->suite->align);
	assert_memory_equal(text, s->inner, s->len);
	for (uint32_t i = 0; i < pad; i++)
		assert_int_equal(text[s->len + i], i + 1);
}

static void
check_sealed(const struct sent *s, const struct rte_mbuf *m)
{
	static uint8_t text[ESP_MAX];
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t outer = outer_len(s->sa, ip);
	const uint8_t *esp = ip + outer;
	int len;

	assert_int_equal(spw_get_be32(esp), s->sa->spi);
	assert_int_equal(spw_get_be32(esp + 4), (uint32_t)s->seq);
	if (s->sa->suite->iv == 8)
		assert_true(spw_get_be64(esp + 8) == s->seq); /* unique for the key */
	len = oracle_open(s->sa->suite, s->sa->key, s->sa->esn, (uint32_t)(s->seq >> 32), esp,
			  m->data_len - outer, text);
	if (len < 0)
		fail_msg("%s%s: %u bytes, number %lx: OpenSSL does not open what we sealed",
			 s->sa->suite->name, s->sa->esn ? " ESN" : "", s->len, s->seq);
	check_text(s, text, (uint32_t)len);
}

static void
seal_burst(struct bench *t, unsigned int n)
{
	struct dp_burst b = {.n = (uint16_t)n};

	deal(t, n);
	for (unsigned int i = 0; i < n; i++) {
		struct dp_pkt *p;

		b.pkt[i] = bed_mbuf(sent[i].inner, sent[i].len);
		p = dp_pkt(b.pkt[i]);
		p->next = DP_NEXT_SEAL;
		p->tunnel = (uint32_t)(sent[i].sa - t->sa);
		p->flags = sent[i].ipv6 ? DP_PKT_IPV6 : 0;
	}
	dp_stage_esp_seal(&t->a.w, &b);
	assert_int_equal(b.n, n);
	for (unsigned int i = 0; i < n; i++)
		check_sealed(&sent[i], b.pkt[i]);
	bed_free(&b);
}

/* ESP of a packet by OpenSSL, a bit behind the header changed when it is a spoilt one. */
static struct rte_mbuf *
openssl_packet(struct sent *s)
{
	static uint8_t text[ESP_MAX], esp[ESP_MAX];
	const struct oracle_suite *suite = s->sa->suite;
	uint8_t iv[16];
	uint32_t n = s->len, pad = 0, len;
	struct dp_pkt *p;
	struct rte_mbuf *m;

	memcpy(text, s->inner, n);
	/* Some senders pad more than they must, by whole blocks (RFC 4303 2.4: up to 255). */
	for (uint32_t more = below(4) == 0 ? below(3) * suite->align : 0;
	     (n + 2) % suite->align != 0 || pad < more; n++)
		text[n] = (uint8_t)++pad;
	text[n++] = (uint8_t)pad;
	text[n++] = s->ipv6 ? 41 : 4;
	fill(iv, sizeof(iv));
	len = oracle_seal(suite, s->sa->key, s->sa->esn, s->sa->spi, s->seq, iv, text, n, esp);
	if (s->spoilt)
		esp[8 + below(len - 8)] ^= (uint8_t)(1u << below(8));
	m = bed_mbuf(esp, len);
	p = dp_pkt(m);
	p->next = DP_NEXT_OPEN;
	p->flags = s->sa->udp ? DP_PKT_UDP_ENCAP : 0;
	p->outer_src_port = s->sa->udp ? 4500 : 0;
	return m;
}

static void
check_opened(const struct sent *s, const struct rte_mbuf *m, const struct dp_pkt *p)
{
	assert_int_equal(p->next, DP_NEXT_FIB);
	assert_true((p->flags & DP_PKT_DECRYPTED) != 0);
	assert_int_equal((p->flags & DP_PKT_IPV6) != 0, s->ipv6);
	assert_int_equal(m->data_len, s->len);
	assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *), s->inner, s->len);
}

/* Returns how many of the burst were spoilt. */
static unsigned int
open_burst(struct bench *t, unsigned int n)
{
	struct dp_burst b = {.n = (uint16_t)n};
	unsigned int spoilt = 0, at = 0;

	deal(t, n);
	for (unsigned int i = 0; i < n; i++) {
		sent[i].spoilt = below(12) == 0;
		spoilt += sent[i].spoilt;
		b.pkt[i] = openssl_packet(&sent[i]);
	}
	dp_stage_esp_open(&t->b.w, &b);
	assert_int_equal(b.n, n - spoilt);
	for (unsigned int i = 0; i < n; i++) {
		if (sent[i].spoilt)
			continue;
		check_opened(&sent[i], b.pkt[at], dp_pkt(b.pkt[at]));
		at++;
	}
	bed_free(&b);
	return spoilt;
}

/* Both ways in one instruction set, in rounds with other ways around; returns packets each way. */
static unsigned int
run_isa(enum dp_crypto_isa isa, unsigned int packets)
{
	static struct bench t;
	unsigned int opened = 0;

	for (unsigned int round = 0; round < 4; round++) {
		unsigned int sealed = 0, good = 0, spoilt = 0, wanted = packets / 4;

		open_bench(&t, isa, round);
		while (sealed < wanted) {
			unsigned int n = 1 + below(DP_CRYPTO_RUN);

			seal_burst(&t, n);
			sealed += n;
		}
		close_bench(&t);
		open_bench(&t, isa, round);
		while (good < wanted) {
			unsigned int n = 1 + below(DP_CRYPTO_RUN), bad = open_burst(&t, n);

			spoilt += bad;
			good += n - bad;
		}
		assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_AUTH), spoilt);
		close_bench(&t);
		opened += good;
	}
	return opened;
}

static void
every_packet_is_the_same_to_a_second_implementation(void **cmocka_state)
{
	unsigned int packets = getenv("SPW_LONG") != NULL ? PACKETS_LONG : PACKETS, ran = 0;

	for (unsigned int isa = 1; isa < DP_CRYPTO_ISA_COUNT; isa++) {
		struct dp_crypto *c;
		struct timespec from, to;
		unsigned int n;

		if (dp_crypto_new(&c, isa, NULL) < 0)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &from);
		n = run_isa(isa, packets);
		clock_gettime(CLOCK_MONOTONIC, &to);
		print_message("%-12s %u packets each way, 0 differences, %.1f s\n",
			      dp_crypto_isa_name(c), n,
			      (double)(to.tv_sec - from.tv_sec) +
				      (double)(to.tv_nsec - from.tv_nsec) / 1e9);
		dp_crypto_free(c);
		ran++;
	}
	assert_true(ran >= 1);
	assert_true(sizes_done >= SIZES); /* so every size was there */
}

static int
start(void **cmocka_state)
{
	const char *seed = getenv("SPW_SEED");
	uint64_t value;

	if (seed != NULL)
		value = strtoull(seed, NULL, 0);
	else if (RAND_bytes((unsigned char *)&value, sizeof(value)) != 1)
		return -1;
	print_message("SPW_SEED=%#lx\n", value);
	state = value | 1;
	size_at = (uint32_t)(value % SIZES);
	return bed_start(cmocka_state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packet_is_the_same_to_a_second_implementation),
	};

	return cmocka_run_group_tests(tests, start, bed_stop);
}
