/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: the SA payload, and what is chosen from it. What is chosen must be one of ours,
 * in a proposal that the peer numbered, and what we would answer must be accepted by ourselves.
 */
#include <stdlib.h>
#include <string.h>

#include "ike/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct spw_ike_proposal own[] = {
	{SPW_ENCR_AES256_GCM, SPW_INTEG_NONE, SPW_PRF_HMAC_SHA384, SPW_GROUP_ECP384},
	{SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA256_128, SPW_PRF_HMAC_SHA256, SPW_GROUP_MODP2048},
	{SPW_ENCR_AES128_GCM, SPW_INTEG_NONE, SPW_PRF_NONE, SPW_GROUP_NONE},
};
#define N_OWN 3

static void
check_choice(const struct ike_sa_payload *sa, const struct ike_choice_rule *rule,
	     const struct ike_choice *c)
{
	bool ours = false, theirs = false;

	for (unsigned int i = 0; i < N_OWN; i++)
		ours |= own[i].encr == c->what.encr && own[i].integ == c->what.integ;
	for (unsigned int i = 0; i < sa->n_proposals; i++)
		theirs |= sa->proposal[i].number == c->number && sa->proposal[i].spi == c->spi &&
			  sa->proposal[i].protocol == rule->protocol;
	if (!ours || !theirs || (!rule->with_group && c->what.group != SPW_GROUP_NONE))
		abort();
}

/* Our answer to the offer, as it goes over the wire, is found right by the one who offered. */
static void
check_answer(const struct ike_choice_rule *rule, const struct ike_choice *c)
{
	const struct ike_header h = {.spi_i = 1};
	static struct ike_msg m;
	struct ike_choice again;
	struct ike_builder b;
	uint8_t buf[512];
	size_t len;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_sa(&b, rule->protocol, 0x10007, rule->spi_len, &c->what, 1, 1, rule->with_group);
	if (ike_build_finish(&b, &len) != 0 ||
	    ike_wire_payloads(&m, buf[16], buf + IKE_HEADER_LEN, len - IKE_HEADER_LEN) != 0 ||
	    ike_proposal_check(&m.sa, &c->what, 1, rule, &again) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ike_sa_payload sa;
	struct ike_choice_rule rule;
	struct ike_choice c;
	struct spw_reader r;

	if (size < 1)
		return 0;
	rule = (struct ike_choice_rule){.protocol = data[0] & 1 ? IKE_PROTO_ESP : IKE_PROTO_IKE,
					.spi_len = data[0] & 1	 ? 4
						   : data[0] & 2 ? 8
								 : 0,
					.with_group = !(data[0] & 1) || data[0] & 4,
					.encr_mask = ~0u};
	memset(&sa, 0, sizeof(sa));
	spw_reader_init(&r, data + 1, size - 1);
	if (ike_wire_sa(&sa, r) != 0)
		return 0;
	if (sa.n_proposals > IKE_MAX_PROPOSALS || sa.n_transforms > IKE_MAX_TRANSFORMS)
		abort();
	if (ike_proposal_choose(&sa, own, N_OWN, &rule, &c) == 0) {
		check_choice(&sa, &rule, &c);
		check_answer(&rule, &c);
	}
	if (ike_proposal_check(&sa, own, N_OWN, &rule, &c) == 0)
		check_choice(&sa, &rule, &c);
	return 0;
}
