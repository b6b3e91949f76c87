/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP-44: sizes of ESP against a model that counts byte by byte and against what the seal stage
 * really makes; ICMP that tells of small hops, byte by byte; what a tunnel learns of it, with real
 * sealed packets in the quotes.
 */
#include "dataplane/pmtu.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/fit.h"
#include "tests/dataplane/esp_bed.h"

#define OURS	0xc0000201u
#define PEER	0xc6336401u
#define ROUTER	0xcb007101u
#define MTU	1400
#define TEN_MIN (600 * SPW_NS_PER_S)

/* Sizes by the names of the suites, from RFC 4106, 7634, 3602, 2404 and 4868; nothing of ours. */
static const struct suite {
	const char *encr, *integ;
	uint32_t iv, tag, block;
} suites[] = {
	{"aes128gcm16", NULL, 8, 16, 4},  {"aes192gcm16", NULL, 8, 16, 4},
	{"aes256gcm16", NULL, 8, 16, 4},  {"chacha20poly1305", NULL, 8, 16, 4},
	{"aes128", "sha1", 16, 12, 16},	  {"aes128", "sha256", 16, 16, 16},
	{"aes256", "sha1", 16, 12, 16},	  {"aes256", "sha256", 16, 16, 16},
	{"aes256", "sha384", 16, 24, 16},
};
#define N_SUITES (sizeof(suites) / sizeof(suites[0]))

static enum spw_encr
encr_of(const struct suite *s)
{
	for (enum spw_encr e = SPW_ENCR_NONE + 1; e < SPW_ENCR_COUNT; e++)
		if (strcmp(spw_encr_info(e)->conf_name, s->encr) == 0)
			return e;
	fail_msg("no cipher %s", s->encr);
	return SPW_ENCR_NONE;
}

static enum spw_integ
integ_of(const struct suite *s)
{
	if (s->integ == NULL)
		return SPW_INTEG_NONE;
	for (enum spw_integ i = SPW_INTEG_NONE + 1; i < SPW_INTEG_COUNT; i++)
		if (strcmp(spw_integ_info(i)->conf_name, s->integ) == 0)
			return i;
	fail_msg("no integrity %s", s->integ);
	return SPW_INTEG_NONE;
}

/* One byte after the other, as RFC 4303 2 draws the packet. */
static uint32_t
model_sealed(const struct suite *s, bool udp, bool v6, uint32_t inner)
{
	uint32_t text = inner + 1 + 1, n = 0;

	while (text % s->block != 0)
		text++;
	n += v6 ? 40 : 20;
	n += udp ? 8 : 0;
	n += 4 + 4;
	n += s->iv;
	n += text;
	return n + s->tag;
}

static void
esp_44_inner_mtu_is_the_longest_that_fits(void **state)
{
	for (size_t i = 0; i < N_SUITES * 4; i++) {
		const struct suite *s = &suites[i / 4];
		bool udp = i & 1, v6 = i & 2;
		struct dp_esp_shape shape = dp_esp_shape(encr_of(s), integ_of(s), udp, v6);
		uint32_t inner = 0;

		for (uint32_t n = 0; n <= 9300; n++)
			assert_int_equal(dp_esp_sealed(&shape, n), model_sealed(s, udp, v6, n));
		for (uint32_t outer = 0; outer <= 9216; outer++) {
			bool some = model_sealed(s, udp, v6, 0) <= outer;

			while (some && model_sealed(s, udp, v6, inner + 1) <= outer)
				inner++;
			assert_int_equal(dp_esp_inner_mtu(&shape, outer), some ? inner : 0);
		}
	}
}

static void
esp_44_sizes_are_those_of_published_examples(void **state)
{
	static const struct {
		const char *encr, *integ;
		bool udp;
		uint32_t outer, inner;
	} rows[] = {
		{"aes256gcm16", NULL, false, 1456, 1402}, {"aes256gcm16", NULL, true, 1464, 1402},
		{"aes256gcm16", NULL, false, 1400, 1346}, {"aes256gcm16", NULL, true, 1400, 1338},
		{"aes256", "sha256", false, 1468, 1406},  {"aes256", "sha256", true, 1476, 1406},
		{"aes256", "sha256", false, 1400, 1326},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct suite s = {.encr = rows[i].encr, .integ = rows[i].integ};
		struct dp_esp_shape shape =
			dp_esp_shape(encr_of(&s), integ_of(&s), rows[i].udp, false);

		assert_int_equal(dp_esp_inner_mtu(&shape, rows[i].outer), rows[i].inner);
	}
}

static void
esp_43_fit_word_holds_both_families(void **state)
{
	static const struct {
		uint32_t mtu, clamp, mtu4, mss4, mtu6, mss6;
	} rows[] = {
		{1400, 0, 1400, 1360, 1400, 1340},
		{1400, 1350, 1400, 1350, 1400, 1340},
		{1400, 1200, 1400, 1200, 1400, 1200},
		{1280, 0, 1280, 1240, 1280, 1220},
		{1200, 0, 1200, 1160, 1280, 1140}, /* IPv6 gets its 1280, TCP the truth */
		{576, 0, 576, 536, 1280, 516},
		{576, 1350, 576, 536, 1280, 516},
		{65535, 0, 65535, 65495, 65535, 65475},
		{575, 0, 0, 0, 0, 0},
		{0, 1350, 0, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t word = dp_fit_word(rows[i].mtu, rows[i].clamp);

		assert_int_equal(dp_fit_mtu(word, 0), rows[i].mtu4);
		assert_int_equal(dp_fit_mss(word, 0), rows[i].mss4);
		assert_int_equal(dp_fit_mtu(word, 1), rows[i].mtu6);
		assert_int_equal(dp_fit_mss(word, 1), rows[i].mss6);
	}
}

/* RFC 1071, on its own here: pairs of bytes, carries around the end. */
static uint16_t
checksum(uint32_t sum, const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* "Fragmentation needed" from a router to the sender of `q` (IPv4). Returns its length. */
static uint32_t
needed4(uint8_t *out, uint32_t mtu, const uint8_t *q, uint32_t n)
{
	memset(out, 0, 28);
	out[0] = 0x45;
	spw_put_be16(out + 2, (uint16_t)(28 + n));
	out[8] = 60;
	out[9] = 1;
	spw_put_be32(out + 12, ROUTER);
	memcpy(out + 16, q + 12, 4);
	spw_put_be16(out + 10, checksum(0, out, 20));
	out[20] = 3;
	out[21] = 4;
	spw_put_be16(out + 26, (uint16_t)mtu);
	memcpy(out + 28, q, n);
	spw_put_be16(out + 22, checksum(0, out + 20, 8 + n));
	return 28 + n;
}

/* "Packet too big" about `q` (IPv6), behind `ext` bytes of destination options. */
static uint32_t
too_big6(uint8_t *out, uint32_t mtu, const uint8_t *q, uint32_t n, uint32_t ext)
{
	uint8_t *icmp = out + 40 + ext;

	memset(out, 0, 48 + ext);
	out[0] = 0x60;
	spw_put_be16(out + 4, (uint16_t)(ext + 8 + n));
	out[6] = ext ? 60 : 58;
	out[7] = 60;
	out[8] = 0x20;
	out[23] = 9; /* 2000::9 */
	memcpy(out + 24, q + 8, 16);
	if (ext) {
		out[40] = 58;
		out[41] = (uint8_t)(ext / 8 - 1);
	}
	icmp[0] = 2;
	spw_put_be32(icmp + 4, mtu);
	memcpy(icmp + 8, q, n);
	spw_put_be16(icmp + 2, checksum(8 + n + 58u + (uint32_t)(uint16_t)~checksum(0, out + 8, 32),
					icmp, 8 + n));
	return 48 + ext + n;
}

/* An ESP packet of `total` bytes as a router sees it, the first 48 (or 60) of them. */
static void
esp4(uint8_t *q, bool udp, uint16_t total)
{
	memset(q, 0, 60);
	q[0] = 0x45;
	q[6] = 0x40;
	q[8] = 55;
	q[9] = udp ? 17 : 50;
	spw_put_be16(q + 2, total);
	spw_put_be32(q + 12, OURS);
	spw_put_be32(q + 16, PEER);
	if (udp) {
		spw_put_be16(q + 20, 4500);
		spw_put_be16(q + 22, 4501);
		spw_put_be32(q + 28, 0x12345678);
	} else {
		spw_put_be32(q + 20, 0x12345678);
	}
}

static void
esp_44_message_with_native_esp_is_read(void **state)
{
	uint8_t q[64], ip[128], mapped[16] = {[10] = 0xff, 0xff, 0xc0, 0, 2, 1};
	struct dp_pmtu_quote quote;

	esp4(q, false, 1456);
	for (uint32_t n = 20; n <= 40; n++) { /* the SPI shows from 24 bytes on */
		assert_int_equal(dp_pmtu_read(&quote, ip, needed4(ip, 1400, q, n)), n >= 24);
		if (n < 24)
			continue;
		assert_int_equal(quote.mtu, 1400);
		assert_int_equal(quote.spi, 0x12345678);
		assert_int_equal(quote.sport | quote.dport, 0);
		assert_memory_equal(quote.src, mapped, 16);
	}
	esp4(q, true, 1456);
	for (uint32_t n = 28; n <= 60; n++)
		assert_int_equal(dp_pmtu_read(&quote, ip, needed4(ip, 1400, q, n)), n >= 32);
	assert_int_equal(quote.sport, 4500);
	assert_int_equal(quote.dport, 4501);
	assert_int_equal(quote.spi, 0x12345678);
}

static void
esp_44_message_that_is_anything_else_is_not_believed(void **state)
{
	static const struct {
		const char *what;
		uint32_t at; /* of the byte that is changed */
		uint8_t value;
		bool mend; /* the checksum of ICMP afterwards */
	} rows[] = {
		{"another protocol", 9, 17, true},
		{"a first fragment", 6, 0x20, true},
		{"a later fragment", 7, 1, true},
		{"another code", 21, 3, true},
		{"another type", 20, 11, true},
		{"a wrong checksum", 22, 0xaa, false},
		{"no MTU", 26, 0, true}, /* 0x0078 stays: 120, but see below */
		{"an MTU that the packet fits", 26, 0x10, true},
		{"quotes IPv6", 28, 0x60, true},
		{"quotes a short header", 28, 0x44, true},
		{"quotes a later fragment", 35, 9, true},
		{"quotes TCP", 37, 6, true},
		{"quotes another sender", 43, 99, true},
		{"quotes a reserved SPI", 48, 0, true},
	};
	struct dp_pmtu_quote quote;
	uint8_t q[64], ip[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t len;

		esp4(q, false, 1456);
		if (rows[i].at == 48)
			spw_put_be32(q + 20, 0x000000ff);
		len = needed4(ip, rows[i].at == 26 && rows[i].value == 0 ? 67 : 1400, q, 40);
		assert_int_equal(rows[i].at == 48 || (rows[i].at == 26 && rows[i].value == 0),
				 !dp_pmtu_read(&quote, ip, len));
		ip[rows[i].at] = rows[i].value;
		if (rows[i].mend) {
			spw_put_be16(ip + 22, 0);
			spw_put_be16(ip + 22, checksum(0, ip + 20, len - 20));
		}
		if (dp_pmtu_read(&quote, ip, len))
			fail_msg("%s", rows[i].what);
	}
}

static void
esp_44_message_of_ipv6_is_read(void **state)
{
	uint8_t q[64] = {0x60, [4] = 5, 0xb4, 50, 60, 0x20, [23] = 1, [24] = 0x20, [39] = 2};
	struct dp_pmtu_quote quote;
	uint8_t ip[256];
	uint32_t len;

	spw_put_be32(q + 40, 0x12345678);
	for (uint32_t ext = 0; ext <= 24; ext += 8) {
		for (uint32_t n = 40; n <= 56; n++) {
			len = too_big6(ip, 1400, q, n, ext);
			assert_int_equal(dp_pmtu_read(&quote, ip, len), n >= 44);
		}
		assert_int_equal(quote.mtu, 1400);
		assert_int_equal(quote.spi, 0x12345678);
		assert_memory_equal(quote.src, q + 8, 16);
		assert_memory_equal(quote.dst, q + 24, 16);
	}
	/* MTUs that no IPv6 path has, and one that the packet fits (5 << 8 | 0xb4 and 40 bytes) */
	assert_false(dp_pmtu_read(&quote, ip, too_big6(ip, 1279, q, 56, 0)));
	assert_true(dp_pmtu_read(&quote, ip, too_big6(ip, 1280, q, 56, 0)));
	assert_true(dp_pmtu_read(&quote, ip, too_big6(ip, 1499, q, 56, 0)));
	assert_false(dp_pmtu_read(&quote, ip, too_big6(ip, 1500, q, 56, 0)));
	assert_false(dp_pmtu_read(&quote, ip, too_big6(ip, 0x10000 + 1400, q, 56, 0)));
	len = too_big6(ip, 1400, q, 56, 0);
	ip[44] ^= 0x10; /* the checksum covers the MTU */
	assert_false(dp_pmtu_read(&quote, ip, len));
	len = too_big6(ip, 1400, q, 56, 0);
	ip[24] ^= 1; /* and the pseudo header; it is not for the quoted sender any more either */
	assert_false(dp_pmtu_read(&quote, ip, len));
}

static void
esp_44_random_messages_are_read_within_their_bounds(void **state)
{
	srand(17);
	for (int i = 0; i < 200000; i++) {
		uint32_t len = 20 + (uint32_t)rand() % 120;
		uint8_t *exact = malloc(len); /* a sanitizer sees one byte too far */
		struct dp_pmtu_quote quote;

		for (uint32_t j = 0; j < len; j++)
			exact[j] = (uint8_t)(rand() % 3 ? rand() % 64 : rand());
		exact[0] = (uint8_t)(rand() % 2 ? 0x60 : 0x45 + rand() % 3);
		exact[exact[0] >> 4 == 6 ? 6 : 9] = (uint8_t)(exact[0] >> 4 == 6 ? 58 : 1);
		(void)dp_pmtu_read(&quote, exact, len);
		(void)dp_pmtu_read_esp(&quote, exact, len);
		free(exact);
	}
}

/* A gateway with a tunnel and one outbound SA. */
struct yard {
	struct bed_end a;
	struct spw_sa_desc sa;
};

static void
set_tunnel(struct yard *y, uint32_t mtu)
{
	struct spw_dp_tunnel t = {.id = BED_TUNNEL,
				  .name = "bed",
				  .local = y->sa.local,
				  .remote = y->sa.remote,
				  .mtu = mtu,
				  .outer_path = SPW_DP_ADDR_NONE};

	assert_int_equal(dp_sad_tunnel_set(y->a.sad, &t, NULL), 0);
}

static void
add_sa(struct yard *y, const struct suite *s, bool udp, bool v6)
{
	const struct bed_sa how = {.flags = udp ? SPW_SA_UDP_ENCAP : 0};
	struct spw_addr local = y->sa.local, remote = y->sa.remote;
	const struct spw_encr_info *e = spw_encr_info(encr_of(s));
	enum spw_integ integ = integ_of(s);

	y->sa = bed_desc(&y->a, PEER, &how);
	y->sa.local = local;
	y->sa.remote = remote;
	y->sa.encr = encr_of(s);
	y->sa.integ = integ;
	y->sa.key_len = e->key_len + (e->salt_len ? e->salt_len : spw_integ_info(integ)->key_len);
	for (uint32_t i = 0; i < y->sa.key_len; i++) {
		y->sa.key_in[i] = (uint8_t)rand();
		y->sa.key_out[i] = (uint8_t)rand();
	}
	assert_int_equal(dp_sad_install(y->a.sad, &y->sa, true, NULL), 0);
}

static void
open_yard(struct yard *y, const struct suite *s, bool udp, bool v6, uint32_t mtu)
{
	memset(y, 0, sizeof(*y));
	bed_open(&y->a, OURS, DP_CRYPTO_AUTO, 1);
	y->sa.local = spw_addr_v4(OURS);
	y->sa.remote = spw_addr_v4(PEER);
	if (v6) {
		assert_int_equal(spw_addr_parse(&y->sa.local, "2001:db8::1", NULL), 0);
		assert_int_equal(spw_addr_parse(&y->sa.remote, "2001:db8:1::2", NULL), 0);
	}
	set_tunnel(y, mtu);
	add_sa(y, s, udp, v6);
}

/* Seal a packet of `inner` bytes and copy it to `out`; returns its length. */
static uint32_t
seal(struct yard *y, uint32_t inner, uint8_t *out)
{
	struct dp_burst b = {0};
	uint32_t len;

	bed_single(&b, bed_packet(inner));
	dp_stage_esp_seal(&y->a.w, &b);
	assert_int_equal(b.n, 1);
	len = b.pkt[0]->pkt_len;
	memcpy(out, rte_pktmbuf_mtod(b.pkt[0], void *), len);
	bed_free(&b);
	return len;
}

static void
esp_44_sizes_are_those_that_seal_makes(void **state)
{
	static uint8_t out[BED_BUF];

	for (size_t i = 0; i < 8 * 4; i++) {
		const struct suite *s = &suites[i / 4];
		bool udp = i & 1, v6 = i & 2;
		struct dp_esp_shape shape = dp_esp_shape(encr_of(s), integ_of(s), udp, v6);
		struct yard y;

		open_yard(&y, s, udp, v6, 9000);
		for (uint32_t n = 20; n < 120; n++)
			assert_int_equal(seal(&y, n, out), dp_esp_sealed(&shape, n));
		for (uint32_t outer = 1300; outer < 1500; outer += 7) {
			uint32_t n = dp_esp_inner_mtu(&shape, outer);

			assert_true(seal(&y, n, out) <= outer);
			assert_true(seal(&y, n + 1, out) > outer);
		}
		bed_close(&y.a);
	}
}

/* Let the worker hear a packet, and the API thread what the worker has to tell. */
static void
hear(struct yard *y, const uint8_t *ip, uint32_t len)
{
	struct rte_mbuf *m = bed_mbuf(ip, len);
	struct spw_dp_sa_event ev;

	dp_pmtu_heard(&y->a.w, m);
	rte_pktmbuf_free(m);
	while (dp_sad_event(y->a.sad, &ev))
		;
}

static uint32_t
mtu_now(const struct yard *y, unsigned int ipv6)
{
	return dp_fit_mtu(atomic_load(&y->a.sad->tunnels[BED_TUNNEL].fit), ipv6);
}

/* What the tunnel's row says of sizes. */
static void
assert_row(const struct yard *y, uint32_t mtu, uint32_t path_mtu, uint64_t ends)
{
	struct spw_dp_tunnel_stats row;
	uint32_t at = 0;

	assert_true(dp_sad_tunnel_stats(y->a.sad, &at, &row));
	assert_int_equal(row.mtu, mtu);
	assert_int_equal(row.path_mtu, path_mtu);
	assert_int_equal(row.path_mtu_ends, ends);
}

static void
esp_44_tunnel_learns_from_quotes_of_its_own_packets(void **state)
{
	static uint8_t out[BED_BUF], icmp[BED_BUF];

	for (size_t i = 0; i < 8 * 4; i++) {
		const struct suite *s = &suites[i / 4];
		bool udp = i & 1, v6 = i & 2;
		struct dp_esp_shape shape = dp_esp_shape(encr_of(s), integ_of(s), udp, v6);
		uint32_t inner = dp_esp_inner_mtu(&shape, 1380), quoted;
		struct yard y;

		open_yard(&y, s, udp, v6, MTU);
		quoted = seal(&y, MTU, out) < 520 ? 0 : 520;
		hear(&y, icmp,
		     v6 ? too_big6(icmp, 1380, out, quoted, 0) : needed4(icmp, 1380, out, quoted));
		assert_int_equal(mtu_now(&y, 0), inner);
		assert_int_equal(mtu_now(&y, 1), inner < 1280 ? 1280 : inner);
		assert_int_equal(dp_fit_mss(atomic_load(&y.a.sad->tunnels[BED_TUNNEL].fit), 0),
				 inner - 40);
		assert_true(seal(&y, inner, out) <= 1380);
		bed_close(&y.a);
	}
}

/* Rows of a message about a real packet of ours, of which one thing is not true. */
static void
esp_44_only_quotes_of_live_sas_count(void **state)
{
	enum { FLIP, DELETED, ENDED, OTHER_TUNNEL };
	static const struct {
		const char *what;
		bool udp;
		int kind;
		uint32_t at; /* byte of the quoted packet */
	} rows[] = {
		{"another SPI", false, FLIP, 23},
		{"another peer", false, FLIP, 19},
		{"another of our addresses", false, FLIP, 15},
		{"the SPI in UDP", true, FLIP, 31},
		{"our port", true, FLIP, 21},
		{"the peer's port", true, FLIP, 23},
		{"an SA that is gone", false, DELETED, 0},
		{"an SA that has ended", false, ENDED, 0},
		{"native for an SA in UDP", true, OTHER_TUNNEL, 0},
	};
	static uint8_t out[BED_BUF], icmp[BED_BUF];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct yard y;

		open_yard(&y, &suites[0], rows[i].udp, false, MTU);
		seal(&y, MTU, out);
		if (rows[i].kind == FLIP)
			out[rows[i].at] ^= 1;
		else if (rows[i].kind == DELETED)
			assert_int_equal(dp_sad_delete(y.a.sad, y.sa.spi_in, 3, NULL), 0);
		else if (rows[i].kind == ENDED)
			dp_child_raise(y.a.sad, dp_sad_child(y.a.sad, y.sa.spi_in), y.sa.spi_in,
				       SPW_SA_EV_HARD, SPW_SA_LIMIT_TIME);
		else
			esp4(out, false, 1456), spw_put_be32(out + 20, y.sa.spi_out);
		hear(&y, icmp, needed4(icmp, 1300, out, 64));
		if (mtu_now(&y, 0) != MTU)
			fail_msg("%s", rows[i].what);
		bed_close(&y.a);
	}
}

static void
esp_44_mtu_only_goes_down_to_its_floor_and_ages_out(void **state)
{
	static uint8_t out[BED_BUF], icmp[BED_BUF];
	const uint64_t start = bed_now;
	struct yard y;

	open_yard(&y, &suites[0], false, false, MTU); /* 54 bytes around, multiple of 4 */
	assert_row(&y, MTU, 0, 0);
	seal(&y, MTU, out);
	hear(&y, icmp, needed4(icmp, 1400, out, 64));
	assert_int_equal(mtu_now(&y, 0), 1346);
	assert_row(&y, MTU, 1346, start + TEN_MIN);
	hear(&y, icmp, needed4(icmp, 1440, out, 64)); /* larger: does not raise it */
	assert_int_equal(mtu_now(&y, 0), 1346);
	bed_now = start + TEN_MIN / 2;
	hear(&y, icmp, needed4(icmp, 1400, out, 64)); /* the same again: no new ten minutes */
	set_tunnel(&y, MTU);			      /* told once more by its owner */
	assert_int_equal(mtu_now(&y, 0), 1346);
	dp_sad_tick(y.a.sad, start + TEN_MIN - 1);
	assert_int_equal(mtu_now(&y, 0), 1346);
	bed_now = start + TEN_MIN;
	dp_sad_tick(y.a.sad, bed_now);
	assert_int_equal(mtu_now(&y, 0), MTU);
	assert_row(&y, MTU, 0, 0);
	hear(&y, icmp, needed4(icmp, 68, out, 64)); /* nothing would fit: the floors */
	assert_int_equal(mtu_now(&y, 0), 576);
	assert_int_equal(mtu_now(&y, 1), 1280);
	set_tunnel(&y, 1300); /* still below what is configured */
	assert_int_equal(mtu_now(&y, 0), 576);
	assert_row(&y, 1300, 576, bed_now + TEN_MIN);
	dp_sad_tick(y.a.sad, bed_now + TEN_MIN);
	assert_int_equal(mtu_now(&y, 0), 1300);
	hear(&y, icmp, needed4(icmp, 1000, out, 64));
	assert_int_equal(mtu_now(&y, 0), 946);
	assert_int_equal(dp_sad_tunnel_del(y.a.sad, BED_TUNNEL, NULL), 0);
	assert_int_equal(mtu_now(&y, 0), 0);
	set_tunnel(&y, MTU); /* a new tunnel knows nothing of the old one's path */
	assert_int_equal(mtu_now(&y, 0), MTU);
	bed_close(&y.a);
	bed_now = start;
}

static void
esp_44_a_moved_peer_is_known_by_its_new_address(void **state)
{
	static uint8_t out[BED_BUF], icmp[BED_BUF], old[BED_BUF];
	struct spw_dp_sa_move move = {
		.remote = spw_addr_v4(PEER + 1), .remote_port = 61000, .local_port = 4500};
	struct yard y;

	open_yard(&y, &suites[2], true, false, MTU);
	seal(&y, MTU, old);
	move.spi_in = y.sa.spi_in;
	assert_int_equal(dp_sad_move(y.a.sad, &move, NULL), 0);
	seal(&y, MTU, out);
	hear(&y, icmp, needed4(icmp, 1300, old, 64));
	assert_int_equal(mtu_now(&y, 0), MTU);
	hear(&y, icmp, needed4(icmp, 1300, out, 64));
	assert_int_equal(mtu_now(&y, 0), 1238);
	bed_close(&y.a);
}

static void
esp_44_messages_are_taken_at_a_limited_rate(void **state)
{
	static uint8_t out[BED_BUF], icmp[BED_BUF];
	struct yard y;
	uint32_t len;

	open_yard(&y, &suites[0], false, false, MTU);
	seal(&y, MTU, out);
	len = needed4(icmp, 1300, out, 64);
	for (int i = 0; i < 1000; i++) { /* in one instant */
		struct rte_mbuf *m = bed_mbuf(icmp, len);

		dp_pmtu_heard(&y.a.w, m);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(rte_ring_count(y.a.sad->events), 20);
	y.a.w.now_tsc += rte_get_tsc_hz();
	hear(&y, icmp, len);
	assert_int_equal(mtu_now(&y, 0), 1246);
	bed_close(&y.a);
}

/* Addresses are no secret: whoever knows them may send such messages as fast as the line goes. */
static void
esp_44_guessed_spis_keep_no_true_message_out(void **state)
{
	static uint8_t out[BED_BUF], icmp[BED_BUF];
	unsigned int told;
	struct yard y;

	open_yard(&y, &suites[0], false, false, MTU);
	seal(&y, MTU, out);
	for (uint32_t i = 1; i <= 3000; i++) { /* in one instant */
		uint8_t guess[64];

		memcpy(guess, out, sizeof(guess));
		spw_put_be32(guess + 20, y.sa.spi_out + i * 0x10001);

		struct rte_mbuf *m = bed_mbuf(icmp, needed4(icmp, 1300, guess, 64));

		dp_pmtu_heard(&y.a.w, m);
		rte_pktmbuf_free(m);
	}
	told = rte_ring_count(y.a.sad->events);
	hear(&y, icmp, needed4(icmp, 1300, out, 64));
	assert_int_equal(mtu_now(&y, 0), 1246);
	assert_in_range(told, 0, 5);
	bed_close(&y.a);
}

static void
esp_44_an_spi_is_known_from_its_install_to_its_end(void **state)
{
	struct spw_sa_desc first;
	struct yard y;

	open_yard(&y, &suites[0], false, false, MTU);
	first = y.sa;
	assert_true(dp_sad_sends(y.a.sad, first.spi_out));
	add_sa(&y, &suites[0], false, false); /* a rekey whose peer chose the same SPI */
	assert_int_equal(dp_sad_delete(y.a.sad, y.sa.spi_in, SPW_SA_PART_OUT, NULL), 0);
	assert_int_equal(dp_sad_delete(y.a.sad, y.sa.spi_in, SPW_SA_PART_IN, NULL), 0);
	assert_true(dp_sad_sends(y.a.sad, first.spi_out));
	assert_int_equal(dp_sad_delete(y.a.sad, first.spi_in, SPW_SA_PART_IN, NULL), 0);
	assert_true(dp_sad_sends(y.a.sad, first.spi_out));
	assert_int_equal(dp_sad_delete(y.a.sad, first.spi_in, SPW_SA_PART_OUT, NULL), 0);
	assert_false(dp_sad_sends(y.a.sad, first.spi_out));
	bed_close(&y.a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_44_inner_mtu_is_the_longest_that_fits),
		cmocka_unit_test(esp_44_sizes_are_those_of_published_examples),
		cmocka_unit_test(esp_43_fit_word_holds_both_families),
		cmocka_unit_test(esp_44_message_with_native_esp_is_read),
		cmocka_unit_test(esp_44_message_that_is_anything_else_is_not_believed),
		cmocka_unit_test(esp_44_message_of_ipv6_is_read),
		cmocka_unit_test(esp_44_random_messages_are_read_within_their_bounds),
		cmocka_unit_test(esp_44_sizes_are_those_that_seal_makes),
		cmocka_unit_test(esp_44_tunnel_learns_from_quotes_of_its_own_packets),
		cmocka_unit_test(esp_44_only_quotes_of_live_sas_count),
		cmocka_unit_test(esp_44_mtu_only_goes_down_to_its_floor_and_ages_out),
		cmocka_unit_test(esp_44_a_moved_peer_is_known_by_its_new_address),
		cmocka_unit_test(esp_44_messages_are_taken_at_a_limited_rate),
		cmocka_unit_test(esp_44_guessed_spis_keep_no_true_message_out),
		cmocka_unit_test(esp_44_an_spi_is_known_from_its_install_to_its_end),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
