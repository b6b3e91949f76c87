/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VLAN or QinQ sub-interface in user space, for kernels without VLAN devices.
 *
 * On a parent device frames carry --vlan (and, below it, --inner); --name is a TAP without tags,
 * with the parent's MAC address. What arrives on the parent with exactly these tags goes to the
 * TAP, what the host sends on the TAP goes out of the parent tagged; anything else on the parent is
 * none of ours. Both tags are of type 0x8100, as on ExpressRoute. The kernel takes the outer tag of
 * a received frame into its metadata (PACKET_AUXDATA) and leaves the inner one in the data.
 *
 * The TAP follows the parent's carrier, by rtnetlink, so that a router on it sees a lost link as on
 * a real sub-interface. One thread, one poll; SIGTERM ends it, and the TAP with it.
 */
#include "tests/tools/tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX 9216
#define MACS	  12 /* bytes of the two addresses */
#define TAG	  4
#define BURST	  64 /* frames of one side before the other is looked at */

struct vlantap {
	const char *parent;
	const char *name;
	uint16_t vlan, inner; /* inner 0: a single tag */
	int wire, tap, links;
	int parent_index;
};

static int
packet_socket(const struct vlantap *v)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	int on = 1, bytes = 8 << 20;
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = v->parent_index};

	if (fd < 0)
		tool_die("socket(AF_PACKET)");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
		tool_die(v->parent);
	return fd;
}

/* The TAP, with the parent's MAC address, administratively down as all new devices. */
static int
tap_open(const struct vlantap *v)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq tap = {.ifr_flags = IFF_TAP | IFF_NO_PI}, mac = {0};

	if (fd < 0)
		tool_die("/dev/net/tun");
	snprintf(tap.ifr_name, sizeof(tap.ifr_name), "%s", v->name);
	if (ioctl(fd, TUNSETIFF, &tap) != 0)
		tool_die(v->name);
	snprintf(mac.ifr_name, sizeof(mac.ifr_name), "%s", v->parent);
	if (ioctl(v->wire, SIOCGIFHWADDR, &mac) != 0)
		tool_die(v->parent);
	if (ioctl(fd, SIOCSIFHWADDR, &mac) != 0)
		tool_die(v->name);
	return fd;
}

static int
links_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};

	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
		tool_die("rtnetlink");
	return fd;
}

/* The carrier of the parent as it is now, given to the TAP. */
static void
carrier_follow(const struct vlantap *v)
{
	struct ifreq flags = {0};
	int up;

	snprintf(flags.ifr_name, sizeof(flags.ifr_name), "%s", v->parent);
	if (ioctl(v->wire, SIOCGIFFLAGS, &flags) != 0)
		tool_die(v->parent);
	up = (flags.ifr_flags & IFF_RUNNING) != 0;
	if (ioctl(v->tap, TUNSETCARRIER, &up) != 0)
		tool_die("TUNSETCARRIER");
}

/* Whatever link it was: the state itself is asked for, so that a lost message does no harm. */
static void
links_read(const struct vlantap *v)
{
	static uint8_t data[32768];

	while (recv(v->links, data, sizeof(data), 0) > 0 || errno == ENOBUFS)
		;
	carrier_follow(v);
}

/* The TCI that the kernel took off a frame; -1 = there was none. */
static int
outer_tci(struct msghdr *msg)
{
	struct cmsghdr *c;
	struct tpacket_auxdata aux;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		return (aux.tp_status & TP_STATUS_VLAN_VALID) != 0 ? aux.tp_vlan_tci : -1;
	}
	return -1;
}

static uint16_t
get_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Take the inner tag out when it is ours; the new length, 0 = not ours. */
static size_t
inner_take(const struct vlantap *v, uint8_t *frame, size_t length)
{
	if (v->inner == 0)
		return length;
	if (length < MACS + TAG + 2 || get_u16(frame + MACS) != ETH_P_8021Q ||
	    (get_u16(frame + MACS + 2) & 0xfff) != v->inner)
		return 0;
	memmove(frame + MACS, frame + MACS + TAG, length - MACS - TAG);
	return length - TAG;
}

static void
from_wire(const struct vlantap *v)
{
	static uint8_t frame[FRAME_MAX];
	uint8_t control[64];

	for (unsigned int i = 0; i < BURST; i++) {
		struct iovec iov = {.iov_base = frame, .iov_len = sizeof(frame)};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control,
				     .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(v->wire, &msg, 0);
		size_t length;

		if (n <= 0)
			return;
		if (outer_tci(&msg) < 0 || (outer_tci(&msg) & 0xfff) != v->vlan)
			continue;
		length = inner_take(v, frame, (size_t)n);
		if (length != 0 && write(v->tap, frame, length) < 0 && errno != EIO &&
		    errno != EAGAIN)
			tool_die(v->name);
	}
}

static void
tag_put(uint8_t *at, uint16_t vlan)
{
	at[0] = ETH_P_8021Q >> 8;
	at[1] = ETH_P_8021Q & 0xff;
	at[2] = (uint8_t)(vlan >> 8);
	at[3] = (uint8_t)vlan;
}

static void
from_tap(const struct vlantap *v)
{
	static uint8_t frame[FRAME_MAX];
	const size_t room = v->inner != 0 ? 2 * TAG : TAG;

	for (unsigned int i = 0; i < BURST; i++) {
		/* Read behind the room for the tags, then move the addresses to the front. */
		ssize_t n = read(v->tap, frame + room, sizeof(frame) - room);

		if (n < MACS)
			return;
		memmove(frame, frame + room, MACS);
		tag_put(frame + MACS, v->vlan);
		if (v->inner != 0)
			tag_put(frame + MACS + TAG, v->inner);
		if (send(v->wire, frame, (size_t)n + room, 0) < 0 && errno != ENETDOWN &&
		    errno != ENOBUFS && errno != EAGAIN)
			tool_die(v->parent);
	}
}

static void
run(const struct vlantap *v)
{
	struct pollfd ready[] = {{.fd = v->wire, .events = POLLIN},
				 {.fd = v->tap, .events = POLLIN},
				 {.fd = v->links, .events = POLLIN}};

	while (!tool_stopping()) {
		if (poll(ready, 3, 200) <= 0)
			continue;
		if (ready[0].revents & (POLLIN | POLLERR))
			from_wire(v);
		if (ready[1].revents & POLLIN)
			from_tap(v);
		if (ready[2].revents & POLLIN)
			links_read(v);
	}
}

static _Noreturn void
usage(void)
{
	fputs("usage: vlantap --parent DEVICE --name TAP --vlan ID [--inner ID]\n", stderr);
	exit(2);
}

static void
parse_options(int argc, char **argv, struct vlantap *v)
{
	static const struct option names[] = {
		{"parent", required_argument, NULL, 'p'},
		{"name", required_argument, NULL, 'n'},
		{"vlan", required_argument, NULL, 'v'},
		{"inner", required_argument, NULL, 'i'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'p': v->parent = optarg; break;
		case 'n': v->name = optarg; break;
		case 'v': v->vlan = (uint16_t)tool_parse_number("--vlan", optarg, 1, 4094); break;
		case 'i': v->inner = (uint16_t)tool_parse_number("--inner", optarg, 1, 4094); break;
		default: usage();
		}
	}
	if (v->parent == NULL || v->name == NULL || v->vlan == 0)
		usage();
}

int
main(int argc, char **argv)
{
	struct vlantap v = {0};

	parse_options(argc, argv, &v);
	tool_catch_stop();
	v.parent_index = (int)if_nametoindex(v.parent);
	if (v.parent_index == 0)
		tool_die(v.parent);
	v.wire = packet_socket(&v);
	v.tap = tap_open(&v);
	v.links = links_open();
	carrier_follow(&v);
	puts("ready");
	fflush(stdout);
	run(&v);
	close(v.links);
	close(v.tap);
	close(v.wire);
	return 0;
}
