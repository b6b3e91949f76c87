/* SPDX-License-Identifier: BSD-3-Clause */
/* Traffic selectors: truth tables for single rules, a naive model on random input. */
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

static void
selectors_of_ipv6_match_no_ipv4_packet(void **state)
{
	struct spw_sa_desc sa = desc(range(0, UINT32_MAX), range(0, UINT32_MAX));
	struct dp_selector_key k = key(1, 2, 6, 1, 1);
	struct dp_selectors s;

	sa.sel_local[0].low.family = sa.sel_local[0].high.family = AF_INET6;
	memset(sa.sel_local[0].high.bytes, 0xff, 16);
	s = set(&sa);
	assert_false(s.any);
	assert_false(dp_selectors_match_out(&s, &k));
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
		cmocka_unit_test(selectors_of_ipv6_match_no_ipv4_packet),
		cmocka_unit_test(selectors_agree_with_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
