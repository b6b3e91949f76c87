/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_MSG_IKE_H
#define SPW_LIB_MSG_IKE_H

#include <stdint.h>

#include "lib/addr.h"
#include "lib/algo.h"
#include "lib/msg.h"
#include "lib/msg_dataplane.h"
#include "lib/sa_desc.h"

#define SPW_IKE_PROPOSALS  8   /* alternatives in one list, in order of preference */
#define SPW_IKE_ID_MAX	   128 /* bytes of an identity */
#define SPW_IKE_PSK_MAX	   256
#define SPW_IKE_PPK_ID_MAX 64
#define SPW_IKE_STATE_TEXT 120

enum spw_ike_number {
#define SPW_IKE_MSG(name, number, request, reply) SPW_IKE_##name = (number),
#include "lib/msg_ike.def"
};

struct spw_ike_hello {
	uint32_t subscribe; /* 1: send EV_TUNNEL on this connection */
	uint32_t pad;
};
struct spw_ike_hello_reply {
	uint64_t instance; /* random, new at every start of iked */
	char version[24];
};

/*
 * A local address with its bound UDP sockets: descriptor 0 port 500, descriptor 1 port 4500.
 * controld keeps duplicates, so a dead iked is not visible to peers as port unreachable.
 */
struct spw_ike_socket {
	struct spw_addr local;
};

/* 64-bit sequence numbers of ESP (RFC 4303 2.2.1). BOTH: offered and taken before 32-bit ones. */
enum spw_ike_esn { SPW_ESN_NO = 0, SPW_ESN_YES = 1, SPW_ESN_BOTH = 2 };

/* One proposal: one algorithm of each type. integ NONE with an AEAD; group NONE = no PFS (ESP). */
struct spw_ike_proposal {
	uint8_t encr;  /* enum spw_encr */
	uint8_t integ; /* enum spw_integ */
	uint8_t prf;   /* enum spw_prf; NONE for ESP */
	uint8_t group; /* enum spw_group */
	uint8_t esn;   /* enum spw_ike_esn; NO for IKE */
	uint8_t pad[3];
};

enum spw_ike_id_type { /* RFC 7296 3.5 */
		       SPW_ID_IPV4 = 1,
		       SPW_ID_FQDN = 2,
		       SPW_ID_RFC822 = 3,
		       SPW_ID_IPV6 = 5,
		       SPW_ID_KEY_ID = 11,
};
struct spw_ike_id {
	uint8_t type; /* enum spw_ike_id_type, 0 = not set */
	uint8_t len;
	uint8_t pad[2];
	uint8_t data[SPW_IKE_ID_MAX];
};

enum spw_ike_mode { /* who dials, as Azure's connectionMode seen from our side */
		    SPW_IKE_MODE_BOTH = 0,
		    SPW_IKE_MODE_INITIATE = 1, /* dial; refuse to be dialled */
		    SPW_IKE_MODE_RESPOND = 2,  /* never dial */
};

/* One connection = one peer = one route-based tunnel. Holds secrets: wipe after use. */
struct spw_ike_conn {
	char name[SPW_NAME_LEN]; /* the tunnel's name */
	uint32_t tunnel;	 /* tunnel id in the data plane */
	uint32_t generation;
	struct spw_addr local;
	struct spw_addr remote;
	struct spw_ike_id local_id;
	struct spw_ike_id remote_id;
	uint32_t mode; /* enum spw_ike_mode */
	uint32_t psk_len;
	uint8_t psk[SPW_IKE_PSK_MAX];
	uint32_t next_psk_len; /* 0 = none: a second key while both ends change theirs */
	uint8_t next_psk[SPW_IKE_PSK_MAX];
	uint32_t ppk_len; /* 0 = none; post-quantum pre-shared key, RFC 8784 */
	uint8_t ppk[SPW_IKE_PSK_MAX];
	uint32_t ppk_id_len;
	uint8_t ppk_id[SPW_IKE_PPK_ID_MAX];
	uint32_t ppk_required; /* 1: no IKE SA without it */
	uint32_t n_ike;
	uint32_t n_esp;
	struct spw_ike_proposal ike[SPW_IKE_PROPOSALS];
	struct spw_ike_proposal esp[SPW_IKE_PROPOSALS];
	uint32_t ike_rekey_s; /* soft lifetime of the IKE SA; hard is 10 % later */
	uint32_t
		dpd_delay_s; /* liveness check after this long without inbound traffic, 0 = never */
	uint32_t dpd_timeout_s; /* dead after this long without an answer */
	uint32_t nat_keepalive_s;
	uint32_t replay_window;
	uint32_t force_encap; /* 1: claim a NAT so that ESP goes in UDP */
	uint32_t fragment;    /* longest IP packet of IKE (RFC 7383), 576..9000; 0 = never cut */
	struct spw_sa_limit child_seconds;
	struct spw_sa_limit child_bytes;
	struct spw_sa_limit child_packets;
	uint32_t jitter_percent; /* soft limits are drawn this much lower at most */
	uint32_t pfs_check_s;	 /* up this long, rekeying is tried once; 0 = never */
	uint32_t n_local;
	uint32_t n_remote;
	struct spw_selector sel_local[SPW_SA_SELECTORS];
	struct spw_selector sel_remote[SPW_SA_SELECTORS];
};

struct spw_ike_conn_ref {
	char name[SPW_NAME_LEN];
};
struct spw_ike_sweep {
	uint32_t generation; /* connections with an older one are deleted */
	uint32_t pad;
};
enum spw_ike_reset_what { SPW_IKE_RESET_IKE = 1, SPW_IKE_RESET_CHILD = 2 };
struct spw_ike_reset {
	char name[SPW_NAME_LEN];
	uint32_t what; /* enum spw_ike_reset_what */
	uint32_t pad;
};

enum spw_ike_state {
	SPW_IKE_IDLE = 0, /* not dialling (responder, or waiting for back-off) */
	SPW_IKE_CONNECTING = 1,
	SPW_IKE_ESTABLISHED = 2,
	SPW_IKE_REKEYING = 3,
	SPW_IKE_CLOSING = 4,
};
/* What is known of rekeying the child SA, and so of the PFS group (RFC 7296 1.2). */
enum spw_ike_check {
	SPW_IKE_CHECK_NOT_YET = 0, /* no rekey has been tried */
	SPW_IKE_CHECK_OK = 1,
	SPW_IKE_CHECK_REFUSED = 2,
	SPW_IKE_CHECK_NO_ANSWER = 3,
	SPW_IKE_CHECKS,
};
struct spw_ike_status {
	char name[SPW_NAME_LEN];
	uint32_t tunnel;
	uint32_t state; /* enum spw_ike_state */
	struct spw_addr local;
	struct spw_addr remote;
	uint32_t initiator; /* 1: we are the original initiator */
	uint32_t children;  /* live child SAs */
	struct spw_ike_proposal ike;
	struct spw_ike_proposal esp;
	uint64_t spi_i;
	uint64_t spi_r;
	uint64_t since_ns;    /* CLOCK_MONOTONIC of the state */
	uint64_t rekey_at_ns; /* 0 = none */
	uint64_t heard_ns;    /* last authentic message or packet, 0 = never */
	uint64_t next_try_ns; /* while idle with back-off, 0 = none */
	uint32_t retransmits; /* of the request in flight */
	uint32_t attempts;    /* dials since the last established state */
	uint32_t nat_here;
	uint32_t nat_there;
	uint32_t ike_rekeys, child_rekeys, child_rekey_failures;
	uint32_t escrow; /* 1: kept, a restart of iked goes on with this IKE SA */
	uint32_t psk;	 /* authenticated with 1: psk, 2: next_psk; 0 = not yet */
	uint32_t ppk;	 /* 1: its keys have the PPK */
	uint32_t check;	 /* enum spw_ike_check */
	uint32_t check_notify; /* REFUSED: notify type of the peer, 0 = an unusable answer */
	uint32_t check_wanted; /* group the peer asked for instead, IANA number; 0 = not said */
	uint32_t remote_port;  /* where the peer's IKE and ESP in UDP come from; 0 = not known */
	uint64_t check_ns;     /* CLOCK_MONOTONIC of that outcome, 0 = none */
	uint64_t check_at_ns;  /* when it is tried, 0 = no check waits */
	char reason[SPW_IKE_STATE_TEXT]; /* why it is not established, for a person */
};

struct spw_ike_tunnel_event {
	char name[SPW_NAME_LEN];
	uint32_t tunnel;
	uint32_t up; /* 1: a child SA carries traffic both ways */
	uint64_t at_ns;
	char reason[SPW_IKE_STATE_TEXT];
};

struct spw_ike_msg_info {
	const char *name;
	uint16_t number;
	uint16_t request_size;
	uint16_t reply_size;
};
/* Facts about a message number; NULL when unknown. */
const struct spw_ike_msg_info *spw_ike_msg_info(uint16_t number);

#endif
