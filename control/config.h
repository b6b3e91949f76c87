/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/: the running configuration as plain structures, made from the validated YANG
 * tree and read by the runtime. Strings are bounded copies; no pointer into the tree.
 */
#ifndef SPW_CONTROL_CONFIG_H
#define SPW_CONTROL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

#define CTL_NAME  SPW_NAME_LEN
#define CTL_PATH  256
#define CTL_TEXT  128
#define CTL_ADDRS 8
#define CTL_LIST  64

#define CTL_TUNNEL_LOCALS 128 /* different addresses that tunnels start from */

#define CTL_VNET_CIRCUITS 4
#define CTL_VNET_PROBES	  4

struct ctl_interface {
	char name[CTL_NAME];
	char description[CTL_TEXT];
	char device[SPW_DP_DEVARGS]; /* DPDK device, empty for a sub-interface */
	char parent[CTL_NAME];	     /* sub-interface: the interface that owns the port */
	uint16_t vlan_outer, vlan_inner;
	uint16_t vlan_tpid; /* of the outer tag; 0 = 0x8100 */
	enum spw_dp_iface_role role;
	bool enabled;
	uint32_t mtu;
	uint16_t mss_clamp;
	char circuit[CTL_NAME];	  /* role expressroute: name of the circuit, "expressroute" when
				     not set */
	struct spw_addr gateway4; /* role internet: next router; not set = by the kernel's routes */
	struct spw_addr gateway6;
	unsigned int n_addresses;
	struct spw_prefix address[CTL_ADDRS];
};

struct ctl_static_route {
	struct spw_prefix prefix;
	struct spw_addr next_hop;
	uint32_t distance;
};

struct ctl_neighbor {
	struct spw_addr address;
	uint32_t remote_as;
	char description[CTL_TEXT];
	char password_file[CTL_PATH]; /* TCP MD5, empty = none */
	uint32_t keepalive_s, hold_s;
	bool bfd;
	uint32_t bfd_transmit_ms, bfd_receive_ms, bfd_multiplier;
	uint32_t local_preference; /* of routes learnt here; never 0 after the model's build: 150
				      over an ExpressRoute interface, else 100, when not set */
	unsigned int n_announce;   /* prefixes for this neighbour alone; 0 = those of the speaker */
	struct spw_prefix announce[CTL_LIST];
	uint32_t prefix_limit;	 /* warn near this many prefixes from it; 0 = none */
	bool prefix_limit_drops; /* beyond it the session ends */
};

struct ctl_bgp {
	uint32_t local_as; /* 0 = BGP is off */
	struct spw_addr router_id;
	uint32_t multipath;    /* equal routes used at once, 1..SPW_DP_TIER_PATHS */
	bool graceful_restart; /* routes stay while FRR restarts */
	unsigned int n_announce;
	struct spw_prefix announce[CTL_LIST];
	unsigned int n_neighbors;
	struct ctl_neighbor neighbor[CTL_LIST];
};

struct ctl_tunnel {
	char name[CTL_NAME];
	char description[CTL_TEXT];
	bool enabled;
	struct spw_addr local, remote;
	struct spw_ike_id local_id, remote_id; /* type 0 = the address */
	char psk_file[CTL_PATH];
	char next_psk_file[CTL_PATH]; /* empty = none */
	char ppk_file[CTL_PATH];      /* empty = none */
	char ppk_id[SPW_IKE_PPK_ID_MAX + 1];
	bool ppk_required;
	enum spw_ike_mode mode;
	unsigned int n_ike, n_esp;
	struct spw_ike_proposal ike[SPW_IKE_PROPOSALS];
	struct spw_ike_proposal esp[SPW_IKE_PROPOSALS];
	uint32_t ike_lifetime_s;   /* soft; the peer may be earlier */
	uint32_t child_lifetime_s; /* hard limits; soft is 90 % */
	uint64_t child_lifetime_bytes, child_lifetime_packets;
	uint32_t jitter_percent;
	bool pfs_check; /* rekey once soon after it came up first */
	uint32_t dpd_delay_s, dpd_timeout_s;
	uint32_t nat_keepalive_s;
	bool force_encap;
	uint32_t ike_fragment; /* longest IP packet of IKE, 0 = never in pieces */
	enum spw_ike_esn esn;  /* of every ESP proposal */
	uint32_t replay_window;
	uint32_t mtu;
	uint32_t mss_clamp;
	bool dscp_copy;
	uint8_t outer_df;	  /* enum spw_dp_outer_df */
	unsigned int n_addresses; /* of its TUN twin; 0 = no twin */
	struct spw_prefix address[CTL_ADDRS];
	unsigned int n_local_selectors, n_remote_selectors; /* 0 = any */
	struct spw_prefix local_selector[SPW_SA_SELECTORS], remote_selector[SPW_SA_SELECTORS];
	uint32_t capacity_kbps; /* what the Azure gateway takes (SKU or by hand), 0 = not known */
	uint32_t gateway_kbps;	/* what its gateway takes from all its tunnels, 0 = not known */
	bool shape;		/* keep to it, by class */
};

/* What an ExpressRoute or a tunnel is asked, over each path of the vnet that it is for. */
enum ctl_probe_over { CTL_PROBE_BOTH, CTL_PROBE_CIRCUIT, CTL_PROBE_TUNNEL };
struct ctl_probe {
	struct spw_addr target;
	enum spw_dp_probe_kind kind;
	enum ctl_probe_over over;
	uint16_t port; /* of the reflector, TWAMP */
	uint32_t interval_ms, timeout_ms;
	uint32_t fall, rise;
	struct spw_addr source; /* not set: circuit: first address of a LAN interface; tunnel: its
				   own first address, else the same */
};

/* What backs an ExpressRoute up (azure.md 4.2): tunnels, or the Internet for Microsoft peering. */
enum ctl_peering { CTL_PEERING_PRIVATE, CTL_PEERING_MICROSOFT };

struct ctl_vnet_tunnel {
	char name[CTL_NAME];
	uint32_t weight; /* 1..255, share of the flows */
};

/* A traffic class; `rank` 0 is the most important. DSCP that no class names are of the third. */
struct ctl_class {
	char name[CTL_NAME];
	unsigned int rank; /* 0..SPW_DP_CLASSES-1 */
	uint32_t share_percent;
	unsigned int n_dscp;
	uint8_t dscp[64];
};

struct ctl_vnet {
	char name[CTL_NAME];
	char description[CTL_TEXT];
	unsigned int n_prefixes;
	struct spw_prefix prefix[CTL_LIST];
	unsigned int n_tunnels;
	struct ctl_vnet_tunnel tunnel[SPW_DP_TIER_PATHS];
	enum ctl_peering peering;
	unsigned int n_circuits; /* circuits that lead there; 0 = all */
	char circuit[CTL_VNET_CIRCUITS][CTL_NAME];
	unsigned int n_probes;
	struct ctl_probe probe[CTL_VNET_PROBES];
	uint32_t hold_off_ms;	     /* before leaving ExpressRoute, 0 = at once */
	uint32_t wait_to_restore_s;  /* before returning */
	uint32_t damping_max_s;	     /* flaps double the wait up to this, 0 = no damping */
	struct spw_addr last_resort; /* next hop on a LAN interface when all else is down; not set =
					drop */
};

struct ctl_config {
	char host_name[64];
	unsigned int n_interfaces, n_statics, n_tunnels, n_vnets;
	struct ctl_interface *interfaces;
	struct ctl_static_route *statics;
	struct ctl_tunnel *tunnels;
	struct ctl_vnet *vnets;
	struct ctl_bgp bgp;
	unsigned int n_classes; /* 0 = the built-in ones, ctl_classes_default() */
	struct ctl_class class[SPW_DP_CLASSES];
};

/* Look-ups, config.c. What they return is borrowed from the configuration; NULL = there is none. */
const struct ctl_interface *ctl_config_interface(const struct ctl_config *c, const char *name);
const struct ctl_tunnel *ctl_config_tunnel(const struct ctl_config *c, const char *name);
/* The interface, or the tunnel, that has this address of ours. */
const struct ctl_interface *ctl_config_interface_with(const struct ctl_config *c,
						      const struct spw_addr *own);
/* The interface, or the tunnel, in whose network an address lies. */
const struct ctl_interface *ctl_config_interface_towards(const struct ctl_config *c,
							 const struct spw_addr *a);
const struct ctl_tunnel *ctl_config_tunnel_towards(const struct ctl_config *c,
						   const struct spw_addr *a);
/* What a tunnel's outer packets leave by: role of the interface that has its local address. */
enum spw_dp_iface_role ctl_config_underlay(const struct ctl_config *c, const struct ctl_tunnel *t);
/* True when the circuit (ctl_interface.circuit) leads to the vnet. */
bool ctl_config_vnet_uses(const struct ctl_vnet *v, const char *circuit);
/*
 * What a neighbour is told: the prefixes of its address family, of its own list or, when that is
 * empty, of the speaker's. Returns their number.
 */
unsigned int ctl_config_announced(const struct ctl_bgp *bgp, const struct ctl_neighbor *n,
				  const struct spw_prefix *out[CTL_LIST]);

#endif
