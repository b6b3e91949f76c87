/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: state as JSON; the shapes are docs/show-json.md. */
#ifndef SPW_CONTROL_SHOW_H
#define SPW_CONTROL_SHOW_H

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

/* Small makers: text or null; nanoseconds as seconds; the "unreachable" line of another daemon. */
json_t *ctl_json_text(const char *text);
json_t *ctl_json_seconds(uint64_t ns);
json_t *ctl_json_addr(const struct spw_addr *a);
void ctl_json_unreachable(json_t *object, const char *daemon, const struct spw_err *err);

#endif
