/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE's cryptography but for Diffie-Hellman (crypto_dh_test.c) against public vectors: the test of
 * itself, PRFs, and seals that must not open.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ike/crypto_priv.h"
#include "tests/ike/hex.h"

static void
self_test_passes(void **state)
{
	struct spw_err err = {0};

	assert_int_equal(ike_crypto_self_test(&err), 0);
	assert_int_equal(ike_crypto_self_test(&err), 0);
}

static void
self_test_refuses_wrong_answers(void **state)
{
	struct ike_kat_mac mac = {"4a656665",
				  "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
				  "effcdf6ae5eb2fa2d27416d5f184df9c259a7c78"};
	struct ike_kat_dh dh = {"05", "06", "00", "00"};
	struct ike_kat_cipher gcm = {.key = "feffe9928665731c6d6a8f9467308308cafebabe",
				     .iv = "facedbaddecaf888",
				     .aad = "feedface",
				     .plain = "d931",
				     .sealed = "428300000000000000000000000000000000"};
	struct ike_kat_mac none = {0};

	assert_int_equal(ike_kat_prf(SPW_PRF_HMAC_SHA1, &mac), -EIO);
	assert_int_equal(ike_kat_prf(SPW_PRF_HMAC_SHA1, &none), -EIO);
	assert_int_equal(ike_kat_cipher(SPW_ENCR_AES128_GCM, &gcm), -EIO);
	for (int g = 1; g < SPW_GROUP_COUNT; g++)
		assert_int_equal(ike_kat_dh((enum spw_group)g, &dh), -EIO);
	mac.mac = "effcdf6ae5eb2fa2d27416d4f184df9c259a7c79"; /* differs inside the ICV */
	assert_int_equal(ike_kat_integ(SPW_INTEG_HMAC_SHA1_96, &mac), -EIO);
}

/* RFC 2202 3, RFC 4231 4: cases 1, 3 and 6 (a key longer than the block). */
static void
prf_matches_rfc_vectors(void **state)
{
	static const struct {
		enum spw_prf prf;
		uint8_t key_byte;
		size_t key_len;
		const char *data;
		uint8_t data_byte;
		size_t data_len;
		const char *mac;
	} t[] = {
		{SPW_PRF_HMAC_SHA1, 0x0b, 20, "Hi There", 0, 8,
		 "b617318655057264e28bc0b6fb378c8ef146be00"},
		{SPW_PRF_HMAC_SHA1, 0xaa, 20, NULL, 0xdd, 50,
		 "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
		{SPW_PRF_HMAC_SHA1, 0xaa, 80,
		 "Test Using Larger Than Block-Size Key - Hash Key First", 0, 54,
		 "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
		{SPW_PRF_HMAC_SHA256, 0x0b, 20, "Hi There", 0, 8,
		 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{SPW_PRF_HMAC_SHA256, 0xaa, 20, NULL, 0xdd, 50,
		 "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{SPW_PRF_HMAC_SHA384, 0x0b, 20, "Hi There", 0, 8,
		 "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
		 "faea9ea9076ede7f4af152e8b2fa9cb6"},
		{SPW_PRF_HMAC_SHA384, 0xaa, 20, NULL, 0xdd, 50,
		 "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b"
		 "2a5ab39dc13814b94e3ab6e101a34f27"},
		{SPW_PRF_HMAC_SHA512, 0x0b, 20, "Hi There", 0, 8,
		 "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
		 "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
	};
	uint8_t key[80], data[64], out[64];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(key, t[i].key_byte, sizeof(key));
		memset(data, t[i].data_byte, sizeof(data));
		if (t[i].data)
			memcpy(data, t[i].data, t[i].data_len);
		struct ike_chunk c[] = {{data, 1}, {data + 1, t[i].data_len - 1}};

		assert_int_equal(ike_prf(t[i].prf, key, t[i].key_len, c, 2, out), 0);
		hex_expect(out, spw_prf_info(t[i].prf)->len, t[i].mac);
	}
}

/* T1 = prf(K, S|1), T2 = prf(K, T1|S|2), ... taken literally. */
static void
prf_plus_is_chained_prf(void **state)
{
	uint8_t key_bytes[7] = "key-key", t[64], whole[3 * 64];
	struct spw_secret key = {key_bytes, sizeof(key_bytes)}, out = {0};
	struct ike_chunk seed[] = {{"se", 2}, {"ed", 2}};

	for (int p = 1; p < SPW_PRF_COUNT; p++) {
		size_t block = spw_prf_info((enum spw_prf)p)->len, want = 2 * block + 5;

		for (uint8_t i = 1; i <= 3; i++) {
			struct ike_chunk c[] = {{t, i == 1 ? 0 : block}, {"seed", 4}, {&i, 1}};

			assert_int_equal(ike_prf((enum spw_prf)p, key.bytes, key.len, c, 3, t), 0);
			memcpy(whole + (i - 1) * block, t, block);
		}
		assert_int_equal(ike_prf_plus((enum spw_prf)p, &key, seed, 2, want, &out), 0);
		assert_int_equal(out.len, want);
		assert_memory_equal(out.bytes, whole, want);
		spw_secret_free(&out);
	}
}

static void
prf_plus_refuses_more_than_255_blocks(void **state)
{
	uint8_t key_bytes[4] = "key", big[1025] = {0};
	struct spw_secret key = {key_bytes, sizeof(key_bytes)}, out = {0};
	struct ike_chunk c = {big, 1024}, too_big = {big, 1025};

	assert_int_equal(ike_prf_plus(SPW_PRF_HMAC_SHA256, &key, &c, 1, 255 * 32, &out), 0);
	assert_int_equal(out.len, 255 * 32);
	spw_secret_free(&out);
	assert_int_equal(ike_prf_plus(SPW_PRF_HMAC_SHA256, &key, &c, 1, 255 * 32 + 1, &out),
			 -EINVAL);
	assert_int_equal(ike_prf_plus(SPW_PRF_HMAC_SHA256, &key, &c, 1, 0, &out), -EINVAL);
	assert_int_equal(ike_prf_plus(SPW_PRF_HMAC_SHA256, &key, &too_big, 1, 32, &out), -EINVAL);
	assert_null(out.bytes);
}

static void
sha1_matches_vector(void **state)
{
	struct ike_chunk c[] = {{"a", 1}, {NULL, 0}, {"bc", 2}};
	uint8_t out[20];

	assert_int_equal(ike_sha1(c, 3, out), 0);
	hex_expect(out, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static struct ike_cipher *
cipher_make(enum spw_encr encr)
{
	const struct spw_encr_info *e = spw_encr_info(encr);
	enum spw_integ integ = e->icv_len ? SPW_INTEG_NONE : SPW_INTEG_HMAC_SHA256_128;
	uint8_t key[64] = {1, 2, 3}, integ_key[32] = {4, 5, 6};
	struct ike_cipher *c;

	assert_int_equal(ike_cipher_new(&c, encr, key, (size_t)e->key_len + e->salt_len, integ,
					integ ? integ_key : NULL, integ ? 32 : 0),
			 0);
	return c;
}

static void
cipher_new_refuses_wrong_sizes(void **state)
{
	uint8_t key[64] = {0};
	struct ike_cipher *c = NULL;

	assert_int_equal(ike_cipher_new(&c, SPW_ENCR_AES128_GCM, key, 16, SPW_INTEG_NONE, NULL, 0),
			 -EINVAL);
	assert_int_equal(ike_cipher_new(&c, SPW_ENCR_AES128_GCM, key, 20, SPW_INTEG_HMAC_SHA256_128,
					key, 32),
			 -EINVAL);
	assert_int_equal(ike_cipher_new(&c, SPW_ENCR_AES128_CBC, key, 16, SPW_INTEG_NONE, NULL, 0),
			 -EINVAL);
	assert_int_equal(ike_cipher_new(&c, SPW_ENCR_AES128_CBC, key, 16, SPW_INTEG_HMAC_SHA256_128,
					key, 31),
			 -EINVAL);
	assert_int_equal(ike_cipher_new(&c, SPW_ENCR_NONE, key, 0, SPW_INTEG_NONE, NULL, 0),
			 -EINVAL);
	assert_null(c);
}

/* Every single flipped bit, header to ICV, must be refused, and the text must not be left there. */
static void
sealed_messages_open_and_no_bit_may_change(void **state)
{
	for (int e = 1; e < SPW_ENCR_COUNT; e++) {
		struct ike_cipher *c = cipher_make((enum spw_encr)e);
		size_t iv = ike_cipher_iv_len(c), icv = ike_cipher_icv_len(c), aad = 32;
		uint8_t msg[32 + 16 + 48 + 32], copy[sizeof(msg)], *plain;
		size_t len = aad + iv + 48 + icv, plain_len;

		assert_true(len <= sizeof(msg));
		memset(msg, 0x5a, sizeof(msg));
		assert_int_equal(ike_cipher_seal(c, msg, len, aad), 0);
		for (size_t bit = 0; bit < len * 8; bit++) {
			memcpy(copy, msg, sizeof(msg));
			copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			assert_int_equal(ike_cipher_open(c, copy, len, aad, &plain, &plain_len),
					 -EBADMSG);
		}
		for (size_t cut = 0; cut < len; cut++) {
			memcpy(copy, msg, sizeof(msg));
			assert_int_equal(ike_cipher_open(c, copy, cut, aad, &plain, &plain_len),
					 -EBADMSG);
		}
		assert_int_equal(ike_cipher_open(c, msg, len, aad, &plain, &plain_len), 0);
		assert_int_equal(plain_len, 48);
		assert_ptr_equal(plain, msg + aad + iv);
		for (size_t i = 0; i < 48; i++)
			assert_int_equal(plain[i], 0x5a);
		ike_cipher_free(c);
	}
}

static void
seal_refuses_text_that_does_not_fill_blocks(void **state)
{
	struct ike_cipher *c = cipher_make(SPW_ENCR_AES128_CBC);
	uint8_t msg[256] = {0};

	assert_int_equal(ike_cipher_seal(c, msg, 32 + 16 + 15 + 16, 32), -EINVAL);
	assert_int_equal(ike_cipher_seal(c, msg, 32 + 16 + 0 + 16, 32), -EINVAL);
	assert_int_equal(ike_cipher_seal(c, msg, 20, 32), -EINVAL);
	ike_cipher_free(c);
}

static void
aead_iv_counts_and_ends(void **state)
{
	struct ike_cipher *c = cipher_make(SPW_ENCR_AES256_GCM);
	uint8_t msg[32 + 8 + 4 + 16];

	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(ike_cipher_seal(c, msg, sizeof(msg), 32), 0);
		assert_int_equal(spw_get_be64(msg + 32), i);
	}
	c->iv_next = UINT64_MAX;
	assert_int_equal(ike_cipher_seal(c, msg, sizeof(msg), 32), 0);
	assert_int_equal(ike_cipher_seal(c, msg, sizeof(msg), 32), -EOVERFLOW);
	assert_int_equal(ike_cipher_seal(c, msg, sizeof(msg), 32), -EOVERFLOW);
	ike_cipher_free(c);
}

static void
cbc_iv_is_fresh(void **state)
{
	struct ike_cipher *c = cipher_make(SPW_ENCR_AES128_CBC);
	uint8_t a[32 + 16 + 16 + 16] = {0}, b[sizeof(a)] = {0};

	assert_int_equal(ike_cipher_seal(c, a, sizeof(a), 32), 0);
	assert_int_equal(ike_cipher_seal(c, b, sizeof(b), 32), 0);
	assert_memory_not_equal(a + 32, b + 32, 16);
	ike_cipher_free(c);
}

static int
setup(void **state)
{
	struct spw_err err = {0};

	return spw_secret_init() != 0 || ike_crypto_self_test(&err) != 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(self_test_passes),
		cmocka_unit_test(self_test_refuses_wrong_answers),
		cmocka_unit_test(prf_matches_rfc_vectors),
		cmocka_unit_test(prf_plus_is_chained_prf),
		cmocka_unit_test(prf_plus_refuses_more_than_255_blocks),
		cmocka_unit_test(sha1_matches_vector),
		cmocka_unit_test(cipher_new_refuses_wrong_sizes),
		cmocka_unit_test(sealed_messages_open_and_no_bit_may_change),
		cmocka_unit_test(seal_refuses_text_that_does_not_fill_blocks),
		cmocka_unit_test(aead_iv_counts_and_ends),
		cmocka_unit_test(cbc_iv_is_fresh),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
