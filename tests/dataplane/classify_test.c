/* SPDX-License-Identifier: BSD-3-Clause */
/* What a received IPv4 packet is: truth tables over headers. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/checksum.h"
#include "dataplane/classify.h"
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

static void
a_flow_hash_ignores_ports_of_fragments_only(void **state)
{
	struct packet a = udp(0, 1, "x", 1, -1), b = udp(0, 2, "x", 1, -1);
	struct packet first = udp(0x2000, 1, "x", 1, -1), later = udp(0x0100, 9, "y", 1, -1);

	assert_true(dp_ipv4_flow_hash(a.b, a.len) != dp_ipv4_flow_hash(b.b, b.len));
	assert_int_equal(dp_ipv4_flow_hash(first.b, first.len),
			 dp_ipv4_flow_hash(later.b, later.len));
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
		cmocka_unit_test(a_flow_hash_ignores_ports_of_fragments_only),
		cmocka_unit_test(an_updated_checksum_is_the_recomputed_one),
		cmocka_unit_test(our_addresses_are_found_and_no_others),
		cmocka_unit_test(tags_name_their_sub_interface),
		cmocka_unit_test(a_rate_lets_a_burst_through_and_then_its_pace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
