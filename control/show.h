/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: state as JSON; the shapes are docs/show-json.md. */
#ifndef SPW_CONTROL_SHOW_H
#define SPW_CONTROL_SHOW_H

#include "control/failover.h"
#include "control/runtime_priv.h"

/* Counters of a second ago, for rates. */
int ctl_show_new(struct ctl_runtime *rt);
void ctl_show_free(struct ctl_runtime *rt);
/* Once a second while the data plane is there. */
void ctl_show_sample(struct ctl_runtime *rt);
/* "clear counters": shows count from now on; the data plane's own counters never go back. */
void ctl_show_clear(struct ctl_runtime *rt, ctl_done_fn done, void *ctx);

/* Rates and bases, kept by show_counters.c. */
double ctl_show_drop_rate(const struct ctl_runtime *rt, const char *reason);
double ctl_show_sa_rate_bps(const struct ctl_runtime *rt, uint32_t spi_in, bool out);
double ctl_show_worker_load(const struct ctl_runtime *rt, uint32_t worker);
/* Take from the counters of interfaces, by id, what they were at the last "clear counters". */
void ctl_show_since_clear(struct ctl_runtime *rt, json_t *by_id);
/* show.c: visit struct spw_dp_iface_stats; ctx is an object of counters by the interface's id. */
void ctl_show_iface_stats(void *ctx, const void *elem);

/* One function for each `what`; arg may be NULL. New reference or NULL with a sentence. */
json_t *ctl_show_version(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_interfaces(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_neighbors(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_bgp(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_drops(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_workers(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_ike(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_ipsec_sa(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_ipsec_statistics(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_route(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_fib(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_failover(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_failover_history(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_failover_readiness(struct ctl_runtime *rt, const char *arg, struct spw_err *err);

json_t *ctl_show_bfd(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_probes(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
json_t *ctl_show_failover_events(struct ctl_runtime *rt, const char *arg, struct spw_err *err);

/* show_vpn.c: what iked says of all tunnels; the caller frees l->s. 0 or -errno with a sentence. */
struct ctl_ike_list {
	unsigned int n;
	struct spw_ike_status *s;
};
int ctl_ike_list_get(struct ctl_runtime *rt, struct ctl_ike_list *l, struct spw_err *err);
/* NULL when iked does not know the tunnel. */
const struct spw_ike_status *ctl_ike_list_find(const struct ctl_ike_list *l, const char *name);
/* Why a tunnel does not stand: the present word of iked, else that of its last event; "" = none. */
const char *ctl_ike_list_reason(const struct ctl_ike_list *l, const struct ctl_tun *t);

/* show_watch.c: statistics of all probes at one moment. */
struct ctl_probe_list {
	unsigned int n;
	struct spw_dp_probe_stats *s;
};
/* 0 or -errno with a sentence; the caller frees l->s. */
int ctl_probe_list_get(struct ctl_runtime *rt, struct ctl_probe_list *l, struct spw_err *err);
/* Statistics of a probe; NULL when the data plane does not have it. */
const struct spw_dp_probe_stats *ctl_probe_list_find(const struct ctl_probe_list *l, uint32_t id);

/*
 * show_candidates.c: the paths that could carry a vnet, and what is known of each; ike (may be empty)
 * knows why a tunnel is down.
 */
json_t *ctl_show_candidates(struct ctl_runtime *rt, const struct ctl_vnet_state *v,
			    const struct ctl_ike_list *ike);
/* What is known of ExpressRoute for a vnet: the best of its next hops. */
struct ctl_circuit_view {
	bool learnt, alive, waiting;
	const struct ctl_path *path;
};
void ctl_show_circuit(struct ctl_runtime *rt, const struct ctl_vnet_state *v,
		      struct ctl_circuit_view *out);
/* show_route.c: a worker sends packets of the group over the path, alone or beside its equals. */
bool ctl_group_sends(const struct ctl_group *g, const struct ctl_path *p);
/* On its backup, whatever that is. */
bool ctl_vnet_on_backup(const struct ctl_vnet_state *v);

/* show_readiness.c: everything that readiness is made of, read once. */
struct ctl_readiness;
struct ctl_readiness *ctl_readiness_read(struct ctl_runtime *rt);
void ctl_readiness_free(struct ctl_readiness *r);
/* The object of one vnet as shown ("verdict", "findings", ...). */
json_t *ctl_readiness_vnet(struct ctl_readiness *r, struct ctl_runtime *rt,
			   const struct ctl_vnet_state *v);
/* Once a second: log when the readiness of a vnet has changed. */
void ctl_readiness_tick(struct ctl_runtime *rt);

/* journal.c: what happened, one object each, for `monitor failover`. Takes event. */
void ctl_journal_note(struct ctl_runtime *rt, const char *what, json_t *event);
void ctl_journal_path(struct ctl_runtime *rt, const struct ctl_path *path,
		      enum ctl_path_fault fault, bool on);
void ctl_journal_free(struct ctl_runtime *rt);
/* A switch as shown; with_vnet: its name, too. */
json_t *ctl_show_switch(const struct ctl_switch *s, bool with_vnet);

/* Small makers: text or null; nanoseconds as seconds; the "unreachable" line of another daemon. */
json_t *ctl_json_text(const char *text);
json_t *ctl_json_seconds(uint64_t ns);
json_t *ctl_json_addr(const struct spw_addr *a);
/* Add to each integer of `counters` the other's of that name, `factor` times. */
void ctl_json_counters_add(json_t *counters, const json_t *other, int factor);
/*
 * Round trip that a share q of a histogram does not exceed, or null. The histogram knows the bucket
 * only: the answer is never outside of what was measured.
 */
json_t *ctl_json_quantile(const uint64_t rtt[SPW_DP_RTT_BUCKETS], double q, uint32_t min_us,
			  uint32_t max_us);
void ctl_json_unreachable(json_t *object, const char *daemon, const struct spw_err *err);

#endif
