/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deletions on record (escrow_will.c): what a killed process had decided to take out of its data
 * plane, and had not, the next one takes out; and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

#define IN	    SPW_SA_PART_IN
#define OUT	    SPW_SA_PART_OUT
#define SLOTS	    8
#define MANY	    3000
#define A_LIST	    1015 /* deletions in a slot */
#define INCARNATION 5
#define STEP_MAX    40

/* ---- an engine alone, and what it deletes ---- */

static struct {
	uint32_t spi_in, parts;
} done[2 * MANY];
static unsigned int n_done;

static void
op_random(void *ctx, void *buf, size_t len)
{
	memset(buf, 7, len);
}

static int
op_sa_delete(void *ctx, uint32_t spi_in, uint32_t parts)
{
	assert_true(n_done < sizeof(done) / sizeof(done[0]));
	done[n_done].spi_in = spi_in;
	done[n_done++].parts = parts;
	return 0;
}

struct instance {
	size_t size;
	void *memory;
	struct ike_escrow *escrow;
	struct ike_engine *engine;
};

/* `memory`: what an earlier one left, copied; NULL = nothing. */
static struct instance
instance(unsigned int slots, const void *memory, uint64_t incarnation)
{
	static const struct ike_ops ops = {.random = op_random, .sa_delete = op_sa_delete};
	struct ike_engine_config config = {.ops = &ops, .incarnation = incarnation};
	struct instance i = {.size = ike_escrow_size(slots)};

	i.memory = calloc(1, i.size);
	assert_non_null(i.memory);
	if (memory)
		memcpy(i.memory, memory, i.size);
	assert_int_equal(ike_escrow_new(&i.escrow, i.memory, i.size), 0);
	config.escrow = i.escrow;
	assert_int_equal(ike_engine_new(&i.engine, &config, 1), 0);
	n_done = 0;
	return i;
}

static void
end(struct instance *i)
{
	ike_engine_free(i->engine);
	assert_int_equal(ike_escrow_used(i->escrow), 0);
	ike_escrow_free(i->escrow);
	free(i->memory);
}

/* Both halves of so many SAs are about to go; as the process stands when it sends the first word.
 */
static struct instance
about_to_delete(unsigned int slots, unsigned int n)
{
	struct instance i = instance(slots, NULL, INCARNATION);

	for (uint32_t k = 0; k < n; k++) {
		ike_will_add(i.engine, 0x1000 + k, OUT);
		ike_will_add(i.engine, 0x1000 + k, IN);
	}
	ike_wills_write(i.engine);
	ike_escrow_publish(i.escrow);
	return i;
}

/* What the one after it deletes. */
static void
expect_done(const struct instance *before, uint64_t incarnation, unsigned int n)
{
	struct instance next =
		instance(ike_escrow_slots(before->escrow), before->memory, incarnation);

	assert_int_equal(ike_engine_restored(next.engine, 2), 0);
	assert_int_equal(n_done, n);
	for (uint32_t k = 0; k < n; k++) {
		assert_int_equal(done[k].spi_in, 0x1000 + k);
		assert_int_equal(done[k].parts, IN | OUT);
	}
	assert_int_equal(ike_escrow_used(next.escrow), 0);
	assert_int_equal(ike_engine_restored(next.engine, 3), 0); /* once */
	assert_int_equal(n_done, n);
	end(&next);
}

static void
the_next_instance_deletes_what_was_decided_and_not_done(void **state)
{
	static const unsigned int counts[] = {1, A_LIST, A_LIST + 1, MANY};

	for (unsigned int k = 0; k < 4; k++) {
		struct instance i = about_to_delete(SLOTS, counts[k]);

		expect_done(&i, INCARNATION, counts[k]);
		ike_wills_end(i.engine);
		end(&i);
	}
}

static void
what_was_done_is_not_done_again(void **state)
{
	struct instance i = about_to_delete(SLOTS, MANY);

	ike_wills_end(i.engine);
	assert_int_equal(ike_escrow_used(i.escrow), 0);
	expect_done(&i, INCARNATION, 0);
	end(&i);
}

static void
what_was_not_decided_yet_is_not_done(void **state)
{
	struct instance i = instance(SLOTS, NULL, INCARNATION);

	ike_will_add(i.engine, 0x1000, IN | OUT);
	ike_wills_write(i.engine); /* killed before the batch held */
	expect_done(&i, INCARNATION, 0);
	ike_wills_end(i.engine);
	end(&i);
}

static void
in_another_data_plane_it_means_nothing(void **state)
{
	struct instance i = about_to_delete(SLOTS, 3);

	expect_done(&i, INCARNATION + 1, 0);
	expect_done(&i, 0, 0);
	ike_wills_end(i.engine);
	end(&i);
}

static void
what_finds_no_slot_stays(void **state)
{
	struct instance i = about_to_delete(2, MANY);

	expect_done(&i, INCARNATION, 2 * A_LIST);
	ike_wills_end(i.engine);
	assert_int_equal(ike_escrow_used(i.escrow), 0); /* and the slots are free again */
	end(&i);
}

static void
no_will_whatever_is_in_it_does_harm(void **state)
{
	uint64_t rng = 11, incarnation = INCARNATION;

	for (int n = 0; n < 2000; n++) {
		struct instance i = instance(1, NULL, INCARNATION), next;
		size_t room, len = 32 + net_random(&rng) % 100;
		uint8_t *draft = ike_escrow_draft(i.escrow, &room);

		assert_int_equal(ike_escrow_take(i.escrow), 1);
		for (size_t k = 0; k < len; k++)
			draft[k] = (uint8_t)net_random(&rng);
		memset(draft, 0, 32);
		if (len >= 48 && n % 2) {
			memcpy(draft + 32, &incarnation, 8);
			memset(draft + 41, n % 4 == 1 ? 0 : 0xff,
			       7); /* the upper part of how many */
		}
		ike_escrow_write(i.escrow, 1, len);
		ike_escrow_publish(i.escrow);
		next = instance(1, i.memory, INCARNATION);
		ike_engine_restored(next.engine, 2);
		assert_true(n_done <= (len < 48 ? 0 : (len - 48) / 8));
		end(&next);
		ike_escrow_remove(i.escrow, 1);
		ike_escrow_publish(i.escrow);
		end(&i);
	}
}

static void
a_will_leaves_alone_what_goes_on(void **state)
{
	static const struct {
		bool known, absent, out_gone;
		uint32_t parts, rest;
	} t[] = {
		{false, false, false, IN | OUT, IN | OUT},
		{false, false, false, IN, IN},
		{true, true, false, IN | OUT, IN | OUT},
		{true, false, true, IN | OUT, OUT},
		{true, false, true, OUT, OUT},
		{true, false, true, IN, 0},
		{true, false, false, IN | OUT, 0},
		{true, false, false, OUT, 0},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct ike_child c = {.absent = t[i].absent, .out_gone = t[i].out_gone};

		assert_int_equal(ike_will_rest(t[i].parts, t[i].known ? &c : NULL), t[i].rest);
	}
}

/* ---- two engines, one of them killed ---- */

static struct net *
network(uint64_t seed)
{
	struct net *net = net_new(seed);

	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	net->traffic = true;
	net_run(net, 500 * NET_MS);
	return net;
}

static void
reset(struct net *net, int i, uint32_t what)
{
	net_call_begins(&net->host[i]);
	(void)ike_engine_reset(net->host[i].engine, net->now, "azure", what);
	net_call_ends(&net->host[i]);
}

static unsigned int
orphans(const struct net *net, int i)
{
	unsigned int n = 0;

	for (unsigned int k = 0; k < net->host[i].sa_top; k++)
		n += net->host[i].sa[k].orphan && (net->host[i].sa[k].in || net->host[i].sa[k].out);
	return n;
}

static void
a_command_killed_anywhere_leaves_nothing_that_carries(void **state)
{
	static const uint32_t whats[] = {SPW_IKE_RESET_IKE, SPW_IKE_RESET_CHILD};
	unsigned int kills = 0;

	for (int n = 0; n < 8 * STEP_MAX; n++) {
		struct net *net = network((uint64_t)n + 1);
		int victim = n & 1, who = n >> 1 & 1;

		net_kill_at(net, victim, 1 + (unsigned int)n / 8, false, 300 * NET_MS);
		reset(net, who, whats[n >> 2 & 1]);
		net_run(net, 60 * NET_S);
		kills += net->host[victim].kills;
		net->host[victim].kill_in = 0;
		assert_int_equal(net->host[victim].stranded, 0);
		net_run(net, 60 * NET_S);
		assert_true(net_agrees(net));
		net_orphans_end(net, victim);
		net_free(net);
	}
	assert_true(kills > 40);
}

/* Ours was installed, and the process killed before that was on record; then nobody wants it. */
static void
an_spi_given_back_takes_along_what_stood_under_it(void **state)
{
	unsigned int met = 0;

	for (unsigned int n = 1; n < STEP_MAX; n++) {
		struct net *net = network(n);

		net_kill_at(net, 0, n, true, 0);
		net_rekey(net, 0, SPW_IKE_RESET_CHILD);
		for (int k = 0; k < 100 && net->host[0].kills == 0; k++)
			net_run(net, NET_MS);
		net->host[0].kill_in = 0;
		met += net->host[0].kills && orphans(net, 0);
		reset(net, 0, SPW_IKE_RESET_IKE);
		assert_int_equal(orphans(net, 0), 0);
		net_run(net, 60 * NET_S);
		assert_true(net_agrees(net));
		net_free(net);
	}
	assert_true(met > 0);
}

/* Nobody decided that they go: they carry the traffic until a successor does. */
static void
the_sas_of_a_lost_escrow_stay(void **state)
{
	struct net *net = network(1);
	struct net_host *h = &net->host[0];
	uint32_t active = h->active;

	net_reboot(net, 0, true); /* with the escrow, without the data plane */
	h->conn.mode = SPW_IKE_MODE_RESPOND;
	net_set(net, 0, &h->conn);
	assert_int_equal(ike_engine_restored(h->engine, net->now), 0);
	assert_int_equal(h->active, active);
	assert_int_equal(net_sas(net, 0), 1);
	net->esp_lost = net->esp_unsent = 0;
	net_run(net, 5 * NET_S);
	assert_int_equal(net->esp_lost + net->esp_unsent, 0);
	h->sa[0].in = h->sa[0].out = false;
	h->active = 0;
	net_free(net);
}

static void
the_sas_of_a_record_that_is_refused_stay(void **state)
{
	struct net *net = network(1);
	struct net_host *h = &net->host[0];
	uint32_t active = h->active;

	net_kill_at(net, 0, 1, false, 100 * NET_MS);
	net_rekey(net, 0, SPW_IKE_RESET_CHILD);
	assert_int_equal(h->kills, 1);
	h->conn.psk[0] ^= 1; /* meanwhile it has another key */
	h->conn.mode = SPW_IKE_MODE_RESPOND;
	net->esp_lost = net->esp_unsent = 0;
	net_run(net, 5 * NET_S);
	assert_int_equal(h->adopted, 0);
	assert_int_equal(h->active, active);
	assert_int_equal(orphans(net, 0), 1);
	assert_int_equal(net->esp_lost + net->esp_unsent, 0);
	h->sa[0].in = h->sa[0].out = false;
	h->active = 0;
	net_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_instance_deletes_what_was_decided_and_not_done),
		cmocka_unit_test(what_was_done_is_not_done_again),
		cmocka_unit_test(what_was_not_decided_yet_is_not_done),
		cmocka_unit_test(in_another_data_plane_it_means_nothing),
		cmocka_unit_test(what_finds_no_slot_stays),
		cmocka_unit_test(no_will_whatever_is_in_it_does_harm),
		cmocka_unit_test(a_will_leaves_alone_what_goes_on),
		cmocka_unit_test(a_command_killed_anywhere_leaves_nothing_that_carries),
		cmocka_unit_test(an_spi_given_back_takes_along_what_stood_under_it),
		cmocka_unit_test(the_sas_of_a_lost_escrow_stay),
		cmocka_unit_test(the_sas_of_a_record_that_is_refused_stay),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	if (spw_secret_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
