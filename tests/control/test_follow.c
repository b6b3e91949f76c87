/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel says, in bad moments: a reading that breaks off, a neighbour that the kernel does
 * not take, bgpd that dies in the middle. Over the real kernel in a namespace of its own, where
 * that is allowed; its answers can be withheld.
 */
#include <errno.h>
#include <event2/event.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/bmp_private.h"
#include "control/fib.h"
#include "control/pins.h"
#include "tests/control/kernel_bed.h"

static struct ctl_runtime *rt;
static struct ctl_iface ifaces[2];
static unsigned int silent_after; /* answers until the kernel falls silent; 0 = it does not */

ssize_t __real_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size);

ssize_t
__wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size)
{
	ssize_t n = __real_mnl_socket_recvfrom(nl, buf, size);

	if (silent_after == 0 || n < 0 || --silent_after > 0)
		return n;
	silent_after = 1;
	errno = EAGAIN;
	return -1;
}

static int
start(void **state)
{
	struct spw_err err = {0};

	/* Nothing of it has to be ours: without rights the kernel's own table is read. */
	if (geteuid() == 0 && unshare(CLONE_NEWNET) != 0)
		return -1;
	spw_log_init("test", SPW_LOG_ERROR + 1);
	rt = calloc(1, sizeof(*rt));
	rt->base = event_base_new();
	memset(ifaces, 0, sizeof(ifaces));
	for (unsigned int i = 0; i < 2; i++)
		ifaces[i] = (struct ctl_iface){.id = i + 1,
					       .ifindex = 7001 + i,
					       .keeper_fd = -1,
					       .enabled = true,
					       .keep = true,
					       .role = SPW_IF_ROLE_LAN};
	ifaces[0].next = &ifaces[1];
	rt->ifaces = ifaces;
	silent_after = 0;
	if (ctl_rib_init(&rt->rib) != 0 || ctl_pins_new(rt) != 0)
		return -1;
	return ctl_netlink_new(&rt->netlink, rt->base, &ctl_follow_handler, rt, &err);
}

static int
stop(void **state)
{
	ctl_netlink_free(rt->netlink);
	ctl_pins_free(rt);
	ctl_fib_free(rt);
	event_base_free(rt->base);
	free(rt);
	return 0;
}

static bool
has_route(const char *text)
{
	struct spw_prefix p = prefix(text);
	const struct ctl_rib_entry *e = ctl_rib_find(&rt->rib, &p);

	return e && e->routes;
}

static void
learn(const char *text)
{
	struct ctl_nl_route r = {.prefix = prefix(text),
				 .metric = 20,
				 .protocol = RTPROT_BGP,
				 .type = RTN_UNICAST,
				 .n_hops = 1,
				 .hop = {{.index = 7001, .weight = 1}}};

	r.hop[0].gateway = prefix("192.0.2.1").addr;
	ctl_follow_handler.route(rt, &r, false);
}

/* Whichever of the readings it is that breaks off. */
static void
a_reading_that_breaks_off_takes_nothing_away(void **state)
{
	struct ctl_nl_addr a = {.index = 7002, .prefix = prefix("192.0.2.2/24")};

	for (unsigned int answers = 1; answers <= 6; answers++) {
		learn("10.100.0.0/16");
		ctl_follow_handler.addr(rt, &a, false);
		silent_after = answers;
		ctl_netlink_resync(rt->netlink);
		assert_true(has_route("10.100.0.0/16"));
		assert_int_equal(ifaces[1].n_addresses, 1);
		assert_true(spw_prefix_equal(&ifaces[1].address[0], &a.prefix));
	}
}

static void
the_next_whole_one_comes_by_itself_and_sweeps(void **state)
{
	struct timeval most = {.tv_sec = 3};

	learn("10.100.0.0/16");
	silent_after = 6;
	ctl_netlink_resync(rt->netlink);
	assert_true(has_route("10.100.0.0/16"));
	silent_after = 0;
	event_base_loopexit(rt->base, &most);
	while (has_route("10.100.0.0/16") && !event_base_got_exit(rt->base))
		event_base_loop(rt->base, EVLOOP_ONCE);
	assert_false(has_route("10.100.0.0/16"));
}

/*
 * A route whose next hop nobody knows yet makes the kernel be asked for that, in the middle of the
 * reading; nothing of the reading is lost by it.
 */
static void
a_next_hop_that_is_asked_for_amid_a_reading_costs_no_route(void **state)
{
	char book[] = "/tmp/ctl-follow-XXXXXX", words[96];
	struct spw_err err = {0};

	if (geteuid() != 0)
		skip();
	ip("link add er0 type veth peer name er0p");
	ip("link set er0 up");
	ip("link set er0p up");
	ip("addr add 172.16.0.1/29 dev er0");
	for (unsigned int i = 0; i < 8; i++) {
		snprintf(words, sizeof(words), "route add 10.%u.0.0/16 via 172.16.0.%u dev er0",
			 100 + i, 2 + i % 4);
		ip(words);
	}
	close(mkstemp(book));
	assert_int_equal(ctl_ids_open(&rt->ids, book, &err), 0);
	ifaces[0].ifindex = if_nametoindex("er0");
	ifaces[0].role = SPW_IF_ROLE_EXPRESSROUTE;
	ctl_netlink_resync(rt->netlink);
	for (unsigned int i = 0; i < 8; i++) {
		snprintf(words, sizeof(words), "10.%u.0.0/16", 100 + i);
		assert_true(has_route(words));
	}
	assert_true(rt->paths != NULL && rt->neighbours != NULL);
	ctl_neighbours_forget(rt, &ifaces[0]);
	while (rt->paths)
		ctl_path_free(rt, rt->paths);
	ctl_ids_close(rt->ids);
	unlink(book);
}

/* A scan of a network whose neighbour table is full: the kernel refuses, nothing stays here. */
static void
a_neighbour_that_the_kernel_does_not_take_is_not_kept(void **state)
{
	struct spw_addr a = prefix("10.1.0.0").addr;

	for (unsigned int i = 1; i < 200; i++) {
		a.bytes[3] = (uint8_t)i;
		ctl_neighbour_want(rt, &ifaces[0], &a);
		assert_null(ctl_neighbour_find(rt, &ifaces[0], &a));
	}
}

/*
 * The end of bgpd's connection is found in the middle of a sweep: entries of the table must not be
 * evaluated, and so removed, before the sweep is through.
 */
static void
an_end_of_bgpd_that_a_sweep_finds_waits_for_the_sweeps_end(void **state)
{
	struct spw_prefix gone = prefix("10.101.0.0/16");
	struct ctl_bmp *bmp = calloc(1, sizeof(*bmp));
	struct ctl_bmp_neighbour n = {.told = true, .up = true};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	close(pair[1]);
	*bmp = (struct ctl_bmp){
		.listener = -1, .fd = pair[0], .looked_ns = 1, .neighbours = &n, .dirty = true};
	bmp->marks = ctl_bmp_marks_new();
	bmp->readable = event_new(rt->base, pair[0], EV_READ, NULL, NULL);
	bmp->expiry = event_new(rt->base, -1, 0, ctl_bmp_on_expiry, rt);
	rt->config.bgp.graceful_restart = true;
	n.addr = prefix("192.0.2.1").addr;
	learn("10.100.0.0/16");
	ctl_fib_dirty_entry(rt, ctl_rib_get(&rt->rib, &gone)); /* goes with the next evaluation */
	rt->bmp = bmp;
	rt->configured = true;
	ctl_follow_handler.resync_begin(rt);
	ctl_follow_handler.resync_end(rt, true);
	assert_non_null(ctl_rib_find(&rt->rib, &gone));
	assert_true(has_route("10.100.0.0/16")); /* retained: bgpd restarts */
	rt->configured = false;
	rt->bmp = NULL;
	event_free(bmp->readable);
	event_free(bmp->expiry);
	close(pair[0]);
	ctl_bmp_marks_free(bmp->marks);
	free(bmp);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_reading_that_breaks_off_takes_nothing_away, start,
						stop),
		cmocka_unit_test_setup_teardown(the_next_whole_one_comes_by_itself_and_sweeps,
						start, stop),
		cmocka_unit_test_setup_teardown(
			a_next_hop_that_is_asked_for_amid_a_reading_costs_no_route, start, stop),
		cmocka_unit_test_setup_teardown(
			a_neighbour_that_the_kernel_does_not_take_is_not_kept, start, stop),
		cmocka_unit_test_setup_teardown(
			an_end_of_bgpd_that_a_sweep_finds_waits_for_the_sweeps_end, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
