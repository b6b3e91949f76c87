/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protection of the encrypted payload of IKE (RFC 7296 3.14): AES-GCM as RFC 5282 has it, or
 * AES-CBC with an HMAC over everything before the ICV.
 *
 * Layout of a message, the same for both:
 *
 *	[0, aad_len) headers | IV | ciphertext | ICV
 *
 * Invariants: the 12-byte GCM nonce is built in gcm_nonce() and nowhere else: the salt from the
 * key material and the 8-byte IV, which counts from 0 and is never set back; at its end the
 * object refuses to seal (the SA must be rekeyed long before). A CBC IV is fresh random. The tag
 * is verified before anything is released: CBC checks the ICV first; GCM wipes the text when its
 * tag is wrong. Comparison of tags is constant-time.
 *
 * Keys live in guarded memory; OpenSSL's own key schedule exists only during a call and is wiped
 * by EVP_CIPHER_CTX_free(). One thread per object.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "ike/crypto_priv.h"

#define GCM_NONCE 12
#define ICV_MAX	  32
#define MSG_MAX	  65535

struct text {
	uint8_t *iv;
	uint8_t *at;
	size_t len;
	uint8_t *icv;
};

static const EVP_CIPHER *
cipher_of(enum spw_encr encr)
{
	switch (encr) {
	case SPW_ENCR_AES128_GCM: return EVP_aes_128_gcm();
	case SPW_ENCR_AES192_GCM: return EVP_aes_192_gcm();
	case SPW_ENCR_AES256_GCM: return EVP_aes_256_gcm();
	case SPW_ENCR_AES128_CBC: return EVP_aes_128_cbc();
	case SPW_ENCR_AES256_CBC: return EVP_aes_256_cbc();
	case SPW_ENCR_CHACHA20_POLY1305: return EVP_chacha20_poly1305();
	case SPW_ENCR_NONE:
	case SPW_ENCR_COUNT: break;
	}
	return NULL;
}

static bool
is_aead(const struct ike_cipher *c)
{
	return spw_encr_info(c->encr)->icv_len > 0;
}

static bool
sizes_fit(enum spw_encr encr, size_t key_len, enum spw_integ integ, const void *integ_key,
	  size_t integ_key_len)
{
	const struct spw_encr_info *e = spw_encr_info(encr);

	if (!cipher_of(encr) || key_len != (size_t)e->key_len + e->salt_len)
		return false;
	if (e->icv_len > 0)
		return integ == SPW_INTEG_NONE && !integ_key && integ_key_len == 0;
	return integ > SPW_INTEG_NONE && integ < SPW_INTEG_COUNT && integ_key &&
	       integ_key_len == spw_integ_info(integ)->key_len;
}

int
ike_cipher_new(struct ike_cipher **out, enum spw_encr encr, const void *key, size_t key_len,
	       enum spw_integ integ, const void *integ_key, size_t integ_key_len)
{
	struct ike_cipher *c;
	int rc;

	if (!sizes_fit(encr, key_len, integ, integ_key, integ_key_len))
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->encr = encr;
	c->integ = integ;
	rc = spw_secret_set(&c->key, key, key_len);
	if (rc == 0 && integ_key)
		rc = spw_secret_set(&c->integ_key, integ_key, integ_key_len);
	if (rc == 0)
		*out = c;
	else
		ike_cipher_free(c);
	return rc;
}

void
ike_cipher_free(struct ike_cipher *c)
{
	if (!c)
		return;
	spw_secret_free(&c->key);
	spw_secret_free(&c->integ_key);
	free(c);
}

struct ike_cipher_view
ike_cipher_view(const struct ike_cipher *c)
{
	return (struct ike_cipher_view){&c->key, &c->integ_key, c->iv_next};
}

int
ike_cipher_resume(struct ike_cipher *c, uint64_t next)
{
	if (next < c->iv_next)
		return -EOVERFLOW;
	c->iv_next = next;
	return 0;
}

size_t
ike_cipher_iv_len(const struct ike_cipher *c)
{
	return spw_encr_info(c->encr)->iv_len;
}

size_t
ike_cipher_icv_len(const struct ike_cipher *c)
{
	return is_aead(c) ? spw_encr_info(c->encr)->icv_len : spw_integ_info(c->integ)->icv_len;
}

size_t
ike_cipher_block(const struct ike_cipher *c)
{
	return spw_encr_info(c->encr)->block;
}

/* Find the parts of a message; false when they do not fit. The text holds at least Pad Length. */
static bool
text_find(const struct ike_cipher *c, uint8_t *msg, size_t msg_len, size_t aad_len, struct text *t)
{
	size_t iv = ike_cipher_iv_len(c), icv = ike_cipher_icv_len(c);

	if (msg_len > MSG_MAX || aad_len > msg_len || msg_len - aad_len < iv + icv + 1)
		return false;
	t->iv = msg + aad_len;
	t->at = t->iv + iv;
	t->len = msg_len - aad_len - iv - icv;
	t->icv = t->at + t->len;
	return t->len % ike_cipher_block(c) == 0;
}

/* salt | explicit IV (RFC 5282 4). */
static void
gcm_nonce(const struct ike_cipher *c, const uint8_t *iv, uint8_t nonce[GCM_NONCE])
{
	const struct spw_encr_info *e = spw_encr_info(c->encr);

	memcpy(nonce, c->key.bytes + e->key_len, e->salt_len);
	memcpy(nonce + e->salt_len, iv, e->iv_len);
}

static bool
gcm_seal(const struct ike_cipher *c, const uint8_t *aad, size_t aad_len, const struct text *t)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[GCM_NONCE];
	int n = 0, rest = 0;
	bool ok;

	gcm_nonce(c, t->iv, nonce);
	ok = ctx && EVP_EncryptInit_ex(ctx, cipher_of(c->encr), NULL, c->key.bytes, nonce) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1 &&
	     EVP_EncryptUpdate(ctx, t->at, &n, t->at, (int)t->len) == 1 &&
	     EVP_EncryptFinal_ex(ctx, t->at + n, &rest) == 1 && (size_t)(n + rest) == t->len &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)ike_cipher_icv_len(c), t->icv) ==
		     1;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static bool
gcm_open(const struct ike_cipher *c, const uint8_t *aad, size_t aad_len, const struct text *t)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[GCM_NONCE];
	int n = 0, rest = 0;
	bool ok;

	gcm_nonce(c, t->iv, nonce);
	ok = ctx && EVP_DecryptInit_ex(ctx, cipher_of(c->encr), NULL, c->key.bytes, nonce) == 1 &&
	     EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1 &&
	     EVP_DecryptUpdate(ctx, t->at, &n, t->at, (int)t->len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)ike_cipher_icv_len(c), t->icv) ==
		     1 &&
	     EVP_DecryptFinal_ex(ctx, t->at + n, &rest) == 1 && (size_t)(n + rest) == t->len;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		spw_wipe(t->at, t->len);
	return ok;
}

static bool
cbc_run(const struct ike_cipher *c, const struct text *t, bool encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, rest = 0;
	bool ok = ctx &&
		  EVP_CipherInit_ex(ctx, cipher_of(c->encr), NULL, c->key.bytes, t->iv, encrypt) ==
			  1 &&
		  EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
		  EVP_CipherUpdate(ctx, t->at, &n, t->at, (int)t->len) == 1 &&
		  EVP_CipherFinal_ex(ctx, t->at + n, &rest) == 1 && (size_t)(n + rest) == t->len;

	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static int
cbc_icv(const struct ike_cipher *c, const uint8_t *msg, const struct text *t, uint8_t *icv)
{
	struct ike_chunk covered = {msg, (size_t)(t->icv - msg)};

	return ike_integ(c->integ, &c->integ_key, &covered, 1, icv);
}

static int
iv_draw(struct ike_cipher *c, uint8_t *iv)
{
	if (!is_aead(c))
		return RAND_bytes(iv, (int)ike_cipher_iv_len(c)) == 1 ? 0 : -EIO;
	if (c->iv_used_up)
		return -EOVERFLOW;
	spw_put_be64(iv, c->iv_next);
	c->iv_used_up = c->iv_next == UINT64_MAX;
	c->iv_next++;
	return 0;
}

int
ike_cipher_seal(struct ike_cipher *c, uint8_t *msg, size_t msg_len, size_t aad_len)
{
	struct text t;
	int rc;

	if (!text_find(c, msg, msg_len, aad_len, &t))
		return -EINVAL;
	rc = iv_draw(c, t.iv);
	if (rc != 0)
		return rc;
	if (is_aead(c))
		rc = gcm_seal(c, msg, aad_len, &t) ? 0 : -EIO;
	else
		rc = cbc_run(c, &t, true) ? cbc_icv(c, msg, &t, t.icv) : -EIO;
	if (rc != 0) { /* never leave plaintext where ciphertext is expected */
		spw_wipe(t.at, t.len);
		ERR_clear_error();
	}
	return rc;
}

static bool
cbc_open(const struct ike_cipher *c, const uint8_t *msg, const struct text *t)
{
	uint8_t icv[ICV_MAX];

	return cbc_icv(c, msg, t, icv) == 0 &&
	       spw_bytes_equal(icv, t->icv, ike_cipher_icv_len(c)) && cbc_run(c, t, false);
}

int
ike_cipher_open(struct ike_cipher *c, uint8_t *msg, size_t msg_len, size_t aad_len, uint8_t **plain,
		size_t *plain_len)
{
	struct text t;

	if (!text_find(c, msg, msg_len, aad_len, &t))
		return -EBADMSG;
	if (!(is_aead(c) ? gcm_open(c, msg, aad_len, &t) : cbc_open(c, msg, &t))) {
		ERR_clear_error();
		return -EBADMSG;
	}
	*plain = t.at;
	*plain_len = t.len;
	return 0;
}
