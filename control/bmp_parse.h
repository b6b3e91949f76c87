/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/: messages of the BGP monitoring protocol (RFC 7854), version 3, and the BGP
 * messages in them, as plain calls. Pure.
 */
#ifndef SPW_CONTROL_BMP_PARSE_H
#define SPW_CONTROL_BMP_PARSE_H

#include "lib/spillway.h"

/* The longest message that is taken: headers and an extended UPDATE (RFC 8654). */
#define CTL_BMP_MESSAGE 70000

/* The per-peer header (RFC 7854 4.2). */
struct ctl_bmp_peer {
	struct spw_addr addr;
	uint32_t as;
	uint8_t type; /* 0 = of the global instance */
	bool post_policy;
};

/* What both OPEN messages of a session say of graceful restart (RFC 4724, RFC 8538). */
struct ctl_bmp_restart {
	bool retained;	    /* our side keeps the peer's routes when the session only breaks */
	bool notifications; /* also when it ends by a NOTIFICATION that is no hard reset */
};

/* Why a session ended (RFC 7854 4.9). */
enum ctl_bmp_reason {
	CTL_BMP_LOCAL_NOTIFICATION = 1,
	CTL_BMP_LOCAL_EVENT = 2,
	CTL_BMP_REMOTE_NOTIFICATION = 3,
	CTL_BMP_REMOTE_CLOSE = 4,
	CTL_BMP_DECONFIGURED = 5,
};
struct ctl_bmp_down {
	uint8_t reason;	       /* enum ctl_bmp_reason, or another number */
	uint8_t code, subcode; /* of the NOTIFICATION, 0 without one */
};

/* What the end of a session means for the routes learnt in it. */
enum ctl_bmp_verdict {
	CTL_BMP_LOST, /* they go */
	CTL_BMP_KEPT, /* graceful restart: they stay until the peer is back or its time is over */
	CTL_BMP_OURS, /* our own daemon stops or the neighbour is unconfigured: the kernel tells */
};

/* What a message says, in its order; withdrawals before announcements. Any may be NULL. */
struct ctl_bmp_handler {
	void (*peer_up)(void *ctx, const struct ctl_bmp_peer *peer,
			const struct ctl_bmp_restart *restart);
	void (*peer_down)(void *ctx, const struct ctl_bmp_peer *peer,
			  const struct ctl_bmp_down *down);
	/* Prefixes are masked. */
	void (*announced)(void *ctx, const struct ctl_bmp_peer *peer,
			  const struct spw_prefix *prefix, const struct spw_addr *next_hop);
	void (*withdrawn)(void *ctx, const struct ctl_bmp_peer *peer,
			  const struct spw_prefix *prefix);
	void (*end_of_rib)(void *ctx, const struct ctl_bmp_peer *peer, uint8_t family);
	void (*termination)(void *ctx);
};

/*
 * Tell the length of the message that starts at bytes: > 0 when it is there as a whole, 0 when
 * more has to be read, -EPROTO with a sentence when it is none.
 */
int ctl_bmp_frame(const uint8_t *bytes, size_t len, struct spw_err *err);
/*
 * Take one whole message apart. Everything is checked before the first call: a message that is
 * refused (-EPROTO with a sentence) has said nothing. Statistics, mirrored messages and what RFC
 * 7854 does not name are skipped. 0 when understood or skipped.
 */
int ctl_bmp_parse(const uint8_t *msg, size_t len, const struct ctl_bmp_handler *handler, void *ctx,
		  struct spw_err *err);
/* The rule for the routes of a session that ended. */
enum ctl_bmp_verdict ctl_bmp_judge(const struct ctl_bmp_down *down,
				   const struct ctl_bmp_restart *restart);
/* "notification received, cease (6/2)": a phrase for the log. Returns out. */
char *ctl_bmp_down_text(const struct ctl_bmp_down *down, char *out, size_t size);

#endif
