/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peer of a child SA is elsewhere now (RFC 7296 2.23): its outbound half gets another outer
 * header, the inbound half another address to compare with. The old header is freed when no worker
 * can hold it. Keys, numbers and windows stay as they are. API thread.
 */
#include <errno.h>
#include <rte_malloc.h>

#include "dataplane/sad_data.h"

static int
move_out(struct dp_sad *sad, struct dp_sa_out *out, const struct dp_outer_ends *ends,
	 struct spw_err *err)
{
	struct dp_outer *was = atomic_load_explicit(&out->outer, memory_order_relaxed);
	struct dp_outer *o = rte_malloc("dp_outer", sizeof(*o), 64);

	if (o == NULL)
		return spw_fail(err, -ENOMEM, "sa: out of memory");
	dp_outer_set(o, ends);
	/* Partners: write_run() in esp_seal.c, prepare() in esp_step.c. */
	atomic_store_explicit(&out->outer, o, memory_order_release);
	dp_sad_grace(sad);
	if (was != &out->first_outer)
		rte_free(was);
	return 0;
}

int
dp_sad_move(struct dp_sad *sad, const struct spw_dp_sa_move *move, struct spw_err *err)
{
	struct dp_child *c = dp_sad_child(sad, move->spi_in);
	struct dp_outer_ends ends;
	bool udp;
	int rc;

	if (c == NULL)
		return spw_fail(err, -ENOENT, "sa: none with SPI %08x", move->spi_in);
	udp = (c->flags & SPW_SA_UDP_ENCAP) != 0;
	rc = dp_outer_check(&c->local, &move->remote, "sa", err);
	if (rc < 0)
		return rc;
	if (udp && (move->local_port == 0 || move->remote_port == 0))
		return spw_fail(err, -EINVAL, "sa: UDP encapsulation without ports");
	ends = (struct dp_outer_ends){.local = c->local,
				      .remote = move->remote,
				      .local_port = udp ? move->local_port : 0,
				      .remote_port = udp ? move->remote_port : 0};
	if (c->out != NULL)
		rc = move_out(sad, c->out, &ends, err);
	if (rc < 0)
		return rc;
	/* Now: from here on no worker tells that the peer is there. */
	if (c->in != NULL)
		atomic_store_explicit(&c->in->remote, dp_peer_of(&move->remote, move->remote_port),
				      memory_order_relaxed);
	c->remote = move->remote;
	c->local_port = move->local_port;
	c->remote_port = move->remote_port;
	return 0;
}
