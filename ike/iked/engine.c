/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the engine and the world: the table of operations, what the engine tells about tunnels,
 * its next wake-up.
 *
 * The engine is made with the first connection, because two of its settings are the data plane's:
 * which ciphers it has, and whether SAs of an earlier instance stand there. If they do (or if
 * nobody can say), no INITIAL_CONTACT is sent: the peer would drop the old child SA at once, and
 * with it the traffic (RFC 7296 2.4 lets the sender choose).
 *
 * The engine tells events from inside its own calls, where nothing may call it back; they are
 * kept and handled by iked_engine_settle(), which every entry into the engine ends with.
 *
 * While only an orphan carries a tunnel, that tunnel is up: controld is told so when the
 * connection comes, or the data plane after it, and is not told of the engine's failed attempts.
 * The first child SA of ours takes over outbound at its installation; the orphans then have
 * IKED_ORPHAN_S seconds, for what is in flight and for a peer that has not moved yet.
 *
 * Key exchanges are computed by the pool's threads; what is done comes back here, a few at a time,
 * so that timers and datagrams are looked at in between. One thread, the event loop's.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ike/iked/iked.h"

#define AREA	"ike"
#define DH_TURN 8 /* key exchanges taken before other events get their turn */

bool
iked_random_repeats(struct iked_random *r, const uint8_t block[IKED_RANDOM_BLOCK])
{
	bool same = r->drawn && memcmp(r->last, block, sizeof(r->last)) == 0;

	memcpy(r->last, block, sizeof(r->last));
	r->drawn = true;
	return same;
}

void
iked_random_draw(struct iked_random *r, void *buf, size_t len)
{
	uint8_t block[IKED_RANDOM_BLOCK];

	/* a short draw is the beginning of a whole block, so that every draw is looked at */
	randombytes_buf(len < sizeof(block) ? block : buf,
			len < sizeof(block) ? sizeof(block) : len);
	if (iked_random_repeats(r, len < sizeof(block) ? block : buf)) {
		spw_log(SPW_LOG_ERROR, AREA, "random-repeats",
			"cause=\"the same 16 octets twice\"");
		abort();
	}
	if (len < sizeof(block))
		memcpy(buf, block, len);
	spw_wipe(block, sizeof(block));
}

static void
op_random(void *ctx, void *buf, size_t len)
{
	iked_random_draw(&((struct iked *)ctx)->random, buf, len);
}

static void
op_tunnel_event(void *ctx, const struct spw_ike_tunnel_event *ev)
{
	struct iked *d = ctx;

	if (d->n_news == d->cap_news) {
		size_t cap = d->cap_news ? 2 * d->cap_news : 16;
		struct spw_ike_tunnel_event *news = realloc(d->news, cap * sizeof(*news));

		if (!news) { /* controld sees the state at its next GET_CONNS */
			spw_log(SPW_LOG_ERROR, AREA, "event-lost", "cause=\"no memory\"");
			return;
		}
		d->news = news;
		d->cap_news = cap;
	}
	d->news[d->n_news++] = *ev;
}

static void
op_dh_start(void *ctx, struct ike_dh_job *job)
{
	iked_dh_pool_put(((struct iked *)ctx)->dh_pool, job);
}

static void
on_dh_done(evutil_socket_t fd, short what, void *arg)
{
	struct iked *d = arg;
	struct ike_dh_job *job = iked_dh_pool_take(d->dh_pool, DH_TURN);

	while (job) {
		struct ike_dh_job *next = job->next;

		ike_engine_dh_done(d->engine, spw_clock_ns(), job);
		job = next;
	}
	iked_engine_settle(d);
}

/* That this process may use: others may belong to the data plane. */
static long
processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set)
							    : sysconf(_SC_NPROCESSORS_ONLN);
}

int
iked_dh_start(struct iked *d, unsigned int threads, struct spw_err *err)
{
	int rc;

	if (threads == 0)
		threads = iked_dh_workers(processors());
	rc = iked_dh_pool_new(&d->dh_pool, threads, err);
	if (rc != 0)
		return rc;
	d->dh_done = event_new(d->base, iked_dh_pool_fd(d->dh_pool), EV_READ | EV_PERSIST,
			       on_dh_done, d);
	if (!d->dh_done || event_add(d->dh_done, NULL) < 0)
		return spw_fail(err, -ENOMEM, "no memory for events");
	spw_log(SPW_LOG_INFO, AREA, "key-exchange", "threads=%u", threads);
	return 0;
}

static const struct ike_ops ops = {
	.send = iked_op_send,
	.random = op_random,
	.spi_alloc = iked_op_spi_alloc,
	.spi_free = iked_op_spi_free,
	.sa_install = iked_op_sa_install,
	.sa_switch = iked_op_sa_switch,
	.sa_delete = iked_op_sa_delete,
	.sa_move = iked_op_sa_move,
	.sa_adopt = iked_op_sa_adopt,
	.last_inbound = iked_op_last_inbound,
	.dh_start = op_dh_start,
	.tunnel_event = op_tunnel_event,
};

int
iked_engine_start(struct iked *d, struct spw_err *err)
{
	struct ike_engine_config config = {
		.ops = &ops, .ctx = d, .half_open_cookies = IKED_HALF_OPEN_MAX};
	int rc;

	(void)iked_dataplane_connect(d);
	config.encr_mask = iked_dataplane_encr_mask(&d->dp);
	config.incarnation = d->dp.seen ? d->dp.incarnation : 0;
	config.escrow = d->escrow.store;
	config.no_initial_contact = !d->dp.seen || iked_sas_orphans(&d->dp.sas) > 0;
	rc = ike_engine_new(&d->engine, &config, spw_clock_ns());
	if (rc != 0)
		return spw_fail(err, rc, "the IKE engine cannot start: %s", strerror(-rc));
	spw_log(SPW_LOG_INFO, AREA, "engine-started", "initial-contact=%d orphans=%zu escrow=%u",
		!config.no_initial_contact, iked_sas_orphans(&d->dp.sas),
		d->escrow.store ? ike_escrow_found(d->escrow.store) : 0);
	return 0;
}

void
iked_tunnel_tell(struct iked *d, const struct spw_ike_tunnel_event *ev)
{
	char name[2 * SPW_NAME_LEN];

	spw_log(SPW_LOG_INFO, AREA, ev->up ? "tunnel-up" : "tunnel-down", "conn=%s cause=\"%s\"",
		spw_text_escape(name, sizeof(name), ev->name, strnlen(ev->name, SPW_NAME_LEN)),
		ev->reason);
	iked_server_push(d, ev);
}

void
iked_orphan_tell(struct iked *d, struct iked_conn *conn)
{
	struct spw_ike_tunnel_event ev = {
		.tunnel = conn->tunnel,
		.up = 1,
		.at_ns = spw_clock_ns(),
		.reason = "child SAs of an earlier instance carry the traffic"};

	if (conn->up || iked_sas_carrying(&d->dp.sas, conn->tunnel) == 0)
		return;
	memcpy(ev.name, conn->name, sizeof(ev.name));
	conn->up = true;
	conn->orphaned = true;
	iked_tunnel_tell(d, &ev);
}

static void
news_handle(struct iked *d, const struct spw_ike_tunnel_event *ev)
{
	struct iked_conn *c = iked_conns_find(&d->conns, ev->name);

	if (!ev->up && iked_sas_carrying(&d->dp.sas, ev->tunnel) > 0)
		return;
	if (c) {
		c->up = ev->up != 0;
		c->orphaned = false;
	}
	if (ev->up)
		iked_sas_replaced(&d->dp.sas, ev->tunnel,
				  spw_clock_ns() + IKED_ORPHAN_S * SPW_NS_PER_S);
	iked_server_push(d, ev); /* the engine has logged it */
}

struct spw_ike_status *
iked_engine_rows(const struct iked *d, size_t *n)
{
	size_t all = d->engine ? ike_engine_status(d->engine, NULL, 0) : 0;
	struct spw_ike_status *rows = all > 0 ? calloc(all, sizeof(*rows)) : NULL;

	*n = rows ? ike_engine_status(d->engine, rows, all) : 0;
	return rows;
}

static void
tick_arm(struct iked *d)
{
	uint64_t at = ike_engine_wakeup(d->engine), now = spw_clock_ns();
	uint64_t wait = at > now ? at - now : 0;
	struct timeval tv = {(time_t)(wait / SPW_NS_PER_S),
			     (suseconds_t)(wait % SPW_NS_PER_S / SPW_NS_PER_US) + 1};

	if (at == UINT64_MAX)
		evtimer_del(d->tick);
	else
		evtimer_add(d->tick, &tv);
}

void
iked_engine_settle(struct iked *d)
{
	for (size_t i = 0; i < d->n_news; i++)
		news_handle(d, &d->news[i]);
	d->n_news = 0;
	if (d->engine)
		tick_arm(d);
}
