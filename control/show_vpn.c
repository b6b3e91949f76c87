/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shows of tunnels: what iked says of IKE SAs, what the data plane says of child SAs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/iked.h"
#include "control/pfs.h"
#include "control/show.h"

static void
status_keep(void *ctx, const struct spw_ike_status *s)
{
	struct ctl_ike_list *l = ctx;
	struct spw_ike_status *more;

	if ((l->n & (l->n + 1)) == 0) { /* room for the next power of two */
		more = reallocarray(l->s, 2 * ((size_t)l->n + 1), sizeof(*more));
		if (!more)
			return;
		l->s = more;
	}
	l->s[l->n] = *s;
	l->s[l->n].reason[sizeof(s->reason) - 1] = '\0';
	spw_text_mend(l->s[l->n++].reason);
}

static int
compare_names(const void *a, const void *b)
{
	const struct spw_ike_status *x = a, *y = b;

	return strncmp(x->name, y->name, SPW_NAME_LEN);
}

int
ctl_ike_list_get(struct ctl_runtime *rt, struct ctl_ike_list *l, struct spw_err *err)
{
	int rc;

	*l = (struct ctl_ike_list){0};
	rc = ctl_iked_status(rt, status_keep, l, err);
	if (l->n)
		qsort(l->s, l->n, sizeof(*l->s), compare_names);
	return rc;
}

const struct spw_ike_status *
ctl_ike_list_find(const struct ctl_ike_list *l, const char *name)
{
	struct spw_ike_status key = {0};

	strncpy(key.name, name, sizeof(key.name) - 1);
	return l->n ? bsearch(&key, l->s, l->n, sizeof(*l->s), compare_names) : NULL;
}

const char *
ctl_ike_list_reason(const struct ctl_ike_list *l, const struct ctl_tun *t)
{
	const struct spw_ike_status *s = ctl_ike_list_find(l, t->conf.name);

	return s && s->reason[0] ? s->reason : t->reason;
}

static const char *
state_word(const struct ctl_tun *t, const struct spw_ike_status *s)
{
	static const char *const word[] = {[SPW_IKE_IDLE] = "idle",
					   [SPW_IKE_CONNECTING] = "connecting",
					   [SPW_IKE_ESTABLISHED] = "established",
					   [SPW_IKE_REKEYING] = "rekeying",
					   [SPW_IKE_CLOSING] = "closing"};

	if (!t->conf.enabled)
		return "disabled";
	return s && s->state <= SPW_IKE_CLOSING ? word[s->state] : "unknown";
}

static json_t *
cipher_json(const struct spw_ike_proposal *p)
{
	if (p->encr == SPW_ENCR_NONE || p->encr >= SPW_ENCR_COUNT || p->integ >= SPW_INTEG_COUNT ||
	    p->prf >= SPW_PRF_COUNT || p->group >= SPW_GROUP_COUNT)
		return json_null();
	const char *encr = spw_encr_info(p->encr)->show_name,
		   *prf = spw_prf_info(p->prf)->show_name,
		   *group = spw_group_info(p->group)->show_name;

	if (p->integ == SPW_INTEG_NONE)
		return json_sprintf("%s/%s/%s", encr, prf, group);
	return json_sprintf("%s/%s/%s/%s", encr, spw_integ_info(p->integ)->show_name, prf, group);
}

static json_t *
since_json(uint64_t then, uint64_t now)
{
	return then && then <= now ? ctl_json_seconds(now - then) : json_null();
}

static json_t *
until_json(uint64_t then, uint64_t now)
{
	return then > now ? ctl_json_seconds(then - now) : json_null();
}

static json_t *
spi_json(uint64_t spi)
{
	return spi ? json_sprintf("%016llx", (unsigned long long)spi) : json_null();
}

static const char *
nat_word(const struct spw_ike_status *s)
{
	if (s->nat_here && s->nat_there)
		return "both";
	return s->nat_here ? "here" : s->nat_there ? "there" : "none";
}

static json_t *
pfs_json(const struct ctl_tunnel *t, const struct spw_ike_status *s, uint64_t now)
{
	char cause[CTL_TEXT], mend[2 * CTL_TEXT];
	bool failed = ctl_pfs_cause(s, cause, sizeof(cause));

	if (failed)
		ctl_pfs_mend(t, s, mend, sizeof(mend));
	return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o}", "outcome", ctl_pfs_outcome(t, s), "group",
			 t->n_esp ? spw_group_info(t->esp[0].group)->conf_name : "none", "ago_s",
			 since_json(s->check_ns, now), "in_s", until_json(s->check_at_ns, now),
			 "cause", failed ? json_string(cause) : json_null(), "mend",
			 failed ? json_string(mend) : json_null());
}

/* The key an IKE SA was authenticated with, by the name of its file. */
static json_t *
key_json(const struct ctl_tunnel *t, const struct spw_ike_status *s)
{
	const char *path = s->psk == 1 ? t->psk_file : s->psk == 2 ? t->next_psk_file : "";
	const char *slash = strrchr(path, '/');

	return path[0] ? json_string(slash ? slash + 1 : path) : json_null();
}

/* Nobody has a role before one of the two has begun. */
static json_t *
role_json(const struct spw_ike_status *s)
{
	if (s->state == SPW_IKE_IDLE)
		return json_null();
	return json_string(s->initiator ? "initiator" : "responder");
}

static void
ike_add_live(json_t *o, const struct ctl_tun *t, const struct spw_ike_status *s)
{
	uint64_t now = spw_clock_ns(), quiet = now - s->heard_ns;
	bool up = s->state == SPW_IKE_ESTABLISHED || s->state == SPW_IKE_REKEYING;
	json_t *live =
		json_pack("{s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:o,s:o,s:I,s:o,s:o,s:I,s:I,s:I}", "role",
			  role_json(s), "cipher", up ? cipher_json(&s->ike) : json_null(), "up_s",
			  up ? since_json(s->since_ns, now) : json_null(), "rekey_in_s",
			  until_json(s->rekey_at_ns, now), "heard_s", since_json(s->heard_ns, now),
			  "retransmits", (json_int_t)s->retransmits, "attempts",
			  (json_int_t)s->attempts, "next_try_s", until_json(s->next_try_ns, now),
			  "reason", up && s->children ? json_null() : ctl_json_text(s->reason),
			  "children", (json_int_t)s->children, "spi_i", spi_json(s->spi_i), "spi_r",
			  spi_json(s->spi_r), "ike_rekeys", (json_int_t)s->ike_rekeys,
			  "child_rekeys", (json_int_t)s->child_rekeys, "child_rekey_failures",
			  (json_int_t)s->child_rekey_failures);

	json_object_update(o, live);
	json_decref(live);
	json_object_set_new(o, "pfs_check", pfs_json(&t->conf, s, now));
	json_object_set_new(o, "nat", up ? json_string(nat_word(s)) : json_null());
	json_object_set_new(o, "escrow", up ? json_boolean(s->escrow) : json_null());
	json_object_set_new(o, "key", up ? key_json(&t->conf, s) : json_null());
	json_object_set_new(o, "ppk", up ? json_boolean(s->ppk) : json_null());
	if (!up || t->conf.dpd_delay_s == 0)
		json_object_set_new(o, "dpd", json_null());
	else
		json_object_set_new(
			o, "dpd",
			json_string(s->heard_ns && quiet <= (t->conf.dpd_delay_s + 1) * SPW_NS_PER_S
					    ? "ok"
					    : "probing"));
}

json_t *
ctl_show_ike(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct ctl_ike_list l;
	struct spw_err why = {0};
	int rc = ctl_ike_list_get(rt, &l, &why);
	json_t *list = json_array(), *reply;

	for (const struct ctl_tun *t = rt->tunnels; t; t = t->next) {
		const struct spw_ike_status *s = ctl_ike_list_find(&l, t->conf.name);

		if (arg && strcmp(arg, t->conf.name) != 0)
			continue;
		json_t *o = json_pack("{s:s,s:o,s:o,s:s}", "peer", t->conf.name, "local",
				      ctl_json_addr(&t->conf.local), "remote",
				      ctl_json_addr(&t->conf.remote), "state", state_word(t, s));

		if (s)
			ike_add_live(o, t, s);
		json_array_append_new(list, o);
	}
	free(l.s);
	if (arg && json_array_size(list) == 0) {
		json_decref(list);
		spw_fail(err, -ENOENT, "no tunnel '%.32s'; see 'show ike'", arg);
		return NULL;
	}
	reply = json_pack("{s:o}", "ike", list);
	if (rc != 0)
		ctl_json_unreachable(reply, "spillway-iked", &why);
	return reply;
}

struct sa_list {
	struct ctl_runtime *rt;
	json_t *list;
	const char *arg;
};

/* Seconds to the soft limit of time; the other limits have no date. */
static json_t *
rekey_json(const struct spw_dp_sa_stats *s, uint64_t now)
{
	uint64_t at = s->installed_ns + s->seconds.soft * SPW_NS_PER_S;

	return s->seconds.soft ? until_json(at, now) : json_null();
}

/* "AES256-GCM", "AES256-CBC/SHA256". */
static json_t *
suite_json(const struct spw_dp_sa_stats *s)
{
	uint32_t encr = s->encr < SPW_ENCR_COUNT ? s->encr : SPW_ENCR_NONE;

	if (s->integ == SPW_INTEG_NONE || s->integ >= SPW_INTEG_COUNT)
		return json_string(spw_encr_info(encr)->show_name);
	return json_sprintf("%s/%s", spw_encr_info(encr)->show_name,
			    spw_integ_info(s->integ)->show_name);
}

static json_t *
sa_json(struct ctl_runtime *rt, const struct spw_dp_sa_stats *s, bool out)
{
	const struct ctl_tun *t = ctl_tun_by_id(rt, s->tunnel);
	uint64_t now = spw_clock_ns();

	return json_pack("{s:s,s:s,s:o,s:o,s:b,s:I,s:I,s:f,s:o,s:o,s:o,s:o,s:o,s:o,s:b}", "tunnel",
			 t ? t->conf.name : "unknown", "dir", out ? "out" : "in", "spi",
			 json_sprintf("%08x", out ? s->spi_out : s->spi_in), "cipher",
			 suite_json(s), "nat_t", (s->flags & SPW_SA_UDP_ENCAP) != 0, "packets",
			 (json_int_t)(out ? s->out_packets : s->in_packets), "bytes",
			 (json_int_t)(out ? s->out_bytes : s->in_bytes), "rate_bps",
			 ctl_show_sa_rate_bps(rt, s->spi_in, out), "replay_window",
			 out ? json_null() : json_integer(s->replay_window), "late",
			 out ? json_null() : json_integer((json_int_t)s->late), "replayed",
			 out ? json_null() : json_integer((json_int_t)s->replayed), "auth_failed",
			 out ? json_null() : json_integer((json_int_t)s->auth_failed), "rekey_in_s",
			 rekey_json(s, now), "age_s", since_json(s->installed_ns, now), "active",
			 out ? s->outbound != 0 : 1);
}

static void
sa_visit(void *ctx, const void *elem)
{
	const struct spw_dp_sa_stats *s = elem;
	struct sa_list *l = ctx;
	const struct ctl_tun *t = ctl_tun_by_id(l->rt, s->tunnel);

	if (l->arg && (!t || strcmp(l->arg, t->conf.name) != 0))
		return;
	/* No calls to the data plane from here: its reply is still being read. */
	json_array_append_new(l->list, sa_json(l->rt, s, false));
	json_array_append_new(l->list, sa_json(l->rt, s, true));
}

json_t *
ctl_show_ipsec_sa(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct sa_list l = {.rt = rt, .list = json_array(), .arg = arg};

	if (arg && !ctl_tun_by_name(rt, arg)) {
		spw_fail(err, -ENOENT, "no tunnel '%.32s'; see 'show ike'", arg);
		json_decref(l.list);
		return NULL;
	}
	if (ctl_dataplane_get(rt, SPW_DP_GET_SAS, NULL, 0, sizeof(struct spw_dp_sa_stats), sa_visit,
			      &l, err) != 0) {
		json_decref(l.list);
		return NULL;
	}
	return json_pack("{s:o}", "sas", l.list);
}

/* What the data plane says of tunnels, and how many child SAs each has; objects by id. */
struct tunnel_figures {
	json_t *stats, *children;
};

static void
tunnel_visit(void *ctx, const void *elem)
{
	const struct spw_dp_tunnel_stats *s = elem;
	struct tunnel_figures *f = ctx;
	char key[16];

	snprintf(key, sizeof(key), "%u", s->id);
	json_object_set_new(
		f->stats, key,
		json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "state",
			  s->up ? "up" : "down", "transit_in_packets", (json_int_t)s->transit_in,
			  "transit_out_packets", (json_int_t)s->transit_out, "own_in_packets",
			  (json_int_t)s->own_in, "own_out_packets", (json_int_t)s->own_out,
			  "violations", (json_int_t)s->violations, "asymmetric_packets",
			  (json_int_t)s->asymmetric, "mtu", (json_int_t)s->mtu, "path_mtu",
			  s->path_mtu ? json_integer(s->path_mtu) : json_null(), "path_mtu_ends_s",
			  until_json(s->path_mtu_ends, spw_clock_ns())));
}

static void
child_count(void *ctx, const void *elem)
{
	struct tunnel_figures *f = ctx;
	json_int_t n;
	char key[16];

	snprintf(key, sizeof(key), "%u", ((const struct spw_dp_sa_stats *)elem)->tunnel);
	n = json_integer_value(json_object_get(f->children, key));
	json_object_set_new(f->children, key, json_integer(n + 1));
}

static json_t *
statistics_json(const struct ctl_tun *t, const struct tunnel_figures *f)
{
	json_t *o = json_pack("{s:s,s:s}", "tunnel", t->conf.name, "state", "unknown"), *stats;
	char key[16];

	snprintf(key, sizeof(key), "%u", t->id);
	stats = json_object_get(f->stats, key);
	if (!stats)
		return o;
	json_object_update(o, stats);
	json_object_set_new(o, "children",
			    json_integer(json_integer_value(json_object_get(f->children, key))));
	return o;
}

json_t *
ctl_show_ipsec_statistics(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct tunnel_figures f = {.stats = json_object(), .children = json_object()};
	struct spw_err why = {0};
	json_t *list = json_array(), *reply = NULL;
	int rc = ctl_dataplane_get(rt, SPW_DP_GET_TUNNELS, NULL, 0,
				   sizeof(struct spw_dp_tunnel_stats), tunnel_visit, &f, &why);

	if (rc == 0)
		rc = ctl_dataplane_get(rt, SPW_DP_GET_SAS, NULL, 0, sizeof(struct spw_dp_sa_stats),
				       child_count, &f, &why);
	for (const struct ctl_tun *t = rt->tunnels; t; t = t->next)
		if (!arg || strcmp(arg, t->conf.name) == 0)
			json_array_append_new(list, statistics_json(t, &f));
	json_decref(f.stats);
	json_decref(f.children);
	if (arg && json_array_size(list) == 0) {
		json_decref(list);
		spw_fail(err, -ENOENT, "no tunnel '%.32s'; see 'show ike'", arg);
		return NULL;
	}
	reply = json_pack("{s:o}", "tunnels", list);
	if (rc != 0)
		ctl_json_unreachable(reply, "spillway-dataplane", &why);
	return reply;
}
