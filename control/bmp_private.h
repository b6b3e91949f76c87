/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by bmp.c (the station) and bmp_rib.c (what it hears). */
#ifndef SPW_CONTROL_BMP_PRIVATE_H
#define SPW_CONTROL_BMP_PRIVATE_H

#include <event2/event.h>

#include "control/bmp.h"
#include "control/bmp_marks.h"
#include "control/bmp_parse.h"
#include "control/prefix_set.h"

#define CTL_BMP_NEXT_HOPS 4
#define CTL_BMP_FAULTS	  64

struct ctl_bmp_neighbour {
	struct ctl_bmp_neighbour *next;
	struct spw_addr addr;
	bool told;		 /* in this connection */
	bool up, down;		 /* down: its end was reported, in any connection */
	bool was_up;		 /* when the connection broke */
	bool complete;		 /* the set is all it gives */
	uint64_t up_ns, news_ns; /* news: the last announcement */
	struct ctl_bmp_restart restart;
	struct ctl_prefix_set set;
	unsigned int n_next_hops;
	struct spw_addr next_hop[CTL_BMP_NEXT_HOPS]; /* others than its own address */
};

struct ctl_bmp_fault {
	uint32_t iface;
	struct spw_addr next_hop;
};

struct ctl_bmp {
	int listener, fd;
	uint16_t port;
	struct event *accept, *readable, *expiry;
	uint8_t *buf;
	size_t len;
	uint64_t read_ns, lost_ns; /* lost_ns: since when nobody is connected */
	uint64_t stranger_ns;	   /* when one was last told of */
	bool missed;		   /* that was logged */
	bool ended;		   /* the connection is over, which is still to be read */
	bool dirty, dirty_tunnels; /* something is to be evaluated after the read */
	struct ctl_bmp_neighbour *neighbours;
	unsigned int n_neighbours;
	size_t n_prefixes;
	struct ctl_bmp_marks *marks;
	/* bmp_restart.c: bgpd is away; 0 = it is not */
	uint64_t restart_until_ns, sweep_ns, looked_ns;
	size_t n_retained;
	unsigned int n_faults;
	struct ctl_bmp_fault fault[CTL_BMP_FAULTS];
};

extern const struct ctl_bmp_handler ctl_bmp_handler;
/* Evaluate what a batch of messages, or the end of marks, has touched. */
void ctl_bmp_flush(struct ctl_runtime *rt);
/* The connection ended: what neighbours give is not known any more; marks and faults stay. */
void ctl_bmp_forget(struct ctl_runtime *rt);
/* bgpd is gone without a word: retain what the kernel deletes. Called before ctl_bmp_forget(). */
void ctl_bmp_restart_begin(struct ctl_runtime *rt);
/* Let go what is not given any more; end it. The caller evaluates. */
void ctl_bmp_restart_tick(struct ctl_runtime *rt, uint64_t now);
/* True when a neighbour is up, seems to have said all, and does not give this very prefix. */
bool ctl_bmp_lacks(const struct ctl_runtime *rt, const struct spw_addr *neighbour,
		   const struct spw_prefix *prefix, uint64_t now);
/* Up long enough, and silent lately: what it has not announced by now, it does not give. */
bool ctl_bmp_is_settled(const struct ctl_bmp_neighbour *n, uint64_t now);
void ctl_bmp_neighbours_free(struct ctl_bmp *bmp);
/* Timer of the marks; arg is the runtime. */
void ctl_bmp_on_expiry(evutil_socket_t fd, short what, void *arg);

#endif
