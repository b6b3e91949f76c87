/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cipher manager: which instruction set runs the ciphers, and which functions an algorithm has.
 *
 * IPsec-MB detects the CPU; we check that what it chose uses AES-NI and carry-less multiplication,
 * because its table-driven fallback leaks keys through the cache. The single-call GCM functions
 * keep nothing in the manager, only in the scratch area, so an SA may hold function pointers taken
 * from one manager and every worker may call them with its own scratch; all managers of a process
 * must then be made for the same instruction set. Adding an algorithm: a row in `pick`, and vectors
 * in self_test.c. Managers are made at start by the thread that sets up the workers.
 */
#include "dataplane/crypto/crypto.h"

#include <errno.h>
#include <stdlib.h>

/* What each instruction set needs of the CPU, and how it is turned on. */
static const struct isa {
	uint64_t needs;
	void (*init)(IMB_MGR *);
	const char *name;
} isas[DP_CRYPTO_ISA_COUNT] = {
	[DP_CRYPTO_SSE] = {IMB_CPUFLAGS_SSE, init_mb_mgr_sse, "SSE"},
	[DP_CRYPTO_AVX] = {IMB_CPUFLAGS_AVX, init_mb_mgr_avx, "AVX"},
	[DP_CRYPTO_AVX2] = {IMB_CPUFLAGS_AVX2, init_mb_mgr_avx2, "AVX2"},
	[DP_CRYPTO_AVX512] = {IMB_CPUFLAGS_AVX512, init_mb_mgr_avx512, "AVX512"},
};

static bool
has(const IMB_MGR *mgr, uint64_t features)
{
	return (mgr->features & features) == features;
}

/* The best instruction set that the CPU has all parts of; AUTO when it has none. */
static enum dp_crypto_isa
best_isa(const IMB_MGR *mgr)
{
	for (unsigned int i = DP_CRYPTO_AVX512; i > DP_CRYPTO_AUTO; i--)
		if (has(mgr, isas[i].needs))
			return i;
	return DP_CRYPTO_AUTO;
}

static const char *
name_of(const IMB_MGR *mgr, enum dp_crypto_isa isa)
{
	if (isa == DP_CRYPTO_AVX512 && has(mgr, IMB_CPUFLAGS_AVX512_T2))
		return "AVX512 VAES";
	return isas[isa].name;
}

static int
start(struct dp_crypto *c, enum dp_crypto_isa isa, struct spw_err *err)
{
	enum dp_crypto_isa use = isa == DP_CRYPTO_AUTO ? best_isa(c->mgr) : isa;

	if (use == DP_CRYPTO_AUTO || (c->mgr->features & IMB_FEATURE_AESNI_EMU) != 0)
		return spw_fail(err, -ENOTSUP,
				"cipher: this CPU has no AES-NI and PCLMULQDQ; Spillway needs them "
				"(in a virtual machine, pass the host's CPU through)");
	if (!has(c->mgr, isas[use].needs))
		return spw_fail(err, -ENOTSUP, "cipher: this CPU cannot run the %s code",
				isas[use].name);
	isas[use].init(c->mgr);
	if (imb_get_errno(c->mgr) != 0)
		return spw_fail(err, -ENOTSUP, "cipher: IPsec-MB refused the %s code: %s",
				isas[use].name, imb_get_strerror(imb_get_errno(c->mgr)));
	c->isa = name_of(c->mgr, use);
	return 0;
}

int
dp_crypto_new(struct dp_crypto **out, enum dp_crypto_isa isa, struct spw_err *err)
{
	struct dp_crypto *c = aligned_alloc(64, (sizeof(*c) + 63) & ~(size_t)63);
	int rc;

	if (c == NULL)
		return spw_fail(err, -ENOMEM, "cipher: out of memory");
	memset(c, 0, sizeof(*c));
	c->mgr = alloc_mb_mgr(0);
	if (c->mgr == NULL)
		rc = spw_fail(err, -ENOMEM, "cipher: out of memory for IPsec-MB");
	else
		rc = start(c, isa, err);
	if (rc < 0) {
		dp_crypto_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void
dp_crypto_free(struct dp_crypto *c)
{
	if (c == NULL)
		return;
	if (c->mgr != NULL)
		free_mb_mgr(c->mgr);
	spw_wipe(c, sizeof(*c));
	free(c);
}

const char *
dp_crypto_isa_name(const struct dp_crypto *c)
{
	return c->isa;
}

uint32_t
dp_crypto_encr_mask(void)
{
	return 1u << SPW_ENCR_AES128_GCM | 1u << SPW_ENCR_AES192_GCM | 1u << SPW_ENCR_AES256_GCM;
}

int
dp_crypto_cipher(const struct dp_crypto *c, enum spw_encr encr, struct dp_cipher *out)
{
	const IMB_MGR *m = c->mgr;
	const struct dp_cipher gcm128 = {m->gcm128_enc, m->gcm128_dec, m->gcm128_pre, 16};
	const struct dp_cipher gcm192 = {m->gcm192_enc, m->gcm192_dec, m->gcm192_pre, 24};
	const struct dp_cipher gcm256 = {m->gcm256_enc, m->gcm256_dec, m->gcm256_pre, 32};

	if (encr == SPW_ENCR_AES128_GCM)
		*out = gcm128;
	else if (encr == SPW_ENCR_AES192_GCM)
		*out = gcm192;
	else if (encr == SPW_ENCR_AES256_GCM)
		*out = gcm256;
	else
		return -ENOTSUP;
	return 0;
}

void
dp_crypto_expand(const struct dp_cipher *cipher, struct dp_crypto_key *slot, const uint8_t *key)
{
	cipher->expand(key, &slot->gcm);
	memcpy(slot->salt, key + cipher->key_len, DP_CRYPTO_SALT);
}
