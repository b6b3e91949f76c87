/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cipher manager: which instruction set runs the ciphers, and which functions a suite has.
 *
 * IPsec-MB detects the CPU; we check that what it chose uses AES-NI and carry-less multiplication,
 * because its table-driven fallback leaks keys through the cache. Which of its code runs is decided
 * by the start function (SSE, AVX, AVX2, AVX512) and by what is switched off: a CPU that has all
 * can so run, and test, the code of every older one.
 *
 * The newest code hashes packets side by side and leaves the CPU's SHA instructions alone, which is
 * slow for a few packets. So beside it stands the SSE code, which uses them (cbc.c).
 *
 * The slots that keys are expanded into hold for every manager of the same instruction set, so all
 * managers of a process must be made for the same one. Managers are made at start, by the thread
 * that sets up the workers, and used by one thread each. A manager keeps what the ciphers leave
 * behind (round keys, key streams, hash states), therefore it lives in pages of its own that are
 * locked, left out of core dumps and not inherited, and is wiped when it is freed.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dataplane/crypto/suites.h"

#define OLDER	  (IMB_FLAG_SHANI_OFF | IMB_FLAG_GFNI_OFF)
#define ROUND(n)  (((n) + (size_t)63) & ~(size_t)63)
#define MGR_START ROUND(sizeof(struct dp_crypto))
#define MGR_SIZE  ROUND(imb_get_mb_mgr_size())

/* What each instruction set needs of the CPU, and how it is turned on. */
static const struct isa {
	uint64_t needs;
	uint64_t off;
	void (*init)(IMB_MGR *);
	const char *name;
} isas[DP_CRYPTO_ISA_COUNT] = {
	[DP_CRYPTO_SSE] = {IMB_CPUFLAGS_SSE, OLDER, init_mb_mgr_sse, "SSE"},
	[DP_CRYPTO_SSE_SHANI] = {IMB_CPUFLAGS_SSE_T2, 0, init_mb_mgr_sse, "SSE SHANI"},
	[DP_CRYPTO_AVX] = {IMB_CPUFLAGS_AVX, OLDER, init_mb_mgr_avx, "AVX"},
	[DP_CRYPTO_AVX_SHANI] = {IMB_CPUFLAGS_AVX_T2, 0, init_mb_mgr_avx, "AVX SHANI"},
	[DP_CRYPTO_AVX2] = {IMB_CPUFLAGS_AVX2, OLDER, init_mb_mgr_avx2, "AVX2"},
	[DP_CRYPTO_AVX2_VAES] = {IMB_CPUFLAGS_AVX2_T2, 0, init_mb_mgr_avx2, "AVX2 VAES"},
	[DP_CRYPTO_AVX512] = {IMB_CPUFLAGS_AVX512, OLDER, init_mb_mgr_avx512, "AVX512"},
	[DP_CRYPTO_AVX512_VAES] = {IMB_CPUFLAGS_AVX512_T2, 0, init_mb_mgr_avx512, "AVX512 VAES"},
};

static bool
has(uint64_t features, uint64_t needed)
{
	return (features & needed) == needed;
}

/* The best instruction set that the CPU has all parts of; AUTO when it has none. */
static enum dp_crypto_isa
best_isa(uint64_t features)
{
	for (unsigned int i = DP_CRYPTO_ISA_COUNT - 1; i > DP_CRYPTO_AUTO; i--)
		if (has(features, isas[i].needs))
			return i;
	return DP_CRYPTO_AUTO;
}

/* Which instruction set to run; -ENOTSUP with a sentence when the CPU has it not. */
static int
choose(enum dp_crypto_isa *isa, struct spw_err *err)
{
	uint64_t features = imb_get_feature_flags();

	if (*isa == DP_CRYPTO_AUTO)
		*isa = best_isa(features);
	if (*isa == DP_CRYPTO_AUTO)
		return spw_fail(err, -ENOTSUP,
				"cipher: this CPU has no AES-NI and PCLMULQDQ; Spillway needs them "
				"(in a virtual machine, pass the host's CPU through)");
	if (!has(features, isas[*isa].needs))
		return spw_fail(err, -ENOTSUP, "cipher: this CPU cannot run the %s code",
				isas[*isa].name);
	return 0;
}

static void
copy_pointers(struct dp_crypto *c)
{
	const IMB_MGR *m = c->mgr;

	c->gcm_seal[0] = m->gcm128_enc;
	c->gcm_seal[1] = m->gcm192_enc;
	c->gcm_seal[2] = m->gcm256_enc;
	c->gcm_open[0] = m->gcm128_dec;
	c->gcm_open[1] = m->gcm192_dec;
	c->gcm_open[2] = m->gcm256_dec;
}

static int
start_one(IMB_MGR **mgr, void *memory, const struct isa *isa, struct spw_err *err)
{
	*mgr = imb_set_pointers_mb_mgr(memory, isa->off, 1);
	if (*mgr == NULL)
		return spw_fail(err, -ENOTSUP, "cipher: IPsec-MB does not start");
	isa->init(*mgr);
	if (imb_get_errno(*mgr) != 0)
		return spw_fail(err, -ENOTSUP, "cipher: IPsec-MB refused the %s code: %s",
				isa->name, imb_get_strerror(imb_get_errno(*mgr)));
	if (((*mgr)->features & IMB_FEATURE_AESNI_EMU) != 0)
		return spw_fail(err, -ENOTSUP, "cipher: IPsec-MB emulates AES-NI");
	return 0;
}

static int
start(struct dp_crypto *c, const struct isa *isa, struct spw_err *err)
{
	uint8_t *memory = (uint8_t *)c + MGR_START;
	int rc = start_one(&c->mgr, memory, isa, err);

	c->few = c->mgr;
	if (rc == 0 && has(isa->needs, IMB_FEATURE_SHANI) && isa != &isas[DP_CRYPTO_SSE_SHANI])
		rc = start_one(&c->few, memory + MGR_SIZE, &isas[DP_CRYPTO_SSE_SHANI], err);
	if (rc < 0)
		return rc;
	c->isa = isa->name;
	copy_pointers(c);
	c->powers_last = dp_gcm_powers_last(c->mgr);
	return 0;
}

/* Zeroed pages that are never swapped, dumped or inherited; NULL when there are none. */
static struct dp_crypto *
map_locked(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, size, MADV_DONTDUMP) < 0 || madvise(p, size, MADV_DONTFORK) < 0 ||
	    mlock(p, size) < 0) {
		munmap(p, size);
		return NULL;
	}
	return p;
}

int
dp_crypto_new(struct dp_crypto **out, enum dp_crypto_isa isa, struct spw_err *err)
{
	size_t size = MGR_START + 2 * MGR_SIZE;
	struct dp_crypto *c;
	int rc = choose(&isa, err);

	if (rc < 0)
		return rc;
	c = map_locked(size);
	if (c == NULL)
		return spw_fail(err, -ENOMEM,
				"cipher: cannot lock %zu kB of memory; raise the limit of locked "
				"memory (LimitMEMLOCK, ulimit -l)",
				size / 1024);
	c->size = size;
	rc = start(c, &isas[isa], err);
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
	size_t size;

	if (c == NULL)
		return;
	size = c->size;
	spw_wipe(c, size);
	munmap(c, size);
}

const char *
dp_crypto_isa_name(const struct dp_crypto *c)
{
	return c->isa;
}

int
dp_crypto_cipher(const struct dp_crypto *c, enum spw_encr encr, enum spw_integ integ, bool esn,
		 struct dp_cipher *out)
{
	if (integ != SPW_INTEG_NONE)
		return dp_cbc_cipher(encr, integ, esn, out) ? 0 : -ENOTSUP;
	return dp_gcm_cipher(encr, esn, out) || dp_chacha_cipher(encr, esn, out) ? 0 : -ENOTSUP;
}

uint32_t
dp_crypto_encr_mask(void)
{
	struct dp_cipher cipher;
	uint32_t mask = 0;

	for (unsigned int e = 1; e < SPW_ENCR_COUNT; e++)
		for (unsigned int i = SPW_INTEG_NONE; i < SPW_INTEG_COUNT; i++)
			if (dp_crypto_cipher(NULL, e, i, false, &cipher) == 0)
				mask |= 1u << e;
	return mask;
}

uint32_t
dp_crypto_integ_mask(void)
{
	struct dp_cipher cipher;
	uint32_t mask = 0;

	for (unsigned int i = 1; i < SPW_INTEG_COUNT; i++)
		if (dp_crypto_cipher(NULL, SPW_ENCR_AES128_CBC, i, false, &cipher) == 0)
			mask |= 1u << i;
	return mask;
}

void
dp_crypto_expand(struct dp_crypto *c, const struct dp_cipher *cipher, struct dp_crypto_key *slot,
		 const uint8_t *key)
{
	cipher->expand(c, cipher, slot, key);
}
