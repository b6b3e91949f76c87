/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BMP station: its parser on messages made here, the rule for ended sessions as a table, the
 * set of prefixes against a naive one, marks, and the station itself over its socket.
 */
#include "control/bmp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/bmp_marks.h"
#include "control/bmp_parse.h"
#include "control/prefix_set.h"

/* ---- messages ---- */

static uint8_t message[8192];

static struct spw_prefix
prefix(const char *text)
{
	struct spw_prefix p;

	assert_int_equal(spw_prefix_parse(&p, text, NULL), 0);
	return p;
}

static struct spw_addr
addr(const char *text)
{
	return prefix(text).addr;
}

static void
put_peer(struct spw_writer *w, const char *peer, uint8_t flags)
{
	static const uint8_t zero[12];
	struct spw_addr a = addr(peer);
	bool v6 = a.family == AF_INET6;

	spw_write_u8(w, 0);
	spw_write_u8(w, flags | (v6 ? 0x80 : 0));
	spw_write_u64(w, 0);
	if (!v6)
		spw_write_bytes(w, zero, 12);
	spw_write_bytes(w, a.bytes, v6 ? 16 : 4);
	spw_write_u32(w, 12076);
	spw_write_u32(w, 1);
	spw_write_u64(w, 0);
}

static void
put_bgp(struct spw_writer *w, uint8_t type, const uint8_t *body, size_t len)
{
	for (unsigned int i = 0; i < 16; i++)
		spw_write_u8(w, 0xff);
	spw_write_u16(w, (uint16_t)(19 + len));
	spw_write_u8(w, type);
	spw_write_bytes(w, body, len);
}

static struct spw_writer
begin(uint8_t type)
{
	struct spw_writer w;

	spw_writer_init(&w, message, sizeof(message));
	spw_write_u8(&w, 3);
	spw_write_u32(&w, 0);
	spw_write_u8(&w, type);
	return w;
}

static size_t
end(struct spw_writer *w)
{
	assert_false(w->bad);
	spw_put_be32(message + 1, (uint32_t)spw_writer_len(w));
	return spw_writer_len(w);
}

static size_t
monitoring(const char *peer, uint8_t flags, const uint8_t *update, size_t len)
{
	struct spw_writer w = begin(0);

	put_peer(&w, peer, flags);
	put_bgp(&w, 2, update, len);
	return end(&w);
}

static void
put_prefix(struct spw_writer *w, const char *text)
{
	struct spw_prefix p = prefix(text);

	spw_write_u8(w, p.len);
	spw_write_bytes(w, p.addr.bytes, (p.len + 7u) / 8);
}

static size_t
withdrawal(const char *peer, const char *text)
{
	uint8_t body[64];
	struct spw_writer w;

	spw_writer_init(&w, body, sizeof(body));
	spw_write_u16(&w, (uint16_t)(1 + (prefix(text).len + 7) / 8));
	put_prefix(&w, text);
	spw_write_u16(&w, 0);
	return monitoring(peer, 0x40, body, spw_writer_len(&w));
}

static size_t
announcement(const char *peer, const char *text, const char *next_hop)
{
	uint8_t body[64];
	struct spw_writer w;

	spw_writer_init(&w, body, sizeof(body));
	spw_write_u16(&w, 0);
	spw_write_u16(&w, 7);
	spw_write_u8(&w, 0x40);
	spw_write_u8(&w, 3);
	spw_write_u8(&w, 4);
	spw_write_bytes(&w, addr(next_hop).bytes, 4);
	put_prefix(&w, text);
	return monitoring(peer, 0x40, body, spw_writer_len(&w));
}

static size_t
mp(const char *peer, uint8_t type, const char *text, const char *next_hop)
{
	uint8_t body[128], value[96];
	struct spw_writer w, v;

	spw_writer_init(&v, value, sizeof(value));
	spw_write_u16(&v, 2);
	spw_write_u8(&v, 1);
	if (next_hop) {
		spw_write_u8(&v, 32);
		spw_write_bytes(&v, addr(next_hop).bytes, 16);
		spw_write_bytes(&v, addr("fe80::1").bytes, 16);
		spw_write_u8(&v, 0);
	}
	if (text)
		put_prefix(&v, text);
	spw_writer_init(&w, body, sizeof(body));
	spw_write_u16(&w, 0);
	spw_write_u16(&w, (uint16_t)(4 + spw_writer_len(&v)));
	spw_write_u8(&w, 0x90);
	spw_write_u8(&w, type);
	spw_write_u16(&w, (uint16_t)spw_writer_len(&v));
	spw_write_bytes(&w, value, spw_writer_len(&v));
	return monitoring(peer, 0x40, body, spw_writer_len(&w));
}

/* OPEN with the graceful restart capability: families 0 or 1, flags in the high bits. */
static void
put_open(struct spw_writer *w, int families, uint8_t flags)
{
	uint8_t body[64];
	struct spw_writer b;

	spw_writer_init(&b, body, sizeof(body));
	spw_write_u8(&b, 4);
	spw_write_u16(&b, 12076);
	spw_write_u16(&b, 180);
	spw_write_u32(&b, 1);
	if (families < 0) {
		spw_write_u8(&b, 0);
	} else {
		size_t len = 2 + 4 * (size_t)families;

		spw_write_u8(&b, (uint8_t)(len + 4));
		spw_write_u8(&b, 2);
		spw_write_u8(&b, (uint8_t)(len + 2));
		spw_write_u8(&b, 64);
		spw_write_u8(&b, (uint8_t)len);
		spw_write_u16(&b, (uint16_t)(flags << 12 | 120));
		for (int i = 0; i < families; i++)
			spw_write_u32(&b, 0x00010180);
	}
	put_bgp(w, 1, body, spw_writer_len(&b));
}

static size_t
peer_up(const char *peer, int sent, int received, uint8_t flags)
{
	struct spw_writer w = begin(3);

	put_peer(&w, peer, 0);
	for (unsigned int i = 0; i < 5; i++)
		spw_write_u32(&w, 0);
	put_open(&w, sent, flags);
	put_open(&w, received, flags);
	return end(&w);
}

static size_t
peer_down(const char *peer, uint8_t reason, uint8_t code, uint8_t subcode)
{
	struct spw_writer w = begin(2);
	uint8_t body[2] = {code, subcode};

	put_peer(&w, peer, 0);
	spw_write_u8(&w, reason);
	if (reason == 1 || reason == 3)
		put_bgp(&w, 3, body, 2);
	if (reason == 2)
		spw_write_u16(&w, 0);
	return end(&w);
}

/* ---- the parser, told as a line of text ---- */

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
	if (ctl_bmp_parse(message, len, &teller, NULL, &err) != 0)
		fail_msg("%s", err.text);
	return said;
}

static void
updates_of_both_families_are_told(void **state)
{
	static const uint8_t end4[4], host_bits[] = {0, 3, 16, 10, 1, 0, 0};
	static const uint8_t masked[] = {0, 2, 4, 0xff, 0, 0};

	assert_string_equal(told(announcement("172.16.0.2", "10.100.0.0/16", "172.16.0.9")),
			    "+ 172.16.0.2 10.100.0.0/16 via 172.16.0.9");
	assert_string_equal(told(withdrawal("172.16.0.2", "10.100.0.0/16")),
			    "- 172.16.0.2 10.100.0.0/16");
	assert_string_equal(told(mp("2001:db8::2", 14, "2001:db8:100::/48", "2001:db8::2")),
			    "+ 2001:db8::2 2001:db8:100::/48 via 2001:db8::2");
	assert_string_equal(told(mp("2001:db8::2", 15, "2001:db8:100::/48", NULL)),
			    "- 2001:db8::2 2001:db8:100::/48");
	assert_string_equal(told(mp("2001:db8::2", 15, NULL, NULL)), "end 2001:db8::2 v6");
	assert_string_equal(told(monitoring("172.16.0.2", 0x40, end4, 4)), "end 172.16.0.2 v4");
	assert_string_equal(told(withdrawal("172.16.0.2", "0.0.0.0/0")), "- 172.16.0.2 0.0.0.0/0");
	assert_string_equal(told(monitoring("172.16.0.2", 0x40, host_bits, sizeof(host_bits))),
			    "- 172.16.0.2 10.1.0.0/16");
	assert_string_equal(told(monitoring("172.16.0.2", 0x40, masked, sizeof(masked))),
			    "- 172.16.0.2 240.0.0.0/4");
}

static void
withdrawals_of_an_update_come_before_its_announcements(void **state)
{
	static const uint8_t both[] = {0, 3, 16, 10, 1, 0, 7, 0x40, 3, 4, 172, 16, 0, 2, 16, 10, 2};

	assert_string_equal(told(monitoring("172.16.0.2", 0x40, both, sizeof(both))),
			    "- 172.16.0.2 10.1.0.0/16; + 172.16.0.2 10.2.0.0/16 via 172.16.0.2");
}

static void
sessions_that_come_and_go_are_told_with_their_reason(void **state)
{
	assert_string_equal(told(peer_up("172.16.0.2", -1, -1, 0)), "up 172.16.0.2");
	assert_string_equal(told(peer_up("172.16.0.2", 1, 0, 0)), "up 172.16.0.2");
	assert_string_equal(told(peer_up("172.16.0.2", 0, 1, 0)), "up 172.16.0.2 retained");
	assert_string_equal(told(peer_up("172.16.0.2", -1, 1, 4)), "up 172.16.0.2");
	assert_string_equal(told(peer_up("172.16.0.2", 1, 1, 4)),
			    "up 172.16.0.2 retained also after notifications");
	assert_string_equal(told(peer_down("172.16.0.2", 3, 6, 2)),
			    "down 172.16.0.2 notification received, cease (6/2)");
	assert_string_equal(told(peer_down("172.16.0.2", 1, 4, 0)),
			    "down 172.16.0.2 notification sent, hold time over (4/0)");
	assert_string_equal(told(peer_down("172.16.0.2", 4, 0, 0)),
			    "down 172.16.0.2 closed by the peer");
	assert_string_equal(told(peer_down("172.16.0.2", 2, 0, 0)),
			    "down 172.16.0.2 closed by this side");
}

static void
statistics_and_unknown_messages_are_skipped(void **state)
{
	static const uint8_t types[] = {1, 4, 5, 6, 7, 99, 255};

	for (unsigned int i = 0; i < sizeof(types); i++) {
		struct spw_writer w = begin(types[i]);

		spw_write_u32(&w, 0xdeadbeef);
		assert_string_equal(told(end(&w)), "");
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
		lens[m] = m == 0   ? announcement(peer, "10.100.0.0/16", "172.16.0.2")
			  : m == 1 ? withdrawal(peer, "10.100.0.0/16")
			  : m == 2 ? mp(peer, 14, "2001:db8:100::/48", "2001:db8::2")
			  : m == 3 ? mp(peer, 15, "2001:db8:100::/48", NULL)
			  : m == 4 ? peer_up(peer, 1, 1, 4)
				   : peer_down(peer, 3, 6, 2);
		for (size_t len = 6; len <= lens[m]; len++)
			for (unsigned int change = 0; change < 2 * len; change++) {
				uint8_t *copy = malloc(len);
				struct spw_err err = {0};

				memcpy(copy, message, len);
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

#define REFUSED(body)                                             \
	len = monitoring("172.16.0.2", 0x40, body, sizeof(body)); \
	assert_int_equal(ctl_bmp_parse(message, len, &teller, NULL, &err), -EPROTO)
	REFUSED(long_attribute);
	REFUSED(long_prefix);
	REFUSED(no_next_hop);
	REFUSED(twice);
#undef REFUSED
}

static void
frames_are_found_over_any_cut(void **state)
{
	size_t len = withdrawal("172.16.0.2", "10.0.0.0/8");
	struct spw_err err = {0};

	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(ctl_bmp_frame(message, cut, &err), 0);
	assert_int_equal(ctl_bmp_frame(message, len, &err), len);
	assert_int_equal(ctl_bmp_frame(message, len + 5, &err), len);
	message[0] = 2;
	assert_int_equal(ctl_bmp_frame(message, 1, &err), -EPROTO);
	message[0] = 3;
	spw_put_be32(message + 1, 5);
	assert_int_equal(ctl_bmp_frame(message, len, &err), -EPROTO);
	spw_put_be32(message + 1, CTL_BMP_MESSAGE + 1);
	assert_int_equal(ctl_bmp_frame(message, len, &err), -EPROTO);
	spw_put_be32(message + 1, 0xffffffff);
	assert_int_equal(ctl_bmp_frame(message, len, &err), -EPROTO);
}

/* ---- the rule ---- */

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

/* ---- the set, against an array ---- */

static struct spw_prefix
some_prefix(unsigned int *seed)
{
	struct spw_prefix p = {.addr.family = rand_r(seed) % 2 ? AF_INET : AF_INET6};
	bool v6 = p.addr.family == AF_INET6;

	/* Few bits that differ, so that they meet and contain each other. */
	p.addr.bytes[0] = v6 ? 0x20 : 10;
	p.addr.bytes[1] = (uint8_t)(rand_r(seed) % 4);
	p.addr.bytes[v6 ? 15 : 3] = (uint8_t)(rand_r(seed) % 8);
	p.len = (uint8_t)(rand_r(seed) % 4 == 0 ? 16
			  : v6			? 128 - rand_r(seed) % 4
						: 32 - rand_r(seed) % 4);
	return spw_prefix_masked(&p);
}

static void
count_visit(void *ctx, const struct spw_prefix *p)
{
	(*(size_t *)ctx)++;
}

static void
the_set_agrees_with_a_list(void **state)
{
	enum { MANY = 400 };
	static struct spw_prefix list[MANY];
	struct ctl_prefix_set set = {0};
	unsigned int seed = 7, n = 0;

	for (unsigned int step = 0; step < 40000; step++) {
		struct spw_prefix p = some_prefix(&seed);
		unsigned int at = 0;
		bool touches = false;
		size_t visited = 0;

		while (at < n && !spw_prefix_equal(&list[at], &p))
			at++;
		for (unsigned int i = 0; i < n; i++)
			touches |= spw_prefix_contains(&list[i], &p) ||
				   spw_prefix_contains(&p, &list[i]);
		assert_int_equal(ctl_prefix_set_has(&set, &p), at < n);
		assert_int_equal(ctl_prefix_set_touches(&set, &p), touches);
		if (rand_r(&seed) % 2 && n < MANY) {
			assert_int_equal(ctl_prefix_set_add(&set, &p), at == n);
			if (at == n)
				list[n++] = p;
		} else {
			assert_int_equal(ctl_prefix_set_del(&set, &p), at < n);
			if (at < n)
				list[at] = list[--n];
		}
		assert_int_equal(ctl_prefix_set_count(&set), n);
		if (step % 1000 == 0) {
			ctl_prefix_set_each(&set, count_visit, &visited);
			assert_int_equal(visited, n);
		}
	}
	ctl_prefix_set_clear(&set);
	assert_int_equal(ctl_prefix_set_count(&set), 0);
}

static void
a_million_prefixes_fit_in_sixteen_megabytes(void **state)
{
	struct ctl_prefix_set set = {0};

	for (uint32_t i = 0; i < 1100000; i++) {
		struct spw_prefix p = {.addr = spw_addr_v4(0x14000000 + (i << 8)), .len = 24};

		assert_true(ctl_prefix_set_add(&set, &p));
	}
	assert_int_equal(ctl_prefix_set_count(&set), 1100000);
	assert_true(set.slots4 * sizeof(set.v4[0]) <= 16u << 20);
	ctl_prefix_set_clear(&set);
}

/* ---- marks ---- */

static void
a_mark_holds_two_seconds_and_is_told_when_it_ends(void **state)
{
	static const char one, two;
	const struct ctl_bmp_neighbour *a = (const void *)&one, *b = (const void *)&two;
	struct ctl_bmp_marks *marks = ctl_bmp_marks_new();
	struct spw_prefix p = prefix("10.1.0.0/16"), q = prefix("10.2.0.0/16"), out;
	uint64_t t = 1000;

	assert_int_equal(ctl_bmp_marks_next_ns(marks), 0);
	assert_true(ctl_bmp_mark(marks, &p, a, t));
	assert_true(ctl_bmp_mark(marks, &p, b, t + 10));
	assert_true(ctl_bmp_mark(marks, &q, a, t + 20));
	assert_int_equal(ctl_bmp_marks_count(marks), 3);
	const struct ctl_bmp_neighbour *first = ctl_bmp_marked(marks, &p, NULL, t + 30);
	const struct ctl_bmp_neighbour *second = ctl_bmp_marked(marks, &p, first, t + 30);

	assert_true((first == a && second == b) || (first == b && second == a));
	assert_null(ctl_bmp_marked(marks, &p, second, t + 30));
	assert_true(ctl_bmp_unmark(marks, &p, b));
	assert_false(ctl_bmp_unmark(marks, &p, b));
	assert_int_equal(ctl_bmp_marks_next_ns(marks), t + CTL_BMP_MARK_NS);
	assert_null(ctl_bmp_marked(marks, &p, NULL, t + CTL_BMP_MARK_NS));
	assert_false(ctl_bmp_marks_expire(marks, t + CTL_BMP_MARK_NS - 1, &out));
	/* Marked anew: it lives anew. */
	assert_true(ctl_bmp_mark(marks, &p, a, t + 100));
	assert_true(ctl_bmp_marks_expire(marks, t + 50 + CTL_BMP_MARK_NS, &out));
	assert_true(spw_prefix_equal(&out, &q));
	assert_false(ctl_bmp_marks_expire(marks, t + 50 + CTL_BMP_MARK_NS, &out));
	assert_true(ctl_bmp_marks_expire(marks, t + 100 + CTL_BMP_MARK_NS, &out));
	assert_int_equal(ctl_bmp_marks_count(marks), 0);
	ctl_bmp_marks_free(marks);
}

/* ---- the station, without the rest of the runtime ---- */

static struct ctl_runtime rt;
static char dir[] = "/tmp/ctl-bmp-XXXXXX", book[64];

static int
station_start(void)
{
	struct spw_err err = {0};

	memset(&rt, 0, sizeof(rt));
	rt.base = event_base_new();
	if (ctl_ids_open(&rt.ids, book, &err) != 0 || ctl_rib_init(&rt.rib) != 0)
		return -1;
	return ctl_bmp_new(&rt);
}

static void
station_stop(void)
{
	ctl_bmp_free(&rt);
	ctl_rib_fini(&rt.rib);
	ctl_ids_close(rt.ids);
	event_base_free(rt.base);
}

static int
setup(void **state)
{
	spw_log_init("test", SPW_LOG_ERROR);
	if (!mkdtemp(dir))
		return -1;
	snprintf(book, sizeof(book), "%s/ids", dir);
	return station_start();
}

static int
teardown(void **state)
{
	station_stop();
	unlink(book);
	return rmdir(dir);
}

static int
dial(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(ctl_bmp_port(&rt)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

static void
turn(void)
{
	struct timeval tv = {.tv_usec = 20000};

	event_base_loopexit(rt.base, &tv);
	event_base_dispatch(rt.base);
}

static void
tell(int fd, size_t len)
{
	assert_int_equal(write(fd, message, len), (ssize_t)len);
}

static bool
is_closed(int fd)
{
	uint8_t b;

	turn();
	return recv(fd, &b, 1, MSG_DONTWAIT) == 0;
}

static const char *const peer = "172.16.0.2";

static enum ctl_bmp_word
gives(const char *text)
{
	struct spw_addr a = addr(peer);
	struct spw_prefix p = prefix(text);

	turn();
	return ctl_bmp_gives(&rt, &a, &p);
}

static bool
withdrawn(const char *text, const char *hop)
{
	struct spw_addr a = addr(hop);
	struct spw_prefix p = prefix(text);

	turn();
	return ctl_bmp_is_withdrawn(&rt, &p, &a);
}

static void
end_of_rib(int fd)
{
	static const uint8_t none[4];

	tell(fd, monitoring(peer, 0x40, none, 4));
}

static void
only_what_was_announced_can_be_withdrawn(void **state)
{
	struct spw_addr a = addr(peer);
	int fd = dial();
	uint32_t n = 9;

	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_UNKNOWN);
	tell(fd, peer_up(peer, -1, -1, 0));
	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_UNKNOWN);
	assert_false(ctl_bmp_count(&rt, &a, &n));
	tell(fd, withdrawal(peer, "10.1.0.0/16")); /* never announced */
	assert_false(withdrawn("10.1.0.0/16", peer));
	tell(fd, announcement(peer, "10.1.0.0/16", peer));
	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_YES);
	assert_int_equal(gives("10.1.2.0/24"), CTL_BMP_YES);
	assert_int_equal(gives("10.0.0.0/8"), CTL_BMP_YES);
	assert_int_equal(gives("10.2.0.0/16"), CTL_BMP_UNKNOWN);
	end_of_rib(fd);
	assert_int_equal(gives("10.2.0.0/16"), CTL_BMP_NO);
	assert_true(ctl_bmp_count(&rt, &a, &n));
	assert_int_equal(n, 1);
	assert_string_equal(ctl_bmp_cause(&rt, &a), "withdrawn");
	tell(fd, withdrawal(peer, "10.1.0.0/16"));
	assert_true(withdrawn("10.1.0.0/16", peer));
	assert_false(withdrawn("10.1.0.0/16", "172.16.0.6"));
	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_NO);
	tell(fd, announcement(peer, "10.1.0.0/16", peer));
	assert_false(withdrawn("10.1.0.0/16", peer));
	close(fd);
	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_UNKNOWN);
}

static void
a_mark_outlives_the_connection_but_not_two_seconds(void **state)
{
	int fd = dial();

	tell(fd, peer_up(peer, -1, -1, 0));
	tell(fd, announcement(peer, "10.7.0.0/16", peer));
	tell(fd, withdrawal(peer, "10.7.0.0/16"));
	assert_true(withdrawn("10.7.0.0/16", peer));
	close(fd);
	assert_true(withdrawn("10.7.0.0/16", peer));
	for (unsigned int i = 0; i < 110; i++)
		turn();
	assert_false(withdrawn("10.7.0.0/16", peer));
}

static void
next_hops_of_a_third_party_are_marked_with_their_prefix(void **state)
{
	int fd = dial();

	tell(fd, peer_up(peer, -1, -1, 0));
	tell(fd, announcement(peer, "10.8.0.0/16", "172.16.0.9"));
	tell(fd, withdrawal(peer, "10.8.0.0/16"));
	assert_true(withdrawn("10.8.0.0/16", "172.16.0.9"));
	tell(fd, announcement(peer, "10.9.0.0/16", "172.16.0.9"));
	tell(fd, peer_down(peer, 4, 0, 0));
	assert_true(withdrawn("10.9.0.0/16", "172.16.0.9"));
	assert_int_equal(gives("10.9.0.0/16"), CTL_BMP_NO);
	close(fd);
	turn();
}

static void
what_another_neighbour_still_gives_is_not_withdrawn(void **state)
{
	static const char *const other = "172.16.0.6", *const hop = "172.16.0.9";
	int fd = dial();

	tell(fd, peer_up(peer, -1, -1, 0));
	tell(fd, peer_up(other, -1, -1, 0));
	tell(fd, announcement(peer, "10.3.0.0/16", hop));
	tell(fd, announcement(other, "10.3.0.0/16", hop));
	tell(fd, withdrawal(peer, "10.3.0.0/16"));
	assert_false(withdrawn("10.3.0.0/16", hop));
	assert_true(withdrawn("10.3.0.0/16", peer));
	tell(fd, withdrawal(other, "10.3.0.0/16"));
	assert_true(withdrawn("10.3.0.0/16", hop));
	close(fd);
	turn();
}

static void
a_session_that_graceful_restart_keeps_withdraws_nothing(void **state)
{
	int fd = dial();

	tell(fd, peer_up(peer, 1, 1, 0));
	tell(fd, announcement(peer, "10.4.0.0/16", "172.16.0.9"));
	tell(fd, peer_down(peer, 4, 0, 0));
	assert_false(withdrawn("10.4.0.0/16", "172.16.0.9"));
	close(fd);
	turn();
}

static void
messages_may_come_in_any_pieces(void **state)
{
	uint8_t all[2048];
	size_t n = 0, len;
	int fd = dial();

	len = peer_up(peer, -1, -1, 0);
	memcpy(all, message, len);
	n += len;
	for (unsigned int i = 0; i < 8; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.%u.0.0/16", 20 + i);
		len = announcement(peer, text, peer);
		memcpy(all + n, message, len);
		n += len;
	}
	for (size_t at = 0; at < n; at += 7) {
		assert_true(write(fd, all + at, n - at < 7 ? n - at : 7) > 0);
		if (at % 5 == 0)
			event_base_loop(rt.base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(gives("10.20.0.0/16"), CTL_BMP_YES);
	assert_int_equal(gives("10.27.0.0/16"), CTL_BMP_YES);
	close(fd);
	turn();
}

static void
malformed_input_closes_the_connection_and_the_next_one_is_taken(void **state)
{
	int fd = dial();

	assert_false(is_closed(fd));
	assert_int_equal(write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
	assert_true(is_closed(fd));
	close(fd);
	fd = dial();
	tell(fd, peer_up(peer, -1, -1, 0));
	tell(fd, announcement(peer, "10.5.0.0/16", peer));
	assert_int_equal(gives("10.5.0.0/16"), CTL_BMP_YES);
	close(fd);
	turn();
}

/* Another user's process connects and is closed; bgpd's connection stands. */
static void
strangers_are_refused(void **state)
{
	int ours, status = 0;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	ours = dial();
	turn();
	pid = fork();
	if (pid == 0) {
		uint8_t b;

		if (setresuid(65534, 65534, 65534) != 0)
			_exit(1);
		int fd = dial();

		_exit(recv(fd, &b, 1, 0) == 0 ? 0 : 2);
	}
	for (unsigned int i = 0; i < 100 && waitpid(pid, &status, WNOHANG) == 0; i++)
		turn();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_false(is_closed(ours));
	assert_true(ctl_bmp_connected(&rt));
	close(ours);
	turn();
}

static void
the_newest_connection_wins(void **state)
{
	int old = dial(), fresh;

	turn();
	fresh = dial();
	assert_true(is_closed(old));
	assert_false(is_closed(fresh));
	assert_true(ctl_bmp_connected(&rt));
	close(old);
	close(fresh);
	turn();
	assert_false(ctl_bmp_connected(&rt));
}

static void
the_port_is_the_same_after_a_restart(void **state)
{
	uint16_t port = ctl_bmp_port(&rt);

	assert_int_not_equal(port, 0);
	station_stop();
	assert_int_equal(station_start(), 0);
	assert_int_equal(ctl_bmp_port(&rt), port);
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
		cmocka_unit_test(the_set_agrees_with_a_list),
		cmocka_unit_test(a_million_prefixes_fit_in_sixteen_megabytes),
		cmocka_unit_test(a_mark_holds_two_seconds_and_is_told_when_it_ends),
		cmocka_unit_test(only_what_was_announced_can_be_withdrawn),
		cmocka_unit_test(a_mark_outlives_the_connection_but_not_two_seconds),
		cmocka_unit_test(next_hops_of_a_third_party_are_marked_with_their_prefix),
		cmocka_unit_test(what_another_neighbour_still_gives_is_not_withdrawn),
		cmocka_unit_test(a_session_that_graceful_restart_keeps_withdraws_nothing),
		cmocka_unit_test(messages_may_come_in_any_pieces),
		cmocka_unit_test(malformed_input_closes_the_connection_and_the_next_one_is_taken),
		cmocka_unit_test(strangers_are_refused),
		cmocka_unit_test(the_newest_connection_wins),
		cmocka_unit_test(the_port_is_the_same_after_a_restart),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
