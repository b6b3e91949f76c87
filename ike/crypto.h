/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/: the cryptography of IKE over libraries, keys in and out as struct spw_secret. */
#ifndef SPW_IKE_CRYPTO_H
#define SPW_IKE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/spillway.h"

/* A piece of input, borrowed. */
struct ike_chunk {
	const void *bytes;
	size_t len;
};

/* Known-answer test of every algorithm of the table. 0, or -EIO with the failing one in err. */
int ike_crypto_self_test(struct spw_err *err);

/*
 * prf(key, c[0] | c[1] | ...) into out, which must hold spw_prf_info(prf)->len bytes.
 * 0 or -EIO. RFC 7296 2.13, RFC 4868.
 */
int ike_prf(enum spw_prf prf, const void *key, size_t key_len, const struct ike_chunk *c, size_t n,
	    uint8_t *out) __attribute__((warn_unused_result));
/*
 * prf+(key, c[0] | c[1] | ...) of `len` bytes into a new secret. -EINVAL when more than 255
 * blocks would be needed (RFC 7296 2.13). The seed is at most 1024 bytes.
 */
int ike_prf_plus(enum spw_prf prf, const struct spw_secret *key, const struct ike_chunk *c,
		 size_t n, size_t len, struct spw_secret *out) __attribute__((warn_unused_result));

/* A key exchange in progress: our ephemeral private key, used for one exchange, then wiped. */
struct ike_dh;
/* Make a key pair. 0, -ENOTSUP for NONE, -EIO. Free with ike_dh_free(). */
int ike_dh_new(struct ike_dh **dh, enum spw_group group) __attribute__((warn_unused_result));
void ike_dh_free(struct ike_dh *dh);
enum spw_group ike_dh_group(const struct ike_dh *dh);
/*
 * Our private value, big-endian, IKE_DH_PRIVATE_MAX bytes, into `out` (the caller wipes it). -EIO,
 * or -ENOENT when it has served already.
 */
#define IKE_DH_PRIVATE_MAX 256
#define IKE_DH_PUBLIC_MAX  256
int ike_dh_private(const struct ike_dh *dh, uint8_t out[IKE_DH_PRIVATE_MAX])
	__attribute__((warn_unused_result));
/* A key pair from its private value (big-endian): of an escrow, and for known-answer tests. */
int ike_dh_from_private(struct ike_dh **dh, enum spw_group group, const void *priv, size_t len)
	__attribute__((warn_unused_result));
/* Another one with the same private value, which shares nothing with it. -ENOENT: it has served. */
int ike_dh_copy(struct ike_dh **out, const struct ike_dh *dh) __attribute__((warn_unused_result));
/*
 * Our public value in wire form, spw_group_info()->public_len bytes: MODP left-padded to the
 * modulus, ECP x|y (RFC 7296 3.4, RFC 5903 7). The pointer lives as long as dh.
 */
const uint8_t *ike_dh_public(const struct ike_dh *dh);
/*
 * The shared secret with the peer's public value, fixed length spw_group_info()->secret_len
 * (MODP left-padded, ECP x only). -EINVAL when the value is out of range, of the wrong length, 0,
 * 1, p-1, not on the curve or gives a degenerate secret (RFC 6989). Wipes our private key.
 */
int ike_dh_shared(struct ike_dh *dh, const void *peer, size_t len, struct spw_secret *out)
	__attribute__((warn_unused_result));

/*
 * Protection of one direction of one IKE SA: cipher and integrity with their keys and the IV
 * counter. AEAD: the key is cipher key | salt, IV an 8-byte counter that never repeats for a
 * key (RFC 5282). CBC: IV random (RFC 7296 3.14).
 */
struct ike_cipher;
/*
 * Takes copies of the keys into guarded memory. integ must be NONE (and integ_key NULL) with an
 * AEAD and set otherwise. 0, -EINVAL on wrong sizes, -ENOMEM.
 */
int ike_cipher_new(struct ike_cipher **c, enum spw_encr encr, const void *key, size_t key_len,
		   enum spw_integ integ, const void *integ_key, size_t integ_key_len)
	__attribute__((warn_unused_result));
void ike_cipher_free(struct ike_cipher *c);
/* What makes another one like it: the keys (borrowed) and the next IV of an AEAD. */
struct ike_cipher_view {
	const struct spw_secret *key;
	const struct spw_secret *integ_key; /* empty with an AEAD */
	uint64_t iv_next;
};
struct ike_cipher_view ike_cipher_view(const struct ike_cipher *c);
/* Count IVs on from `next`, which must be above any that was used. -EOVERFLOW: back, or too far. */
int ike_cipher_resume(struct ike_cipher *c, uint64_t next) __attribute__((warn_unused_result));
/* Bytes of IV, of ICV, and of the block that the plaintext with its padding must fill. */
size_t ike_cipher_iv_len(const struct ike_cipher *c);
size_t ike_cipher_icv_len(const struct ike_cipher *c);
size_t ike_cipher_block(const struct ike_cipher *c);
/*
 * Seal in place. `msg` points at the whole IKE message of msg_len bytes laid out for sending:
 * [0, aad_len) the header up to and with the SK generic header, then room for the IV, then the
 * padded plaintext, then room for the ICV. Writes IV, ciphertext, ICV. With CBC + HMAC the ICV
 * covers everything before it; with an AEAD the AAD is [0, aad_len). 0, -EOVERFLOW when the IV
 * counter is used up, -EIO.
 */
int ike_cipher_seal(struct ike_cipher *c, uint8_t *msg, size_t msg_len, size_t aad_len)
	__attribute__((warn_unused_result));
/*
 * Open in place the same layout. On success the plaintext (with padding and pad length) stands
 * at *plain, *plain_len bytes. -EBADMSG when the ICV is wrong or lengths do not fit: then
 * nothing may be used. Constant-time comparison.
 */
int ike_cipher_open(struct ike_cipher *c, uint8_t *msg, size_t msg_len, size_t aad_len,
		    uint8_t **plain, size_t *plain_len) __attribute__((warn_unused_result));

/* SHA-1 for NAT detection only (RFC 7296 2.23): 20 bytes into out. */
int ike_sha1(const struct ike_chunk *c, size_t n, uint8_t out[20])
	__attribute__((warn_unused_result));

#endif
