/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The forwarding probes of the gateway: each a machine of probe.c with packets of probe_packet.c,
 * sent and received through the monitor.
 *
 * A packet takes its probe's path whatever the bit of that path says, because a probe is what finds
 * out that a path can be used again. One that cannot go (tunnel without an SA, neighbour not known,
 * larger than the way out) comes back from the worker and is lost at once. When there is no packet
 * buffer, which says nothing about the path, it is tried again, for an interval.
 *
 * Which probe an answer belongs to is told by the echo identifier (a number of this process, by
 * chance, and the probe's id) or by the UDP port on our side. The addresses, the reflector's port
 * and the cookie must agree; otherwise an echo reply goes up to the kernel, whose own ping may
 * have the same identifier. An answer came by another way when it came in by another interface than
 * the path's, or out of another tunnel.
 *
 * due_ns[] tells when each probe wants to run; a turn in which none does costs one comparison, and
 * no turn sends more than SENDS packets, so that BFD waits for none of it. A change of state leaves
 * a bit for the API thread: it always learns the newest state, though not of two changes while
 * it slept.
 *
 * Memory: a probe is allocated by the API thread and freed by it. Everything else than the array of
 * references (API thread) and `changed` is under the monitor's lock.
 */
#include "dataplane/monitor_probe.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "dataplane/probe_packet.h"

#define SENDS	 128		     /* packets sent in one turn */
#define RETRY_NS (2 * SPW_NS_PER_MS) /* when there was no packet buffer */
#define WORDS	 (SPW_DP_PROBES_MAX / 64)

/* Where a probe's path leads, and so its answers come from. */
struct way {
	uint32_t tunnel; /* SPW_DP_ADDR_NONE: none */
	uint16_t iface;
};

struct dp_probes {
	struct dp_monitor *monitor;
	const struct dp_tables *tables;
	struct dp_bell *api_bell;
	uint16_t echo_base; /* identifier of probe 0 */
	struct dp_probe *probe[SPW_DP_PROBES_MAX];
	struct way way[SPW_DP_PROBES_MAX];
	uint64_t due_ns[SPW_DP_PROBES_MAX];
	uint64_t first_due_ns; /* not after any of them */
	uint32_t turn_from;    /* the id with which a turn begins */
	struct dp_probe_watch watch;
	uint32_t chances; /* unused numbers in `chance` */
	uint64_t chance[64];
	uint8_t packet[DP_PROBE_SIZE_MAX];
	_Atomic uint64_t changed[WORDS];
	uint16_t path_refs[SPW_DP_PATHS_MAX]; /* probes that name the path; API thread */
};

static uint16_t
tag_of(const struct dp_probes *p, const struct spw_dp_probe *conf)
{
	return (uint16_t)((conf->kind == SPW_PROBE_TWAMP ? DP_PROBE_PORT_BASE : p->echo_base) +
			  conf->id);
}

static uint64_t
chance(struct dp_probes *p)
{
	if (p->chances == 0) {
		randombytes_buf(p->chance, sizeof(p->chance));
		p->chances = RTE_DIM(p->chance);
	}
	return p->chance[--p->chances];
}

static uint64_t
cookie_for(struct dp_probes *p, const struct spw_dp_probe *conf)
{
	uint64_t number = chance(p);

	return conf->kind == SPW_PROBE_TWAMP
		       ? dp_probe_timestamp(spw_clock_wall_ns(), (uint16_t)number)
		       : number;
}

static void
run_soon(struct dp_probes *p, uint32_t id)
{
	p->due_ns[id] = 0;
	p->first_due_ns = 0;
}

/* The probe that a packet is about; NULL when it is about none of ours. */
static struct dp_probe *
probe_of(const struct dp_probes *p, const struct dp_probe_seen *s)
{
	uint16_t base = s->kind == SPW_PROBE_TWAMP ? DP_PROBE_PORT_BASE : p->echo_base;
	uint16_t id = (uint16_t)(s->tag - base);
	struct dp_probe *b = id < SPW_DP_PROBES_MAX ? p->probe[id] : NULL;

	if (!b || b->conf.kind != s->kind || !spw_addr_equal(&b->conf.source, &s->source) ||
	    !spw_addr_equal(&b->conf.target, &s->target))
		return NULL;
	return s->kind == SPW_PROBE_TWAMP && s->port != b->conf.port ? NULL : b;
}

static bool
came_other_way(const struct way *way, const struct dp_monitor_in *in)
{
	if (way->tunnel != SPW_DP_ADDR_NONE || in->tunnel != SPW_DP_ADDR_NONE)
		return way->tunnel != in->tunnel;
	return way->iface != in->iface;
}

/* What a TWAMP probe's port receives is never the kernel's: no socket has it. */
static bool
input(void *ctx, const struct dp_monitor_in *in)
{
	struct dp_probes *p = ctx;
	struct dp_probe_seen s = dp_probe_parse(in->ip, in->len);
	struct dp_probe *b = s.heard != DP_PROBE_HEARD_NOTHING ? probe_of(p, &s) : NULL;
	bool ours;

	if (!b)
		return false;
	if (s.heard == DP_PROBE_HEARD_ERROR)
		ours = dp_probe_refused(b, s.seq, s.cookie, s.why, s.mtu);
	else
		ours = dp_probe_answered(b, s.seq, s.cookie, in->rx_ns,
					 came_other_way(&p->way[b->conf.id], in)) !=
		       DP_PROBE_FOREIGN;
	if (ours)
		run_soon(p, b->conf.id);
	return ours || (s.heard == DP_PROBE_HEARD_ANSWER && s.kind == SPW_PROBE_TWAMP);
}

static void
refused(void *ctx, const struct dp_monitor_refusal *r)
{
	struct dp_probes *p = ctx;
	struct dp_probe_seen s = dp_probe_parse_own(r->ip, r->len);
	struct dp_probe *b = s.heard != DP_PROBE_HEARD_NOTHING ? probe_of(p, &s) : NULL;
	uint32_t why = r->why == DP_DROP_TOO_BIG ? SPW_PROBE_WHY_TOO_BIG : SPW_PROBE_WHY_NO_WAY;

	if (b && dp_probe_refused(b, s.seq, s.cookie, why, r->mtu))
		run_soon(p, b->conf.id);
}

/* False when there was no packet buffer, and no use in calling that a loss yet. */
static bool
send_one(struct dp_probes *p, struct dp_probe *b, uint64_t now)
{
	const struct dp_monitor_way way = {.path = b->conf.path};
	uint64_t cookie = cookie_for(p, &b->conf), late = now - b->next_send_ns;
	uint32_t seq = b->next_seq;

	dp_probe_build(p->packet, &b->conf, tag_of(p, &b->conf), seq, cookie);
	int rc = dp_monitor_send(p->monitor, DP_MONITOR_PROBES, &way, p->packet, b->conf.size);

	if (rc != 0 && late < b->conf.interval_ms * SPW_NS_PER_MS)
		return false;
	dp_probe_sent(b, now, cookie);
	if (rc != 0)
		dp_probe_refused(b, (uint16_t)seq, cookie, SPW_PROBE_WHY_NO_WAY, 0);
	return true;
}

static void
tell(struct dp_probes *p, uint32_t id)
{
	/* Pairs with the exchange in dp_probes_take_changed(). */
	atomic_fetch_or_explicit(&p->changed[id / 64], UINT64_C(1) << id % 64,
				 memory_order_release);
	dp_bell_ring(p->api_bell);
}

/* Do what is due of one probe; returns the number of packets sent. */
static unsigned int
run_one(struct dp_probes *p, struct dp_probe *b, uint64_t now)
{
	unsigned int sent = 0;
	uint32_t id = b->conf.id;

	while (dp_probe_judge(b, &p->watch, now))
		tell(p, id);
	if (dp_probe_due(b, now)) {
		sent = 1;
		if (!send_one(p, b, now)) {
			p->due_ns[id] = now + RETRY_NS;
			return sent;
		}
	}
	p->due_ns[id] = dp_probe_next_ns(b);
	return sent;
}

/* All that are due, until enough is sent; beginning where the last turn had enough. */
static void
run_due(struct dp_probes *p, uint64_t now)
{
	unsigned int sent = 0;
	uint64_t first = DP_PROBE_NEVER;

	for (uint32_t i = 0; i < SPW_DP_PROBES_MAX; i++) {
		uint32_t id = (p->turn_from + i) % SPW_DP_PROBES_MAX;

		if (p->due_ns[id] <= now && sent < SENDS) {
			sent += run_one(p, p->probe[id], now);
			if (sent == SENDS)
				p->turn_from = id + 1;
		}
		first = RTE_MIN(first, p->due_ns[id]);
	}
	p->first_due_ns = first;
}

static uint64_t
tick(void *ctx, uint64_t now)
{
	struct dp_probes *p = ctx;

	if (p->first_due_ns == DP_PROBE_NEVER)
		return DP_MONITOR_NEVER;
	dp_probe_watch_run(&p->watch, now, dp_monitor_listened_ns(p->monitor));
	if (p->first_due_ns <= now)
		run_due(p, now);
	p->watch.planned_ns = p->first_due_ns;
	return p->first_due_ns;
}

int
dp_probes_new(struct dp_probes **out, struct dp_monitor *monitor, const struct dp_tables *tables,
	      struct dp_bell *api_bell, struct spw_err *err)
{
	struct dp_probes *p = calloc(1, sizeof(*p));
	const struct dp_monitor_user user = {
		.ctx = p, .input = input, .refused = refused, .tick = tick};

	if (!p)
		return spw_fail(err, -ENOMEM, "no memory for probes");
	p->monitor = monitor;
	p->tables = tables;
	p->api_bell = api_bell;
	p->echo_base = (uint16_t)randombytes_random();
	p->first_due_ns = DP_PROBE_NEVER;
	for (uint32_t id = 0; id < SPW_DP_PROBES_MAX; id++)
		p->due_ns[id] = DP_PROBE_NEVER;
	dp_monitor_attach(monitor, DP_MONITOR_PROBES, &user);
	*out = p;
	return 0;
}

void
dp_probes_free(struct dp_probes *p)
{
	for (uint32_t id = 0; p && id < SPW_DP_PROBES_MAX; id++)
		free(p->probe[id]);
	free(p);
}

struct dp_probe *
dp_probes_room(void)
{
	return malloc(sizeof(struct dp_probe));
}

const struct spw_dp_probe *
dp_probes_get(const struct dp_probes *p, uint32_t id)
{
	return p && id < SPW_DP_PROBES_MAX && p->probe[id] ? &p->probe[id]->conf : NULL;
}

/* Workers hand over what may be about a probe with an id up to the highest there is. */
static void
want(struct dp_probes *p)
{
	uint32_t n = SPW_DP_PROBES_MAX;

	while (n > 0 && !p->probe[n - 1])
		n--;
	dp_monitor_want_probes(p->monitor, p->echo_base, (uint16_t)n, DP_PROBE_PORT_BASE,
			       (uint16_t)n);
}

static struct way
way_of(const struct dp_probes *p, uint32_t path)
{
	const struct dp_path *d = dp_path_get(p->tables, path);
	bool tunnel = d && d->conf.kind == SPW_PATH_TUNNEL;

	return (struct way){.tunnel = tunnel ? d->conf.tunnel : SPW_DP_ADDR_NONE,
			    .iface = d && !tunnel ? (uint16_t)d->conf.iface : DP_NO_IFACE};
}

/* Under the lock. */
static void
begin(struct dp_probes *p, uint32_t id)
{
	struct dp_probe *b = p->probe[id];

	p->due_ns[id] = b->next_send_ns;
	p->way[id] = way_of(p, b->conf.path);
	/* The thread may have had nothing to do for long, and that is no stall. */
	if (p->first_due_ns == DP_PROBE_NEVER)
		p->watch.ran_ns = 0;
	p->first_due_ns = RTE_MIN(p->first_due_ns, p->due_ns[id]);
}

void
dp_probes_put(struct dp_probes *p, const struct spw_dp_probe *conf, struct dp_probe *room)
{
	struct dp_probe *old = p->probe[conf->id];

	if (old && dp_probe_same(&old->conf, conf)) {
		old->conf.generation = conf->generation;
		free(room);
		return;
	}
	dp_probe_start(room, conf, spw_clock_ns());
	dp_monitor_lock(p->monitor);
	if (old)
		p->path_refs[old->conf.path]--;
	p->path_refs[conf->path]++;
	p->probe[conf->id] = room;
	begin(p, conf->id);
	dp_monitor_unlock(p->monitor);
	free(old);
	want(p);
	dp_monitor_wake(p->monitor);
}

void
dp_probes_del(struct dp_probes *p, uint32_t id)
{
	struct dp_probe *old = p->probe[id];

	dp_monitor_lock(p->monitor);
	p->probe[id] = NULL;
	p->due_ns[id] = DP_PROBE_NEVER;
	dp_monitor_unlock(p->monitor);
	p->path_refs[old->conf.path]--;
	free(old);
	want(p);
}

uint32_t
dp_probes_of_path(const struct dp_probes *p, uint32_t path)
{
	return p ? p->path_refs[path] : 0;
}

void
dp_probes_path_changed(struct dp_probes *p, uint32_t path)
{
	if (dp_probes_of_path(p, path) == 0)
		return;
	dp_monitor_lock(p->monitor);
	for (uint32_t id = 0; id < SPW_DP_PROBES_MAX; id++) {
		struct dp_probe *b = p->probe[id];

		if (!b || b->conf.path != path)
			continue;
		const struct spw_dp_probe conf = b->conf;

		dp_probe_start(b, &conf, spw_clock_ns());
		begin(p, id);
	}
	dp_monitor_unlock(p->monitor);
	dp_monitor_wake(p->monitor);
}

bool
dp_probes_stats(struct dp_probes *p, uint32_t id, struct spw_dp_probe_stats *row)
{
	if (!dp_probes_get(p, id))
		return false;
	dp_monitor_lock(p->monitor);
	dp_probe_stats(p->probe[id], row);
	dp_monitor_unlock(p->monitor);
	return true;
}

/* Take one bit of those that changed; false when there is none. */
static bool
take_bit(struct dp_probes *p, uint32_t *id)
{
	for (uint32_t w = 0; w < WORDS; w++) {
		uint64_t word = atomic_load_explicit(&p->changed[w], memory_order_relaxed);

		if (!word)
			continue;
		*id = w * 64 + (uint32_t)__builtin_ctzll(word);
		/* Pairs with the release in tell(). */
		atomic_fetch_and_explicit(&p->changed[w], ~(UINT64_C(1) << *id % 64),
					  memory_order_acquire);
		return true;
	}
	return false;
}

bool
dp_probes_take_changed(struct dp_probes *p, struct spw_dp_probe_event *ev)
{
	struct spw_dp_probe_stats row;
	uint32_t id;

	while (take_bit(p, &id)) {
		if (!dp_probes_stats(p, id, &row) || row.state == SPW_PROBE_UNKNOWN)
			continue;
		*ev = (struct spw_dp_probe_event){.id = id,
						  .state = row.state,
						  .at_ns = row.changed_ns,
						  .last_ok_ns = row.last_ok_ns};
		return true;
	}
	return false;
}
