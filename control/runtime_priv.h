/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/: what the parts of the runtime share. One thread, the event loop, owns it
 * all.
 */
#ifndef SPW_CONTROL_RUNTIME_PRIV_H
#define SPW_CONTROL_RUNTIME_PRIV_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/damping.h"
#include "control/ids.h"
#include "control/netlink.h"
#include "control/preference.h"
#include "control/rib.h"
#include "control/runtime.h"

#define CTL_CAUSE	 24
#define CTL_KERNEL_ADDRS 32
#define CTL_TUN_SPEAKERS 2
#define CTL_PATH_BUCKETS 4096

struct event;
struct ctl_dataplane;
struct ctl_failover;
struct ctl_frr;
struct ctl_iked;
struct ctl_show;
struct ctl_bmp;
struct ctl_groups;
struct ctl_pins;
struct ctl_watch;

/* A DPDK port; belongs to the interface of the same name. */
struct ctl_port {
	struct ctl_port *next;
	uint32_t id;
	char name[CTL_NAME];
	char devargs[SPW_DP_DEVARGS];
	char kernel_name[IFNAMSIZ]; /* iface=X of the vdev; empty: the data plane knows its link */
	uint32_t mtu;
	uint8_t mac[6];
	bool in_dataplane; /* PORT_SET was accepted by the present incarnation */
	bool link_known, link_up;
	bool keep; /* mark of the configuration's reconciliation */
};

/* An interface with its kernel twin: of a port, a sub-interface, or a tunnel with addresses. */
struct ctl_iface {
	struct ctl_iface *next;
	uint32_t id;
	char name[CTL_NAME];
	char description[CTL_TEXT];
	enum spw_dp_iface_kind kind;
	enum spw_dp_iface_role role;
	char circuit[CTL_NAME];		    /* role expressroute */
	struct spw_addr gateway4, gateway6; /* role internet: next router, as configured */
	bool aside;		 /* an operator has set the next hops over it aside (request.c) */
	uint64_t aside_until_ns; /* 0 = until resumed */
	struct ctl_port *port;	 /* port, sub-interface */
	struct ctl_tun *tunnel;	 /* tunnel */
	uint16_t vlan_outer, vlan_inner, vlan_tpid, mss_clamp;
	bool enabled;
	uint32_t mtu;
	unsigned int n_wanted; /* addresses of the configuration */
	struct spw_prefix wanted[CTL_ADDRS];
	unsigned int n_addresses; /* addresses the kernel has on the twin */
	struct spw_prefix address[CTL_KERNEL_ADDRS];
	unsigned int n_before; /* the same before a resync */
	struct spw_prefix before[CTL_KERNEL_ADDRS];
	unsigned int say_again; /* how often its addresses are still to be told anew */
	uint32_t ifindex;	/* of the twin, 0 = none yet */
	int keeper_fd;		/* detached queue that keeps the twin's carrier, -1 = none */
	bool twin_up;		/* as the kernel says: administratively up and with carrier */
	bool in_dataplane;
	bool keep;
};

struct ctl_tun {
	struct ctl_tun *next;
	uint32_t id;
	struct ctl_tunnel conf;
	struct ctl_iface *iface; /* NULL: no twin */
	struct ctl_path *path;
	bool encrypts; /* its underlay is ExpressRoute */
	unsigned int n_speakers;
	struct spw_addr speaker[CTL_TUN_SPEAKERS]; /* BGP neighbours that live inside it */
	uint32_t outer, outer_told; /* path id + 1 of its outer packets, 0 = by the routes */
	uint32_t uplink;	    /* ifindex by which its IKE leaves, 0 = by the routes */
	bool up;		    /* carries both ways */
	bool has_sa;		    /* an outbound SA stands in the data plane */
	bool said_up, said_down;    /* last word of the iked that runs now */
	char reason[SPW_IKE_STATE_TEXT];
	bool keep;
};

struct ctl_neighbour {
	struct ctl_iface *iface;
	struct spw_addr addr;
	uint8_t mac[6];
	bool reachable, failed;
	uint64_t wanted_ns; /* when the kernel was last asked to keep it, 0 = never */
	bool stale;	    /* mark of a resync */
};

/*
 * Why a path may not carry although link, neighbour or SA stand; words for causes in
 * ctl_path_fault_name(). Each has one owner, who raises and ends it.
 */
enum ctl_path_fault {
	CTL_FAULT_BFD = 1u << 0,     /* watch_bfd.c: the session went down */
	CTL_FAULT_SESSION = 1u << 1, /* bmp.c: the BGP session with the next hop ended */
	CTL_FAULT_PROBE = 1u << 2,   /* watch_probe.c: no target answers over it */
};

/* One way to go: one bit in the data plane. */
struct ctl_path {
	struct ctl_path *next, *hash_next;
	uint32_t id;
	enum spw_dp_path_kind kind;
	struct ctl_iface *iface;
	struct ctl_tun *tunnel;
	struct spw_addr next_hop;
	bool in_dataplane;
	bool bit;   /* as the data plane has it */
	bool alive; /* as it should be */
	bool lost;  /* was alive before */
	uint32_t clears;
	uint64_t restored_ns; /* when it came back after a loss, 0 = never lost */
	uint64_t lost_ns;
	struct ctl_damping damping; /* how often it was lost lately */
	uint8_t faults;		    /* enum ctl_path_fault */
	bool hole;		    /* it swallows packets though all else of it stands */
	unsigned int refs;	    /* groups that name it */
	char key[CTL_ID_KEY];
};

/*
 * Next hops of one route. A route that came back after a withdrawal waits: from when to when, in
 * tenths of a second, so that what returns together shares a group and the end of the wait changes
 * groups only, no leaf.
 */
struct ctl_level {
	unsigned int n;
	uint32_t from_ds, until_ds; /* 0 = does not wait */
	uint32_t path[CTL_PREF_HOPS];
	uint8_t weight[CTL_PREF_HOPS];
};

/* Candidates of one destination: what a group is made of; equal ones share the group. */
struct ctl_recipe {
	struct ctl_vnet_state *vnet; /* NULL: outside every vnet, one level of equal paths */
	unsigned int n_levels;
	uint32_t tunnels; /* bit n: tunnel n of the vnet gives the destination */
	struct ctl_level level[CTL_PREF_LEVELS];
	struct ctl_level internet; /* Microsoft peering: its backup */
	struct ctl_level last;	   /* last resort */
};

struct ctl_group {
	struct ctl_group *hash_next;
	struct ctl_group *next; /* of the same vnet, or of those outside every vnet */
	uint32_t id;
	struct ctl_recipe recipe;
	struct spw_dp_group content; /* as it should be */
	struct ctl_pref_choice choice;
	enum ctl_pref_kind was_kind; /* at the last look for switches */
	uint32_t was_path;
	bool in_dataplane;   /* content was accepted */
	bool told;	     /* some content was: it can be deleted */
	unsigned int refs;   /* leaves */
	unsigned int joined; /* of them, since the last look for switches */
	char key[CTL_ID_KEY];
};

/* Leaves of a vnet that what carries them has changed for, since the last look for switches. */
struct ctl_moves {
	unsigned int n;
	struct spw_prefix first; /* and how that one moved */
	enum ctl_pref_kind from_kind, to_kind;
	uint32_t from_path, to_path;
};

struct ctl_vnet_state {
	struct ctl_vnet_state *next;
	struct ctl_vnet conf;
	enum ctl_operator request;
	uint64_t operator_until_ns;		/* 0 = until resumed */
	uint64_t wait_over_ns;			/* waits that began before have ended */
	unsigned int order;			/* in the configuration */
	struct ctl_tun *tun[SPW_DP_TIER_PATHS]; /* its tunnels, NULL where one is not configured */
	bool encrypted;				/* one of them has ExpressRoute as underlay */
	bool learns;				/* in one of them lives a BGP neighbour */
	struct ctl_rib_entry *leaves;		/* its leaves, linked by vnet_next */
	uint32_t n_leaves, n_by_len[129];
	struct ctl_group *groups; /* its groups, linked by next */
	bool dirty;		  /* its groups are to be evaluated */
	bool spread;		  /* leaves longer than spread_len are to be evaluated */
	uint8_t spread_len;
	uint64_t spread_ns; /* when that was last done */
	uint64_t rehome_ns; /* when leaves last left groups whose wait is over */
	struct ctl_moves moves;
	bool keep;
	/* Outcome of the last evaluation, for the vnet as a whole. */
	bool evaluated;
	enum ctl_pref_kind kind;
	uint32_t path;
	enum ctl_pref_reason reason;
	uint64_t since_ns;
	unsigned int on_expressroute, on_tunnel, on_nothing; /* leaves */
	unsigned int on_internet, on_last_resort;
	struct ctl_conditions conditions;
	uint32_t flaps,
		hold_s;		/* of the next hop of ExpressRoute that was lost most often lately:
				   losses that count, and its wait-to-restore after the next return */
	uint64_t restore_at_ns; /* nearest end of a wait, 0 = none */
	uint64_t hold_at_ns;	/* nearest end of a hold-off, 0 = none */
	uint64_t recalled_until_ns; /* a wait that an earlier process had begun ends then */
	uint64_t written_ns;	    /* restore_at_ns as it is written down */
};

/* Why something is about to change, and when the first local sign of it was read. */
struct ctl_trigger {
	const char *cause;
	uint64_t event_ns;
	double detect_ms; /* with a fault's cause: known already; negative or 0 = not */
};

struct ctl_runtime {
	struct event_base *base;
	struct ctl_runtime_options options;
	char run_dir[CTL_PATH], state_dir[CTL_PATH], frr_dir[CTL_PATH], iked_user[32];
	char dataplane_path[CTL_PATH + 32], ike_path[CTL_PATH + 32];
	bool configured; /* a first configuration was applied */
	struct ctl_config config;
	uint32_t generation;
	struct ctl_ids *ids;
	struct ctl_netlink *netlink;
	struct ctl_dataplane *dataplane;
	struct ctl_iked *iked;
	struct ctl_frr *frr;
	struct ctl_failover *failover;
	struct ctl_show *show;
	struct ctl_bmp *bmp;	 /* bmp.c */
	struct ctl_pins *pins;	 /* pins.c */
	struct ctl_watch *watch; /* watch.c: BFD sessions and probes */
	struct ctl_port *ports;
	struct ctl_iface *ifaces;
	struct ctl_tun *tunnels;
	struct ctl_vnet_state *vnets;
	struct ctl_rib rib;
	void *neighbours; /* tree of struct ctl_neighbour */
	struct ctl_path *path[SPW_DP_PATHS_MAX];
	bool path_kept[SPW_DP_PATHS_MAX]; /* number of no path, but of losses that still count */
	struct ctl_path *paths;
	struct ctl_path *path_bucket[CTL_PATH_BUCKETS];
	struct ctl_groups *groups;
	struct ctl_rib vnet_index;   /* prefixes of the vnets */
	struct ctl_rib_entry *dirty; /* entries to evaluate, linked by dirty_next, oldest first */
	struct ctl_rib_entry *dirty_last;
	struct event *more;	    /* goes on with what is dirty */
	struct ctl_trigger backlog; /* why that is */
	uint32_t n_remembered;	    /* entries that are kept for their flaps only */
	uint64_t purged_ns;
	struct ctl_rib_entry *changed; /* entries to send, linked by changed_next */
	struct event *timer;	       /* waits, hold-offs */
	struct event *tick;	       /* once a second: garbage, readiness */
	struct ctl_trigger trigger;
	bool bits_stale;   /* a bit was cleared whose event has not come yet (paths.c) */
	bool announce;	   /* what neighbours are told depends on paths that changed */
	bool kernel_known; /* the first reading of the kernel is through */
	bool in_sync; /* the data plane has all objects that paths, groups and leaves refer to */
	uint64_t started_ns;
};

/* runtime.c: finding things; NULL when there is none. */
struct ctl_iface *ctl_iface_by_index(struct ctl_runtime *rt, uint32_t ifindex);
struct ctl_iface *ctl_iface_by_name(struct ctl_runtime *rt, const char *name);
struct ctl_iface *ctl_iface_by_id(struct ctl_runtime *rt, uint32_t id);
struct ctl_port *ctl_port_by_name(struct ctl_runtime *rt, const char *name);
struct ctl_tun *ctl_tun_by_name(struct ctl_runtime *rt, const char *name);
struct ctl_tun *ctl_tun_by_id(struct ctl_runtime *rt, uint32_t id);
struct ctl_vnet_state *ctl_vnet_by_name(struct ctl_runtime *rt, const char *name);
/* "expressroute" for a next hop over such an interface, else the interface's or tunnel's name. */
const char *ctl_path_name(const struct ctl_path *path);

/* objects.c: make ports, interfaces, tunnels and vnets follow the configuration. */
void ctl_objects_reconcile(struct ctl_runtime *rt);
/* Free what the configuration does not name any more; call when nothing refers to it. */
void ctl_objects_prune(struct ctl_runtime *rt);
void ctl_objects_free(struct ctl_runtime *rt);
/* The name of the kernel device in "iface=X" of a vdev string; false when it has none. Pure. */
bool ctl_devargs_kernel_name(const char *devargs, char out[IFNAMSIZ]);
/* Key of a port in the book of numbers: another device is another port. */
void ctl_port_key(const char *name, const char *devargs, char out[CTL_ID_KEY]);
/* The message that describes a port. */
void ctl_port_message(const struct ctl_interface *conf, uint32_t id, uint32_t generation,
		      struct spw_dp_port *out);

/* follow.c: what the kernel says, into the objects. */
extern const struct ctl_netlink_handler ctl_follow_handler;
/* The link of a port changed (netlink or data plane). */
void ctl_follow_port_link(struct ctl_runtime *rt, struct ctl_port *port, bool up, uint64_t at_ns,
			  bool tell_dataplane);
struct ctl_neighbour *ctl_neighbour_find(struct ctl_runtime *rt, struct ctl_iface *iface,
					 const struct spw_addr *addr);
/* Make the kernel resolve and keep a neighbour. */
void ctl_neighbour_want(struct ctl_runtime *rt, struct ctl_iface *iface,
			const struct spw_addr *addr);
/* Forget the neighbours of an interface that goes. */
void ctl_neighbours_forget(struct ctl_runtime *rt, struct ctl_iface *iface);

/* statics.c: configured static routes in the kernel's table. */
void ctl_statics_apply(struct ctl_runtime *rt);

#endif
