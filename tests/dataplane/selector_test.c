/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic selectors (ESP-35, ESP-45): truth tables for single rules, a naive model on random input,
 * packets byte by byte for what is read from them.
 */
#include "dataplane/selector.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#define LAN  0x0a010000u /* 10.1.0.0/16 */
#define VNET 0x0a020000u

static struct spw_selector
range(uint32_t low, uint32_t high)
{
	return (struct spw_selector){
		.low = spw_addr_v4(low), .high = spw_addr_v4(high), .port_high = 65535};
}

static struct spw_sa_desc
desc(struct spw_selector local, struct spw_selector remote)
{
	return (struct spw_sa_desc){
		.n_local = 1, .n_remote = 1, .sel_local = {local}, .sel_remote = {remote}};
}

static struct dp_selectors
set(const struct spw_sa_desc *sa)
{
	struct dp_selectors s;

	assert_int_equal(dp_selectors_set(&s, sa, NULL), 0);
	return s;
}

static struct dp_selector_key
key(uint32_t src, uint32_t dst, uint8_t protocol, uint16_t sport, uint16_t dport)
{
	return (struct dp_selector_key){.src = src,
					.dst = dst,
					.protocol = protocol,
					.src_port = sport,
					.dst_port = dport,
					.has_ports = protocol == IPPROTO_TCP};
}

static void
selectors_any_to_any_need_no_look(void **state)
{
	struct spw_sa_desc sa = desc(range(0, UINT32_MAX), range(0, UINT32_MAX));

	assert_true(set(&sa).any);
	sa.sel_local[0].protocol = IPPROTO_TCP;
	assert_false(set(&sa).any);
	sa = desc(range(0, UINT32_MAX), range(1, UINT32_MAX));
	assert_false(set(&sa).any);
}

static void
selectors_include_both_ends_of_a_range(void **state)
{
	struct spw_sa_desc sa = desc(range(LAN, LAN + 0xffff), range(VNET, VNET + 0xffff));
	struct dp_selectors s = set(&sa);
	static const struct {
		uint32_t src, dst;
		bool out;
	} rows[] = {
		{LAN, VNET, true},	{LAN + 0xffff, VNET + 0xffff, true},
		{LAN - 1, VNET, false}, {LAN + 0x10000, VNET, true && false},
		{LAN, VNET - 1, false}, {LAN, VNET + 0x10000, false},
		{VNET, LAN, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_selector_key k = key(rows[i].src, rows[i].dst, 1, 0, 0);
		struct dp_selector_key back = key(rows[i].dst, rows[i].src, 1, 0, 0);

		assert_int_equal(dp_selectors_match_out(&s, &k), rows[i].out);
		assert_int_equal(dp_selectors_match_in(&s, &back), rows[i].out);
	}
}

static void
selectors_compare_ports_on_their_own_side(void **state)
{
	struct spw_sa_desc sa = desc(range(0, UINT32_MAX), range(0, UINT32_MAX));
	struct dp_selectors s;
	struct dp_selector_key k;

	sa.sel_remote[0].protocol = IPPROTO_TCP;
	sa.sel_remote[0].port_low = 443;
	sa.sel_remote[0].port_high = 445;
	s = set(&sa);
	k = key(1, 2, IPPROTO_TCP, 50000, 444);
	assert_true(dp_selectors_match_out(&s, &k));
	assert_false(dp_selectors_match_in(&s, &k));
	k = key(1, 2, IPPROTO_TCP, 445, 50000);
	assert_false(dp_selectors_match_out(&s, &k));
	assert_true(dp_selectors_match_in(&s, &k));
	k = key(1, 2, IPPROTO_TCP, 50000, 446);
	assert_false(dp_selectors_match_out(&s, &k));
	k = key(1, 2, IPPROTO_UDP, 50000, 444);
	assert_false(dp_selectors_match_out(&s, &k));
}

static void
selectors_with_ports_refuse_packets_that_show_none(void **state)
{
	struct spw_sa_desc sa = desc(range(0, UINT32_MAX), range(0, UINT32_MAX));
	struct dp_selector_key k = key(1, 2, IPPROTO_TCP, 0, 0);
	struct dp_selectors s;

	sa.sel_remote[0].protocol = IPPROTO_TCP;
	s = set(&sa);
	k.has_ports = false;
	assert_true(dp_selectors_match_out(&s, &k));
	sa.sel_remote[0].port_high = 100;
	s = set(&sa);
	assert_false(dp_selectors_match_out(&s, &k));
}

static void
selector_key_of_a_later_fragment_has_no_ports(void **state)
{
	uint8_t ip[28] = {0x45, 0, 0, 28, 0,  1, 0, 0, 64,   17,   0,	 0,
			  10,	1, 0, 1,  10, 2, 0, 2, 0x12, 0x34, 0x56, 0x78};
	struct dp_selector_key k;

	dp_selector_key_read(&k, ip, sizeof(ip));
	assert_true(k.has_ports);
	assert_int_equal(k.src, 0x0a010001);
	assert_int_equal(k.dst, 0x0a020002);
	assert_int_equal(k.src_port, 0x1234);
	assert_int_equal(k.dst_port, 0x5678);
	ip[6] = 0x20; /* first fragment: ports are there */
	dp_selector_key_read(&k, ip, sizeof(ip));
	assert_true(k.has_ports);
	ip[7] = 1;
	dp_selector_key_read(&k, ip, sizeof(ip));
	assert_false(k.has_ports);
	ip[6] = ip[7] = 0;
	dp_selector_key_read(&k, ip, 23);
	assert_false(k.has_ports);
	ip[9] = 1; /* ICMP: type and code on both sides */
	dp_selector_key_read(&k, ip, sizeof(ip));
	assert_int_equal(k.src_port, 0x1234);
	assert_int_equal(k.dst_port, 0x1234);
	ip[9] = 47;
	dp_selector_key_read(&k, ip, sizeof(ip));
	assert_false(k.has_ports);
}

static void
selectors_refuse_broken_ranges(void **state)
{
	struct spw_sa_desc sa = desc(range(2, 1), range(0, 1));
	struct dp_selectors s;
	struct spw_err err = {0};

	assert_int_equal(dp_selectors_set(&s, &sa, &err), -EINVAL);
	assert_string_equal(err.text, "sa: local selector 1 is not a range of one address family");
	sa = desc(range(1, 2), range(0, 1));
	sa.sel_remote[0].port_low = 9;
	sa.sel_remote[0].port_high = 8;
	assert_int_equal(dp_selectors_set(&s, &sa, &err), -EINVAL);
	sa = desc(range(1, 2), range(0, 1));
	sa.sel_remote[0].high.family = AF_INET6;
	assert_int_equal(dp_selectors_set(&s, &sa, &err), -EINVAL);
	sa = desc(range(1, 2), range(0, 1));
	sa.n_local = 0;
	assert_int_equal(dp_selectors_set(&s, &sa, &err), -EINVAL);
	sa.n_local = SPW_SA_SELECTORS + 1;
	assert_int_equal(dp_selectors_set(&s, &sa, &err), -EINVAL);
}

static struct spw_addr
addr6(const char *text)
{
	struct spw_addr a;

	assert_int_equal(spw_addr_parse(&a, text, NULL), 0);
	return a;
}

static struct spw_selector
range6(const char *low, const char *high)
{
	return (struct spw_selector){.low = addr6(low), .high = addr6(high), .port_high = 65535};
}

static dp_u128
number6(const char *text)
{
	struct spw_addr a = addr6(text);
	dp_u128 n = 0;

	for (int i = 0; i < 16; i++)
		n = n << 8 | a.bytes[i];
	return n;
}

static struct spw_selector
all6(void)
{
	return range6("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void
selectors_of_one_family_match_no_packet_of_the_other(void **state)
{
	struct spw_sa_desc sa4 = desc(range(0, UINT32_MAX), range(0, UINT32_MAX));
	struct spw_sa_desc sa6 = desc(all6(), all6()), mixed = desc(all6(), range(0, UINT32_MAX));
	struct dp_selectors s4 = set(&sa4), s6 = set(&sa6), s = set(&mixed);
	struct dp_selector_key k = key(1, 2, 6, 1, 1), k6 = k;

	k6.ipv6 = true;
	assert_true(s4.any && !s4.any6 && s6.any6 && !s6.any && !s.any && !s.any6);
	assert_int_equal(dp_selectors_pass(&s4), 1);
	assert_int_equal(dp_selectors_pass(&s6), 2);
	assert_int_equal(dp_selectors_pass(&s), 0);
	for (uint8_t pass = 0; pass < 4; pass++) {
		assert_int_equal(dp_selectors_passes(pass, (const uint8_t[]){0x45}), pass & 1);
		assert_int_equal(dp_selectors_passes(pass, (const uint8_t[]){0x6f}), pass >> 1);
	}
	assert_true(dp_selectors_match_out(&s4, &k) && !dp_selectors_match_out(&s4, &k6));
	assert_true(dp_selectors_match_in(&s6, &k6) && !dp_selectors_match_in(&s6, &k));
	assert_false(dp_selectors_match_out(&s, &k) || dp_selectors_match_out(&s, &k6));
}

static void
selectors_of_both_families_hold_in_one_sa(void **state)
{
	struct spw_sa_desc sa = desc(all6(), all6());
	struct dp_selectors s;

	sa.n_local = sa.n_remote = 2; /* families in either order */
	sa.sel_local[1] = range(LAN, LAN + 9);
	sa.sel_remote[1] = all6();
	sa.sel_remote[0] = range(VNET, VNET + 9);
	s = set(&sa);
	assert_true(s.any6);
	assert_false(s.any);
	for (uint32_t at = 0; at < 20; at++) {
		struct dp_selector_key k = key(LAN + at, VNET, 6, 1, 1);

		assert_int_equal(dp_selectors_match_out(&s, &k), at < 10);
	}
}

static void
selectors_compare_all_128_bits(void **state)
{
	struct spw_sa_desc sa = desc(range6("fd00:1::", "fd00:1:ffff:ffff:ffff:ffff:ffff:ffff"),
				     range6("fd00:2::5", "fd00:2:0:1::4"));
	struct dp_selectors s = set(&sa);
	static const struct {
		const char *src, *dst;
		bool out;
	} rows[] = {
		{"fd00:1::", "fd00:2::5", true},
		{"fd00:1:ffff:ffff:ffff:ffff:ffff:ffff", "fd00:2:0:1::4", true},
		{"fd00:1::1", "fd00:2::ffff:ffff:ffff:ffff", true},
		{"fd00:0:ffff:ffff:ffff:ffff:ffff:ffff", "fd00:2::5", false},
		{"fd00:2::", "fd00:2::5", false},
		{"fd00:1::1", "fd00:2::4", false},
		{"fd00:1::1", "fd00:2:0:1::5", false},
		{"fd00:1::1", "fd00:3::", false},
		{"::", "fd00:2::5", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_selector_key k = {.src = number6(rows[i].src),
					    .dst = number6(rows[i].dst),
					    .protocol = 17,
					    .ipv6 = true};
		struct dp_selector_key back = {
			.src = k.dst, .dst = k.src, .protocol = 17, .ipv6 = true};

		assert_int_equal(dp_selectors_match_out(&s, &k), rows[i].out);
		assert_int_equal(dp_selectors_match_in(&s, &back), rows[i].out);
	}
}

/* Ports by kind of selector: shown, hidden, and one number on the sender's or receiver's side. */
static void
selector_ports_follow_any_range_and_opaque(void **state)
{
	enum { SHOWN, HIDDEN, TYPE };
	static const struct {
		uint16_t low, high; /* of the side looked at, the other is ANY */
		bool local;	    /* that side */
		int packet;
		bool out, in;
	} rows[] = {
		{0, 65535, true, SHOWN, true, true},
		{0, 65535, true, HIDDEN, true, true},
		{0, 65535, true, TYPE, true, true},
		{7, 7, true, SHOWN, true, true},
		{7, 7, true, HIDDEN, false, false},
		{8, 9, true, SHOWN, false, false},
		{0, 65534, true, HIDDEN, false, false},
		{65535, 0, true, SHOWN, false, false},
		{65535, 0, true, HIDDEN, true, true},
		{65535, 0, false, HIDDEN, true, true},
		{65535, 0, false, SHOWN, false, false},
		/* a message type: the sender's side says no, the receiver's side does not care */
		{65535, 0, true, TYPE, false, true},
		{65535, 0, false, TYPE, true, false},
		{7, 7, true, TYPE, true, true},
		{8, 8, true, TYPE, false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct spw_sa_desc sa = desc(range(0, UINT32_MAX), range(0, UINT32_MAX));
		struct spw_selector *side = rows[i].local ? sa.sel_local : sa.sel_remote;
		struct dp_selector_key k = key(1, 2, IPPROTO_TCP, 7, 7);
		struct dp_selectors s;

		side->port_low = rows[i].low;
		side->port_high = rows[i].high;
		k.has_ports = rows[i].packet != HIDDEN;
		k.one_value = rows[i].packet == TYPE;
		s = set(&sa);
		assert_int_equal(dp_selectors_match_out(&s, &k), rows[i].out);
		assert_int_equal(dp_selectors_match_in(&s, &k), rows[i].in);
	}
}

/* An IPv6 packet of these bytes behind the header. Returns its length. */
static uint32_t
packet6(uint8_t *ip, uint8_t next, const void *rest, uint32_t n)
{
	memset(ip, 0, 40);
	ip[0] = 0x60;
	ip[5] = (uint8_t)n;
	ip[6] = next;
	memcpy(ip + 8, addr6("fd00:1::1").bytes, 16);
	memcpy(ip + 24, addr6("fd00:2::2").bytes, 16);
	if (n != 0)
		memcpy(ip + 40, rest, n);
	return 40 + n;
}

static void
selector_key_is_read_behind_extension_headers(void **state)
{
	static const struct {
		uint8_t next;
		uint8_t n;
		uint8_t rest[40];
		uint8_t protocol;
		bool has_ports;
		uint16_t src_port;
	} rows[] = {
		{17, 8, {0x12, 0x34}, 17, true, 0x1234},
		{17, 3, {0x12, 0x34}, 17, false, 0},
		{0, 16, {17, 0, 1, 4, 0, 0, 0, 0, 0x12, 0x34}, 17, true, 0x1234},
		{0, 24, {17, 1, [16] = 0x12, 0x34}, 17, true, 0x1234},
		{0, 32, {43, 0, [8] = 60, 0, [16] = 6, 0, [24] = 0x12, 0x34}, 6, true, 0x1234},
		{0, 8, {17, 1}, 0, false, 0}, /* runs beyond the packet: hidden */
		{0, 7, {17, 0}, 0, false, 0},
		{44, 16, {17, 0, 0, 1, [8] = 0x12, 0x34}, 17, true, 0x1234}, /* first */
		{44, 16, {17, 0, 0, 9, [8] = 0x12, 0x34}, 17, false, 0},     /* later */
		{44, 16, {60, 0, 0, 8, [8] = 17, 0}, 0, false, 0},	     /* hides even that */
		{44, 24, {60, 0, 0, 0, [8] = 17, 0, [16] = 0x12, 0x34}, 17, true, 0x1234},
		{50, 8, {0x12, 0x34}, 50, false, 0},
		{51, 8, {17, 0}, 51, false, 0}, /* AH is an upper layer here */
		{58, 8, {128, 1}, 58, true, 0x8001},
		{1, 8, {8, 0}, 1, false, 0}, /* ICMP of the other family */
		{135, 8, {59, 0, 5}, 135, true, 0x0500},
		{59, 0, {0}, 59, false, 0},
		{47, 8, {0}, 47, false, 0},
	};
	uint8_t ip[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_selector_key k;

		dp_selector_key_read(&k, ip, packet6(ip, rows[i].next, rows[i].rest, rows[i].n));
		assert_true(k.ipv6);
		assert_true(k.src == number6("fd00:1::1") && k.dst == number6("fd00:2::2"));
		assert_int_equal(k.protocol, rows[i].protocol);
		assert_int_equal(k.has_ports, rows[i].has_ports);
		assert_int_equal(k.src_port, rows[i].src_port);
	}
}

static void
selector_key_stays_within_any_packet(void **state)
{
	uint8_t *exact;

	srand(11);
	for (int i = 0; i < 200000; i++) {
		uint32_t len = 40 + (uint32_t)rand() % 60;
		struct dp_selector_key k;

		exact = malloc(len); /* a sanitizer sees one byte too far */
		for (uint32_t j = 0; j < len; j++)
			exact[j] = (uint8_t)(rand() % 4 ? rand() % 64 : rand());
		exact[0] = (uint8_t)(rand() % 2 ? 0x60 : 0x45 + rand() % 5);
		if (rand() % 2)
			exact[exact[0] >> 4 == 6 ? 6 : 9] = (uint8_t)(rand() % 2 ? 44 : 0);
		dp_selector_key_read(&k, exact, len);
		assert_true(k.quote == NULL || k.quote + k.quote_len == exact + len);
		assert_true(k.has_ports || (k.src_port == 0 && k.dst_port == 0));
		free(exact);
	}
}

/* An ICMP error of type `type` from `from` to `to` that quotes UDP `q_src` to `q_dst`. */
static uint32_t
error4(uint8_t *ip, uint8_t type, uint32_t from, uint32_t to, uint32_t q_src, uint32_t q_dst,
       uint8_t q_protocol)
{
	uint8_t *q = ip + 28;

	memset(ip, 0, 56);
	ip[0] = q[0] = 0x45;
	ip[9] = 1;
	q[9] = q_protocol;
	ip[20] = type;
	spw_put_be32(ip + 12, from);
	spw_put_be32(ip + 16, to);
	spw_put_be32(q + 12, q_src);
	spw_put_be32(q + 16, q_dst);
	spw_put_be16(q + 20, q_protocol == 1 ? 0x0301 : 500);
	spw_put_be16(q + 22, 53);
	return 56;
}

#define ROUTER 0xc0a80001u /* in no selector */

static void
esp_45_transit_errors_match_by_what_they_quote(void **state)
{
	struct spw_sa_desc sa = desc(range(LAN, LAN + 0xffff), range(VNET, VNET + 0xffff));
	static const struct {
		const char *what;
		uint8_t type;
		uint32_t from, to, q_src, q_dst;
		uint8_t q_protocol;
		bool out, in;
	} rows[] = {
		/* a router on our side about a packet that came from the vnet */
		{"time exceeded", 11, ROUTER, VNET + 1, VNET + 1, LAN + 1, 17, true, false},
		{"too big", 3, ROUTER, VNET + 1, VNET + 1, LAN + 1, 17, true, false},
		{"parameter", 12, ROUTER, VNET + 1, VNET + 1, LAN + 1, 17, true, false},
		/* a router on the peer's side about a packet of ours */
		{"inbound", 11, ROUTER, LAN + 1, LAN + 1, VNET + 1, 17, false, true},
		{"not the sender of it", 11, ROUTER, VNET + 2, VNET + 1, LAN + 1, 17, false, false},
		{"the same way", 11, ROUTER, LAN + 1, VNET + 1, LAN + 1, 17, false, false},
		{"quotes strangers", 11, ROUTER, ROUTER + 1, ROUTER + 1, LAN, 17, false, false},
		{"receiver outside", 11, ROUTER, VNET + 1, VNET + 1, ROUTER, 17, false, false},
		{"redirect", 5, ROUTER, VNET + 1, VNET + 1, LAN + 1, 17, false, false},
		{"echo reply", 0, ROUTER, VNET + 1, VNET + 1, LAN + 1, 17, false, false},
		{"about an error", 11, ROUTER, VNET + 1, VNET + 1, LAN + 1, 1, false, false},
		{"plain match", 3, LAN + 5, VNET + 1, ROUTER, ROUTER, 17, true, false},
	};
	struct dp_selectors s = set(&sa);
	struct dp_selector_key k;
	uint8_t ip[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t len = error4(ip, rows[i].type, rows[i].from, rows[i].to, rows[i].q_src,
				      rows[i].q_dst, rows[i].q_protocol);

		dp_selector_key_read(&k, ip, len);
		if (dp_selectors_match_out(&s, &k) != rows[i].out ||
		    dp_selectors_match_in(&s, &k) != rows[i].in)
			fail_msg("%s", rows[i].what);
	}
	/* cut anywhere inside the quoted header, nothing is granted; ports are not asked for here
	 */
	for (uint32_t len = 20; len <= 56; len++) {
		error4(ip, 11, ROUTER, VNET + 1, VNET + 1, LAN + 1, 17);
		dp_selector_key_read(&k, ip, len);
		assert_int_equal(dp_selectors_match_out(&s, &k), len >= 48);
	}
}

static void
esp_45_quoted_ports_count_reversed(void **state)
{
	struct spw_sa_desc sa = desc(range(LAN, LAN + 0xffff), range(VNET, VNET + 0xffff));
	struct dp_selector_key k;
	struct dp_selectors s;
	uint8_t ip[64];
	uint32_t len;

	sa.sel_local[0].protocol = sa.sel_remote[0].protocol = IPPROTO_UDP;
	sa.sel_local[0].port_low = sa.sel_local[0].port_high = 53; /* a server on our side */
	s = set(&sa);
	len = error4(ip, 3, ROUTER, VNET + 1, VNET + 1, LAN + 1, 17); /* from 500 to 53 */
	dp_selector_key_read(&k, ip, len);
	assert_true(dp_selectors_match_out(&s, &k));
	spw_put_be16(ip + 50, 54);
	assert_false(dp_selectors_match_out(&s, &k));
	spw_put_be16(ip + 50, 53);
	ip[28 + 6] = 0x20;
	ip[28 + 7] = 1; /* a later fragment is quoted: no ports to be seen */
	assert_false(dp_selectors_match_out(&s, &k));
}

static void
esp_45_transit_errors_match_in_ipv6_too(void **state)
{
	struct spw_sa_desc sa =
		desc(range6("fd00:1::", "fd00:1::ffff"), range6("fd00:2::", "fd00:2::ffff"));
	struct dp_selectors s = set(&sa);
	uint8_t icmp[8 + 40 + 8 + 8] = {0}, ip[160];
	static const struct {
		uint8_t type;
		bool out;
	} rows[] = {{0, false}, {1, true},  {2, true},	  {3, true},
		    {4, true},	{5, false}, {128, false}, {137, false}};

	packet6(icmp + 8, 0, NULL, 0); /* fd00:1::1 to fd00:2::2, hop-by-hop, UDP */
	icmp[8 + 40] = 17;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_selector_key k;
		uint32_t len;

		icmp[0] = rows[i].type;
		len = packet6(ip, 58, icmp, sizeof(icmp));
		memcpy(ip + 8, addr6("2001:db8::1").bytes, 16); /* a router */
		memcpy(ip + 24, addr6("fd00:1::1").bytes, 16);
		dp_selector_key_read(&k, ip, len);
		assert_false(dp_selectors_match_out(&s, &k));
		assert_int_equal(dp_selectors_match_in(&s, &k), rows[i].out);
		ip[48] = 0x45; /* what is quoted is no IPv6 packet */
		assert_false(dp_selectors_match_in(&s, &k));
	}
}

/* The definition: some pair (local, remote) of which both match. */
static bool
model_out(const struct spw_sa_desc *sa, const struct dp_selector_key *k)
{
	for (uint32_t l = 0; l < sa->n_local; l++)
		for (uint32_t r = 0; r < sa->n_remote; r++) {
			const struct spw_selector *a = &sa->sel_local[l], *b = &sa->sel_remote[r];

			if (k->src >= spw_addr_get_v4(&a->low) &&
			    k->src <= spw_addr_get_v4(&a->high) &&
			    k->dst >= spw_addr_get_v4(&b->low) &&
			    k->dst <= spw_addr_get_v4(&b->high) &&
			    (!a->protocol || a->protocol == k->protocol) &&
			    (!b->protocol || b->protocol == k->protocol) &&
			    k->src_port >= a->port_low && k->src_port <= a->port_high &&
			    k->dst_port >= b->port_low && k->dst_port <= b->port_high)
				return true;
		}
	return false;
}

static struct spw_selector
random_selector(void)
{
	uint32_t low = (uint32_t)rand() % 16;
	struct spw_selector s = range(low, low + (uint32_t)rand() % 8);

	if (rand() % 2)
		s.protocol = rand() % 2 ? IPPROTO_TCP : IPPROTO_UDP;
	if (rand() % 2) {
		s.port_low = (uint16_t)(rand() % 8);
		s.port_high = s.port_low + (uint16_t)(rand() % 8);
	}
	return s;
}

static void
selectors_agree_with_model(void **state)
{
	unsigned int matched = 0;

	srand(7);
	for (int i = 0; i < 20000; i++) {
		struct spw_sa_desc sa = {.n_local = 1 + (uint32_t)rand() % 8,
					 .n_remote = 1 + (uint32_t)rand() % 8};
		struct dp_selector_key k = key((uint32_t)rand() % 24, (uint32_t)rand() % 24,
					       rand() % 2 ? IPPROTO_TCP : IPPROTO_UDP,
					       (uint16_t)(rand() % 16), (uint16_t)(rand() % 16));
		struct dp_selectors s;

		k.has_ports = true;
		for (int j = 0; j < 8; j++) {
			sa.sel_local[j] = random_selector();
			sa.sel_remote[j] = random_selector();
		}
		s = set(&sa);
		assert_int_equal(dp_selectors_match_out(&s, &k), model_out(&sa, &k));
		matched += model_out(&sa, &k);
	}
	assert_true(matched > 1000 && matched < 19000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selectors_any_to_any_need_no_look),
		cmocka_unit_test(selectors_include_both_ends_of_a_range),
		cmocka_unit_test(selectors_compare_ports_on_their_own_side),
		cmocka_unit_test(selectors_with_ports_refuse_packets_that_show_none),
		cmocka_unit_test(selector_key_of_a_later_fragment_has_no_ports),
		cmocka_unit_test(selectors_refuse_broken_ranges),
		cmocka_unit_test(selectors_of_one_family_match_no_packet_of_the_other),
		cmocka_unit_test(selectors_of_both_families_hold_in_one_sa),
		cmocka_unit_test(selectors_compare_all_128_bits),
		cmocka_unit_test(selector_ports_follow_any_range_and_opaque),
		cmocka_unit_test(selector_key_is_read_behind_extension_headers),
		cmocka_unit_test(selector_key_stays_within_any_packet),
		cmocka_unit_test(esp_45_transit_errors_match_by_what_they_quote),
		cmocka_unit_test(esp_45_quoted_ports_count_reversed),
		cmocka_unit_test(esp_45_transit_errors_match_in_ipv6_too),
		cmocka_unit_test(selectors_agree_with_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
