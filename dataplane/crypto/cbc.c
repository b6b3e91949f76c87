/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-CBC with HMAC in ESP: RFC 3602, with HMAC-SHA1-96 (RFC 2404) or HMAC-SHA2-256-128 (RFC 4868).
 *
 * Authenticated are the ESP header, the IV and the cipher text, and with ESN the upper half of the
 * sequence number, which is not sent (RFC 4303 2.2.1): it is put where the tag goes, right behind
 * the text, while the hash runs. Opening takes the tag away first, checks it in constant time, and
 * only decrypts what is authentic.
 *
 * The IV must be unpredictable (RFC 3602 3). It is the 64-bit sequence number under AES with a key
 * that is drawn for the slot and never leaves it: no two packets of a key share one, and nobody
 * without the key can tell the next. Neither the number itself nor the last block of the packet
 * before would do, because whoever can choose plain text could then test guesses of others'.
 *
 * CBC and the hashes are chains, so one packet cannot be hurried; many can be worked on side by
 * side. Of IPsec-MB's ways to do that, the synchronous bursts (first all ciphers, then all hashes)
 * were the fastest: 249 cycles a packet for runs of 32 with 64 bytes, AES-128 and SHA1, where
 * chained jobs took 289 in bursts and 310 one by one; 898, 933 and 961 with 1,408 bytes (Zen 5,
 * AVX512 VAES). They also leave nothing in the manager's queue, and results are in order.
 *
 * A packet alone, hashed in one of sixteen lanes, would take 1,300 and 9,400 cycles. The CPU's SHA
 * instructions, one packet after the other, are better below six packets (SHA1) or nine (SHA2):
 * opening one of 1,408 bytes with AES-256 takes 2,050 instead of 5,400, or 2,100 instead of 10,100;
 * four take 1,180 and 1,400 each instead of 1,600 and 2,820. So the hashes of short runs go there.
 *
 * Any thread with a manager of its own. Nothing is allocated; round keys and hash states stay in
 * the slot, the manager's copies of them in its locked pages.
 */
#include <sodium.h>

#include "dataplane/crypto/suites.h"

#define FEW_SHA1   6
#define FEW_SHA256 9
#define IV	   16
#define FRONT	   (8 + IV) /* ESP header and IV */
#define BLOCK	   64	    /* of both hashes */

/* The IV of a number, written before the text. */
static void
make_iv(const struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *p)
{
	static const uint8_t zero[IV];
	uint64_t block[2] = {p->seq, 0};

	c->mgr->aes128_cfb_one(p->text - IV, zero, block, key->cbc.iv, IV);
}

static void
fill_cipher(IMB_JOB *job, const struct dp_crypto_key *key, const struct dp_crypto_job *p)
{
	job->enc_keys = key->cbc.seal;
	job->dec_keys = key->cbc.open;
	job->key_len_in_bytes = key->cbc.key_len;
	job->src = job->dst = p->text;
	job->cipher_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = p->text_len;
	job->iv = p->text - IV;
	job->iv_len_in_bytes = IV;
}

static void
fill_hash(IMB_JOB *job, const struct dp_crypto_key *key, const struct dp_crypto_job *p,
	  uint8_t *tag, uint32_t behind)
{
	job->src = p->text - FRONT;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = FRONT + p->text_len + behind;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = key->cbc.tag_len;
	job->u.HMAC._hashed_auth_key_xor_ipad = key->cbc.inner;
	job->u.HMAC._hashed_auth_key_xor_opad = key->cbc.outer;
}

/* The upper half of the number behind the text; returns how many bytes of it are hashed. */
static uint32_t
add_high(const struct dp_crypto_job *p, bool esn)
{
	uint32_t hi_be = __builtin_bswap32((uint32_t)(p->seq >> 32));

	if (!esn)
		return 0;
	memcpy(p->text + p->text_len, &hi_be, sizeof(hi_be));
	return sizeof(hi_be);
}

/* The hashes of the first n jobs; true when the library did them all. */
static bool
hash(struct dp_crypto *c, const struct dp_crypto_key *key, unsigned int n)
{
	IMB_MGR *mgr = n < key->cbc.few ? c->few : c->mgr;

	return IMB_SUBMIT_HASH_BURST_NOCHECK(mgr, c->job, n, key->cbc.hash) == n;
}

/* All ones when the library did all of a burst, else nothing: then no packet is good. */
static uint64_t
done(uint32_t of_burst, unsigned int n)
{
	return of_burst == n ? UINT64_MAX : 0;
}

static inline __attribute__((always_inline)) uint64_t
seal(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
     unsigned int n, bool esn)
{
	uint64_t good;

	for (unsigned int i = 0; i < n; i++) {
		make_iv(c, key, &jobs[i]);
		fill_cipher(&c->job[i], key, &jobs[i]);
	}
	good = done(IMB_SUBMIT_CIPHER_BURST_NOCHECK(c->mgr, c->job, n, IMB_CIPHER_CBC,
						    IMB_DIR_ENCRYPT, key->cbc.key_len),
		    n);
	for (unsigned int i = 0; i < n; i++)
		fill_hash(&c->job[i], key, &jobs[i], jobs[i].text + jobs[i].text_len,
			  add_high(&jobs[i], esn));
	return hash(c, key, n) ? good & dp_crypto_all(n) : 0;
}

/*
 * Which packets' tags are right. Tags are compared over 16 bytes; where they have 12, the rest is
 * zero on both sides.
 */
static inline __attribute__((always_inline)) uint64_t
check(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
      unsigned int n, bool esn)
{
	uint64_t good = 0;

	for (unsigned int i = 0; i < n; i++) {
		memset(c->tag_got[i], 0, DP_CRYPTO_TAG);
		memset(c->tag_made[i], 0, DP_CRYPTO_TAG);
		memcpy(c->tag_got[i], jobs[i].text + jobs[i].text_len, key->cbc.tag_len);
		fill_hash(&c->job[i], key, &jobs[i], c->tag_made[i], add_high(&jobs[i], esn));
	}
	if (!hash(c, key, n))
		return 0;
	for (unsigned int i = 0; i < n; i++)
		good |= (uint64_t)dp_crypto_tag16_equal(c->tag_made[i], c->tag_got[i]) << i;
	return good;
}

static inline __attribute__((always_inline)) uint64_t
open(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
     unsigned int n, bool esn)
{
	uint64_t good = check(c, key, jobs, n, esn);
	unsigned int k = 0;

	for (unsigned int i = 0; i < n; i++)
		if ((good >> i & 1) != 0)
			fill_cipher(&c->job[k++], key, &jobs[i]);
	if (k == 0)
		return 0;
	return good & done(IMB_SUBMIT_CIPHER_BURST_NOCHECK(c->mgr, c->job, k, IMB_CIPHER_CBC,
							   IMB_DIR_DECRYPT, key->cbc.key_len),
			   k);
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

/* The hash's state after one block: the key, shorter than a block, XOR `pad` (RFC 2104 2). */
static void
hash_pad(const struct dp_crypto *c, const struct dp_cipher *cipher, const uint8_t *key, uint8_t pad,
	 uint8_t state[32])
{
	hash_one_block_t run = cipher->integ == SPW_INTEG_HMAC_SHA1_96 ? c->mgr->sha1_one_block
								       : c->mgr->sha256_one_block;
	unsigned int len = cipher->key_len - cipher->cipher_key_len;
	uint8_t block[BLOCK];

	memset(block, pad, sizeof(block));
	for (unsigned int i = 0; i < len; i++)
		block[i] ^= key[i];
	run(block, state);
	spw_wipe(block, sizeof(block));
}

static void
expand(struct dp_crypto *c, const struct dp_cipher *cipher, struct dp_crypto_key *slot,
       const uint8_t *key)
{
	struct dp_cbc_key *k = &slot->cbc;
	uint8_t iv_key[16];

	if (cipher->cipher_key_len == 16)
		c->mgr->keyexp_128(key, k->seal, k->open);
	else
		c->mgr->keyexp_256(key, k->seal, k->open);
	hash_pad(c, cipher, key + cipher->cipher_key_len, 0x36, k->inner);
	hash_pad(c, cipher, key + cipher->cipher_key_len, 0x5c, k->outer);
	k->key_len = cipher->cipher_key_len;
	k->hash = cipher->integ == SPW_INTEG_HMAC_SHA1_96 ? IMB_AUTH_HMAC_SHA_1
							  : IMB_AUTH_HMAC_SHA_256;
	k->tag_len = cipher->tag_len;
	k->few = cipher->integ == SPW_INTEG_HMAC_SHA1_96 ? FEW_SHA1 : FEW_SHA256;
	randombytes_buf(iv_key, sizeof(iv_key));
	dp_cbc_iv_key(c, slot, iv_key);
	spw_wipe(iv_key, sizeof(iv_key));
}

void
dp_cbc_iv_key(struct dp_crypto *c, struct dp_crypto_key *slot, const uint8_t key[16])
{
	uint8_t unused[15 * 16] __attribute__((aligned(16)));

	c->mgr->keyexp_128(key, slot->cbc.iv, unused);
	spw_wipe(unused, sizeof(unused));
}

bool
dp_cbc_cipher(enum spw_encr encr, enum spw_integ integ, bool esn, struct dp_cipher *out)
{
	if ((encr != SPW_ENCR_AES128_CBC && encr != SPW_ENCR_AES256_CBC) ||
	    (integ != SPW_INTEG_HMAC_SHA1_96 && integ != SPW_INTEG_HMAC_SHA256_128))
		return false;
	*out = (struct dp_cipher){
		.seal = esn ? seal_esn : seal_plain,
		.open = esn ? open_esn : open_plain,
		.expand = expand,
		.key_len = spw_encr_info(encr)->key_len + spw_integ_info(integ)->key_len,
		.cipher_key_len = spw_encr_info(encr)->key_len,
		.iv_len = IV,
		.tag_len = spw_integ_info(integ)->icv_len,
		.align = 16,
		.integ = integ,
	};
	return true;
}
