/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Azure's ways where strongSwan cannot be set to behave so: every combination of a custom policy, a
 * lifetime by kilobytes on both sides, its early renewals and its pace of probes over days. Host 1
 * is Azure, host 0 is ours. The network loses no ESP, so a lost packet is an SA missing at the
 * receiver.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet.h"

#define BOTH	 SPW_IKE_MODE_BOTH
#define INITIATE SPW_IKE_MODE_INITIATE
#define RESPOND	 SPW_IKE_MODE_RESPOND
#define CHILD	 SPW_IKE_RESET_CHILD
#define IKE	 SPW_IKE_RESET_IKE

/* Both ends with these settings, who dials is host `dials`; up, with traffic. */
static struct net *
running(uint64_t seed, int dials, const struct spw_ike_proposal *ike,
	const struct spw_ike_proposal *esp)
{
	struct net *net = net_new(seed);

	for (int i = 0; i < 2; i++) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i == dials ? INITIATE : RESPOND;
		if (ike)
			c.ike[0] = *ike;
		if (esp)
			c.esp[0] = *esp;
		net_set(net, i, &c);
	}
	net_run_traffic(net);
	return net;
}

static void
rekey(struct net *net, int i, uint32_t what)
{
	assert_int_equal(ike_engine_rekey(net->host[i].engine, net->now, "azure", what), 0);
}

/* One of each stands, both ends agree, nothing was lost and the tunnel was never down. */
static void
expect_whole(struct net *net)
{
	assert_int_equal(net->esp_lost, 0);
	assert_int_equal(net->esp_unsent, 0);
	net_expect_one(net);
	for (int i = 0; i < 2; i++)
		assert_int_equal(net->host[i].downs, 0);
}

/* ---- custom policies: one combination, the same on both sides ---- */

static void
try_combination(const struct spw_ike_proposal *ike, const struct spw_ike_proposal *esp)
{
	for (int dials = 0; dials < 2; dials++) {
		struct net *net = running(1, dials, ike, esp);

		for (int i = 0; i < 2; i++) {
			rekey(net, i, CHILD);
			net_run(net, 8 * NET_S);
			assert_int_equal(net_status(net, i).child_rekeys, i + 1);
			assert_int_equal(net_status(net, i).esp.group, esp->group);
			rekey(net, i, IKE);
			net_run(net, 3 * NET_S);
			assert_int_equal(net_status(net, i).ike_rekeys, i + 1);
			assert_int_equal(net_status(net, i).ike.group, ike->group);
		}
		expect_whole(net);
		net_free(net);
	}
}

static const uint8_t groups[] = {SPW_GROUP_MODP2048S256, SPW_GROUP_ECP384,   SPW_GROUP_ECP256,
				 SPW_GROUP_MODP2048,	 SPW_GROUP_MODP1024, SPW_GROUP_NONE};

static void
every_ike_policy_of_azure_is_dialled_answered_and_renewed(void **state)
{
	static const struct spw_ike_proposal esp = {.encr = SPW_ENCR_AES256_GCM};
	static const struct spw_ike_proposal ike[] = {
		{.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA384},
		{.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA256},
		{.encr = SPW_ENCR_AES128_GCM, .prf = SPW_PRF_HMAC_SHA256},
		{.encr = SPW_ENCR_AES256_CBC,
		 .integ = SPW_INTEG_HMAC_SHA384_192,
		 .prf = SPW_PRF_HMAC_SHA384},
		{.encr = SPW_ENCR_AES256_CBC,
		 .integ = SPW_INTEG_HMAC_SHA256_128,
		 .prf = SPW_PRF_HMAC_SHA256},
		{.encr = SPW_ENCR_AES256_CBC,
		 .integ = SPW_INTEG_HMAC_SHA1_96,
		 .prf = SPW_PRF_HMAC_SHA1},
		{.encr = SPW_ENCR_AES128_CBC,
		 .integ = SPW_INTEG_HMAC_SHA256_128,
		 .prf = SPW_PRF_HMAC_SHA256},
		{.encr = SPW_ENCR_AES128_CBC,
		 .integ = SPW_INTEG_HMAC_SHA1_96,
		 .prf = SPW_PRF_HMAC_SHA1},
	};

	for (size_t i = 0; i < sizeof(ike) / sizeof(ike[0]); i++)
		for (size_t g = 0; groups[g] != SPW_GROUP_NONE; g++) {
			struct spw_ike_proposal p = ike[i];

			p.group = groups[g];
			try_combination(&p, &esp);
		}
}

static void
every_esp_policy_of_azure_is_rekeyed_with_its_pfs_group_or_none(void **state)
{
	static const struct spw_ike_proposal ike = {
		.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA384, .group = SPW_GROUP_ECP384};
	static const struct spw_ike_proposal esp[] = {
		{.encr = SPW_ENCR_AES256_GCM},
		{.encr = SPW_ENCR_AES192_GCM},
		{.encr = SPW_ENCR_AES128_GCM},
		{.encr = SPW_ENCR_AES256_CBC, .integ = SPW_INTEG_HMAC_SHA256_128},
		{.encr = SPW_ENCR_AES256_CBC, .integ = SPW_INTEG_HMAC_SHA1_96},
		{.encr = SPW_ENCR_AES128_CBC, .integ = SPW_INTEG_HMAC_SHA256_128},
		{.encr = SPW_ENCR_AES128_CBC, .integ = SPW_INTEG_HMAC_SHA1_96},
	};

	for (size_t i = 0; i < sizeof(esp) / sizeof(esp[0]); i++)
		for (size_t g = 0; g < sizeof(groups); g++) {
			struct spw_ike_proposal p = esp[i];

			p.group = groups[g];
			try_combination(&ike, &p);
		}
}

/* ---- selectors ---- */

static void
expect_selectors(const struct net *net)
{
	for (int i = 0; i < NET_SAS; i++) {
		const struct net_sa *sa = &net->host[0].sa[i];

		if (!sa->in)
			continue;
		assert_int_equal(sa->desc.n_local, 1);
		assert_int_equal(spw_addr_get_v4(&sa->desc.sel_local[0].low), 0x0a010000);
		assert_int_equal(spw_addr_get_v4(&sa->desc.sel_local[0].high), 0x0a01ffff);
		assert_int_equal(spw_addr_get_v4(&sa->desc.sel_remote[0].low), 0x0a640000);
	}
}

/* Azure as initiator offers any to any, at rekeys too; what we have configured is what counts. */
static void
any_to_any_of_azure_is_narrowed_to_ours_at_every_rekey(void **state)
{
	for (int dials = 0; dials < 2; dials++) {
		struct net *net = net_new(2);
		struct spw_ike_conn ours = net_conn(net, 0), azure = net_conn(net, 1);

		ours.mode = dials == 0 ? INITIATE : RESPOND;
		azure.mode = dials == 1 ? INITIATE : RESPOND;
		ours.sel_local[0].low = spw_addr_v4(0x0a010000);
		ours.sel_local[0].high = spw_addr_v4(0x0a01ffff);
		ours.sel_remote[0].low = spw_addr_v4(0x0a640000);
		ours.sel_remote[0].high = spw_addr_v4(0x0a64ffff);
		net_set(net, 0, &ours);
		net_set(net, 1, &azure);
		assert_true(net_run_up(net, 5 * NET_S));
		for (int n = 0; n < 6; n++) {
			expect_selectors(net);
			rekey(net, n % 2, n % 3 == 2 ? IKE : CHILD);
			net_run(net, 8 * NET_S);
		}
		expect_selectors(net);
		assert_true(net_agrees(net));
		net_free(net);
	}
}

/* ---- lifetimes ---- */

/* 1,024 KB: both sides count the same bytes, so both begin within some milliseconds. */
static void
kilobytes_counted_by_both_sides_lose_nothing(void **state)
{
	const int rounds = getenv("SPW_LONG") ? 10000 : 300;
	struct net *net = running(3, 0, NULL, NULL);
	uint64_t rng = 77;

	for (int n = 0; n < rounds; n++) {
		int first = (int)(net_random(&rng) & 1);
		uint32_t before = net->host[0].active;

		net_event(net, first, SPW_SA_EV_SOFT);
		net_run(net, net_random(&rng) % (12 * NET_MS));
		if (net->host[!first].active == before || n % 2)
			net_event(net, !first, SPW_SA_EV_SOFT);
		net_run(net, 10 * NET_S);
		assert_int_not_equal(net->host[0].active, before);
	}
	net->traffic_every = 100 * NET_MS;
	net_run(net, 130 * NET_S);
	assert_in_range(net_status(net, 0).child_rekeys, rounds, 3 * rounds);
	expect_whole(net);
	net_free(net);
}

/* After a hundred child SAs on one IKE SA Azure makes a new one, long before its lifetime is over.
 */
static void
an_ike_sa_that_azure_renews_after_a_hundred_children_is_followed(void **state)
{
	struct net *net = running(4, 0, NULL, NULL);

	for (uint32_t ike = 1; ike <= 3; ike++) {
		for (int n = 0; n < 100; n++) {
			rekey(net, 1, CHILD);
			net_run(net, 6 * NET_S);
		}
		rekey(net, 1, IKE);
		net_run(net, 2 * NET_S);
		assert_int_equal(net_status(net, 0).ike_rekeys, ike);
		assert_int_equal(net_status(net, 0).child_rekeys, 100 * ike);
	}
	net_run(net, 10 * NET_S);
	expect_whole(net);
	net_free(net);
}

/* Azure's lifetimes beside our defaults, which are not the same, and its pace of probes. */
static struct net *
day(uint64_t seed, uint64_t traffic_every)
{
	struct net *net = net_new(seed);
	struct spw_ike_conn ours = net_conn(net, 0), azure = net_conn(net, 1);

	ours.mode = BOTH;
	ours.ike_rekey_s = 26000;
	ours.child_seconds = (struct spw_sa_limit){.soft = 24300, .hard = 27000};
	ours.dpd_timeout_s = 45;
	azure.mode = BOTH;
	azure.ike_rekey_s = 27361;
	azure.child_seconds = (struct spw_sa_limit){.soft = 25650, .hard = 27000};
	azure.dpd_delay_s = 14;
	azure.jitter_percent = 5;
	net_set(net, 0, &ours);
	net_set(net, 1, &azure);
	assert_true(net_run_up(net, 10 * NET_S));
	net_run(net, 70 * NET_S); /* both dialled: one IKE SA is left */
	net->host[0].downs = net->host[1].downs = 0;
	net->traffic = traffic_every > 0;
	net->traffic_every = traffic_every;
	net_run(net, 10 * NET_S);
	net->esp_lost = net->esp_unsent = net->ike_sent = 0;
	return net;
}

static void
three_days_beside_azure_lose_nothing(void **state)
{
	struct net *net = day(5, 500 * NET_MS);

	net_run(net, 72 * 3600 * NET_S);
	assert_in_range(net_status(net, 0).ike_rekeys, 9, 14);
	assert_in_range(net_status(net, 0).child_rekeys, 10, 14);
	assert_in_range(net->ike_sent, 40, 600); /* traffic makes probes needless */
	expect_whole(net);
	net_free(net);
}

static void
three_idle_days_beside_azure_are_probes_and_rekeys_alone(void **state)
{
	struct net *net = day(6, 0);
	const unsigned int seconds = 72 * 3600;

	net_run(net, seconds * NET_S);
	/* a request and an answer each 14 s */
	assert_in_range(net->ike_sent, 2 * seconds / 16, 2 * seconds / 13);
	assert_in_range(net_status(net, 0).ike_rekeys, 9, 14);
	expect_whole(net);
	net_free(net);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ike_policy_of_azure_is_dialled_answered_and_renewed),
		cmocka_unit_test(every_esp_policy_of_azure_is_rekeyed_with_its_pfs_group_or_none),
		cmocka_unit_test(any_to_any_of_azure_is_narrowed_to_ours_at_every_rekey),
		cmocka_unit_test(kilobytes_counted_by_both_sides_lose_nothing),
		cmocka_unit_test(an_ike_sa_that_azure_renews_after_a_hundred_children_is_followed),
		cmocka_unit_test(three_days_beside_azure_lose_nothing),
		cmocka_unit_test(three_idle_days_beside_azure_are_probes_and_rekeys_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
