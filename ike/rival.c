/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of two SAs for the same purpose stays (RFC 7296 2.8.1, 2.8.2).
 *
 * Both ends must come to the same answer without talking: they know the same nonces, so the SA
 * with the lowest nonce of the four goes. Pure.
 */
#include <string.h>

#include "ike/rules.h"

int
ike_nonce_compare(const struct ike_nonce *a, const struct ike_nonce *b)
{
	size_t common = a->len < b->len ? a->len : b->len;
	int c = memcmp(a->bytes, b->bytes, common);

	return c != 0 ? c : (int)a->len - (int)b->len;
}

const struct ike_nonce *
ike_nonce_lower(const struct ike_nonce *a, const struct ike_nonce *b)
{
	return ike_nonce_compare(a, b) <= 0 ? a : b;
}

bool
ike_rival_stays(uint64_t a_ns, const struct ike_nonce *a, uint64_t b_ns, const struct ike_nonce *b)
{
	uint64_t apart = a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns;

	if (apart < IKE_RIVAL_NS)
		return ike_nonce_compare(a, b) > 0;
	return a_ns > b_ns;
}
