/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the ciphers of ESP, over IPsec-MB called directly. An SA picks its
 * functions once, from struct dp_cipher; a stage then calls them once for each run of packets of
 * one SA.
 */
#ifndef SPW_DATAPLANE_CRYPTO_H
#define SPW_DATAPLANE_CRYPTO_H

#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/spillway.h"

#define DP_CRYPTO_KEY_BYTES 1088 /* a slot of the key slab; see keys.c */
#define DP_CRYPTO_SALT	    4
#define DP_CRYPTO_IV	    8  /* of the AEADs */
#define DP_CRYPTO_IV_MAX    16 /* of AES-CBC */
#define DP_CRYPTO_TAG	    16 /* the longest, and that of the AEADs */
#define DP_CRYPTO_ALIGN_MAX 16
#define DP_CRYPTO_RUN	    64 /* most packets in one call */
#define DP_KEYS_AHEAD	    12 /* packets between the fetch of a key and its use */

/*
 * Instruction set of the cipher; AUTO takes the best the CPU has. Others are for tests. Those with
 * a second word add what newer CPUs have: SHA and Galois-field instructions, wide AES.
 */
enum dp_crypto_isa {
	DP_CRYPTO_AUTO,
	DP_CRYPTO_SSE,
	DP_CRYPTO_SSE_SHANI,
	DP_CRYPTO_AVX,
	DP_CRYPTO_AVX_SHANI,
	DP_CRYPTO_AVX2,
	DP_CRYPTO_AVX2_VAES,
	DP_CRYPTO_AVX512,
	DP_CRYPTO_AVX512_VAES,
	DP_CRYPTO_ISA_COUNT,
};

/* One thread's cipher manager and scratch areas. Never shared between threads. */
struct dp_crypto;
/* An expanded key; lives only in a slot of the key slab, DP_CRYPTO_KEY_BYTES. */
struct dp_crypto_key;

/*
 * One packet of a run. Before the text lie the ESP header (8 bytes: SPI, low half of the number)
 * and the IV, without a gap; the tag follows the text.
 */
struct dp_crypto_job {
	uint8_t *text;
	uint32_t text_len; /* a multiple of dp_cipher.align, trailer included */
	uint32_t spi_be;
	uint64_t seq; /* all 64 bits, though the upper half is only used with ESN */
};

/*
 * Seal or open the packets jobs[0..n) of one SA in place, n at most DP_CRYPTO_RUN.
 *
 * seal: the ESP header must be there, and with an IV of 8 bytes the IV too: the 64-bit sequence
 * number (RFC 4106 3.1, RFC 7634 2), unique for the key. An IV of 16 bytes (AES-CBC) is made and
 * written by the function. Returns a bit for every packet.
 * open: bit i is set when the tag of packet i is right; the others' text is garbage then, and the
 * bytes of the tag are undefined in any case.
 */
typedef uint64_t (*dp_crypto_run_t)(struct dp_crypto *c, const struct dp_crypto_key *key,
				    const struct dp_crypto_job *jobs, unsigned int n);

/*
 * Seal `n` packets, each under its own key, jobs[i] under keys[i]: otherwise as `seal`, but that it
 * cannot fail and takes any number. Keys are fetched in time.
 */
typedef void (*dp_crypto_each_t)(struct dp_crypto *c, const struct dp_crypto_key *const *keys,
				 const struct dp_crypto_job *jobs, unsigned int n);

/* The functions and sizes of one suite; plain values, copy freely. */
struct dp_cipher {
	dp_crypto_run_t seal, open; /* ESN or not is already decided */
	/* Use dp_crypto_expand(). */
	void (*expand)(struct dp_crypto *c, const struct dp_cipher *cipher,
		       struct dp_crypto_key *slot, const uint8_t *key);
	uint8_t key_len; /* bytes of key material: cipher key | salt, or cipher key | integrity key
			  */
	uint8_t cipher_key_len; /* of which the cipher's own */
	uint8_t iv_len;		/* 8 or 16 */
	uint8_t tag_len;	/* 12 or 16 */
	uint8_t align;		/* 4 or 16: the length of the text is a multiple */
	uint8_t integ;		/* enum spw_integ */
};

/*
 * Make a manager. -ENOTSUP when the CPU lacks AES-NI, PCLMULQDQ or the instruction set asked for
 * (the fallback without AES-NI is never used: it is not constant-time); -ENOMEM.
 */
int dp_crypto_new(struct dp_crypto **c, enum dp_crypto_isa isa, struct spw_err *err)
	__attribute__((warn_unused_result));
/* Wipe all that keys left behind and free; NULL is fine. */
void dp_crypto_free(struct dp_crypto *c);
/* The instruction set in use, for people: "AVX512 VAES". */
const char *dp_crypto_isa_name(const struct dp_crypto *c);
/* Bit n set: enum spw_encr n works for ESP here; one that is no AEAD with any integrity below. */
uint32_t dp_crypto_encr_mask(void);
/* Bit n set: enum spw_integ n works for ESP here. */
uint32_t dp_crypto_integ_mask(void);
/*
 * Functions of a suite. -ENOTSUP when the cipher or the integrity is not in the masks above, or
 * they do not go together (an AEAD with integrity, a cipher without).
 */
int dp_crypto_cipher(const struct dp_crypto *c, enum spw_encr encr, enum spw_integ integ, bool esn,
		     struct dp_cipher *out) __attribute__((warn_unused_result));
/*
 * What seals as `seal` does, packets with a key each; NULL when its suite has no such function. The
 * keys may be of all suites that have the same `seal`. Pure.
 */
dp_crypto_each_t dp_crypto_each(dp_crypto_run_t seal);
/*
 * Expand a key into a slot of the slab. The thread that owns `c`.
 * @key  cipher->key_len bytes, borrowed: cipher key | salt (RFC 4106 8.1, RFC 7634 2) or
 *       cipher key | integrity key (RFC 7296 2.17)
 */
void dp_crypto_expand(struct dp_crypto *c, const struct dp_cipher *cipher,
		      struct dp_crypto_key *slot, const uint8_t *key);
/*
 * Known-answer test of every suite in both directions, in every instruction set this CPU can
 * run, and that a changed tag is refused. 0, or -EIO naming what failed: then do not go on.
 */
int dp_crypto_self_test(struct spw_err *err) __attribute__((warn_unused_result));

/* Bring near what the cipher reads of a key for a text of so many bytes; @iv_len of the suite. */
void dp_key_fetch(const struct dp_crypto *c, const struct dp_crypto_key *key, uint8_t iv_len,
		  uint32_t text_len);

#endif
