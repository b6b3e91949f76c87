/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random schedules of what goes wrong around two engines: data planes that do not take an SA,
 * processes that are not run for a while, ends that hear nothing for a while, beside rekeys,
 * Deletes and a network that loses, doubles and reorders. Afterwards it is quiet, and then both
 * ends have one IKE SA and one child SA, the same ones, and nothing is left over. Where nothing is
 * worse than refusals of data planes, or than new IKE SAs beside the old ones, no packet of the
 * traffic is lost either.
 *
 * A sample by seed; 50,000 of each kind with SPW_LONG=1. SPW_IKE_SCHEDULES sets how many of each
 * kind, SPW_IKE_SEED the first seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/ike/witness.h"

enum kind { REFUSALS, FAULTS, BESIDE };

/* One end is cut off for a while; less than its verdict takes, or more. */
static void
cut_off(struct net *net, int i, uint64_t ns)
{
	net->host[i].dead = true;
	net_run(net, ns);
	net->host[i].dead = false;
}

static const uint32_t what[] = {SPW_IKE_RESET_CHILD, SPW_IKE_RESET_IKE};

/* A new IKE SA beside the one that stands, by one end, amid rekeys by both. */
static void
act_beside(struct net *net, uint64_t r)
{
	struct net_host *h = &net->host[net->seed & 1];

	if (r % 3 != 0) {
		net_rekey(net, (int)(r >> 8 & 1), what[r % 3 - 1]);
		return;
	}
	net_call_begins(h);
	h->engine->conns->renew = true;
	ike_wake_conn(h->engine->conns);
	ike_engine_tick(h->engine, net->now);
	net_call_ends(h);
}

static void
act(struct net *net, uint64_t r, bool gentle)
{
	int i = (int)(r >> 8 & 1);

	switch (r % (gentle ? 6 : 12)) {
	case 0: net_rekey(net, i, what[0]); break;
	case 1: net_rekey(net, i, what[1]); break;
	case 2: net_event(net, i, SPW_SA_EV_SOFT); break;
	case 3:
		net_rekey(net, i, what[r >> 9 & 1]);
		net_rekey(net, !i, what[r >> 10 & 1]);
		break;
	case 4:
	case 5: net->host[i].refuse_installs = (int)(r >> 16 & 7); break;
	case 6:
	case 7: net->now += (r >> 16) % (r >> 11 & 1 ? 90 * NET_S : 5 * NET_S); break;
	case 8: cut_off(net, i, (r >> 16) % (60 * NET_S)); break;
	case 9: net_dataplane_reset(net, i); break;
	case 10:
		net_call_begins(&net->host[i]);
		ike_engine_reset(net->host[i].engine, net->now, "azure", what[r >> 11 & 1]);
		net_call_ends(&net->host[i]);
		break;
	case 11:
	default: net->loss_percent = (unsigned int)(r >> 16) % 40; break;
	}
}

static void
settle(struct net *net)
{
	for (int i = 0; i < 2; i++)
		net->host[i].refuse_installs = 0;
	net->loss_percent = net->dup_percent = 0;
	net_run(net, 60 * NET_S);
	net->traffic_every = 400 * NET_MS;
	net_run(net, 300 * NET_S);
}

static void
run_schedule(uint64_t seed, enum kind kind)
{
	struct net *net = net_new(seed);
	bool gentle = kind != FAULTS;

	witness_new(net);
	net_connect(net, SPW_IKE_MODE_BOTH, seed & 1 ? SPW_IKE_MODE_BOTH : SPW_IKE_MODE_RESPOND);
	if (!net_run_up(net, 60 * NET_S))
		fail_msg("seed %llu: not up", (unsigned long long)seed);
	net->traffic = true;
	net->traffic_every = 40 * NET_MS;
	net_run(net, 15 * NET_S);
	net->esp_lost = net->esp_unsent = 0;
	net->strict = gentle;
	net->delay_min = 1 * NET_MS;
	net->delay_max = (1 + net_random(&net->rng) % 300) * NET_MS;
	net->dup_percent = net_random(&net->rng) % 20;
	net->loss_percent = net_random(&net->rng) % 25;
	for (int n = 0; n < 12; n++) {
		if (kind == BESIDE)
			act_beside(net, net_random(&net->rng));
		else
			act(net, net_random(&net->rng), gentle);
		net_run(net, net_random(&net->rng) % (3 * NET_S));
	}
	settle(net);
	witness_quiet(net, seed);
	if (gentle && (net->esp_lost || net->esp_unsent))
		fail_msg("seed %llu: %llu packets lost, %llu not sent", (unsigned long long)seed,
			 (unsigned long long)net->esp_lost, (unsigned long long)net->esp_unsent);
	net->strict = false;
	(void)witness_free(net);
	net_free(net);
}

static void
run_all(uint64_t base, enum kind kind)
{
	uint64_t n = witness_setting("SPW_IKE_SCHEDULES", getenv("SPW_LONG") ? 50000 : 100);
	uint64_t first = base + witness_setting("SPW_IKE_SEED", 1);

	for (uint64_t seed = first; seed < first + n; seed++)
		run_schedule(seed, kind);
}

static void
data_planes_that_refuse_lose_no_packet(void **state)
{
	run_all(4000000, REFUSALS);
}

static void
stalls_and_silence_in_any_order_end_well(void **state)
{
	run_all(5000000, FAULTS);
}

static void
new_ike_sas_beside_old_ones_lose_no_packet(void **state)
{
	run_all(6000000, BESIDE);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_planes_that_refuse_lose_no_packet),
		cmocka_unit_test(stalls_and_silence_in_any_order_end_well),
		cmocka_unit_test(new_ike_sas_beside_old_ones_lose_no_packet),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
