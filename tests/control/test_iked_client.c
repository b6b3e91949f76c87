/* SPDX-License-Identifier: BSD-3-Clause */
/* The client of ike.sock beside an iked that takes connections and answers nothing. */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/iked.h"

struct loop {
	uint64_t last_ns, blocked_ns; /* time in which the loop heard nothing */
};

static void
on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t now = spw_clock_ns();

	if (now - l->last_ns > 100 * SPW_NS_PER_MS)
		l->blocked_ns += now - l->last_ns;
	l->last_ns = now;
}

static int
listen_silently(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.100s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static void
one_that_does_not_answer_keeps_the_loop_from_little(void **state)
{
	struct timeval beat = {.tv_usec = 10000}, most = {.tv_usec = 600000};
	struct ctl_runtime *rt = calloc(1, sizeof(*rt));
	struct loop l = {0};
	char dir[] = "/tmp/ctl-iked-XXXXXX";

	assert_non_null(mkdtemp(dir));
	snprintf(rt->ike_path, sizeof(rt->ike_path), "%s/ike.sock", dir);
	int fd = listen_silently(rt->ike_path);

	rt->base = event_base_new();
	struct event *timer = event_new(rt->base, -1, EV_PERSIST, on_beat, &l);

	event_add(timer, &beat);
	assert_int_equal(ctl_iked_new(rt), 0);
	l.last_ns = spw_clock_ns();
	event_base_loopexit(rt->base, &most);
	event_base_dispatch(rt->base);
	on_beat(-1, 0, &l);
	assert_false(ctl_iked_connected(rt));
	assert_true(l.blocked_ns > 0);
	assert_true(l.blocked_ns < 500 * SPW_NS_PER_MS);
	event_free(timer);
	ctl_iked_free(rt);
	event_base_free(rt->base);
	close(fd);
	unlink(rt->ike_path);
	rmdir(dir);
	free(rt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_does_not_answer_keeps_the_loop_from_little),
	};

	spw_log_init("test", SPW_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
