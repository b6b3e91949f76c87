/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rekeys, deletes, liveness and their collisions between two engines under traffic. Nothing of
 * the traffic may be lost: the network loses no ESP, so a loss is an SA missing at the receiver.
 * Collisions are forced by starting both sides in the same instant or by holding messages back;
 * each runs with no and with one lost message.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

#define BOTH	 SPW_IKE_MODE_BOTH
#define INITIATE SPW_IKE_MODE_INITIATE
#define RESPOND	 SPW_IKE_MODE_RESPOND
#define CHILD	 SPW_IKE_RESET_CHILD
#define IKE	 SPW_IKE_RESET_IKE

/* A tunnel that is up, proven in both directions, with traffic running. */
static struct net *
running(uint64_t seed, uint8_t pfs)
{
	struct net *net = net_new(seed);

	for (int i = 0; i < 2; i++) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i == 0 ? BOTH : RESPOND;
		c.esp[0].group = pfs;
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

static void
expect_whole(struct net *net)
{
	assert_int_equal(net->esp_lost, 0);
	assert_int_equal(net->esp_unsent, 0);
	assert_int_equal(net->repeats_changed, 0);
	net_expect_one(net);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(net_status(net, i).children, 1);
		assert_int_equal(net->host[i].downs, 0);
		assert_int_equal(net->host[i].spis_out, 0);
	}
}

/* Let everything settle, then demand that one of each stands and nothing was lost. */
static void
settle_and_free(struct net *net)
{
	net->script = NULL;
	net->loss_percent = 0;
	net_run(net, 20 * NET_S);
	net->traffic_every = 100 * NET_MS; /* the rest is quiet */
	net_run(net, 130 * NET_S);
	expect_whole(net);
	net_free(net);
}

static void
hundred_child_rekeys_lose_nothing(void **state)
{
	for (int pfs = 0; pfs < 2; pfs++) {
		struct net *net = running(1, pfs ? SPW_GROUP_ECP256 : SPW_GROUP_NONE);

		for (int n = 0; n < 100; n++) {
			uint32_t before = net->host[0].active;

			rekey(net, n % 2, CHILD);
			net_run(net, 8 * NET_S);
			assert_int_not_equal(net->host[0].active, before);
			assert_int_equal(net_sas(net, 0), 1);
		}
		assert_int_equal(net_status(net, 0).child_rekeys, 100);
		assert_int_equal(net_status(net, 1).child_rekeys, 100);
		settle_and_free(net);
	}
}

/* Faster than inbound halves leave by themselves: the oldest makes room, nobody is refused. */
static void
two_hundred_rekeys_of_both_in_a_row_are_never_refused(void **state)
{
	struct net *net = running(3, SPW_GROUP_ECP256);

	for (int n = 0; n < 200; n++) {
		rekey(net, 0, CHILD);
		rekey(net, 1, CHILD);
		net_run(net, 210 * NET_MS);
		for (int i = 0; i < 2; i++)
			assert_in_range(net_sas(net, i), 1, 20);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(net_status(net, i).child_rekey_failures, 0);
		assert_in_range(net_status(net, i).child_rekeys, 200, 400);
	}
	settle_and_free(net);
}

static void
twenty_ike_rekeys_lose_nothing(void **state)
{
	struct net *net = running(2, 0);

	for (int n = 0; n < 20; n++) {
		uint64_t before = net_status(net, 0).spi_i;

		rekey(net, n % 2, IKE);
		net_run(net, 2 * NET_S);
		assert_true(net_status(net, 0).spi_i != before);
		assert_true(net_status(net, 0).spi_i == net_status(net, 1).spi_i);
		assert_int_equal(net_status(net, 0).initiator, n % 2 == 0);
		rekey(net, !(n % 2), CHILD); /* the new SA works for its children */
		net_run(net, 2 * NET_S);
	}
	assert_int_equal(net_status(net, 0).ike_rekeys, 20);
	settle_and_free(net);
}

static void
lifetimes_start_rekeys_by_themselves(void **state)
{
	struct net *net = net_new(3);

	for (int i = 0; i < 2; i++) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i == 0 ? BOTH : RESPOND;
		c.ike_rekey_s = 100;
		c.child_seconds = (struct spw_sa_limit){.soft = 30, .hard = 60};
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	net->traffic = true;
	net_run(net, 1 * NET_S);
	net->esp_lost = net->esp_unsent = 0;
	net_run(net, 1000 * NET_S);
	assert_in_range(net_status(net, 0).child_rekeys, 25, 80);
	assert_in_range(net_status(net, 0).ike_rekeys, 8, 30);
	assert_int_equal(net->esp_lost, 0);
	assert_int_equal(net->esp_unsent, 0);
	net_free(net);
}

/* IKE-119: equal lifetimes without jitter collide every time. */
static void
equal_lifetimes_collide_without_loss(void **state)
{
	struct net *net = running(4, 0);

	for (int n = 0; n < 200; n++) {
		net_event(net, 0, SPW_SA_EV_SOFT);
		net_event(net, 1, SPW_SA_EV_SOFT);
		net_run(net, 12 * NET_S);
		if (net_sas(net, 0) != 1 || net_sas(net, 1) != 1)
			fail_msg("cycle %d leaves %u and %u", n, net_sas(net, 0), net_sas(net, 1));
	}
	settle_and_free(net);
}

static enum net_verdict
drop_nth(struct net *net, int from, const struct ike_header *h)
{
	return net->script_state-- == 0 ? NET_DROP : NET_PASS;
}

static enum net_verdict
hold_nth(struct net *net, int from, const struct ike_header *h)
{
	return net->script_state-- == 0 ? NET_HOLD : NET_PASS;
}

/*
 * What the two sides start in one instant, or `gap` apart, with message n lost or held back: all
 * pairs of {rekey child, rekey IKE}.
 */
static void
collide(uint64_t seed, uint32_t a, uint32_t b, uint64_t gap, int nth, net_script *script)
{
	struct net *net = running(seed, 0);

	net->delay_min = 5 * NET_MS;
	net->delay_max = 25 * NET_MS;
	net->script = script;
	net->script_state = nth;
	if (getenv("SPW_TEST_TRACE"))
		fprintf(stderr, "collide %llu %u %u gap %llu nth %d %s\n", (unsigned long long)seed,
			a, b, (unsigned long long)gap, nth, script == drop_nth ? "drop" : "hold");
	rekey(net, 0, a);
	net_run(net, gap);
	ike_engine_rekey(net->host[1].engine, net->now, "azure", b);
	settle_and_free(net);
}

static void
collide_all(uint32_t a, uint32_t b)
{
	for (uint64_t gap = 1; gap < 60 * NET_MS; gap += 10 * NET_MS + 7) {
		collide(50 + gap % 1000, a, b, gap, -1, NULL);
		for (int nth = 0; nth < 8; nth++) {
			collide(60 + gap % 1000, a, b, gap, nth, drop_nth);
			collide(70 + gap % 1000, a, b, gap, nth, hold_nth);
		}
	}
}

/* IKE-100, 101, 103, 118, 120 */
static void
child_rekeys_collide(void **state)
{
	collide_all(CHILD, CHILD);
}

/* IKE-108, 109 */
static void
child_and_ike_rekeys_collide(void **state)
{
	collide_all(CHILD, IKE);
	collide_all(IKE, CHILD);
}

/* IKE-111, 112, 113 */
static void
ike_rekeys_collide(void **state)
{
	collide_all(IKE, IKE);
}

/* IKE-102: ours is refused while the peer's succeeds. */
static void
refused_rekey_with_a_rival_takes_the_rival(void **state)
{
	struct net *net = running(5, 0);

	net->host[1].refuse_installs = 1; /* host 1 cannot answer ours */
	rekey(net, 0, CHILD);
	rekey(net, 1, CHILD);
	net_run(net, 10 * NET_S);
	assert_int_equal(net->esp_lost, 0);
	settle_and_free(net);
}

/* A rekey that the peer refuses leaves the old child as it is, and is tried again. */
static void
refused_rekey_is_tried_again(void **state)
{
	struct net *net = running(6, 0);
	uint32_t before = net->host[0].active;

	net->host[1].refuse_installs = 1;
	rekey(net, 0, CHILD);
	net_run(net, 4 * NET_S);
	assert_int_equal(net->host[0].active, before);
	assert_int_equal(net_status(net, 0).child_rekey_failures, 1);
	net_run(net, 60 * NET_S);
	settle_and_free(net);
}

/* IKE-116: a peer that is busy for minutes gets a new IKE SA beside the old one; no loss. */
static void
long_busy_peer_is_dialled_anew(void **state)
{
	struct net *net = running(23, 0);
	uint64_t spi = net_status(net, 0).spi_i;

	net->traffic_every = 50 * NET_MS;
	net->host[1].refuse_installs = 100000;
	rekey(net, 0, CHILD);
	net_run(net, 150 * NET_S);
	assert_true(net_status(net, 0).spi_i == spi);
	net_run(net, 200 * NET_S);
	assert_true(net_status(net, 0).spi_i != spi);
	assert_int_equal(net->esp_lost + net->esp_unsent, 0);
	net->host[1].refuse_installs = 0;
	net_run(net, 100 * NET_S);
	settle_and_free(net);
}

/* IKE-087: our own data plane refuses the new SA; the peer's half is deleted again. */
static void
failed_install_rolls_back(void **state)
{
	struct net *net = running(7, 0);
	uint32_t before = net->host[0].active;

	net->host[0].refuse_installs = 1;
	rekey(net, 0, CHILD);
	net_run(net, 4 * NET_S);
	assert_int_equal(net->host[0].active, before);
	net_run(net, 6 * NET_S);
	assert_int_equal(net_sas(net, 1), 1);
	net_run(net, 60 * NET_S);
	assert_int_not_equal(net->host[0].active, before);
	settle_and_free(net);
}

/* IKE-070, 073: PFS both sides; a group the peer does not want is corrected. */
static void
rekey_group_is_corrected(void **state)
{
	struct net *net = net_new(8);
	struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

	c[0].mode = BOTH;
	c[1].mode = RESPOND;
	c[0].n_esp = 2;
	c[0].esp[1] = c[0].esp[0];
	c[0].esp[0].group = SPW_GROUP_ECP384;
	c[0].esp[1].group = SPW_GROUP_ECP256;
	c[1].esp[0].group = SPW_GROUP_ECP256;
	net_set(net, 0, &c[0]);
	net_set(net, 1, &c[1]);
	assert_true(net_run_up(net, 5 * NET_S));
	net->traffic = true;
	net_run(net, 100 * NET_MS);
	net->esp_lost = net->esp_unsent = 0;
	for (int n = 0; n < 4; n++) {
		rekey(net, n % 2, CHILD);
		net_run(net, 10 * NET_S);
		assert_int_equal(net_status(net, n % 2).esp.group, SPW_GROUP_ECP256);
	}
	assert_int_equal(net_status(net, 0).child_rekeys, 4);
	settle_and_free(net);
}

/* Azure as initiator of a rekey sends no KE: taken when a configured proposal has no group. */
static void
rekey_without_ke_is_accepted_when_configured(void **state)
{
	for (int allowed = 0; allowed < 2; allowed++) {
		struct net *net = net_new(9);
		struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

		c[0].mode = BOTH;
		c[1].mode = RESPOND;
		c[0].esp[0].group = SPW_GROUP_ECP384;
		c[0].n_esp = allowed ? 2 : 1;
		c[0].esp[1].encr = c[0].esp[0].encr;
		net_set(net, 0, &c[0]);
		net_set(net, 1, &c[1]);
		assert_true(net_run_up(net, 5 * NET_S));
		rekey(net, 1, CHILD);
		net_run(net, 8 * NET_S);
		assert_int_equal(net_status(net, 0).child_rekeys, allowed);
		assert_int_equal(net_status(net, 1).child_rekey_failures, !allowed);
		assert_true(net_agrees(net));
		net_free(net);
	}
}

/* IKE-075: the responder stays on the old SA until a packet comes on the new one. */
static void
responder_waits_for_proof(void **state)
{
	struct net *net = running(10, 0);
	uint32_t before = net->host[1].active;

	net->traffic = false;
	net_run(net, 100 * NET_MS);
	net->delay_min = net->delay_max = 1 * NET_S;
	rekey(net, 0, CHILD);
	net_run(net, 1500 * NET_MS); /* the answer is on its way */
	assert_int_equal(net->host[1].active, before);
	assert_int_equal(net_sas(net, 1), 2);
	net_run(net, 1600 * NET_MS); /* Delete of the old one came */
	assert_int_not_equal(net->host[1].active, before);
	assert_int_equal(net_sas(net, 1), 2); /* IKE-077: lingers */
	net_run(net, 4 * NET_S);
	assert_int_equal(net_sas(net, 1), 2);
	net_run(net, 2 * NET_S);
	assert_int_equal(net_sas(net, 1), 1);
	net->delay_min = net->delay_max = 10 * NET_MS;
	settle_and_free(net);
}

/* ---- deletes ---- */

static void
reset_closes_and_dials_again(void **state)
{
	struct net *net = running(11, 0);
	uint64_t spi = net_status(net, 0).spi_i;

	net->traffic = false;
	ike_engine_reset(net->host[0].engine, net->now, "azure", IKE);
	assert_int_equal(net->host[0].active, 0);
	assert_true(net_run_up(net, 1 * NET_S));
	net_run(net, 1 * NET_S);
	assert_true(net_status(net, 0).spi_i != spi);
	assert_int_equal(net_sas(net, 1), 1);
	assert_int_equal(ike_engine_reset(net->host[0].engine, net->now, "nobody", IKE), -ENOENT);
	net_free(net);
}

static void
reset_of_the_child_keeps_the_ike_sa(void **state)
{
	struct net *net = running(12, 0);
	uint64_t spi = net_status(net, 0).spi_i;
	uint32_t child = net->host[0].active;

	net->traffic = false;
	ike_engine_reset(net->host[0].engine, net->now, "azure", CHILD);
	net_run(net, 1 * NET_S);
	assert_true(net_status(net, 0).spi_i == spi);
	assert_true(net->host[0].active != 0 && net->host[0].active != child);
	net_run(net, 10 * NET_S);
	assert_true(net_agrees(net));
	assert_int_equal(net_sas(net, 0), 1);
	net_free(net);
}

static void
shutdown_deletes_everything_at_the_peer(void **state)
{
	struct net *net = running(13, 0);

	net->traffic = false;
	ike_engine_shutdown(net->host[0].engine, net->now);
	assert_int_equal(net_sas(net, 0), 0);
	net_run(net, 1 * NET_S);
	assert_int_equal(net_sas(net, 1), 0);
	assert_int_equal(net->host[1].downs, 1);
	assert_int_equal(net->host[0].engine->sas == NULL, 1);
	net_run(net, 20 * NET_S);
	assert_int_equal(net_ike_sas(net, 0), 0);
	net_free(net);
}

/* IKE-114: both close at once. */
static void
crossing_ike_deletes_end_cleanly(void **state)
{
	struct net *net = running(14, 0);

	net->traffic = false;
	ike_engine_shutdown(net->host[0].engine, net->now);
	ike_engine_shutdown(net->host[1].engine, net->now);
	net_run(net, 30 * NET_S);
	assert_null(net->host[0].engine->sas);
	assert_null(net->host[1].engine->sas);
	net_free(net);
}

/* IKE-106: both delete the child at once; afterwards there is exactly one new one. */
static void
crossing_child_deletes_end_cleanly(void **state)
{
	struct net *net = running(15, 0);

	net->traffic = false;
	ike_engine_reset(net->host[0].engine, net->now, "azure", CHILD);
	ike_engine_reset(net->host[1].engine, net->now, "azure", CHILD);
	net_run(net, 60 * NET_S);
	assert_int_equal(net_sas(net, 0), 1);
	assert_int_equal(net_sas(net, 1), 1);
	assert_true(net_agrees(net));
	net_free(net);
}

/* IKE-105, 113: Delete meets a rekey, every kind, with a lost message. */
static void
deletes_meet_rekeys(void **state)
{
	for (uint32_t what = 1; what <= 2; what++)
		for (uint32_t del = 1; del <= 2; del++)
			for (int nth = -1; nth < 6; nth++) {
				struct net *net = running(300 + (uint64_t)nth, 0);

				net->traffic = false;
				net->script = drop_nth;
				net->script_state = nth;
				rekey(net, 0, what);
				ike_engine_reset(net->host[1].engine, net->now, "azure", del);
				net_run(net, 200 * NET_S);
				net_expect_one(net);
				net_free(net);
			}
}

static void
hard_limit_ends_the_child_and_a_new_one_is_made(void **state)
{
	struct net *net = running(16, 0);

	net->traffic = false;
	net_event(net, 0, SPW_SA_EV_HARD);
	net_run(net, 20 * NET_S);
	assert_true(net_agrees(net));
	assert_int_equal(net_sas(net, 0), 1);
	assert_int_equal(net_sas(net, 1), 1);
	net_free(net);
}

/* ---- liveness ---- */

static void
idle_peers_probe_and_stay_up(void **state)
{
	struct net *net = running(17, 0);

	net->traffic = false;
	net_run(net, 1 * NET_S);
	net->ike_sent = 0;
	net_run(net, 300 * NET_S);
	/* one side probes each 15 s, the other hears it */
	assert_in_range(net->ike_sent, 30, 50);
	settle_and_free(net);
}

static void
traffic_makes_probes_needless(void **state)
{
	struct net *net = running(18, 0);

	net->ike_sent = 0;
	net_run(net, 120 * NET_S);
	assert_int_equal(net->ike_sent, 0);
	settle_and_free(net);
}

static void
dead_peer_is_found_and_dialled_again(void **state)
{
	struct net *net = running(19, 0);

	net->host[1].dead = true;
	net_run(net, 40 * NET_S); /* 15 s quiet, then the verdict after 30 s */
	assert_int_equal(net->host[0].downs, 0);
	net_run(net, 6 * NET_S);
	assert_int_equal(net->host[0].downs, 1);
	assert_int_equal(net_sas(net, 0), 0);
	net_run(net, 20 * NET_S);
	assert_non_null(strstr(net_status(net, 0).reason, "no reply to IKE_SA_INIT"));
	net_reboot(net, 1, false);
	net->host[1].dead = false;
	struct spw_ike_conn c = net_conn(net, 1);

	c.mode = RESPOND;
	net_set(net, 1, &c);
	assert_true(net_run_up(net, 70 * NET_S));
	net_run(net, 1 * NET_S);
	assert_true(net_agrees(net));
	net_free(net);
}

/* IKE-136: forged unprotected notifies bring at most a probe each 10 s. */
static void
unprotected_hints_never_change_state(void **state)
{
	struct net *net = running(20, 0);
	const struct ike_sa *sa = net->host[0].engine->sas;
	const struct ike_header h = {.spi_i = sa->spi_i,
				     .spi_r = sa->spi_r,
				     .exchange = IKE_X_INFORMATIONAL,
				     .flags = IKE_FLAG_RESPONSE};
	uint8_t buf[64];
	struct ike_builder b;
	size_t len;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_notify(&b, IKE_N_INVALID_IKE_SPI, 0, 0, NULL, 0);
	assert_int_equal(ike_build_finish(&b, &len), 0);
	net->ike_sent = 0;
	for (int i = 0; i < 1000; i++) {
		net_inject(net, 0, buf, len, 500);
		net_run(net, 10 * NET_MS);
	}
	assert_in_range(net->ike_sent, 2, 4);
	settle_and_free(net);
}

/* ---- data plane ---- */

static void
dataplane_reset_makes_children_anew(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct net *net = running(21 + (uint64_t)i, 0);
		uint64_t spi = net_status(net, 0).spi_i;

		net_dataplane_reset(net, i);
		net_run(net, 500 * NET_MS);
		assert_true(net_agrees(net));
		assert_true(net_status(net, 0).spi_i == spi);
		net_run(net, 100 * NET_MS);
		net->esp_lost = net->esp_unsent = 0;
		for (int k = 0; k < 2; k++)
			net->host[k].downs = 0;
		settle_and_free(net);
	}
}

static void
dataplane_reset_in_the_middle_of_a_rekey(void **state)
{
	for (int who = 0; who < 2; who++)
		for (uint64_t at = 1; at < 60; at += 4) {
			struct net *net = running(400 + at, 0);

			rekey(net, 0, at % 8 == 1 ? CHILD : IKE);
			net_run(net, at * NET_MS);
			net_dataplane_reset(net, who);
			net_run(net, 40 * NET_S);
			assert_true(net_agrees(net));
			net->esp_lost = net->esp_unsent = 0;
			for (int k = 0; k < 2; k++)
				net->host[k].downs = 0;
			settle_and_free(net);
		}
}

static void
rekeys_survive_lossy_networks(void **state)
{
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct net *net = running(500 + seed, 0);

		net->delay_max = 60 * NET_MS;
		net->loss_percent = 10;
		net->dup_percent = 10;
		for (int n = 0; n < 20; n++) {
			ike_engine_rekey(net->host[n & 1].engine, net->now, "azure",
					 n % 5 == 4 ? IKE : CHILD);
			net_run(net, (1 + net_random(&net->rng) % 8) * NET_S);
		}
		settle_and_free(net);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hundred_child_rekeys_lose_nothing),
		cmocka_unit_test(two_hundred_rekeys_of_both_in_a_row_are_never_refused),
		cmocka_unit_test(twenty_ike_rekeys_lose_nothing),
		cmocka_unit_test(lifetimes_start_rekeys_by_themselves),
		cmocka_unit_test(equal_lifetimes_collide_without_loss),
		cmocka_unit_test(child_rekeys_collide),
		cmocka_unit_test(child_and_ike_rekeys_collide),
		cmocka_unit_test(ike_rekeys_collide),
		cmocka_unit_test(refused_rekey_with_a_rival_takes_the_rival),
		cmocka_unit_test(refused_rekey_is_tried_again),
		cmocka_unit_test(long_busy_peer_is_dialled_anew),
		cmocka_unit_test(failed_install_rolls_back),
		cmocka_unit_test(rekey_group_is_corrected),
		cmocka_unit_test(rekey_without_ke_is_accepted_when_configured),
		cmocka_unit_test(responder_waits_for_proof),
		cmocka_unit_test(reset_closes_and_dials_again),
		cmocka_unit_test(reset_of_the_child_keeps_the_ike_sa),
		cmocka_unit_test(shutdown_deletes_everything_at_the_peer),
		cmocka_unit_test(crossing_ike_deletes_end_cleanly),
		cmocka_unit_test(crossing_child_deletes_end_cleanly),
		cmocka_unit_test(deletes_meet_rekeys),
		cmocka_unit_test(hard_limit_ends_the_child_and_a_new_one_is_made),
		cmocka_unit_test(idle_peers_probe_and_stay_up),
		cmocka_unit_test(traffic_makes_probes_needless),
		cmocka_unit_test(dead_peer_is_found_and_dialled_again),
		cmocka_unit_test(unprotected_hints_never_change_state),
		cmocka_unit_test(dataplane_reset_makes_children_anew),
		cmocka_unit_test(dataplane_reset_in_the_middle_of_a_rekey),
		cmocka_unit_test(rekeys_survive_lossy_networks),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
