/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Known-answer test of the ciphers, run before the first worker starts.
 *
 * Every suite runs through the same expansion and the same functions that SAs use, in place as in
 * ESP, with and without ESN, in every instruction set this CPU can run: three packets at once, and
 * then twelve, are sealed and must be the known one, then one bit of the second's tag is changed,
 * and opening must give the text of the others and say no to that one. A single failure stops the
 * data plane. The keys are public, so they need no protection here.
 */
#include <errno.h>
#include <stdlib.h>

#include "dataplane/crypto/suites.h"
#include "dataplane/crypto/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define PACKETS	     12 /* in a long run; a short one is below dp_cbc_key.few */
#define PACKETS_FEW  3
#define FRONT	     (8 + DP_CRYPTO_IV_MAX)

/* One known ESP packet. */
struct known {
	enum spw_encr encr;
	enum spw_integ integ;
	bool esn;
	uint32_t spi;
	uint64_t seq;
	uint8_t key[64];
	uint8_t iv[DP_CRYPTO_IV]; /* of an AEAD */
	const uint8_t *plain, *cipher, *tag;
	uint32_t len;
};

struct packet {
	uint8_t front[FRONT]; /* ESP header and IV are at its end */
	uint8_t text[TEXT_MAX + DP_CRYPTO_TAG];
};

/* Names the first step that went wrong; NULL when all is well. */
static const char *
run_gcm(struct dp_crypto *c, const struct dp_crypto_key *key, const struct gcm_vector *v)
{
	uint8_t text[GCM_LEN], tag[DP_CRYPTO_TAG];

	memcpy(text, gcm_plain, GCM_LEN);
	c->gcm_seal[key->gcm.size](&key->gcm.data, &c->gcm, text, text, GCM_LEN, gcm_nonce, gcm_aad,
				   sizeof(gcm_aad), tag, sizeof(tag));
	if (memcmp(text, v->cipher, GCM_LEN) != 0 || memcmp(tag, v->tag, sizeof(tag)) != 0)
		return "sealing";
	c->gcm_open[key->gcm.size](&key->gcm.data, &c->gcm, text, text, GCM_LEN, gcm_nonce, gcm_aad,
				   sizeof(gcm_aad), tag, sizeof(tag));
	if (memcmp(text, gcm_plain, GCM_LEN) != 0 || !dp_crypto_tag16_equal(tag, v->tag))
		return "opening";
	return NULL;
}

static void
lay_out(struct packet *p, const struct dp_cipher *f, const struct known *v)
{
	uint8_t *esp = p->text - f->iv_len - 8;

	spw_put_be32(esp, v->spi);
	spw_put_be32(esp + 4, (uint32_t)v->seq);
	if (f->iv_len == DP_CRYPTO_IV)
		memcpy(esp + 8, v->iv, DP_CRYPTO_IV);
	memcpy(p->text, v->plain, v->len);
}

static bool
sealed(const struct packet *p, const struct dp_cipher *f, const struct known *v)
{
	return memcmp(p->text, v->cipher, v->len) == 0 &&
	       memcmp(p->text + v->len, v->tag, f->tag_len) == 0;
}

/* Names the first step that went wrong; NULL when all is well. */
static const char *
run_esp(struct dp_crypto *c, const struct dp_cipher *f, const struct dp_crypto_key *key,
	const struct known *v, unsigned int n)
{
	struct dp_crypto_job job[PACKETS] = {0};
	struct packet p[PACKETS] = {0};

	for (unsigned int i = 0; i < n; i++) {
		lay_out(&p[i], f, v);
		job[i] = (struct dp_crypto_job){.text = p[i].text,
						.text_len = v->len,
						.spi_be = __builtin_bswap32(v->spi),
						.seq = v->seq};
	}
	if (f->seal(c, key, job, n) != dp_crypto_all(n))
		return "sealing";
	for (unsigned int i = 0; i < n; i++)
		if (!sealed(&p[i], f, v))
			return "sealing";
	p[1].text[v->len + f->tag_len - 1u] ^= 1;
	if (f->open(c, key, job, n) != (dp_crypto_all(n) ^ 2))
		return "refusing a changed tag";
	for (unsigned int i = 0; i < n; i++)
		if (i != 1 && memcmp(p[i].text, v->plain, v->len) != 0)
			return "opening";
	return NULL;
}

static int
verdict(const struct dp_crypto *c, enum spw_encr encr, enum spw_integ integ, const char *failed,
	struct spw_err *err)
{
	if (failed == NULL)
		return 0;
	return spw_fail(err, -EIO,
			"cipher: self-test of %s, integrity %s (%s) failed when %s; not starting",
			spw_encr_info(encr)->show_name, spw_integ_info(integ)->show_name, c->isa,
			failed);
}

static int
test_gcm(struct dp_crypto *c, struct dp_crypto_key *key, const struct gcm_vector *v,
	 struct spw_err *err)
{
	uint8_t material[sizeof(gcm_key) + DP_CRYPTO_SALT] = {0};
	const char *failed = "finding";
	struct dp_cipher f;

	if (dp_crypto_cipher(c, v->encr, SPW_INTEG_NONE, false, &f) == 0) {
		memcpy(material, gcm_key, f.cipher_key_len);
		dp_crypto_expand(c, &f, key, material);
		failed = run_gcm(c, key, v);
	}
	return verdict(c, v->encr, SPW_INTEG_NONE, failed, err);
}

static int
test_known(struct dp_crypto *c, struct dp_crypto_key *key, const struct known *v,
	   struct spw_err *err)
{
	const char *failed = "finding";
	struct dp_cipher f;
	uint8_t iv_key[16];

	if (dp_crypto_cipher(c, v->encr, v->integ, v->esn, &f) == 0) {
		dp_crypto_expand(c, &f, key, v->key);
		for (unsigned int i = 0; i < sizeof(iv_key); i++)
			iv_key[i] = (uint8_t)(0xf0 + i);
		if (f.iv_len == DP_CRYPTO_IV_MAX)
			dp_cbc_iv_key(c, key, iv_key);
		failed = run_esp(c, &f, key, v, PACKETS_FEW);
		if (failed == NULL)
			failed = run_esp(c, &f, key, v, PACKETS);
	}
	return verdict(c, v->encr, v->integ, failed, err);
}

static int
test_esp(struct dp_crypto *c, struct dp_crypto_key *key, const struct esp_vector *v, bool esn,
	 struct spw_err *err)
{
	uint8_t plain[ESP_LEN];
	struct known k = {
		.encr = v->encr,
		.integ = v->integ,
		.esn = esn,
		.spi = ESP_SPI,
		.seq = ESP_SEQ,
		.plain = plain,
		.cipher = v->cipher,
		.tag = esn ? v->tag_esn : v->tag,
		.len = ESP_LEN,
	};

	for (unsigned int i = 0; i < ESP_LEN; i++) {
		plain[i] = (uint8_t)(64 + 7 * i);
		k.key[i] = (uint8_t)(3 + 29 * i);
	}
	spw_put_be64(k.iv, ESP_SEQ);
	return test_known(c, key, &k, err);
}

static int
test_rfc7634(struct dp_crypto *c, struct dp_crypto_key *key, struct spw_err *err)
{
	struct known k = {
		.encr = SPW_ENCR_CHACHA20_POLY1305,
		.spi = RFC_SPI,
		.seq = RFC_SEQ,
		.plain = rfc_plain,
		.cipher = rfc_sealed,
		.tag = rfc_sealed + RFC_LEN,
		.len = RFC_LEN,
	};

	for (unsigned int i = 0; i < 32 + DP_CRYPTO_SALT; i++)
		k.key[i] = (uint8_t)(0x80 + i);
	memcpy(k.iv, rfc_iv, sizeof(k.iv));
	return test_known(c, key, &k, err);
}

static int
test_all(struct dp_crypto *c, struct dp_crypto_key *key, struct spw_err *err)
{
	int rc = test_rfc7634(c, key, err);

	for (unsigned int i = 0; rc == 0 && i < COUNT(gcm_vectors); i++)
		rc = test_gcm(c, key, &gcm_vectors[i], err);
	for (unsigned int i = 0; rc == 0 && i < 2 * COUNT(esp_vectors); i++)
		rc = test_esp(c, key, &esp_vectors[i / 2], i % 2 != 0, err);
	return rc;
}

static int
test_isa(enum dp_crypto_isa isa, struct dp_crypto_key *key, struct spw_err *err)
{
	struct dp_crypto *c;
	int rc = dp_crypto_new(&c, isa, err);

	if (rc == -ENOTSUP && isa != DP_CRYPTO_AUTO)
		return 0; /* this CPU does not have it */
	if (rc < 0)
		return rc;
	rc = test_all(c, key, err);
	dp_crypto_free(c);
	return rc;
}

int
dp_crypto_self_test(struct spw_err *err)
{
	struct dp_crypto_key *key = aligned_alloc(64, sizeof(*key));
	struct spw_err why = {0};
	int rc = 0;

	if (key == NULL)
		return spw_fail(err, -ENOMEM, "cipher: out of memory");
	for (unsigned int isa = 0; rc == 0 && isa < DP_CRYPTO_ISA_COUNT; isa++)
		rc = test_isa(isa, key, &why);
	free(key);
	return rc == 0 ? 0 : spw_fail(err, rc, "%s", why.text);
}
