/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: proposals as they come on the wire (IKE-027 to 029) and algorithms (ALG).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

/* A transform; `attr` is written behind it as it stands. */
struct transform {
	uint8_t type;
	uint16_t id;
	uint32_t attr; /* 0 = none */
};
#define KEY(bits) (0x800e0000u | (bits))

/* The SA payload of n proposals, one after the other, each ended by type 0. */
static bool
chosen(uint8_t protocol, uint8_t spi_len, const struct transform *t, unsigned int n,
       const struct spw_ike_proposal *own, const struct ike_choice_rule *rule)
{
	static struct ike_sa_payload sa;
	struct ike_choice c;
	struct spw_writer w;
	struct spw_reader r;
	uint8_t buf[1024];

	spw_writer_init(&w, buf, sizeof(buf));
	for (unsigned int p = 0; p < n; p++) {
		uint8_t *head = spw_write_reserve(&w, 8);
		uint8_t count = 0;

		for (unsigned int i = 0; i < spi_len; i++)
			spw_write_u8(&w, 0x11);
		for (; t->type; t++, count++) {
			spw_write_u8(&w, t[1].type ? 3 : 0);
			spw_write_u8(&w, 0);
			spw_write_u16(&w, t->attr ? 12 : 8);
			spw_write_u8(&w, t->type);
			spw_write_u8(&w, 0);
			spw_write_u16(&w, t->id);
			if (t->attr)
				spw_write_u32(&w, t->attr);
		}
		t++;
		head[0] = p + 1 == n ? 0 : 2;
		head[1] = 0;
		spw_put_be16(head + 2, (uint16_t)(w.at - head));
		head[4] = (uint8_t)(p + 1);
		head[5] = protocol;
		head[6] = spi_len;
		head[7] = count;
	}
	spw_reader_init(&r, buf, spw_writer_len(&w));
	assert_int_equal(ike_wire_sa(&sa, r), 0);
	return ike_proposal_choose(&sa, own, 1, rule, &c) == 0;
}

static const struct spw_ike_proposal gcm = {
	.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA256, .group = SPW_GROUP_ECP256};
static const struct spw_ike_proposal esp_gcm = {.encr = SPW_ENCR_AES256_GCM};
static const struct spw_ike_proposal esp_chacha = {.encr = SPW_ENCR_CHACHA20_POLY1305};
static const struct ike_choice_rule init_rule = {.protocol = IKE_PROTO_IKE, .with_group = true};
static const struct ike_choice_rule rekey_rule = {
	.protocol = IKE_PROTO_IKE, .with_group = true, .spi_len = 8};
static const struct ike_choice_rule esp_rule = {
	.protocol = IKE_PROTO_ESP, .spi_len = 4, .with_group = true, .encr_mask = ~0u};

static bool
taken(const struct transform *t, unsigned int n)
{
	return chosen(IKE_PROTO_IKE, 0, t, n, &gcm, &init_rule);
}

#define GOOD                          \
	{1, 20, KEY(256)}, {2, 5, 0}, \
	{                             \
		4, 19, 0              \
	}
#define END       \
	{         \
		0 \
	}
#define ESP_GOOD           \
	{1, 20, KEY(256)}, \
	{                  \
		5, 0, 0    \
	}

static void
ike_027_an_unknown_transform_or_attribute_spoils_itself_alone(void **state)
{
	const struct transform id[] = {{1, 99, KEY(256)}, {2, 77, 0}, {4, 4444, 0}, GOOD, END};
	const struct transform attr[] = {{1, 20, 0x80630001}, GOOD, END};
	const struct transform only[] = {{1, 20, 0x80630001}, {2, 5, 0}, {4, 19, 0}, END};

	assert_true(taken(id, 1));
	assert_true(taken(attr, 1));
	assert_false(taken(only, 1));
}

static void
ike_027_an_unknown_type_spoils_its_proposal_and_no_other(void **state)
{
	const struct transform one[] = {GOOD, {6, 35, 0}, END};
	const struct transform two[] = {GOOD, {6, 35, 0}, END, GOOD, END};
	const struct transform no_group[] = {{1, 20, KEY(256)}, {2, 5, 0}, END, GOOD, END};

	assert_false(taken(one, 1));
	assert_true(taken(two, 2));
	assert_false(taken(no_group, 1));
	assert_true(taken(no_group, 2));
}

static void
ike_028_each_exchange_has_its_size_of_spi(void **state)
{
	const struct transform ike[] = {GOOD, END}, esp[] = {ESP_GOOD, END};

	for (uint8_t len = 0; len < 12; len++) {
		assert_int_equal(chosen(IKE_PROTO_IKE, len, ike, 1, &gcm, &init_rule), len == 0);
		assert_int_equal(chosen(IKE_PROTO_IKE, len, ike, 1, &gcm, &rekey_rule), len == 8);
		assert_int_equal(chosen(IKE_PROTO_ESP, len, esp, 1, &esp_gcm, &esp_rule), len == 4);
	}
}

static void
ike_029_key_lengths_are_given_where_there_is_a_choice(void **state)
{
	static const uint16_t bits[] = {0, 1, 64, 128, 129, 192, 255, 256, 257, 512, 65535};
	const struct transform without[] = {{1, 20, 0}, {2, 5, 0}, {4, 19, 0}, END};
	const struct transform chacha[] = {{1, 28, 0}, {5, 0, 0}, END};

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		const struct transform t[] = {{1, 20, KEY(bits[i])}, {2, 5, 0}, {4, 19, 0}, END};
		const struct transform fixed[] = {{1, 28, KEY(bits[i])}, {5, 0, 0}, END};

		assert_int_equal(taken(t, 1), bits[i] == 256);
		assert_false(chosen(IKE_PROTO_ESP, 4, fixed, 1, &esp_chacha, &esp_rule));
	}
	assert_false(taken(without, 1));
	assert_true(chosen(IKE_PROTO_ESP, 4, chacha, 1, &esp_chacha, &esp_rule));
}

static void
alg_02_null_des_and_md5_are_not_known(void **state)
{
	static const char *const encr[] = {"null", "des", "3des", "aes128ctr", "blowfish"};

	for (size_t i = 0; i < sizeof(encr) / sizeof(encr[0]); i++)
		assert_int_equal(spw_encr_by_name(encr[i]), SPW_ENCR_NONE);
	assert_int_equal(spw_integ_by_name("md5"), SPW_INTEG_NONE);
	assert_int_equal(spw_prf_by_name("prfmd5"), SPW_PRF_NONE);
	for (int e = 1; e < SPW_ENCR_COUNT; e++) /* only what RFC 8221 asks for */
		assert_true(spw_encr_info((enum spw_encr)e)->ike_id == 12 ||
			    spw_encr_info((enum spw_encr)e)->ike_id == 20 ||
			    spw_encr_info((enum spw_encr)e)->ike_id == 28);
	for (uint16_t id = 0; id < 12; id++) { /* the DES family and NULL */
		const struct transform t[] = {{1, id, 0}, {3, 2, 0}, {5, 0, 0}, END};

		for (int e = 1; e < SPW_ENCR_COUNT; e++)
			for (int i = 0; i < SPW_INTEG_COUNT; i++) {
				const struct spw_ike_proposal own = {.encr = (uint8_t)e,
								     .integ = (uint8_t)i};

				assert_false(chosen(IKE_PROTO_ESP, 4, t, 1, &own, &esp_rule));
			}
	}
	assert_true(spw_integ_info(SPW_INTEG_HMAC_SHA1_96)->legacy);
	assert_true(spw_group_info(SPW_GROUP_MODP1024)->legacy);
}

static void
alg_03_no_proposal_encrypts_without_authentication(void **state)
{
	for (int e = 0; e < SPW_ENCR_COUNT; e++)
		for (int i = 0; i < SPW_INTEG_COUNT; i++) {
			const struct spw_ike_proposal esp = {.encr = (uint8_t)e,
							     .integ = (uint8_t)i};
			const struct spw_encr_info *info = spw_encr_info((enum spw_encr)e);

			if (ike_proposal_valid(&esp, IKE_PROTO_ESP))
				assert_true(info->icv_len == 16 || i != SPW_INTEG_NONE);
			if (e != 0 && info->icv_len == 0)
				assert_false(ike_proposal_valid(
					&(struct spw_ike_proposal){.encr = (uint8_t)e},
					IKE_PROTO_ESP));
		}
	/* nor does an answer of the peer: CBC alone to an offer of CBC with HMAC */
	const struct spw_ike_proposal cbc = {.encr = SPW_ENCR_AES256_CBC,
					     .integ = SPW_INTEG_HMAC_SHA256_128};
	const struct transform bare[] = {{1, 12, KEY(256)}, {5, 0, 0}, END};
	const struct transform none[] = {{1, 12, KEY(256)}, {3, 0, 0}, {5, 0, 0}, END};

	assert_false(chosen(IKE_PROTO_ESP, 4, bare, 1, &cbc, &esp_rule));
	assert_false(chosen(IKE_PROTO_ESP, 4, none, 1, &cbc, &esp_rule));
}

static void
alg_04_gcm_with_a_short_icv_is_refused(void **state)
{
	for (uint16_t id = 18; id <= 20; id++) { /* 8, 12, 16 octets */
		const struct transform ike[] = {{1, id, KEY(256)}, {2, 5, 0}, {4, 19, 0}, END};
		const struct transform esp[] = {{1, id, KEY(256)}, {5, 0, 0}, END};

		assert_int_equal(taken(ike, 1), id == 20);
		assert_int_equal(chosen(IKE_PROTO_ESP, 4, esp, 1, &esp_gcm, &esp_rule), id == 20);
	}
}

static void
alg_05_weak_groups_are_unknown_or_marked(void **state)
{
	static const uint16_t unknown[] = {1, 5, 22, 23}, marked[] = {2, 24}, good[] = {14, 19, 20};

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(spw_group_by_ike_id(unknown[i]), SPW_GROUP_NONE);
	for (size_t i = 0; i < 2; i++)
		assert_true(spw_group_info(spw_group_by_ike_id(marked[i]))->legacy);
	for (size_t i = 0; i < 3; i++)
		assert_false(spw_group_info(spw_group_by_ike_id(good[i]))->legacy);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_027_an_unknown_transform_or_attribute_spoils_itself_alone),
		cmocka_unit_test(ike_027_an_unknown_type_spoils_its_proposal_and_no_other),
		cmocka_unit_test(ike_028_each_exchange_has_its_size_of_spi),
		cmocka_unit_test(ike_029_key_lengths_are_given_where_there_is_a_choice),
		cmocka_unit_test(alg_02_null_des_and_md5_are_not_known),
		cmocka_unit_test(alg_03_no_proposal_encrypts_without_authentication),
		cmocka_unit_test(alg_04_gcm_with_a_short_icv_is_refused),
		cmocka_unit_test(alg_05_weak_groups_are_unknown_or_marked),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
