/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/: the decisions of IKEv2 as pure functions. No state; any thread. */
#ifndef SPW_IKE_RULES_H
#define SPW_IKE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ike/wire.h"

/* ---- proposals (RFC 7296 2.7, 3.3.6) ---- */

/* What a choice is about. */
struct ike_choice_rule {
	uint8_t protocol;   /* IKE_PROTO_IKE or IKE_PROTO_ESP */
	uint8_t spi_len;    /* that each proposal must have: 0, 4 or 8 */
	bool with_group;    /* false: groups are not part of it (IKE_AUTH) */
	uint32_t encr_mask; /* ESP: ciphers the data plane has, bit n = enum spw_encr n */
};
struct ike_choice {
	struct spw_ike_proposal what; /* group NONE when with_group is false */
	uint8_t number;
	uint64_t spi; /* of the peer */
};

/*
 * Responder: the first of our proposals, in our order, that one of the peer's allows. Exactly one
 * transform per type; a type we do not know, a missing one or numbering with gaps makes a
 * proposal unacceptable. An ESP proposal of ours without a group takes one without a DH transform
 * or with NONE. 0 and *out, or -ENOENT.
 */
int ike_proposal_choose(const struct ike_sa_payload *peer, const struct spw_ike_proposal *own,
			unsigned int n, const struct ike_choice_rule *rule, struct ike_choice *out)
	__attribute__((warn_unused_result));
/*
 * Initiator: check the answer against what was offered: one proposal, one transform per type,
 * equal to the offer of its number (numbers 1..n). 0 and *out, or -EBADMSG.
 */
int ike_proposal_check(const struct ike_sa_payload *answer, const struct spw_ike_proposal *offer,
		       unsigned int n, const struct ike_choice_rule *rule, struct ike_choice *out)
	__attribute__((warn_unused_result));
/* A valid configured proposal for IKE or for ESP. */
bool ike_proposal_valid(const struct spw_ike_proposal *p, uint8_t protocol);
bool ike_proposal_equal(const struct spw_ike_proposal *a, const struct spw_ike_proposal *b);
/* "AES256-GCM/PRF-SHA384/20"; writes at most size bytes. Returns out. */
char *ike_proposal_format(const struct spw_ike_proposal *p, char *out, size_t size);

/* ---- traffic selectors (RFC 7296 2.9) ---- */

/* The common part of two selectors. false when it is empty. */
bool ike_selector_meet(const struct spw_selector *a, const struct spw_selector *b,
		       struct spw_selector *out);
/* True when every packet of `inner` is in `outer`. */
bool ike_selector_covers(const struct spw_selector *outer, const struct spw_selector *inner);
/*
 * Narrow the peer's list to ours: every common part, without those that another covers, at most
 * SPW_SA_SELECTORS. Returns how many; 0 = TS_UNACCEPTABLE.
 */
unsigned int ike_selector_narrow(const struct spw_selector *own, unsigned int n_own,
				 const struct spw_selector *peer, unsigned int n_peer,
				 struct spw_selector out[SPW_SA_SELECTORS]);
/* Every selector of the answer lies in one of the offer. */
bool ike_selector_subset(const struct spw_selector *offer, unsigned int n_offer,
			 const struct spw_selector *answer, unsigned int n_answer);

/* ---- NAT detection (RFC 7296 2.23) ---- */

/* SHA1(SPIi | SPIr | address | port). 0 or -EIO. */
int ike_nat_hash(uint64_t spi_i, uint64_t spi_r, const struct spw_addr *addr, uint16_t port,
		 uint8_t out[IKE_NATD_LEN]) __attribute__((warn_unused_result));
/*
 * True when the message has notifies of this type and none holds `hash`: a NAT changed that
 * address. Payloads of another length than 20 do not count.
 */
bool ike_nat_changed(const struct ike_msg *m, uint16_t type, const uint8_t hash[IKE_NATD_LEN]);

/* ---- cookies (RFC 7296 2.6) ---- */

#define IKE_COOKIE_KEY	   32
#define IKE_COOKIE_LEN	   33 /* version of the secret, then HMAC-SHA-256 */
#define IKE_COOKIE_TURN_NS (120 * SPW_NS_PER_S)

/* A secret and the one before it. Times are of the engine's clock. */
struct ike_cookie_jar {
	struct spw_secret keys; /* two of IKE_COOKIE_KEY bytes: see ike_cookie_key() */
	uint8_t version;
	bool has_previous;
	uint64_t turned_ns;
};
/* The secret of a version, of the two that are kept. */
static inline uint8_t *
ike_cookie_key(const struct ike_cookie_jar *jar, uint8_t version)
{
	return jar->keys.bytes + (version & 1) * IKE_COOKIE_KEY;
}
/* The cookie for an IKE_SA_INIT of this nonce, source and SPI under the secret of `version`. */
void ike_cookie_make(const struct ike_cookie_jar *jar, uint8_t version, const void *nonce,
		     size_t nonce_len, const struct spw_addr *addr, uint16_t port, uint64_t spi_i,
		     uint8_t out[IKE_COOKIE_LEN]);
/* Made by the present secret or the one before, for just these. Constant time in the bytes. */
bool ike_cookie_valid(const struct ike_cookie_jar *jar, const void *cookie, size_t len,
		      const void *nonce, size_t nonce_len, const struct spw_addr *addr,
		      uint16_t port, uint64_t spi_i);

/* ---- times ---- */

/* Wait after transmission number `sent` (1 = the first): base x 1.8^(sent-1), at most the cap. */
uint64_t ike_retransmit_wait(unsigned int sent, uint64_t base_ns, uint64_t cap_ns);
/* Wait before dial number `attempt` (1 = first retry): 1, 2, 4 .. 60 s. */
uint64_t ike_backoff_wait(unsigned int attempt);
/* What may still be asked for: a bucket of `burst`, filled at a rate. All zero = full. */
struct ike_pace {
	uint64_t since_ns; /* when `spent` was true */
	uint32_t spent;
};
/* Take one; false = there is none now. */
bool ike_pace_take(struct ike_pace *p, uint64_t now_ns, uint32_t per_s, uint32_t burst);
/* `ns` made up to `percent` shorter; `random` is uniform over 64 bits. */
uint64_t ike_jitter(uint64_t ns, unsigned int percent, uint64_t random);

/* ---- rivals (RFC 7296 2.8.1, 2.8.2) ---- */

struct ike_nonce {
	uint16_t len;
	uint8_t bytes[IKE_NONCE_MAX];
};
/* Octet order; a prefix is lower. <0, 0, >0. */
int ike_nonce_compare(const struct ike_nonce *a, const struct ike_nonce *b);
/* The lower of the two nonces of one exchange. */
const struct ike_nonce *ike_nonce_lower(const struct ike_nonce *a, const struct ike_nonce *b);
/*
 * Which of two SAs for the same purpose stays, when neither was asked to replace the other (both
 * sides dialled). Made within IKE_RIVAL_NS of one another: the one whose lower nonce is higher,
 * as in 2.8.1; else the newer, for the older may be unknown to a peer that started anew.
 */
#define IKE_RIVAL_NS (10 * SPW_NS_PER_S)
bool ike_rival_stays(uint64_t a_ns, const struct ike_nonce *a, uint64_t b_ns,
		     const struct ike_nonce *b);

#endif
