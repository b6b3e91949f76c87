/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The curves that IKE multiplies without OpenSSL against OpenSSL's own arithmetic: P-384 for random
 * private keys and for those at the ends of the range, what is no private key, points that are
 * none, and where the memory of a multiplication is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gmp.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <sodium.h>

#include "ike/crypto_priv.h"

#define LEN  48
#define HEAP (1024 * 1024)

static unsigned int asked; /* of the memory that GMP had before */

static void *
counted(size_t len)
{
	asked++;
	return malloc(len);
}

static void *
counted_again(void *old, size_t old_len, size_t len)
{
	asked++;
	return realloc(old, len);
}

static void
given_back(void *p, size_t len)
{
	free(p);
}

struct curve {
	EC_GROUP *group;
	BN_CTX *bn;
	BIGNUM *order, *prime;
};

static struct curve
curve_open(void)
{
	struct curve c = {EC_GROUP_new_by_curve_name(NID_secp384r1), BN_CTX_new(), BN_new(),
			  BN_new()};

	assert_true(EC_GROUP_get_order(c.group, c.order, NULL) == 1);
	assert_true(EC_GROUP_get_curve(c.group, c.prime, NULL, NULL, NULL) == 1);
	return c;
}

static void
curve_close(struct curve *c)
{
	EC_GROUP_free(c->group);
	BN_CTX_free(c->bn);
	BN_free(c->order);
	BN_free(c->prime);
}

/* scalar * peer by OpenSSL, of the generator when peer is NULL: x|y. */
static void
by_openssl(const struct curve *c, const uint8_t *scalar, const uint8_t *peer, uint8_t out[2 * LEN])
{
	EC_POINT *r = EC_POINT_new(c->group), *p = EC_POINT_new(c->group);
	uint8_t wire[1 + 2 * LEN] = {4};
	BIGNUM *n = BN_bin2bn(scalar, LEN, NULL);

	if (peer) {
		memcpy(wire + 1, peer, 2 * LEN);
		assert_true(EC_POINT_oct2point(c->group, p, wire, sizeof(wire), c->bn) == 1);
	}
	assert_true(EC_POINT_mul(c->group, r, peer ? NULL : n, peer ? p : NULL, peer ? n : NULL,
				 c->bn) == 1);
	assert_int_equal(EC_POINT_point2oct(c->group, r, POINT_CONVERSION_UNCOMPRESSED, wire,
					    sizeof(wire), c->bn),
			 sizeof(wire));
	memcpy(out, wire + 1, 2 * LEN);
	EC_POINT_free(r);
	EC_POINT_free(p);
	BN_free(n);
}

static void
same_as_openssl(const struct curve *c, const uint8_t *scalar, const uint8_t *peer)
{
	uint8_t want[2 * LEN], got[2 * LEN], secret[LEN];

	by_openssl(c, scalar, NULL, want);
	assert_int_equal(ike_curve_public(SPW_GROUP_ECP384, scalar, got), 0);
	assert_memory_equal(got, want, sizeof(want));
	by_openssl(c, scalar, peer, want);
	assert_int_equal(ike_curve_shared(SPW_GROUP_ECP384, scalar, peer, secret), 0);
	assert_memory_equal(secret, want, LEN);
}

static void
p384_computes_what_openssl_does(void **state)
{
	int pairs = getenv("SPW_LONG") ? 20000 : 100;
	uint8_t scalar[LEN], peer[2 * LEN];
	struct curve c = curve_open();

	for (int i = 0; i < pairs; i++) {
		randombytes_buf(scalar, sizeof(scalar));
		if (ike_curve_public(SPW_GROUP_ECP384, scalar, peer) != 0)
			continue; /* not below the order */
		randombytes_buf(scalar, sizeof(scalar));
		memset(scalar, 0, (size_t)i % (LEN - 1)); /* small numbers as well */
		same_as_openssl(&c, scalar, peer);
	}
	curve_close(&c);
}

static void
p384_computes_at_both_ends_of_the_range(void **state)
{
	struct curve c = curve_open();
	uint8_t scalar[LEN], peer[2 * LEN];

	memset(scalar, 0x5a, sizeof(scalar));
	by_openssl(&c, scalar, NULL, peer);
	for (BN_ULONG k = 1; k <= 40; k++) {
		BIGNUM *n = BN_new(), *top = BN_dup(c.order);

		assert_true(BN_set_word(n, k) && BN_sub_word(top, k));
		BN_bn2binpad(n, scalar, LEN);
		same_as_openssl(&c, scalar, peer);
		BN_bn2binpad(top, scalar, LEN);
		same_as_openssl(&c, scalar, peer);
		BN_free(n);
		BN_free(top);
	}
	curve_close(&c);
}

static void
p384_refuses_what_is_no_private_key(void **state)
{
	uint8_t scalar[LEN] = {0}, public[2 * LEN], secret[LEN];
	struct curve c = curve_open();

	for (int i = 0; i < 4; i++) { /* 0, the order, above it, all ones */
		if (i == 3)
			memset(scalar, 0xff, sizeof(scalar));
		else if (i != 0)
			BN_bn2binpad(c.order, scalar, LEN);
		scalar[LEN - 1] += i == 2;
		assert_int_equal(ike_curve_public(SPW_GROUP_ECP384, scalar, public), -EINVAL);
		by_openssl(&c, (const uint8_t[LEN]){[LEN - 1] = 7}, NULL, public);
		assert_int_equal(ike_curve_shared(SPW_GROUP_ECP384, scalar, public, secret),
				 -EINVAL);
	}
	curve_close(&c);
}

/* The point with the smallest x above 0. */
static void
small_point(const struct curve *c, uint8_t out[2 * LEN])
{
	EC_POINT *p = EC_POINT_new(c->group);
	BIGNUM *x = BN_new(), *y = BN_new();

	do {
		assert_true(BN_add_word(x, 1));
	} while (EC_POINT_set_compressed_coordinates(c->group, p, x, 0, c->bn) != 1);
	assert_true(EC_POINT_get_affine_coordinates(c->group, p, x, y, c->bn) == 1);
	BN_bn2binpad(x, out, LEN);
	BN_bn2binpad(y, out + LEN, LEN);
	ERR_clear_error();
	EC_POINT_free(p);
	BN_free(x);
	BN_free(y);
}

/* A coordinate and the prime: the same number for whoever reduces it, and no coordinate. */
static void
add_prime(const struct curve *c, uint8_t coordinate[LEN])
{
	BIGNUM *x = BN_bin2bn(coordinate, LEN, NULL);

	assert_true(BN_add(x, x, c->prime));
	assert_int_equal(BN_bn2binpad(x, coordinate, LEN), LEN);
	BN_free(x);
}

/* RFC 6989 2.3. */
static void
p384_refuses_points_that_are_none(void **state)
{
	const uint8_t scalar[LEN] = {[LEN - 1] = 3};
	uint8_t peer[2 * LEN], bad[2 * LEN], secret[LEN];
	struct curve c = curve_open();

	by_openssl(&c, scalar, NULL, peer);
	for (size_t bit = 0; bit < 16 * LEN; bit += 7) {
		memcpy(bad, peer, sizeof(bad));
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(ike_curve_shared(SPW_GROUP_ECP384, scalar, bad, secret), -EINVAL);
	}
	small_point(&c, peer);
	same_as_openssl(&c, scalar, peer);
	add_prime(&c, peer);
	assert_int_equal(ike_curve_shared(SPW_GROUP_ECP384, scalar, peer, secret), -EINVAL);
	curve_close(&c);
}

/* Not on the ordinary heap while it runs, and wiped when it has ended. */
static void
a_multiplication_leaves_nothing_behind(void **state)
{
	uint8_t scalar[LEN] = {[LEN - 1] = 9}, public[2 * LEN], secret[LEN];
	size_t used = CRYPTO_secure_used(), room = 8192;
	uint8_t *where;

	asked = 0;
	assert_int_equal(ike_curve_public(SPW_GROUP_ECP384, scalar, public), 0);
	assert_int_equal(ike_curve_shared(SPW_GROUP_ECP384, scalar, public, secret), 0);
	assert_int_equal(asked, 0);
	assert_int_equal(CRYPTO_secure_used(), used);
	where = OPENSSL_secure_malloc(room); /* what was its arena */
	assert_non_null(where);
	assert_true(sodium_is_zero(where, room));
	OPENSSL_secure_free(where);
}

static void
without_locked_memory_nothing_is_multiplied(void **state)
{
	uint8_t scalar[LEN] = {[LEN - 1] = 9}, public[2 * LEN], secret[LEN];
	void *all[HEAP / 4096];
	size_t n = 0;

	assert_int_equal(ike_curve_public(SPW_GROUP_ECP384, scalar, public), 0);
	while (n < HEAP / 4096 && (all[n] = OPENSSL_secure_malloc(4096)))
		n++;
	assert_int_equal(ike_curve_public(SPW_GROUP_ECP384, scalar, public), -ENOMEM);
	assert_int_equal(ike_curve_shared(SPW_GROUP_ECP384, scalar, public, secret), -ENOMEM);
	while (n > 0)
		OPENSSL_secure_free(all[--n]);
	assert_int_equal(ike_curve_shared(SPW_GROUP_ECP384, scalar, public, secret), 0);
}

/* Numbers of others in the process are theirs, before, between and after. */
static void
others_who_use_gmp_are_left_alone(void **state)
{
	uint8_t scalar[LEN] = {[LEN - 1] = 9}, public[2 * LEN];
	mpz_t big;

	asked = 0;
	mpz_init_set_ui(big, 3);
	mpz_pow_ui(big, big, 1000);
	assert_true(asked >= 2);
	assert_int_equal(ike_curve_public(SPW_GROUP_ECP384, scalar, public), 0);
	mpz_mul(big, big, big);
	assert_int_equal(mpz_sizeinbase(big, 3), 2001);
	mpz_clear(big);
}

static int
setup(void **state)
{
	struct spw_err err = {0};

	mp_set_memory_functions(counted, counted_again, given_back);
	return spw_secret_init() != 0 || ike_crypto_self_test(&err) != 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(p384_computes_what_openssl_does),
		cmocka_unit_test(p384_computes_at_both_ends_of_the_range),
		cmocka_unit_test(p384_refuses_what_is_no_private_key),
		cmocka_unit_test(p384_refuses_points_that_are_none),
		cmocka_unit_test(a_multiplication_leaves_nothing_behind),
		cmocka_unit_test(without_locked_memory_nothing_is_multiplied),
		cmocka_unit_test(others_who_use_gmp_are_left_alone),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
