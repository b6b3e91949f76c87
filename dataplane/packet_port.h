/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what a port over a kernel interface needs beyond its driver; lost frames.
 */
#ifndef SPW_DATAPLANE_PACKET_PORT_H
#define SPW_DATAPLANE_PACKET_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_PACKET_SOCKETS 16 /* what net_af_packet has at most */

/* What came to a port and was never received. API thread. */
struct dp_port_missed {
	int fd[DP_PACKET_SOCKETS]; /* the driver's packet sockets, borrowed */
	unsigned int n;
	uint64_t packets;
	uint64_t last_ns; /* when `packets` was last seen to grow; 0 = never */
};

/*
 * Name rings deep enough for a worker that is away for some milliseconds, where the device is
 * net_af_packet and its arguments leave that to us. Any other device stays as it is.
 * @out  receives the device string, of `size` bytes; 0 or -ENAMETOOLONG
 */
int dp_packet_devargs(const char *devargs, char *out, size_t size)
	__attribute__((warn_unused_result));
/*
 * Find the packet sockets that the driver of a started port has on a kernel interface. They count
 * from now on. API thread.
 */
void dp_port_missed_begin(struct dp_port_missed *m, const char *kernel_name);
/*
 * Bring the count up to date. API thread.
 * @dpdk_id   the port
 */
void dp_port_missed_renew(struct dp_port_missed *m, uint16_t dpdk_id);

#endif
