/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to the crypto_*.c files and their test. */
#ifndef SPW_IKE_CRYPTO_PRIV_H
#define SPW_IKE_CRYPTO_PRIV_H

#include "ike/crypto.h"

struct ike_cipher {
	enum spw_encr encr;
	enum spw_integ integ;
	struct spw_secret key; /* cipher key, then the salt of an AEAD */
	struct spw_secret integ_key;
	uint64_t iv_next; /* AEAD: the next explicit IV */
	bool iv_used_up;
};

/*
 * HMAC with the hash of an integrity algorithm over the chunks, cut to its ICV length, into out.
 * 0 or -EIO.
 */
int ike_integ(enum spw_integ integ, const struct spw_secret *key, const struct ike_chunk *c,
	      size_t n, uint8_t *out) __attribute__((warn_unused_result));

/*
 * The groups whose private key is octets, X25519 and P-384: its length, 0 for another group. The
 * public value and the shared secret (spw_group_info()'s lengths; the peer's value has the length
 * of the public one): 0; -EINVAL when the private value is none of the group's, or the peer's is to
 * be refused; -ENOMEM; -EIO. Any thread.
 */
size_t ike_curve_scalar_len(enum spw_group group);
int ike_curve_public(enum spw_group group, const uint8_t *scalar, uint8_t *public)
	__attribute__((warn_unused_result));
int ike_curve_shared(enum spw_group group, const uint8_t *scalar, const uint8_t *peer,
		     uint8_t *secret) __attribute__((warn_unused_result));

/* One known answer each; all byte strings in hex. A check is 0 when the answer comes out, or -EIO.
 */
struct ike_kat_mac {
	const char *key, *data, *mac;
};
struct ike_kat_cipher {
	const char *key, *iv, *aad, *plain, *sealed; /* sealed: ciphertext and ICV */
	enum spw_integ integ;
	const char *integ_key;
};
struct ike_kat_dh {
	const char *priv_a, *priv_b;
	const char *public_a_sha256, *shared_sha256;
};
int ike_kat_prf(enum spw_prf prf, const struct ike_kat_mac *v);
int ike_kat_integ(enum spw_integ integ, const struct ike_kat_mac *v);
int ike_kat_cipher(enum spw_encr encr, const struct ike_kat_cipher *v);
int ike_kat_dh(enum spw_group group, const struct ike_kat_dh *v);

#endif
