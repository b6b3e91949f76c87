/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/crypto/ and its tests and benches: what the suites keep, and how. */
#ifndef SPW_DATAPLANE_CRYPTO_SUITES_H
#define SPW_DATAPLANE_CRYPTO_SUITES_H

#include <immintrin.h>

#include "dataplane/crypto/crypto.h"

struct dp_gcm_key {
	struct gcm_key_data data;
	uint32_t salt;
	uint32_t size; /* 0, 1, 2: keys of 128, 192, 256 bits */
};

struct dp_chacha_key {
	uint8_t key[32];
	uint32_t salt;
};

/* AES-CBC with HMAC; round keys and hash states as IPsec-MB wants them, each on 16 bytes. */
struct dp_cbc_key {
	uint8_t seal[15 * 16], open[15 * 16]; /* round keys */
	uint8_t iv[15 * 16];		      /* AES-128 round keys of the IVs */
	uint8_t inner[32], outer[32];	      /* hash states after the padded key (RFC 2104 4) */
	uint32_t key_len;		      /* AES, bytes */
	uint32_t hash;			      /* IMB_HASH_ALG */
	uint32_t tag_len;
	uint32_t few; /* packets, below which SHA instructions beat many lanes */
};

struct dp_crypto_key {
	union {
		struct dp_gcm_key gcm;
		struct dp_chacha_key chacha;
		struct dp_cbc_key cbc;
		uint8_t bytes[DP_CRYPTO_KEY_BYTES];
	};
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct dp_crypto_key) == DP_CRYPTO_KEY_BYTES, "a slot holds a key");

struct dp_crypto {
	IMB_MGR *mgr;
	IMB_MGR *few; /* hashes of runs below dp_cbc_key.few; may be mgr */
	size_t size;  /* of the pages that hold this and the managers */
	const char *isa;
	bool powers_last; /* of a GCM key: see dp_gcm_powers_last() */
	/* Copies of the manager's pointers by dp_gcm_key.size. */
	aes_gcm_enc_dec_t gcm_seal[3], gcm_open[3];
	struct gcm_context_data gcm __attribute__((aligned(64)));
	/* AES-CBC with HMAC: what one run needs. */
	IMB_JOB job[DP_CRYPTO_RUN];
	uint8_t tag_made[DP_CRYPTO_RUN][DP_CRYPTO_TAG];
	uint8_t tag_got[DP_CRYPTO_RUN][DP_CRYPTO_TAG];
};

/* Is the suite of this kind? Then fill *out. */
bool dp_gcm_cipher(enum spw_encr encr, bool esn, struct dp_cipher *out);
bool dp_chacha_cipher(enum spw_encr encr, bool esn, struct dp_cipher *out);
bool dp_cbc_cipher(enum spw_encr encr, enum spw_integ integ, bool esn, struct dp_cipher *out);
/*
 * Does the library keep the powers of a GCM key's hash key at its end, the first power last, rather
 * than right behind the round keys? By what it does with a key.
 */
bool dp_gcm_powers_last(const IMB_MGR *mgr);
/* Set the key under which a slot of AES-CBC makes its IVs; for known-answer tests. */
void dp_cbc_iv_key(struct dp_crypto *c, struct dp_crypto_key *slot, const uint8_t key[16]);

#define DP_ESP_AEAD_FRONT (8 + DP_CRYPTO_IV) /* ESP header and IV before the text */

/* Salt | explicit IV, the nonce of RFC 4106 4 and RFC 7634 2. */
struct dp_aead_nonce {
	uint32_t salt;
	uint8_t iv[DP_CRYPTO_IV];
};
_Static_assert(sizeof(struct dp_aead_nonce) == 12, "nonces of 96 bits");

/*
 * SPI | sequence number of 64 bits, as an AEAD authenticates it with ESN (RFC 4106 5, RFC 7634
 * 2.1). Built here and nowhere else; without ESN it is the ESP header as it lies in the packet.
 */
static inline void
dp_crypto_aad_esn(uint8_t aad[12], const struct dp_crypto_job *job)
{
	uint32_t hi_be = __builtin_bswap32((uint32_t)(job->seq >> 32));
	uint32_t lo_be = __builtin_bswap32((uint32_t)job->seq);

	memcpy(aad, &job->spi_be, 4);
	memcpy(aad + 4, &hi_be, 4);
	memcpy(aad + 8, &lo_be, 4);
}

/* Equality of two tags of 16 bytes in constant time. */
static inline bool
dp_crypto_tag16_equal(const uint8_t *a, const uint8_t *b)
{
	__m128i x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return _mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) == 0xffff;
}

/* A bit for every packet of a run of n, 0 to DP_CRYPTO_RUN. */
static inline uint64_t
dp_crypto_all(unsigned int n)
{
	return n == 0 ? 0 : UINT64_MAX >> (DP_CRYPTO_RUN - n);
}

#endif
