/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: DPDK ports, probed and started at run time. */
#ifndef SPW_DATAPLANE_PORT_H
#define SPW_DATAPLANE_PORT_H

#include <rte_mempool.h>

#include "dataplane/path_bits.h"
#include "dataplane/tables.h"

struct dp_port_context {
	unsigned int n_workers;
	uint32_t mtu_max; /* IP bytes that a packet buffer holds */
	struct rte_mempool *pool;
	struct dp_path_bits *bits;
	struct dp_bell *bell; /* rung when the driver reports a link change */
	const char *run_dir;
};

/*
 * Probe the device, configure its queues and start it. The caller publishes the port and closes
 * it with dp_port_close(). On failure nothing is left behind. 0 or -errno with a sentence.
 * API thread.
 */
int dp_port_open(struct dp_port **port, const struct spw_dp_port *conf,
		 const struct dp_port_context *ctx, struct spw_err *err)
	__attribute__((warn_unused_result));
/* Stop and remove the device and free; no worker may know the port any more. API thread. */
void dp_port_close(struct dp_port *port);
/* Change the MTU of a running port. 0 or -errno with a sentence. API thread. */
int dp_port_set_mtu(struct dp_port *port, const struct spw_dp_port *conf,
		    const struct dp_port_context *ctx, struct spw_err *err)
	__attribute__((warn_unused_result));

/*
 * The driver or the kernel says that the link is up or down. Going down clears every path over the
 * port at once. API thread or the EAL's interrupt thread.
 */
void dp_port_link_driver(struct dp_port *port, bool up);
void dp_port_link_kernel(struct dp_port *port, bool up);
/* Ask drivers that do not interrupt. API thread, now and then. */
void dp_port_link_poll(struct dp_port *port);

#endif
