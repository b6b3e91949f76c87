/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The names of algorithms: the model offers exactly what lib/algo.def can be written as; each is
 * read; profiles and identities.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/control/model_bed.h"

static bool
lines_have(const struct ctl_lines *lines, const char *text)
{
	for (size_t i = 0; i < lines->n; i++)
		if (strcmp(lines->line[i], text) == 0)
			return true;
	return false;
}

/* Every proposal that can be written with the names of lib/algo.def. */
static void
all_ike_proposals(struct ctl_lines *out)
{
	for (unsigned int e = 1; e < SPW_ENCR_COUNT; e++)
		for (unsigned int g = 1; g < SPW_GROUP_COUNT; g++) {
			bool aead = spw_encr_info(e)->icv_len > 0;
			unsigned int n = aead ? SPW_PRF_COUNT : SPW_INTEG_COUNT;

			if ((spw_encr_info(e)->uses & SPW_USE_IKE) == 0)
				continue;
			for (unsigned int h = 1; h < n; h++)
				ctl_lines_add(out, "%s-%s-%s", spw_encr_info(e)->conf_name,
					      aead ? spw_prf_info(h)->conf_name
						   : spw_integ_info(h)->conf_name,
					      spw_group_info(g)->conf_name);
		}
}

static void
all_esp_proposals(struct ctl_lines *out)
{
	for (unsigned int e = 1; e < SPW_ENCR_COUNT; e++)
		for (unsigned int i = 0; i < SPW_INTEG_COUNT; i++)
			for (unsigned int g = 0; g < SPW_GROUP_COUNT; g++) {
				bool aead = spw_encr_info(e)->icv_len > 0;

				if ((spw_encr_info(e)->uses & SPW_USE_ESP) == 0 ||
				    aead != (i == SPW_INTEG_NONE) ||
				    (!aead && (spw_integ_info(i)->uses & SPW_USE_ESP) == 0))
					continue;
				ctl_lines_add(out, "%s%s%s%s%s", spw_encr_info(e)->conf_name,
					      aead ? "" : "-",
					      aead ? "" : spw_integ_info(i)->conf_name,
					      g ? "-" : "", g ? spw_group_info(g)->conf_name : "");
			}
}

static void
model_and_algorithm_table_agree(void **state)
{
	struct ctl_lines have = {0}, want = {0};
	struct spw_ike_proposal p;

	bed_enum_names("/spillway:tunnel/ike-proposal", &have);
	all_ike_proposals(&want);
	assert_int_equal(have.n, want.n);
	for (size_t i = 0; i < want.n; i++) {
		assert_true(lines_have(&have, want.line[i]));
		assert_int_equal(ctl_proposal_parse_ike(&p, have.line[i]), 0);
	}
	ctl_lines_free(&have);
	ctl_lines_free(&want);
	bed_enum_names("/spillway:tunnel/esp-proposal", &have);
	all_esp_proposals(&want);
	assert_int_equal(have.n, want.n);
	for (size_t i = 0; i < want.n; i++) {
		assert_true(lines_have(&have, want.line[i]));
		assert_int_equal(ctl_proposal_parse_esp(&p, have.line[i]), 0);
	}
	ctl_lines_free(&have);
	ctl_lines_free(&want);
}

/* With a combined-mode cipher no integrity is named, with another one that is for ESP must be. */
static void
esp_proposals_name_integrity_when_they_need_it(void **state)
{
	static const char *const refused[] = {"aes256",
					      "aes256-ecp384",
					      "aes256-sha384",
					      "aes256-sha256-sha256",
					      "aes256gcm16-sha256",
					      "chacha20poly1305-prfsha256",
					      "aes256-sha256-group",
					      "aes256-sha256-ecp384-ecp384",
					      "",
					      "-"};
	struct spw_ike_proposal p;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(ctl_proposal_parse_esp(&p, refused[i]), -EINVAL);
	assert_int_equal(ctl_proposal_parse_esp(&p, "aes128-sha1-ecp256"), 0);
	assert_int_equal(p.encr, SPW_ENCR_AES128_CBC);
	assert_int_equal(p.integ, SPW_INTEG_HMAC_SHA1_96);
	assert_int_equal(p.prf, SPW_PRF_NONE);
	assert_int_equal(p.group, SPW_GROUP_ECP256);
	assert_true(ctl_proposal_is_legacy(&p));
	assert_int_equal(ctl_proposal_parse_esp(&p, "aes256-sha256"), 0);
	assert_int_equal(p.group, SPW_GROUP_NONE);
	assert_false(ctl_proposal_is_legacy(&p));
	assert_int_equal(ctl_proposal_parse_esp(&p, "chacha20poly1305-modp2048"), 0);
	assert_int_equal(p.encr, SPW_ENCR_CHACHA20_POLY1305);
	assert_int_equal(p.integ, SPW_INTEG_NONE);
}

static void
every_profile_of_the_model_is_known(void **state)
{
	struct ctl_lines names = {0};

	bed_enum_names("/spillway:tunnel/profile", &names);
	assert_true(names.n >= 9);
	for (size_t i = 0; i < names.n; i++) {
		struct ctl_tunnel t = {0};

		assert_int_equal(ctl_profile_apply(&t, names.line[i]), 0);
		assert_true(t.n_ike > 0 && t.n_esp > 0);
	}
	ctl_lines_free(&names);
}

static void
identities_take_their_type_from_the_text(void **state)
{
	struct spw_ike_id id;

	ctl_identity_parse(&id, "203.0.113.9");
	assert_int_equal(id.type, SPW_ID_IPV4);
	assert_int_equal(id.len, 4);
	ctl_identity_parse(&id, "gw.example.com");
	assert_int_equal(id.type, SPW_ID_FQDN);
	assert_int_equal(id.len, 14);
	ctl_identity_parse(&id, "gw@example.com");
	assert_int_equal(id.type, SPW_ID_RFC822);
	ctl_identity_parse(&id, "keyid:ab");
	assert_int_equal(id.type, SPW_ID_KEY_ID);
	assert_memory_equal(id.data, "ab", 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model_and_algorithm_table_agree),
		cmocka_unit_test(esp_proposals_name_integrity_when_they_need_it),
		cmocka_unit_test(every_profile_of_the_model_is_known),
		cmocka_unit_test(identities_take_their_type_from_the_text),
	};

	return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
