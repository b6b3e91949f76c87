/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE's Diffie-Hellman against public vectors and against plain arithmetic of big numbers and of
 * points: lengths that never depend on the value, values of a peer that must be refused, key pairs
 * that are copied or made again.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

#include "ike/crypto_priv.h"
#include "tests/ike/hex.h"

#define PUBLIC_MAX 256

/* Forced cases a group. */
static int
forced_cases(void)
{
	return getenv("SPW_LONG") ? 1000 : 40;
}

/* RFC 5903 8.1 to 8.3, RFC 5114 A.3, RFC 7748 6.1, whole values. */
static const struct {
	enum spw_group group;
	const char *priv, *public, *peer, *shared;
} dh_rfc[] = {
	{SPW_GROUP_ECP256, "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
	 "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180"
	 "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
	 "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
	 "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
	 "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"},
	{SPW_GROUP_ECP384,
	 "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE"
	 "3FAEF896783AB194",
	 "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4"
	 "C88732AEE95F41AA9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38E"
	 "EB9FCFF3C2C947DAE69B4C634573A81C",
	 "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF9"
	 "6FDA41D0774A3571DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FF"
	 "F83FA40142209DFF5EAAD96DB9E6386C",
	 "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D0"
	 "9CF5D4A270F59746"},
	{SPW_GROUP_MODP2048S256, "0881382CDB87660C6DC13E614938D5B9C8B2F248581CC5E31B35454397FCE50E",
	 "2E9380C8323AF97545BC4941DEB0EC3742C62FE0ECE824A6ABDBE66C59BEE0242911BFB967235CEB"
	 "A35AE13E4EC752BE630B92DC4BDE2847A9C62CB8152745421FB7EB60A63C0FE9159FCCE726CE7CD8"
	 "523D7450667EF840E4919121EB5F01C8C9B0D3D648A93BFB75689E8244AC134AF544711CE79A02DC"
	 "C34226684780DDDCB498594106C37F5BC79856487AF5AB022A2E5E42F09897C1A85A11EA0212AF04"
	 "D9B4CEBC937C3C1A3E15A8A0342E337615C84E7FE3B8B9B87FB1E73A15AF12A30D746E06DFC34F29"
	 "0D797CE51AA13AA785BF6658AFF5E4B093003CBEAF665B3C2E113A3A4E905269341DC0711426685F"
	 "4EF37E868A8126FF3F2279B57CA67E29",
	 "575F0351BD2B1B817448BDF87A6C362C1E289D3903A30B9832C5741FA250363E7ACBC7F77F3DACBC"
	 "1F131ADD8E03367EFF8FBBB3E1C5784424809B25AFE4D2262A1A6FD2FAB64105CA30A674E07F7809"
	 "852088632FC049233791AD4EDD083A978B883EE618BC5E0DD047415F2D95E683CF14826B5FBE10D3"
	 "CE41C6C120C78AB20008C698BF7F0BCAB9D7F407BED0F43AFB2970F57F8D12043963E66DDD320D59"
	 "9AD9936C8F44137C08B180EC5E985CEBE186F3D549677E80607331EE17AF3380A725B0782317D7DD"
	 "43F59D7AF9568A9BB63A84D365F92244ED120988219302F42924C7CA90B89D24F71B0AB697823D7D"
	 "EB1AFF5B0E8E4A45D49F7F53757E1913",
	 "86C70BF8D0BB81BB01078A17219CB7D27203DB2A19C877F1D1F19FD7D77EF22546A68F005AD52DC8"
	 "4553B78FC60330BE51EA7C0672CAC1515E4B35C047B9A551B88F39DC26DA14A09EF74774D47C762D"
	 "D177F9ED5BC2F11E52C879BD95098504CD9EECD8A8F9B3EFBD1F008AC5853097D9D1837F2B18F77C"
	 "D7BE01AF80A7C7B5EA3CA54CC02D0C116FEE3F95BB87399385875D7E86747E676E728938ACBFF709"
	 "8E05BE4DCFB24052B83AEFFB14783F029ADBDE7F53FAE92084224090E007CEE94D4BF2BACE9FFD4B"
	 "57D2AF7C724D0CAA19BF0501F6F17B4AA10F425E3EA76080B4B9D6B3CEFEA115B2CEB8789BB8A3B0"
	 "EA87FEBE63B6C8F846EC6DB0C26C5D7C"},
	{SPW_GROUP_ECP521,
	 "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A095AA85A30FE1C295"
	 "2C6771D937BA9777F5957B2639BAB072462F68C27A57382D4A52",
	 "0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBEE1E3BF42E00B8E38"
	 "0AEAE57C2D107564941885942AF5A7F4601723C4195D176CED3E017CAE20B6641D2EEB695786D8C9"
	 "46146239D099E18E1D5A514C739D7CB4A10AD8A788015AC405D7799DC75E7B7D5B6CF2261A6A7F15"
	 "07438BF01BEB6CA3926F9582",
	 "00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A219B97C356436ADC6E"
	 "95BB0352F6BE64A6C2912D4EF2D0433CED2B6171640012D9460F015C68226383956E3BD066E797B6"
	 "23C27CE0EAC2F551A10C2C724D9852077B87220B6536C5C408A1D2AEBB8E86D678AE49CB57091F47"
	 "32296579AB44FCD17F0FC56A",
	 "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04D1427E73CA4BAA24"
	 "0A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3DDEA"},
	{SPW_GROUP_X25519, "77076D0A7318A57D3C16C17251B26645DF4C2F87EBC0992AB177FBA51DB92C2A",
	 "8520F0098930A754748B7DDCB43EF75A0DBF3A0D26381AF4EBA4A98EAA9B4E6A",
	 "DE9EDB7D7B7DC1B4D35B61C2ECE435373F8343C85B78674DADFC7E146F882B4F",
	 "4A5D9D5BA4CE2DE1728E3BF480350F25E07E21C947D19E3376F09B3C1E161742"},
};

static void
dh_matches_rfc_vectors(void **state)
{
	for (size_t i = 0; i < sizeof(dh_rfc) / sizeof(dh_rfc[0]); i++) {
		uint8_t priv[66], peer[PUBLIC_MAX];
		size_t priv_len = hex_read(priv, sizeof(priv), dh_rfc[i].priv);
		size_t peer_len = hex_read(peer, sizeof(peer), dh_rfc[i].peer);
		struct spw_secret z = {0};
		struct ike_dh *dh;

		assert_int_equal(ike_dh_from_private(&dh, dh_rfc[i].group, priv, priv_len), 0);
		hex_expect(ike_dh_public(dh), spw_group_info(dh_rfc[i].group)->public_len,
			   dh_rfc[i].public);
		assert_int_equal(ike_dh_shared(dh, peer, peer_len, &z), 0);
		hex_expect(z.bytes, z.len, dh_rfc[i].shared);
		spw_secret_free(&z);
		ike_dh_free(dh);
	}
}

static void
dh_two_sides_agree_once(void **state)
{
	for (int g = 1; g < SPW_GROUP_COUNT; g++) {
		const struct spw_group_info *info = spw_group_info((enum spw_group)g);
		struct spw_secret za = {0}, zb = {0}, again = {0};
		struct ike_dh *a, *b;

		assert_int_equal(ike_dh_new(&a, (enum spw_group)g), 0);
		assert_int_equal(ike_dh_new(&b, (enum spw_group)g), 0);
		assert_int_equal(ike_dh_group(a), g);
		assert_memory_not_equal(ike_dh_public(a), ike_dh_public(b), info->public_len);
		assert_int_equal(ike_dh_shared(a, ike_dh_public(b), info->public_len, &za), 0);
		assert_int_equal(ike_dh_shared(b, ike_dh_public(a), info->public_len, &zb), 0);
		assert_int_equal(za.len, info->secret_len);
		assert_true(spw_secret_equal(&za, &zb));
		/* The private key has served. */
		assert_int_equal(ike_dh_shared(a, ike_dh_public(b), info->public_len, &again),
				 -EINVAL);
		assert_null(again.bytes);
		spw_secret_free(&za);
		spw_secret_free(&zb);
		ike_dh_free(a);
		ike_dh_free(b);
	}
	struct ike_dh *none;

	assert_int_equal(ike_dh_new(&none, SPW_GROUP_NONE), -ENOTSUP);
	assert_int_equal(ike_dh_new(&none, SPW_GROUP_COUNT), -ENOTSUP);
}

/* The primes and generators, from their defining formulas by way of OpenSSL's constants. */
struct modp {
	BIGNUM *p, *g, *q;
};

static struct modp
modp_of(enum spw_group g)
{
	struct modp m = {NULL, BN_new(), NULL};

	if (g == SPW_GROUP_MODP1024)
		m.p = BN_get_rfc2409_prime_1024(NULL);
	else if (g == SPW_GROUP_MODP2048)
		m.p = BN_get_rfc3526_prime_2048(NULL);
	BN_set_word(m.g, 2);
	if (g == SPW_GROUP_MODP2048S256) { /* RFC 5114 2.3 */
		BN_hex2bn(&m.p, "87A8E61DB4B6663CFFBBD19C651959998CEEF608660DD0F25D2CEED4435E3B00"
				"E00DF8F1D61957D4FAF7DF4561B2AA3016C3D91134096FAA3BF4296D830E9A7C"
				"209E0C6497517ABD5A8A9D306BCF67ED91F9E6725B4758C022E0B1EF4275BF7B"
				"6C5BFC11D45F9088B941F54EB1E59BB8BC39A0BF12307F5C4FDB70C581B23F76"
				"B63ACAE1CAA6B7902D52526735488A0EF13C6D9A51BFA4AB3AD8347796524D8E"
				"F6A167B5A41825D967E144E5140564251CCACB83E6B486F6B3CA3F7971506026"
				"C0B857F689962856DED4010ABD0BE621C3A3960A54E710C375F26375D7014103"
				"A4B54330C198AF126116D2276E11715F693877FAD7EF09CADB094AE91E1A1597");
		BN_hex2bn(&m.g, "3FB32C9B73134D0B2E77506660EDBD484CA7B18F21EF205407F4793A1A0BA125"
				"10DBC15077BE463FFF4FED4AAC0BB555BE3A6C1B0C6B47B1BC3773BF7E8C6F62"
				"901228F8C28CBB18A55AE31341000A650196F931C77A57F2DDF463E5E9EC144B"
				"777DE62AAAB8A8628AC376D282D6ED3864E67982428EBC831D14348F6F2F9193"
				"B5045AF2767164E1DFC967C1FB3F2E55A4BD1BFFE83B9C80D052B985D182EA0A"
				"DB2A3B7313D3FE14C8484B1E052588B9B7D2BBD2DF016199ECD06E1557CD0915"
				"B3353BBB64E0EC377FD028370DF92B52C7891428CDC67EB6184B523D1DB246C3"
				"2F63078490F00EF8D647D148D47954515E2327CFEF98C582664B4C0F6CC41659");
		BN_hex2bn(&m.q, "8CF83642A709A097B447997640129DA299B1A47D1EB3750BA308B0FE64F5FBD3");
	}
	return m;
}

static void
modp_free(struct modp *m)
{
	BN_free(m->p);
	BN_free(m->g);
	BN_free(m->q);
}

/* Our value times itself until the secret starts with a zero byte: peer g^n, secret ours^n. */
static void
modp_force_zero(const struct modp *m, struct ike_dh *dh, size_t len, uint8_t *peer, uint8_t *secret)
{
	BN_CTX *bn = BN_CTX_new();
	BIGNUM *ours = BN_bin2bn(ike_dh_public(dh), (int)len, NULL);
	BIGNUM *z = BN_dup(ours), *y = BN_dup(m->g);

	do {
		assert_true(BN_mod_mul(z, z, ours, m->p, bn) && BN_mod_mul(y, y, m->g, m->p, bn));
		assert_int_equal(BN_bn2binpad(z, secret, (int)len), len);
	} while (secret[0] != 0);
	assert_int_equal(BN_bn2binpad(y, peer, (int)len), len);
	BN_free(ours);
	BN_free(z);
	BN_free(y);
	BN_CTX_free(bn);
}

static void
modp_secret_keeps_leading_zeros(void **state)
{
	static const enum spw_group groups[] = {SPW_GROUP_MODP1024, SPW_GROUP_MODP2048,
						SPW_GROUP_MODP2048S256};

	for (size_t i = 0; i < 3; i++) {
		size_t len = spw_group_info(groups[i])->public_len;
		struct modp m = modp_of(groups[i]);

		for (int n = 0; n < forced_cases(); n++) {
			uint8_t peer[PUBLIC_MAX], want[PUBLIC_MAX];
			struct spw_secret z = {0};
			struct ike_dh *dh;

			assert_int_equal(ike_dh_new(&dh, groups[i]), 0);
			modp_force_zero(&m, dh, len, peer, want);
			assert_int_equal(ike_dh_shared(dh, peer, len, &z), 0);
			assert_int_equal(z.len, len);
			assert_int_equal(z.bytes[0], 0);
			assert_memory_equal(z.bytes, want, len);
			spw_secret_free(&z);
			ike_dh_free(dh);
		}
		modp_free(&m);
	}
}

static void
ecp_force_zero(const EC_GROUP *group, struct ike_dh *dh, size_t len, uint8_t *peer, uint8_t *x)
{
	uint8_t ours[1 + PUBLIC_MAX] = {4}, wire[1 + PUBLIC_MAX];
	EC_POINT *p = EC_POINT_new(group), *z = EC_POINT_new(group), *y = EC_POINT_new(group);
	const EC_POINT *g = EC_GROUP_get0_generator(group);

	memcpy(ours + 1, ike_dh_public(dh), len);
	assert_true(EC_POINT_oct2point(group, p, ours, len + 1, NULL));
	assert_true(EC_POINT_copy(z, p) && EC_POINT_copy(y, g));
	do {
		assert_true(EC_POINT_add(group, z, z, p, NULL) &&
			    EC_POINT_add(group, y, y, g, NULL));
		assert_true(EC_POINT_point2oct(group, z, POINT_CONVERSION_UNCOMPRESSED, wire,
					       sizeof(wire), NULL));
	} while (wire[1] != 0 || (len == 132 && wire[2] != 0));
	memcpy(x, wire + 1, len / 2);
	assert_true(EC_POINT_point2oct(group, y, POINT_CONVERSION_UNCOMPRESSED, wire, sizeof(wire),
				       NULL));
	memcpy(peer, wire + 1, len);
	EC_POINT_free(p);
	EC_POINT_free(z);
	EC_POINT_free(y);
}

static void
ecp_secret_keeps_leading_zeros(void **state)
{
	static const struct {
		enum spw_group group;
		int nid;
	} t[] = {{SPW_GROUP_ECP256, NID_X9_62_prime256v1},
		 {SPW_GROUP_ECP384, NID_secp384r1},
		 {SPW_GROUP_ECP521, NID_secp521r1}};

	/* a first octet of 521 bits is zero every other time, so the second must be as well */
	for (size_t i = 0; i < 3; i++) {
		size_t len = spw_group_info(t[i].group)->public_len;
		EC_GROUP *group = EC_GROUP_new_by_curve_name(t[i].nid);

		for (int n = 0; n < forced_cases(); n++) {
			uint8_t peer[PUBLIC_MAX], want[PUBLIC_MAX];
			struct spw_secret z = {0};
			struct ike_dh *dh;

			assert_int_equal(ike_dh_new(&dh, t[i].group), 0);
			ecp_force_zero(group, dh, len, peer, want);
			assert_int_equal(ike_dh_shared(dh, peer, len, &z), 0);
			assert_int_equal(z.len, len / 2);
			assert_int_equal(z.bytes[0], 0);
			assert_memory_equal(z.bytes, want, len / 2);
			spw_secret_free(&z);
			ike_dh_free(dh);
		}
		EC_GROUP_free(group);
	}
}

/* Private values whose public value is known to start with zero bytes: g^x = 2 and 2^9. */
static void
public_value_keeps_leading_zeros(void **state)
{
	static const uint8_t one[] = {1}, nine[] = {9};
	uint8_t want[PUBLIC_MAX] = {0};
	struct ike_dh *dh;

	for (int i = 0; i < 2; i++) {
		enum spw_group g = i ? SPW_GROUP_MODP2048 : SPW_GROUP_MODP1024;
		size_t len = spw_group_info(g)->public_len;

		memset(want, 0, sizeof(want));
		want[len - 1] = 2;
		assert_int_equal(ike_dh_from_private(&dh, g, one, 1), 0);
		assert_memory_equal(ike_dh_public(dh), want, len);
		ike_dh_free(dh);
		want[len - 1] = 0;
		want[len - 2] = 2;
		assert_int_equal(ike_dh_from_private(&dh, g, nine, 1), 0);
		assert_memory_equal(ike_dh_public(dh), want, len);
		ike_dh_free(dh);
	}
}

static void
ecp_public_value_keeps_leading_zeros(void **state)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT *point = EC_POINT_dup(EC_GROUP_get0_generator(group), group);
	unsigned int zeros = 0;

	for (uint16_t k = 1; k < 1000; k++) {
		uint8_t priv[2], want[65];
		struct ike_dh *dh;

		spw_put_be16(priv, k);
		EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, want, sizeof(want),
				   NULL);
		assert_int_equal(ike_dh_from_private(&dh, SPW_GROUP_ECP256, priv, 2), 0);
		assert_memory_equal(ike_dh_public(dh), want + 1, 64);
		zeros += want[1] == 0 || want[33] == 0;
		EC_POINT_add(group, point, point, EC_GROUP_get0_generator(group), NULL);
		ike_dh_free(dh);
	}
	assert_true(zeros > 0);
	EC_POINT_free(point);
	EC_GROUP_free(group);
}

static void
refuse_peer(enum spw_group g, const uint8_t *peer, size_t len)
{
	struct spw_secret z = {0};
	struct ike_dh *dh;

	assert_int_equal(ike_dh_new(&dh, g), 0);
	assert_int_equal(ike_dh_shared(dh, peer, len, &z), -EINVAL);
	assert_null(z.bytes);
	assert_int_equal(ERR_peek_error(), 0);
	ike_dh_free(dh);
}

static void
modp_refuses_degenerate_peers(void **state)
{
	static const enum spw_group groups[] = {SPW_GROUP_MODP1024, SPW_GROUP_MODP2048,
						SPW_GROUP_MODP2048S256};

	for (size_t i = 0; i < 3; i++) {
		size_t len = spw_group_info(groups[i])->public_len;
		struct modp m = modp_of(groups[i]);
		uint8_t peer[PUBLIC_MAX] = {0};

		refuse_peer(groups[i], peer, len); /* 0 */
		peer[len - 1] = 1;
		refuse_peer(groups[i], peer, len); /* 1 */
		BN_bn2binpad(m.p, peer, (int)len);
		refuse_peer(groups[i], peer, len); /* p */
		peer[len - 1]--;
		refuse_peer(groups[i], peer, len); /* p-1 */
		BN_add_word(m.p, 1);
		BN_bn2binpad(m.p, peer, (int)len);
		refuse_peer(groups[i], peer, len); /* p+1 */
		memset(peer, 0xff, len);
		refuse_peer(groups[i], peer, len);
		BN_bn2binpad(m.g, peer, (int)len);
		refuse_peer(groups[i], peer, len - 1);
		refuse_peer(groups[i], peer, 0);
		modp_free(&m);
	}
}

/* RFC 6989 2.2: 2 is a number in range, and outside group 24's subgroup. */
static void
group_24_refuses_values_outside_its_subgroup(void **state)
{
	struct modp m = modp_of(SPW_GROUP_MODP2048S256);
	BN_CTX *bn = BN_CTX_new();
	uint8_t peer[PUBLIC_MAX] = {0};
	BIGNUM *r = BN_new();

	assert_true(BN_mod_exp(r, m.g, m.q, m.p, bn) && BN_is_one(r));
	peer[255] = 2;
	refuse_peer(SPW_GROUP_MODP2048S256, peer, 256);
	BN_free(r);
	BN_CTX_free(bn);
	modp_free(&m);
}

static void
ecp_refuses_points_off_the_curve(void **state)
{
	static const enum spw_group groups[] = {SPW_GROUP_ECP256, SPW_GROUP_ECP384,
						SPW_GROUP_ECP521};
	static const size_t vector[] = {0, 1, 3};

	for (size_t i = 0; i < 3; i++) {
		size_t len = spw_group_info(groups[i])->public_len;
		uint8_t peer[PUBLIC_MAX + 1] = {0};

		assert_int_equal(dh_rfc[vector[i]].group, groups[i]);

		refuse_peer(groups[i], peer, len); /* 0, 0 */
		memset(peer, 0xff, len);
		refuse_peer(groups[i], peer, len); /* coordinates above p */
		assert_int_equal(hex_read(peer, sizeof(peer), dh_rfc[vector[i]].peer), len);
		peer[len - 1] ^= 1;
		refuse_peer(groups[i], peer, len);
		peer[len - 1] ^= 1;
		refuse_peer(groups[i], peer, len - 1);
		refuse_peer(groups[i], peer, len + 1);
		refuse_peer(groups[i], peer, len / 2);
		refuse_peer(groups[i], peer, 1);
	}
}

/* RFC 7748 5.2: the value's top bit is not looked at, the scalar is clamped. */
static void
x25519_matches_rfc_scalar_vectors(void **state)
{
	static const char *const v[][3] = {
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		 "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		 "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		 "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		 "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
	};

	for (size_t i = 0; i < 2; i++) {
		uint8_t scalar[32], u[32];
		struct spw_secret z = {0};
		struct ike_dh *dh;

		assert_int_equal(hex_read(scalar, sizeof(scalar), v[i][0]), 32);
		assert_int_equal(hex_read(u, sizeof(u), v[i][1]), 32);
		assert_int_equal(ike_dh_from_private(&dh, SPW_GROUP_X25519, scalar, 32), 0);
		assert_int_equal(ike_dh_shared(dh, u, 32, &z), 0);
		hex_expect(z.bytes, z.len, v[i][2]);
		spw_secret_free(&z);
		ike_dh_free(dh);
	}
}

/* RFC 7748 6.1, RFC 8031 5: whatever our scalar, the secret would be zero. */
static void
x25519_refuses_values_of_small_order_and_wrong_length(void **state)
{
	static const char *const bad[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"};
	uint8_t peer[33] = {9};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(hex_read(peer, sizeof(peer), bad[i]), 32);
		refuse_peer(SPW_GROUP_X25519, peer, 32);
	}
	memset(peer, 0, sizeof(peer));
	peer[0] = 9;
	refuse_peer(SPW_GROUP_X25519, peer, 31);
	refuse_peer(SPW_GROUP_X25519, peer, 33);
	refuse_peer(SPW_GROUP_X25519, peer, 0);
}

/* A copy gives the same secret; each serves once, for itself. */
static void
a_copy_of_a_key_pair_is_one_of_its_own(void **state)
{
	for (int g = 1; g < SPW_GROUP_COUNT; g++) {
		size_t len = spw_group_info((enum spw_group)g)->public_len;
		struct spw_secret x = {0}, y = {0}, z = {0};
		struct ike_dh *a, *b, *copy, *none = NULL;

		assert_int_equal(ike_dh_new(&a, (enum spw_group)g), 0);
		assert_int_equal(ike_dh_new(&b, (enum spw_group)g), 0);
		assert_int_equal(ike_dh_copy(&copy, a), 0);
		assert_memory_equal(ike_dh_public(copy), ike_dh_public(a), len);
		assert_int_equal(ike_dh_shared(copy, ike_dh_public(b), len, &x), 0);
		assert_int_equal(ike_dh_copy(&none, copy), -ENOENT);
		ike_dh_free(copy);
		assert_int_equal(ike_dh_shared(a, ike_dh_public(b), len, &y), 0);
		assert_int_equal(ike_dh_shared(a, ike_dh_public(b), len, &z), -EINVAL);
		assert_true(spw_secret_equal(&x, &y));
		assert_null(none);
		spw_secret_free(&x);
		spw_secret_free(&y);
		ike_dh_free(a);
		ike_dh_free(b);
	}
}

/* The escrow keeps the private value in one length; what comes of it is the same pair. */
static void
a_private_value_makes_the_same_pair_again(void **state)
{
	for (int g = 1; g < SPW_GROUP_COUNT; g++) {
		uint8_t value[IKE_DH_PRIVATE_MAX];
		struct ike_dh *a, *b;

		assert_int_equal(ike_dh_new(&a, (enum spw_group)g), 0);
		assert_int_equal(ike_dh_private(a, value), 0);
		assert_int_equal(ike_dh_from_private(&b, (enum spw_group)g, value, sizeof(value)),
				 0);
		assert_memory_equal(ike_dh_public(a), ike_dh_public(b),
				    spw_group_info((enum spw_group)g)->public_len);
		ike_dh_free(a);
		ike_dh_free(b);
	}
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
		cmocka_unit_test(dh_matches_rfc_vectors),
		cmocka_unit_test(dh_two_sides_agree_once),
		cmocka_unit_test(modp_secret_keeps_leading_zeros),
		cmocka_unit_test(ecp_secret_keeps_leading_zeros),
		cmocka_unit_test(public_value_keeps_leading_zeros),
		cmocka_unit_test(ecp_public_value_keeps_leading_zeros),
		cmocka_unit_test(modp_refuses_degenerate_peers),
		cmocka_unit_test(group_24_refuses_values_outside_its_subgroup),
		cmocka_unit_test(ecp_refuses_points_off_the_curve),
		cmocka_unit_test(x25519_matches_rfc_scalar_vectors),
		cmocka_unit_test(x25519_refuses_values_of_small_order_and_wrong_length),
		cmocka_unit_test(a_copy_of_a_key_pair_is_one_of_its_own),
		cmocka_unit_test(a_private_value_makes_the_same_pair_again),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
