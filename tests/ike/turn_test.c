/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose turn it is, with many connections: what a call costs and what it must not forget. Peers
 * that never answer are enough: the engine dials, repeats and gives up. (With peers that do,
 * tests/ike/net_process.c asks ike_turns_sound() after every call of every schedule.)
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ike/engine.h"
#include "tests/ike/no_dataplane.h"

#define MANY 300

static struct world {
	uint64_t seed;
	unsigned int sent;
	uint8_t last[IKE_DATAGRAM_MAX];
	size_t last_len;
	struct spw_addr last_to;
	char order[4096]; /* the peers sent to, one after another */
} w;

static void
op_send(void *ctx, const struct ike_datagram *d)
{
	size_t n = strlen(w.order);

	w.sent++;
	w.last_to = d->remote;
	w.last_len = d->len;
	memcpy(w.last, d->bytes, d->len);
	if (n + 8 < sizeof(w.order))
		snprintf(w.order + n, sizeof(w.order) - n, "%x ",
			 spw_addr_get_v4(&d->remote) & 0xffff);
}

static void
op_random(void *ctx, void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		w.seed = w.seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		((uint8_t *)buf)[i] = (uint8_t)(w.seed >> 56);
	}
}

static struct spw_ike_conn
conn_of(unsigned int i, uint32_t mode)
{
	struct spw_selector any = {.high = spw_addr_v4(0xffffffff), .port_high = 65535};
	struct spw_ike_conn c = {.tunnel = i,
				 .local = spw_addr_v4(0xc0000201),
				 .remote = spw_addr_v4(0x0a000000 + i),
				 .mode = mode,
				 .psk_len = 3,
				 .psk = "abc",
				 .n_ike = 1,
				 .n_esp = 1,
				 .n_local = 1,
				 .n_remote = 1};

	any.low = spw_addr_v4(0);
	snprintf(c.name, sizeof(c.name), "t%u", i);
	c.ike[0] = (struct spw_ike_proposal){SPW_ENCR_AES256_GCM, SPW_INTEG_NONE,
					     SPW_PRF_HMAC_SHA256, SPW_GROUP_X25519};
	c.esp[0] = (struct spw_ike_proposal){SPW_ENCR_AES256_GCM, SPW_INTEG_NONE, SPW_PRF_NONE,
					     SPW_GROUP_NONE};
	c.sel_local[0] = c.sel_remote[0] = any;
	return c;
}

static struct ike_engine *
engine_new(uint64_t seed)
{
	static struct ike_ops ops;
	struct ike_engine_config config = {.ops = &ops, .encr_mask = UINT32_MAX};
	struct ike_engine *e;

	ops = no_dataplane_ops();
	ops.send = op_send;
	ops.random = op_random;
	memset(&w, 0, sizeof(w));
	w.seed = seed;
	assert_int_equal(ike_engine_new(&e, &config, SPW_NS_PER_S), 0);
	return e;
}

static void
set(struct ike_engine *e, uint64_t now, unsigned int i, uint32_t mode)
{
	struct spw_ike_conn c = conn_of(i, mode);
	struct spw_err err = {0};

	assert_int_equal(ike_engine_conn_set(e, now, &c, &err), 0);
	assert_true(ike_turns_sound(e));
}

static void
every_connection_dials_and_repeats_in_its_time(void **state)
{
	struct ike_engine *e = engine_new(1);
	uint64_t now = SPW_NS_PER_S, wake;

	for (unsigned int i = 0; i < MANY; i++, now += SPW_NS_PER_MS)
		set(e, now, i, SPW_IKE_MODE_INITIATE);
	assert_int_equal(w.sent, MANY);
	for (int step = 0; step < 3 * MANY; step++) {
		unsigned int before = w.sent;

		wake = ike_engine_wakeup(e);
		assert_true(wake > now);
		now = wake;
		ike_engine_tick(e, now);
		assert_true(ike_turns_sound(e));
		if (step < 2 * MANY) /* made one after another, they wake one after another */
			assert_int_equal(w.sent, before + 1);
	}
	assert_true(w.sent >= 3 * MANY);
	ike_engine_free(e);
}

/* A datagram about one of many gives a turn to that one alone. */
static void
one_datagram_is_one_turn(void **state)
{
	struct ike_engine *e = engine_new(2);
	struct ike_datagram d = {
		.local = spw_addr_v4(0xc0000201), .local_port = 500, .remote_port = 500};
	struct ike_header h;
	uint8_t bytes[IKE_HEADER_LEN];
	unsigned int turns = 0;

	for (unsigned int i = 0; i < MANY; i++)
		set(e, SPW_NS_PER_S, i, SPW_IKE_MODE_INITIATE);
	assert_int_equal(ike_wire_header(&h, w.last, w.last_len), 0);
	memcpy(bytes, w.last, sizeof(bytes));
	spw_put_be64(bytes + 8, 77); /* an answer */
	bytes[19] = IKE_FLAG_RESPONSE;
	spw_put_be32(bytes + 24, IKE_HEADER_LEN); /* that says nothing */
	bytes[16] = 0;
	d.remote = w.last_to;
	d.bytes = bytes;
	d.len = sizeof(bytes);
	assert_null(e->turns.first);
	ike_wake(ike_sa_find(e, h.spi_i));
	for (const struct ike_turn *t = e->turns.first; t; t = t->next)
		turns++;
	assert_int_equal(turns, 1);
	assert_ptr_equal(e->turns.first->conn, ike_conn_find(e, "t299"));
	ike_engine_input(e, SPW_NS_PER_S, &d);
	assert_null(e->turns.first);
	assert_int_equal(w.sent, MANY);
	ike_engine_free(e);
}

static void
what_happens_in_delivery_is_for_the_next_call(void **state)
{
	struct ike_engine *e = engine_new(3);

	set(e, SPW_NS_PER_S, 0, SPW_IKE_MODE_RESPOND);
	set(e, SPW_NS_PER_S, 1, SPW_IKE_MODE_RESPOND);
	e->turns.closing = true;
	ike_wake_conn(ike_conn_find(e, "t1"));
	ike_turns_end(e);
	assert_ptr_equal(e->turns.first, &ike_conn_find(e, "t1")->turn);
	ike_turns_end(e);
	assert_null(e->turns.first);
	ike_engine_free(e);
}

/* Connections come and go at random; nobody is forgotten, lost, or found after he is gone. */
static void
objects_come_and_go_and_stay_findable(void **state)
{
	struct ike_engine *e = engine_new(4);
	uint64_t now = SPW_NS_PER_S, rng = 99;
	bool there[MANY] = {false};

	for (int step = 0; step < 4000; step++) {
		unsigned int i =
			(unsigned int)((rng = rng * 6364136223846793005u + 1) >> 33) % MANY;
		struct spw_addr remote = spw_addr_v4(0x0a000000 + i);
		char name[SPW_NAME_LEN];
		struct ike_conn *c;

		snprintf(name, sizeof(name), "t%u", i);
		now += (rng >> 20) % (300 * SPW_NS_PER_MS);
		if (step % 3 == 2)
			assert_int_equal(ike_engine_conn_del(e, now, name), there[i] ? 0 : -ENOENT);
		else
			set(e, now, i, (uint32_t)(rng >> 40) % 3);
		there[i] = step % 3 != 2;
		ike_engine_tick(e, now);
		assert_true(ike_turns_sound(e));
		for (c = ike_index_near(e, &remote); c && !spw_addr_equal(&c->set.remote, &remote);)
			c = c->near;
		assert_int_equal(c != NULL, there[i]);
		assert_ptr_equal(ike_conn_find(e, name), c);
	}
	ike_engine_free(e);
}

static struct ike_child *
child_new(struct ike_sa *sa, uint32_t spi_in)
{
	struct ike_child *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	*c = (struct ike_child){
		.next = sa->children, .sa = sa, .spi_in = spi_in, .absent = true, .out_gone = true};
	sa->children = c;
	ike_index_child(c);
	return c;
}

static unsigned int
longest_chain(const struct ike_engine *e)
{
	unsigned int longest = 0;

	for (unsigned int i = 0; i < e->index.size; i++) {
		unsigned int n = 0;

		for (const struct ike_child *c = e->index.child[i]; c; c = c->same)
			n++;
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* Among those of all IKE SAs, while these become more; SPIs as the data plane gives them. */
static void
a_child_is_found_by_its_spi_as_long_as_it_is_there(void **state)
{
	struct ike_engine *e = engine_new(6);
	struct ike_child *there[MANY] = {NULL};
	uint64_t rng = 7;

	for (unsigned int i = 0; i < MANY; i++)
		set(e, SPW_NS_PER_S, i, SPW_IKE_MODE_INITIATE);
	for (int step = 0; step < 5000; step++) {
		unsigned int i = (unsigned int)((rng = rng * 6364136223846793005u + 1) >> 33) %
				 (step < 2500 ? 10 : MANY);
		uint32_t spi = 0x10000000 + (i << 16);

		if (step == 2500) /* as many IKE SAs again: the index grows */
			for (unsigned int k = 0; k < MANY; k++)
				set(e, SPW_NS_PER_S, MANY + k, SPW_IKE_MODE_INITIATE);
		assert_ptr_equal(ike_child_find_in(e, spi), there[i]);
		if (there[i])
			ike_child_free(there[i]);
		there[i] = there[i] ? NULL : child_new(e->sas, spi);
		assert_ptr_equal(ike_child_find_in(e, spi), there[i]);
	}
	assert_null(ike_child_find_in(e, 0));
	assert_true(longest_chain(e) < 8);
	assert_true(ike_turns_sound(e));
	ike_engine_free(e);
}

static void
an_ike_sa_is_found_by_the_spi_that_its_request_offers(void **state)
{
	struct ike_engine *e = engine_new(7);
	struct ike_request *r;

	for (unsigned int i = 0; i < MANY; i++)
		set(e, SPW_NS_PER_S, i, SPW_IKE_MODE_INITIATE);
	r = &ike_conn_find(e, "t7")->sas->req;
	assert_int_not_equal(r->task, IKE_TASK_NONE);
	for (int noted = 0; noted < 2; noted++) { /* in the call that draws it, and after it */
		r->spi_in = 0x77000000u + (unsigned int)noted;
		ike_wake(ike_conn_find(e, "t7")->sas);
		if (noted)
			ike_turns_end(e);
		assert_ptr_equal(ike_index_find(e, IKE_MARK_OFFERED, r->spi_in),
				 ike_conn_find(e, "t7")->sas);
	}
	r->stale = true;
	assert_null(ike_index_find(e, IKE_MARK_OFFERED, r->spi_in));
	r->stale = false;
	r->spi_in = 0;
	assert_null(ike_index_find(e, IKE_MARK_OFFERED, 0x77000001));
	assert_null(ike_index_find(e, IKE_MARK_OFFERED, 0));
	ike_engine_free(e);
}

static void
the_same_calls_say_the_same_in_the_same_order(void **state)
{
	char first[sizeof(w.order)] = "";

	for (int round = 0; round < 2; round++) {
		struct ike_engine *e = engine_new(5);
		uint64_t now = SPW_NS_PER_S;

		for (unsigned int i = 0; i < 40; i++)
			set(e, now, i, SPW_IKE_MODE_INITIATE);
		for (int step = 0; step < 200; step++)
			now = ike_engine_tick(e, now);
		if (round == 0)
			memcpy(first, w.order, sizeof(first));
		else
			assert_string_equal(first, w.order);
		assert_true(strlen(first) > 1000);
		ike_engine_free(e);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_connection_dials_and_repeats_in_its_time),
		cmocka_unit_test(one_datagram_is_one_turn),
		cmocka_unit_test(what_happens_in_delivery_is_for_the_next_call),
		cmocka_unit_test(objects_come_and_go_and_stay_findable),
		cmocka_unit_test(a_child_is_found_by_its_spi_as_long_as_it_is_there),
		cmocka_unit_test(an_ike_sa_is_found_by_the_spi_that_its_request_offers),
		cmocka_unit_test(the_same_calls_say_the_same_in_the_same_order),
	};

	spw_log_init("test", SPW_LOG_ERROR);
	if (spw_secret_init() != 0)
		return 1;
	return cmocka_run_group_tests_name("ike/turn", tests, NULL, NULL);
}
