/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BMP station over its socket, without the rest of the runtime: what counts as withdrawn and
 * given, connections that end, strangers; and the marks of what was withdrawn by themselves.
 */
#include "control/bmp.h"

#include <arpa/inet.h>
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
#include "tests/control/bmp_bed.h"

/* ---- marks ---- */

static void
a_mark_holds_two_seconds_and_is_told_when_it_ends(void **state)
{
	static const char one, two;
	const struct ctl_bmp_neighbour *a = (const void *)&one, *b = (const void *)&two;
	struct ctl_bmp_marks *marks = ctl_bmp_marks_new();
	struct spw_prefix p = bmp_prefix("10.1.0.0/16"), q = bmp_prefix("10.2.0.0/16"), out;
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
	assert_int_equal(write(fd, bmp_message, len), (ssize_t)len);
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
	struct spw_addr a = bmp_addr(peer);
	struct spw_prefix p = bmp_prefix(text);

	turn();
	return ctl_bmp_gives(&rt, &a, &p);
}

static bool
withdrawn(const char *text, const char *hop)
{
	struct spw_addr a = bmp_addr(hop);
	struct spw_prefix p = bmp_prefix(text);

	turn();
	return ctl_bmp_is_withdrawn(&rt, &p, &a);
}

static void
end_of_rib(int fd)
{
	static const uint8_t none[4];

	tell(fd, bmp_monitoring(peer, 0x40, none, 4));
}

static void
only_what_was_announced_can_be_withdrawn(void **state)
{
	struct spw_addr a = bmp_addr(peer);
	int fd = dial();
	uint32_t n = 9;

	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_UNKNOWN);
	tell(fd, bmp_peer_up(peer, -1, -1, 0));
	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_UNKNOWN);
	assert_false(ctl_bmp_count(&rt, &a, &n));
	tell(fd, bmp_withdrawal(peer, "10.1.0.0/16")); /* never announced */
	assert_false(withdrawn("10.1.0.0/16", peer));
	tell(fd, bmp_announcement(peer, "10.1.0.0/16", peer));
	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_YES);
	assert_int_equal(gives("10.1.2.0/24"), CTL_BMP_YES);
	assert_int_equal(gives("10.0.0.0/8"), CTL_BMP_YES);
	assert_int_equal(gives("10.2.0.0/16"), CTL_BMP_UNKNOWN);
	end_of_rib(fd);
	assert_int_equal(gives("10.2.0.0/16"), CTL_BMP_NO);
	assert_true(ctl_bmp_count(&rt, &a, &n));
	assert_int_equal(n, 1);
	assert_string_equal(ctl_bmp_cause(&rt, &a), "withdrawn");
	tell(fd, bmp_withdrawal(peer, "10.1.0.0/16"));
	assert_true(withdrawn("10.1.0.0/16", peer));
	assert_false(withdrawn("10.1.0.0/16", "172.16.0.6"));
	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_NO);
	tell(fd, bmp_announcement(peer, "10.1.0.0/16", peer));
	assert_false(withdrawn("10.1.0.0/16", peer));
	close(fd);
	assert_int_equal(gives("10.1.0.0/16"), CTL_BMP_UNKNOWN);
}

static void
a_mark_outlives_the_connection_but_not_two_seconds(void **state)
{
	int fd = dial();

	tell(fd, bmp_peer_up(peer, -1, -1, 0));
	tell(fd, bmp_announcement(peer, "10.7.0.0/16", peer));
	tell(fd, bmp_withdrawal(peer, "10.7.0.0/16"));
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

	tell(fd, bmp_peer_up(peer, -1, -1, 0));
	tell(fd, bmp_announcement(peer, "10.8.0.0/16", "172.16.0.9"));
	tell(fd, bmp_withdrawal(peer, "10.8.0.0/16"));
	assert_true(withdrawn("10.8.0.0/16", "172.16.0.9"));
	tell(fd, bmp_announcement(peer, "10.9.0.0/16", "172.16.0.9"));
	tell(fd, bmp_peer_down(peer, 4, 0, 0));
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

	tell(fd, bmp_peer_up(peer, -1, -1, 0));
	tell(fd, bmp_peer_up(other, -1, -1, 0));
	tell(fd, bmp_announcement(peer, "10.3.0.0/16", hop));
	tell(fd, bmp_announcement(other, "10.3.0.0/16", hop));
	tell(fd, bmp_withdrawal(peer, "10.3.0.0/16"));
	assert_false(withdrawn("10.3.0.0/16", hop));
	assert_true(withdrawn("10.3.0.0/16", peer));
	tell(fd, bmp_withdrawal(other, "10.3.0.0/16"));
	assert_true(withdrawn("10.3.0.0/16", hop));
	close(fd);
	turn();
}

static void
a_session_that_graceful_restart_keeps_withdraws_nothing(void **state)
{
	int fd = dial();

	tell(fd, bmp_peer_up(peer, 1, 1, 0));
	tell(fd, bmp_announcement(peer, "10.4.0.0/16", "172.16.0.9"));
	tell(fd, bmp_peer_down(peer, 4, 0, 0));
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

	len = bmp_peer_up(peer, -1, -1, 0);
	memcpy(all, bmp_message, len);
	n += len;
	for (unsigned int i = 0; i < 8; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.%u.0.0/16", 20 + i);
		len = bmp_announcement(peer, text, peer);
		memcpy(all + n, bmp_message, len);
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
	tell(fd, bmp_peer_up(peer, -1, -1, 0));
	tell(fd, bmp_announcement(peer, "10.5.0.0/16", peer));
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
