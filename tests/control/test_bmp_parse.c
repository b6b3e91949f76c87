/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser of BMP messages: what it tells of each, as a line of text; what it refuses, and that
 * it has said nothing then; the rule for sessions that end, as a table.
 */
#include "control/bmp_parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/control/bmp_bed.h"

static char said[512];

static void
say(const char *what, const struct ctl_bmp_peer *peer, const char *more)
{
	char text[SPW_ADDR_TEXT];
	size_t at = strlen(said);

	snprintf(said + at, sizeof(said) - at, "%s%s %s%s%s", at ? "; " : "", what,
		 spw_addr_format(&peer->addr, text), more[0] ? " " : "", more);
}

static void
on_up(void *ctx, const struct ctl_bmp_peer *peer, const struct ctl_bmp_restart *r)
{
	say("up", peer,
	    r->notifications ? "retained also after notifications"
	    : r->retained    ? "retained"
			     : "");
}

static void
on_down(void *ctx, const struct ctl_bmp_peer *peer, const struct ctl_bmp_down *down)
{
	char text[96];

	say("down", peer, ctl_bmp_down_text(down, text, sizeof(text)));
}

static void
on_announced(void *ctx, const struct ctl_bmp_peer *peer, const struct spw_prefix *p,
	     const struct spw_addr *next_hop)
{
	char text[SPW_PREFIX_TEXT], hop[SPW_ADDR_TEXT], line[128];

	snprintf(line, sizeof(line), "%s via %s", spw_prefix_format(p, text),
		 spw_addr_format(next_hop, hop));
	say("+", peer, line);
}

static void
on_withdrawn(void *ctx, const struct ctl_bmp_peer *peer, const struct spw_prefix *p)
{
	char text[SPW_PREFIX_TEXT];

	say("-", peer, spw_prefix_format(p, text));
}

static void
on_end(void *ctx, const struct ctl_bmp_peer *peer, uint8_t family)
{
	say("end", peer, family == AF_INET6 ? "v6" : "v4");
}

static const struct ctl_bmp_handler teller = {.peer_up = on_up,
					      .peer_down = on_down,
					      .announced = on_announced,
					      .withdrawn = on_withdrawn,
					      .end_of_rib = on_end};

static const char *
told(size_t len)
{
	struct spw_err err = {0};

	said[0] = '\0';
	if (ctl_bmp_parse(bmp_message, len, &teller, NULL, &err) != 0)
		fail_msg("%s", err.text);
	return said;
}

static void
updates_of_both_families_are_told(void **state)
{
	static const uint8_t end4[4], host_bits[] = {0, 3, 16, 10, 1, 0, 0};
	static const uint8_t masked[] = {0, 2, 4, 0xff, 0, 0};

	assert_string_equal(told(bmp_announcement("172.16.0.2", "10.100.0.0/16", "172.16.0.9")),
			    "+ 172.16.0.2 10.100.0.0/16 via 172.16.0.9");
	assert_string_equal(told(bmp_withdrawal("172.16.0.2", "10.100.0.0/16")),
			    "- 172.16.0.2 10.100.0.0/16");
	assert_string_equal(told(bmp_mp("2001:db8::2", 14, "2001:db8:100::/48", "2001:db8::2")),
			    "+ 2001:db8::2 2001:db8:100::/48 via 2001:db8::2");
	assert_string_equal(told(bmp_mp("2001:db8::2", 15, "2001:db8:100::/48", NULL)),
			    "- 2001:db8::2 2001:db8:100::/48");
	assert_string_equal(told(bmp_mp("2001:db8::2", 15, NULL, NULL)), "end 2001:db8::2 v6");
	assert_string_equal(told(bmp_monitoring("172.16.0.2", 0x40, end4, 4)), "end 172.16.0.2 v4");
	assert_string_equal(told(bmp_withdrawal("172.16.0.2", "0.0.0.0/0")),
			    "- 172.16.0.2 0.0.0.0/0");
	assert_string_equal(told(bmp_monitoring("172.16.0.2", 0x40, host_bits, sizeof(host_bits))),
			    "- 172.16.0.2 10.1.0.0/16");
	assert_string_equal(told(bmp_monitoring("172.16.0.2", 0x40, masked, sizeof(masked))),
			    "- 172.16.0.2 240.0.0.0/4");
}

static void
withdrawals_of_an_update_come_before_its_announcements(void **state)
{
	static const uint8_t both[] = {0, 3, 16, 10, 1, 0, 7, 0x40, 3, 4, 172, 16, 0, 2, 16, 10, 2};

	assert_string_equal(told(bmp_monitoring("172.16.0.2", 0x40, both, sizeof(both))),
			    "- 172.16.0.2 10.1.0.0/16; + 172.16.0.2 10.2.0.0/16 via 172.16.0.2");
}

static void
sessions_that_come_and_go_are_told_with_their_reason(void **state)
{
	assert_string_equal(told(bmp_peer_up("172.16.0.2", -1, -1, 0)), "up 172.16.0.2");
	assert_string_equal(told(bmp_peer_up("172.16.0.2", 1, 0, 0)), "up 172.16.0.2");
	assert_string_equal(told(bmp_peer_up("172.16.0.2", 0, 1, 0)), "up 172.16.0.2 retained");
	assert_string_equal(told(bmp_peer_up("172.16.0.2", -1, 1, 4)), "up 172.16.0.2");
	assert_string_equal(told(bmp_peer_up("172.16.0.2", 1, 1, 4)),
			    "up 172.16.0.2 retained also after notifications");
	assert_string_equal(told(bmp_peer_down("172.16.0.2", 3, 6, 2)),
			    "down 172.16.0.2 notification received, cease (6/2)");
	assert_string_equal(told(bmp_peer_down("172.16.0.2", 1, 4, 0)),
			    "down 172.16.0.2 notification sent, hold time over (4/0)");
	assert_string_equal(told(bmp_peer_down("172.16.0.2", 4, 0, 0)),
			    "down 172.16.0.2 closed by the peer");
	assert_string_equal(told(bmp_peer_down("172.16.0.2", 2, 0, 0)),
			    "down 172.16.0.2 closed by this side");
}

static void
statistics_and_unknown_messages_are_skipped(void **state)
{
	static const uint8_t types[] = {1, 4, 5, 6, 7, 99, 255};

	for (unsigned int i = 0; i < sizeof(types); i++) {
		struct spw_writer w = bmp_begin(types[i]);

		spw_write_u32(&w, 0xdeadbeef);
		assert_string_equal(told(bmp_end(&w)), "");
	}
}

/* Every length of every message, and every byte of them changed: refused or understood within its
 * bounds (the sanitizer watches), and what is refused has said nothing. */
static void
a_message_that_is_refused_has_said_nothing(void **state)
{
	static const char *const peer = "172.16.0.2";
	size_t lens[6];
	unsigned int refused = 0;

	for (unsigned int m = 0; m < 6; m++) {
		lens[m] = m == 0   ? bmp_announcement(peer, "10.100.0.0/16", "172.16.0.2")
			  : m == 1 ? bmp_withdrawal(peer, "10.100.0.0/16")
			  : m == 2 ? bmp_mp(peer, 14, "2001:db8:100::/48", "2001:db8::2")
			  : m == 3 ? bmp_mp(peer, 15, "2001:db8:100::/48", NULL)
			  : m == 4 ? bmp_peer_up(peer, 1, 1, 4)
				   : bmp_peer_down(peer, 3, 6, 2);
		for (size_t len = 6; len <= lens[m]; len++)
			for (unsigned int change = 0; change < 2 * len; change++) {
				uint8_t *copy = malloc(len);
				struct spw_err err = {0};

				memcpy(copy, bmp_message, len);
				copy[change % len] ^= change < len ? 0x01 : 0xff;
				spw_put_be32(copy + 1, (uint32_t)len);
				copy[0] = 3;
				said[0] = '\0';
				if (ctl_bmp_parse(copy, len, &teller, NULL, &err) != 0) {
					refused++;
					assert_string_equal(said, "");
					assert_true(err.text[0] && !strchr(err.text, '\n'));
				}
				free(copy);
			}
	}
	assert_true(refused > 1000);
}

static void
lengths_that_lie_are_refused(void **state)
{
	static const uint8_t long_attribute[] = {0, 0, 0, 4, 0x40, 3, 9, 1};
	static const uint8_t long_prefix[] = {0, 2, 33, 10, 0, 0};
	static const uint8_t no_next_hop[] = {0, 0, 0, 0, 8, 10};
	static const uint8_t twice[] = {0, 0, 0,    14, 0x80, 15, 4, 0, 2,
					1, 0, 0x80, 15, 4,    0,  2, 1, 0};
	struct spw_err err = {0};
	size_t len;

#define REFUSED(body)                                                 \
	len = bmp_monitoring("172.16.0.2", 0x40, body, sizeof(body)); \
	assert_int_equal(ctl_bmp_parse(bmp_message, len, &teller, NULL, &err), -EPROTO)
	REFUSED(long_attribute);
	REFUSED(long_prefix);
	REFUSED(no_next_hop);
	REFUSED(twice);
#undef REFUSED
}

static void
frames_are_found_over_any_cut(void **state)
{
	size_t len = bmp_withdrawal("172.16.0.2", "10.0.0.0/8");
	struct spw_err err = {0};

	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(ctl_bmp_frame(bmp_message, cut, &err), 0);
	assert_int_equal(ctl_bmp_frame(bmp_message, len, &err), len);
	assert_int_equal(ctl_bmp_frame(bmp_message, len + 5, &err), len);
	bmp_message[0] = 2;
	assert_int_equal(ctl_bmp_frame(bmp_message, 1, &err), -EPROTO);
	bmp_message[0] = 3;
	spw_put_be32(bmp_message + 1, 5);
	assert_int_equal(ctl_bmp_frame(bmp_message, len, &err), -EPROTO);
	spw_put_be32(bmp_message + 1, CTL_BMP_MESSAGE + 1);
	assert_int_equal(ctl_bmp_frame(bmp_message, len, &err), -EPROTO);
	spw_put_be32(bmp_message + 1, 0xffffffff);
	assert_int_equal(ctl_bmp_frame(bmp_message, len, &err), -EPROTO);
}

static void
what_the_end_of_a_session_means(void **state)
{
	static const struct {
		struct ctl_bmp_down down;
		bool retained, notifications;
		enum ctl_bmp_verdict verdict;
	} row[] = {
		/* the peer's NOTIFICATION, our hold time, an administrator's reset */
		{{3, 6, 2}, false, false, CTL_BMP_LOST},
		{{1, 4, 0}, false, false, CTL_BMP_LOST},
		{{1, 6, 4}, false, false, CTL_BMP_LOST},
		{{3, 6, 2}, true, false, CTL_BMP_LOST},
		{{3, 6, 2}, true, true, CTL_BMP_KEPT},
		{{1, 4, 0}, true, true, CTL_BMP_KEPT},
		{{3, 6, 9}, true, true, CTL_BMP_LOST}, /* hard reset */
		{{1, 6, 9}, true, true, CTL_BMP_LOST},
		/* the connection broke */
		{{4, 0, 0}, false, false, CTL_BMP_LOST},
		{{2, 0, 0}, false, false, CTL_BMP_LOST},
		{{4, 0, 0}, true, false, CTL_BMP_KEPT},
		{{2, 0, 0}, true, true, CTL_BMP_KEPT},
		/* bgpd stops, the neighbour is unconfigured */
		{{1, 6, 3}, false, false, CTL_BMP_OURS},
		{{1, 6, 3}, true, true, CTL_BMP_OURS},
		{{5, 0, 0}, false, false, CTL_BMP_OURS},
		{{3, 6, 3}, false, false, CTL_BMP_LOST}, /* it is the peer's word */
		{{0, 0, 0}, false, false, CTL_BMP_LOST},
	};

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct ctl_bmp_restart r = {.retained = row[i].retained,
					    .notifications = row[i].notifications};

		if (ctl_bmp_judge(&row[i].down, &r) != row[i].verdict)
			fail_msg("row %u", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(updates_of_both_families_are_told),
		cmocka_unit_test(withdrawals_of_an_update_come_before_its_announcements),
		cmocka_unit_test(sessions_that_come_and_go_are_told_with_their_reason),
		cmocka_unit_test(statistics_and_unknown_messages_are_skipped),
		cmocka_unit_test(a_message_that_is_refused_has_said_nothing),
		cmocka_unit_test(lengths_that_lie_are_refused),
		cmocka_unit_test(frames_are_found_over_any_cut),
		cmocka_unit_test(what_the_end_of_a_session_means),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
