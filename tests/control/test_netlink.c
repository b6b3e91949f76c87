/* SPDX-License-Identifier: BSD-3-Clause */
/* rtnetlink messages to structures: what is taken, what is left out, what is cut short. */
#include "control/netlink.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>

static char buf[1024] __attribute__((aligned(8)));

static struct nlmsghdr *
route_message(uint8_t type, uint8_t table, uint8_t len)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(memset(buf, 0, sizeof(buf)));
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(n, sizeof(*rtm));

	n->nlmsg_type = RTM_NEWROUTE;
	rtm->rtm_family = AF_INET;
	rtm->rtm_type = type;
	rtm->rtm_table = table;
	rtm->rtm_dst_len = len;
	rtm->rtm_protocol = 186;
	return n;
}

static void
a_route_with_a_gateway_is_taken_whole(void **state)
{
	struct nlmsghdr *n = route_message(RTN_UNICAST, RT_TABLE_MAIN, 16);
	struct ctl_nl_route r;

	mnl_attr_put_u32(n, RTA_DST, inet_addr("10.100.0.0"));
	mnl_attr_put_u32(n, RTA_PRIORITY, 20);
	mnl_attr_put_u32(n, RTA_OIF, 7);
	mnl_attr_put_u32(n, RTA_GATEWAY, inet_addr("172.16.0.2"));
	assert_true(ctl_netlink_parse_route(n, &r));
	assert_int_equal(r.prefix.len, 16);
	assert_int_equal(spw_addr_get_v4(&r.prefix.addr), 0x0a640000);
	assert_int_equal(r.metric, 20);
	assert_int_equal(r.n_hops, 1);
	assert_int_equal(r.hop[0].index, 7);
	assert_int_equal(spw_addr_get_v4(&r.hop[0].gateway), 0xac100002);
}

static void
several_next_hops_keep_their_weights(void **state)
{
	struct nlmsghdr *n = route_message(RTN_UNICAST, RT_TABLE_MAIN, 0);
	struct nlattr *mp = mnl_attr_nest_start(n, RTA_MULTIPATH);
	struct ctl_nl_route r;

	for (int i = 0; i < 3; i++) {
		struct rtnexthop *nh = mnl_nlmsg_get_payload_tail(n);

		*nh = (struct rtnexthop){
			.rtnh_len = sizeof(*nh), .rtnh_ifindex = 5 + i, .rtnh_hops = (uint8_t)i};
		n->nlmsg_len += sizeof(*nh);
		if (i == 1) {
			mnl_attr_put_u32(n, RTA_GATEWAY, inet_addr("172.16.0.2"));
			nh->rtnh_len = sizeof(*nh) + 8;
		}
	}
	mnl_attr_nest_end(n, mp);
	assert_true(ctl_netlink_parse_route(n, &r));
	assert_int_equal(r.n_hops, 3);
	assert_int_equal(r.hop[0].weight, 1);
	assert_int_equal(r.hop[2].weight, 3);
	assert_int_equal(r.hop[0].gateway.family, 0);
	assert_int_equal(spw_addr_get_v4(&r.hop[1].gateway), 0xac100002);
	/* A length that lies ends the list, it is not followed. */
	((struct rtnexthop *)mnl_attr_get_payload(mp))->rtnh_len = 4;
	assert_true(ctl_netlink_parse_route(n, &r));
	assert_int_equal(r.n_hops, 0);
	((struct rtnexthop *)mnl_attr_get_payload(mp))->rtnh_len = 60000;
	assert_true(ctl_netlink_parse_route(n, &r));
	assert_int_equal(r.n_hops, 0);
}

static void
other_tables_types_and_families_are_left_out(void **state)
{
	struct ctl_nl_route r;
	struct nlmsghdr *n = route_message(RTN_LOCAL, RT_TABLE_MAIN, 32);

	assert_false(ctl_netlink_parse_route(n, &r));
	assert_false(ctl_netlink_parse_route(route_message(RTN_UNICAST, RT_TABLE_LOCAL, 8), &r));
	n = route_message(RTN_UNICAST, RT_TABLE_UNSPEC, 8);
	mnl_attr_put_u32(n, RTA_TABLE, 1000);
	assert_false(ctl_netlink_parse_route(n, &r));
	n = route_message(RTN_UNICAST, RT_TABLE_MAIN, 8);
	((struct rtmsg *)mnl_nlmsg_get_payload(n))->rtm_family = AF_BRIDGE;
	assert_false(ctl_netlink_parse_route(n, &r));
	n = route_message(RTN_UNICAST, RT_TABLE_MAIN, 8);
	((struct rtmsg *)mnl_nlmsg_get_payload(n))->rtm_src_len = 8;
	assert_false(ctl_netlink_parse_route(n, &r));
	assert_false(ctl_netlink_parse_route(route_message(RTN_UNICAST, RT_TABLE_MAIN, 33), &r));
	assert_true(ctl_netlink_parse_route(route_message(RTN_BLACKHOLE, RT_TABLE_MAIN, 8), &r));
	assert_int_equal(r.n_hops, 0);
}

static struct spw_addr
addr(const char *text)
{
	struct spw_addr a;

	assert_int_equal(spw_addr_parse(&a, text, NULL), 0);
	return a;
}

static void
put_addr(struct nlmsghdr *n, uint16_t type, const char *text)
{
	struct spw_addr a = addr(text);

	mnl_attr_put(n, type, spw_addr_len(a.family), a.bytes);
}

/* RFC 8950: without it the hop would look like the destination itself on that link. */
static void
a_hop_whose_gateway_is_of_the_other_family_is_left_out(void **state)
{
	static const uint8_t via[18] = {AF_INET6 & 0xff, AF_INET6 >> 8, 0xfe, 0x80};
	struct nlmsghdr *n = route_message(RTN_UNICAST, RT_TABLE_MAIN, 0);
	struct ctl_nl_route r;

	mnl_attr_put_u32(n, RTA_OIF, 7);
	mnl_attr_put(n, RTA_VIA, sizeof(via), via);
	assert_true(ctl_netlink_parse_route(n, &r));
	assert_int_equal(r.n_hops, 0);

	n = route_message(RTN_UNICAST, RT_TABLE_MAIN, 0);
	struct nlattr *mp = mnl_attr_nest_start(n, RTA_MULTIPATH);

	for (int i = 0; i < 2; i++) {
		struct rtnexthop *nh = mnl_nlmsg_get_payload_tail(n);

		*nh = (struct rtnexthop){.rtnh_ifindex = 5 + i};
		n->nlmsg_len += sizeof(*nh);
		if (i == 0)
			mnl_attr_put(n, RTA_VIA, sizeof(via), via);
		else
			mnl_attr_put_u32(n, RTA_GATEWAY, inet_addr("172.16.0.2"));
		nh->rtnh_len = (unsigned short)((char *)mnl_nlmsg_get_payload_tail(n) - (char *)nh);
	}
	mnl_attr_nest_end(n, mp);
	assert_true(ctl_netlink_parse_route(n, &r));
	assert_int_equal(r.n_hops, 1);
	assert_int_equal(r.hop[0].index, 6);
	assert_int_equal(spw_addr_get_v4(&r.hop[0].gateway), 0xac100002);
}

static struct nlmsghdr *
route6_message(const char *dst, uint8_t len)
{
	struct nlmsghdr *n = route_message(RTN_UNICAST, RT_TABLE_MAIN, len);

	((struct rtmsg *)mnl_nlmsg_get_payload(n))->rtm_family = AF_INET6;
	put_addr(n, RTA_DST, dst);
	mnl_attr_put_u32(n, RTA_OIF, 7);
	return n;
}

static void
ipv6_routes_are_taken_also_by_a_link_local_gateway(void **state)
{
	struct nlmsghdr *n = route6_message("2001:db8:100::", 48);
	struct spw_addr global = addr("2001:db8:1::2"), near = addr("fe80::2");
	struct ctl_nl_route r;

	put_addr(n, RTA_GATEWAY, "fe80::2");
	assert_true(ctl_netlink_parse_route(n, &r));
	assert_int_equal(r.prefix.len, 48);
	assert_int_equal(r.prefix.addr.family, AF_INET6);
	assert_true(spw_addr_equal(&r.hop[0].gateway, &near));
	n = route_message(RTN_UNICAST, RT_TABLE_MAIN, 0);
	((struct rtmsg *)mnl_nlmsg_get_payload(n))->rtm_family = AF_INET6;
	struct nlattr *mp = mnl_attr_nest_start(n, RTA_MULTIPATH);
	struct rtnexthop *nh = mnl_nlmsg_get_payload_tail(n);

	*nh = (struct rtnexthop){.rtnh_len = sizeof(*nh) + 20, .rtnh_ifindex = 5};
	n->nlmsg_len += sizeof(*nh);
	put_addr(n, RTA_GATEWAY, "2001:db8:1::2");
	mnl_attr_nest_end(n, mp);
	assert_true(ctl_netlink_parse_route(n, &r));
	assert_int_equal(r.prefix.len, 0);
	assert_int_equal(r.n_hops, 1);
	assert_true(spw_addr_equal(&r.hop[0].gateway, &global));
}

static void
what_stays_on_its_link_is_left_to_the_kernel(void **state)
{
	static const struct {
		const char *dst;
		uint8_t len;
		bool taken;
	} row[] = {{"fe80::", 64, false},     {"fe80::1", 128, false}, {"febf::", 16, false},
		   {"ff00::", 8, false},      {"fec0::", 10, true},    {"fc00::", 7, true},
		   {"2001:db8::", 129, false}};

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct ctl_nl_route r;

		if (ctl_netlink_parse_route(route6_message(row[i].dst, row[i].len), &r) !=
		    row[i].taken)
			fail_msg("%s/%u", row[i].dst, row[i].len);
	}
}

static struct nlmsghdr *
addr_message(const char *text, uint8_t len, uint32_t flags)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(memset(buf, 0, sizeof(buf)));
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(n, sizeof(*ifa));

	ifa->ifa_family = addr(text).family;
	ifa->ifa_prefixlen = len;
	ifa->ifa_index = 4;
	put_addr(n, IFA_ADDRESS, text);
	mnl_attr_put_u32(n, IFA_FLAGS, flags);
	return n;
}

static void
link_local_and_temporary_addresses_are_left_out(void **state)
{
	static const struct {
		const char *text;
		uint8_t len;
		uint32_t flags;
		bool taken;
	} row[] = {{"2001:db8:1::1", 126, IFA_F_PERMANENT, true},
		   {"2001:db8:1::1", 64, IFA_F_TEMPORARY, false},
		   {"2001:db8:1::1", 129, 0, false},
		   {"fe80::1", 64, IFA_F_PERMANENT, false},
		   /* The same bit is "secondary" of IPv4. */
		   {"192.0.2.2", 24, IFA_F_SECONDARY, true},
		   {"169.254.21.2", 30, 0, true},
		   {"192.0.2.2", 33, 0, false}};

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct ctl_nl_addr a;

		if (ctl_netlink_parse_addr(addr_message(row[i].text, row[i].len, row[i].flags),
					   &a) != row[i].taken)
			fail_msg("row %u", i);
	}
}

static void
carrier_needs_the_administrator_and_the_lower_layer(void **state)
{
	static const struct {
		unsigned int flags;
		bool carrier;
	} row[] = {{0, false}, {IFF_UP, false}, {0x10000, false}, {IFF_UP | 0x10000, true}};

	for (unsigned int i = 0; i < 4; i++) {
		struct nlmsghdr *n = mnl_nlmsg_put_header(memset(buf, 0, sizeof(buf)));
		struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(n, sizeof(*ifi));
		struct ctl_nl_link l;

		ifi->ifi_index = 3;
		ifi->ifi_flags = row[i].flags;
		assert_false(ctl_netlink_parse_link(n, &l)); /* no name */
		mnl_attr_put_strz(n, IFLA_IFNAME, "p-er");
		assert_true(ctl_netlink_parse_link(n, &l));
		assert_int_equal(l.carrier, row[i].carrier);
		assert_string_equal(l.name, "p-er");
	}
}

static void
a_neighbour_may_have_no_mac(void **state)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(memset(buf, 0, sizeof(buf)));
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(n, sizeof(*ndm));
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct ctl_nl_neigh g;

	ndm->ndm_family = AF_INET;
	ndm->ndm_ifindex = 4;
	ndm->ndm_state = NUD_INCOMPLETE;
	assert_false(ctl_netlink_parse_neigh(n, &g)); /* no address */
	mnl_attr_put_u32(n, NDA_DST, inet_addr("172.16.0.2"));
	assert_true(ctl_netlink_parse_neigh(n, &g));
	assert_false(g.has_mac);
	mnl_attr_put(n, NDA_LLADDR, 6, mac);
	assert_true(ctl_netlink_parse_neigh(n, &g));
	assert_true(g.has_mac);
	assert_memory_equal(g.mac, mac, 6);
}

static void
multicast_neighbours_are_left_out_and_link_local_ones_are_told(void **state)
{
	static const struct {
		const char *text;
		bool taken;
	} row[] = {
		{"ff02::1", false}, {"fe80::2", true}, {"2001:db8::2", true}, {"224.0.0.5", false}};

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct nlmsghdr *n = mnl_nlmsg_put_header(memset(buf, 0, sizeof(buf)));
		struct ndmsg *ndm = mnl_nlmsg_put_extra_header(n, sizeof(*ndm));
		struct ctl_nl_neigh g;

		ndm->ndm_family = addr(row[i].text).family;
		put_addr(n, NDA_DST, row[i].text);
		if (ctl_netlink_parse_neigh(n, &g) != row[i].taken)
			fail_msg("%s", row[i].text);
	}
}

static void
messages_cut_anywhere_are_refused_or_read_within_their_length(void **state)
{
	struct nlmsghdr *n = route_message(RTN_UNICAST, RT_TABLE_MAIN, 16);
	struct ctl_nl_route r;
	struct ctl_nl_link l;
	struct ctl_nl_neigh g;
	struct ctl_nl_addr a;

	mnl_attr_put_u32(n, RTA_DST, inet_addr("10.100.0.0"));
	mnl_attr_put_u32(n, RTA_OIF, 7);
	mnl_attr_put_u32(n, RTA_GATEWAY, inet_addr("172.16.0.2"));
	for (uint32_t len = n->nlmsg_len; len >= NLMSG_HDRLEN; len--) {
		char *copy = malloc(len); /* the sanitizer watches its end */
		struct nlmsghdr *m = memcpy(copy, n, len);

		m->nlmsg_len = len;
		ctl_netlink_parse_route(m, &r);
		ctl_netlink_parse_link(m, &l);
		ctl_netlink_parse_neigh(m, &g);
		ctl_netlink_parse_addr(m, &a);
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_with_a_gateway_is_taken_whole),
		cmocka_unit_test(several_next_hops_keep_their_weights),
		cmocka_unit_test(other_tables_types_and_families_are_left_out),
		cmocka_unit_test(carrier_needs_the_administrator_and_the_lower_layer),
		cmocka_unit_test(a_neighbour_may_have_no_mac),
		cmocka_unit_test(a_hop_whose_gateway_is_of_the_other_family_is_left_out),
		cmocka_unit_test(ipv6_routes_are_taken_also_by_a_link_local_gateway),
		cmocka_unit_test(what_stays_on_its_link_is_left_to_the_kernel),
		cmocka_unit_test(link_local_and_temporary_addresses_are_left_out),
		cmocka_unit_test(multicast_neighbours_are_left_out_and_link_local_ones_are_told),
		cmocka_unit_test(messages_cut_anywhere_are_refused_or_read_within_their_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
