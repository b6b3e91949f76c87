/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a tunnel, and the daemon that has it, must bear beside what the standards name: a stranger
 * who repeats what he recorded, strangers who use up what configured peers need, a peer that
 * closes, refuses or asks for ever, and a process that was not run for a while.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/ike/puppet_init.h"

#define CHILD SPW_IKE_RESET_CHILD
#define IKE   SPW_IKE_RESET_IKE

static const struct spw_selector any = {.low = {.family = AF_INET},
					.high = {.family = AF_INET, .bytes = {255, 255, 255, 255}},
					.port_high = 65535};

static uint8_t buf[16384];

/* ---- what was recorded and comes again ---- */

/* Only a fresh message is a sign of life (RFC 7296 2.4). */
static void
ike_134_a_request_that_is_repeated_by_others_is_no_sign_of_life(void **state)
{
	struct net *net = tape_up(1);
	struct ike_builder b;
	size_t len;

	puppet_begin(net, 0, &b, IKE_X_INFORMATIONAL, false, puppet_sa(net, 0)->next_out++);
	assert_int_equal(ike_build_seal(&b, puppet_sa(net, 0)->seal, &len), 0);
	memcpy(buf, b.w.start, len);
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, buf, len);
	net->host[0].dead = true;
	for (int s = 0; s < 100 && net_up(net, 1); s++) {
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, buf, len);
		net_run(net, 1 * NET_S);
	}
	assert_false(net_up(net, 1));
	tape_free(net);
}

/* Who repeats a recorded request as fast as he can gets few answers, and nobody much of a flood. */
static void
dos_06_repeats_are_answered_at_a_bounded_rate(void **state)
{
	const struct spw_addr stranger = spw_addr_v4(0xcb007137);
	struct net *net = tape_up(2);
	struct ike_builder b;
	unsigned int n = 0;
	size_t len;

	puppet_begin(net, 0, &b, IKE_X_INFORMATIONAL, false, puppet_sa(net, 0)->next_out++);
	assert_int_equal(ike_build_seal(&b, puppet_sa(net, 0)->seal, &len), 0);
	memcpy(buf, b.w.start, len);
	tape.drop_from[1] = 255;
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, buf, len);
	for (int i = 0; i < 20000; i++) {
		tape_clear();
		puppet_raw(net, 1, &stranger, 500, 500, buf, len);
		n += tape.n;
		net->now += i % 10 == 0 ? NET_MS : 0;
	}
	assert_in_range(n, 10, 60); /* two seconds */
	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, buf, len); /* the peer itself */
	assert_int_equal(tape.n, 1);
	tape_free(net);
}

static void
dos_06_a_repeated_first_request_is_answered_at_a_bounded_rate(void **state)
{
	struct net *net = tape_net(3);
	struct spw_ike_conn c = net_conn(net, 1);
	unsigned int n = 0;

	c.mode = SPW_IKE_MODE_RESPOND;
	net_set(net, 1, &c);
	tape.drop_from[1] = 255;
	for (int i = 0; i < 5000; i++) {
		tape_clear();
		puppet_knock(net, 77);
		n += tape.n;
	}
	assert_int_equal(puppet_half_open(net), 1);
	assert_in_range(n, 2, 110);
	tape_free(net);
}

/* ---- what strangers use up ---- */

/* Answers for anybody never use up those for configured peers (DOS-03). */
static void
dos_03_strangers_do_not_take_the_cookies_of_configured_peers(void **state)
{
	const struct spw_addr stranger = spw_addr_v4(0xcb007137);
	struct net *net = tape_net(4);
	struct spw_ike_conn c = net_conn(net, 1);
	uint8_t h[IKE_HEADER_LEN] = {
		[7] = 1, [15] = 2, [17] = 0x20, [18] = 37, [19] = 8, [27] = 28};

	c.mode = SPW_IKE_MODE_RESPOND;
	net_set(net, 1, &c);
	tape.drop_from[1] = 255;
	for (uint64_t spi = 1; spi <= 4; spi++) /* from here on a cookie is wanted */
		puppet_knock(net, spi);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 5000; i++)
			puppet_raw(net, 1, &stranger, 500, 500, h, sizeof(h));
		tape_clear();
		puppet_knock(net, 100 + (uint64_t)round);
		assert_int_equal(tape.n, 1);
		assert_non_null(ike_wire_notify(&tape.at[0].m, IKE_N_COOKIE));
		net->now += 10 * NET_MS;
	}
	tape_free(net);
}

/* CPU time of a number of requests about an IKE SA that nobody has. */
static double
cost_of_unknown(struct net *net)
{
	uint8_t m[64] = {[7] = 1, [15] = 2, [17] = 0x20, [18] = 37, [19] = 8, [27] = sizeof(m)};
	clock_t begun = clock();

	for (int i = 0; i < 3000; i++) {
		m[0] = (uint8_t)i;
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, m, sizeof(m));
	}
	return (double)(clock() - begun) / CLOCKS_PER_SEC;
}

static void
a_request_for_an_unknown_ike_sa_costs_the_same_with_many(void **state)
{
	struct net *net = tape_net(5);
	struct ike_engine *e;
	double few, many;
	struct spw_ike_conn c = net_conn(net, 1);

	c.mode = SPW_IKE_MODE_RESPOND;
	net_set(net, 1, &c);
	e = net->host[1].engine;
	few = cost_of_unknown(net);
	for (int i = 0; i < 20000; i++) {
		struct ike_sa *sa = ike_sa_new(e, NULL, false);

		assert_non_null(sa);
		sa->spi_i = ike_random_u64(e);
		sa->spi_r = ike_sa_own_spi(sa) ? ike_sa_own_spi(sa) : ike_random_u64(e);
		sa->state = IKE_SA_GONE;
		sa->expire_at = net->now + 3600 * NET_S;
		ike_wake(sa);
		if (i % 100 == 0)
			ike_engine_tick(e, net->now);
	}
	ike_engine_tick(e, net->now);
	many = cost_of_unknown(net);
	if (many > 8 * few + 0.02)
		fail_msg("%.1f ms with none, %.1f ms with 20000", few * 1e3, many * 1e3);
	tape_free(net);
}

/* Host 0 dials again and again with a wrong key, as fast as the network carries it. */
static struct net *
wrong_key(uint64_t seed)
{
	struct net *net = net_new(seed);
	struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

	c[0].mode = SPW_IKE_MODE_INITIATE;
	c[1].mode = SPW_IKE_MODE_RESPOND;
	c[0].ike[0].group = c[1].ike[0].group = SPW_GROUP_X25519;
	c[0].psk[0] ^= 1;
	net_set(net, 1, &c[1]);
	net_set(net, 0, &c[0]);
	net->delay_min = net->delay_max = 1000;
	return net;
}

static void
dial_and_fail(struct net *net, int times)
{
	for (int i = 0; i < times; i++) {
		ike_engine_reset(net->host[0].engine, net->now, "azure", IKE);
		net_run(net, 100 * SPW_NS_PER_US);
	}
}

static unsigned int
count_sas(const struct net *net, int i)
{
	unsigned int n = 0;

	for (const struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
		n++;
	return n;
}

/* What a stranger has left counts against him until it is gone. */
static void
dos_01_failed_authentications_count_as_half_open(void **state)
{
	struct net *net = wrong_key(6);
	struct ike_engine *e = net->host[1].engine;

	dial_and_fail(net, 20);
	assert_int_equal(count_sas(net, 1), 20);
	assert_int_equal(e->sas->state, IKE_SA_GONE);
	/* as if there had been as many as there may be */
	for (int i = 20; i < IKE_HALF_OPEN_MAX; i++) {
		struct ike_sa *sa = ike_sa_new(e, NULL, false);

		assert_non_null(sa);
		assert_int_equal(ike_blob_set(&sa->own_init, "x", 1), 0);
		sa->state = IKE_SA_GONE;
		sa->expire_at = net->now + IKE_GONE_NS;
		ike_wake(sa);
	}
	ike_engine_tick(e, net->now);
	dial_and_fail(net, 5);
	assert_int_equal(count_sas(net, 1), IKE_HALF_OPEN_MAX);
	net_run(net, 11 * NET_S);
	dial_and_fail(net, 5);
	assert_in_range(count_sas(net, 1), 1, 10); /* and then it is over */
	net_free(net);
}

/* A quarter of the escrow is never theirs. */
static void
failed_authentications_leave_room_in_the_escrow(void **state)
{
	struct net *net = wrong_key(7);
	struct ike_escrow *esc = net->host[1].escrow;

	dial_and_fail(net, 40);
	assert_in_range(ike_escrow_used(esc), 1, ike_escrow_slots(esc) / 4 * 3);
	net_free(net);
}

/* ---- a peer that is not of one mind with us ---- */

/* It closes each IKE SA as soon as it has come up: we dial again, with pauses. */
static void
ike_141_a_peer_that_closes_at_once_is_dialled_with_pauses(void **state)
{
	for (int with_child = 0; with_child < 2; with_child++) {
		struct net *net = tape_net(8);
		struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

		c[0].mode = SPW_IKE_MODE_INITIATE;
		c[1].mode = SPW_IKE_MODE_RESPOND;
		if (!with_child) /* the child of IKE_AUTH is refused */
			c[1].esp[0].encr = SPW_ENCR_AES128_GCM;
		net_set(net, 1, &c[1]);
		net_set(net, 0, &c[0]);
		for (int ms = 0; ms < 20000; ms += 10) {
			net_run(net, 10 * NET_MS);
			if (net_ike_sas(net, 1) > 0)
				ike_engine_reset(net->host[1].engine, net->now, "azure", IKE);
		}
		assert_in_range(tape_count(0, IKE_X_SA_INIT, false), 5, 25);
		/* and once it has come to its senses */
		c[1] = net_conn(net, 1);
		c[1].mode = SPW_IKE_MODE_RESPOND;
		net_set(net, 1, &c[1]);
		assert_true(net_run_up(net, 70 * NET_S));
		tape_free(net);
	}
}

static void
fill_delete(struct ike_builder *b, void *ctx)
{
	ike_build_delete(b, ctx, 1);
}

static void
fill_no_more(struct ike_builder *b, void *ctx)
{
	ike_build_notify(b, IKE_N_NO_ADDITIONAL_SAS, 0, 0, NULL, 0);
}

/* One child an IKE SA is all that it makes, and that one is gone: only a new IKE SA brings one. */
static void
ike_080_a_peer_that_makes_no_second_child_gets_a_new_ike_sa(void **state)
{
	struct net *net = tape_up(9);
	uint64_t old = net_status(net, 0).spi_i;
	uint32_t spi = net->host[1].active;

	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	puppet_ask(net, 1, IKE_X_INFORMATIONAL, fill_delete, &spi);
	assert_false(net_up(net, 0));
	for (int i = 0; i < 100 && !net_up(net, 0); i++) {
		net_run(net, 200 * NET_MS);
		if (puppet_sa(net, 0)->req.task == IKE_TASK_CHILD)
			puppet_answer(net, 1, fill_no_more, NULL);
	}
	assert_true(net_up(net, 0));
	assert_true(net_status(net, 0).spi_i != old);
	net_run(net, 15 * NET_S);
	assert_true(net_agrees(net));
	assert_int_equal(net_ike_sas(net, 0), 1);
	tape_free(net);
}

/* The same of its IKE SA: it is not asked again and again, a new one is made beside it. */
static void
ike_080_a_peer_that_rekeys_no_ike_sa_gets_a_new_one(void **state)
{
	struct net *net = tape_up(10);
	uint64_t old = net_status(net, 0).spi_i;

	net->traffic = true;
	net_run(net, 100 * NET_MS);
	net->esp_lost = net->esp_unsent = 0;
	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	assert_int_equal(ike_engine_rekey(net->host[0].engine, net->now, "azure", IKE), 0);
	puppet_answer(net, 1, fill_no_more, NULL);
	net_run(net, 20 * NET_S);
	assert_int_equal(tape_count(0, IKE_X_CREATE_CHILD, false), 1);
	assert_true(net_status(net, 0).spi_i != old);
	assert_int_equal(net->esp_lost + net->esp_unsent, 0);
	assert_true(net_agrees(net));
	tape_free(net);
}

/* Nor does it become a storm where a new IKE SA brings no child either. */
static void
ike_080_a_peer_that_makes_no_child_at_all_is_asked_with_growing_pauses(void **state)
{
	struct net *net = tape_net(11);
	struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};
	unsigned int dials = 0;

	c[0].mode = SPW_IKE_MODE_INITIATE;
	c[1].mode = SPW_IKE_MODE_RESPOND;
	c[1].esp[0].encr = SPW_ENCR_AES128_GCM;
	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	net_set(net, 1, &c[1]);
	net_set(net, 0, &c[0]);
	for (int ms = 0; ms < 120000; ms += 50) {
		net_run(net, 50 * NET_MS);
		if (net->host[0].engine->sas && puppet_sa(net, 0)->req.task == IKE_TASK_CHILD)
			puppet_answer(net, 1, fill_no_more, NULL);
		dials += tape_count(0, IKE_X_SA_INIT, false);
		tape_clear();
	}
	assert_in_range(dials, 3, 10);
	tape_free(net);
}

struct wish {
	uint32_t spi, rekey, address;
};

static void
fill_wish(struct ike_builder *b, void *ctx)
{
	static const struct spw_ike_proposal usual = {.encr = SPW_ENCR_AES256_GCM};
	const struct wish *w = ctx;
	struct spw_selector one = any;
	uint8_t nonce[32];

	memset(nonce, (int)w->spi, sizeof(nonce));
	one.low = one.high = spw_addr_v4(w->address);
	if (w->rekey)
		ike_build_notify(b, IKE_N_REKEY_SA, IKE_PROTO_ESP, w->rekey, NULL, 0);
	ike_build_sa(b, IKE_PROTO_ESP, w->spi, 4, &usual, 1, 1, true);
	ike_build_bytes(b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ts(b, IKE_P_TSI, &any, 1);
	ike_build_ts(b, IKE_P_TSR, w->address ? &one : &any, 1);
}

/* A peer that makes child after child fills neither the data plane nor the record of its IKE SA. */
static void
dos_05_the_children_of_an_ike_sa_are_bounded(void **state)
{
	struct net *net = tape_up(12);
	const struct taped *t = NULL;
	unsigned int made = 0;
	struct wish w = {0};

	for (uint32_t i = 0; i < 50; i++) {
		w = (struct wish){.spi = 0x3000 + i, .address = 0x0a000000 + i};
		t = puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_wish, &w);
		assert_true(t && t->opened);
		made += t->m.has_sa;
		net->now += 200 * NET_MS;
	}
	assert_in_range(made, 8, 30);
	assert_int_equal(ike_wire_error(&t->m)->type, IKE_N_NO_ADDITIONAL_SAS);
	assert_int_not_equal(puppet_sa(net, 1)->slot, 0);
	/* its tunnel's own child is rekeyed all the same */
	w = (struct wish){.spi = 0x4000, .rekey = net->host[0].active};
	t = puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_wish, &w);
	assert_true(t && t->opened && t->m.has_sa);
	assert_int_not_equal(puppet_sa(net, 1)->slot, 0);
	tape_free(net);
}

static void
fill_many_selectors(struct ike_builder *b, void *ctx)
{
	static const struct spw_ike_proposal usual = {.encr = SPW_ENCR_AES256_GCM};
	static struct spw_selector ts[100];
	const uint8_t nonce[32] = {9};

	for (uint32_t i = 0; i < 100; i++) {
		ts[i] = any;
		ts[i].low = spw_addr_v4(0x0a000000 + (i << 8));
		ts[i].high = spw_addr_v4(0x0a0000ff + (i << 8));
	}
	ike_build_sa(b, IKE_PROTO_ESP, 0x5001, 4, &usual, 1, 1, true);
	ike_build_bytes(b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ts(b, IKE_P_TSI, ts, 100);
	ike_build_ts(b, IKE_P_TSR, &any, 1);
}

/* A list of selectors may be as long as RFC 7296 3.13 has it, nearly: it is narrowed. */
static void
ike_011_a_long_list_of_selectors_is_narrowed_and_ends_nothing(void **state)
{
	struct net *net = tape_up(13);
	const struct taped *t = puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_many_selectors, NULL);

	assert_true(t && t->opened);
	assert_null(ike_wire_error(&t->m));
	assert_true(t->m.has_sa && t->m.tsi.count >= 1 && t->m.tsi.count <= SPW_SA_SELECTORS);
	assert_int_equal(net_ike_sas(net, 1), 1);
	tape_free(net);
}

/*
 * A peer that dialled and got no child, or lost it, may not ask for another: who only waits to be
 * dialled makes it on the IKE SA that stands.
 */
static void
ike_056_who_waits_to_be_dialled_makes_the_child_that_is_missing(void **state)
{
	for (int lost = 0; lost < 2; lost++) {
		struct net *net = lost ? tape_up(16) : tape_net(16);

		tape.drop_from[0] = IKE_X_CREATE_CHILD; /* as if it never asked */
		tape.drop_requests_only = true;
		if (lost) {
			net_event(net, 1, SPW_SA_EV_HARD);
		} else {
			net->host[1].refuse_installs = 1;
			net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
		}
		net_run(net, 5 * NET_S);
		assert_false(net_up(net, 1)); /* the peer has its time */
		assert_int_equal(tape_count(1, IKE_X_CREATE_CHILD, false), 0);
		net_run(net, 15 * NET_S);
		assert_true(net_up(net, 0) && net_up(net, 1));
		assert_true(net_agrees(net));
		assert_int_equal(tape_count(0, IKE_X_SA_INIT, false), 1);
		tape_free(net);
	}
}

static void
fill_busy(struct ike_builder *b, void *ctx)
{
	ike_build_notify(b, IKE_N_TEMPORARY_FAILURE, 0, 0, NULL, 0);
}

/* One TEMPORARY_FAILURE, the peer's own rekey, and hours later another one: nothing is wrong. */
static void
ike_116_busy_is_counted_from_the_last_rekey_that_worked(void **state)
{
	for (uint32_t what = IKE; what <= CHILD; what++) {
		struct net *net = tape_up(17);
		uint64_t spi;

		for (int round = 0; round < 2; round++) {
			tape.drop_from[0] = IKE_X_CREATE_CHILD;
			tape.drop_requests_only = true;
			assert_int_equal(
				ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD), 0);
			puppet_answer(net, 1, fill_busy, NULL);
			tape.drop_from[0] = 0;
			spi = net_status(net, 0).spi_i;
			tape_clear();
			net_run(net, 1 * NET_S);
			assert_int_equal(tape_count(0, IKE_X_SA_INIT, false), 0);
			assert_true(net_status(net, 0).spi_i == spi);
			ike_engine_rekey(net->host[1].engine, net->now, "azure", what);
			net_run(net, 600 * NET_S);
		}
		assert_true(net_agrees(net));
		tape_free(net);
	}
}

/* A data plane that takes no SA more for minutes: what stands carries the traffic all the while. */
static void
ike_116_a_data_plane_that_takes_nothing_costs_no_packet(void **state)
{
	for (int i = 0; i < 6; i++) {
		struct net *net = tape_net(18);
		int who = i & 1;

		net_connect(net, i < 4 ? SPW_IKE_MODE_BOTH : SPW_IKE_MODE_RESPOND,
			    i < 2 || i >= 4 ? SPW_IKE_MODE_BOTH : SPW_IKE_MODE_RESPOND);
		assert_true(net_run_up(net, 5 * NET_S));
		net_run(net, 30 * NET_S);
		net->traffic = true;
		net->traffic_every = 50 * NET_MS;
		net_run(net, 500 * NET_MS);
		net->esp_lost = net->esp_unsent = 0;
		net->host[who].refuse_installs = 100000;
		ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
		net_run(net, 350 * NET_S);
		assert_int_equal(net->esp_lost + net->esp_unsent, 0);
		net->host[who].refuse_installs = 0;
		net_run(net, 100 * NET_S);
		assert_int_equal(net->esp_lost + net->esp_unsent, 0);
		assert_true(net_agrees(net));
		assert_int_equal(net_sas(net, 0) + net_sas(net, 1), 2);
		tape_free(net);
	}
}

/* ---- a process that was not run ---- */

/* The time in which nothing could be sent or heard does not count against the peer (F10). */
static void
ike_135_a_stall_with_a_request_out_is_no_verdict(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct net *net = tape_up(14);
		uint64_t old = net_status(net, 0).spi_i;

		net_run(net, 12 * NET_S);
		tape.drop_from[i] = IKE_X_INFORMATIONAL; /* the probe, or its answer, is lost */
		for (int ms = 0; ms < 10000 && puppet_sa(net, 0)->req.task == IKE_TASK_NONE;
		     ms += 10)
			net_run(net, 10 * NET_MS);
		assert_int_equal(puppet_sa(net, 0)->req.task, IKE_TASK_PROBE);
		net_run(net, 200 * NET_MS);
		tape.drop_from[i] = 0;
		net->now += 60 * NET_S;
		net_run(net, 20 * NET_S);
		assert_true(net_up(net, 0) && net_up(net, 1));
		assert_true(net_status(net, 0).spi_i == old);
		tape_free(net);
	}
}

/* And a dead peer is found in the usual time after it. */
static void
ike_135_after_a_stall_a_dead_peer_is_found(void **state)
{
	struct net *net = tape_up(15);
	uint64_t begun;

	net_run(net, 12 * NET_S);
	net->host[1].dead = true;
	for (int ms = 0; ms < 10000 && puppet_sa(net, 0)->req.task == IKE_TASK_NONE; ms += 10)
		net_run(net, 10 * NET_MS);
	net->now += 60 * NET_S;
	begun = net->now;
	while (net_up(net, 0) && net->now < begun + 60 * NET_S)
		net_run(net, 100 * NET_MS);
	assert_in_range(net->now - begun, 20 * NET_S, 35 * NET_S);
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_134_a_request_that_is_repeated_by_others_is_no_sign_of_life),
		cmocka_unit_test(dos_06_repeats_are_answered_at_a_bounded_rate),
		cmocka_unit_test(dos_06_a_repeated_first_request_is_answered_at_a_bounded_rate),
		cmocka_unit_test(dos_03_strangers_do_not_take_the_cookies_of_configured_peers),
		cmocka_unit_test(a_request_for_an_unknown_ike_sa_costs_the_same_with_many),
		cmocka_unit_test(dos_01_failed_authentications_count_as_half_open),
		cmocka_unit_test(failed_authentications_leave_room_in_the_escrow),
		cmocka_unit_test(ike_141_a_peer_that_closes_at_once_is_dialled_with_pauses),
		cmocka_unit_test(ike_080_a_peer_that_makes_no_second_child_gets_a_new_ike_sa),
		cmocka_unit_test(ike_080_a_peer_that_rekeys_no_ike_sa_gets_a_new_one),
		cmocka_unit_test(
			ike_080_a_peer_that_makes_no_child_at_all_is_asked_with_growing_pauses),
		cmocka_unit_test(dos_05_the_children_of_an_ike_sa_are_bounded),
		cmocka_unit_test(ike_011_a_long_list_of_selectors_is_narrowed_and_ends_nothing),
		cmocka_unit_test(ike_056_who_waits_to_be_dialled_makes_the_child_that_is_missing),
		cmocka_unit_test(ike_116_busy_is_counted_from_the_last_rekey_that_worked),
		cmocka_unit_test(ike_116_a_data_plane_that_takes_nothing_costs_no_packet),
		cmocka_unit_test(ike_135_a_stall_with_a_request_out_is_no_verdict),
		cmocka_unit_test(ike_135_after_a_stall_a_dead_peer_is_found),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
