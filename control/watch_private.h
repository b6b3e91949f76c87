/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by control/watch*.c, the drill and the shows of what is watched. */
#ifndef SPW_CONTROL_WATCH_PRIVATE_H
#define SPW_CONTROL_WATCH_PRIVATE_H

#include "control/watch.h"
#include "control/watch_rules.h"

#define WATCH_CIRCUIT_PATHS 64

/* A BFD session; key in the book of numbers: "IFACE PEER". */
struct watch_bfd {
	struct watch_bfd *next;
	char key[CTL_ID_KEY];
	char iface[CTL_NAME];
	struct spw_dp_bfd content; /* generation 0 */
	enum spw_bfd_state state;
	struct ctl_bfd_memory memory;
	uint64_t last_rx_ns, changed_ns;
	bool cleared; /* bgpd was told of the fault */
	bool known;   /* its state was read from the data plane since this process started */
	bool told, keep;
};

enum watch_purpose {
	WATCH_FORWARDING, /* its verdict counts */
	WATCH_MTU,	  /* full size through a tunnel; tells, never condemns */
	WATCH_BURST,	  /* fast, while a drill or an exercise measures */
};

/* A probe over one path for one vnet; key: "PURPOSE VNET TARGET KIND PORT PATH-KEY". */
struct watch_probe {
	struct watch_probe *next, *path_next;
	char key[CTL_ID_KEY];
	char vnet[CTL_NAME];
	enum watch_purpose purpose;
	struct spw_dp_probe content; /* generation 0 */
	enum spw_probe_state state;
	uint64_t last_ok_ns;
	/* Totals when it came up: what was lost before says nothing of the path as it is. */
	uint64_t up_lost, up_received;
	bool rebase; /* it came up since they were noted */
	bool told, keep;
};

/* Bytes that a path carries, by class, averaged over some seconds. */
struct watch_load {
	uint64_t at_ns, bytes, class_bytes[SPW_DP_CLASSES];
	double kbps[SPW_DP_CLASSES];
};

struct ctl_watch {
	struct watch_bfd *bfd;
	struct watch_probe *probes;
	unsigned int n_probes;
	void *by_key;				       /* tree of struct watch_probe */
	struct watch_probe *of_path[SPW_DP_PATHS_MAX]; /* by path_next */
	struct watch_probe *by_id[SPW_DP_PROBES_MAX];
	uint64_t incarnation;
	char burst_vnet[CTL_NAME]; /* empty = no burst runs */
	const struct ctl_path
		*paths_seen; /* head of all paths when circuit[] was made, NULL = anew */
	unsigned int n_circuits;
	struct ctl_path *circuit[WATCH_CIRCUIT_PATHS];
	struct watch_load *load[SPW_DP_PATHS_MAX]; /* by path; NULL: it never carried anything */
	json_t *readiness; /* verdict last told, by vnet; show_readiness.c */
	/* Asymmetry: the sum last seen, and last warned of. */
	uint64_t asymmetric, asymmetric_told;
	uint64_t asymmetric_told_ns;
	bool limit_told[CTL_LIST]; /* by neighbour of the configuration */
};

/* watch_bfd.c */
void watch_bfd_want(struct ctl_runtime *rt);
void watch_bfd_tell(struct ctl_runtime *rt, bool all);
/* Read the states that the data plane has, and make faults follow. */
void watch_bfd_refresh(struct ctl_runtime *rt);
void watch_bfd_free(struct ctl_runtime *rt);
/* The data plane is a new one: sessions start anew. What was a fault stays one. */
void watch_bfd_restart(struct ctl_runtime *rt);
/* The session that watches a next hop, or NULL. */
struct watch_bfd *watch_bfd_find(const struct ctl_runtime *rt, const struct ctl_iface *iface,
				 const struct spw_addr *peer);

/* watch_probe.c: what is wanted and told. */
void watch_probe_want(struct ctl_runtime *rt);
void watch_probe_tell(struct ctl_runtime *rt, bool all);
void watch_probe_free(struct ctl_runtime *rt);
struct watch_probe *watch_probe_by_id(const struct ctl_runtime *rt, uint32_t id);
/* The paths of a vnet that can be probed: next hops of its circuits, its tunnels. Returns how many
 * were written. */
unsigned int watch_vnet_paths(struct ctl_runtime *rt, const struct ctl_vnet_state *vnet,
			      struct ctl_path **path, unsigned int max);

/* watch_verdict.c: what probes say of paths. */
void watch_verdict(struct ctl_runtime *rt, uint64_t event_ns);
void watch_verdict_refresh(struct ctl_runtime *rt);

/* watch_load.c: once a second: load by class, asymmetry. */
void watch_load_tick(struct ctl_runtime *rt);
void watch_load_forget(struct ctl_runtime *rt, uint32_t path);
/* Load of a path; false when none is known. */
bool watch_load_of(const struct ctl_runtime *rt, uint32_t path, double kbps[SPW_DP_CLASSES]);

/* Prefixes that a BGP neighbour gives; false when not known. */
bool ctl_watch_prefixes(const struct ctl_runtime *rt, const struct spw_addr *neighbour,
			uint32_t *n);

/* As ctl_path_fault(); during a sync only the mark, since the sync itself evaluates later. */
void watch_fault(struct ctl_runtime *rt, struct ctl_path *path, enum ctl_path_fault fault, bool on,
		 uint64_t event_ns, double detect_ms);
/* Delete one object of ours in the data plane; what is not there is no error. */
void watch_delete(struct ctl_runtime *rt, enum spw_dp_class class, uint32_t id);
/* Refusals are told once each minute. */
void watch_refused(const char *what, const char *key, const struct spw_err *err);

/* Begin (or with NULL end) a burst: ten probes a second over each path of the vnet. */
void ctl_watch_burst(struct ctl_runtime *rt, const struct ctl_vnet_state *vnet);
/* Once a second. */
void ctl_watch_tick(struct ctl_runtime *rt);
/* The data plane cleared the bit of a path: did BFD? Asked before anything is decided by it. */
void ctl_watch_path_cleared(struct ctl_runtime *rt, uint32_t path);
/* A path is about to be deleted: what names it goes first. */
void ctl_watch_path_gone(struct ctl_runtime *rt, const struct ctl_path *path);

#endif
