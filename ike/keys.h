/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/: key derivation and AUTH (RFC 7296 2.14, 2.15, 2.17, 2.18). */
#ifndef SPW_IKE_KEYS_H
#define SPW_IKE_KEYS_H

#include "ike/rules.h"

/* The keys of an IKE SA; a* are empty with an AEAD, e* are then key | salt. */
struct ike_keys {
	struct spw_secret d, ai, ar, ei, er, pi, pr;
};

struct ike_keys_input {
	const struct spw_ike_proposal *suite;
	const struct spw_secret *shared; /* g^ir, fixed length */
	const struct ike_nonce *ni;
	const struct ike_nonce *nr;
	uint64_t spi_i;
	uint64_t spi_r;
	/* rekey (2.18): SK_d and PRF of the old IKE SA; old_d NULL = first keys (2.14) */
	const struct spw_secret *old_d;
	enum spw_prf old_prf;
};
/* Derive all keys. 0, -EINVAL, -ENOMEM or -EIO; nothing left on failure. */
int ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out)
	__attribute__((warn_unused_result));
void ike_keys_free(struct ike_keys *k);

/*
 * Keys of a child SA (2.17): initiator to responder first. g may be NULL (no PFS). Both outputs
 * get key_len bytes.
 */
int ike_keys_child(enum spw_prf prf, const struct spw_secret *d, const struct spw_secret *g,
		   const struct ike_nonce *ni, const struct ike_nonce *nr, size_t key_len,
		   uint8_t *to_responder, uint8_t *to_initiator)
	__attribute__((warn_unused_result));
/*
 * AUTH by shared key (2.15): prf(prf(psk, "Key Pad for IKEv2"), message | nonce | prf(p, id)).
 * `message` is the signer's own first message, `nonce` the other's, `p` SK_pi or SK_pr, `id` the
 * content of its ID payload. Writes the PRF's length to out.
 */
int ike_keys_auth(enum spw_prf prf, const struct spw_secret *psk, const struct ike_chunk *message,
		  const struct ike_nonce *nonce, const struct spw_secret *p,
		  const struct ike_chunk *id, uint8_t *out) __attribute__((warn_unused_result));

#endif
