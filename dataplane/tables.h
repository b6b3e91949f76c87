/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the published objects that workers read. Writers are the API thread's
 * (link state also: the EAL's interrupt thread); an object never changes once it is published
 * except for the fields marked atomic; a replaced one is freed after all workers were quiescent.
 */
#ifndef SPW_DATAPLANE_TABLES_H
#define SPW_DATAPLANE_TABLES_H

#include <rte_config.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/kernel_quiet.h"
#include "dataplane/l2.h"
#include "dataplane/neigh.h"
#include "dataplane/packet_port.h"
#include "dataplane/shape.h"
#include "dataplane/tx_plan.h"
#include "lib/spillway.h"

#define DP_PORTS_MAX   64
#define DP_IFACES_MAX  65536
#define DP_TUNNELS_MAX 65536
#define DP_GROUPS_MAX  1048576
#define DP_NO_IFACE    0 /* interface ids start at 1 */

struct dp_bell;
struct dp_fib;
struct dp_fib6;
struct dp_group;
struct dp_options;
struct dp_path_bits;
struct dp_path_mask;
struct rte_rcu_qsbr;

/* Which sub-interface a pair of tags belongs to: sorted by key = outer << 16 | inner. */
struct dp_vlan_map {
	uint32_t n;
	struct dp_vlan_entry {
		uint32_t key;
		uint16_t iface;
	} entry[];
};

struct dp_port {
	struct spw_dp_port conf;
	uint16_t dpdk_id;
	uint16_t n_rxq;
	bool rx_csum;	/* the device checks IPv4 header checksums */
	bool tx_insert; /* the device puts single VLAN tags in */
	uint8_t mac[6];
	struct dp_tx_plan tx; /* which transmit queue is whose */
	struct dp_tx_lock tx_lock[DP_TX_QUEUES];
	_Atomic uint8_t link_up; /* what workers go by: driver and kernel both say up */
	_Atomic uint8_t link_driver;
	_Atomic uint8_t link_kernel;
	_Atomic(struct dp_vlan_map *) vlans;
	/* Not for workers. */
	struct dp_path_bits *bits;
	struct dp_path_mask *mask;  /* paths that lead over the port; guarded by the bits' lock */
	struct dp_bell *bell;	    /* of the API thread */
	_Atomic uint8_t link_event; /* the driver's word changed and the API thread shall tell */
	bool lsc;		    /* the driver interrupts; otherwise it is asked now and then */
	bool physical;		    /* a NIC, not a virtual device */
	struct dp_kernel_quiet quiet;
	struct dp_port_missed missed;
};

struct dp_iface {
	struct spw_dp_iface conf;
	struct dp_port *port; /* NULL for tunnels */
	uint8_t mac[6];
	bool twin;	     /* the kernel has a twin of it */
	bool has_v6;	     /* addr_v6 is set */
	uint64_t mac_word;   /* `mac` as dp_mac_word() reads it from a frame */
	uint32_t addr_v4;    /* its first IPv4 address, host order; 0 = none */
	uint8_t addr_v6[16]; /* its first IPv6 address that is not link-local */
	struct dp_l2 l2;     /* its Ethernet header, for any destination */
};

/* Set of the gateway's own IPv4 addresses: open addressing, `mask` + 1 slots, iface 0 = free. */
struct dp_local {
	uint32_t mask;
	uint32_t any_v4; /* some address of ours, LAN side first; 0 = none */
	struct dp_local_entry {
		uint32_t addr;
		uint16_t iface;
	} slot[];
};

/* The same of IPv6 addresses. Link-local ones are not in it: those are the interface's matter. */
struct dp_local6 {
	uint32_t mask;
	bool has_any;
	uint8_t any_v6[16]; /* some address of ours, LAN side first */
	struct dp_local6_entry {
		uint8_t addr[16];
		uint16_t iface;
	} slot[];
};

/*
 * A way to go. `l2` is the finished header of an adjacency whose neighbour is known, else NULL:
 * then the stage asks the neighbours itself. API thread replaces it, workers read.
 */
struct dp_path {
	struct spw_dp_path conf;
	struct dp_neigh_key hop; /* adjacency */
	_Atomic(struct dp_l2 *) l2;
};

struct dp_tables {
	struct rte_rcu_qsbr *qsbr;
	struct dp_fib *fib;
	struct dp_fib6 *fib6;
	struct dp_neighs *neighs;
	struct dp_path_bits *bits;
	_Atomic(struct dp_local *) local;
	_Atomic(struct dp_local6 *) local6;
	_Atomic(struct dp_port *) port[RTE_MAX_ETHPORTS]; /* by DPDK port id */
	_Atomic(struct dp_path *) path[SPW_DP_PATHS_MAX];
	_Atomic(struct dp_iface *) iface[DP_IFACES_MAX];
	_Atomic uint16_t tunnel_iface[DP_TUNNELS_MAX]; /* interface of a tunnel, 0 = none */
	_Atomic uint32_t tunnel_outer[DP_TUNNELS_MAX]; /* path id + 1 of the outer packets, 0 = FIB
							*/
	_Atomic(struct dp_shape *) tunnel_shape[DP_TUNNELS_MAX]; /* NULL = no capacity set */
	_Atomic(struct spw_dp_classes *) classes;		 /* NULL = the built-in ones */
	_Atomic(struct dp_group *) group[DP_GROUPS_MAX];
	_Atomic uint64_t epoch; /* raised after objects were published; API thread */
};

/* Reserve and zero the tables (pages are touched when used); NULL when memory is short. */
struct dp_tables *dp_tables_new(void);
/* Free the tables alone, not the objects in them. */
void dp_tables_free(struct dp_tables *t);
/*
 * Make what the tables point to (FIB, neighbours, path bits), for the sizes of the options. 0 or
 * -errno with a sentence; dp_tables_stop() takes whatever part exists. tables_start.c.
 */
int dp_tables_start(struct dp_tables *t, const struct dp_options *o, struct rte_rcu_qsbr *qsbr,
		    struct spw_err *err) __attribute__((warn_unused_result));
/* Free it and the tables; NULL is fine. */
void dp_tables_stop(struct dp_tables *t);

/* Workers and API thread: the object with this id, NULL when there is none. */
static inline const struct dp_iface *
dp_iface_get(const struct dp_tables *t, uint16_t id)
{
	return atomic_load_explicit(&t->iface[id], memory_order_acquire);
}

static inline const struct dp_path *
dp_path_get(const struct dp_tables *t, uint32_t id)
{
	return atomic_load_explicit(&t->path[id], memory_order_acquire);
}

static inline const struct dp_group *
dp_group_get(const struct dp_tables *t, uint32_t id)
{
	return id < DP_GROUPS_MAX ? atomic_load_explicit(&t->group[id], memory_order_acquire)
				  : NULL;
}

/* The traffic classes that hold. */
static inline const struct spw_dp_classes *
dp_classes_get(const struct dp_tables *t)
{
	const struct spw_dp_classes *c = atomic_load_explicit(&t->classes, memory_order_acquire);

	return c ? c : &dp_classes_default;
}

/* IP bytes that fit through an interface; 65535 when it is gone (the later stage drops). */
static inline uint32_t
dp_iface_mtu(const struct dp_tables *t, uint16_t id)
{
	const struct dp_iface *i = dp_iface_get(t, id);

	return i ? i->conf.mtu : 65535;
}

/* Interface that owns this IPv4 address (host order); DP_NO_IFACE when it is not ours. */
static inline uint16_t
dp_local_find(const struct dp_local *l, uint32_t addr)
{
	if (!l)
		return DP_NO_IFACE;
	for (uint32_t i = (addr * 0x9e3779b1u) >> 8;; i++) {
		const struct dp_local_entry *e = &l->slot[i & l->mask];

		if (e->iface == DP_NO_IFACE || e->addr == addr)
			return e->iface;
	}
}

static inline uint32_t
dp_local6_hash(const uint8_t addr[16])
{
	uint64_t half[2];

	memcpy(half, addr, sizeof(half));
	uint64_t h = half[0] * UINT64_C(0x94d049bb133111eb) ^ __builtin_bswap64(half[1]);

	return (uint32_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

/* Interface that owns this IPv6 address; DP_NO_IFACE when it is not ours (or link-local). */
static inline uint16_t
dp_local6_find(const struct dp_local6 *l, const uint8_t addr[16])
{
	if (!l)
		return DP_NO_IFACE;
	for (uint32_t i = dp_local6_hash(addr);; i++) {
		const struct dp_local6_entry *e = &l->slot[i & l->mask];

		if (e->iface == DP_NO_IFACE || memcmp(e->addr, addr, 16) == 0)
			return e->iface;
	}
}

/* The six bytes of a MAC address as one number; eight bytes are read. */
static inline uint64_t
dp_mac_word(const uint8_t *frame)
{
	uint64_t word;

	memcpy(&word, frame, sizeof(word));
	return word & UINT64_C(0xffffffffffff);
}

/*
 * Build a set of addresses for dp_local_find(); any order, doubles keep the first. NULL when
 * memory is short. The caller publishes it and frees the old one after grace.
 */
struct dp_local *dp_local_new(const struct dp_local_entry *entries, uint32_t n, uint32_t any_v4);
/* The same for dp_local6_find(). @any_v6  NULL = none. */
struct dp_local6 *dp_local6_new(const struct dp_local6_entry *entries, uint32_t n,
				const uint8_t *any_v6);

/* Interface of a port for these tags (0 = none); DP_NO_IFACE when there is none. */
uint16_t dp_vlan_find(const struct dp_vlan_map *map, uint16_t outer, uint16_t inner);
/* Build a map from unsorted entries; NULL when memory is short. */
struct dp_vlan_map *dp_vlan_map_new(const struct dp_vlan_entry *entries, uint32_t n);

#endif
