/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stateless cookies for IKE_SA_INIT (RFC 7296 2.6).
 *
 * A cookie is the version of a secret and an HMAC-SHA-256 of nonce, source address, port and SPI
 * under it, so nothing is kept for a stranger before he has shown that he receives at his
 * address. The secret turns every IKE_COOKIE_TURN_NS; the one before still counts, so that a
 * cookie given just before the turn works. Pure but for the caller's jar.
 */
#include <sodium.h>
#include <string.h>

#include "ike/rules.h"

void
ike_cookie_make(const struct ike_cookie_jar *jar, uint8_t version, const void *nonce,
		size_t nonce_len, const struct spw_addr *addr, uint16_t port, uint64_t spi_i,
		uint8_t out[IKE_COOKIE_LEN])
{
	crypto_auth_hmacsha256_state st;
	uint8_t tail[10];

	spw_put_be64(tail, spi_i);
	spw_put_be16(tail + 8, port);
	crypto_auth_hmacsha256_init(&st, ike_cookie_key(jar, version), IKE_COOKIE_KEY);
	crypto_auth_hmacsha256_update(&st, tail, sizeof(tail));
	crypto_auth_hmacsha256_update(&st, &addr->family, 1);
	crypto_auth_hmacsha256_update(&st, addr->bytes, sizeof(addr->bytes));
	crypto_auth_hmacsha256_update(&st, nonce, nonce_len);
	out[0] = version;
	crypto_auth_hmacsha256_final(&st, out + 1);
	spw_wipe(&st, sizeof(st));
}

bool
ike_cookie_valid(const struct ike_cookie_jar *jar, const void *cookie, size_t len,
		 const void *nonce, size_t nonce_len, const struct spw_addr *addr, uint16_t port,
		 uint64_t spi_i)
{
	uint8_t want[IKE_COOKIE_LEN];
	const uint8_t *got = cookie;

	if (len != IKE_COOKIE_LEN)
		return false;
	if (got[0] != jar->version && (got[0] != (uint8_t)(jar->version - 1) || !jar->has_previous))
		return false;
	ike_cookie_make(jar, got[0], nonce, nonce_len, addr, port, spi_i, want);
	return spw_bytes_equal(want, got, IKE_COOKIE_LEN);
}
