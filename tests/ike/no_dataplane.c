/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The world of an engine whose data plane is nothing: for peers that are there to load somebody
 * else, and for tests in which nothing is ever installed. There is no state here, so any thread may
 * use it.
 */
#include "tests/ike/no_dataplane.h"

#include <stdlib.h>
#include <sys/random.h>

static void
op_random(void *ctx, void *buf, size_t len)
{
	if (getrandom(buf, len, 0) != (ssize_t)len)
		abort();
}

static void
op_spi_free(void *ctx, uint32_t tunnel, uint32_t spi)
{
}

static int
op_sa_install(void *ctx, const struct spw_sa_desc *sa, bool outbound)
{
	return 0;
}

static int
op_sa_switch(void *ctx, uint32_t spi_in)
{
	return 0;
}

static int
op_sa_delete(void *ctx, uint32_t spi_in, uint32_t parts)
{
	return 0;
}

static int
op_sa_move(void *ctx, uint32_t spi_in, const struct spw_addr *remote, uint16_t remote_port,
	   uint16_t local_port)
{
	return 0;
}

static uint64_t
op_last_inbound(void *ctx, uint32_t tunnel)
{
	return 0;
}

static void
op_tunnel_event(void *ctx, const struct spw_ike_tunnel_event *ev)
{
}

struct ike_ops
no_dataplane_ops(void)
{
	return (struct ike_ops){.random = op_random,
				.spi_free = op_spi_free,
				.sa_install = op_sa_install,
				.sa_switch = op_sa_switch,
				.sa_delete = op_sa_delete,
				.sa_move = op_sa_move,
				.last_inbound = op_last_inbound,
				.tunnel_event = op_tunnel_event};
}
