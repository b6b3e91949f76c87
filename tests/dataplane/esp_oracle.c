/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP by OpenSSL. AEADs: nonce = salt | IV, additional data = SPI | number, of 64 bits with ESN
 * (RFC 4106, RFC 7634). AES-CBC: HMAC over header, IV, cipher text and, with ESN, the upper half
 * of the number, cut to its length (RFC 4303 2.2.1, RFC 2404, RFC 4868).
 */
#include "tests/dataplane/esp_oracle.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct oracle_suite oracle_suites[] = {
	{SPW_ENCR_AES128_GCM, SPW_INTEG_NONE, "aes128gcm", 16, 0, 4, 8, 16, 4},
	{SPW_ENCR_AES192_GCM, SPW_INTEG_NONE, "aes192gcm", 24, 0, 4, 8, 16, 4},
	{SPW_ENCR_AES256_GCM, SPW_INTEG_NONE, "aes256gcm", 32, 0, 4, 8, 16, 4},
	{SPW_ENCR_CHACHA20_POLY1305, SPW_INTEG_NONE, "chacha20poly1305", 32, 0, 4, 8, 16, 4},
	{SPW_ENCR_AES128_CBC, SPW_INTEG_HMAC_SHA1_96, "aes128-sha1", 16, 20, 0, 16, 12, 16},
	{SPW_ENCR_AES128_CBC, SPW_INTEG_HMAC_SHA256_128, "aes128-sha256", 16, 32, 0, 16, 16, 16},
	{SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA1_96, "aes256-sha1", 32, 20, 0, 16, 12, 16},
	{SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA256_128, "aes256-sha256", 32, 32, 0, 16, 16, 16},
};
const unsigned int oracle_n_suites = sizeof(oracle_suites) / sizeof(oracle_suites[0]);

uint32_t
oracle_key_len(const struct oracle_suite *s)
{
	return (uint32_t)s->cipher_key + s->integ_key + s->salt;
}

static void
must(int ok)
{
	if (ok == 1)
		return;
	fprintf(stderr, "oracle: OpenSSL refused a call\n");
	abort();
}

static const EVP_CIPHER *
evp(const struct oracle_suite *s)
{
	if (s->encr == SPW_ENCR_CHACHA20_POLY1305)
		return EVP_chacha20_poly1305();
	if (s->integ != SPW_INTEG_NONE)
		return s->cipher_key == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
	return s->cipher_key == 16   ? EVP_aes_128_gcm()
	       : s->cipher_key == 24 ? EVP_aes_192_gcm()
				     : EVP_aes_256_gcm();
}

/* A context with key and IV, or key and nonce and additional data. */
static EVP_CIPHER_CTX *
start(const struct oracle_suite *s, const uint8_t *key, bool esn, uint32_t seq_hi,
      const uint8_t *esp, int encrypt)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t nonce[16], aad[12];
	int n;

	memcpy(nonce, key + s->cipher_key, s->salt);
	memcpy(nonce + s->salt, esp + 8, s->iv);
	must(EVP_CipherInit_ex(c, evp(s), NULL, key, nonce, encrypt));
	must(EVP_CIPHER_CTX_set_padding(c, 0));
	if (s->integ != SPW_INTEG_NONE)
		return c;
	memcpy(aad, esp, 8);
	if (esn) {
		spw_put_be32(aad + 4, seq_hi);
		memcpy(aad + 8, esp + 4, 4);
	}
	must(EVP_CipherUpdate(c, NULL, &n, aad, esn ? 12 : 8));
	return c;
}

/* The tag of a packet with separate integrity. */
static void
authenticate(const struct oracle_suite *s, const uint8_t *key, bool esn, uint32_t seq_hi,
	     const uint8_t *esp, uint32_t len, uint8_t *tag)
{
	static uint8_t all[65536 + 4];
	uint8_t full[EVP_MAX_MD_SIZE];
	const EVP_MD *md = s->integ == SPW_INTEG_HMAC_SHA1_96 ? EVP_sha1() : EVP_sha256();

	memcpy(all, esp, len);
	spw_put_be32(all + len, seq_hi);
	must(HMAC(md, key + s->cipher_key, s->integ_key, all, len + (esn ? 4 : 0), full, NULL) !=
	     NULL);
	memcpy(tag, full, s->tag);
}

uint32_t
oracle_seal(const struct oracle_suite *s, const uint8_t *key, bool esn, uint32_t spi, uint64_t seq,
	    const uint8_t *iv, const uint8_t *text, uint32_t len, uint8_t *out)
{
	uint32_t front = 8u + s->iv, seq_hi = (uint32_t)(seq >> 32);
	EVP_CIPHER_CTX *c;
	int n;

	spw_put_be32(out, spi);
	spw_put_be32(out + 4, (uint32_t)seq);
	memcpy(out + 8, iv, s->iv);
	c = start(s, key, esn, seq_hi, out, 1);
	must(EVP_CipherUpdate(c, out + front, &n, text, (int)len));
	must(EVP_CipherFinal_ex(c, out + front + n, &n));
	if (s->integ == SPW_INTEG_NONE)
		must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, out + front + len));
	else
		authenticate(s, key, esn, seq_hi, out, front + len, out + front + len);
	EVP_CIPHER_CTX_free(c);
	return front + len + s->tag;
}

int
oracle_open(const struct oracle_suite *s, const uint8_t *key, bool esn, uint32_t seq_hi,
	    const uint8_t *esp, uint32_t len, uint8_t *text)
{
	uint32_t front = 8u + s->iv, text_len = len - front - s->tag;
	uint8_t tag[ORACLE_TAG_MAX];
	EVP_CIPHER_CTX *c;
	int n, ok;

	if (s->integ != SPW_INTEG_NONE) {
		authenticate(s, key, esn, seq_hi, esp, front + text_len, tag);
		if (memcmp(tag, esp + front + text_len, s->tag) != 0)
			return -1;
	}
	c = start(s, key, esn, seq_hi, esp, 0);
	memcpy(tag, esp + front + text_len, s->tag);
	must(EVP_CipherUpdate(c, text, &n, esp + front, (int)text_len));
	if (s->integ == SPW_INTEG_NONE)
		must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, tag));
	ok = EVP_CipherFinal_ex(c, text + n, &n);
	EVP_CIPHER_CTX_free(c);
	return ok == 1 ? (int)text_len : -1;
}
