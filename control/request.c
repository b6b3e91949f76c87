/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An operator's requests (failover switch, resume, lockout). They are written into the book beside
 * the numbers, so they outlive this process, not the machine.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/failover.h"
#include "control/fib.h"
#include "control/frr.h"

static void
fact_name(const struct ctl_vnet_state *v, char out[64])
{
	snprintf(out, 64, "operator:%s", v->conf.name);
}

static void
write_down(struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	char name[64], value[64];

	if (v->request == CTL_OPERATOR_TEST)
		return;
	fact_name(v, name);
	snprintf(value, sizeof(value), "%s %llu", ctl_operator_name(v->request),
		 (unsigned long long)v->operator_until_ns);
	ctl_ids_set_fact(rt->ids, name, value);
}

void
ctl_failover_write_wait(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	char name[64], value[32];

	if (v->written_ns == v->restore_at_ns)
		return;
	v->written_ns = v->restore_at_ns;
	snprintf(name, sizeof(name), "wait:%s", v->conf.name);
	snprintf(value, sizeof(value), "%llu", (unsigned long long)v->restore_at_ns);
	ctl_ids_set_fact(rt->ids, name, value);
}

void
ctl_failover_recall(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	char name[64], word[16];
	unsigned long long until;

	snprintf(name, sizeof(name), "wait:%s", v->conf.name);
	v->recalled_until_ns = strtoull(ctl_ids_get_fact(rt->ids, name), NULL, 10);
	v->written_ns = v->recalled_until_ns;
	fact_name(v, name);
	if (sscanf(ctl_ids_get_fact(rt->ids, name), "%15s %llu", word, &until) != 2)
		return;
	if (ctl_operator_parse(&v->request, word))
		v->operator_until_ns = until;
}

void
ctl_failover_request(struct ctl_runtime *rt, struct ctl_vnet_state *v, enum ctl_operator op,
		     uint64_t until_ns, const char *cause)
{
	bool drained = ctl_failover_is_drained(rt);

	spw_log(SPW_LOG_WARNING, "failover", "operator", "vnet=%s old=%s new=%s cause=%s",
		v->conf.name, ctl_operator_name(v->request), ctl_operator_name(op), cause);
	v->request = op;
	v->operator_until_ns = until_ns;
	if (op == CTL_OPERATOR_EXPRESSROUTE)
		ctl_failover_end_wait(v);
	write_down(rt, v);
	rt->trigger = (struct ctl_trigger){.cause = cause, .event_ns = spw_clock_ns()};
	ctl_fib_dirty_vnet(rt, v);
	ctl_fib_update(rt);
	if (drained != ctl_failover_is_drained(rt) && rt->config.bgp.local_as)
		ctl_frr_apply(rt);
}

bool
ctl_failover_is_drained(const struct ctl_runtime *rt)
{
	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v->request != CTL_OPERATOR_TUNNEL)
			return false;
	return rt->vnets != NULL;
}

static void
reply_error(ctl_done_fn done, void *ctx, const struct spw_err *err)
{
	done(ctx, err->code, NULL, err);
}

static void
reply_message(ctl_done_fn done, void *ctx, const char *text)
{
	json_t *reply = json_pack("{s:s}", "message", text);
	struct spw_err none = {0};

	done(ctx, 0, reply, &none);
	json_decref(reply);
}

/* "10m", "30s", "2h" to nanoseconds; 0 when it is none. */
static uint64_t
parse_duration(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	uint64_t unit = strcmp(end, "s") == 0 || *end == '\0' ? 1
			: strcmp(end, "m") == 0		      ? 60
			: strcmp(end, "h") == 0		      ? 3600
							      : 0;

	return n > 0 && n < 1000000 ? n * unit * SPW_NS_PER_S : 0;
}

struct request {
	enum ctl_operator op;
	const char *vnet; /* NULL = all */
	uint64_t for_ns;
};

static int
parse_switch(struct ctl_runtime *rt, const char *const *words, unsigned int n, struct request *r,
	     struct spw_err *err)
{
	const struct ctl_tun *t;

	if (n < 3)
		return spw_fail(err, -EINVAL,
				"failover switch: name the path, 'expressroute' or 'tunnel'");
	t = ctl_tun_by_name(rt, words[2]);
	if (strcmp(words[2], "expressroute") == 0)
		r->op = CTL_OPERATOR_EXPRESSROUTE;
	else if (strcmp(words[2], "tunnel") == 0 || t)
		r->op = CTL_OPERATOR_TUNNEL;
	else
		return spw_fail(
			err, -EINVAL,
			"failover switch: no path '%.32s'; use 'expressroute', 'tunnel' or the "
			"name of a tunnel",
			words[2]);
	for (unsigned int i = 3; i < n; i++) {
		if (strcmp(words[i], "for") == 0 && i + 1 < n) {
			r->for_ns = parse_duration(words[++i]);
			if (r->for_ns == 0)
				return spw_fail(
					err, -EINVAL,
					"failover switch: '%.16s' is no duration; use 30s, 10m "
					"or 2h",
					words[i]);
		} else {
			r->vnet = words[i];
		}
	}
	return 0;
}

static int
apply_request(struct ctl_runtime *rt, const struct request *r, struct spw_err *err)
{
	uint64_t until = r->for_ns ? spw_clock_ns() + r->for_ns : 0;

	if (r->vnet && !ctl_vnet_by_name(rt, r->vnet))
		return spw_fail(err, -ENOENT, "no vnet '%.32s'; see 'show failover'", r->vnet);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		if (r->vnet && strcmp(v->conf.name, r->vnet) != 0)
			continue;
		if (r->op == CTL_OPERATOR_TUNNEL && !ctl_failover_standby(rt, v))
			return spw_fail(
				err, -EHOSTDOWN,
				"no tunnel of vnet %s is ready; see 'show failover readiness'",
				v->conf.name);
	}
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (!r->vnet || strcmp(v->conf.name, r->vnet) == 0)
			ctl_failover_request(rt, v, r->op, until, "operator");
	return 0;
}

void
ctl_failover_command(struct ctl_runtime *rt, const char *const *words, unsigned int n,
		     ctl_done_fn done, void *ctx)
{
	struct request r = {.op = CTL_OPERATOR_NONE, .vnet = n > 2 ? words[2] : NULL};
	struct spw_err err = {0};
	char text[128];
	int rc = 0;

	if (n >= 2 && (strcmp(words[1], "test") == 0 || strcmp(words[1], "exercise") == 0)) {
		ctl_drill_command(rt, words, n, done, ctx);
		return;
	}
	if (n >= 2 && strcmp(words[1], "switch") == 0) {
		r.vnet = NULL;
		rc = parse_switch(rt, words, n, &r, &err);
	} else if (n >= 2 && strcmp(words[1], "lockout") == 0) {
		r.op = CTL_OPERATOR_LOCKOUT;
	} else if (n < 2 || strcmp(words[1], "resume") != 0) {
		rc = spw_fail(&err, -EINVAL, "failover: use switch, resume, lockout or test");
	}
	if (rc == 0)
		rc = apply_request(rt, &r, &err);
	if (rc != 0) {
		reply_error(done, ctx, &err);
		return;
	}
	snprintf(text, sizeof(text), "%s: request '%s' is in force", r.vnet ? r.vnet : "all vnets",
		 ctl_operator_name(r.op));
	reply_message(done, ctx, text);
}
