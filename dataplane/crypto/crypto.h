/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the ciphers of ESP, over IPsec-MB called directly. An SA picks its
 * functions once, from struct dp_cipher; a stage then calls dp_crypto_seal() or dp_crypto_open().
 */
#ifndef SPW_DATAPLANE_CRYPTO_H
#define SPW_DATAPLANE_CRYPTO_H

#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/spillway.h"

#define DP_CRYPTO_KEY_BYTES 1024 /* a slot of the key slab */
#define DP_CRYPTO_SALT	    4
#define DP_CRYPTO_IV	    8
#define DP_CRYPTO_TAG	    16

/* Instruction set of the cipher; AUTO takes the best the CPU has. Others are for tests. */
enum dp_crypto_isa {
	DP_CRYPTO_AUTO,
	DP_CRYPTO_SSE,
	DP_CRYPTO_AVX,
	DP_CRYPTO_AVX2,
	DP_CRYPTO_AVX512,
	DP_CRYPTO_ISA_COUNT,
};

/*
 * One thread's cipher manager: IPsec-MB's state and the scratch area of the single-call GCM
 * functions. Never shared between threads.
 */
struct dp_crypto {
	IMB_MGR *mgr;
	const char *isa;
	struct gcm_context_data scratch __attribute__((aligned(64)));
};

/* An expanded key and its salt; lives only in a slot of the key slab. */
struct dp_crypto_key {
	struct gcm_key_data gcm;
	uint8_t salt[DP_CRYPTO_SALT];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct dp_crypto_key) == DP_CRYPTO_KEY_BYTES, "a slot holds a key");

/* The functions of one algorithm in the instruction set of a manager; plain values, copy freely. */
struct dp_cipher {
	aes_gcm_enc_dec_t seal;
	aes_gcm_enc_dec_t open;
	aes_gcm_pre_t expand;
	uint8_t key_len; /* bytes, without the salt */
};

/*
 * Make a manager. -ENOTSUP when the CPU lacks AES-NI, PCLMULQDQ or the instruction set asked for
 * (the fallback without AES-NI is never used: it is not constant-time); -ENOMEM.
 */
int dp_crypto_new(struct dp_crypto **c, enum dp_crypto_isa isa, struct spw_err *err)
	__attribute__((warn_unused_result));
/* Wipe the scratch area and free; NULL is fine. */
void dp_crypto_free(struct dp_crypto *c);
/* The instruction set in use, for people: "AVX512 VAES". */
const char *dp_crypto_isa_name(const struct dp_crypto *c);
/* Bit n set: enum spw_encr n works for ESP here. */
uint32_t dp_crypto_encr_mask(void);
/* Functions of an algorithm. -ENOTSUP when it is not one of dp_crypto_encr_mask(). */
int dp_crypto_cipher(const struct dp_crypto *c, enum spw_encr encr, struct dp_cipher *out)
	__attribute__((warn_unused_result));
/*
 * Expand a key into a slot of the slab.
 * @key  cipher key | salt (RFC 4106 8.1), cipher->key_len + 4 bytes, borrowed
 */
void dp_crypto_expand(const struct dp_cipher *cipher, struct dp_crypto_key *slot,
		      const uint8_t *key);
/*
 * Known-answer test of every cipher in both directions, in every instruction set this CPU can
 * run, and that a changed tag is refused. 0, or -EIO naming what failed: then do not go on.
 */
int dp_crypto_self_test(struct spw_err *err) __attribute__((warn_unused_result));

/* Nonce of AES-GCM in ESP: salt | explicit IV (RFC 4106 4). Built here and nowhere else. */
static inline void
dp_crypto_nonce(uint8_t nonce[12], const struct dp_crypto_key *key, const uint8_t iv[DP_CRYPTO_IV])
{
	memcpy(nonce, key->salt, DP_CRYPTO_SALT);
	memcpy(nonce + DP_CRYPTO_SALT, iv, DP_CRYPTO_IV);
}

/*
 * Additional data of AES-GCM in ESP (RFC 4106 5): SPI | sequence number of 32 bits, or with ESN
 * SPI | 64 bits. Built here and nowhere else. Returns its length.
 */
static inline unsigned int
dp_crypto_aad(uint8_t aad[12], uint32_t spi_be, uint64_t seq, bool esn)
{
	uint32_t hi_be = __builtin_bswap32((uint32_t)(seq >> 32));
	uint32_t lo_be = __builtin_bswap32((uint32_t)seq);

	memcpy(aad, &spi_be, 4);
	if (!esn) {
		memcpy(aad + 4, &lo_be, 4);
		return 8;
	}
	memcpy(aad + 4, &hi_be, 4);
	memcpy(aad + 8, &lo_be, 4);
	return 12;
}

/* What both directions need to know of one ESP packet. */
struct dp_crypto_packet {
	const struct dp_crypto_key *key;
	aes_gcm_enc_dec_t run; /* dp_cipher.seal or .open */
	uint64_t seq;	       /* all 64 bits */
	uint32_t spi_be;
	uint32_t text_len;
	uint8_t *text; /* right behind the IV; followed by the tag */
	bool esn;
};

/* Encrypt in place and write the tag behind the text. The IV before the text must be there. */
static inline void
dp_crypto_seal(struct dp_crypto *c, const struct dp_crypto_packet *p)
{
	uint8_t nonce[12], aad[12];
	unsigned int aad_len = dp_crypto_aad(aad, p->spi_be, p->seq, p->esn);

	dp_crypto_nonce(nonce, p->key, p->text - DP_CRYPTO_IV);
	p->run(&p->key->gcm, &c->scratch, p->text, p->text, p->text_len, nonce, aad, aad_len,
	       p->text + p->text_len, DP_CRYPTO_TAG);
}

/* Equality of two tags in constant time. */
static inline bool
dp_crypto_tag_equal(const uint8_t *a, const uint8_t *b)
{
	uint64_t x[2], y[2];

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

/* Decrypt in place; false when the tag behind the text is wrong (the text is then garbage). */
static inline bool
dp_crypto_open(struct dp_crypto *c, const struct dp_crypto_packet *p)
{
	uint8_t nonce[12], aad[12], tag[DP_CRYPTO_TAG];
	unsigned int aad_len = dp_crypto_aad(aad, p->spi_be, p->seq, p->esn);

	dp_crypto_nonce(nonce, p->key, p->text - DP_CRYPTO_IV);
	p->run(&p->key->gcm, &c->scratch, p->text, p->text, p->text_len, nonce, aad, aad_len, tag,
	       DP_CRYPTO_TAG);
	return dp_crypto_tag_equal(tag, p->text + p->text_len);
}

#endif
