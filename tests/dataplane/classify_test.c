/* SPDX-License-Identifier: BSD-3-Clause */
/* What a received IP packet is: truth tables over headers. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/checksum.h"
#include "dataplane/classify.h"
#include "dataplane/hops.h"
#include "dataplane/rate.h"
#include "dataplane/tables.h"
#include "dataplane/wire.h"

struct packet {
	uint8_t b[256];
	uint16_t len;
};

static void
csum_write(uint8_t *ip)
{
	unsigned int hdr = (ip[0] & 15u) * 4;

	dp_put_be16(ip + 10, 0);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, hdr)));
}

/* An IPv4 packet with `payload` bytes; options of opt_len bytes (a multiple of 4). */
static struct packet
ipv4(uint8_t proto, uint16_t frag, const void *payload, uint16_t len, const void *opt,
     uint8_t opt_len)
{
	struct packet p = {.len = (uint16_t)(20 + opt_len + len)};

	p.b[0] = (uint8_t)(0x45 + opt_len / 4);
	dp_put_be16(p.b + 2, p.len);
	dp_put_be16(p.b + 6, frag);
	p.b[8] = 64;
	p.b[9] = proto;
	dp_put_be32(p.b + 12, 0x0a010002);
	dp_put_be32(p.b + 16, 0x0a020304);
	if (opt_len)
		memcpy(p.b + 20, opt, opt_len);
	if (len)
		memcpy(p.b + 20 + opt_len, payload, len);
	csum_write(p.b);
	return p;
}

static enum dp_drop
check(const struct packet *p, uint32_t there)
{
	uint16_t total = 0;
	enum dp_drop why = dp_ipv4_check(p->b, there, false, &total);

	if (why == DP_DROP_COUNT)
		assert_int_equal(total, dp_be16(p->b + 2));
	return why;
}

static void
headers_are_judged_by_version_length_and_checksum(void **state)
{
	struct packet good = ipv4(17, 0, "12345678", 8, NULL, 0), p;
	uint16_t total;

	assert_int_equal(check(&good, good.len), DP_DROP_COUNT);
	assert_int_equal(check(&good, good.len + 18u), DP_DROP_COUNT); /* Ethernet padding */
	assert_int_equal(check(&good, good.len - 1u), DP_DROP_RUNT);
	assert_int_equal(check(&good, 19), DP_DROP_RUNT);
	p = good;
	p.b[0] = 0x65;
	assert_int_equal(check(&p, p.len), DP_DROP_IP_HEADER);
	p = good;
	p.b[0] = 0x44;
	assert_int_equal(check(&p, p.len), DP_DROP_IP_HEADER);
	p = good;
	p.b[0] = 0x4f;
	assert_int_equal(check(&p, p.len), DP_DROP_RUNT);
	p = good;
	dp_put_be16(p.b + 2, 19);
	csum_write(p.b);
	assert_int_equal(check(&p, p.len), DP_DROP_IP_HEADER);
	p = good;
	p.b[10] ^= 1;
	assert_int_equal(check(&p, p.len), DP_DROP_IP_HEADER);
	assert_int_equal(dp_ipv4_check(p.b, p.len, true, &total), DP_DROP_COUNT);
}

static void
options_must_add_up_and_never_route(void **state)
{
	static const struct {
		uint8_t opt[8];
		uint8_t len;
		enum dp_drop want;
	} rows[] = {
		{{0, 0, 0, 0}, 4, DP_DROP_COUNT},
		{{1, 1, 1, 0}, 4, DP_DROP_COUNT},
		{{7, 7, 4, 0, 0, 0, 0, 0}, 8, DP_DROP_COUNT}, /* record route */
		{{148, 4, 0, 0}, 4, DP_DROP_COUNT},	      /* router alert */
		{{131, 3, 4, 0}, 4, DP_DROP_IP_OPTIONS},      /* loose source route */
		{{137, 3, 4, 0}, 4, DP_DROP_IP_OPTIONS},      /* strict source route */
		{{1, 131, 3, 4}, 4, DP_DROP_IP_OPTIONS},
		{{7, 1, 0, 0}, 4, DP_DROP_IP_OPTIONS}, /* too short for itself */
		{{7, 9, 0, 0}, 4, DP_DROP_IP_OPTIONS}, /* beyond the header */
		{{1, 1, 1, 7}, 4, DP_DROP_IP_OPTIONS}, /* no length */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p = ipv4(17, 0, NULL, 0, rows[i].opt, rows[i].len);

		assert_int_equal(check(&p, p.len), rows[i].want);
	}
}

static void
martians_are_what_no_host_may_use(void **state)
{
	static const struct {
		uint32_t addr;
		bool martian;
	} rows[] = {
		{0x00000001, true},  {0x01000000, false}, {0x7f000001, true},  {0x7effffff, false},
		{0x80000001, false}, {0xdfffffff, false}, {0xe0000001, true},  {0xf0000001, true},
		{0xffffffff, true},  {0x0a000001, false}, {0xa9fe0101, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(dp_ipv4_source_martian(rows[i].addr), rows[i].martian);
		assert_int_equal(dp_ipv4_dest_martian(rows[i].addr), rows[i].martian);
	}
}

static struct packet
udp(uint16_t frag, uint16_t port, const void *payload, uint16_t len, int udp_len)
{
	uint8_t b[128] = {0};

	dp_put_be16(b + 2, port);
	dp_put_be16(b + 4, (uint16_t)(udp_len >= 0 ? udp_len : 8 + len));
	memcpy(b + 8, payload, len);
	return ipv4(17, frag, b, (uint16_t)(8 + len), NULL, 0);
}

static void
packets_to_us_are_sorted(void **state)
{
	static const uint8_t esp[16] = {1, 2, 3, 4}, ike[16] = {0}, ff[2] = {0xff, 0xff};
	const struct {
		struct packet p;
		enum dp_to_us want;
	} rows[] = {
		{ipv4(50, 0, esp, 16, NULL, 0), DP_TO_US_ESP},
		{ipv4(50, 0x4000, esp, 16, NULL, 0), DP_TO_US_ESP}, /* DF */
		{ipv4(50, 0x2000, esp, 16, NULL, 0), DP_TO_US_ESP_FRAG},
		{ipv4(50, 0x0002, esp, 16, NULL, 0), DP_TO_US_ESP_FRAG},
		{ipv4(1, 0, esp, 16, NULL, 0), DP_TO_US_KERNEL},
		{ipv4(6, 0, esp, 16, NULL, 0), DP_TO_US_KERNEL},
		{ipv4(6, 0x2000, esp, 16, NULL, 0), DP_TO_US_KERNEL_FRAG},
		{ipv4(17, 0, esp, 4, NULL, 0), DP_TO_US_KERNEL}, /* no UDP header: kernel counts */
		{udp(0, 500, esp, 16, -1), DP_TO_US_KERNEL},
		{udp(0, 4500, esp, 16, -1), DP_TO_US_ESP_UDP},
		{udp(0, 4500, ike, 16, -1), DP_TO_US_KERNEL},
		{udp(0, 4500, ff, 1, -1), DP_TO_US_KEEPALIVE},
		{udp(0, 4500, ff, 2, -1), DP_TO_US_SHORT},
		{udp(0, 4500, esp, 1, -1), DP_TO_US_SHORT},
		{udp(0, 4500, esp, 0, -1), DP_TO_US_SHORT},
		{udp(0, 4500, esp, 16, 7), DP_TO_US_SHORT},    /* UDP length below its header */
		{udp(0, 4500, esp, 16, 25), DP_TO_US_SHORT},   /* beyond the packet */
		{udp(0, 4500, esp, 16, 12), DP_TO_US_ESP_UDP}, /* shorter than the packet */
		{udp(0x2000, 4500, esp, 16, 200), DP_TO_US_ESP_FRAG},
		{udp(0x2000, 4500, ike, 16, 200), DP_TO_US_KERNEL_FRAG},
		{udp(0x0003, 4500, esp, 16, -1), DP_TO_US_KERNEL_FRAG}, /* ports are not there */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(dp_ipv4_to_us(rows[i].p.b, rows[i].p.len), rows[i].want);
}

/* An IKE header behind the marker, if any, that has these three bytes. */
static bool
opens(uint16_t port, uint8_t spi_r, uint8_t flags, uint16_t len, uint8_t marker)
{
	uint8_t b[8 + 4 + 28] = {0};

	dp_put_be16(b + 2, port);
	memset(b + 8 + marker, 0xaa, 8);	       /* the initiator's SPI */
	b[8 + marker + (spi_r == 2 ? 8 : 15)] = spi_r; /* its first or its last byte */
	b[8 + marker + 19] = flags;
	return dp_ike_opens(b, len);
}

static void
what_would_begin_an_ike_sa_is_told_from_what_belongs_to_one(void **state)
{
	const struct {
		uint16_t port;
		uint8_t spi_r, flags;
		uint16_t len;
		uint8_t marker;
		bool want;
	} rows[] = {
		{500, 0, 0x08, 36, 0, true},   {4500, 0, 0x08, 40, 4, true},
		{500, 1, 0x08, 36, 0, false},  {4500, 1, 0x08, 40, 4, false},
		{500, 1, 0x00, 36, 0, false},  {500, 0, 0x20, 36, 0, false}, /* a cookie for us */
		{4500, 0, 0x20, 40, 4, false}, {500, 1, 0x20, 36, 0, false},
		{500, 2, 0x08, 36, 0, false},  {4500, 2, 0x08, 40, 4, false},
		{500, 0, 0x00, 36, 0, true},   {500, 1, 0x08, 35, 0, true}, /* no whole header */
		{4500, 1, 0x08, 39, 4, true},  {500, 0, 0, 8, 0, true},
		{500, 0, 0, 7, 0, false}, /* no UDP header */
		{501, 0, 0x08, 36, 0, false},  {53, 0, 0x08, 36, 0, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(opens(rows[i].port, rows[i].spi_r, rows[i].flags, rows[i].len,
				       rows[i].marker),
				 rows[i].want);
}

static void
what_goes_up_is_told_by_who_can_send_it(void **state)
{
	const struct {
		bool ipv6;
		uint8_t proto, hops, first; /* first octet of the upper layer */
		uint16_t port;
		uint8_t spi_r;
		uint16_t len; /* of the upper layer */
		enum dp_up_kind want;
	} rows[] = {
		{false, 17, 64, 0, 500, 0, 36, DP_UP_HELLO},
		{false, 17, 64, 0, 500, 1, 36, DP_UP_IKE},
		{false, 17, 64, 0, 4500, 1, 40, DP_UP_IKE},
		{false, 17, 64, 0, 501, 1, 36, DP_UP_OTHER},
		{false, 17, 64, 0, 500, 1, 7, DP_UP_OTHER},
		{false, 6, 64, 0, 500, 1, 36, DP_UP_OTHER},
		{false, 1, 64, 8, 0, 0, 36, DP_UP_OTHER},
		{false, 58, 255, 135, 0, 0, 36, DP_UP_OTHER}, /* means nothing in IPv4 */
		{true, 17, 64, 0, 500, 0, 36, DP_UP_HELLO},
		{true, 17, 64, 0, 500, 1, 36, DP_UP_IKE},
		{true, 58, 255, 132, 0, 0, 24, DP_UP_OTHER},
		{true, 58, 255, 133, 0, 0, 24, DP_UP_LINK},
		{true, 58, 255, 135, 0, 0, 24, DP_UP_LINK},
		{true, 58, 255, 137, 0, 0, 24, DP_UP_LINK},
		{true, 58, 255, 138, 0, 0, 24, DP_UP_OTHER},
		{true, 58, 254, 135, 0, 0, 24, DP_UP_OTHER}, /* a router passed it on */
		{true, 58, 255, 135, 0, 0, 0, DP_UP_OTHER},
		{true, 17, 255, 135, 500, 1, 36, DP_UP_IKE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t at = rows[i].ipv6 ? 40 : 20;
		uint8_t b[128] = {rows[i].ipv6 ? 0x60 : 0x45}, *upper = b + at;

		b[rows[i].ipv6 ? 6 : 9] = rows[i].proto;
		b[rows[i].ipv6 ? 7 : 8] = rows[i].hops;
		upper[0] = rows[i].first;
		upper[2] = (uint8_t)(rows[i].port >> 8);
		upper[3] = (uint8_t)rows[i].port;
		upper[8 + (rows[i].port == 4500 ? 4 : 0) + 8] = rows[i].spi_r;
		assert_int_equal(dp_up_kind(b, at + rows[i].len, at), rows[i].want);
	}
}

static void
a_flow_hash_ignores_ports_of_fragments_only(void **state)
{
	struct packet a = udp(0, 1, "x", 1, -1), b = udp(0, 2, "x", 1, -1);
	struct packet first = udp(0x2000, 1, "x", 1, -1), later = udp(0x0100, 9, "y", 1, -1);

	assert_true(dp_ipv4_flow_hash(a.b, a.len) != dp_ipv4_flow_hash(b.b, b.len));
	assert_int_equal(dp_ipv4_flow_hash(first.b, first.len),
			 dp_ipv4_flow_hash(later.b, later.len));
}

/* The short way says yes exactly where the full check does for a header without options. */
static void
the_plain_case_agrees_with_the_full_check(void **state)
{
	unsigned int good = 0;

	srandom(11);
	for (int i = 0; i < 300000; i++) {
		struct packet p = ipv4(17, 0, "12345678", 8, NULL, 0);
		uint16_t total = 0;
		bool known = random() % 2;
		uint32_t there = p.len - 2u + (uint32_t)random() % 5;

		for (int k = (int)random() % 3; k > 0; k--)
			p.b[random() % 20] ^= (uint8_t)(1u << random() % 8);
		if (random() % 2)
			csum_write(p.b);
		uint32_t plain = dp_ipv4_plain(p.b, there, known);
		bool full =
			p.b[0] == 0x45 && dp_ipv4_check(p.b, there, known, &total) == DP_DROP_COUNT;

		assert_int_equal(plain, full ? total : 0);
		good += plain != 0;
	}
	assert_in_range(good, 30000, 270000);
}

/* ESP in one look is what it is in many, and in UDP when the datagram fills the packet. */
static void
esp_in_one_look_agrees_with_the_long_one(void **state)
{
	unsigned int native = 0, udp = 0;

	srandom(17);
	for (int i = 0; i < 300000; i++) {
		uint16_t len = (uint16_t)(random() % 2 ? 12 : 8 + random() % 5);
		const uint8_t natt[12] = {0x11, 0x94, 0x11, 0x94, 0, (uint8_t)len, 0, 0, 1};
		struct packet p = ipv4(random() % 2 ? 50 : 17, 0, natt, len, NULL, 0);
		bool esp, esp_udp;

		p.b[8] = (uint8_t)random();
		p.b[6] = random() % 2 ? 0x40 : 0;
		for (int k = (int)random() % 3; k > 0; k--)
			p.b[(int[]){0, 6, 7, 9, 20 + random() % 12}[random() % 5]] ^=
				(uint8_t)(1u << random() % 8);
		if (p.b[0] != 0x45 && p.b[0] != 0x46)
			p.b[0] = 0x45;
		esp = dp_ipv4_is_esp(p.b);
		esp_udp = p.b[0] == 0x45 && dp_ipv4_is_esp_udp(p.b, p.len);
		native += esp;
		udp += esp_udp;
		assert_int_equal(esp, p.b[0] == 0x45 && dp_ipv4_to_us(p.b, p.len) == DP_TO_US_ESP);
		if (esp_udp || (p.b[0] == 0x45 && dp_be16(p.b + 24) == len))
			assert_int_equal(esp_udp, p.b[0] == 0x45 && dp_ipv4_to_us(p.b, p.len) ==
									    DP_TO_US_ESP_UDP);
	}
	assert_true(native > 30000 && udp > 30000);
}

/* An IPv6 packet: header, then `len` bytes that begin with a header of type `next`. */
static struct packet
ipv6(uint8_t next, const void *payload, uint16_t len)
{
	struct packet p = {.b = {0x60}, .len = (uint16_t)(40 + len)};

	dp_put_be16(p.b + 4, len);
	p.b[6] = next;
	p.b[7] = 64;
	p.b[8] = p.b[24] = 0x20;
	p.b[23] = 1;
	p.b[39] = 2;
	if (len)
		memcpy(p.b + 40, payload, len);
	return p;
}

static void
ipv6_headers_are_judged_by_version_and_length(void **state)
{
	struct packet good = ipv6(17, "12345678", 8), p;
	uint32_t total = 0;

	assert_int_equal(dp_ipv6_check(good.b, good.len, &total), DP_DROP_COUNT);
	assert_int_equal(total, 48);
	assert_int_equal(dp_ipv6_check(good.b, good.len + 6u, &total), DP_DROP_COUNT);
	assert_int_equal(total, 48);
	assert_int_equal(dp_ipv6_check(good.b, good.len - 1u, &total), DP_DROP_RUNT);
	assert_int_equal(dp_ipv6_check(good.b, 39, &total), DP_DROP_RUNT);
	for (unsigned int version = 0; version < 16; version++) {
		p = good;
		p.b[0] = (uint8_t)(version << 4);
		assert_int_equal(dp_ipv6_check(p.b, p.len, &total),
				 version == 6 ? DP_DROP_COUNT : DP_DROP_IP_HEADER);
	}
	p = ipv6(59, NULL, 0);
	assert_int_equal(dp_ipv6_check(p.b, p.len, &total), DP_DROP_COUNT);
	p = ipv6(0, NULL, 0); /* a jumbogram would look like this */
	assert_int_equal(dp_ipv6_check(p.b, 4000, &total), DP_DROP_IP_HEADER);
}

static void
ipv6_martians_are_what_no_host_may_use(void **state)
{
	static const struct {
		uint8_t a[16];
		bool martian, link_local;
	} rows[] = {
		{{0}, true, false},
		{{[15] = 1}, true, false},
		{{[15] = 2}, false, false},
		{{[14] = 1}, false, false},
		{{[0] = 0x20, [15] = 1}, false, false},
		{{[0] = 0xff, [1] = 2, [15] = 1}, true, false},
		{{[0] = 0xff}, true, false},
		{{[10] = 0xff, [11] = 0xff, [12] = 10}, true, false},
		{{[0] = 1, [10] = 0xff, [11] = 0xff, [12] = 10}, false, false},
		{{[9] = 1, [10] = 0xff, [11] = 0xff}, false, false},
		{{[10] = 0xff, [11] = 0xfe}, false, false},
		{{[0] = 0xfe, [1] = 0x80, [15] = 1}, false, true},
		{{[0] = 0xfe, [1] = 0xbf}, false, true},
		{{[0] = 0xfe, [1] = 0xc0}, false, false},
		{{[0] = 0xfe, [1] = 0x7f}, false, false},
		{{[0] = 0xfc, [1] = 0x80}, false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(dp_ipv6_martian(rows[i].a), rows[i].martian);
		assert_int_equal(dp_ipv6_link_local(rows[i].a), rows[i].link_local);
	}
}

/* Up to three extension headers and what they carry. */
struct chain {
	uint8_t type[4]; /* of each header, the last is what is carried */
	uint8_t n;	 /* extension headers */
	uint8_t units;	 /* length field of each but fragment headers */
	uint16_t frag;	 /* offset and flags of fragment headers */
	uint8_t left;	 /* segments left of routing headers */
	uint16_t port;	 /* of UDP */
	uint8_t spi;	 /* first octet of ESP, or of what is in UDP */
	enum dp_to_us want;
};

static struct packet
chained(const struct chain *c)
{
	uint8_t b[160] = {0};
	unsigned int at = 0;

	for (unsigned int i = 0; i < c->n; i++) {
		bool frag = c->type[i] == 44;

		b[at] = c->type[i + 1];
		b[at + 1] = frag ? 0 : c->units;
		if (frag)
			dp_put_be16(b + at + 2, c->frag);
		if (c->type[i] == 43)
			b[at + 3] = c->left;
		at += frag ? 8 : 8 + c->units * 8u;
	}
	if (c->type[c->n] == 17) {
		dp_put_be16(b + at + 2, c->port);
		dp_put_be16(b + at + 4, 24);
		b[at + 8] = c->spi;
	} else {
		b[at] = c->spi;
	}
	return ipv6(c->type[0], b, (uint16_t)(at + 24));
}

static void
ipv6_packets_to_us_are_sorted_behind_their_extension_headers(void **state)
{
	static const struct chain rows[] = {
		{{50}, 0, 0, 0, 0, 0, 1, DP_TO_US_ESP},
		{{58}, 0, 0, 0, 0, 0, 1, DP_TO_US_KERNEL},
		{{17}, 0, 0, 0, 0, 500, 1, DP_TO_US_KERNEL},
		{{17}, 0, 0, 0, 0, 4500, 1, DP_TO_US_ESP_UDP},
		{{17}, 0, 0, 0, 0, 4500, 0, DP_TO_US_KERNEL},
		{{0, 50}, 1, 0, 0, 0, 0, 1, DP_TO_US_ESP},
		{{60, 50}, 1, 3, 0, 0, 0, 1, DP_TO_US_ESP},
		{{0, 60, 17}, 2, 1, 0, 0, 4500, 1, DP_TO_US_ESP_UDP},
		{{43, 50}, 1, 2, 0, 0, 0, 1, DP_TO_US_ESP},
		{{43, 50}, 1, 2, 0, 1, 0, 1, DP_TO_US_BROKEN},
		{{44, 50}, 1, 0, 0, 0, 0, 1, DP_TO_US_ESP}, /* atomic: whole (RFC 6946) */
		{{44, 50}, 1, 0, 1, 0, 0, 1, DP_TO_US_ESP_FRAG},
		{{44, 50}, 1, 0, 8, 0, 0, 1, DP_TO_US_ESP_FRAG},
		{{44, 17}, 1, 0, 1, 0, 4500, 1, DP_TO_US_ESP_FRAG},
		{{44, 17}, 1, 0, 1, 0, 4500, 0, DP_TO_US_KERNEL_FRAG},
		{{44, 17}, 1, 0, 8, 0, 4500, 1, DP_TO_US_KERNEL_FRAG},	/* ports are not there */
		{{44, 60, 50}, 2, 0, 8, 0, 0, 1, DP_TO_US_KERNEL_FRAG}, /* what follows is data */
		{{0, 44, 50}, 2, 0, 1, 0, 0, 1, DP_TO_US_ESP_FRAG},
		{{44, 58}, 1, 0, 1, 0, 0, 1, DP_TO_US_KERNEL_FRAG},
		{{0, 43, 60, 6}, 3, 0, 0, 0, 0, 1, DP_TO_US_KERNEL},
	};
	uint16_t at;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet p = chained(&rows[i]);

		assert_int_equal(dp_ipv6_to_us(p.b, p.len, &at), rows[i].want);
		if (rows[i].want == DP_TO_US_ESP || rows[i].want == DP_TO_US_ESP_UDP)
			assert_int_equal(at, p.len - 24);
	}
}

static void
extension_headers_that_do_not_add_up_are_broken_at_every_cut(void **state)
{
	const struct chain c = {{0, 60, 50}, 2, 1, 0, 0, 0, 1, DP_TO_US_ESP};
	struct packet p = chained(&c);
	uint8_t many[100] = {0};
	uint16_t at;

	for (uint32_t len = 40; len <= p.len; len++)
		assert_int_equal(dp_ipv6_to_us(p.b, len, &at),
				 len < 40 + 32 ? DP_TO_US_BROKEN : DP_TO_US_ESP);
	for (unsigned int n = 1; n <= 10; n++) {
		for (unsigned int i = 0; i < n; i++)
			many[i * 8] = i + 1 < n ? 60 : 50;
		p = ipv6(60, many, (uint16_t)(n * 8 + 16));
		assert_int_equal(dp_ipv6_to_us(p.b, p.len, &at),
				 n <= 8 ? DP_TO_US_ESP : DP_TO_US_BROKEN);
	}
}

static void
an_ipv6_flow_hash_knows_addresses_label_and_ports(void **state)
{
	static const uint8_t ports[8] = {0, 80, 1, 2}, others[8] = {0, 81, 1, 2};
	struct packet a = ipv6(17, ports, 8), b = ipv6(17, others, 8), c = a, d = a, e;
	struct packet frag1 = ipv6(44, ports, 8), frag2 = ipv6(44, others, 8);
	uint32_t h = dp_ipv6_flow_hash(a.b, a.len);

	c.b[3] = 1;
	d.b[39] = 9;
	e = a;
	e.b[7] = 3; /* the hop limit is not of the flow */
	e.b[0] = 0x6f;
	assert_true(h != dp_ipv6_flow_hash(b.b, b.len));
	assert_true(h != dp_ipv6_flow_hash(c.b, c.len));
	assert_true(h != dp_ipv6_flow_hash(d.b, d.len));
	assert_int_equal(h, dp_ipv6_flow_hash(e.b, e.len));
	assert_int_equal(dp_ipv6_flow_hash(frag1.b, frag1.len),
			 dp_ipv6_flow_hash(frag2.b, frag2.len));
	assert_int_equal(dp_ipv6_flow_hash(a.b, 40), dp_ipv6_flow_hash(b.b, 40));
}

static void
an_updated_checksum_is_the_recomputed_one(void **state)
{
	srandom(7);
	for (int i = 0; i < 200000; i++) {
		uint8_t b[20];

		for (int k = 0; k < 20; k++)
			b[k] = (uint8_t)random();
		b[0] = 0x45;
		csum_write(b);
		unsigned int at = 2 + (unsigned int)random() % 4 * 2; /* neither IHL nor checksum */
		uint16_t old = dp_be16(b + at), new = (uint16_t)random();
		uint16_t updated = dp_csum_update(dp_be16(b + 10), old, new);

		dp_put_be16(b + at, new);
		csum_write(b);
		/* 0 and 0xffff are the same number in one's complement. */
		assert_int_equal(updated % 0xffff, dp_be16(b + 10) % 0xffff);
	}
}

/* RFC 1624: with every TTL and every checksum that a header can have. */
static void
a_hop_less_is_mended_as_if_summed_anew(void **state)
{
	uint8_t b[20] = {0x45, [2] = 0, 60, [9] = 17};

	srandom(13);
	for (uint32_t i = 0; i < 65536; i++) {
		dp_put_be16(b + 4, (uint16_t)i); /* the ID takes the sum through all values */
		b[8] = (uint8_t)random();
		csum_write(b);
		uint8_t was = b[8];

		assert_int_equal(dp_ttl_take(b), was > 1);
		assert_int_equal(b[8], was > 1 ? was - 1 : was);
		assert_true(dp_ipv4_csum_good(b, 20));
		assert_int_equal(dp_csum_finish(dp_csum_add(0, b, 20)), 0);
	}
}

/* Against a sum of 16-bit words, with headers of every length that are right or wrong in a bit. */
static void
a_header_checksum_is_told_as_by_words(void **state)
{
	srandom(14);
	for (int i = 0; i < 200000; i++) {
		uint32_t len = 20 + (uint32_t)random() % 11 * 4;
		uint8_t b[60];

		for (uint32_t k = 0; k < len; k++)
			b[k] = random() % 4 ? (uint8_t)random() : random() % 2 ? 0xff : 0;
		b[0] = 0x45;
		dp_put_be16(b + 10, 0);
		dp_put_be16(b + 10, dp_csum_finish(dp_csum_add(0, b, len)));
		if (random() % 2)
			b[random() % len] ^= (uint8_t)(1u << random() % 8);
		assert_int_equal(dp_ipv4_csum_good(b, len),
				 dp_csum_finish(dp_csum_add(0, b, len)) == 0);
	}
}

static void
our_addresses_are_found_and_no_others(void **state)
{
	struct dp_local_entry e[300];
	struct dp_local *l;

	for (uint32_t i = 0; i < 300; i++)
		e[i] = (struct dp_local_entry){.addr = 0x0a000000 + i * 77,
					       .iface = (uint16_t)(i + 1)};
	l = dp_local_new(e, 300, 0);
	assert_non_null(l);
	for (uint32_t a = 0; a < 300 * 77; a++)
		assert_int_equal(dp_local_find(l, 0x0a000000 + a), a % 77 ? 0 : a / 77 + 1);
	free(l);
	l = dp_local_new(NULL, 0, 0);
	assert_int_equal(dp_local_find(l, 0x0a000001), DP_NO_IFACE);
	assert_int_equal(dp_local_find(NULL, 0x0a000001), DP_NO_IFACE);
	free(l);
}

static void
our_ipv6_addresses_are_found_and_no_others(void **state)
{
	struct dp_local6_entry e[300] = {0};
	uint8_t a[16] = {0x20, 1};
	struct dp_local6 *l;

	for (uint32_t i = 0; i < 300; i++) {
		e[i].addr[0] = 0x20;
		e[i].addr[1] = 1;
		dp_put_be16(e[i].addr + (i % 2 ? 6 : 14), (uint16_t)(i * 7 + 1));
		e[i].iface = (uint16_t)(i + 1);
	}
	l = dp_local6_new(e, 300, e[3].addr);
	assert_non_null(l);
	assert_true(l->has_any);
	assert_memory_equal(l->any_v6, e[3].addr, 16);
	for (uint32_t n = 0; n < 300 * 7 + 9; n++) {
		uint32_t i = n ? (n - 1) / 7 : 0;
		bool there = n && (n - 1) % 7 == 0 && i < 300;

		for (uint32_t at = 6; at <= 14; at += 8) {
			memset(a + 2, 0, 14);
			dp_put_be16(a + at, (uint16_t)n);
			assert_int_equal(dp_local6_find(l, a),
					 there && (i % 2 ? at == 6 : at == 14) ? i + 1 : 0);
		}
	}
	free(l);
	l = dp_local6_new(NULL, 0, NULL);
	assert_false(l->has_any);
	assert_int_equal(dp_local6_find(l, a), DP_NO_IFACE);
	assert_int_equal(dp_local6_find(NULL, a), DP_NO_IFACE);
	free(l);
}

static void
tags_name_their_sub_interface(void **state)
{
	const struct dp_vlan_entry e[] = {
		{200u << 16, 4}, {0, 1}, {100u << 16 | 20, 3}, {100u << 16, 2}};
	struct dp_vlan_map *m = dp_vlan_map_new(e, 4);

	assert_int_equal(dp_vlan_find(m, 0, 0), 1);
	assert_int_equal(dp_vlan_find(m, 100, 0), 2);
	assert_int_equal(dp_vlan_find(m, 100, 20), 3);
	assert_int_equal(dp_vlan_find(m, 200, 0), 4);
	assert_int_equal(dp_vlan_find(m, 100, 21), DP_NO_IFACE);
	assert_int_equal(dp_vlan_find(m, 0, 20), DP_NO_IFACE);
	assert_int_equal(dp_vlan_find(NULL, 0, 0), DP_NO_IFACE);
	free(m);
}

static void
a_rate_lets_a_burst_through_and_then_its_pace(void **state)
{
	struct dp_rate r = dp_rate_make(1000000, 100, 10);
	uint64_t now = 5000000;
	unsigned int n = 0;

	while (dp_rate_take(&r, now))
		n++;
	assert_int_equal(n, 10);
	assert_false(dp_rate_take(&r, now + 9999));
	assert_true(dp_rate_take(&r, now + 10000));
	assert_false(dp_rate_take(&r, now + 10000));
	n = 0;
	for (uint64_t t = now + 1000000; t < now + 2000000; t += 100)
		n += dp_rate_take(&r, t);
	assert_in_range(n, 108, 110);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_judged_by_version_length_and_checksum),
		cmocka_unit_test(options_must_add_up_and_never_route),
		cmocka_unit_test(martians_are_what_no_host_may_use),
		cmocka_unit_test(packets_to_us_are_sorted),
		cmocka_unit_test(what_would_begin_an_ike_sa_is_told_from_what_belongs_to_one),
		cmocka_unit_test(what_goes_up_is_told_by_who_can_send_it),
		cmocka_unit_test(a_flow_hash_ignores_ports_of_fragments_only),
		cmocka_unit_test(the_plain_case_agrees_with_the_full_check),
		cmocka_unit_test(esp_in_one_look_agrees_with_the_long_one),
		cmocka_unit_test(ipv6_headers_are_judged_by_version_and_length),
		cmocka_unit_test(ipv6_martians_are_what_no_host_may_use),
		cmocka_unit_test(ipv6_packets_to_us_are_sorted_behind_their_extension_headers),
		cmocka_unit_test(extension_headers_that_do_not_add_up_are_broken_at_every_cut),
		cmocka_unit_test(an_ipv6_flow_hash_knows_addresses_label_and_ports),
		cmocka_unit_test(an_updated_checksum_is_the_recomputed_one),
		cmocka_unit_test(a_hop_less_is_mended_as_if_summed_anew),
		cmocka_unit_test(a_header_checksum_is_told_as_by_words),
		cmocka_unit_test(our_addresses_are_found_and_no_others),
		cmocka_unit_test(our_ipv6_addresses_are_found_and_no_others),
		cmocka_unit_test(tags_name_their_sub_interface),
		cmocka_unit_test(a_rate_lets_a_burst_through_and_then_its_pace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
