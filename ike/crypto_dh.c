/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Diffie-Hellman of IKE: MODP groups 2 (RFC 2409), 14 (RFC 3526), 24 (RFC 5114) and ECP groups 19
 * and 21 (RFC 5903) over EVP_PKEY; group 20, P-384 (RFC 5903), and group 31, X25519 (RFC 8031),
 * whose private keys are octets, by crypto_curve.c.
 *
 * Invariants: every length on the wire and of a secret is the group's, never the number's:
 * values are left-padded (RFC 7296 2.14, RFC 5903 7), because a lost leading zero breaks one
 * exchange in 256. A peer's value is checked as RFC 6989 asks before our private key touches it:
 * MODP 1 < y < p-1, and y^q = 1 where the group has a small prime-order subgroup; ECP
 * coordinates in range, on the curve. X25519 takes any value but those of small order, whose secret
 * is zero whatever the private key is. A private key serves one exchange and is freed and wiped by
 * it, whatever its outcome.
 *
 * Group 2 has no name in OpenSSL, so its prime and generator are given; the others go by name.
 * Memory: the private value lives in OpenSSL's secure heap once ike_crypto_self_test() has set
 * it aside, those of P-384 and X25519 in guarded memory; the shared secret is derived straight into
 * guarded memory. One thread per object, any number of objects at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <sodium.h>

#include "ike/crypto_priv.h"

#define PUBLIC_MAX	   IKE_DH_PUBLIC_MAX
#define POINT_UNCOMPRESSED 4

struct ike_dh {
	enum spw_group group;
	EVP_PKEY *key;		  /* NULL once used */
	struct spw_secret scalar; /* P-384, X25519: empty once used */
	uint8_t public[PUBLIC_MAX];
};

static const struct dh_kind {
	const char *type;
	const char *name; /* NULL: prime and generator of group 2 */
	int curve;	  /* NID, 0 for MODP */
	bool subgroup;	  /* of small order: RFC 6989 2.2 */
} kinds[SPW_GROUP_COUNT] = {
	[SPW_GROUP_MODP1024] = {"DH", NULL, 0},
	[SPW_GROUP_MODP2048] = {"DH", "modp_2048", 0},
	[SPW_GROUP_ECP256] = {"EC", "P-256", NID_X9_62_prime256v1},
	[SPW_GROUP_MODP2048S256] = {"DH", "dh_2048_256", 0, true},
	[SPW_GROUP_ECP521] = {"EC", "P-521", NID_secp521r1},
};

/* ---- with a private key of octets ---- */

/* Takes the scalar, also on failure. */
static int
curve_wrap(struct ike_dh **out, enum spw_group group, struct spw_secret *scalar)
{
	struct ike_dh *dh = calloc(1, sizeof(*dh));
	int rc = dh ? ike_curve_public(group, scalar->bytes, dh->public) : -ENOMEM;

	if (rc != 0) {
		spw_secret_free(scalar);
		free(dh);
		return rc;
	}
	dh->group = group;
	spw_secret_move(&dh->scalar, scalar);
	*out = dh;
	return 0;
}

/* Random octets are no private key of P-384 once in 2^190 times. */
static int
curve_new(struct ike_dh **out, enum spw_group group)
{
	struct spw_secret scalar = {0};
	int rc;

	do {
		rc = spw_secret_alloc(&scalar, ike_curve_scalar_len(group));
		if (rc != 0)
			return rc;
		randombytes_buf(scalar.bytes, scalar.len);
		rc = curve_wrap(out, group, &scalar);
	} while (rc == -EINVAL);
	return rc;
}

/* Fewer octets than the scalar's, or more, are a number's: zeros stand in front. X25519 has all. */
static int
curve_from_private(struct ike_dh **out, enum spw_group group, const uint8_t *priv, size_t len)
{
	size_t want = ike_curve_scalar_len(group), short_of = len < want ? want - len : 0;
	struct spw_secret scalar = {0};
	int rc;

	if (short_of && group == SPW_GROUP_X25519)
		return -EIO;
	rc = spw_secret_alloc(&scalar, want);
	if (rc != 0)
		return rc;
	memcpy(scalar.bytes + short_of, priv + len - (want - short_of), want - short_of);
	return curve_wrap(out, group, &scalar);
}

static int
curve_copy(struct ike_dh **out, const struct ike_dh *dh)
{
	struct spw_secret scalar = {0};
	int rc = spw_secret_set(&scalar, dh->scalar.bytes, dh->scalar.len);

	return rc == 0 ? curve_wrap(out, dh->group, &scalar) : rc;
}

static int
curve_shared(struct ike_dh *dh, const uint8_t *peer, size_t len, struct spw_secret *out)
{
	const struct spw_group_info *info = spw_group_info(dh->group);
	struct spw_secret made = {0};
	int rc;

	if (!dh->scalar.bytes || len != info->public_len)
		return -EINVAL;
	rc = spw_secret_alloc(&made, info->secret_len);
	if (rc == 0)
		rc = ike_curve_shared(dh->group, dh->scalar.bytes, peer, made.bytes);
	if (rc == 0)
		spw_secret_move(out, &made);
	else
		spw_secret_free(&made);
	return rc;
}

/* ---- over OpenSSL ---- */

static bool
push_group(OSSL_PARAM_BLD *bld, const struct dh_kind *kind, BIGNUM **p, BIGNUM **g)
{
	if (kind->name)
		return OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, kind->name,
						       0) == 1;
	*p = BN_get_rfc2409_prime_1024(NULL);
	*g = BN_new();
	return *p && *g && BN_set_word(*g, 2) == 1 &&
	       OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_FFC_P, *p) == 1 &&
	       OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_FFC_G, *g) == 1;
}

/* A public value in wire form; `point` is x|y with the byte that says so in front. */
static bool
push_public(OSSL_PARAM_BLD *bld, const struct dh_kind *kind, const BIGNUM *y, const uint8_t *point,
	    size_t point_len)
{
	if (kind->curve)
		return OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point,
							point_len) == 1;
	return OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PUB_KEY, y) == 1;
}

/* Group parameters, with a public value (wire form) and a private one when given. NULL: refused. */
static EVP_PKEY *
pkey_make(enum spw_group group, const uint8_t *public, const BIGNUM *priv)
{
	const struct dh_kind *kind = &kinds[group];
	size_t len = spw_group_info(group)->public_len;
	uint8_t point[1 + PUBLIC_MAX] = {POINT_UNCOMPRESSED};
	int selection = priv	 ? EVP_PKEY_KEYPAIR
			: public ? EVP_PKEY_PUBLIC_KEY
				 : EVP_PKEY_KEY_PARAMETERS;
	BIGNUM *p = NULL, *g = NULL, *y = public ? BN_bin2bn(public, (int)len, NULL) : NULL;
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind->type, NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (public)
		memcpy(point + 1, public, len);
	if (bld && ctx && push_group(bld, kind, &p, &g) &&
	    (!public || (y && push_public(bld, kind, y, point, len + 1))) &&
	    (!priv || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, priv) == 1))
		params = OSSL_PARAM_BLD_to_param(bld);
	if (!params || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, selection, params) != 1) {
		key = NULL;
		ERR_clear_error();
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX_free(ctx);
	BN_free(p);
	BN_free(g);
	BN_free(y);
	return key;
}

static bool
public_read_modp(EVP_PKEY *key, uint8_t *out, size_t len)
{
	BIGNUM *y = NULL;
	bool ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PUB_KEY, &y) == 1 &&
		  BN_bn2binpad(y, out, (int)len) == (int)len;

	BN_free(y);
	return ok;
}

static bool
public_read_ecp(EVP_PKEY *key, uint8_t *out, size_t len)
{
	uint8_t point[1 + PUBLIC_MAX];
	size_t got = 0;

	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
					    &got) != 1 ||
	    got != len + 1 || point[0] != POINT_UNCOMPRESSED)
		return false;
	memcpy(out, point + 1, len);
	return true;
}

/* Takes the key, also on failure. */
static int
dh_wrap(struct ike_dh **out, enum spw_group group, EVP_PKEY *key)
{
	size_t len = spw_group_info(group)->public_len;
	struct ike_dh *dh = key ? calloc(1, sizeof(*dh)) : NULL;

	if (dh && len <= sizeof(dh->public) &&
	    (kinds[group].curve ? public_read_ecp(key, dh->public, len)
				: public_read_modp(key, dh->public, len))) {
		dh->group = group;
		dh->key = key;
		*out = dh;
		return 0;
	}
	free(dh);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return -EIO;
}

int
ike_dh_new(struct ike_dh **dh, enum spw_group group)
{
	EVP_PKEY *params, *key = NULL;
	EVP_PKEY_CTX *ctx;

	if (ike_curve_scalar_len(group))
		return curve_new(dh, group);
	if (group <= SPW_GROUP_NONE || group >= SPW_GROUP_COUNT || !kinds[group].type)
		return -ENOTSUP;
	params = pkey_make(group, NULL, NULL);
	ctx = params ? EVP_PKEY_CTX_new_from_pkey(NULL, params, NULL) : NULL;
	if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_generate(ctx, &key) != 1) {
		key = NULL;
		ERR_clear_error();
	}
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(params);
	return dh_wrap(dh, group, key);
}

static bool
power_ecp(int curve, const BIGNUM *priv, uint8_t *out, size_t len, BN_CTX *bn)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(curve);
	EC_POINT *point = group ? EC_POINT_new(group) : NULL;
	uint8_t wire[1 + PUBLIC_MAX];
	bool ok = point && EC_POINT_mul(group, point, priv, NULL, NULL, bn) == 1 &&
		  EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, wire,
				     sizeof(wire), bn) == len + 1;

	if (ok)
		memcpy(out, wire + 1, len);
	EC_POINT_free(point);
	EC_GROUP_free(group);
	return ok;
}

static bool
power_modp(enum spw_group group, const BIGNUM *priv, uint8_t *out, size_t len, BN_CTX *bn)
{
	EVP_PKEY *params = pkey_make(group, NULL, NULL);
	BIGNUM *p = NULL, *g = NULL, *y = BN_new();
	bool ok = params && y && EVP_PKEY_get_bn_param(params, OSSL_PKEY_PARAM_FFC_P, &p) == 1 &&
		  EVP_PKEY_get_bn_param(params, OSSL_PKEY_PARAM_FFC_G, &g) == 1 &&
		  BN_mod_exp(y, g, priv, p, bn) == 1 && BN_bn2binpad(y, out, (int)len) == (int)len;

	BN_free(p);
	BN_free(g);
	BN_free(y);
	EVP_PKEY_free(params);
	return ok;
}

int
ike_dh_from_private(struct ike_dh **dh, enum spw_group group, const void *priv, size_t len)
{
	BN_CTX *bn;
	BIGNUM *x;
	size_t public_len = spw_group_info(group)->public_len;
	uint8_t public[PUBLIC_MAX];
	EVP_PKEY *key = NULL;

	if (ike_curve_scalar_len(group))
		return curve_from_private(dh, group, priv, len);
	bn = BN_CTX_new();
	x = BN_secure_new(); /* none: BN_bin2bn() would take ordinary memory */
	if (bn && x && BN_bin2bn(priv, (int)len, x) &&
	    (kinds[group].curve ? power_ecp(kinds[group].curve, x, public, public_len, bn)
				: power_modp(group, x, public, public_len, bn)))
		key = pkey_make(group, public, x);
	BN_clear_free(x);
	BN_CTX_free(bn);
	return dh_wrap(dh, group, key);
}

int
ike_dh_copy(struct ike_dh **out, const struct ike_dh *dh)
{
	BIGNUM *x = dh->key ? BN_secure_new() : NULL;
	EVP_PKEY *key = NULL;

	if (dh->scalar.bytes)
		return curve_copy(out, dh);
	if (!dh->key)
		return -ENOENT;
	if (x && EVP_PKEY_get_bn_param(dh->key, OSSL_PKEY_PARAM_PRIV_KEY, &x) == 1)
		key = pkey_make(dh->group, dh->public, x);
	BN_clear_free(x);
	return dh_wrap(out, dh->group, key);
}

static int
curve_private(const struct ike_dh *dh, uint8_t out[IKE_DH_PRIVATE_MAX])
{
	if (!dh->scalar.bytes)
		return -ENOENT;
	memset(out, 0, IKE_DH_PRIVATE_MAX);
	memcpy(out + IKE_DH_PRIVATE_MAX - dh->scalar.len, dh->scalar.bytes, dh->scalar.len);
	return 0;
}

int
ike_dh_private(const struct ike_dh *dh, uint8_t out[IKE_DH_PRIVATE_MAX])
{
	if (ike_curve_scalar_len(dh->group))
		return curve_private(dh, out);

	BIGNUM *x = dh->key ? BN_secure_new() : NULL;
	bool ok = x && EVP_PKEY_get_bn_param(dh->key, OSSL_PKEY_PARAM_PRIV_KEY, &x) == 1 &&
		  BN_bn2binpad(x, out, IKE_DH_PRIVATE_MAX) == IKE_DH_PRIVATE_MAX;

	BN_clear_free(x);
	if (!ok)
		ERR_clear_error();
	return ok ? 0 : dh->key ? -EIO : -ENOENT;
}

void
ike_dh_free(struct ike_dh *dh)
{
	if (!dh)
		return;
	EVP_PKEY_free(dh->key);
	spw_secret_free(&dh->scalar);
	free(dh);
}

enum spw_group
ike_dh_group(const struct ike_dh *dh)
{
	return dh->group;
}

const uint8_t *
ike_dh_public(const struct ike_dh *dh)
{
	return dh->public;
}

/* 1 < y < p-1 (RFC 6989 2.1). */
static bool
modp_in_range(const BIGNUM *y, const BIGNUM *p)
{
	BIGNUM *top = BN_dup(p);
	bool ok = top && BN_sub_word(top, 1) == 1 && BN_cmp(y, BN_value_one()) > 0 &&
		  BN_cmp(y, top) < 0;

	BN_free(top);
	return ok;
}

/* y^q = 1 mod p (RFC 6989 2.2). */
static bool
modp_in_subgroup(const BIGNUM *y, const BIGNUM *q, const BIGNUM *p)
{
	BN_CTX *bn = BN_CTX_new();
	BIGNUM *r = BN_new();
	bool ok = bn && r && BN_mod_exp(r, y, q, p, bn) == 1 && BN_is_one(r);

	BN_free(r);
	BN_CTX_free(bn);
	return ok;
}

/* A safe prime has q = (p-1)/2 and no small subgroup worth a check beyond the range. */
static bool
modp_peer_ok(EVP_PKEY *ours, bool subgroup, const uint8_t *peer, size_t len)
{
	BIGNUM *p = NULL, *q = NULL, *y = BN_bin2bn(peer, (int)len, NULL);
	bool ok = y && EVP_PKEY_get_bn_param(ours, OSSL_PKEY_PARAM_FFC_P, &p) == 1 &&
		  modp_in_range(y, p);

	if (ok && subgroup)
		ok = EVP_PKEY_get_bn_param(ours, OSSL_PKEY_PARAM_FFC_Q, &q) == 1 &&
		     modp_in_subgroup(y, q, p);
	BN_free(p);
	BN_free(q);
	BN_free(y);
	return ok;
}

/*
 * MODP must be told to pad; ECP always gives the whole x. The peer's value is checked when we come
 * here: MODP by modp_peer_ok(), ECP when its key was made of it (coordinates below p, on the curve,
 * not infinity; RFC 6989 2.3 asks no more of a curve whose cofactor is 1). So OpenSSL is told not
 * to check once more, which would be a third multiplication of a point.
 */
static bool
derive(EVP_PKEY *ours, EVP_PKEY *theirs, bool pad, struct spw_secret *out)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
	unsigned int one = 1;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_EXCHANGE_PARAM_PAD, &one),
		OSSL_PARAM_construct_end(),
	};
	size_t len = out->len;
	bool ok = ctx && EVP_PKEY_derive_init_ex(ctx, pad ? params : NULL) == 1 &&
		  EVP_PKEY_derive_set_peer_ex(ctx, theirs, 0) == 1 &&
		  EVP_PKEY_derive(ctx, out->bytes, &len) == 1 && len == out->len;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static int
shared_make(struct ike_dh *dh, const uint8_t *peer, size_t len, struct spw_secret *out)
{
	const struct spw_group_info *info = spw_group_info(dh->group);
	bool modp = kinds[dh->group].curve == 0;
	struct spw_secret made = {0};
	EVP_PKEY *theirs;
	int rc;

	if (!dh->key || len != info->public_len ||
	    (modp && !modp_peer_ok(dh->key, kinds[dh->group].subgroup, peer, len)))
		return -EINVAL;
	theirs = pkey_make(dh->group, peer, NULL);
	if (!theirs)
		return -EINVAL;
	rc = spw_secret_alloc(&made, info->secret_len);
	if (rc == 0 && !derive(dh->key, theirs, modp, &made))
		rc = -EINVAL;
	EVP_PKEY_free(theirs);
	if (rc == 0)
		spw_secret_move(out, &made);
	else
		spw_secret_free(&made);
	return rc;
}

int
ike_dh_shared(struct ike_dh *dh, const void *peer, size_t len, struct spw_secret *out)
{
	int rc = ike_curve_scalar_len(dh->group) ? curve_shared(dh, peer, len, out)
						 : shared_make(dh, peer, len, out);

	EVP_PKEY_free(dh->key);
	dh->key = NULL;
	spw_secret_free(&dh->scalar);
	if (rc != 0)
		ERR_clear_error();
	return rc;
}
