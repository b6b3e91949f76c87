/* SPDX-License-Identifier: BSD-3-Clause */
/* Finished Ethernet headers against headers written field by field. Pure: mbufs without a pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/l2.h"

static const uint8_t src[6] = {2, 0, 0, 0, 0, 1}, dst[6] = {2, 0, 0, 0, 0, 9};

struct row {
	struct dp_l2_tags tags;
	uint8_t want[10]; /* between the source and the type */
	uint16_t len;	  /* of that */
	uint16_t tci;	  /* left to the port */
};

static const struct row rows[] = {
	{{0, 0, 0x8100, false}, {0}, 0, 0},
	{{0, 0, 0x8100, true}, {0}, 0, 0},
	{{100, 0, 0x8100, false}, {0x81, 0, 0, 100}, 4, 0},
	{{100, 0, 0x8100, true}, {0}, 0, 100},
	{{100, 0, 0x88a8, false}, {0x88, 0xa8, 0, 100}, 4, 0},
	{{100, 0, 0x88a8, true}, {0x88, 0xa8, 0, 100}, 4, 0},
	{{300, 20, 0x8100, false}, {0x81, 0, 1, 44, 0x81, 0, 0, 20}, 8, 0},
	{{300, 20, 0x8100, true}, {0x81, 0, 1, 44, 0x81, 0, 0, 20}, 8, 0},
	{{4094, 4094, 0x88a8, true}, {0x88, 0xa8, 15, 0xfe, 0x81, 0, 15, 0xfe}, 8, 0},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* A buffer with `head` bytes before the data; what is around the data is a pattern. */
struct box {
	struct rte_mbuf m;
	uint8_t buf[256];
};

static void
box_fill(struct box *b, uint16_t head, const void *data, uint16_t len)
{
	memset(b, 0, sizeof(*b));
	memset(b->buf, 0xee, sizeof(b->buf));
	b->m.buf_addr = b->buf;
	b->m.buf_len = sizeof(b->buf);
	b->m.data_off = head;
	b->m.data_len = len;
	b->m.pkt_len = len;
	b->m.nb_segs = 1;
	memcpy(b->buf + head, data, len);
}

static void
expect(const struct box *b, const struct row *r, const uint8_t to[6], const uint8_t type[2],
       const char *data, uint16_t len)
{
	const uint8_t *f = rte_pktmbuf_mtod(&b->m, const uint8_t *);

	assert_int_equal(b->m.data_len, 14 + r->len + len);
	assert_int_equal(b->m.pkt_len, b->m.data_len);
	assert_memory_equal(f, to, 6);
	assert_memory_equal(f + 6, src, 6);
	assert_memory_equal(f + 12, r->want, r->len);
	assert_memory_equal(f + 12 + r->len, type, 2);
	assert_memory_equal(f + 14 + r->len, data, len);
	assert_int_equal(b->m.ol_flags, r->tci ? RTE_MBUF_F_TX_VLAN : 0);
	if (r->tci)
		assert_int_equal(b->m.vlan_tci, r->tci);
}

static void
a_pushed_header_has_the_tags_and_the_packets_type(void **state)
{
	static const uint8_t type[2][2] = {{8, 0}, {0x86, 0xdd}};

	for (size_t i = 0; i < ROWS; i++) {
		struct dp_l2 l2 = dp_l2_make(src, &rows[i].tags, 7, 3);
		struct box b;

		assert_int_equal(l2.iface, 7);
		assert_int_equal(l2.port_out, 3);
		dp_l2_dest(&l2, dst);
		for (int ipv6 = 0; ipv6 < 2; ipv6++) {
			struct dp_l2 typed = dp_l2_of(&l2, ipv6);

			box_fill(&b, 64, "packet", 6);
			assert_true(dp_l2_push(&b.m, &typed));
			expect(&b, &rows[i], dst, type[ipv6], "packet", 6);
			for (unsigned int k = 0; k < 64 - DP_L2_BYTES; k++)
				assert_int_equal(b.buf[k], 0xee);
		}
	}
}

static void
a_header_can_be_given_to_another_station(void **state)
{
	static const uint8_t other[6] = {6, 5, 4, 3, 2, 1}, type[2] = {8, 0};

	for (size_t i = 0; i < ROWS; i++) {
		struct dp_l2 plain = dp_l2_make(src, &rows[i].tags, 7, 3);
		struct dp_l2 l2 = dp_l2_of(&plain, false);
		struct box b;

		dp_l2_dest(&l2, dst);
		dp_l2_dest(&l2, other);
		box_fill(&b, 64, "packet", 6);
		assert_true(dp_l2_push(&b.m, &l2));
		expect(&b, &rows[i], other, type, "packet", 6);
	}
}

static void
without_room_nothing_is_written(void **state)
{
	struct dp_l2 l2 = dp_l2_make(src, &rows[6].tags, 7, 3);
	struct box b, was;

	box_fill(&b, DP_L2_BYTES - 1, "packet", 6);
	was = b;
	assert_false(dp_l2_push(&b.m, &l2));
	assert_memory_equal(b.buf, was.buf, sizeof(b.buf));
	assert_int_equal(b.m.data_off, was.m.data_off);
	box_fill(&b, DP_L2_BYTES, "packet", 6);
	assert_true(dp_l2_push(&b.m, &l2));
	box_fill(&b, 7, "\1\2\3\4\5\6\1\2\3\4\5\6\10\6", 14);
	assert_false(dp_l2_tag(&b.m, &l2));
}

static void
a_frame_of_the_kernel_keeps_its_addresses_and_type(void **state)
{
	static const uint8_t frame[18] = {9, 8, 7, 6, 5, 4,   2,   0,	0,
					  0, 0, 1, 8, 6, 'a', 's', 'k', '!'};

	for (size_t i = 0; i < ROWS; i++) {
		struct dp_l2 l2 = dp_l2_make(src, &rows[i].tags, 7, 3);
		struct box b;

		box_fill(&b, 8, frame, sizeof(frame));
		assert_true(dp_l2_tag(&b.m, &l2));
		expect(&b, &rows[i], frame, frame + 12, "ask!", 4);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pushed_header_has_the_tags_and_the_packets_type),
		cmocka_unit_test(a_header_can_be_given_to_another_station),
		cmocka_unit_test(without_room_nothing_is_written),
		cmocka_unit_test(a_frame_of_the_kernel_keeps_its_addresses_and_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
