/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters with rates: drops, workers, SAs.
 *
 * The data plane's counters never go back. Once a second they are read, and the difference to the
 * reading before is the rate; "clear counters" keeps a reading as the base that shows of drops and
 * interfaces subtract. Another data plane starts at 0: what is kept of the one before is forgotten
 * at the first look. Readings are JSON objects by name: few entries, no structures of their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/show.h"

struct sample {
	uint64_t at_ns;
	json_t *values; /* name to number */
};

struct ctl_show {
	struct sample now, before;
	json_t *base;	/* drops at the last "clear counters" */
	json_t *ifaces; /* counters of interfaces then, by id */
	uint64_t incarnation;
};

int
ctl_show_new(struct ctl_runtime *rt)
{
	rt->show = calloc(1, sizeof(*rt->show));
	return rt->show ? 0 : -1;
}

void
ctl_show_free(struct ctl_runtime *rt)
{
	if (!rt->show)
		return;
	json_decref(rt->show->now.values);
	json_decref(rt->show->before.values);
	json_decref(rt->show->base);
	json_decref(rt->show->ifaces);
	free(rt->show);
	rt->show = NULL;
}

static void
put(json_t *values, const char *kind, const char *name, uint64_t n)
{
	char key[64];

	snprintf(key, sizeof(key), "%s:%s", kind, name);
	json_object_set_new(values, key, json_integer((json_int_t)n));
}

static void
sample_drop(void *ctx, const void *elem)
{
	const struct spw_dp_drop_stats *d = elem;

	put(ctx, "drop", d->reason, d->packets);
}

static void
sample_sa(void *ctx, const void *elem)
{
	const struct spw_dp_sa_stats *s = elem;
	char name[16];

	snprintf(name, sizeof(name), "%08x", s->spi_in);
	put(ctx, "in", name, s->in_bytes);
	put(ctx, "out", name, s->out_bytes);
}

static void
sample_worker(void *ctx, const void *elem)
{
	const struct spw_dp_worker_stats *w = elem;
	char name[16];

	snprintf(name, sizeof(name), "%u", w->id);
	put(ctx, "busy", name, w->busy_cycles);
	put(ctx, "total", name, w->total_cycles);
}

/* What is kept of the data plane that runs now. */
static struct ctl_show *
kept(struct ctl_runtime *rt)
{
	struct ctl_show *s = rt->show;

	if (s->incarnation == ctl_dataplane_hello(rt)->incarnation)
		return s;
	json_decref(s->now.values);
	json_decref(s->before.values);
	json_decref(s->base);
	json_decref(s->ifaces);
	*s = (struct ctl_show){.incarnation = ctl_dataplane_hello(rt)->incarnation};
	return s;
}

void
ctl_show_sample(struct ctl_runtime *rt)
{
	struct ctl_show *s = kept(rt);
	json_t *values = json_object();

	ctl_dataplane_get(rt, SPW_DP_GET_DROPS, NULL, 0, sizeof(struct spw_dp_drop_stats),
			  sample_drop, values, NULL);
	ctl_dataplane_get(rt, SPW_DP_GET_SAS, NULL, 0, sizeof(struct spw_dp_sa_stats), sample_sa,
			  values, NULL);
	ctl_dataplane_get(rt, SPW_DP_GET_WORKERS, NULL, 0, sizeof(struct spw_dp_worker_stats),
			  sample_worker, values, NULL);
	json_decref(s->before.values);
	s->before = s->now;
	s->now = (struct sample){.at_ns = spw_clock_ns(), .values = values};
}

static double
difference(const struct ctl_show *s, const char *kind, const char *name)
{
	char key[64];
	const json_t *now, *before;

	snprintf(key, sizeof(key), "%s:%s", kind, name);
	now = json_object_get(s->now.values, key);
	before = json_object_get(s->before.values, key);
	if (!now || !before)
		return 0;
	return (double)(json_integer_value(now) - json_integer_value(before));
}

static double
per_second(const struct ctl_show *s, const char *kind, const char *name)
{
	double seconds = (double)(s->now.at_ns - s->before.at_ns) / (double)SPW_NS_PER_S;

	return seconds > 0 ? difference(s, kind, name) / seconds : 0;
}

double
ctl_show_drop_rate(const struct ctl_runtime *rt, const char *reason)
{
	return per_second(rt->show, "drop", reason);
}

double
ctl_show_sa_rate_bps(const struct ctl_runtime *rt, uint32_t spi_in, bool out)
{
	char name[16];

	snprintf(name, sizeof(name), "%08x", spi_in);
	return per_second(rt->show, out ? "out" : "in", name) * 8;
}

double
ctl_show_worker_load(const struct ctl_runtime *rt, uint32_t worker)
{
	char name[16];
	double total;

	snprintf(name, sizeof(name), "%u", worker);
	total = difference(rt->show, "total", name);
	return total > 0 ? difference(rt->show, "busy", name) * 100 / total : 0;
}

void
ctl_show_clear(struct ctl_runtime *rt, ctl_done_fn done, void *ctx)
{
	struct spw_err err = {0};
	json_t *base = json_object(), *ifaces = json_object(), *reply = NULL;
	int rc = ctl_dataplane_get(rt, SPW_DP_GET_DROPS, NULL, 0, sizeof(struct spw_dp_drop_stats),
				   sample_drop, base, &err);

	if (rc == 0)
		rc = ctl_dataplane_get(rt, SPW_DP_GET_IFACES, NULL, 0,
				       sizeof(struct spw_dp_iface_stats), ctl_show_iface_stats,
				       ifaces, &err);
	if (rc == 0) {
		struct ctl_show *s = kept(rt);

		json_decref(s->base);
		json_decref(s->ifaces);
		s->base = json_incref(base);
		s->ifaces = json_incref(ifaces);
		reply = json_pack("{s:s}", "message",
				  "interface and drop counters start at 0 again");
	}
	json_decref(base);
	json_decref(ifaces);
	done(ctx, rc, reply, &err);
	json_decref(reply);
}

void
ctl_json_counters_add(json_t *counters, const json_t *other, int factor)
{
	const char *key;
	json_t *value;

	json_object_foreach(counters, key, value)
	{
		if (json_is_integer(value))
			json_integer_set(value, json_integer_value(value) +
							factor * json_integer_value(json_object_get(
									 other, key)));
	}
}

void
ctl_show_since_clear(struct ctl_runtime *rt, json_t *by_id)
{
	const json_t *base = kept(rt)->ifaces;
	json_t *counters;
	const char *id;

	json_object_foreach(by_id, id, counters)
	{
		ctl_json_counters_add(counters, json_object_get(base, id), -1);
	}
}

struct listing {
	struct ctl_runtime *rt;
	json_t *list;
};

static void
drop_json(void *ctx, const void *elem)
{
	const struct spw_dp_drop_stats *d = elem;
	struct listing *l = ctx;
	char key[64];
	uint64_t base, now = spw_clock_ns();

	snprintf(key, sizeof(key), "drop:%.31s", d->reason);
	base = (uint64_t)json_integer_value(json_object_get(kept(l->rt)->base, key));
	json_array_append_new(l->list,
			      json_pack("{s:s,s:I,s:f,s:o}", "reason", d->reason, "packets",
					(json_int_t)(d->packets - base), "rate_pps",
					ctl_show_drop_rate(l->rt, d->reason), "last_s",
					d->last_ns && d->last_ns <= now
						? ctl_json_seconds(now - d->last_ns)
						: json_null()));
}

json_t *
ctl_show_drops(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct listing l = {.rt = rt, .list = json_array()};

	if (ctl_dataplane_get(rt, SPW_DP_GET_DROPS, NULL, 0, sizeof(struct spw_dp_drop_stats),
			      drop_json, &l, err) != 0) {
		json_decref(l.list);
		return NULL;
	}
	return json_pack("{s:o}", "drops", l.list);
}

static void
worker_json(void *ctx, const void *elem)
{
	const struct spw_dp_worker_stats *w = elem;
	struct listing *l = ctx;

	json_array_append_new(
		l->list,
		json_pack("{s:I,s:o,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "worker", (json_int_t)w->id,
			  "core", w->core == UINT32_MAX ? json_null() : json_integer(w->core),
			  "load_percent", ctl_show_worker_load(l->rt, w->id), "cycles_per_packet",
			  (json_int_t)(w->packets ? w->busy_cycles / w->packets : 0), "rx_packets",
			  (json_int_t)w->rx, "tx_packets", (json_int_t)w->tx, "dropped_packets",
			  (json_int_t)w->drops, "mirrored_packets", (json_int_t)w->mirrored,
			  "from_twin_packets", (json_int_t)w->from_twin, "created_packets",
			  (json_int_t)w->created));
}

json_t *
ctl_show_workers(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct listing l = {.rt = rt, .list = json_array()};

	if (ctl_dataplane_get(rt, SPW_DP_GET_WORKERS, NULL, 0, sizeof(struct spw_dp_worker_stats),
			      worker_json, &l, err) != 0) {
		json_decref(l.list);
		return NULL;
	}
	return json_pack("{s:o}", "workers", l.list);
}
