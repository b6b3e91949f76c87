/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random schedules (IKE-121): two engines, random commands, soft and hard limits, packets that come
 * before their SA, loss, duplication, reordering, damage and resets of the data plane; then quiet.
 * Whatever happened, afterwards both ends have one IKE SA and one child SA, the same ones, and
 * nothing is left over. Without Deletes and resets in the schedule no packet of the traffic may be
 * lost either, and at every moment the one end can receive whatever the other may send. An IKE SA
 * is ESTABLISHED only after an IKE_AUTH that both ends understood alike: see witness.c.
 *
 * A sample of 20,000 schedules in all, 1,000,000 with SPW_LONG=1; each kind says how many it ran
 * and from which seed. SPW_IKE_SCHEDULES sets how many of each kind, SPW_IKE_SEED the first seed.
 * An argument `N/M` (with SPW_LONG) runs the N-th of M equal parts of the seeds.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/witness.h"

static unsigned int part = 1, parts = 1;
static struct witness_count counted;

static void
act(struct net *net, uint64_t r, bool gentle)
{
	static const uint32_t what[] = {SPW_IKE_RESET_CHILD, SPW_IKE_RESET_IKE};
	int i = (int)(r >> 8 & 1);

	switch (r % (gentle ? 6 : 12)) {
	case 0:
	case 1: net_rekey(net, i, what[0]); break;
	case 2: net_rekey(net, i, what[1]); break;
	case 3: net_event(net, i, SPW_SA_EV_SOFT); break;
	case 4:
		net_rekey(net, i, what[r >> 9 & 1]);
		net_rekey(net, !i, what[r >> 10 & 1]);
		break;
	case 5: net_early(net, i); break;
	case 6:
	case 7:
		net_call_begins(&net->host[i]);
		ike_engine_reset(net->host[i].engine, net->now, "azure", what[r % 12 - 6]);
		net_call_ends(&net->host[i]);
		break;
	case 8: net_dataplane_reset(net, i); break;
	case 9:
		if (net->host[i].active)
			net_event(net, i, SPW_SA_EV_HARD);
		break;
	case 10:
	default: net->loss_percent = (unsigned int)(r >> 16) % 40; break;
	}
}

/* One of the processes is killed somewhere in what comes next, often while it writes its escrow. */
static void
arm_kill(struct net *net)
{
	uint64_t r = net_random(&net->rng);

	if (r % 3 != 0)
		net_kill_at(net, (int)(r >> 8 & 1), 1 + (unsigned int)(r >> 16) % 12, r >> 9 & 1,
			    (r >> 32) % (2 * NET_S));
}

/* Until the ends have the same key, nothing comes up. */
static void
stay_down(struct net *net, uint64_t seed)
{
	const struct spw_ike_conn right = net->host[1].conn;
	struct spw_ike_conn wrong = right;

	wrong.psk[net_random(&net->rng) % wrong.psk_len] ^= 1;
	net_set(net, 1, &wrong);
	net_run(net, 40 * NET_S);
	if (net_ike_sas(net, 0) || net_ike_sas(net, 1) || net_sas(net, 0) || net_sas(net, 1))
		fail_msg("seed %llu: up with another key", (unsigned long long)seed);
	net_set(net, 1, &right);
}

/* The first IKE SA: over a network that damages, or against the wrong key at first, at times. */
static void
bring_up(struct net *net, uint64_t seed)
{
	uint32_t mode1 = seed & 1 ? SPW_IKE_MODE_BOTH : SPW_IKE_MODE_RESPOND;

	net_connect(net, SPW_IKE_MODE_BOTH, mode1);
	if (seed % 32 == 6)
		stay_down(net, seed);
	if (seed % 4 == 3)
		net->corrupt_percent = 30;
	if (!net_run_up(net, 300 * NET_S))
		fail_msg("seed %llu: not up", (unsigned long long)seed);
	net->corrupt_percent = 0;
	/* an end may have answered an IKE_AUTH that the other refuses: both may be up, and apart */
	for (int s = 0; s < 300 && !net_agrees(net); s++)
		net_run(net, NET_S);
}

/* In a third of the schedules key exchanges are done elsewhere, each job in its own time. */
static void
compute_elsewhere(struct net *net, uint64_t seed)
{
	for (int i = 0; i < 2 && seed % 3 == 2; i++)
		net_dh(net, i, 0, net_random(&net->rng) % (seed % 2 ? 50 * NET_MS : 1500 * NET_MS));
}

static void
run_schedule(uint64_t seed, bool gentle, bool kills)
{
	struct net *net = net_new(seed);
	struct witness_count count;

	witness_new(net);
	compute_elsewhere(net, seed);
	bring_up(net, seed);
	net->traffic = true;
	net->traffic_every = 40 * NET_MS;
	net_run(net, (seed & 1 ? 15 : 1) * NET_S);
	net->esp_lost = net->esp_unsent = 0;
	net->strict = gentle;
	net->delay_min = 1 * NET_MS;
	net->delay_max = (1 + net_random(&net->rng) % 300) * NET_MS;
	net->dup_percent = net_random(&net->rng) % 20;
	net->loss_percent = net_random(&net->rng) % 25;
	net->corrupt_percent = seed % 4 == 1 ? net_random(&net->rng) % 15 : 0;
	net->audit = kills && seed % 8 == 0;
	for (int n = 0; n < 12; n++) {
		if (kills)
			arm_kill(net);
		act(net, net_random(&net->rng), gentle);
		net_run(net, net_random(&net->rng) % (3 * NET_S));
	}
	net->host[0].kill_in = net->host[1].kill_in = 0;
	net->loss_percent = net->dup_percent = net->corrupt_percent = 0;
	net_run(net, 30 * NET_S);
	net->traffic_every = 400 * NET_MS; /* the rest is quiet */
	net_run(net, 220 * NET_S);
	for (int i = 0; i < 2; i++)
		net_orphans_end(net, i);
	witness_quiet(net, seed);
	if (gentle && (net->esp_lost || net->esp_unsent))
		fail_msg("seed %llu: %llu packets lost, %llu not sent", (unsigned long long)seed,
			 (unsigned long long)net->esp_lost, (unsigned long long)net->esp_unsent);
	net->strict = false;
	count = witness_free(net);
	counted.moments += count.moments;
	counted.authenticated += count.authenticated;
	counted.successors += count.successors;
	net_free(net);
}

static void
explore(uint64_t base, bool gentle, bool kills)
{
	uint64_t all = witness_setting("SPW_IKE_SCHEDULES", getenv("SPW_LONG") ? 250000 : 5000);
	uint64_t begin = all * (part - 1) / parts, end = all * part / parts;
	uint64_t first = base + witness_setting("SPW_IKE_SEED", 1);

	counted = (struct witness_count){0};
	for (uint64_t i = begin; i < end; i++)
		run_schedule(first + i, gentle, kills);
	if (end > begin)
		assert_true(counted.authenticated > 0 && counted.successors > 0);
	assert_true(!gentle || end == begin || counted.moments > 0);
	print_message(
		"# %llu schedules from seed %llu; %llu IKE SAs authenticated, %llu successors; "
		"%llu moments\n",
		(unsigned long long)(end - begin), (unsigned long long)(first + begin),
		(unsigned long long)counted.authenticated, (unsigned long long)counted.successors,
		(unsigned long long)counted.moments);
}

static void
rekeys_in_any_order_lose_nothing(void **state)
{
	explore(0, true, false);
}

static void
anything_in_any_order_ends_well(void **state)
{
	explore(1000000, false, false);
}

static void
killed_processes_go_on_and_lose_nothing(void **state)
{
	explore(2000000, true, true);
}

static void
killed_processes_in_any_order_end_well(void **state)
{
	explore(3000000, false, true);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rekeys_in_any_order_lose_nothing),
		cmocka_unit_test(anything_in_any_order_ends_well),
		cmocka_unit_test(killed_processes_go_on_and_lose_nothing),
		cmocka_unit_test(killed_processes_in_any_order_end_well),
	};

	/* the same memory again for each schedule */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	if (argc > 1 && sscanf(argv[1], "%u/%u", &part, &parts) != 2)
		cmocka_set_test_filter(argv[1]);
	if (part < 1 || part > parts) {
		fprintf(stderr, "explore: '%s' is no part\n", argv[1]);
		return 2;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
