/* SPDX-License-Identifier: BSD-3-Clause */
/* The ciphers: self-test, every instruction set against OpenSSL, and what is done with keys. */
#include "dataplane/crypto/crypto.h"

#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "dataplane/crypto/keys.h"
#include "dataplane/crypto/suites.h"

static const enum spw_encr algs[] = {SPW_ENCR_AES128_GCM, SPW_ENCR_AES192_GCM, SPW_ENCR_AES256_GCM};

static const EVP_CIPHER *
evp(unsigned int key_len)
{
	return key_len == 16   ? EVP_aes_128_gcm()
	       : key_len == 24 ? EVP_aes_192_gcm()
			       : EVP_aes_256_gcm();
}

static void
openssl_seal(const uint8_t *key, unsigned int key_len, const uint8_t *nonce, const uint8_t *aad,
	     int aad_len, const uint8_t *in, int len, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;

	assert_int_equal(EVP_EncryptInit_ex(c, evp(key_len), NULL, key, nonce), 1);
	assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, aad, aad_len), 1);
	assert_int_equal(EVP_EncryptUpdate(c, out, &n, in, len), 1);
	assert_int_equal(EVP_EncryptFinal_ex(c, out + n, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, tag), 1);
	EVP_CIPHER_CTX_free(c);
}

static void
cipher_self_test_passes(void **state)
{
	struct spw_err err = {0};

	assert_int_equal(dp_crypto_self_test(&err), 0);
	assert_string_equal(err.text, "");
}

static void
fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rand();
}

/* One random packet through nonce, AAD and cipher, both ways. */
static void
differ_once(struct dp_crypto *c, struct dp_crypto_key *slot, enum spw_encr alg)
{
	static uint8_t plain[9100], want[9100 + 16], buf[16 + 9100 + 16];
	uint8_t key[36], nonce[12], aad[12];
	struct dp_crypto_job p = {.text = buf + 16, .seq = (uint64_t)rand() << 16};
	bool esn = rand() % 2;
	struct dp_cipher f;
	int aad_len;

	p.text_len = 4 + (uint32_t)rand() % (rand() % 8 ? 1500 : 9000);
	p.spi_be = (uint32_t)rand();
	assert_int_equal(dp_crypto_cipher(c, alg, SPW_INTEG_NONE, esn, &f), 0);
	fill(key, sizeof(key));
	fill(plain, p.text_len);
	memcpy(buf, &p.spi_be, 4);
	spw_put_be32(buf + 4, (uint32_t)p.seq);
	fill(buf + 8, 8);
	dp_crypto_expand(c, &f, slot, key);
	/* RFC 4106 4 and 5, spelled out once more. */
	memcpy(nonce, key + f.cipher_key_len, 4);
	memcpy(nonce + 4, buf + 8, 8);
	memcpy(aad, &p.spi_be, 4);
	aad_len = esn ? 12 : 8;
	if (esn)
		spw_put_be64(aad + 4, p.seq);
	else
		spw_put_be32(aad + 4, (uint32_t)p.seq);
	openssl_seal(key, f.cipher_key_len, nonce, aad, aad_len, plain, (int)p.text_len, want,
		     want + p.text_len);
	memcpy(p.text, plain, p.text_len);
	assert_int_equal(f.seal(c, slot, &p, 1), 1);
	assert_memory_equal(p.text, want, p.text_len + 16);
	assert_int_equal(f.open(c, slot, &p, 1), 1);
	assert_memory_equal(p.text, plain, p.text_len);
}

static void
cipher_agrees_with_openssl_in_every_instruction_set(void **state)
{
	struct dp_crypto_key *slot = aligned_alloc(64, sizeof(*slot));
	unsigned int ran = 0;

	srand(11);
	for (unsigned int isa = 0; isa < DP_CRYPTO_ISA_COUNT; isa++) {
		struct dp_crypto *c;

		if (dp_crypto_new(&c, isa, NULL) < 0)
			continue;
		for (int i = 0; i < 3000; i++)
			differ_once(c, slot, algs[i % 3]);
		print_message("%s: 3000 packets agree\n", dp_crypto_isa_name(c));
		dp_crypto_free(c);
		ran++;
	}
	assert_true(ran >= 2); /* AUTO and SSE at least */
	free(slot);
}

static void
cipher_refuses_algorithms_it_has_not(void **state)
{
	struct dp_crypto *c;
	struct dp_cipher f;

	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	for (unsigned int e = 0; e < SPW_ENCR_COUNT; e++)
		assert_int_equal(dp_crypto_cipher(c, e, SPW_INTEG_NONE, false, &f) == 0,
				 (dp_crypto_encr_mask() >> e & 1) != 0);
	dp_crypto_free(c);
}

/* The VmFlags line of the mapping that holds `p`. */
static void
flags_of(const void *p, char *out, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	char line[512];
	bool here = false;

	assert_non_null(f);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (unsigned long)p >= from && (unsigned long)p < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(out, size, "%s", line);
	}
	fclose(f);
}

static void
keys_live_in_locked_memory_out_of_core_dumps(void **state)
{
	struct dp_keys *k = dp_keys_new();
	struct dp_crypto_key *slot;
	char flags[512];

	assert_int_equal(dp_keys_get(k, &slot, NULL), 0);
	assert_int_equal((uintptr_t)slot % 64, 0);
	flags_of(slot, flags, sizeof(flags));
#ifndef __SANITIZE_ADDRESS__ /* its runtime makes mlock do nothing */
	assert_non_null(strstr(flags, " lo"));
#endif
	assert_non_null(strstr(flags, " dd"));
	assert_non_null(strstr(flags, " dc"));
	dp_keys_put(k, slot);
	dp_keys_free(k);
}

static void
keys_are_wiped_when_put_back(void **state)
{
	enum { N = 5000 }; /* several chunks */
	struct dp_crypto_key **slot = calloc(N, sizeof(*slot));
	struct dp_keys *k = dp_keys_new();
	static const uint8_t zero[sizeof(struct dp_crypto_key)];

	for (int i = 0; i < N; i++) {
		if (dp_keys_get(k, &slot[i], NULL) < 0)
			skip(); /* the limit of locked memory of this machine */
		assert_memory_equal(slot[i], zero, sizeof(zero));
		memset(slot[i], 0x5a, sizeof(**slot));
	}
	assert_int_equal(dp_keys_used(k), N);
	for (int i = 0; i < N; i++) {
		dp_keys_put(k, slot[i]);
		assert_memory_equal((uint8_t *)slot[i] + 8, zero, sizeof(zero) - 8);
	}
	assert_int_equal(dp_keys_used(k), 0);
	dp_keys_put(k, NULL);
	dp_keys_free(k);
	free(slot);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cipher_self_test_passes),
		cmocka_unit_test(cipher_agrees_with_openssl_in_every_instruction_set),
		cmocka_unit_test(cipher_refuses_algorithms_it_has_not),
		cmocka_unit_test(keys_live_in_locked_memory_out_of_core_dumps),
		cmocka_unit_test(keys_are_wiped_when_put_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
