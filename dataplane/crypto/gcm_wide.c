/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-GCM in ESP on CPUs with wide AES (VAES, VPCLMULQDQ and AVX-512), written for packets.
 *
 * A call of a library works on one packet from a cold start: it loads the key, clears its registers
 * at the end, and hashes in steps that wait for each other. Here a run of packets shares all that:
 * round keys stay in registers, four blocks lie in one register, and the hash of up to 48 blocks is
 * a sum of products without a reduction between. Nothing in a packet waits for the one before, so
 * the CPU works on several at once.
 *
 * Layout. The 16 bytes before the text are the ESP header and the IV. A packet is read in groups
 * of 64 bytes from there on: lane 0 of the first group is where E(K, J0), which masks the tag,
 * comes from (counter 1), and where the additional data are hashed; the other lanes are the first
 * three blocks of text (counters 2 to 4), and so on. So counters, blocks and powers of the hash key
 * lie side by side (SP 800-38D 6.4, 7.1).
 *
 * The key is IPsec-MB's expanded one (struct gcm_key_data, member vaes_avx512): round keys in
 * order, then H^48 to H^1, each in reversed byte order and multiplied by x. A product of two values
 * in reversed bit order lacks one factor x, which that makes up for; what is left is divided by
 * x^128 modulo the polynomial in two steps of 64 bits (reduce()).
 *
 * No branch and no address depends on a key or on text. Every call ends by clearing the registers
 * that held round keys and key streams. Worker threads; nothing is allocated.
 */
#include "dataplane/crypto/gcm_wide.h"

#include <immintrin.h>

#define TARGET \
	__attribute__((target("aes,pclmul,avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#define BLOCK	16
#define GROUP	64
#define POWERS	48
#define ROUNDS	14 /* most */
#define AT_ONCE 4  /* groups */

/* A key's round keys, each in all four lanes. */
struct schedule {
	__m512i k[ROUNDS + 1];
};

/* Products not yet reduced: low, high and the middle, by lanes. */
struct sum {
	__m512i lo, mid, hi;
};

INLINE __m512i
xor3(__m512i a, __m512i b, __m512i c)
{
	return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

INLINE void
schedule_load(struct schedule *s, const uint8_t *keys, unsigned int rounds)
{
#pragma GCC unroll 16
	for (unsigned int i = 0; i <= rounds; i++)
		s->k[i] = _mm512_broadcast_i32x4(
			_mm_load_si128((const __m128i *)(keys + (size_t)BLOCK * i)));
}

/* The next four counters. */
INLINE __m512i
ctr_next(__m512i ctr)
{
	return _mm512_add_epi32(ctr, _mm512_broadcast_i32x4(_mm_set_epi32(4, 0, 0, 0)));
}

/*
 * Key stream of `n` groups, at most AT_ONCE, side by side.
 * @ctr  blocks with the counter in host order, of the first group
 */
INLINE void
stream(__m512i *x, unsigned int n, const struct schedule *s, unsigned int rounds, __m512i ctr)
{
	const __m512i order = _mm512_broadcast_i32x4(
		_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));

#pragma GCC unroll 4
	for (unsigned int g = 0; g < n; g++, ctr = ctr_next(ctr))
		x[g] = _mm512_xor_si512(_mm512_shuffle_epi8(ctr, order), s->k[0]);
#pragma GCC unroll 16
	for (unsigned int i = 1; i < rounds; i++)
#pragma GCC unroll 4
		for (unsigned int g = 0; g < n; g++)
			x[g] = _mm512_aesenc_epi128(x[g], s->k[i]);
#pragma GCC unroll 4
	for (unsigned int g = 0; g < n; g++)
		x[g] = _mm512_aesenclast_epi128(x[g], s->k[rounds]);
}

/* Blocks as the hash takes them: bytes reversed. */
INLINE __m512i
reversed(__m512i x)
{
	return _mm512_shuffle_epi8(x,
				   _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
								       10, 11, 12, 13, 14, 15)));
}

INLINE __m128i
reversed1(__m128i x)
{
	return _mm_shuffle_epi8(x,
				_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* Add the products of four blocks and four powers. */
INLINE void
sum_add(struct sum *s, __m512i x, __m512i h)
{
	s->lo = _mm512_xor_si512(s->lo, _mm512_clmulepi64_epi128(x, h, 0x00));
	s->mid = xor3(s->mid, _mm512_clmulepi64_epi128(x, h, 0x01),
		      _mm512_clmulepi64_epi128(x, h, 0x10));
	s->hi = _mm512_xor_si512(s->hi, _mm512_clmulepi64_epi128(x, h, 0x11));
}

/* The sum of the four lanes. */
INLINE __m128i
lanes(__m512i v)
{
	__m256i half = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));

	return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* The sum modulo the polynomial, bytes reversed. */
INLINE __m128i
reduce(const struct sum *s)
{
	const __m128i poly = _mm_set1_epi64x((int64_t)UINT64_C(0xc200000000000000));
	__m128i lo = lanes(s->lo), mid = lanes(s->mid), hi = lanes(s->hi);

	mid = _mm_ternarylogic_epi64(mid, _mm_shuffle_epi32(lo, 0x4e),
				     _mm_clmulepi64_si128(lo, poly, 0x00), 0x96);
	return _mm_ternarylogic_epi64(hi, _mm_shuffle_epi32(mid, 0x4e),
				      _mm_clmulepi64_si128(mid, poly, 0x00), 0x96);
}

/* How far a packet has come. */
struct walk {
	uint8_t *at;	 /* next group */
	uint32_t blocks; /* from there on, without the one of the lengths */
	uint32_t tail;	 /* bytes of the last of them, 1 to 16 */
	__m512i ctr;
	__m128i hash; /* of the chunk before, joins the next block */
};

/* The bytes of the next group that belong to the packet. */
INLINE __mmask64
group_bytes(const struct walk *w)
{
	uint32_t n = w->blocks > 4 ? GROUP : (w->blocks - 1) * BLOCK + w->tail;

	return UINT64_MAX >> (GROUP - n);
}

/* The blocks of the next group that belong to the packet, as a mask of halves of blocks. */
INLINE __mmask8
group_blocks(const struct walk *w)
{
	return (__mmask8)(w->blocks >= 4 ? 0xff : 0xffu >> (8 - 2 * w->blocks));
}

/* Encrypt or decrypt a group of text; returns the blocks to hash. */
INLINE __m512i
group_crypt(struct walk *w, __m512i key_stream, bool seal)
{
	__mmask64 bytes = group_bytes(w);
	__m512i in, out;

	if (bytes == UINT64_MAX) {
		in = _mm512_loadu_si512(w->at);
		out = _mm512_xor_si512(in, key_stream);
		_mm512_storeu_si512(w->at, out);
		return seal ? out : in;
	}
	in = _mm512_maskz_loadu_epi8(bytes, w->at);
	out = _mm512_maskz_mov_epi8(bytes, _mm512_xor_si512(in, key_stream));
	_mm512_mask_storeu_epi8(w->at, bytes, out);
	return seal ? out : in;
}

/* Hash a group and go to the next. */
INLINE void
group_hash(struct walk *w, struct sum *s, __m512i blocks, const uint8_t **powers)
{
	__m512i x = _mm512_xor_si512(reversed(blocks), _mm512_zextsi128_si512(w->hash));

	sum_add(s, x, _mm512_maskz_loadu_epi64(group_blocks(w), *powers));
	w->hash = _mm_setzero_si128();
	*powers += GROUP;
	w->at += GROUP;
	w->blocks -= w->blocks >= 4 ? 4 : w->blocks;
	w->ctr = ctr_next(w->ctr);
}

/* Where the powers begin for a chunk of `n` blocks. */
INLINE const uint8_t *
powers_for(const struct gcm_key_data *key, uint32_t n)
{
	return key->ghash_keys.vaes_avx512.shifted_hkey + (size_t)BLOCK * (POWERS - n);
}

/* The next `n` groups, at most AT_ONCE. */
INLINE void
groups_some(struct walk *w, struct sum *s, const struct schedule *k, unsigned int rounds, bool seal,
	    const uint8_t **powers, unsigned int n)
{
	__m512i x[AT_ONCE];

	stream(x, n, k, rounds, w->ctr);
#pragma GCC unroll 4
	for (unsigned int g = 0; g < n; g++)
		group_hash(w, s, group_crypt(w, x[g], seal), powers);
}

/* The next `n` groups of a chunk. */
INLINE void
groups(struct walk *w, struct sum *s, const struct schedule *k, unsigned int rounds, bool seal,
       const uint8_t *powers, uint32_t n)
{
	for (; n >= AT_ONCE; n -= AT_ONCE)
		groups_some(w, s, k, rounds, seal, &powers, AT_ONCE);
	for (; n > 0; n--)
		groups_some(w, s, k, rounds, seal, &powers, 1);
}

/* The block of the lengths, in bits: text and additional data. It comes last, so by H^1. */
INLINE void
lengths_hash(const struct walk *w, struct sum *s, const struct gcm_key_data *key, uint32_t text_len,
	     uint32_t aad_len)
{
	__m128i x = _mm_set_epi64x((int64_t)aad_len * 8, (int64_t)text_len * 8);

	x = _mm_xor_si128(x, w->hash);
	sum_add(s, _mm512_zextsi128_si512(x),
		_mm512_zextsi128_si512(_mm_loadu_si128((const __m128i *)powers_for(key, 1))));
}

/* A chunk ends: its hash joins what comes next. */
INLINE void
chunk_end(struct walk *w, struct sum *s)
{
	w->hash = reduce(s);
	*s = (struct sum){_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
}

/* What is to be done with one packet. */
struct task {
	uint8_t *text;
	uint32_t text_len, aad_len;
	__m128i nonce; /* salt, IV, four bytes of zeroes */
	__m128i aad;   /* with zeroes behind */
	bool seal;
};

/* The first group: the additional data and the first three blocks. Returns E(K, J0). */
INLINE __m128i
group_first(struct walk *w, struct sum *s, const struct schedule *k, unsigned int rounds,
	    const struct task *p, const uint8_t **powers)
{
	__m512i key_stream, hashed;
	__m128i mask;

	stream(&key_stream, 1, k, rounds, w->ctr);
	mask = _mm512_castsi512_si128(key_stream);
	/* Lane 0 stays as it is: it is the header. */
	key_stream = _mm512_maskz_mov_epi64(0xfc, key_stream);
	hashed = group_crypt(w, key_stream, p->seal);
	group_hash(w, s, _mm512_inserti64x2(hashed, p->aad, 0), powers);
	return mask;
}

/* Encrypt or decrypt a packet; returns its tag. */
INLINE __m128i
packet(const struct gcm_key_data *key, const struct schedule *k, unsigned int rounds,
       const struct task *p)
{
	uint32_t text_blocks = (p->text_len + BLOCK - 1) / BLOCK;
	struct walk w = {.at = p->text - BLOCK,
			 .blocks = 1 + text_blocks,
			 .tail = p->text_len - (text_blocks - 1) * BLOCK,
			 .hash = _mm_setzero_si128()};
	struct sum s = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
	const uint8_t *powers = powers_for(key, w.blocks < POWERS ? w.blocks + 1 : POWERS);
	__m128i mask;

	w.ctr = _mm512_or_si512(_mm512_broadcast_i32x4(p->nonce),
				_mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0));
	mask = group_first(&w, &s, k, rounds, p, &powers);
	if (1 + text_blocks >= POWERS) {
		groups(&w, &s, k, rounds, p->seal, powers, POWERS / 4 - 1);
		for (chunk_end(&w, &s); w.blocks >= POWERS; chunk_end(&w, &s))
			groups(&w, &s, k, rounds, p->seal, powers_for(key, POWERS), POWERS / 4);
		powers = powers_for(key, w.blocks + 1);
	}
	groups(&w, &s, k, rounds, p->seal, powers, (w.blocks + 3) / 4);
	lengths_hash(&w, &s, key, p->text_len, p->aad_len);
	return _mm_xor_si128(reversed1(reduce(&s)), mask);
}

/* Salt | explicit IV (RFC 4106 4), which stands before the text. */
INLINE __m128i
nonce_of(uint32_t salt, const uint8_t *text)
{
	uint64_t iv;

	memcpy(&iv, text - DP_CRYPTO_IV, sizeof(iv));
	return _mm_set_epi64x((int64_t)(iv >> 32), (int64_t)(iv << 32 | salt));
}

/* The additional data, with zeroes behind: 8 bytes, or with ESN 12 (RFC 4106 5). */
INLINE __m128i
aad_of(const struct dp_crypto_job *job, bool esn)
{
	uint8_t aad[BLOCK] = {0};

	if (!esn)
		return _mm_loadl_epi64((const __m128i *)(job->text - DP_ESP_AEAD_FRONT));
	dp_crypto_aad_esn(aad, job);
	return _mm_loadu_si128((const __m128i *)aad);
}

/* Leave nothing of keys and key streams behind. */
INLINE void
registers_clear(void)
{
	__asm__ volatile("vzeroall\n\t"
			 "vpxord %%zmm16, %%zmm16, %%zmm16\n\t"
			 "vpxord %%zmm17, %%zmm17, %%zmm17\n\t"
			 "vpxord %%zmm18, %%zmm18, %%zmm18\n\t"
			 "vpxord %%zmm19, %%zmm19, %%zmm19\n\t"
			 "vpxord %%zmm20, %%zmm20, %%zmm20\n\t"
			 "vpxord %%zmm21, %%zmm21, %%zmm21\n\t"
			 "vpxord %%zmm22, %%zmm22, %%zmm22\n\t"
			 "vpxord %%zmm23, %%zmm23, %%zmm23\n\t"
			 "vpxord %%zmm24, %%zmm24, %%zmm24\n\t"
			 "vpxord %%zmm25, %%zmm25, %%zmm25\n\t"
			 "vpxord %%zmm26, %%zmm26, %%zmm26\n\t"
			 "vpxord %%zmm27, %%zmm27, %%zmm27\n\t"
			 "vpxord %%zmm28, %%zmm28, %%zmm28\n\t"
			 "vpxord %%zmm29, %%zmm29, %%zmm29\n\t"
			 "vpxord %%zmm30, %%zmm30, %%zmm30\n\t"
			 "vpxord %%zmm31, %%zmm31, %%zmm31"
			 :
			 :
			 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",
			   "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
			   "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

/* A run of packets; a bit for each whose tag is right. */
INLINE uint64_t
run(const struct dp_gcm_key *key, const struct dp_crypto_job *jobs, unsigned int n,
    unsigned int rounds, bool seal, bool esn)
{
	struct schedule k;
	uint64_t good = 0;

	schedule_load(&k, key->data.expanded_keys, rounds);
	for (unsigned int i = 0; i < n; i++) {
		const struct task task = {.text = jobs[i].text,
					  .text_len = jobs[i].text_len,
					  .aad_len = esn ? 12 : 8,
					  .nonce = nonce_of(key->salt, jobs[i].text),
					  .aad = aad_of(&jobs[i], esn),
					  .seal = seal};
		__m128i *at = (__m128i *)(jobs[i].text + jobs[i].text_len), tag, differs;

		dp_crypto_prefetch(jobs, i + 1, n);
		tag = packet(&key->data, &k, rounds, &task);
		if (seal) {
			_mm_storeu_si128(at, tag);
		} else {
			differs = _mm_xor_si128(tag, _mm_loadu_si128(at));
			good |= (uint64_t)_mm_testz_si128(differs, differs) << i;
		}
	}
	registers_clear();
	return seal ? dp_crypto_all(n) : good;
}

/* By key size, so that the number of rounds is a constant. */
INLINE uint64_t
run_sized(const struct dp_gcm_key *key, const struct dp_crypto_job *jobs, unsigned int n, bool seal,
	  bool esn)
{
	if (key->size == 2)
		return run(key, jobs, n, 14, seal, esn);
	return key->size == 1 ? run(key, jobs, n, 12, seal, esn) : run(key, jobs, n, 10, seal, esn);
}

TARGET uint64_t
dp_gcm_wide_seal(struct dp_crypto *c, const struct dp_crypto_key *key,
		 const struct dp_crypto_job *jobs, unsigned int n)
{
	return run_sized(&key->gcm, jobs, n, true, false);
}

TARGET uint64_t
dp_gcm_wide_seal_esn(struct dp_crypto *c, const struct dp_crypto_key *key,
		     const struct dp_crypto_job *jobs, unsigned int n)
{
	return run_sized(&key->gcm, jobs, n, true, true);
}

TARGET uint64_t
dp_gcm_wide_open(struct dp_crypto *c, const struct dp_crypto_key *key,
		 const struct dp_crypto_job *jobs, unsigned int n)
{
	return run_sized(&key->gcm, jobs, n, false, false);
}

TARGET uint64_t
dp_gcm_wide_open_esn(struct dp_crypto *c, const struct dp_crypto_key *key,
		     const struct dp_crypto_job *jobs, unsigned int n)
{
	return run_sized(&key->gcm, jobs, n, false, true);
}
