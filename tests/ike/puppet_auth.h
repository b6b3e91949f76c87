/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE_AUTH by hand, its AUTH computed from the standard's formula and not by the engine (RFC 7296
 * 2.15), for the settings of net_conn().
 */
#ifndef SPW_TESTS_IKE_PUPPET_AUTH_H
#define SPW_TESTS_IKE_PUPPET_AUTH_H

#include "tests/ike/puppet.h"

#define AUTH_PSK     "a shared secret, long"
#define AUTH_PSK_LEN 20
#define AUTH_PAD     "Key Pad for IKEv2"

enum auth_part {
	AUTH_PART_IDI = 1,
	AUTH_PART_IDR = 2,
	AUTH_PART_AUTH = 4,
	AUTH_PART_SA = 8,
	AUTH_PART_TSI = 16,
	AUTH_PART_TSR = 32
};

/* An IKE_AUTH message; all zero = what the peer expects. */
struct auth_parts {
	unsigned int missing, twice; /* enum auth_part */
	const char *psk, *pad;
	size_t psk_len, pad_len;
	uint8_t method;
	struct ike_chunk id;	  /* content of the signer's ID payload */
	struct ike_chunk other;	  /* of the other ID payload */
	struct ike_chunk claimed; /* sent instead of `id`, which AUTH covers */
	void (*more)(struct ike_builder *b);
};

/* Host 0 of a half-open IKE SA sends this IKE_AUTH; what host 1 answers, NULL = nothing. */
const struct taped *auth_send(struct net *net, const struct auth_parts *p);
/*
 * The error that one such IKE_AUTH brings; 0 = established. Fails the test when anything is left of
 * a failed one.
 */
uint16_t auth_outcome(const struct auth_parts *p);
/* A network in which host 1 answered the IKE_AUTH of host 0 by hand. */
struct net *auth_answered(const struct auth_parts *p);

#endif
