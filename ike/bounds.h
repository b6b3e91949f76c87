/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/: the engine's times and bounds. */
#ifndef SPW_IKE_BOUNDS_H
#define SPW_IKE_BOUNDS_H

#include "lib/spillway.h"

#define IKE_PORT      500
#define IKE_NATT_PORT 4500

/* Times, all of the engine's monotonic clock. */
#define IKE_RETRANSMIT_NS     (500 * SPW_NS_PER_MS)
#define IKE_RETRANSMIT_CAP_NS (10 * SPW_NS_PER_S)
#define IKE_INIT_PATIENCE_NS  (12 * SPW_NS_PER_S)
#define IKE_AUTH_PATIENCE_NS  (30 * SPW_NS_PER_S)
#define IKE_PATIENCE_NS	      (60 * SPW_NS_PER_S) /* of an established SA without DPD */
#define IKE_CLOSE_PATIENCE_NS (10 * SPW_NS_PER_S)
#define IKE_HALF_OPEN_NS      (30 * SPW_NS_PER_S)
#define IKE_HURRY_NS	      (5 * SPW_NS_PER_S) /* the same while cookies are asked for */
#define IKE_GONE_NS	      (10 * SPW_NS_PER_S)
#define IKE_PIECES_NS	      (30 * SPW_NS_PER_S) /* the rest of a message in pieces comes */
#define IKE_LINGER_NS	      (5 * SPW_NS_PER_S)  /* inbound of a deleted child */
#define IKE_HOLD_NS	      (60 * SPW_NS_PER_S) /* no proof and no repeat: it has our answer */
#define IKE_REPLACED_NS	      (90 * SPW_NS_PER_S) /* then we delete the old child ourselves */
#define IKE_REKEYED_NS	      (30 * SPW_NS_PER_S) /* then we delete the old IKE SA ourselves */
#define IKE_REDUNDANT_NS      (10 * SPW_NS_PER_S) /* the loser's maker has had its chance */
#define IKE_OVERLAP_NS	      (1 * SPW_NS_PER_S)  /* both IKE SAs of a double dial stand */
#define IKE_PASSIVE_NS	      (10 * SPW_NS_PER_S) /* the peer, which dialled, makes the child */
#define IKE_BARE_NS	      (30 * SPW_NS_PER_S) /* the one without a child gets one, or goes */
#define IKE_BUSY_MIN_NS	      (5 * SPW_NS_PER_S)  /* after TEMPORARY_FAILURE: 5..30 s */
#define IKE_BUSY_MAX_NS	      (30 * SPW_NS_PER_S)
#define IKE_BUSY_LIMIT_NS     (180 * SPW_NS_PER_S) /* of it: a new IKE SA is made */
#define IKE_REDIAL_NS	      (1 * SPW_NS_PER_S)   /* after coming up, however soon that ends */
#define IKE_STALL_NS	      (2 * SPW_NS_PER_S)   /* late by more: we were not run meanwhile */
#define IKE_REKEY_RETRY_NS    (30 * SPW_NS_PER_S)
#define IKE_HINT_NS	      (10 * SPW_NS_PER_S)
#define IKE_CHECK_AGAIN_NS    (60 * SPW_NS_PER_S) /* the check of rekeying: a busy peer */
#define IKE_CHECK_TRIES	      2			  /* that went unanswered */
#define IKE_COOKIE_ROUNDS     5
#define IKE_MID_MAX	      0x80000000u /* then the IKE SA is rekeyed */
#define IKE_MID_RENEW	      0xffff0000u /* or another one is made */
#define IKE_MID_LAST	      0xfffffff0u /* or it ends */
#define IKE_CONN_MARK	      32
#define IKE_CREATES_PER_S     10  /* CREATE_CHILD_SA of a peer, twice that at once */
#define IKE_INFOS_PER_S	      100 /* its INFORMATIONAL */
#define IKE_REPEATS_PER_S     10  /* answers again, to who is not seen at the peer's address */
#define IKE_CHILDREN	      24  /* of an IKE SA, new ones are refused then */
#define IKE_CHILDREN_REKEYS   30  /* and rekeys then: what the escrow's record holds */
#define IKE_LINGERING	      12  /* of them with an inbound half alone; the oldest goes then */
#define IKE_PSKS	      2
#define IKE_FRAGMENT_MIN      576 /* bytes of an IP packet to cut messages to */
#define IKE_FRAGMENT_MAX      9000
#define IKE_PRF_MAX	      64
#define IKE_PER_SOURCE	      3 /* half-open SAs of one address without a cookie */
#define IKE_HALF_OPEN_MAX     1000
#define IKE_CALM_NS	      (10 * SPW_NS_PER_S) /* below the limits, before cookies end */

#endif
