/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events: what workers, the SAD and ports have to tell, turned into messages for subscribers.
 *
 * Workers leave short notes in rings; times in them are TSC values and become CLOCK_MONOTONIC here.
 * SWITCHED names when the deciding bit or leaf changed: the newest change among the group's paths,
 * not after the packet, and the group's own mark when the packet saw it. A packet carries the time
 * at which its burst began, which may lie a little before a mark that it saw; then the mark's time
 * is the packet's, too. Several workers see one switch; only the first note of each is passed on.
 *
 * API thread.
 */
#include "dataplane/api.h"
#include "dataplane/bfd_sessions.h"

static uint64_t
change_before(struct dp_control *c, const struct dp_group *g, uint8_t tag, uint64_t at_ns)
{
	uint64_t newest = tag == atomic_load(&g->tag) ? g->repointed_ns : 0;
	bool up;

	for (uint32_t t = 0; t < g->conf.n_tiers; t++) {
		for (uint32_t p = 0; p < g->conf.tier[t].n_paths; p++) {
			uint64_t ns =
				dp_path_bits_life(c->tables->bits, g->conf.tier[t].path[p], &up)
					.changed_ns;

			if (ns <= at_ns && ns > newest)
				newest = ns;
		}
	}
	return newest;
}

static void
tell_switched(struct dp_api *api, struct dp_control *c, const struct dp_worker_event *note)
{
	const struct dp_group *g = dp_group_get(c->tables, note->group);
	struct spw_dp_path_event ev = {.kind = SPW_PATH_EV_SWITCHED,
				       .path = note->path,
				       .group = note->group,
				       .at_ns = dp_tsc_to_ns(note->tsc)};
	bool up;

	if (!g)
		return;
	struct dp_switch_told *told = &c->switch_told[note->group];

	ev.change_ns = change_before(c, g, note->tag, ev.at_ns);
	ev.at_ns = RTE_MAX(ev.at_ns, ev.change_ns);
	ev.clears = dp_path_bits_life(c->tables->bits, note->path, &up).clears;
	if (told->change_ns == ev.change_ns && told->path == ev.path)
		return;
	told->change_ns = ev.change_ns;
	told->path = ev.path;
	dp_api_event(api, SPW_DP_SUB_PATH, SPW_DP_EV_PATH, &ev, sizeof(ev));
}

static void
tell_miss(struct dp_api *api, const struct dp_worker_event *note)
{
	struct spw_dp_neigh ev = {.iface = note->iface, .addr = spw_addr_from_mapped(note->addr)};

	dp_api_event(api, SPW_DP_SUB_NEIGH, SPW_DP_EV_NEIGH_MISS, &ev, sizeof(ev));
}

static void
workers_collect(struct dp_api *api, struct dp_control *c)
{
	struct dp_worker_event note;

	for (unsigned int w = 0; w < c->n_workers; w++) {
		struct rte_ring *r = dp_priv(c->worker[w])->events;

		/* What does not fit in the ring meanwhile, later packets tell again. */
		while (dp_api_room(api, SPW_DP_SUB_PATH | SPW_DP_SUB_NEIGH) &&
		       rte_ring_sc_dequeue_elem(r, &note, sizeof(note)) == 0) {
			if (note.kind == DP_EVENT_SWITCHED)
				tell_switched(api, c, &note);
			else
				tell_miss(api, &note);
		}
	}
}

static void
paths_collect(struct dp_api *api, struct dp_control *c)
{
	struct dp_path_mask cleared;

	if (!dp_path_bits_take_cleared(c->tables->bits, &cleared))
		return;
	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id++) {
		bool up;

		if (!dp_path_mask_has(&cleared, id))
			continue;
		struct dp_path_life life = dp_path_bits_life(c->tables->bits, id, &up);
		struct spw_dp_path_event ev = {.kind = SPW_PATH_EV_CLEARED,
					       .path = id,
					       .clears = life.clears,
					       .at_ns = life.changed_ns,
					       .change_ns = life.changed_ns};

		dp_api_event(api, SPW_DP_SUB_PATH, SPW_DP_EV_PATH, &ev, sizeof(ev));
	}
}

static void
links_collect(struct dp_api *api, struct dp_control *c)
{
	for (uint32_t i = 0; i < DP_PORTS_MAX; i++) {
		struct dp_port *p = c->port[i];

		if (!p || !atomic_exchange(&p->link_event, 0))
			continue;
		struct spw_dp_link ev = {
			.port = i, .up = atomic_load(&p->link_driver), .at_ns = spw_clock_ns()};

		spw_log(SPW_LOG_INFO, "port", "link", "port=%.15s up=%u", p->conf.name, ev.up);
		dp_api_event(api, SPW_DP_SUB_LINK, SPW_DP_EV_LINK, &ev, sizeof(ev));
	}
}

static const char *
bfd_state_name(uint32_t state)
{
	static const char *const name[] = {"admin-down", "down", "init", "up"};

	return state < RTE_DIM(name) ? name[state] : "?";
}

static void
bfd_collect(struct dp_api *api, struct dp_control *c)
{
	struct spw_dp_bfd_event ev;

	while (dp_bfds_event(c->bfds, &ev)) {
		paths_collect(api, c); /* what the session cleared is told before it */
		spw_log(SPW_LOG_INFO, "bfd", "state",
			"session=%u old=%s new=%s diag=%u remote=%s remote_diag=%u", ev.id,
			ev.was_up ? "up" : "not-up", bfd_state_name(ev.state), ev.diag,
			bfd_state_name(ev.remote_state), ev.remote_diag);
		dp_api_event(api, SPW_DP_SUB_PATH, SPW_DP_EV_BFD, &ev, sizeof(ev));
	}
}

void
dp_events_collect(struct dp_api *api, struct dp_control *c)
{
	struct spw_dp_sa_event ev;

	links_collect(api, c);
	paths_collect(api, c);
	bfd_collect(api, c);
	dp_probes_collect(api, c);
	workers_collect(api, c);
	while (dp_api_room(api, SPW_DP_SUB_SA) && dp_sad_event(c->sad, &ev))
		dp_api_event(api, SPW_DP_SUB_SA, SPW_DP_EV_SA, &ev, sizeof(ev));
}
