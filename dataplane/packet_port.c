/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that came to a port and found no room, and how room is made.
 *
 * A worker that does not run for some milliseconds, because the core is shared, finds what came
 * meanwhile in the receive ring of its port; what the ring could not hold is lost, whatever it was.
 * The packets of a tunnel stand in the same ring as those of whoever floods us, and no rule can
 * prefer them there. So the ring must be deep: net_af_packet takes 512 frames of its own accord, a
 * millisecond of a burst; here it gets 8,192, unless the configuration names another number.
 *
 * What is lost is counted all the same, or packets would vanish without a reason: a NIC tells it
 * (imissed), net_af_packet of DPDK 22.11 does not. Its sockets belong to this process, so the
 * kernel is asked about them, PACKET_STATISTICS of packet(7), which starts at 0 again with each
 * reading: nobody else may read it. A lost frame was never received: it is in no worker's counters,
 * only under the reason `missed`.
 *
 * API thread.
 */
#include "dataplane/packet_port.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/spillway.h"

#define AF_PACKET_DRIVER "net_af_packet"
#define RING		 ",framecnt=8192"
#define BLOCKS		 ",framesz=2048,blocksz=65536"

/* Does an argument `word` (with comma and equals sign) stand in the device string? */
static bool
names(const char *devargs, const char *word)
{
	return strstr(devargs, word) != NULL;
}

int
dp_packet_devargs(const char *devargs, char *out, size_t size)
{
	bool ours = strncmp(devargs, AF_PACKET_DRIVER, strlen(AF_PACKET_DRIVER)) == 0 &&
		    !names(devargs, ",framecnt=");
	bool blocks = ours && !names(devargs, ",framesz=") && !names(devargs, ",blocksz=");
	int n = snprintf(out, size, "%s%s%s", devargs, blocks ? BLOCKS : "", ours ? RING : "");

	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* Is the descriptor a packet socket on this interface? */
static bool
listens_on(int fd, int ifindex)
{
	struct sockaddr_ll at = {0};
	socklen_t len = sizeof(at);

	return getsockname(fd, (struct sockaddr *)&at, &len) == 0 && at.sll_family == AF_PACKET &&
	       at.sll_ifindex == ifindex;
}

/* Packets that the kernel found no room for since it was last asked. */
static uint64_t
socket_missed(int fd)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);

	return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0 ? stats.tp_drops
										: 0;
}

void
dp_port_missed_begin(struct dp_port_missed *m, const char *kernel_name)
{
	int ifindex = (int)if_nametoindex(kernel_name);
	DIR *dir = ifindex > 0 ? opendir("/proc/self/fd") : NULL;
	const struct dirent *entry;

	while (dir && m->n < DP_PACKET_SOCKETS && (entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name);

		if (fd > 0 && listens_on(fd, ifindex))
			m->fd[m->n++] = fd;
	}
	if (dir)
		closedir(dir);
	for (unsigned int i = 0; i < m->n; i++)
		socket_missed(m->fd[i]);
}

void
dp_port_missed_renew(struct dp_port_missed *m, uint16_t dpdk_id)
{
	struct rte_eth_stats stats;
	uint64_t before = m->packets;

	for (unsigned int i = 0; i < m->n; i++)
		m->packets += socket_missed(m->fd[i]);
	if (m->n == 0 && rte_eth_stats_get(dpdk_id, &stats) == 0)
		m->packets = stats.imissed;
	if (m->packets != before)
		m->last_ns = spw_clock_ns();
}
