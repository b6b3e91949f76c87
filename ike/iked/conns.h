/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/iked/: what the daemon itself remembers of a connection, without its secrets. */
#ifndef SPW_IKE_IKED_CONNS_H
#define SPW_IKE_IKED_CONNS_H

#include "lib/spillway.h"

struct iked_conn {
	char name[SPW_NAME_LEN];
	uint32_t tunnel;
	uint32_t nat_keepalive_s; /* 0 = never */
	struct spw_addr local;
	struct spw_addr remote;
	uint64_t keepalive_at_ns;	 /* 0 = not behind a NAT */
	uint64_t sent;			 /* packets of its SAs, when last asked */
	uint32_t state;			 /* enum spw_ike_state last logged */
	char reason[SPW_IKE_STATE_TEXT]; /* last logged */
	bool up;			 /* last word told to controld */
	bool orphaned;			 /* up only by SAs of an earlier instance */
	bool named;			 /* scratch of iked_conns_keep() */
};

struct iked_conns {
	struct iked_conn *conn;
	size_t n, cap;
};

/* Remember, or change what is remembered. 0 or -ENOMEM. */
int iked_conns_set(struct iked_conns *cs, const struct spw_ike_conn *conn)
	__attribute__((warn_unused_result));
struct iked_conn *iked_conns_find(const struct iked_conns *cs, const char *name);
/* Forget every connection that is not among the engine's rows. */
void iked_conns_keep(struct iked_conns *cs, const struct spw_ike_status *rows, size_t n);
void iked_conns_clear(struct iked_conns *cs);
/*
 * Is a NAT keepalive due (RFC 3948 4)? Sets when the next one is. The first is due one period after
 * the NAT was found, because what found it has just kept the mapping.
 */
bool iked_conn_keepalive(struct iked_conn *c, bool nat_here, uint64_t now_ns);
/* So many packets has its data plane sent by now: what is sent keeps the mapping (RFC 3948 4). */
void iked_conn_sent(struct iked_conn *c, uint64_t packets, uint64_t now_ns);
/* Check what a request says before the engine sees it: lengths in range, text ended. */
int iked_conn_check(const struct spw_ike_conn *conn, struct spw_err *err);
/* A name that ends inside its field and holds only letters, digits, '-', '_', '.'. */
bool iked_name_ok(const char name[SPW_NAME_LEN]);
/* "idle", "connecting", ... */
const char *iked_state_name(uint32_t state);

#endif
