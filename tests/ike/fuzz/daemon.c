/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bed of the fuzz targets of the daemon's sockets.
 *
 * Each run has a daemon of its own, event loop, escrow and all, in this process; privileges and
 * sandbox are left out, for libFuzzer needs what they take. Descriptors are counted before and
 * after. The loop waits for nothing but key exchanges, which one more thread computes.
 */
#include "tests/ike/fuzz/daemon.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned int fds_before;

void
fuzz_daemon_broken(const char *what)
{
	fprintf(stderr, "INVARIANT: %s\n", what);
	abort();
}

static unsigned int
fds_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct iked *d = arg;

	if (d->engine)
		(void)ike_engine_tick(d->engine, spw_clock_ns());
	iked_engine_settle(d);
}

void
fuzz_daemon_begin(struct iked *d)
{
	struct spw_err err = {0};

	spw_log_init("fuzz", SPW_LOG_ERROR);
	if (spw_secret_init() != 0)
		fuzz_daemon_broken("libsodium does not start");
	fds_before = fds_count();
	*d = (struct iked){.listen_fd = -1,
			   .escrow = {.fd = -1},
			   .dp = {.client.fd = -1, .event_fd = -1},
			   .control_uid = geteuid()};
	snprintf(d->dp.path, sizeof(d->dp.path), "/nonexistent/dataplane.sock");
	d->base = event_base_new();
	d->tick = evtimer_new(d->base, on_tick, d);
	if (!d->base || !d->tick || iked_escrow_make(&d->escrow, false, &err) != 0)
		fuzz_daemon_broken(err.text[0] ? err.text : "no event loop");
	if (iked_dataplane_start(d, &err) != 0 || iked_udp_start(d) != 0 ||
	    iked_dh_start(d, 1, &err) != 0)
		fuzz_daemon_broken(err.text);
}

void
fuzz_daemon_turn(struct iked *d)
{
	for (int i = 0; i < 3; i++)
		event_base_loop(d->base, EVLOOP_NONBLOCK);
	while (d->strangers.n > 0 || iked_dh_pool_waiting(d->dh_pool) > 0)
		event_base_loop(d->base, EVLOOP_ONCE);
}

void
fuzz_daemon_end(struct iked *d)
{
	iked_dh_pool_stop(d->dh_pool);
	iked_udp_stop(d);
	ike_engine_free(d->engine);
	iked_dh_pool_free(d->dh_pool);
	if (ike_escrow_used(d->escrow.store) != 0)
		fuzz_daemon_broken("records are left in escrow");
	iked_escrow_close(&d->escrow);
	iked_dataplane_stop(d);
	iked_conns_clear(&d->conns);
	free(d->news);
	event_free(d->dh_done);
	event_free(d->tick);
	event_base_free(d->base);
	if (fds_count() != fds_before)
		fuzz_daemon_broken("a descriptor is left open");
}

struct spw_ike_conn
fuzz_conn(void)
{
	struct spw_ike_conn c = {.name = "tun",
				 .tunnel = 7,
				 .generation = 1,
				 .local = spw_addr_v4(0x7f000001),
				 .remote = spw_addr_v4(0x7f000002),
				 .mode = SPW_IKE_MODE_RESPOND,
				 .psk_len = 20,
				 .psk = "a shared secret, long",
				 .n_ike = 1,
				 .ike = {{.encr = SPW_ENCR_AES256_GCM,
					  .prf = SPW_PRF_HMAC_SHA256,
					  .group = SPW_GROUP_ECP256}},
				 .n_esp = 1,
				 .esp = {{.encr = SPW_ENCR_AES256_GCM}},
				 .dpd_delay_s = 15,
				 .dpd_timeout_s = 30,
				 .nat_keepalive_s = 20,
				 .replay_window = 4096,
				 .n_local = 1,
				 .n_remote = 1};

	c.sel_local[0] = c.sel_remote[0] = (struct spw_selector){
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
	return c;
}

void
fuzz_patch(void *what, size_t size, const uint8_t *patches, size_t len)
{
	for (size_t at = 0; at + 3 <= len && size > 0; at += 3)
		((uint8_t *)what)[spw_get_be16(patches + at) % size] = patches[at + 2];
}
