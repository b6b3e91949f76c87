/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_MSG_DATAPLANE_H
#define SPW_LIB_MSG_DATAPLANE_H

#include <stdint.h>

#include "lib/addr.h"
#include "lib/msg.h"
#include "lib/sa_desc.h"

#define SPW_NAME_LEN	   16 /* names of interfaces, tunnels, vnets, with the terminator */
#define SPW_DP_DEVARGS	   192
#define SPW_DP_TIERS	   5
#define SPW_DP_TIER_PATHS  4
#define SPW_DP_PATHS_MAX   16384 /* bits in the global path bitmap: a path for each tunnel */
#define SPW_DP_ADDR_NONE   0xffffffffu
#define SPW_DP_BFD_MAX	   256
#define SPW_DP_PROBES_MAX  4096
#define SPW_DP_CLASSES	   4  /* traffic classes, 0 = the most important */
#define SPW_DP_RTT_BUCKETS 24 /* bucket n: 2^n to 2^(n+1) microseconds; the ends take the rest */

enum spw_dp_number {
#define SPW_DP_MSG(name, number, who, request, reply) SPW_DP_##name = (number),
#include "lib/msg_dataplane.def"
};

enum spw_dp_subscribe {
	SPW_DP_SUB_SA = 1u << 0,
	SPW_DP_SUB_LINK = 1u << 1,
	SPW_DP_SUB_NEIGH = 1u << 2,
	SPW_DP_SUB_PATH = 1u << 3,
};

struct spw_dp_hello {
	uint32_t role;	    /* enum spw_role, checked against the peer's uid */
	uint32_t subscribe; /* enum spw_dp_subscribe */
	char client[SPW_NAME_LEN];
};

/*
 * incarnation: random, new at every start of the data plane. A client that sees another value than
 * before adds its objects again; child SAs are made anew, never installed again (a repeated GCM IV
 * gives the key away).
 */
struct spw_dp_hello_reply {
	uint64_t incarnation;
	uint32_t encr_mask; /* bit n: enum spw_encr n works for ESP here */
	uint32_t workers;
	char version[24];
	char dpdk[24];
	char cipher_isa[40]; /* instruction set in use by the cipher */
};

/* A DPDK port. Probed and started when new; refused when the device does not exist. */
struct spw_dp_port {
	uint32_t id; /* chosen by controld, 0..63 */
	uint32_t generation;
	char name[SPW_NAME_LEN];
	char devargs[SPW_DP_DEVARGS]; /* PCI address or vdev string, as EAL's --allow/--vdev takes
				       */
	uint32_t mtu;		      /* IP bytes */
	uint32_t pad;
};
struct spw_dp_port_reply {
	uint32_t id;
	uint8_t mac[6];
	uint8_t pad[2];
};

enum spw_dp_iface_kind { SPW_IFACE_PORT = 1, SPW_IFACE_VLAN = 2, SPW_IFACE_TUNNEL = 3 };
enum spw_dp_iface_role {
	SPW_IF_ROLE_LAN = 1,
	SPW_IF_ROLE_EXPRESSROUTE = 2,
	SPW_IF_ROLE_INTERNET = 3,
	SPW_IF_ROLE_TUNNEL = 4,
};

/*
 * An interface over a port (or a tunnel). With a twin, the message carries one descriptor (TAP for
 * ports and sub-interfaces, TUN for tunnels, both without IFF_VNET_HDR, with IFF_NO_PI); without a
 * descriptor an existing twin is kept.
 */
struct spw_dp_iface {
	uint32_t id; /* chosen by controld, 1..65535; the same number is used everywhere */
	uint32_t generation;
	char name[SPW_NAME_LEN];
	uint32_t kind;	     /* enum spw_dp_iface_kind */
	uint32_t role;	     /* enum spw_dp_iface_role */
	uint32_t port;	     /* port id (port, vlan) or tunnel id (tunnel) */
	uint32_t mtu;	     /* IP bytes */
	uint16_t vlan_outer; /* 0 = none */
	uint16_t vlan_inner; /* 0 = none */
	uint16_t mss_clamp;  /* largest TCP MSS let through this interface, 0 = from the MTU only on
				tunnels */
	uint8_t up;	     /* administratively */
	uint8_t has_twin;
	uint16_t vlan_tpid; /* of the outer tag: 0x8100 (0 means it, too) or 0x88a8 */
	uint8_t pad[2];
};
_Static_assert(sizeof(struct spw_dp_iface) == 52, "no hidden padding");

/* An address of the gateway itself: packets to it go up to the twin. */
struct spw_dp_addr {
	uint32_t iface;
	uint32_t generation;
	struct spw_prefix prefix;
};

struct spw_dp_neigh {
	uint32_t iface;
	uint32_t generation;
	struct spw_addr addr;
	uint8_t mac[6];
	uint8_t reachable; /* 0: known to be dead or unresolved */
	uint8_t pad;
};

/* DF of outer IPv4 headers (RFC 4301 8.1). CLEAR and COPY let routers cut ESP packets. */
enum spw_dp_outer_df { SPW_OUTER_DF_SET = 0, SPW_OUTER_DF_COPY, SPW_OUTER_DF_CLEAR };

/* A tunnel: outer addresses and what fits in it. Its SAs come from iked by tunnel id. */
struct spw_dp_tunnel {
	uint32_t id; /* chosen by controld, 0..65535 */
	uint32_t generation;
	char name[SPW_NAME_LEN];
	struct spw_addr local;
	struct spw_addr remote;
	uint32_t mtu;	     /* inner IP bytes */
	uint32_t mss_clamp;  /* TCP MSS towards and from the tunnel, 0 = mtu - 40 */
	uint32_t outer_path; /* path that carries the outer packets, SPW_DP_ADDR_NONE = by FIB */
	uint8_t dscp_copy;   /* copy the inner DSCP outwards (RFC 4301 5.1.2) */
	uint8_t outer_df;    /* enum spw_dp_outer_df */
	uint8_t pad[2];
	uint32_t capacity_kbps; /* of inner IP bytes outbound, shared by class; 0 = no limit */
	uint32_t pad2;
};

enum spw_dp_path_kind {
	SPW_PATH_ADJACENCY = 1, /* to a next hop on an interface */
	SPW_PATH_CONNECTED = 2, /* to the destination itself on an interface */
	SPW_PATH_TUNNEL = 3,
	SPW_PATH_LOCAL = 4, /* up to the twin of the interface */
	SPW_PATH_DROP = 5,
};

/* One way to go; `id` is its bit in the global bitmap. New paths are down until PATH_STATE. */
struct spw_dp_path {
	uint32_t id; /* 0..SPW_DP_PATHS_MAX-1 */
	uint32_t generation;
	uint32_t kind;	/* enum spw_dp_path_kind */
	uint32_t iface; /* adjacency, connected, local */
	uint32_t tunnel;
	uint32_t pad;
	struct spw_addr next_hop; /* adjacency */
};

/*
 * Set or clear a path's bit. The data plane may clear a bit by itself (link down); each such
 * clear raises `clears`. Setting is refused with ESTALE unless `clears` is the number
 * the caller has seen, so a decision taken before the clear cannot undo it.
 */
struct spw_dp_path_state {
	uint32_t id;
	uint32_t up;
	uint32_t clears;
	uint32_t pad;
};

enum spw_dp_tier_role { /* for counting: which rule a packet in this tier falls under */
			SPW_TIER_PLAIN = 0,
			SPW_TIER_EXPRESSROUTE = 1,
			SPW_TIER_TUNNEL = 2,
			SPW_TIER_INTERNET = 3,
};

struct spw_dp_tier {
	uint32_t role; /* enum spw_dp_tier_role */
	uint32_t n_paths;
	uint32_t path[SPW_DP_TIER_PATHS];
	uint32_t weight[SPW_DP_TIER_PATHS]; /* 1..255 */
};

/*
 * An ordered path group: the first tier with a live path carries the packet, by flow hash over its
 * live paths; no tier left: drop (never in the clear). Id 0 is the built-in drop.
 */
struct spw_dp_group {
	uint32_t id; /* 1..1048575 */
	uint32_t generation;
	uint32_t n_tiers;
	uint32_t flags; /* enum spw_dp_group_flag */
	struct spw_dp_tier tier[SPW_DP_TIERS];
};
enum spw_dp_group_flag {
	SPW_GROUP_PROTECTED = 1u << 0, /* inside a vnet: the host's own packets take it too */
};

struct spw_dp_route {
	struct spw_prefix prefix;
	uint32_t group; /* 0 = counted drop; ignored by ROUTE_DEL */
	uint32_t generation;
};

enum spw_dp_class {
	SPW_DP_CLASS_PORT = 1,
	SPW_DP_CLASS_IFACE,
	SPW_DP_CLASS_ADDR,
	SPW_DP_CLASS_NEIGH,
	SPW_DP_CLASS_TUNNEL,
	SPW_DP_CLASS_PATH,
	SPW_DP_CLASS_GROUP,
	SPW_DP_CLASS_ROUTE,
	SPW_DP_CLASS_BFD,
	SPW_DP_CLASS_PROBE,
};
/* Delete one object by id: port, iface, tunnel (with its SAs), path, group. EBUSY while used. */
struct spw_dp_object {
	uint32_t class; /* enum spw_dp_class */
	uint32_t id;
};
struct spw_dp_sweep {
	uint32_t class;
	uint32_t generation; /* objects with an older one go */
};

/*
 * BFD towards a neighbour on an interface (RFC 5880, 5881: single hop, asynchronous mode, no
 * authentication). When the session goes down after it was up, the data plane clears the bit of
 * every adjacency path to this neighbour over this interface, and says EV_BFD. A session that is
 * set again with the same content goes on; with other timers it negotiates (RFC 5880 6.8.3); with
 * another interface or address it is a new one.
 */
struct spw_dp_bfd {
	uint32_t id; /* chosen by controld, 0..SPW_DP_BFD_MAX-1 */
	uint32_t generation;
	uint32_t iface;
	uint32_t detect_mult; /* 2..255 */
	uint32_t min_tx_us;   /* 10,000..60,000,000 */
	uint32_t min_rx_us;
	uint32_t admin_down; /* tell the peer AdminDown; no verdict on paths */
	uint32_t pad;
	struct spw_addr local;
	struct spw_addr peer;
};

/* Values of RFC 5880 4.1. */
enum spw_bfd_state { SPW_BFD_ADMIN_DOWN = 0, SPW_BFD_DOWN = 1, SPW_BFD_INIT = 2, SPW_BFD_UP = 3 };

enum spw_dp_probe_kind {
	SPW_PROBE_ICMP = 1,  /* ICMP or ICMPv6 echo */
	SPW_PROBE_TWAMP = 2, /* UDP, TWAMP light, unauthenticated (RFC 5357 appendix I) */
};

/*
 * A forwarding probe: packets of our own that take one path whatever its bit says, an adjacency or
 * a tunnel, to a target beyond it; answers are taken whichever way they come. Down after `fall`
 * unanswered in a row, up after `rise` answered in a row; unknown until either. A probe that is set
 * again with the same content goes on.
 */
struct spw_dp_probe {
	uint32_t id; /* chosen by controld, 0..SPW_DP_PROBES_MAX-1 */
	uint32_t generation;
	uint32_t path;
	uint32_t kind;	      /* enum spw_dp_probe_kind */
	uint32_t interval_ms; /* 100..60,000 */
	uint32_t timeout_ms;  /* 10..10,000; answers after it are late and count as lost */
	uint16_t fall, rise;  /* 1..100 */
	uint16_t size;	      /* IP bytes of the packet, 64..9,000, DF set */
	uint16_t port;	      /* TWAMP: of the reflector */
	uint8_t dscp;
	uint8_t pad[7];
	struct spw_addr source; /* an address of ours */
	struct spw_addr target;
};
enum spw_probe_state { SPW_PROBE_UNKNOWN = 0, SPW_PROBE_UP = 1, SPW_PROBE_DOWN = 2 };
enum spw_probe_why {
	SPW_PROBE_WHY_NONE = 0,
	SPW_PROBE_WHY_SILENCE = 1,     /* no answer within the timeout */
	SPW_PROBE_WHY_UNREACHABLE = 2, /* an ICMP error about the packet came back */
	SPW_PROBE_WHY_TOO_BIG = 3,     /* the same: some hop takes no packet of this size */
	SPW_PROBE_WHY_EXPIRED = 4,     /* the same: its hops were used up */
	SPW_PROBE_WHY_NO_WAY = 5,      /* could not be sent: the tunnel has no SA */
};

/*
 * Traffic classes of all tunnels with a capacity. While the capacity lasts everything passes; when
 * it does not, each class keeps its share and what others leave goes by importance.
 */
struct spw_dp_classes {
	uint8_t of_dscp[64];		       /* class of each code point */
	uint8_t share_percent[SPW_DP_CLASSES]; /* guaranteed; sum at most 100 */
};

struct spw_dp_link {
	uint32_t port;
	uint32_t up;
	uint64_t at_ns; /* CLOCK_MONOTONIC when it was seen; 0 = unknown */
};

struct spw_dp_spi {
	uint32_t tunnel;
	uint32_t spi; /* host order, >= 256 */
};

/*
 * Install a child SA. Inbound counts from now. `outbound`: 1 = send on it at once (initiator), 0 =
 * hold it until SA_SWITCH (responder of a rekey). Accepted once per (SPI, key) and incarnation:
 * EEXIST after that, for good. ESTALE when `incarnation` is not ours.
 */
struct spw_dp_sa_install {
	uint64_t incarnation;
	uint32_t outbound;
	uint32_t pad;
	struct spw_sa_desc sa;
};

enum spw_dp_sa_part { SPW_SA_PART_IN = 1u << 0, SPW_SA_PART_OUT = 1u << 1 };
/* A child SA by its inbound SPI. `parts`: for SA_DELETE, which direction ends. */
struct spw_dp_sa_ref {
	uint32_t spi_in;
	uint32_t parts;
};
/* New outer address and port of the peer (NAT mapping changed), decided by iked. */
struct spw_dp_sa_move {
	uint32_t spi_in;
	uint16_t remote_port;
	uint16_t local_port;
	struct spw_addr remote;
};

enum spw_dp_sa_event_kind {
	SPW_SA_EV_FIRST_IN = 1,	  /* first valid packet arrived: the peer sends on it */
	SPW_SA_EV_SOFT = 2,	  /* a soft limit was reached: rekey; once per SA */
	SPW_SA_EV_HARD = 3,	  /* a hard limit ended the SA in the data plane */
	SPW_SA_EV_PEER_MOVED = 4, /* newest authentic packet came from another address or port */
	/*
	 * A packet arrived on an SPI that was given out and has no SA yet: the peer sends on it, so
	 * its answer may be lost. Nobody has verified it. Once for each SPI given out.
	 */
	SPW_SA_EV_EARLY = 5,
};
enum spw_dp_sa_limit_kind { SPW_SA_LIMIT_TIME = 1, SPW_SA_LIMIT_BYTES, SPW_SA_LIMIT_PACKETS };
struct spw_dp_sa_event {
	uint32_t kind; /* enum spw_dp_sa_event_kind */
	uint32_t tunnel;
	uint32_t spi_in;
	uint32_t limit; /* enum spw_dp_sa_limit_kind for SOFT and HARD */
	struct spw_addr remote;
	uint16_t remote_port;
	uint8_t pad[6];
};

enum spw_dp_path_event_kind {
	SPW_PATH_EV_CLEARED = 1,  /* the data plane cleared the bit itself */
	SPW_PATH_EV_SWITCHED = 2, /* first packet on a lower or higher tier after a bit changed */
};
/*
 * SWITCHED: `path` is the one that now carries a group's packets, `at_ns` when the first packet
 * left on it, `change_ns` when the bit or leaf changed in the data plane.
 */
struct spw_dp_path_event {
	uint32_t kind;
	uint32_t path;
	uint32_t group;
	uint32_t clears;
	uint64_t at_ns;
	uint64_t change_ns;
};

struct spw_dp_bfd_event {
	uint32_t id;
	uint32_t state;	      /* enum spw_bfd_state, after the change */
	uint32_t diag;	      /* ours, RFC 5880 4.1 */
	uint32_t remote_diag; /* the peer's, in its last packet */
	uint64_t at_ns;
	uint64_t last_rx_ns; /* last packet of the peer before it, 0 = none */
	uint32_t was_up;       /* 1: it was up before */
	uint32_t remote_state; /* in its last packet: a peer in AdminDown says nothing of the path */
};
struct spw_dp_probe_event {
	uint32_t id;
	uint32_t state; /* enum spw_probe_state, after the change */
	uint64_t at_ns;
	uint64_t last_ok_ns; /* when the newest answered packet was sent, 0 = none */
};

struct spw_dp_status {
	uint64_t incarnation;
	uint64_t uptime_ns;
	uint64_t sas;
	uint64_t routes;
	uint64_t groups;
	uint64_t mbufs_in_use;
	uint64_t mbufs_total;
	uint64_t pid;
	struct spw_dp_hello_reply build;
};
struct spw_dp_iface_stats {
	uint32_t id;
	uint32_t link_up;
	char name[SPW_NAME_LEN];
	uint8_t mac[6];
	uint8_t pad[2];
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; /* through the interface */
	uint64_t mirrored;				     /* to the twin */
	uint64_t from_twin;				     /* sent by the kernel */
	uint64_t drops;
	uint64_t asymmetric; /* ExpressRoute: packets from vnets that we answer by a tunnel, about
				(one packet of a burst is looked at, for all of it) */
};
struct spw_dp_drop_stats {
	char reason[32];
	uint64_t packets;
	uint64_t last_ns; /* CLOCK_MONOTONIC of the newest, 0 = never */
};
struct spw_dp_worker_stats {
	uint32_t id;
	uint32_t core;
	uint64_t rx, tx, drops, mirrored, from_twin,
		created; /* rx + from_twin + created = tx + drops + mirrored */
	uint64_t busy_cycles, total_cycles;
	uint64_t packets; /* processed in the busy cycles */
};
struct spw_dp_sa_stats {
	uint32_t tunnel;
	uint32_t spi_in;
	uint32_t spi_out;
	uint32_t encr;
	uint32_t flags;
	uint32_t outbound; /* 1: this is the SA the tunnel sends on */
	uint64_t in_packets, in_bytes, out_packets, out_bytes; /* inner bytes */
	uint64_t auth_failed, replayed, late;
	uint64_t installed_ns;
	uint64_t last_in_ns; /* CLOCK_MONOTONIC of the last valid inbound packet, 0 = none */
	uint64_t seq_out;    /* last sequence number sent */
	uint32_t replay_window;
	uint32_t integ; /* enum spw_integ */
	struct spw_sa_limit seconds;
};
struct spw_dp_path_stats {
	uint32_t id;
	uint32_t kind;
	uint32_t up;
	uint32_t clears;
	uint64_t packets, bytes;
	uint64_t changed_ns;		      /* when the bit last changed */
	uint64_t class_bytes[SPW_DP_CLASSES]; /* about; sampled */
};
struct spw_dp_tunnel_stats {
	uint32_t id;
	uint32_t up; /* an outbound SA stands */
	char name[SPW_NAME_LEN];
	uint64_t transit_out, transit_in; /* forwarded packets */
	uint64_t own_out, own_in;	  /* the gateway's own packets (twin) */
	uint64_t violations; /* transit packets sent while an ExpressRoute path of their group was
				up */
	uint64_t asymmetric; /* transit packets in whose answers go by ExpressRoute, about */
	/* While it has a capacity: let in (the gateway's own, too), and refused by it. */
	uint64_t class_packets[SPW_DP_CLASSES], class_dropped[SPW_DP_CLASSES];
	uint32_t mtu;		/* inner IP bytes, as configured */
	uint32_t path_mtu;	/* the same that ICMP taught of the path, 0 = nothing */
	uint64_t path_mtu_ends; /* CLOCK_MONOTONIC ns at which that is forgotten, 0 = nothing */
};
struct spw_dp_bfd_stats {
	uint32_t id;
	uint32_t state, remote_state; /* enum spw_bfd_state */
	uint32_t diag, remote_diag;
	uint32_t was_up; /* has been up since it was set */
	uint32_t local_disc, remote_disc;
	uint32_t detect_mult, remote_mult;
	uint32_t tx_us;	      /* interval we send at now, before jitter */
	uint32_t detect_us;   /* detection time now, 0 = not known */
	uint64_t rx, tx, bad; /* bad: packets for the session that RFC 5880 6.8.6 discards */
	uint64_t ups, downs;
	uint64_t changed_ns, last_rx_ns;
	uint64_t rx_gap_max_us; /* longest silence while up */
};
struct spw_dp_probe_stats {
	uint32_t id;
	uint32_t path;
	uint32_t state;			   /* enum spw_probe_state */
	uint32_t recent_sent, recent_lost; /* of the last 100 that are decided */
	uint32_t rtt_last_us, rtt_min_us, rtt_max_us;
	uint32_t lost_why; /* enum spw_probe_why, of the newest lost */
	uint32_t lost_mtu; /* what the newest TOO_BIG said fits, 0 = none came or it did not say */
	uint64_t sent, received, lost, late, duplicate;
	uint64_t other_way; /* answers that came in by another path */
	uint64_t rtt_sum_us;
	uint64_t last_ok_ns, changed_ns;
	uint64_t rtt[SPW_DP_RTT_BUCKETS];
};
struct spw_dp_fib_query {
	struct spw_addr addr;
};
struct spw_dp_fib_answer {
	uint32_t group;
	uint32_t path; /* what a worker would take now for flow hash 0; SPW_DP_ADDR_NONE = drop */
	struct spw_prefix prefix;
};

/* Row of the message table. */
struct spw_dp_msg_info {
	const char *name;
	uint32_t who;
	uint16_t number;
	uint16_t request_size;
	uint16_t reply_size;
};
/* Facts about a message number; NULL when unknown. */
const struct spw_dp_msg_info *spw_dp_msg_info(uint16_t number);

#endif
