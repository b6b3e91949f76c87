/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-GCM in ESP (RFC 4106): nonce = salt | IV of 8 bytes, additional data = SPI | number.
 *
 * IPsec-MB's single-call functions are used: they keep nothing between packets but the scratch
 * area. The loop around them does what is different from packet to packet and no more: the nonce is
 * put together from salt and IV in one register, and without ESN the additional data
 * are the ESP header where it lies (SPI and 32-bit number, RFC 4106 5). Opening compares the tag
 * in constant time.
 *
 * Of IPsec-MB's interfaces this one is the fastest, at every size and in every instruction set, for
 * none of them works on two packets of GCM at a time: 76 cycles for 68 bytes of AES-256, as much as
 * the library's function in a bare loop, against 84 by bursts of jobs and 129 job by job; 233, 240
 * and 278 for 1,404 bytes (Zen 5, AVX512 VAES, runs of 32, in cache). What overlaps small packets
 * is the CPU, so nothing in the loop waits for the packet before.
 *
 * Any thread with a manager of its own. Nothing is allocated; keys stay in their slot.
 */
#include <immintrin.h>

#include "dataplane/crypto/suites.h"

#define LINE	   64u
#define ROUND_KEYS (4 * LINE) /* of AES-256, and the first power behind them */
#define MORE_MAX   11	      /* lines of powers between the round keys and the last line */

/*
 * Salt | explicit IV (RFC 4106 4) in one register, so that it reaches the cipher, which reads it
 * whole, by one store: two parts would have to leave the store buffer first.
 */
static inline __m128i
nonce_of(uint32_t salt, const uint8_t *iv)
{
	uint64_t v;

	memcpy(&v, iv, sizeof(v));
	return _mm_set_epi64x((int64_t)(v >> 32), (int64_t)(v << 32 | salt));
}

static inline __attribute__((always_inline)) uint64_t
seal(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
     unsigned int n, bool esn)
{
	aes_gcm_enc_dec_t run = c->gcm_seal[key->gcm.size];
	const uint32_t salt = key->gcm.salt;
	__m128i nonce;
	uint8_t aad[12];

	for (unsigned int i = 0; i < n; i++) {
		uint8_t *text = jobs[i].text;

		nonce = nonce_of(salt, text - DP_CRYPTO_IV);
		if (esn)
			dp_crypto_aad_esn(aad, &jobs[i]);
		run(&key->gcm.data, &c->gcm, text, text, jobs[i].text_len, (const uint8_t *)&nonce,
		    esn ? aad : text - DP_ESP_AEAD_FRONT, esn ? 12 : 8, text + jobs[i].text_len,
		    DP_CRYPTO_TAG);
	}
	return dp_crypto_all(n);
}

/*
 * The same for a packet as it came: what lies before and behind the IV is read with it. The salt
 * takes the place of the number, and of the text the cipher takes no notice.
 */
static inline __m128i
nonce_in_place(uint32_t salt, const uint8_t *text)
{
	__m128i v;

	memcpy(&v, text - sizeof(struct dp_aead_nonce), sizeof(v));
	return _mm_insert_epi32(v, (int)salt, 0);
}

static inline __attribute__((always_inline)) uint64_t
open(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
     unsigned int n, bool esn)
{
	aes_gcm_enc_dec_t run = c->gcm_open[key->gcm.size];
	const uint32_t salt = key->gcm.salt;
	__m128i nonce;
	uint8_t aad[12], tag[DP_CRYPTO_TAG];
	uint64_t good = dp_crypto_all(n);

	for (const struct dp_crypto_job *job = jobs, *end = jobs + n; job != end; job++) {
		uint8_t *text = job->text;

		nonce = nonce_in_place(salt, text);
		if (esn)
			dp_crypto_aad_esn(aad, job);
		run(&key->gcm.data, &c->gcm, text, text, job->text_len, (const uint8_t *)&nonce,
		    esn ? aad : text - DP_ESP_AEAD_FRONT, esn ? 12 : 8, tag, DP_CRYPTO_TAG);
		if (!dp_crypto_tag16_equal(tag, job->text + job->text_len))
			good &= ~(UINT64_C(1) << (job - jobs));
	}
	return good;
}

bool
dp_gcm_powers_last(const IMB_MGR *mgr)
{
	static const uint8_t zero[16];
	struct gcm_key_data data __attribute__((aligned(64)));

	memset(&data, 0, sizeof(data));
	mgr->gcm128_pre(zero, &data);
	return memcmp((const uint8_t *)(&data + 1) - sizeof(zero), zero, sizeof(zero)) != 0;
}

/*
 * A packet reads the round keys, as many powers of the hash key as its text has blocks, and the
 * salt, which lies in the line of the last three powers. Code without tables for long texts has the
 * powers right behind the round keys (that of SSE reads two lines more for long texts).
 */
static inline void
key_fetch(const struct dp_crypto *c, const struct dp_crypto_key *key, uint32_t text_len)
{
	const char *front = (const char *)key, *salt = (const char *)&key->gcm.salt;
	uint32_t more = (text_len + LINE / 4 - 1) / LINE; /* lines of powers before the last */

#pragma GCC unroll 4
	for (unsigned int at = 0; at < ROUND_KEYS; at += LINE)
		__builtin_prefetch(front + at);
	__builtin_prefetch(salt);
	if (!c->powers_last) {
		__builtin_prefetch(front + ROUND_KEYS);
		__builtin_prefetch(front + ROUND_KEYS + LINE);
		return;
	}
	for (more = more < MORE_MAX ? more : MORE_MAX; more > 0; more--)
		__builtin_prefetch(salt - more * LINE);
}

void
dp_key_fetch(const struct dp_crypto *c, const struct dp_crypto_key *key, uint8_t iv_len,
	     uint32_t text_len)
{
	const char *at = (const char *)key;

	if (iv_len == DP_CRYPTO_IV) {
		key_fetch(c, key, text_len);
		return;
	}
	for (const char *end = at + sizeof(struct dp_cbc_key); at < end; at += LINE)
		__builtin_prefetch(at);
}

/* As seal(), with a key for each packet. */
static inline __attribute__((always_inline)) void
seal_each(struct dp_crypto *c, const struct dp_crypto_key *const *keys,
	  const struct dp_crypto_job *jobs, unsigned int n, bool esn)
{
	__m128i nonce;
	uint8_t aad[12];

	for (unsigned int i = 0; i < DP_KEYS_AHEAD && i < n; i++)
		key_fetch(c, keys[i], jobs[i].text_len);
	for (unsigned int i = 0; i < n; i++) {
		const struct dp_crypto_key *key = keys[i];
		uint8_t *text = jobs[i].text;

		if (i + DP_KEYS_AHEAD < n)
			key_fetch(c, keys[i + DP_KEYS_AHEAD], jobs[i + DP_KEYS_AHEAD].text_len);
		nonce = nonce_of(key->gcm.salt, text - DP_CRYPTO_IV);
		if (esn)
			dp_crypto_aad_esn(aad, &jobs[i]);
		c->gcm_seal[key->gcm.size](&key->gcm.data, &c->gcm, text, text, jobs[i].text_len,
					   (const uint8_t *)&nonce,
					   esn ? aad : text - DP_ESP_AEAD_FRONT, esn ? 12 : 8,
					   text + jobs[i].text_len, DP_CRYPTO_TAG);
	}
}

static void
seal_each_plain(struct dp_crypto *c, const struct dp_crypto_key *const *keys,
		const struct dp_crypto_job *jobs, unsigned int n)
{
	seal_each(c, keys, jobs, n, false);
}

static void
seal_each_esn(struct dp_crypto *c, const struct dp_crypto_key *const *keys,
	      const struct dp_crypto_job *jobs, unsigned int n)
{
	seal_each(c, keys, jobs, n, true);
}

static uint64_t
seal_plain(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
	   unsigned int n)
{
	return seal(c, key, jobs, n, false);
}

static uint64_t
seal_esn(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
	 unsigned int n)
{
	return seal(c, key, jobs, n, true);
}

static uint64_t
open_plain(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
	   unsigned int n)
{
	return open(c, key, jobs, n, false);
}

static uint64_t
open_esn(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
	 unsigned int n)
{
	return open(c, key, jobs, n, true);
}

static void
expand(struct dp_crypto *c, const struct dp_cipher *cipher, struct dp_crypto_key *slot,
       const uint8_t *key)
{
	const aes_gcm_pre_t pre[3] = {c->mgr->gcm128_pre, c->mgr->gcm192_pre, c->mgr->gcm256_pre};

	slot->gcm.size = (cipher->cipher_key_len - 16u) / 8;
	pre[slot->gcm.size](key, &slot->gcm.data);
	memcpy(&slot->gcm.salt, key + cipher->cipher_key_len, DP_CRYPTO_SALT);
}

bool
dp_gcm_cipher(enum spw_encr encr, bool esn, struct dp_cipher *out)
{
	if (encr != SPW_ENCR_AES128_GCM && encr != SPW_ENCR_AES192_GCM &&
	    encr != SPW_ENCR_AES256_GCM)
		return false;
	*out = (struct dp_cipher){
		.seal = esn ? seal_esn : seal_plain,
		.open = esn ? open_esn : open_plain,
		.expand = expand,
		.key_len = spw_encr_info(encr)->key_len + DP_CRYPTO_SALT,
		.cipher_key_len = spw_encr_info(encr)->key_len,
		.iv_len = DP_CRYPTO_IV,
		.tag_len = DP_CRYPTO_TAG,
		.align = 4,
	};
	return true;
}

dp_crypto_each_t
dp_crypto_each(dp_crypto_run_t run)
{
	if (run == seal_plain)
		return seal_each_plain;
	return run == seal_esn ? seal_each_esn : NULL;
}
