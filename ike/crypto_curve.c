/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Curves that IKE does not multiply with OpenSSL: P-384 (RFC 5903) with Nettle, four times as fast
 * as OpenSSL 3.0, which has no code of its own for that curve (docs/decisions/0026), and X25519
 * (RFC 7748) with libsodium. A private key is octets, kept by the caller in guarded memory.
 *
 * Invariants: private and public values are big-endian and padded to the curve's length (P-384), or
 * as RFC 7748 writes them (X25519). A peer's point is in range and on the curve (RFC 6989 2.3)
 * before a private key touches it. Nothing depends on a secret's value but which memory holds it:
 * Nettle's multiplications select from their tables by mask, and limbs are read and written whole.
 *
 * Memory: Nettle and GMP take theirs by GMP's memory functions. While one of our multiplications
 * runs on a thread, those give from an arena in OpenSSL's locked heap, which is wiped as a whole at
 * its end; so there is nothing to clear piece by piece, and no limb of a key on the ordinary heap.
 * What a multiplication needs is the same each time; an arena that is too small ends the process
 * (and every test). Without an arena GMP's own functions serve, for whoever else in the process
 * uses it. Threads: any, an arena each.
 */
#include <errno.h>
#include <gmp.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ike/crypto_priv.h"
#include "lib/bytes.h"

#define ARENA_LEN   (8 * 1024) /* twice what the larger multiplication takes */
#define ARENA_ALIGN 16
#define P384_LEN    48
#define P384_LIMBS  (P384_LEN / 8)

_Static_assert(GMP_NUMB_BITS == 64, "a limb is 8 octets");

/* ---- memory of a multiplication ---- */

static _Thread_local struct {
	uint8_t *base; /* NULL: no multiplication on this thread */
	size_t used;
} arena;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *(*gmp_alloc)(size_t);
static void *(*gmp_realloc)(void *, size_t, size_t);
static void (*gmp_free)(void *, size_t);

static void *
arena_take(size_t len)
{
	void *taken = arena.base + arena.used;

	len = (len + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (len > ARENA_LEN - arena.used)
		abort();
	arena.used += len;
	return taken;
}

static void *
take(size_t len)
{
	return arena.base ? arena_take(len) : gmp_alloc(len);
}

static void *
take_again(void *old, size_t old_len, size_t len)
{
	if (!arena.base)
		return gmp_realloc(old, old_len, len);
	return len <= old_len ? old : memcpy(arena_take(len), old, old_len);
}

static void
give_back(void *p, size_t len)
{
	if (!arena.base)
		gmp_free(p, len);
}

static void
memory_functions(void)
{
	mp_get_memory_functions(&gmp_alloc, &gmp_realloc, &gmp_free);
	mp_set_memory_functions(take, take_again, give_back);
}

static int
arena_open(void)
{
	pthread_once(&once, memory_functions);
	arena.used = 0;
	arena.base = OPENSSL_secure_malloc(ARENA_LEN);
	return arena.base ? 0 : -ENOMEM;
}

static void
arena_close(void)
{
	OPENSSL_secure_clear_free(arena.base, ARENA_LEN);
	arena.base = NULL;
}

/* ---- P-384; an arena is open in all of these ---- */

static void
number_read(mpz_t z, const uint8_t bytes[P384_LEN])
{
	mp_limb_t *limbs = arena_take(P384_LEN);

	for (size_t i = 0; i < P384_LIMBS; i++)
		limbs[i] = spw_get_be64(bytes + P384_LEN - 8 * (i + 1));
	mpz_roinit_n(z, limbs, P384_LIMBS);
}

static void
number_write(uint8_t bytes[P384_LEN], const mp_limb_t *limbs)
{
	for (size_t i = 0; i < P384_LIMBS; i++)
		spw_put_be64(bytes + P384_LEN - 8 * (i + 1), limbs[i]);
}

/* Whether it is one of 1 .. q-1. */
static bool
scalar_read(struct ecc_scalar *n, const uint8_t bytes[P384_LEN])
{
	mpz_t z;

	ecc_scalar_init(n, nettle_get_secp_384r1());
	number_read(z, bytes);
	return ecc_scalar_set(n, z) == 1;
}

/* Whether x and y are below p, and a point of the curve. */
static bool
point_read(struct ecc_point *p, const uint8_t wire[2 * P384_LEN])
{
	mpz_t x, y;

	ecc_point_init(p, nettle_get_secp_384r1());
	number_read(x, wire);
	number_read(y, wire + P384_LEN);
	return ecc_point_set(p, x, y) == 1;
}

static int
p384_public(const uint8_t *scalar, uint8_t *public)
{
	struct ecc_scalar n;
	struct ecc_point r;

	if (!scalar_read(&n, scalar))
		return -EINVAL;
	ecc_point_init(&r, nettle_get_secp_384r1());
	ecc_point_mul_g(&r, &n);
	number_write(public, r.p);
	number_write(public + P384_LEN, r.p + P384_LIMBS);
	return 0;
}

/* The x coordinate (RFC 5903 9). It is never the point at infinity: the order is prime. */
static int
p384_shared(const uint8_t *scalar, const uint8_t *peer, uint8_t *secret)
{
	struct ecc_point theirs, r;
	struct ecc_scalar n;

	if (!scalar_read(&n, scalar) || !point_read(&theirs, peer))
		return -EINVAL;
	ecc_point_init(&r, nettle_get_secp_384r1());
	ecc_point_mul(&r, &n, &theirs);
	number_write(secret, r.p);
	return 0;
}

/* ---- either ---- */

size_t
ike_curve_scalar_len(enum spw_group group)
{
	return group == SPW_GROUP_X25519   ? crypto_scalarmult_SCALARBYTES
	       : group == SPW_GROUP_ECP384 ? P384_LEN
					   : 0;
}

int
ike_curve_public(enum spw_group group, const uint8_t *scalar, uint8_t *public)
{
	int rc;

	if (group == SPW_GROUP_X25519)
		return crypto_scalarmult_base(public, scalar) == 0 ? 0 : -EIO;
	rc = arena_open();
	if (rc != 0)
		return rc;
	rc = p384_public(scalar, public);
	arena_close();
	return rc;
}

int
ike_curve_shared(enum spw_group group, const uint8_t *scalar, const uint8_t *peer, uint8_t *secret)
{
	int rc;

	if (group == SPW_GROUP_X25519) /* of small order: RFC 7748 6.1 */
		return crypto_scalarmult(secret, scalar, peer) == 0 ? 0 : -EINVAL;
	rc = arena_open();
	if (rc != 0)
		return rc;
	rc = p384_shared(scalar, peer, secret);
	arena_close();
	return rc;
}
