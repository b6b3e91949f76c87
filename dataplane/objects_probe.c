/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forwarding probes as objects: PROBE_SET, removal, GET_PROBES and what EV_PROBE tells.
 *
 * A probe names a path by which it sends and an address of ours to which its answers come; both
 * must be there first. A path that a probe names cannot be deleted, as with groups: delete the
 * probe before. A path that is set with another content is another way, and its probes begin anew,
 * unknown. An address that is taken away later only leaves the probe without answers.
 *
 * API thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "dataplane/api.h"
#include "dataplane/dump.h"
#include "dataplane/monitor_probe.h"

static bool
link_local(const struct spw_addr *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/* Is it an address of ours? Link-local ones are known to the interface alone. */
static bool
is_ours(const struct dp_control *c, const struct spw_addr *a)
{
	if (link_local(a))
		return true;
	if (a->family == AF_INET6)
		return dp_local6_find(atomic_load(&c->tables->local6), a->bytes) != DP_NO_IFACE;
	return dp_local_find(atomic_load(&c->tables->local), spw_addr_get_v4(a)) != DP_NO_IFACE;
}

static int
path_check(const struct dp_control *c, const struct spw_dp_probe *p, struct spw_err *err)
{
	const struct dp_path *path =
		p->path < SPW_DP_PATHS_MAX ? dp_path_get(c->tables, p->path) : NULL;

	if (!path)
		return spw_fail(err, -ENOENT, "probe %u: there is no path %u", p->id, p->path);
	if (path->conf.kind != SPW_PATH_ADJACENCY && path->conf.kind != SPW_PATH_TUNNEL)
		return spw_fail(err, -EINVAL,
				"probe %u: path %u is neither to a next hop nor a tunnel", p->id,
				p->path);
	return 0;
}

static int
probe_check(const struct dp_control *c, const struct spw_dp_probe *p, struct spw_err *err)
{
	char text[SPW_ADDR_TEXT];
	int rc = dp_probe_check(p, err);

	if (rc == 0)
		rc = path_check(c, p, err);
	if (rc == 0 && p->size > c->opt->mbuf_size)
		rc = spw_fail(err, -EINVAL,
			      "probe %u: %u bytes do not fit in a packet buffer of %u; see "
			      "--mbuf-size",
			      p->id, p->size, c->opt->mbuf_size);
	if (rc == 0 && !is_ours(c, &p->source))
		rc = spw_fail(err, -EADDRNOTAVAIL, "probe %u: %s is no address of ours", p->id,
			      spw_addr_format(&p->source, text));
	return rc;
}

int
dp_handle_probe_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_probe *p = b->elems;
	struct dp_probe **made = calloc(b->count, sizeof(*made));
	int rc = made ? 0 : spw_fail(err, -ENOMEM, "no memory for probes");

	for (b->bad = 0; rc == 0 && b->bad < b->count; b->bad += rc == 0) {
		rc = probe_check(c, &p[b->bad], err);
		if (rc == 0 && !(made[b->bad] = dp_probes_room()))
			rc = spw_fail(err, -ENOMEM, "no memory for probes");
	}
	for (uint32_t i = 0; made && i < b->count; i++) {
		if (rc == 0)
			dp_probes_put(c->probes, &p[i], made[i]);
		else
			free(made[i]);
	}
	free(made);
	return rc;
}

int
dp_probe_may_del(struct dp_control *c, uint32_t id, struct spw_err *err)
{
	if (!dp_probes_get(c->probes, id))
		return spw_fail(err, -ENOENT, "there is no probe %u", id);
	return 0;
}

void
dp_probe_del(struct dp_control *c, uint32_t id)
{
	dp_probes_del(c->probes, id);
}

bool
dp_probe_row(struct dp_control *c, uint32_t *cursor, void *row)
{
	while (*cursor < SPW_DP_PROBES_MAX)
		if (dp_probes_stats(c->probes, (*cursor)++, row))
			return true;
	return false;
}

void
dp_probes_collect(struct dp_api *api, struct dp_control *c)
{
	static const char *const state[] = {"unknown", "up", "down"};
	struct spw_dp_probe_event ev;

	while (dp_probes_take_changed(c->probes, &ev)) {
		spw_log(SPW_LOG_INFO, "probe", "state", "probe=%u state=%s", ev.id,
			state[ev.state]);
		dp_api_event(api, SPW_DP_SUB_PATH, SPW_DP_EV_PROBE, &ev, sizeof(ev));
	}
}
