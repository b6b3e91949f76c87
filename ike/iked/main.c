/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spillway-iked: the IKEv2 daemon. Everything that is not input or output is the engine's
 * (ike/ike.h); here are the order of start, the event loop and the order of stop.
 *
 * Start: options, who to become, limits, the listening socket, privileges dropped, self-test of the
 * cryptography, the escrow's memory, the data plane, the threads for key exchanges, the sandbox,
 * ready. From then on nothing needs
 * root. The UDP sockets, the escrow of an earlier instance and the connections come from controld
 * over ike.sock, after a restart as after a first start; SAs in the data plane are left alone and
 * go on carrying traffic meanwhile.
 *
 * Hand over (SIGUSR1): exit 75 (to be started again) without a word to peers or data plane; the
 * next instance finds the IKE SAs in escrow. Stop (SIGTERM, SIGINT): a Delete to every peer, a
 * moment for the answers, exit 0. One event loop on one thread, which never waits for a key
 * exchange (dh_pool.c); all secrets in guarded memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ike/crypto.h"
#include "ike/iked/iked.h"
#include "ike/iked/sandbox.h"

#define AREA	     "main"
#define STOP_LOOK_MS 50

static void
state_log(struct iked_conn *c, const struct spw_ike_status *row)
{
	char reason[2 * SPW_IKE_STATE_TEXT], addr[SPW_ADDR_TEXT];
	size_t len = strnlen(row->reason, sizeof(row->reason));

	if (c->state == row->state && strncmp(c->reason, row->reason, sizeof(c->reason)) == 0)
		return;
	spw_log(len > 0 && row->state != SPW_IKE_ESTABLISHED ? SPW_LOG_WARNING : SPW_LOG_INFO,
		"ike", "state", "name=%s remote=%s old=%s new=%s cause=\"%s\"", c->name,
		spw_addr_format(&row->remote, addr), iked_state_name(c->state),
		iked_state_name(row->state),
		spw_text_escape(reason, sizeof(reason), row->reason, len));
	c->state = row->state;
	memcpy(c->reason, row->reason, sizeof(c->reason));
}

static void
state_follow(struct iked *d, const struct spw_ike_status *row, uint64_t now)
{
	struct iked_conn *c = iked_conns_find(&d->conns, row->name);

	if (!c)
		return;
	state_log(c, row);
	iked_conn_sent(c, iked_sas_sent(&d->dp.sas, c->tunnel), now);
	if (iked_conn_keepalive(c, row->nat_here && row->children > 0, now))
		iked_udp_keepalive(d, &row->local, &row->remote, (uint16_t)row->remote_port);
}

static void
rows_walk(struct iked *d, uint64_t now)
{
	size_t n;
	struct spw_ike_status *rows = iked_engine_rows(d, &n);

	for (size_t i = 0; i < n; i++)
		state_follow(d, &rows[i], now);
	free(rows);
}

/* A tunnel that only orphans carried has lost the last of them. */
static void
carriers_check(struct iked *d, uint64_t now)
{
	for (size_t i = 0; i < d->conns.n; i++) {
		struct iked_conn *c = &d->conns.conn[i];
		struct spw_ike_tunnel_event ev = {
			.tunnel = c->tunnel,
			.at_ns = now,
			.reason = "the child SA of an earlier instance ended"};

		if (!c->orphaned || iked_sas_carrying(&d->dp.sas, c->tunnel) > 0)
			continue;
		c->orphaned = false;
		c->up = false;
		memcpy(ev.name, c->name, sizeof(ev.name));
		iked_tunnel_tell(d, &ev);
	}
}

static void
on_second(evutil_socket_t fd, short what, void *arg)
{
	struct iked *d = arg;
	uint64_t now = spw_clock_ns();

	rows_walk(d, now);
	carriers_check(d, now);
	iked_orphans_reap(d, now);
	iked_udp_reap(d);
	spw_notify("WATCHDOG=1");
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct iked *d = arg;

	if (d->engine)
		(void)ike_engine_tick(d->engine, spw_clock_ns());
	iked_engine_settle(d);
}

static bool
closing_left(const struct iked *d)
{
	size_t n;
	struct spw_ike_status *rows = iked_engine_rows(d, &n);
	bool left = false;

	for (size_t i = 0; i < n; i++)
		left |= rows[i].state == SPW_IKE_CLOSING;
	free(rows);
	return left;
}

static void
on_stop_look(evutil_socket_t fd, short what, void *arg)
{
	struct iked *d = arg;

	if (!closing_left(d) || spw_clock_ns() >= d->stop_by_ns)
		event_base_loopbreak(d->base);
}

static void
on_stop(evutil_socket_t signal, short what, void *arg)
{
	struct timeval look = {0, STOP_LOOK_MS * 1000};
	struct iked *d = arg;

	if (d->stop_by_ns != 0) { /* asked twice */
		event_base_loopbreak(d->base);
		return;
	}
	spw_log(SPW_LOG_INFO, AREA, "stopping", "signal=%d", (int)signal);
	spw_notify("STOPPING=1");
	d->stop_by_ns = spw_clock_ns() + IKED_STOP_MS * SPW_NS_PER_MS;
	if (d->engine)
		ike_engine_shutdown(d->engine, spw_clock_ns());
	iked_engine_settle(d);
	event_add(d->stop_end, &look);
}

/* Leave as a kill would, but with everything recorded and said: the next instance goes on. */
static void
on_hand_over(evutil_socket_t signal, short what, void *arg)
{
	struct iked *d = arg;

	if (!d->escrow.kept)
		spw_log(SPW_LOG_WARNING, AREA, "not-kept",
			"cause=\"nobody keeps the escrow; the next instance makes new IKE SAs\"");
	spw_log(SPW_LOG_INFO, AREA, "handing-over", "records=%u",
		d->escrow.store ? ike_escrow_used(d->escrow.store) : 0);
	d->handing_over = true;
	event_base_loopbreak(d->base);
}

static int
events_make(struct iked *d, struct spw_err *err)
{
	struct event_config *config = event_config_new();
	struct timeval second = {1, 0};

	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER |
							    EVENT_BASE_FLAG_NO_CACHE_TIME) == 0)
		d->base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	if (!d->base)
		return spw_fail(err, -ENOMEM, "no event loop can be made");
	d->tick = evtimer_new(d->base, on_tick, d);
	d->second = event_new(d->base, -1, EV_PERSIST, on_second, d);
	d->stop[0] = evsignal_new(d->base, SIGTERM, on_stop, d);
	d->stop[1] = evsignal_new(d->base, SIGINT, on_stop, d);
	d->hand_over = evsignal_new(d->base, SIGUSR1, on_hand_over, d);
	d->stop_end = event_new(d->base, -1, EV_PERSIST, on_stop_look, d);
	if (!d->tick || !d->second || !d->stop[0] || !d->stop[1] || !d->stop_end || !d->hand_over ||
	    event_add(d->hand_over, NULL) < 0 || event_add(d->second, &second) < 0 ||
	    event_add(d->stop[0], NULL) < 0 || event_add(d->stop[1], NULL) < 0)
		return spw_fail(err, -ENOMEM, "no memory for events");
	return 0;
}

static void
events_free(struct iked *d)
{
	struct event *all[] = {d->tick,	    d->second,	  d->stop[0], d->stop[1],
			       d->stop_end, d->hand_over, d->dh_done};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i])
			event_free(all[i]);
	if (d->base)
		event_base_free(d->base);
}

/* What needs root, then root no more. */
static int
start_as_root(struct iked *d, const struct iked_options *o, struct spw_err *err)
{
	struct iked_identity id;
	int rc = iked_identity_find(&id, o->user, err);

	if (rc == 0)
		rc = iked_uid_find(&d->control_uid, o->control_user, err);
	if (rc == 0)
		rc = iked_limits_set(err);
	if (rc == 0)
		rc = iked_server_listen(d, o->run_dir, id.group, err);
	if (rc == 0)
		rc = iked_privilege_drop(&id, err);
	return rc;
}

static int
start(struct iked *d, const struct iked_options *o, struct spw_err *err)
{
	int rc;

	if (spw_secret_init() != 0)
		return spw_fail(err, -EIO, "libsodium cannot start");
	rc = start_as_root(d, o, err);
	if (rc == 0)
		rc = ike_crypto_self_test(err);
	if (rc == 0)
		rc = events_make(d, err);
	if (rc != 0)
		return rc;
	randombytes_buf(&d->instance, sizeof(d->instance));
	if ((size_t)snprintf(d->dp.path, sizeof(d->dp.path), "%s/dataplane.sock", o->run_dir) >=
	    sizeof(d->dp.path))
		return spw_fail(err, -ENAMETOOLONG, "--run-dir '%.60s' is too long", o->run_dir);
	if (iked_escrow_make(&d->escrow, true, err) != 0)
		spw_log(SPW_LOG_WARNING, AREA, "no-escrow", "cause=\"%s\"", err->text);
	else
		spw_log(SPW_LOG_INFO, AREA, "escrow", "secret=%d slots=%u", d->escrow.secret,
			ike_escrow_slots(d->escrow.store));
	rc = iked_dataplane_start(d, err);
	if (rc == 0 && iked_server_start(d) != 0)
		rc = spw_fail(err, -ENOMEM, "no memory for the server");
	if (rc == 0 && iked_udp_start(d) != 0)
		rc = spw_fail(err, -ENOMEM, "no memory for the sockets");
	if (rc == 0)
		rc = iked_dh_start(d, o->dh_threads, err);
	if (rc == 0)
		rc = iked_sandbox_enter(err);
	return rc;
}

static void
stop(struct iked *d, const struct iked_options *o)
{
	if (d->dh_pool)
		iked_dh_pool_stop(d->dh_pool);
	iked_server_stop(d, o->run_dir);
	iked_udp_stop(d);
	if (d->handing_over)
		ike_engine_abandon(d->engine);
	else
		ike_engine_free(d->engine);
	iked_dh_pool_free(d->dh_pool);
	iked_escrow_close(&d->escrow);
	iked_dataplane_stop(d);
	iked_conns_clear(&d->conns);
	free(d->news);
	events_free(d);
}

int
main(int argc, char **argv)
{
	static struct iked d = {
		.listen_fd = -1, .escrow = {.fd = -1}, .dp = {.client.fd = -1, .event_fd = -1}};
	struct iked_options o;
	struct spw_err err = {0};
	int rc = iked_options_parse(&o, argc, argv, &err);

	spw_log_init("spillway-iked", rc == 0 ? o.log_level : SPW_LOG_INFO);
	if (rc > 0)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	if (rc == 0)
		rc = start(&d, &o, &err);
	if (rc != 0) {
		spw_log(SPW_LOG_ERROR, AREA, "start-failed", "cause=\"%s\"", err.text);
		stop(&d, &o);
		return 1;
	}
	spw_log(SPW_LOG_INFO, AREA, "started",
		"version=" SPILLWAY_VERSION " instance=%016" PRIx64 " run-dir=%s", d.instance,
		o.run_dir);
	spw_notify("READY=1");
	event_base_dispatch(d.base);
	stop(&d, &o);
	spw_log(SPW_LOG_INFO, AREA, "stopped", "version=" SPILLWAY_VERSION);
	return d.handing_over ? IKED_EXIT_AGAIN : 0;
}
