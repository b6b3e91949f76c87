/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports over packet sockets: which rings they ask for, and that the kernel is asked what was lost.
 * The second half needs a network namespace of its own, so it is left out without root.
 */
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>

#include "dataplane/packet_port.h"

#define SENT 2000

static void
only_rings_that_nobody_named_are_made_deep(void **state)
{
	static const struct {
		const char *given, *want;
	} rows[] = {
		{"net_af_packet0,iface=eth0",
		 "net_af_packet0,iface=eth0,framesz=2048,blocksz=65536,framecnt=8192"},
		{"net_af_packet1,iface=e,qdisc_bypass=1",
		 "net_af_packet1,iface=e,qdisc_bypass=1,framesz=2048,blocksz=65536,framecnt=8192"},
		{"net_af_packet0,iface=e,framecnt=512", "net_af_packet0,iface=e,framecnt=512"},
		{"net_af_packet0,iface=e,blocksz=4096",
		 "net_af_packet0,iface=e,blocksz=4096,framecnt=8192"},
		{"net_af_packet0,iface=e,framesz=4096",
		 "net_af_packet0,iface=e,framesz=4096,framecnt=8192"},
		{"net_af_xdp0,iface=eth0", "net_af_xdp0,iface=eth0"},
		{"0000:03:00.0", "0000:03:00.0"},
		{"", ""},
	};
	char out[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(dp_packet_devargs(rows[i].given, out, sizeof(out)), 0);
		assert_string_equal(out, rows[i].want);
	}
	assert_int_equal(dp_packet_devargs("net_af_packet0,iface=e", out, 40), -ENAMETOOLONG);
}

static void
loopback_up(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	close(fd);
}

/* A packet socket on loopback that nobody reads and that has little room. */
static int
unread(void)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), bytes = 4096;

	at.sll_ifindex = (int)if_nametoindex("lo");
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void
send_some(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (unsigned int i = 0; i < SENT; i++)
		sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
	close(fd);
}

static void
what_the_kernel_found_no_room_for_is_counted_once(void **state)
{
	struct dp_port_missed m = {0};
	uint64_t first;
	int fd;

	if (unshare(CLONE_NEWNET) != 0)
		skip();
	loopback_up();
	fd = unread();
	send_some(); /* before anybody counts */
	dp_port_missed_begin(&m, "lo");
	assert_int_equal(m.n, 1);
	assert_int_equal(m.fd[0], fd);
	dp_port_missed_renew(&m, 0);
	assert_int_equal(m.packets, 0);
	assert_int_equal(m.last_ns, 0);
	send_some();
	dp_port_missed_renew(&m, 0);
	first = m.packets;
	assert_true(first >= SENT);
	assert_true(m.last_ns > 0);
	dp_port_missed_renew(&m, 0);
	assert_int_equal(m.packets, first);
	send_some();
	dp_port_missed_renew(&m, 0);
	assert_int_equal(m.packets, 2 * first);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_rings_that_nobody_named_are_made_deep),
		cmocka_unit_test(what_the_kernel_found_no_room_for_is_counted_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
