/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shows of what watches the paths: BFD sessions and forwarding probes. The objects are ours, their
 * figures the data plane's, read at the moment of the question.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/show.h"
#include "control/watch_private.h"

static const char *
bfd_word(uint32_t state)
{
	static const char *const word[] = {"admin-down", "down", "init", "up"};

	return state <= SPW_BFD_UP ? word[state] : "unknown";
}

/* RFC 5880 4.1. */
static const char *
diag_text(uint32_t diag)
{
	static const char *const text[] = {NULL,
					   "detection time expired",
					   "echo failed",
					   "the peer signalled down",
					   "forwarding plane reset",
					   "path down",
					   "concatenated path down",
					   "administratively down",
					   "reverse concatenated path down"};

	return diag < sizeof(text) / sizeof(text[0]) ? text[diag] : "unknown";
}

struct bfd_list {
	unsigned int n;
	struct spw_dp_bfd_stats *s;
};

static void
bfd_keep(void *ctx, const void *elem)
{
	struct bfd_list *l = ctx;

	if (l->n < SPW_DP_BFD_MAX)
		memcpy(&l->s[l->n++], elem, sizeof(l->s[0]));
}

static json_t *
age_json(uint64_t then)
{
	uint64_t now = spw_clock_ns();

	return then && then <= now ? ctl_json_seconds(now - then) : json_null();
}

static json_t *
ms_json(uint64_t us)
{
	return us ? json_real((double)us / 1000) : json_null();
}

static void
bfd_add_live(json_t *o, const struct spw_dp_bfd_stats *s)
{
	json_t *live = json_pack(
		"{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:o}", "state",
		bfd_word(s->state), "remote_state", bfd_word(s->remote_state), "since_s",
		age_json(s->changed_ns), "diagnostic", ctl_json_text(diag_text(s->diag)),
		"remote_diagnostic", ctl_json_text(diag_text(s->remote_diag)), "transmit_ms",
		ms_json(s->tx_us), "detect_ms", ms_json(s->detect_us), "heard_s",
		age_json(s->last_rx_ns), "rx_packets", (json_int_t)s->rx, "tx_packets",
		(json_int_t)s->tx, "bad_packets", (json_int_t)s->bad, "ups", (json_int_t)s->ups,
		"downs", (json_int_t)s->downs, "longest_silence_ms", ms_json(s->rx_gap_max_us));

	json_object_update(o, live);
	json_decref(live);
	json_object_set_new(o, "remote_multiplier", json_integer(s->remote_mult));
}

static json_t *
bfd_json(const struct watch_bfd *b, const struct spw_dp_bfd_stats *s)
{
	json_t *o = json_pack("{s:o,s:s,s:o,s:s,s:I,s:b}", "peer", ctl_json_addr(&b->content.peer),
			      "interface", b->iface, "local", ctl_json_addr(&b->content.local),
			      "state", "unknown", "multiplier", (json_int_t)b->content.detect_mult,
			      "fault", (int)b->memory.fault);

	if (s)
		bfd_add_live(o, s);
	return o;
}

json_t *
ctl_show_bfd(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct bfd_list l = {.s = calloc(SPW_DP_BFD_MAX, sizeof(*l.s))};
	struct spw_err why = {0};
	json_t *list = json_array(), *reply;
	char text[SPW_ADDR_TEXT];
	int rc = l.s ? ctl_dataplane_get(rt, SPW_DP_GET_BFD, NULL, 0, sizeof(*l.s), bfd_keep, &l,
					 &why)
		     : spw_fail(&why, -ENOMEM, "out of memory");

	for (const struct watch_bfd *b = rt->watch->bfd; b; b = b->next) {
		const struct spw_dp_bfd_stats *s = NULL;

		for (unsigned int i = 0; i < l.n; i++)
			if (l.s[i].id == b->content.id)
				s = &l.s[i];
		if (!arg || strcmp(arg, spw_addr_format(&b->content.peer, text)) == 0 ||
		    strcmp(arg, b->iface) == 0)
			json_array_insert_new(list, 0, bfd_json(b, s));
	}
	free(l.s);
	if (arg && json_array_size(list) == 0) {
		json_decref(list);
		spw_fail(err, -ENOENT, "no BFD session over '%.40s'; see 'show bfd'", arg);
		return NULL;
	}
	reply = json_pack("{s:o}", "bfd", list);
	if (rc != 0)
		ctl_json_unreachable(reply, "spillway-dataplane", &why);
	return reply;
}

static void
probe_keep(void *ctx, const void *elem)
{
	struct ctl_probe_list *l = ctx;
	const struct spw_dp_probe_stats *s = elem;

	if (l->s && l->n < SPW_DP_PROBES_MAX)
		l->s[l->n++] = *s;
}

int
ctl_probe_list_get(struct ctl_runtime *rt, struct ctl_probe_list *l, struct spw_err *err)
{
	unsigned int n = rt->watch ? rt->watch->n_probes : 0;

	*l = (struct ctl_probe_list){0};
	if (n == 0)
		return 0;
	l->s = calloc(SPW_DP_PROBES_MAX, sizeof(*l->s));
	if (!l->s)
		return spw_fail(err, -ENOMEM, "out of memory");
	return ctl_dataplane_get(rt, SPW_DP_GET_PROBES, NULL, 0, sizeof(*l->s), probe_keep, l, err);
}

const struct spw_dp_probe_stats *
ctl_probe_list_find(const struct ctl_probe_list *l, uint32_t id)
{
	for (unsigned int i = 0; i < l->n; i++)
		if (l->s[i].id == id)
			return &l->s[i];
	return NULL;
}

static const char *
probe_word(uint32_t state)
{
	return state == SPW_PROBE_UP ? "up" : state == SPW_PROBE_DOWN ? "down" : "unknown";
}

static const char *
why_text(uint32_t why)
{
	switch ((enum spw_probe_why)why) {
	case SPW_PROBE_WHY_NONE: break;
	case SPW_PROBE_WHY_SILENCE: return "no answer";
	case SPW_PROBE_WHY_UNREACHABLE: return "unreachable";
	case SPW_PROBE_WHY_TOO_BIG: return "too big";
	case SPW_PROBE_WHY_EXPIRED: return "hop limit";
	case SPW_PROBE_WHY_NO_WAY: return "no SA";
	}
	return NULL;
}

/* Buckets that hold something: [[from_us, to_us, packets], ...]. */
static json_t *
histogram_json(const struct spw_dp_probe_stats *s)
{
	json_t *list = json_array();

	for (unsigned int b = 0; b < SPW_DP_RTT_BUCKETS; b++)
		if (s->rtt[b])
			json_array_append_new(
				list,
				json_pack("[I,I,I]", (json_int_t)(b ? UINT64_C(1) << b : 0),
					  (json_int_t)(UINT64_C(2) << b), (json_int_t)s->rtt[b]));
	return list;
}

static json_t *
us_json(uint64_t n, double us)
{
	return n && us >= 0 ? json_real(us) : json_null();
}

json_t *
ctl_json_quantile(const uint64_t rtt[SPW_DP_RTT_BUCKETS], double q, uint32_t min_us,
		  uint32_t max_us)
{
	double us = ctl_rtt_quantile(rtt, q);

	if (us >= 0 && us < min_us)
		us = min_us;
	return us_json(1, us > max_us ? max_us : us);
}

static json_t *
quantile_json(const struct spw_dp_probe_stats *s, double q)
{
	return ctl_json_quantile(s->rtt, q, s->rtt_min_us, s->rtt_max_us);
}

static void
probe_add_live(json_t *o, const struct spw_dp_probe_stats *s)
{
	double mean = s->received ? (double)s->rtt_sum_us / (double)s->received : -1;
	json_t *live = json_pack(
		"{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}",
		"state", probe_word(s->state), "since_s", age_json(s->changed_ns), "loss_percent",
		s->recent_sent ? json_real((double)s->recent_lost * 100 / (double)s->recent_sent)
			       : json_null(),
		"rtt_last_us", us_json(s->received, s->rtt_last_us), "rtt_min_us",
		us_json(s->received, s->rtt_min_us), "rtt_avg_us", us_json(s->received, mean),
		"rtt_max_us", us_json(s->received, s->rtt_max_us), "rtt_p50_us",
		quantile_json(s, 0.5), "rtt_p99_us", quantile_json(s, 0.99), "sent_packets",
		(json_int_t)s->sent, "received_packets", (json_int_t)s->received, "lost_packets",
		(json_int_t)s->lost, "late_packets", (json_int_t)s->late, "duplicate_packets",
		(json_int_t)s->duplicate, "other_way_packets", (json_int_t)s->other_way, "lost_why",
		ctl_json_text(why_text(s->lost_why)), "answered_s", age_json(s->last_ok_ns),
		"rtt_histogram_us", histogram_json(s));

	json_object_update(o, live);
	json_decref(live);
	if (s->lost_mtu)
		json_object_set_new(o, "fits_bytes", json_integer(s->lost_mtu));
}

static const char *
purpose_word(enum watch_purpose p)
{
	switch (p) {
	case WATCH_FORWARDING: return "forwarding";
	case WATCH_MTU: return "mtu";
	case WATCH_BURST: break;
	}
	return "burst";
}

static json_t *
probe_json(const struct ctl_runtime *rt, const struct watch_probe *w,
	   const struct spw_dp_probe_stats *s)
{
	const struct ctl_path *p = rt->path[w->content.path];
	json_t *o = json_pack("{s:s,s:s,s:o,s:o,s:o,s:s,s:s,s:s,s:I,s:I}", "vnet", w->vnet, "path",
			      p ? ctl_path_name(p) : "-", "interface",
			      p && p->iface ? json_string(p->iface->name) : json_null(), "next_hop",
			      p ? ctl_json_addr(&p->next_hop) : json_null(), "target",
			      ctl_json_addr(&w->content.target), "kind",
			      w->content.kind == SPW_PROBE_TWAMP ? "twamp" : "icmp", "purpose",
			      purpose_word(w->purpose), "state", "unknown", "size_bytes",
			      (json_int_t)w->content.size, "interval_ms",
			      (json_int_t)w->content.interval_ms);

	if (s)
		probe_add_live(o, s);
	return o;
}

static bool
is_asked(const struct ctl_runtime *rt, const struct watch_probe *w, const char *arg)
{
	const struct ctl_path *p = rt->path[w->content.path];

	return !arg || strcmp(arg, w->vnet) == 0 ||
	       (p && (strcmp(arg, ctl_path_name(p)) == 0 ||
		      (p->iface && (strcmp(arg, p->iface->name) == 0 ||
				    strcmp(arg, p->iface->circuit) == 0))));
}

/* Newer objects stand in front of the list: told in the order they were made. */
json_t *
ctl_show_probes(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct ctl_probe_list l;
	struct spw_err why = {0};
	json_t *list = json_array(), *reply;
	int rc = ctl_probe_list_get(rt, &l, &why);

	for (const struct watch_probe *w = rt->watch->probes; w; w = w->next)
		if (is_asked(rt, w, arg))
			json_array_insert_new(
				list, 0, probe_json(rt, w, ctl_probe_list_find(&l, w->content.id)));
	free(l.s);
	if (arg && json_array_size(list) == 0) {
		json_decref(list);
		spw_fail(err, -ENOENT, "no probe over '%.32s'; see 'show probes'", arg);
		return NULL;
	}
	reply = json_pack("{s:o}", "probes", list);
	if (rc != 0)
		ctl_json_unreachable(reply, "spillway-dataplane", &why);
	return reply;
}
