/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: what the API thread keeps, and the handlers of the messages. A handler
 * checks its whole batch, prepares everything that may fail, then publishes; old objects are
 * retired and freed after grace by dp_control_reclaim(). All of it: API thread.
 */
#ifndef SPW_DATAPLANE_CONTROL_H
#define SPW_DATAPLANE_CONTROL_H

#include "dataplane/options.h"
#include "dataplane/port.h"
#include "dataplane/punt.h"
#include "dataplane/sad.h"
#include "dataplane/stages.h"

struct dp_bfds;

struct dp_control {
	const struct dp_options *opt;
	uint64_t incarnation;
	uint64_t started_ns;
	struct rte_rcu_qsbr *qsbr;
	struct rte_mempool *pool;
	struct dp_tables *tables;
	struct dp_sad *sad;
	struct dp_punt *punt;
	struct dp_monitor *monitor;
	struct dp_bfds *bfds;
	struct dp_probes *probes;
	struct dp_worker *worker[DP_WORKERS_MAX];
	unsigned int n_workers;
	struct dp_bell bell; /* wakes the API thread */
	_Atomic int stop;    /* for the workers */

	struct dp_port *port[DP_PORTS_MAX];
	struct dp_port_missed missed; /* of ports that are gone */
	struct spw_dp_addr *addr;
	uint32_t n_addrs;
	struct spw_dp_tunnel *tunnel[DP_TUNNELS_MAX];
	struct dp_shape_count *tunnel_class[DP_TUNNELS_MAX]; /* [worker]; NULL: never shaped */
	uint32_t path_refs[SPW_DP_PATHS_MAX];  /* groups that name the path */
	uint32_t outer_refs[SPW_DP_PATHS_MAX]; /* tunnels whose outer packets take the path */
	uint32_t *group_refs;		       /* [DP_GROUPS_MAX] routes that point to the group */
	uint32_t n_groups;
	struct dp_switch_told {
		uint64_t change_ns;
		uint32_t path;
		uint8_t tag; /* of the last group with this id: the next one counts on */
	} * switch_told;     /* [DP_GROUPS_MAX] newest SWITCHED event of a group */

	/* What the counters of a number stood at when its object was made: rows show what came since. */
	struct dp_iface_counters iface_base[DP_IFACES_MAX];
	struct dp_path_sum {
		uint64_t packets, bytes, class_bytes[SPW_DP_CLASSES];
	} path_base[SPW_DP_PATHS_MAX];

	void **retired;
	uint32_t n_retired, retired_room;
	bool changed; /* objects that workers read, since the last dp_control_reclaim() */
};

/* A request's elements. Handlers set `bad` to the element they refuse. */
struct dp_batch {
	const void *elems;
	uint32_t count;
	int *fds; /* taken ones are set to -1 */
	unsigned int n_fds;
	void *reply; /* room for `count` reply elements; zeroed */
	uint32_t bad;
};
typedef int dp_handler(struct dp_control *c, struct dp_batch *b, struct spw_err *err);

dp_handler dp_handle_port_set, dp_handle_iface_set, dp_handle_addr_set, dp_handle_addr_del,
	dp_handle_neigh_set, dp_handle_neigh_del, dp_handle_tunnel_set, dp_handle_path_set,
	dp_handle_path_state, dp_handle_group_set, dp_handle_route_set, dp_handle_route_del,
	dp_handle_object_del, dp_handle_sweep, dp_handle_link_state, dp_handle_spi_alloc,
	dp_handle_spi_free, dp_handle_sa_install, dp_handle_sa_switch, dp_handle_sa_delete,
	dp_handle_sa_move, dp_handle_bfd_set, dp_handle_probe_set, dp_handle_get_fib, dp_handle_classes_set;

/*
 * Removal of one object of a class, in two steps, for OBJECT_DEL and SWEEP. `may`: 0, -ENOENT or
 * -EBUSY with a sentence. `del` after `may` said yes: cannot fail, or where it needs memory that is
 * not there, -ENOMEM and the object stays. A path asks for the sweep that takes it (NULL = none):
 * paths go before tunnels, and what the same sweep will take holds nothing.
 */
int dp_port_may_del(struct dp_control *c, uint32_t id, struct spw_err *err);
int dp_port_del(struct dp_control *c, uint32_t id) __attribute__((warn_unused_result));
int dp_iface_may_del(struct dp_control *c, uint32_t id, struct spw_err *err);
int dp_iface_del(struct dp_control *c, uint32_t id) __attribute__((warn_unused_result));
int dp_tunnel_may_del(struct dp_control *c, uint32_t id, struct spw_err *err);
void dp_tunnel_del(struct dp_control *c, uint32_t id);
int dp_path_may_del(struct dp_control *c, uint32_t id, const struct spw_dp_sweep *sweep,
		    struct spw_err *err);
int dp_path_del(struct dp_control *c, uint32_t id) __attribute__((warn_unused_result));
int dp_group_may_del(struct dp_control *c, uint32_t id, struct spw_err *err);
int dp_group_del(struct dp_control *c, uint32_t id) __attribute__((warn_unused_result));
int dp_probe_may_del(struct dp_control *c, uint32_t id, struct spw_err *err);
void dp_probe_del(struct dp_control *c, uint32_t id);
int dp_bfd_may_del(struct dp_control *c, uint32_t id, struct spw_err *err);
void dp_bfd_del(struct dp_control *c, uint32_t id);
/* Generation of a BFD session; false when there is none. */
bool dp_bfd_generation(const struct dp_control *c, uint32_t id, uint32_t *generation);
/* Remove all addresses of an interface. 0 or -ENOMEM. */
int dp_iface_addrs_del(struct dp_control *c, uint32_t iface);
/* Remove the addresses (routes) older than a generation. 0 or -errno with a sentence. */
int dp_addrs_sweep(struct dp_control *c, uint32_t generation, struct spw_err *err);
int dp_routes_sweep(struct dp_control *c, uint32_t generation, struct spw_err *err);

/* Make the set of paths of every port anew, after paths or interfaces changed. */
void dp_ports_remask(struct dp_control *c);
/* Make the sets of paths that BFD sessions speak for anew, after paths or sessions changed. */
void dp_bfds_remask(struct dp_control *c);
/* Remove the BFD sessions of an interface that goes. */
void dp_bfds_iface_del(struct dp_control *c, uint32_t iface);
/* Bring the finished header of every path up to date, after neighbours, interfaces or paths
 * changed. */
void dp_paths_prepare(struct dp_control *c);
/* Free a path that no worker can see. */
void dp_path_free(struct dp_path *p);
/*
 * The first tunnel whose outer packets take a path, but for those older than a sweep (NULL = none);
 * NULL when there is none. Borrowed.
 */
const struct spw_dp_tunnel *dp_tunnel_by_outer(const struct dp_control *c, uint32_t path,
					       const struct spw_dp_sweep *sweep);
/* A path goes: what named it for its outer packets sends by the routes. */
void dp_tunnels_let_go(struct dp_control *c, uint32_t path);
/* Key of an address of either family among the neighbours. */
struct dp_neigh_key dp_neigh_key_of(uint16_t iface, const struct spw_addr *addr);
/* Forget neighbours older than a generation. */
void dp_neighs_expire(struct dp_control *c, uint32_t generation);
/* Clear every path over an interface (it went down). */
void dp_iface_clear_paths(struct dp_control *c, uint32_t iface);
/* A route was pointed to the group, or its content changed: the next packet tells. */
void dp_group_mark(struct dp_control *c, uint32_t group);

/*
 * What the capacities of tunnels that are being set ask for: prepare (0 or -ENOMEM with a
 * sentence), then commit or discard, both of which take the array.
 */
int dp_shapes_prepare(struct dp_control *c, const struct spw_dp_tunnel *t, uint32_t n,
		      struct dp_shape ***made, struct spw_err *err)
	__attribute__((warn_unused_result));
void dp_shapes_commit(struct dp_control *c, const struct spw_dp_tunnel *t, uint32_t n,
		      struct dp_shape **made);
void dp_shapes_discard(struct dp_shape **made, uint32_t n);
/* A tunnel goes; and all of them do, when nobody else runs. */
void dp_shape_tunnel_del(struct dp_control *c, uint32_t tunnel);
void dp_shapes_free(struct dp_control *c);
/* Add the counters by class to a tunnel's row. */
void dp_shape_stats(const struct dp_control *c, struct spw_dp_tunnel_stats *row);

/* An interface, a path is new under its number: its counters begin. dump.c. */
void dp_iface_counts_begin(struct dp_control *c, uint32_t id);
void dp_path_counts_begin(struct dp_control *c, uint32_t id);

/* Make room for `n` more retired objects; -ENOMEM. After it, as many dp_retire() cannot fail. */
int dp_retire_reserve(struct dp_control *c, uint32_t n) __attribute__((warn_unused_result));
/* Hand over an object that is published no more (free() after grace); NULL is fine. */
void dp_retire(struct dp_control *c, void *object);
/* Wait until no worker can hold a retired object, then free them. */
void dp_control_reclaim(struct dp_control *c);
/* Wait until every worker has passed a quiescent state. */
void dp_control_grace(struct dp_control *c);

/* TSC value of the recent past to CLOCK_MONOTONIC nanoseconds; 0 stays 0. */
uint64_t dp_tsc_to_ns(uint64_t tsc);
/* Is `generation` older than `than`, across a wrap? */
static inline bool
dp_generation_older(uint32_t generation, uint32_t than)
{
	return (int32_t)(generation - than) < 0;
}

/* Free every object; workers and the punt thread have ended. */
void dp_control_free_objects(struct dp_control *c);

#endif
