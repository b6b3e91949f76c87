/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/: whose turn it is, and finding things by a number. */
#ifndef SPW_IKE_TURN_H
#define SPW_IKE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

struct ike_child;
struct ike_conn;
struct ike_engine;
struct ike_sa;

/* What has turns: a connection with all of its IKE SAs, or an IKE SA without one. */
struct ike_turn {
	struct ike_turn *next; /* of those whose turn it is */
	struct ike_conn *conn; /* one of the two */
	struct ike_sa *sa;
	uint64_t at;	    /* when it wants its next turn; UINT64_MAX = never */
	uint64_t order;	    /* of making; decides between equal times */
	unsigned int place; /* in the heap, from 1; 0 = not there */
	bool queued;
	bool again; /* something happened to it after its turn */
};
struct ike_turns {
	struct ike_turn *first, **end; /* those whose turn it is, in order */
	struct ike_turn **heap;	       /* the others that want one, the earliest first */
	unsigned int n, room, joined;
	uint64_t order;
	bool closing; /* the call ends: what happens now is for the next one */
};

/* Numbers an IKE SA is found by. */
enum ike_mark {
	IKE_MARK_OWN,	   /* the SPI that we chose */
	IKE_MARK_PROMISED, /* the same of the IKE SA that our rekey will make */
	IKE_MARK_DIALLED,  /* the initiator's SPI */
	IKE_MARK_OFFERED,  /* inbound SPI of the child that its request in flight offers */
	IKE_MARKS,
};
struct ike_spot {
	struct ike_spot *next;
	struct ike_sa *sa;
	uint64_t mark;
	bool in;
};
struct ike_index {
	struct ike_spot **bucket[IKE_MARKS];
	struct ike_conn **near;	  /* connections by the peer's address, the newest first */
	struct ike_conn **like;	  /* and by name, the newest first */
	struct ike_child **child; /* by their inbound SPI */
	unsigned int size;	  /* buckets of each, a power of two */
	unsigned int half_open;	  /* IKE SAs of strangers, when the last call ended */
};

/* Before anything else is done with a new object (one of `conn` and `sa`). 0 or -ENOMEM. */
int ike_turn_join(struct ike_engine *e, struct ike_turn *t, struct ike_conn *conn,
		  struct ike_sa *sa) __attribute__((warn_unused_result));
/* Before it is freed; nothing when it never joined. */
void ike_turn_leave(struct ike_engine *e, struct ike_turn *t);
/*
 * Something may have changed for it: it has a turn in this call, or, when that already ends, in the
 * next one. Every door says so of what it changes; ike_touch() does, too.
 */
void ike_wake(struct ike_sa *sa);
void ike_wake_conn(struct ike_conn *conn);
void ike_wake_turn(struct ike_turn *t);
void ike_wake_all(struct ike_engine *e);
/* It is the turn of those whose time has come. */
void ike_turns_due(struct ike_engine *e);
/* All had their turn and all that is dead is freed: note when they want the next one. */
void ike_turns_end(struct ike_engine *e);
/* When the first one wants its turn. */
uint64_t ike_turns_next(const struct ike_engine *e);
/* For tests: nobody sleeps past a wish, and every IKE SA is found by its numbers. */
bool ike_turns_sound(const struct ike_engine *e);

/* ---- index.c ---- */

/* Buckets for so many objects, a power of two: before one more is made. 0 or -ENOMEM. */
int ike_index_room(struct ike_engine *e, unsigned int size) __attribute__((warn_unused_result));
/* The number that an IKE SA has now; 0 = none. */
uint64_t ike_index_mark(const struct ike_sa *sa, enum ike_mark which);
/* Its numbers may have changed; it is about to be freed. */
void ike_index_note(struct ike_sa *sa);
void ike_index_gone(struct ike_sa *sa);
/*
 * An IKE SA with this number; NULL = none. Exact at any moment: one that
 * changed in this call is found among those whose turn it is. DEAD ones count.
 */
struct ike_sa *ike_index_find(const struct ike_engine *e, enum ike_mark which, uint64_t mark);
/* At the start of a call, one after another: those with this number, `after` NULL = the first. */
struct ike_sa *ike_index_next(const struct ike_engine *e, enum ike_mark which, uint64_t mark,
			      const struct ike_sa *after);
/*
 * The newest of some connections among which are all whose peer has this address; the others follow
 * by `near`, newest first.
 */
struct ike_conn *ike_index_near(const struct ike_engine *e, const struct spw_addr *remote);
/* A connection is in e->conns from now on; it is about to leave (nothing when it never was). */
void ike_index_conn(struct ike_conn *conn);
void ike_index_conn_gone(struct ike_conn *conn);
/* The same of a child SA, whose inbound SPI is set. It is found by ike_child_find_in(). */
void ike_index_child(struct ike_child *c);
void ike_index_child_gone(struct ike_child *c);
void ike_index_free(struct ike_engine *e);

#endif
