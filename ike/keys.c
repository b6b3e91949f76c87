/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Key derivation of IKEv2: SKEYSEED and the seven SK_* keys (RFC 7296 2.14), the same at a rekey
 * of the IKE SA (2.18), the keys of a child SA (2.17), and AUTH by shared key (2.15).
 *
 * Every intermediate lives in guarded memory or is wiped before return, on errors too. The order
 * of the parts of a key block is written once, in the table of ike_keys_derive(). No state; any
 * thread.
 */
#include "ike/keys.h"

#include <errno.h>
#include <string.h>

#define PRF_MAX 64

static const char key_pad[] = "Key Pad for IKEv2"; /* 17 bytes, without the terminator */

static struct ike_chunk
chunk_nonce(const struct ike_nonce *n)
{
	return (struct ike_chunk){n->bytes, n->len};
}

static struct ike_chunk
chunk_secret(const struct spw_secret *s)
{
	return (struct ike_chunk){s->bytes, s->len};
}

/* SKEYSEED = prf(Ni | Nr, g^ir), or prf(SK_d (old), g^ir (new) | Ni | Nr). */
static int
derive_seed(const struct ike_keys_input *in, struct spw_secret *seed)
{
	enum spw_prf prf = in->old_d ? in->old_prf : in->suite->prf;
	uint8_t nonces[2 * IKE_NONCE_MAX];
	size_t n = 0;
	int rc = spw_secret_alloc(seed, spw_prf_info(prf)->len);

	if (rc != 0)
		return rc;
	if (in->old_d) {
		const struct ike_chunk c[] = {chunk_secret(in->shared), chunk_nonce(in->ni),
					      chunk_nonce(in->nr)};

		return ike_prf(prf, in->old_d->bytes, in->old_d->len, c, 3, seed->bytes);
	}
	memcpy(nonces, in->ni->bytes, in->ni->len);
	n = in->ni->len;
	memcpy(nonces + n, in->nr->bytes, in->nr->len);
	n += in->nr->len;
	const struct ike_chunk c[] = {chunk_secret(in->shared)};

	return ike_prf(prf, nonces, n, c, 1, seed->bytes);
}

/* {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni|Nr|SPIi|SPIr) */
static int
derive_block(const struct ike_keys_input *in, const struct spw_secret *seed, size_t len,
	     struct spw_secret *block)
{
	uint8_t spis[16];
	const struct ike_chunk c[] = {chunk_nonce(in->ni), chunk_nonce(in->nr), {spis, 16}};

	spw_put_be64(spis, in->spi_i);
	spw_put_be64(spis + 8, in->spi_r);
	return ike_prf_plus(in->suite->prf, seed, c, 3, len, block);
}

int
ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out)
{
	const struct spw_encr_info *encr = spw_encr_info(in->suite->encr);
	size_t prf = spw_prf_info(in->suite->prf)->len;
	size_t auth = spw_integ_info(in->suite->integ)->key_len;
	size_t cipher = (size_t)encr->key_len + encr->salt_len;
	struct spw_secret seed = {0}, block = {0};
	struct ike_keys k = {0};
	const struct {
		struct spw_secret *key;
		size_t len;
	} part[] = {{&k.d, prf},     {&k.ai, auth}, {&k.ar, auth}, {&k.ei, cipher},
		    {&k.er, cipher}, {&k.pi, prf},  {&k.pr, prf}};
	size_t at = 0;
	int rc = derive_seed(in, &seed);

	if (rc == 0)
		rc = derive_block(in, &seed, 3 * prf + 2 * auth + 2 * cipher, &block);
	for (unsigned int i = 0; i < sizeof(part) / sizeof(part[0]) && rc == 0; i++) {
		if (part[i].len != 0)
			rc = spw_secret_set(part[i].key, block.bytes + at, part[i].len);
		at += part[i].len;
	}
	spw_secret_free(&seed);
	spw_secret_free(&block);
	if (rc != 0)
		ike_keys_free(&k);
	else
		*out = k;
	return rc;
}

void
ike_keys_free(struct ike_keys *k)
{
	spw_secret_free(&k->d);
	spw_secret_free(&k->ai);
	spw_secret_free(&k->ar);
	spw_secret_free(&k->ei);
	spw_secret_free(&k->er);
	spw_secret_free(&k->pi);
	spw_secret_free(&k->pr);
}

int
ike_keys_child(enum spw_prf prf, const struct spw_secret *d, const struct spw_secret *g,
	       const struct ike_nonce *ni, const struct ike_nonce *nr, size_t key_len,
	       uint8_t *to_responder, uint8_t *to_initiator)
{
	struct ike_chunk c[3];
	struct spw_secret block = {0};
	size_t n = 0;
	int rc;

	if (g)
		c[n++] = chunk_secret(g);
	c[n++] = chunk_nonce(ni);
	c[n++] = chunk_nonce(nr);
	rc = ike_prf_plus(prf, d, c, n, 2 * key_len, &block);
	if (rc != 0)
		return rc;
	memcpy(to_responder, block.bytes, key_len);
	memcpy(to_initiator, block.bytes + key_len, key_len);
	spw_secret_free(&block);
	return 0;
}

int
ike_keys_auth(enum spw_prf prf, const struct spw_secret *psk, const struct ike_chunk *message,
	      const struct ike_nonce *nonce, const struct spw_secret *p, const struct ike_chunk *id,
	      uint8_t *out)
{
	const struct ike_chunk pad = {key_pad, sizeof(key_pad) - 1};
	size_t len = spw_prf_info(prf)->len;
	uint8_t key[PRF_MAX], maced_id[PRF_MAX];
	const struct ike_chunk octets[] = {*message, chunk_nonce(nonce), {maced_id, len}};
	int rc = ike_prf(prf, psk->bytes, psk->len, &pad, 1, key);

	if (rc == 0)
		rc = ike_prf(prf, p->bytes, p->len, id, 1, maced_id);
	if (rc == 0)
		rc = ike_prf(prf, key, len, octets, 3, out);
	spw_wipe(key, sizeof(key));
	spw_wipe(maced_id, sizeof(maced_id));
	return rc;
}
