/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Known-answer test of IKE's cryptography, run at start.
 *
 * One vector for every row of lib/algo.def; a row without a vector fails, so an algorithm cannot
 * come in untested. The vectors run through the same functions that serve peers (an AEAD's IV
 * counter is set to the vector's IV), and each check is a function of its vector, so that a test
 * can show that a wrong answer is refused. The answers are public: RFC 2202, RFC 4231 (HMAC), the
 * GCM specification's cases 4, 10, 16, SP 800-38A F.2 (CBC; the ICV over it was computed by
 * another implementation), RFC 5903 8 (ECP), RFC 5114 A.3 (group 24; its private values serve
 * groups 2 and 14 too, with answers by integer arithmetic). Long values are kept as SHA-256.
 *
 * Called once, from the main thread, before other use: it also sets aside OpenSSL's locked heap,
 * where the private values of key exchanges then live.
 */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "ike/crypto_priv.h"

#define KAT_MAX	    512
#define SECURE_HEAP (1024 * 1024)
#define SECURE_MIN  32

struct blob {
	uint8_t bytes[KAT_MAX];
	size_t len;
};

#define GCM_PLAIN                                                  \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d" \
	"8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define GCM_AAD	 "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define GCM_KEY	 "feffe9928665731c6d6a8f9467308308"
#define GCM_SALT "cafebabe"
#define GCM_IV	 "facedbaddecaf888"
#define CBC_IV	 "000102030405060708090a0b0c0d0e0f"
#define CBC_PLAIN                                                          \
	"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" \
	"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
#define COUNTING_KEY_32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define COUNTING_KEY_48 COUNTING_KEY_32 "202122232425262728292a2b2c2d2e2f"
#define JEFE		"4a656665"
#define JEFE_DATA	"7768617420646f2079612077616e7420666f72206e6f7468696e673f"
#define JEFE_SHA1	"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
#define JEFE_SHA256	"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
#define JEFE_SHA384                                                        \
	"af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e" \
	"8e2240ca5e69e2c78b3239ecfab21649"
#define JEFE_SHA512                                                        \
	"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554" \
	"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
#define MODP_A "0881382cdb87660c6dc13e614938d5b9c8b2f248581cc5e31b35454397fce50e"
#define MODP_B "7d62a7e3ef36de617b13d1afb82c780d83a23bd4ee6705645121f371f546a53d"

static const struct ike_kat_mac prf_vectors[SPW_PRF_COUNT] = {
	[SPW_PRF_HMAC_SHA1] = {JEFE, JEFE_DATA, JEFE_SHA1},
	[SPW_PRF_HMAC_SHA256] = {JEFE, JEFE_DATA, JEFE_SHA256},
	[SPW_PRF_HMAC_SHA384] = {JEFE, JEFE_DATA, JEFE_SHA384},
	[SPW_PRF_HMAC_SHA512] = {JEFE, JEFE_DATA, JEFE_SHA512},
};
/* Only the first ICV bytes of the answer are compared. */
static const struct ike_kat_mac integ_vectors[SPW_INTEG_COUNT] = {
	[SPW_INTEG_HMAC_SHA1_96] = {JEFE, JEFE_DATA, JEFE_SHA1},
	[SPW_INTEG_HMAC_SHA256_128] = {JEFE, JEFE_DATA, JEFE_SHA256},
	[SPW_INTEG_HMAC_SHA384_192] = {JEFE, JEFE_DATA, JEFE_SHA384},
	[SPW_INTEG_HMAC_SHA512_256] = {JEFE, JEFE_DATA, JEFE_SHA512},
};
static const struct ike_kat_cipher cipher_vectors[SPW_ENCR_COUNT] = {
	[SPW_ENCR_AES128_GCM] = {.key = GCM_KEY GCM_SALT,
				 .iv = GCM_IV,
				 .aad = GCM_AAD,
				 .plain = GCM_PLAIN,
				 .sealed = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e0"
					   "35c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05"
					   "1ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95a"
					   "e7121a47"},
	[SPW_ENCR_AES192_GCM] = {.key = GCM_KEY "feffe9928665731c" GCM_SALT,
				 .iv = GCM_IV,
				 .aad = GCM_AAD,
				 .plain = GCM_PLAIN,
				 .sealed = "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984"
					   "628593b40ca1e19c7d773d00c144c525ac619d18c84a3f47"
					   "18e2448b2fe324d9ccda27102519498e80f1478f37ba55bd"
					   "6d27618c"},
	[SPW_ENCR_AES256_GCM] = {.key = GCM_KEY GCM_KEY GCM_SALT,
				 .iv = GCM_IV,
				 .aad = GCM_AAD,
				 .plain = GCM_PLAIN,
				 .sealed = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c9"
					   "7598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
					   "c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853"
					   "bb2d551b"},
	[SPW_ENCR_AES128_CBC] = {.key = "2b7e151628aed2a6abf7158809cf4f3c",
				 .iv = CBC_IV,
				 .aad = GCM_AAD,
				 .plain = CBC_PLAIN,
				 .sealed = "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee"
					   "95db113a917678b273bed6b8e3c1743b7116e69e22229516"
					   "3ff1caa1681fac09120eca307586e1a7"
					   "acbad0ab0d12421b14622e46b7eae04c",
				 .integ = SPW_INTEG_HMAC_SHA256_128,
				 .integ_key = COUNTING_KEY_32},
	[SPW_ENCR_AES256_CBC] = {.key = "603deb1015ca71be2b73aef0857d7781"
					"1f352c073b6108d72d9810a30914dff4",
				 .iv = CBC_IV,
				 .aad = GCM_AAD,
				 .plain = CBC_PLAIN,
				 .sealed = "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d"
					   "679f777bc6702c7d39f23369a9d9bacfa530e26304231461"
					   "b2eb05e2c39be9fcda6c19078c6a9d1b"
					   "b41bc9f019773ef0e1b86c2256ea1d53e684e7b013010a3a",
				 .integ = SPW_INTEG_HMAC_SHA384_192,
				 .integ_key = COUNTING_KEY_48},
	/* RFC 7634 appendix A */
	[SPW_ENCR_CHACHA20_POLY1305] =
		{.key = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
			"a0a1a2a3",
		 .iv = "1011121314151617",
		 .aad = "0102030400000005",
		 .plain = "45000054a6f200004001e778c6336405c000020508005b7a"
			  "3a080000553bec100007362708090a0b0c0d0e0f10111213"
			  "1415161718191a1b1c1d1e1f202122232425262728292a2b"
			  "2c2d2e2f303132333435363701020204",
		 .sealed = "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b9"
			   "82d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f7"
			   "2aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b50"
			   "2773f6fb94e664da9165b82829f641e0"
			   "76aaa8266b7fb0f7b11b369907e1ad43"},
};
static const struct ike_kat_dh dh_vectors[SPW_GROUP_COUNT] = {
	[SPW_GROUP_MODP1024] = {MODP_A, MODP_B,
				"0836f04548873b9d4bb7131c4d24ecb65d334e78cac2439f9e63dc2b317e8e72",
				"f426c123d6ff114347e0d90c71bd7955d7a1b0193fedd47e5ed8e650bcff5af2"},
	[SPW_GROUP_MODP2048] = {MODP_A, MODP_B,
				"475b5050a9fca4f84c91d286bfd7ab1f353398a1eef2a21ab3f7f5ebf0cd80c1",
				"95cf334c5f49398e4ca9f2a35dd62f73083f64a70e2adef533ba1bdba7357f38"},
	[SPW_GROUP_MODP2048S256] =
		{MODP_A, MODP_B, "ba101a638cd0382ded9814bbf575c26ac8bb2a7e0977ec68ac964ecc4b62a6c4",
		 "01eb7b326b9093eea16968f04915ea1097194caee5bc657dba57bb69c6b7613d"},
	[SPW_GROUP_ECP256] = {"c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
			      "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
			      "293c9fbafaa2f0a1ee2c320e4bf43070db05750a46ad05fa4108365a851a3518",
			      "0519dc09b36efad1d00aef1d5b53b100202eb910b5de0dede75f190a357a367d"},
	[SPW_GROUP_ECP384] = {"099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f16"
			      "0647b67414dce655e35b538041e649ee3faef896783ab194",
			      "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060"
			      "855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc",
			      "9e655dcef6e54906df1e785bf769e6912714ce2c3739cca4d1d1938c29db7b63",
			      "a54975fc64aa0e1513ec7d41207c7c2338735226a4f1582d71b40e49a9785ee1"},
	[SPW_GROUP_ECP521] = {"0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a0"
			      "95aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d"
			      "4a52",
			      "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e"
			      "9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb15168"
			      "5eb9",
			      "487f9c7e60de7f004a1622bce27b79f22a004c473a851e307d04328fae1c3d88",
			      "d26abc7eae12e6c1789c0a3850a987e3bfbdf0dd24588fdd774c3dca0c400404"},
	/* RFC 7748 6.1 */
	[SPW_GROUP_X25519] = {"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			      "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
			      "300c9c9603b92a4b39ed3958bf9240114804db4fd373012c0ca47432d63425ae",
			      "dead45a1d43d6902aa9240b43c0d75a0b5fc750660590d6d45461cbfc4010684"},
};

static bool
blob_read(struct blob *b, const char *hex)
{
	b->len = 0;
	return hex && sodium_hex2bin(b->bytes, sizeof(b->bytes), hex, strlen(hex), NULL, &b->len,
				     NULL) == 0;
}

static bool
blob_starts(const struct blob *b, const uint8_t *bytes, size_t len)
{
	return b->len >= len && memcmp(b->bytes, bytes, len) == 0;
}

static bool
sha256_is(const void *bytes, size_t len, const char *hex)
{
	struct blob want;
	uint8_t got[32];

	return blob_read(&want, hex) && want.len == sizeof(got) &&
	       EVP_Digest(bytes, len, got, NULL, EVP_sha256(), NULL) == 1 &&
	       memcmp(got, want.bytes, sizeof(got)) == 0;
}

int
ike_kat_prf(enum spw_prf prf, const struct ike_kat_mac *v)
{
	struct blob key, data, mac;
	uint8_t out[64];

	if (!blob_read(&key, v->key) || !blob_read(&data, v->data) || !blob_read(&mac, v->mac))
		return -EIO;
	/* Split, so that the chunks are seen to join. */
	struct ike_chunk c[] = {{data.bytes, 3}, {data.bytes, 0}, {data.bytes + 3, data.len - 3}};

	if (ike_prf(prf, key.bytes, key.len, c, 3, out) != 0)
		return -EIO;
	return blob_starts(&mac, out, spw_prf_info(prf)->len) ? 0 : -EIO;
}

int
ike_kat_integ(enum spw_integ integ, const struct ike_kat_mac *v)
{
	struct blob key, data, mac;
	uint8_t out[64];

	if (!blob_read(&key, v->key) || !blob_read(&data, v->data) || !blob_read(&mac, v->mac))
		return -EIO;
	struct spw_secret k = {key.bytes, key.len}; /* borrowed, public */
	struct ike_chunk c = {data.bytes, data.len};

	if (ike_integ(integ, &k, &c, 1, out) != 0)
		return -EIO;
	return blob_starts(&mac, out, spw_integ_info(integ)->icv_len) ? 0 : -EIO;
}

/* AAD | IV | body | room: the layout of a message. Returns its length. */
static size_t
message_lay(uint8_t *msg, const struct blob *aad, const struct blob *iv, const struct blob *body,
	    size_t room)
{
	memcpy(msg, aad->bytes, aad->len);
	memcpy(msg + aad->len, iv->bytes, iv->len);
	memcpy(msg + aad->len + iv->len, body->bytes, body->len);
	memset(msg + aad->len + iv->len + body->len, 0, room);
	return aad->len + iv->len + body->len + room;
}

static bool
cipher_opens(struct ike_cipher *c, uint8_t *msg, size_t len, size_t aad_len,
	     const struct blob *plain)
{
	uint8_t *text;
	size_t text_len;

	return ike_cipher_open(c, msg, len, aad_len, &text, &text_len) == 0 &&
	       text_len == plain->len && memcmp(text, plain->bytes, plain->len) == 0;
}

/* An AEAD must give the vector's bytes when it seals; CBC draws its IV, so it must open again. */
static bool
cipher_seals(struct ike_cipher *c, const struct blob *aad, const struct blob *iv,
	     const struct blob *plain, const struct blob *sealed)
{
	uint8_t msg[4 * KAT_MAX];
	size_t len = message_lay(msg, aad, iv, plain, ike_cipher_icv_len(c));

	if (iv->len == sizeof(uint64_t))
		c->iv_next = spw_get_be64(iv->bytes);
	if (ike_cipher_seal(c, msg, len, aad->len) != 0)
		return false;
	if (iv->len == sizeof(uint64_t) &&
	    (len != aad->len + iv->len + sealed->len ||
	     !blob_starts(sealed, msg + aad->len + iv->len, sealed->len)))
		return false;
	return cipher_opens(c, msg, len, aad->len, plain);
}

static bool
cipher_answers(struct ike_cipher *c, const struct blob *aad, const struct blob *iv,
	       const struct blob *plain, const struct blob *sealed)
{
	uint8_t msg[4 * KAT_MAX];
	size_t len = message_lay(msg, aad, iv, sealed, 0);

	if (!cipher_opens(c, msg, len, aad->len, plain))
		return false;
	len = message_lay(msg, aad, iv, sealed, 0);
	msg[len - 1] ^= 1;
	return !cipher_opens(c, msg, len, aad->len, plain) &&
	       cipher_seals(c, aad, iv, plain, sealed);
}

int
ike_kat_cipher(enum spw_encr encr, const struct ike_kat_cipher *v)
{
	struct blob key, iv, aad, plain, sealed, integ = {.len = 0};
	struct ike_cipher *c = NULL;
	int rc = -EIO;

	if (!blob_read(&key, v->key) || !blob_read(&iv, v->iv) || !blob_read(&aad, v->aad) ||
	    !blob_read(&plain, v->plain) || !blob_read(&sealed, v->sealed) ||
	    (v->integ_key && !blob_read(&integ, v->integ_key)))
		return -EIO;
	if (ike_cipher_new(&c, encr, key.bytes, key.len, v->integ,
			   v->integ_key ? integ.bytes : NULL, integ.len) == 0 &&
	    iv.len == ike_cipher_iv_len(c) && cipher_answers(c, &aad, &iv, &plain, &sealed))
		rc = 0;
	ike_cipher_free(c);
	return rc;
}

int
ike_kat_dh(enum spw_group group, const struct ike_kat_dh *v)
{
	size_t len = spw_group_info(group)->public_len;
	struct spw_secret ab = {0}, ba = {0};
	struct ike_dh *a = NULL, *b = NULL;
	struct blob priv_a, priv_b;
	int rc = -EIO;

	if (!blob_read(&priv_a, v->priv_a) || !blob_read(&priv_b, v->priv_b))
		return -EIO;
	if (ike_dh_from_private(&a, group, priv_a.bytes, priv_a.len) == 0 &&
	    ike_dh_from_private(&b, group, priv_b.bytes, priv_b.len) == 0 &&
	    sha256_is(ike_dh_public(a), len, v->public_a_sha256) &&
	    ike_dh_shared(a, ike_dh_public(b), len, &ab) == 0 &&
	    ike_dh_shared(b, ike_dh_public(a), len, &ba) == 0 && spw_secret_equal(&ab, &ba) &&
	    sha256_is(ab.bytes, ab.len, v->shared_sha256))
		rc = 0;
	spw_secret_free(&ab);
	spw_secret_free(&ba);
	ike_dh_free(a);
	ike_dh_free(b);
	return rc;
}

static int
failed(struct spw_err *err, const char *what)
{
	return spw_fail(err, -EIO,
			"self-test of %s failed: the cryptographic library or this machine "
			"computes wrongly; nothing is negotiated with it",
			what);
}

static int
secure_heap_start(struct spw_err *err)
{
	if (CRYPTO_secure_malloc_initialized() ||
	    CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_MIN) == 1)
		return 0;
	return spw_fail(err, -EIO,
			"cannot lock %d KiB of memory for private keys; raise the limit of locked "
			"memory (LimitMEMLOCK=, ulimit -l)",
			SECURE_HEAP / 1024);
}

int
ike_crypto_self_test(struct spw_err *err)
{
	int rc = secure_heap_start(err);

	if (rc != 0)
		return rc;
	for (int i = 1; i < SPW_PRF_COUNT; i++)
		if (ike_kat_prf((enum spw_prf)i, &prf_vectors[i]) != 0)
			return failed(err, spw_prf_info((enum spw_prf)i)->show_name);
	for (int i = 1; i < SPW_INTEG_COUNT; i++)
		if (ike_kat_integ((enum spw_integ)i, &integ_vectors[i]) != 0)
			return failed(err, spw_integ_info((enum spw_integ)i)->show_name);
	for (int i = 1; i < SPW_ENCR_COUNT; i++)
		if (ike_kat_cipher((enum spw_encr)i, &cipher_vectors[i]) != 0)
			return failed(err, spw_encr_info((enum spw_encr)i)->show_name);
	for (int i = 1; i < SPW_GROUP_COUNT; i++)
		if (ike_kat_dh((enum spw_group)i, &dh_vectors[i]) != 0)
			return failed(err, spw_group_info((enum spw_group)i)->conf_name);
	return 0;
}
