/* SPDX-License-Identifier: BSD-3-Clause */
/* ESP-47: the MSS clamp on tables of option lists; every result's checksum is computed anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "dataplane/checksum.h"
#include "dataplane/fit.h"

#define SYN 0x02
#define ACK 0x10

struct packet {
	uint32_t len;
	uint8_t bytes[160];
};

/* Checksum of TCP with its pseudo header, from scratch; 0 when the field in the packet is right. */
static uint16_t
tcp_checksum(const struct packet *p)
{
	uint32_t header = (p->bytes[0] & 15u) * 4, tcp_len = p->len - header;
	uint32_t sum = dp_csum_add(0, p->bytes + 12, 8);

	sum += 6 + tcp_len;
	return dp_csum_finish(dp_csum_add(sum, p->bytes + header, tcp_len));
}

static struct packet
make(uint8_t flags, const uint8_t *options, uint32_t n_options, uint32_t data)
{
	struct packet p = {.len = 20 + 20 + n_options + data};
	uint8_t *tcp = p.bytes + 20;

	memcpy(p.bytes, "\x45\0\0\0\0\1\x40\0\x40\x06\0\0\x0a\1\0\1\x0a\2\0\2", 20);
	spw_put_be16(p.bytes + 2, (uint16_t)p.len);
	spw_put_be16(tcp, 40000);
	spw_put_be16(tcp + 2, 443);
	spw_put_be32(tcp + 4, 0x12345678);
	tcp[12] = (uint8_t)((20 + n_options) / 4 << 4);
	tcp[13] = flags;
	spw_put_be16(tcp + 14, 64240);
	memcpy(tcp + 20, options, n_options);
	memset(tcp + 20 + n_options, 0xab, data);
	spw_put_be16(tcp + 16, tcp_checksum(&p));
	return p;
}

static const struct row {
	const char *what;
	uint8_t flags;
	uint8_t n;
	uint8_t options[40];
	uint16_t mss_at; /* offset of the value in the options, 0xffff = stays as it is */
} rows[] = {
	{"syn", SYN, 4, {2, 4, 0x05, 0xb4}, 2},
	{"syn ack", SYN | ACK, 4, {2, 4, 0x05, 0xb4}, 2},
	{"ack", ACK, 4, {2, 4, 0x05, 0xb4}, 0xffff},
	{"smaller", SYN, 4, {2, 4, 0x05, 0x00}, 0xffff},
	{"equal", SYN, 4, {2, 4, 0x05, 0x14}, 0xffff},
	{"zero", SYN, 4, {2, 4, 0, 0}, 0xffff},
	{"no options", SYN, 0, {0}, 0xffff},
	{"no mss", SYN, 4, {3, 3, 7, 1}, 0xffff},
	{"odd offset", SYN, 8, {1, 2, 4, 0x05, 0xb4, 0, 0, 0}, 3},
	{"odd offset, wide change", SYN, 8, {1, 2, 4, 0xff, 0xff, 0, 0, 0}, 3},
	{"usual list",
	 SYN,
	 20,
	 {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7},
	 2},
	{"last", SYN, 12, {4, 2, 1, 1, 3, 3, 7, 1, 2, 4, 5, 0xb4}, 10},
	{"full header", SYN, 40, {1, 1, 1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, [36] = 0}, 0xffff},
	{"length 3", SYN, 4, {2, 3, 5, 0}, 0xffff},
	{"length 5", SYN, 8, {2, 5, 5, 0xb4, 0, 0, 0, 0}, 0xffff},
	{"length 0", SYN, 4, {3, 0, 5, 0xb4}, 0xffff},
	{"length 1", SYN, 4, {3, 1, 5, 0xb4}, 0xffff},
	{"runs over the end", SYN, 4, {1, 1, 2, 4}, 0xffff},
	{"kind at the very end", SYN, 4, {1, 1, 1, 2}, 0xffff},
	{"good, then broken", SYN, 8, {2, 4, 5, 0xb4, 8, 10, 0, 0}, 0xffff},
	{"behind the end", SYN, 8, {0, 0, 0, 0, 2, 4, 5, 0xb4}, 0xffff},
};

static void
check_row(const struct row *r)
{
	struct packet p = make(r->flags, r->options, r->n, 3), want = p;
	bool changed;

	if (r->mss_at != 0xffff) {
		spw_put_be16(want.bytes + 40 + r->mss_at, 1300);
		spw_put_be16(want.bytes + 36, 0);
		spw_put_be16(want.bytes + 36, tcp_checksum(&want));
	}
	changed = dp_mss_clamp(p.bytes, p.len, 1300);
	if (changed != (r->mss_at != 0xffff) || memcmp(&p, &want, sizeof(p)) != 0)
		fail_msg("%s", r->what);
	assert_int_equal(tcp_checksum(&p), 0);
}

static void
mss_only_lowers_and_mends_the_checksum(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}

static void
mss_lowers_each_of_two(void **state)
{
	struct packet p = make(SYN, (const uint8_t[]){2, 4, 0x23, 0x00, 2, 4, 5, 0xb4}, 8, 0);

	assert_true(dp_mss_clamp(p.bytes, p.len, 1300));
	assert_int_equal(spw_get_be16(p.bytes + 42), 1300);
	assert_int_equal(spw_get_be16(p.bytes + 46), 1300);
	assert_int_equal(tcp_checksum(&p), 0);
}

static void
mss_leaves_fragments_and_short_packets(void **state)
{
	struct packet p = make(SYN, (const uint8_t[]){2, 4, 0x05, 0xb4}, 4, 0), was;

	for (uint32_t len = 20; len < p.len; len++)
		assert_false(dp_mss_clamp(p.bytes, len, 1300));
	p.bytes[6] = 0x20;
	was = p;
	assert_false(dp_mss_clamp(p.bytes, p.len, 1300));
	p.bytes[6] = 0;
	p.bytes[7] = 8;
	assert_false(dp_mss_clamp(p.bytes, p.len, 1300));
	p.bytes[7] = 0;
	p.bytes[9] = 17;
	assert_false(dp_mss_clamp(p.bytes, p.len, 1300));
	p = was;
	p.bytes[6] = 0x40;
	p.bytes[32] = 0x40; /* data offset 16: no TCP header */
	assert_false(dp_mss_clamp(p.bytes, p.len, 1300));
}

static void
mss_survives_random_options(void **state)
{
	uint8_t options[40];

	srand(3);
	for (int i = 0; i < 200000; i++) {
		uint32_t n = (uint32_t)rand() % 11 * 4;
		struct packet p;
		uint32_t len;

		for (uint32_t j = 0; j < n; j++)
			options[j] = (uint8_t)(rand() % 3 ? rand() % 6 : rand());
		p = make(SYN, options, n, (uint32_t)rand() % 5);
		len = p.len;
		dp_mss_clamp(p.bytes, p.len, 1 + (uint32_t)rand() % 2000);
		assert_int_equal(tcp_checksum(&p), 0);
		assert_int_equal(p.len, len);
	}
}

/* The TCP segment of an IPv4 packet behind an IPv6 header and `n_ext` headers of a usual chain. */
static struct packet
over_ipv6(const struct packet *from, unsigned int n_ext)
{
	static const uint8_t chain[] = {0, 60, 43, 60, 6};
	const uint8_t *next = chain + 4 - n_ext;
	struct packet p = {.len = 40 + 8 * n_ext + from->len - 20};
	uint8_t *at = p.bytes + 40;

	memcpy(p.bytes, "\x60\0\0\0\0\0\0\x40", 8);
	spw_put_be16(p.bytes + 4, (uint16_t)(p.len - 40));
	memset(p.bytes + 8, 0xfd, 32);
	p.bytes[6] = *next++;
	for (unsigned int i = 0; i < n_ext; i++, at += 8)
		*at = *next++;
	memcpy(at, from->bytes + 20, from->len - 20);
	return p;
}

static uint16_t
tcp_checksum6(const struct packet *p, uint32_t at)
{
	uint32_t sum = dp_csum_add(0, p->bytes + 8, 32) + 6 + p->len - at;

	return dp_csum_finish(dp_csum_add(sum, p->bytes + at, p->len - at));
}

static void
mss_over_ipv6_is_treated_as_over_ipv4(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) * 5; i++) {
		const struct row *r = &rows[i / 5];
		struct packet four = make(r->flags, r->options, r->n, 3);
		uint32_t at = 40 + 8 * (uint32_t)(i % 5);
		struct packet p = over_ipv6(&four, i % 5), want;

		spw_put_be16(p.bytes + at + 16, 0);
		spw_put_be16(p.bytes + at + 16, tcp_checksum6(&p, at));
		want = p;
		if (r->mss_at != 0xffff) {
			spw_put_be16(want.bytes + at + 20 + r->mss_at, 1300);
			spw_put_be16(want.bytes + at + 16, 0);
			spw_put_be16(want.bytes + at + 16, tcp_checksum6(&want, at));
		}
		if (dp_mss_clamp6(p.bytes, p.len, 1300) != (r->mss_at != 0xffff) ||
		    memcmp(&p, &want, sizeof(p)) != 0)
			fail_msg("%s", r->what);
	}
}

static void
mss_over_ipv6_leaves_fragments_and_short_packets(void **state)
{
	struct packet four = make(SYN, (const uint8_t[]){2, 4, 0x05, 0xb4}, 4, 0);
	struct packet p = over_ipv6(&four, 1); /* one header of destination options */

	for (uint32_t len = 40; len < p.len; len++)
		assert_false(dp_mss_clamp6(p.bytes, len, 1300));
	p.bytes[6] = 44;
	p.bytes[43] = 1; /* more fragments */
	assert_false(dp_mss_clamp6(p.bytes, p.len, 1300));
	p.bytes[43] = 8; /* a later one */
	assert_false(dp_mss_clamp6(p.bytes, p.len, 1300));
	p.bytes[43] = 0; /* the whole packet is in this "fragment" */
	assert_true(dp_mss_clamp6(p.bytes, p.len, 1299));
	p.bytes[40] = 17;
	assert_false(dp_mss_clamp6(p.bytes, p.len, 1298));
	p = over_ipv6(&four, 2);
	p.bytes[6] = p.bytes[40] = 44;
	p.bytes[43] = 1; /* a fragment, whatever a second such header says */
	p.bytes[51] = 0;
	assert_false(dp_mss_clamp6(p.bytes, p.len, 1300));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mss_only_lowers_and_mends_the_checksum),
		cmocka_unit_test(mss_lowers_each_of_two),
		cmocka_unit_test(mss_leaves_fragments_and_short_packets),
		cmocka_unit_test(mss_survives_random_options),
		cmocka_unit_test(mss_over_ipv6_is_treated_as_over_ipv4),
		cmocka_unit_test(mss_over_ipv6_leaves_fragments_and_short_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
