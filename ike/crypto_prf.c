/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pseudo-random functions and integrity of IKE: HMAC over SHA-1 and SHA-2 (RFC 2104,
 * RFC 2404, RFC 4868), prf+ (RFC 7296 2.13) and the SHA-1 of NAT detection (RFC 7296 2.23).
 *
 * Input comes as a list of chunks, so that no caller joins secrets in a buffer of its own. A
 * context for each hash is made once, without a key, and never used itself: looking algorithms up
 * by name takes OpenSSL longer than the hashing. Every call copies one, gives the copy its key and
 * frees it (OpenSSL wipes it then); what is shared does not change: any thread. A PRF and an
 * integrity algorithm of the same hash differ only in how much is kept, so both end in one
 * function.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "ike/crypto_priv.h"

#define PRF_PLUS_BLOCKS 255
#define PRF_PLUS_SEED	1024

enum hash { NO_HASH, SHA1, SHA256, SHA384, SHA512, HASHES };

static const char *const hash_name[HASHES] = {
	[SHA1] = "SHA1", [SHA256] = "SHA256", [SHA384] = "SHA384", [SHA512] = "SHA512"};
static const enum hash prf_hash[SPW_PRF_COUNT] = {
	[SPW_PRF_HMAC_SHA1] = SHA1,
	[SPW_PRF_HMAC_SHA256] = SHA256,
	[SPW_PRF_HMAC_SHA384] = SHA384,
	[SPW_PRF_HMAC_SHA512] = SHA512,
};
static const enum hash integ_hash[SPW_INTEG_COUNT] = {
	[SPW_INTEG_HMAC_SHA1_96] = SHA1,
	[SPW_INTEG_HMAC_SHA256_128] = SHA256,
	[SPW_INTEG_HMAC_SHA384_192] = SHA384,
	[SPW_INTEG_HMAC_SHA512_256] = SHA512,
};
static EVP_MAC_CTX *blank[HASHES]; /* written once, by blanks_make(); NULL = cannot be had */
static pthread_once_t blanks_once = PTHREAD_ONCE_INIT;

static void
blanks_make(void)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);

	for (int h = SHA1; h < HASHES; h++) {
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
							 (char *)(uintptr_t)hash_name[h], 0),
			OSSL_PARAM_construct_end(),
		};
		EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

		if (ctx && EVP_MAC_CTX_set_params(ctx, params) == 1)
			blank[h] = ctx;
		else
			EVP_MAC_CTX_free(ctx);
	}
	EVP_MAC_free(mac);
	ERR_clear_error();
}

static bool
mac_update(EVP_MAC_CTX *ctx, const struct ike_chunk *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c[i].len > 0 && EVP_MAC_update(ctx, c[i].bytes, c[i].len) != 1)
			return false;
	return true;
}

/* The whole HMAC into full, which holds EVP_MAX_MD_SIZE bytes. */
static int
hmac(enum hash hash, const void *key, size_t key_len, const struct ike_chunk *c, size_t n,
     uint8_t *full, size_t *full_len)
{
	/* OpenSSL takes a NULL key as "the one before", so an empty key still needs an address. */
	const void *key_at = key_len > 0 ? key : "";
	EVP_MAC_CTX *ctx;
	int rc = -EIO;

	pthread_once(&blanks_once, blanks_make);
	ctx = blank[hash] ? EVP_MAC_CTX_dup(blank[hash]) : NULL;
	if (ctx && EVP_MAC_init(ctx, key_at, key_len, NULL) == 1 && mac_update(ctx, c, n) &&
	    EVP_MAC_final(ctx, full, full_len, EVP_MAX_MD_SIZE) == 1)
		rc = 0;
	else
		ERR_clear_error();
	EVP_MAC_CTX_free(ctx);
	return rc;
}

static int
hmac_cut(enum hash hash, const void *key, size_t key_len, const struct ike_chunk *c, size_t n,
	 uint8_t *out, size_t out_len)
{
	uint8_t full[EVP_MAX_MD_SIZE];
	size_t full_len = 0;
	int rc = hash != NO_HASH ? hmac(hash, key, key_len, c, n, full, &full_len) : -EIO;

	if (rc == 0 && full_len < out_len)
		rc = -EIO;
	if (rc == 0)
		memcpy(out, full, out_len);
	spw_wipe(full, sizeof(full));
	return rc;
}

int
ike_prf(enum spw_prf prf, const void *key, size_t key_len, const struct ike_chunk *c, size_t n,
	uint8_t *out)
{
	return hmac_cut(prf_hash[prf], key, key_len, c, n, out, spw_prf_info(prf)->len);
}

int
ike_integ(enum spw_integ integ, const struct spw_secret *key, const struct ike_chunk *c, size_t n,
	  uint8_t *out)
{
	return hmac_cut(integ_hash[integ], key->bytes, key->len, c, n, out,
			spw_integ_info(integ)->icv_len);
}

static int
seed_join(uint8_t *seed, size_t *seed_len, const struct ike_chunk *c, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		if (c[i].len > PRF_PLUS_SEED - at)
			return -EINVAL;
		if (c[i].len > 0)
			memcpy(seed + at, c[i].bytes, c[i].len);
		at += c[i].len;
	}
	*seed_len = at;
	return 0;
}

/* T1 = prf(K, S | 1), Tn = prf(K, Tn-1 | S | n); out is T1 | T2 | ... (RFC 7296 2.13). */
static int
blocks_fill(enum spw_prf prf, const struct spw_secret *key, const uint8_t *seed, size_t seed_len,
	    struct spw_secret *out)
{
	size_t block = spw_prf_info(prf)->len, at = 0, t_len = 0;
	uint8_t t[EVP_MAX_MD_SIZE];
	int rc = 0;

	for (uint8_t i = 1; rc == 0 && at < out->len; i++) {
		struct ike_chunk in[] = {{t, t_len}, {seed, seed_len}, {&i, 1}};

		rc = ike_prf(prf, key->bytes, key->len, in, 3, t);
		t_len = block;
		if (rc == 0) {
			size_t take = out->len - at < block ? out->len - at : block;

			memcpy(out->bytes + at, t, take);
			at += take;
		}
	}
	spw_wipe(t, sizeof(t));
	return rc;
}

int
ike_prf_plus(enum spw_prf prf, const struct spw_secret *key, const struct ike_chunk *c, size_t n,
	     size_t len, struct spw_secret *out)
{
	uint8_t seed[PRF_PLUS_SEED];
	struct spw_secret made = {0};
	size_t seed_len;
	int rc;

	if (len == 0 || len > (size_t)PRF_PLUS_BLOCKS * spw_prf_info(prf)->len)
		return -EINVAL;
	rc = seed_join(seed, &seed_len, c, n);
	if (rc == 0)
		rc = spw_secret_alloc(&made, len);
	if (rc == 0)
		rc = blocks_fill(prf, key, seed, seed_len, &made);
	if (rc == 0)
		spw_secret_move(out, &made);
	else
		spw_secret_free(&made);
	/* The seed of an IKE rekey holds g^ir (RFC 7296 2.18). */
	spw_wipe(seed, sizeof(seed));
	return rc;
}

int
ike_sha1(const struct ike_chunk *c, size_t n, uint8_t out[20])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = c[i].len == 0 || EVP_DigestUpdate(ctx, c[i].bytes, c[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		ERR_clear_error();
	return ok ? 0 : -EIO;
}
