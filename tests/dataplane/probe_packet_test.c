/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of probes against bytes made by another implementation (scapy), and refusals. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/probe_packet.h"

#define COOKIE UINT64_C(0x1122334455667788)
#define TAG    0x1234
#define PORT   0xf123
#define SEQ    0x15678

static struct spw_addr
addr(const char *text)
{
	struct spw_addr a;
	struct spw_err err;

	assert_int_equal(spw_addr_parse(&a, text, &err), 0);
	return a;
}

static struct spw_dp_probe
conf_of(uint32_t kind, bool v6, uint16_t size, uint8_t dscp)
{
	return (struct spw_dp_probe){.kind = kind,
				     .size = size,
				     .dscp = dscp,
				     .port = 862,
				     .source = addr(v6 ? "2001:db8::1" : "192.0.2.1"),
				     .target = addr(v6 ? "2001:db8:9::9" : "198.51.100.9")};
}

static uint32_t
unhex(uint8_t *out, const char *hex)
{
	uint32_t n = 0;

	for (; hex[2 * n]; n++) {
		unsigned int byte;

		assert_int_equal(sscanf(hex + 2 * n, "%2x", &byte), 1);
		out[n] = (uint8_t)byte;
	}
	return n;
}

static void
built_packets_are_what_another_implementation_builds(void **state)
{
	static const struct {
		uint32_t kind;
		bool v6;
		uint8_t dscp;
		const char *want;
	} table[] = {
		{SPW_PROBE_ICMP, false, 46,
		 "45b800400000400040014dc7c0000201c63364090800e6581234567811223344"
		 "55667788101112131415161718191a1b1c1d1e1f202122232425262728292a2b"},
		{SPW_PROBE_ICMP, true, 46,
		 "6b80000000183a4020010db800000000000000000000000120010db800090000"
		 "000000000000000980005dd61234567811223344556677881011121314151617"},
		{SPW_PROBE_TWAMP, false, 0,
		 "4500004000004000ff118f6ec0000201c6336409f123035e002ca70600015678"
		 "1122334455667788100100000000000000000000000000000000000000000000"},
		{SPW_PROBE_TWAMP, true, 0,
		 "60000000001811ff20010db800000000000000000000000120010db800090000"
		 "0000000000000009f123035e001837e800015678112233445566778810010000"},
	};

	for (size_t i = 0; i < 4; i++) {
		struct spw_dp_probe c = conf_of(table[i].kind, table[i].v6, 64, table[i].dscp);
		uint8_t want[64], got[64];

		assert_int_equal(unhex(want, table[i].want), 64);
		dp_probe_build(got, &c, c.kind == SPW_PROBE_TWAMP ? PORT : TAG, SEQ, COOKIE);
		assert_memory_equal(got, want, 64);
	}
}

/* One's complement sum over a whole packet's upper layer, the slow and plain way. */
static uint16_t
plain_sum(const uint8_t *ip, uint32_t len, uint8_t protocol)
{
	uint32_t hdr = ip[0] >> 4 == 6 ? 40 : 20, sum = 0;

	if (protocol != 1) {
		for (uint32_t i = hdr == 40 ? 8 : 12; i < hdr; i++)
			sum += (uint32_t)ip[i] << (i % 2 ? 0 : 8);
		sum += len - hdr + protocol;
	}
	for (uint32_t i = hdr; i < len; i++)
		sum += (uint32_t)ip[i] << ((i - hdr) % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void
every_size_is_exact_and_its_checksum_right(void **state)
{
	static const uint8_t protocol[2][2] = {{1, 58}, {17, 17}};

	for (uint32_t kind = SPW_PROBE_ICMP; kind <= SPW_PROBE_TWAMP; kind++) {
		for (uint32_t size = 64; size <= DP_PROBE_SIZE_MAX; size += size < 200 ? 1 : 97) {
			for (int v6 = 0; v6 < 2; v6++) {
				struct spw_dp_probe c = conf_of(kind, v6, (uint16_t)size, 0);
				uint8_t *out = malloc(size); /* exactly: a byte more is seen */

				assert_non_null(out);
				dp_probe_build(out, &c, PORT, size, COOKIE * size);
				assert_int_equal(v6 ? 40 + out[4] * 256 + out[5]
						    : out[2] * 256 + out[3],
						 size);
				uint8_t proto = protocol[kind - 1][v6];

				assert_int_equal(out[v6 ? 6 : 9], proto);
				assert_int_equal(plain_sum(out, size, proto), 0xffff);
				free(out);
			}
		}
	}
}

static void
timestamps_are_ntps_but_for_sixteen_bits(void **state)
{
	/* 2036-02-07 06:28:15 UTC is the last second of NTP's first era. */
	static const struct {
		uint64_t wall_ns;
		uint64_t want;
	} table[] = {
		{0, UINT64_C(0x83aa7e8000000000)},
		{UINT64_C(500000000), UINT64_C(0x83aa7e8080000000)},
		{UINT64_C(2085978495) * 1000000000, UINT64_C(0xffffffff00000000)},
		{UINT64_C(999999999), UINT64_C(0x83aa7e80ffff0000)},
	};

	for (size_t i = 0; i < 4; i++)
		for (uint32_t chance = 0; chance < 0x10000; chance += 0x5555)
			assert_true(dp_probe_timestamp(table[i].wall_ns, (uint16_t)chance) ==
				    (table[i].want | chance));
}

static uint32_t
load(const char *name, uint8_t *out, size_t room)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", CORPUS, name);
	FILE *f = fopen(path, "rb");

	if (!f)
		fail_msg("no %s", path);
	uint32_t n = (uint32_t)fread(out, 1, room, f);

	fclose(f);
	return n;
}

static const struct row {
	const char *name;
	uint8_t heard, kind;
	uint32_t why, mtu;
} rows[] = {
	{"echo-reply4", DP_PROBE_HEARD_ANSWER, SPW_PROBE_ICMP, 0, 0},
	{"echo-reply6", DP_PROBE_HEARD_ANSWER, SPW_PROBE_ICMP, 0, 0},
	{"echo-reply6-options", DP_PROBE_HEARD_ANSWER, SPW_PROBE_ICMP, 0, 0},
	{"reflected4", DP_PROBE_HEARD_ANSWER, SPW_PROBE_TWAMP, 0, 0},
	{"reflected4-options", DP_PROBE_HEARD_ANSWER, SPW_PROBE_TWAMP, 0, 0},
	{"reflected6", DP_PROBE_HEARD_ANSWER, SPW_PROBE_TWAMP, 0, 0},
	{"too-big4", DP_PROBE_HEARD_ERROR, SPW_PROBE_ICMP, SPW_PROBE_WHY_TOO_BIG, 1400},
	{"too-big6", DP_PROBE_HEARD_ERROR, SPW_PROBE_ICMP, SPW_PROBE_WHY_TOO_BIG, 1400},
	{"unreachable4", DP_PROBE_HEARD_ERROR, SPW_PROBE_TWAMP, SPW_PROBE_WHY_UNREACHABLE, 0},
	{"unreachable6", DP_PROBE_HEARD_ERROR, SPW_PROBE_TWAMP, SPW_PROBE_WHY_UNREACHABLE, 0},
	{"expired4", DP_PROBE_HEARD_ERROR, SPW_PROBE_TWAMP, SPW_PROBE_WHY_EXPIRED, 0},
	{"expired6", DP_PROBE_HEARD_ERROR, SPW_PROBE_TWAMP, SPW_PROBE_WHY_EXPIRED, 0},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static bool
about_our_packet(const struct dp_probe_seen *s, const struct row *r)
{
	bool v6 = strchr(r->name, '6') != NULL, twamp = r->kind == SPW_PROBE_TWAMP;
	struct spw_dp_probe c = conf_of(r->kind, v6, 64, 0);

	return s->heard == r->heard && s->kind == r->kind && s->cookie == COOKIE &&
	       s->seq == (uint16_t)SEQ && s->tag == (twamp ? PORT : TAG) &&
	       s->port == (twamp ? 862 : 0) && s->why == r->why && s->mtu == r->mtu &&
	       spw_addr_equal(&s->source, &c.source) && spw_addr_equal(&s->target, &c.target);
}

static void
answers_and_errors_are_read(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint8_t p[256];
		uint32_t n = load(rows[i].name, p, sizeof(p));
		struct dp_probe_seen s = dp_probe_parse(p, n);

		if (!about_our_packet(&s, &rows[i]))
			fail_msg("%s", rows[i].name);
		/* Ethernet pads short packets. */
		memset(p + n, 0xaa, 20);
		s = dp_probe_parse(p, n + 20);
		if (!about_our_packet(&s, &rows[i]))
			fail_msg("%s, padded", rows[i].name);
	}
}

static void
a_packet_cut_short_is_heard_as_nothing(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint8_t p[256];
		uint32_t n = load(rows[i].name, p, sizeof(p));

		for (uint32_t cut = 0; cut < n; cut++) {
			uint8_t *exact = malloc(cut ? cut : 1);

			assert_non_null(exact);
			memcpy(exact, p, cut);
			assert_int_equal(dp_probe_parse(exact, cut).heard, DP_PROBE_HEARD_NOTHING);
			free(exact);
		}
	}
}

/* The IP header's own checksum is checked before; here are the bits behind it. */
static void
a_flipped_bit_behind_the_header_is_refused(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint8_t p[256];
		uint32_t n = load(rows[i].name, p, sizeof(p));
		uint32_t from = p[0] >> 4 == 6 ? 40 : (p[0] & 15u) * 4;

		if (strstr(rows[i].name, "options"))
			continue; /* not all of an option's bits mean something */
		for (uint32_t bit = 8 * from; bit < 8 * n; bit++) {
			p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (dp_probe_parse(p, n).heard != DP_PROBE_HEARD_NOTHING)
				fail_msg("%s: bit %u", rows[i].name, bit);
			p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void
fragments_are_heard_as_nothing(void **state)
{
	uint8_t p[256];
	uint32_t n = load("echo-reply4", p, sizeof(p));

	p[6] = 0x20;
	assert_int_equal(dp_probe_parse(p, n).heard, DP_PROBE_HEARD_NOTHING);
	p[6] = 0x40;
	assert_int_equal(dp_probe_parse(p, n).heard, DP_PROBE_HEARD_ANSWER);
	p[7] = 1;
	assert_int_equal(dp_probe_parse(p, n).heard, DP_PROBE_HEARD_NOTHING);
}

static void
udp_without_a_checksum_is_taken_over_ipv4_only(void **state)
{
	uint8_t p[256];
	uint32_t n = load("reflected4", p, sizeof(p));

	memset(p + 20 + 6, 0, 2);
	assert_int_equal(dp_probe_parse(p, n).heard, DP_PROBE_HEARD_ANSWER);
	n = load("reflected6", p, sizeof(p));
	memset(p + 40 + 6, 0, 2);
	assert_int_equal(dp_probe_parse(p, n).heard, DP_PROBE_HEARD_NOTHING);
}

static void
our_own_packets_are_known_and_are_no_answers(void **state)
{
	for (uint32_t kind = SPW_PROBE_ICMP; kind <= SPW_PROBE_TWAMP; kind++) {
		for (int v6 = 0; v6 < 2; v6++) {
			struct spw_dp_probe c = conf_of(kind, v6, 64, 0);
			uint8_t out[64];

			dp_probe_build(out, &c, PORT, SEQ, COOKIE);
			assert_int_equal(dp_probe_parse(out, 64).heard, DP_PROBE_HEARD_NOTHING);
			struct dp_probe_seen s = dp_probe_parse_own(out, 64);

			assert_int_equal(s.kind, kind);
			assert_int_equal(s.tag, PORT);
			assert_int_equal(s.seq, (uint16_t)SEQ);
			assert_true(s.cookie == COOKIE);
			assert_true(spw_addr_equal(&s.source, &c.source));
			assert_true(spw_addr_equal(&s.target, &c.target));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_packets_are_what_another_implementation_builds),
		cmocka_unit_test(every_size_is_exact_and_its_checksum_right),
		cmocka_unit_test(timestamps_are_ntps_but_for_sixteen_bits),
		cmocka_unit_test(answers_and_errors_are_read),
		cmocka_unit_test(a_packet_cut_short_is_heard_as_nothing),
		cmocka_unit_test(a_flipped_bit_behind_the_header_is_refused),
		cmocka_unit_test(fragments_are_heard_as_nothing),
		cmocka_unit_test(udp_without_a_checksum_is_taken_over_ipv4_only),
		cmocka_unit_test(our_own_packets_are_known_and_are_no_answers),
	};

	return cmocka_run_group_tests_name("dataplane/probe_packet", tests, NULL, NULL);
}
