/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: INFORMATIONAL, Delete and liveness (IKE-130 to 147), message ids, the window and
 * retransmission (IKE-150 to 161).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet_child.h"

#define CHILD SPW_IKE_RESET_CHILD
#define IKE   SPW_IKE_RESET_IKE

struct del {
	const uint32_t *spis;
	unsigned int n;
	const char *raw;
	size_t raw_len;
	uint16_t notify; /* before and after the Delete */
};

/* One Delete payload a SPI when there are several. */
static void
fill_deletes(struct ike_builder *b, void *ctx)
{
	const struct del *d = ctx;

	if (d->notify)
		ike_build_notify(b, d->notify, 0, 0, "abc", 3);
	for (unsigned int i = 0; i < d->n; i++)
		ike_build_delete(b, d->spis + i, 1);
	if (d->raw)
		ike_build_bytes(b, IKE_P_DELETE, d->raw, d->raw_len);
	if (d->notify)
		ike_build_notify(b, d->notify, 0, 0, "abc", 3);
}

static void
fill_child(struct ike_builder *b, void *ctx)
{
	struct child_wish w = {.spi = *(const uint32_t *)ctx};

	child_fill(b, &w);
}

static bool
names(const struct ike_msg *m, uint32_t spi)
{
	for (unsigned int i = 0; i < m->n_deletes; i++)
		for (unsigned int k = 0; k < m->del[i].count; k++)
			if (ike_wire_delete_spi(&m->del[i], k) == spi)
				return true;
	return false;
}

static void
ike_130_an_empty_request_has_an_empty_answer(void **state)
{
	struct net *net = tape_up(1);

	for (int i = 0; i < 2; i++) {
		uint32_t mid = puppet_sa(net, i)->next_out;
		const struct taped *t = puppet_ask(net, i, IKE_X_INFORMATIONAL, NULL, NULL);

		assert_non_null(t);
		assert_true(t->opened && t->plain_len == 0);
		assert_int_equal(t->h.mid, mid);
		assert_int_equal(t->h.flags, IKE_FLAG_RESPONSE | (i == 1 ? IKE_FLAG_INITIATOR : 0));
	}
	tape_free(net);
}

static void
ike_131_every_delete_is_answered_with_the_spis_that_pair(void **state)
{
	struct net *net = tape_up(2);
	uint32_t mine[4] = {net->host[0].active, 0x99999999, 0x4001, 0x4002};
	uint32_t other[2];
	struct del d = {.spis = mine, .n = 4, .notify = 40000};
	const struct taped *t;

	for (int i = 0; i < 2; i++) {
		t = puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_child, &mine[2 + i]);
		assert_true(t && t->m.has_sa);
		other[i] = (uint32_t)t->m.sa.proposal[0].spi;
	}
	assert_int_equal(net_sas(net, 1), 3);
	const uint32_t first = net->host[1].active;

	tape_clear();
	t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_deletes, &d);
	assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, true), 1); /* one answer for all */
	assert_true(names(&t->m, first) && names(&t->m, other[0]) && names(&t->m, other[1]));
	assert_int_equal(t->m.del[0].count, 3);
	net_run(net, 500 * NET_MS);
	tape_free(net);
}

static void
ike_132_deletes_that_lie_are_malformed(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} t[] = {{"\3\4\377\377abcd", 8},   {"\3\0\0\1", 4},	 {"\3\3\0\1abc", 7},
		 {"\3\377\0\1abcd", 8},	    {"\3\4\0\2abcd", 8}, {"\3\4\0\0abcd", 8},
		 {"\1\0\0\1", 4},	    {"\1\4\0\1abcd", 8}, {"\4\4\0\1abcd", 8},
		 {"\1\10\0\1abcdefgh", 12}, {"\3\4\0", 3}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct net *net = tape_up(3);
		struct del d = {.raw = t[i].bytes, .raw_len = t[i].len};
		const struct taped *a = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_deletes, &d);

		assert_true(a && a->m.n_notifies == 1);
		assert_int_equal(a->m.notify[0].type, IKE_N_INVALID_SYNTAX);
		assert_int_equal(net_ike_sas(net, 1), 0);
		tape_free(net);
	}
}

static unsigned int left_at_answer;

static void
note_left(struct net *net, const struct taped *t)
{
	if (t->from == 1 && t->h.flags & IKE_FLAG_RESPONSE)
		left_at_answer = net_sas(net, 1) + (net->host[1].active != 0);
}

static void
ike_133_children_are_gone_before_a_deleted_ike_sa_is_answered(void **state)
{
	struct net *net = tape_up(4);
	struct del d = {.raw = "\1\0\0\0", .raw_len = 4};
	const struct taped *t;

	net->traffic = true;
	net_run(net, 100 * NET_MS);
	left_at_answer = 99;
	tape.on_send = note_left;
	t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_deletes, &d);
	assert_true(t && t->plain_len == 0); /* IKE-132: its answer is empty */
	assert_int_equal(left_at_answer, 0);
	assert_int_equal(net_ike_sas(net, 1), 0);
	net->traffic = false;
	net_run(net, 100 * NET_MS);
	tape_free(net);
}

static void
ike_134_a_silent_peer_is_asked_after_the_delay_and_not_before(void **state)
{
	struct net *net = tape_up(5);
	uint64_t heard = puppet_sa(net, 0)->heard_ns;

	tape_clear();
	while (tape_count(0, IKE_X_INFORMATIONAL, false) == 0)
		net_run(net, 10 * NET_MS);
	assert_in_range(tape_last(0, IKE_X_INFORMATIONAL, false)->at - heard, 15 * NET_S,
			15 * NET_S + 50 * NET_MS);
	net->traffic = true; /* ESP that arrives is life enough */
	net_run(net, 1 * NET_S);
	tape_clear();
	net_run(net, 60 * NET_S);
	assert_int_equal(tape.n, 0);
	tape_free(net);
}

static void
ike_135_the_verdict_falls_after_all_repeats_and_not_earlier(void **state)
{
	struct net *net = tape_up(6);
	uint64_t first;

	net->host[1].dead = true;
	tape_clear();
	while (tape_count(0, IKE_X_INFORMATIONAL, false) == 0)
		net_run(net, 10 * NET_MS);
	first = tape.at[0].at;
	while (net->host[0].downs == 0)
		net_run(net, 10 * NET_MS);
	assert_in_range(net->now - first, 30 * NET_S, 30 * NET_S + 20 * NET_MS);
	assert_true(tape_count(0, IKE_X_INFORMATIONAL, false) >= 5);
	assert_int_equal(net->host[0].active, 0);
	tape_free(net);
}

static void
ike_137_requests_with_unknown_spis_are_told_and_answers_are_not(void **state)
{
	struct net *net = tape_up(7);
	uint8_t h[IKE_HEADER_LEN] = {[0] = 0xab,
				     [7] = 1,
				     [8] = 0xcd,
				     [15] = 2,
				     [17] = 0x20,
				     [18] = 37,
				     [19] = IKE_FLAG_INITIATOR,
				     [23] = 9,
				     [27] = 28};
	const struct taped *t;

	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, h, sizeof(h));
	assert_int_equal(tape.n, 1);
	t = &tape.at[0];
	assert_memory_equal(t->bytes, h, 16);
	assert_int_equal(t->h.mid, 9);
	assert_int_equal(t->h.exchange, 37);
	assert_int_equal(t->h.flags, IKE_FLAG_RESPONSE);
	assert_int_equal(t->h.next, IKE_P_NOTIFY); /* bare */
	assert_int_equal(t->m.notify[0].type, IKE_N_INVALID_IKE_SPI);
	h[19] |= IKE_FLAG_RESPONSE;
	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, h, sizeof(h));
	assert_int_equal(tape.n, 0);
	tape_free(net);
}

static void
notifies_change_nothing_of_a_delete(void)
{
	static const uint16_t types[] = {IKE_N_INVALID_SELECTORS, 16406, 40000, 8000};

	for (size_t i = 0; i < 4; i++) {
		struct net *net = tape_up(8);
		uint32_t spi = net->host[0].active, own = net->host[1].active;
		struct del d = {.spis = &spi, .n = 1, .notify = types[i]};
		const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_deletes, &d);

		assert_true(t && names(&t->m, own));
		assert_int_equal(net_ike_sas(net, 1), 1);
		tape_free(net);
	}
}

static void
ike_143_invalid_selectors_is_only_noted(void **state)
{
	notifies_change_nothing_of_a_delete();
}

static void
ike_145_redirect_is_ignored(void **state)
{
	notifies_change_nothing_of_a_delete();
}

static void
ike_147_deletes_between_notifies_are_done_in_one_answer(void **state)
{
	notifies_change_nothing_of_a_delete();
}

/* ---- message ids and the window ---- */

static void
ike_150_each_direction_counts_by_itself(void **state)
{
	struct net *net = tape_up(20);

	assert_int_equal(tape_last(0, IKE_X_SA_INIT, false)->h.mid, 0);
	assert_int_equal(tape_last(0, IKE_X_AUTH, false)->h.mid, 1);
	ike_engine_rekey(net->host[1].engine, net->now, "azure", CHILD);
	net_run(net, 10 * NET_S);
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	net_run(net, 10 * NET_S);
	assert_int_equal(tape_last(1, IKE_X_CREATE_CHILD, false)->h.mid, 0);
	assert_int_equal(tape_last(1, IKE_X_INFORMATIONAL, false)->h.mid, 1);
	assert_int_equal(tape_last(0, IKE_X_CREATE_CHILD, false)->h.mid, 2);
	assert_int_equal(tape_last(0, IKE_X_CREATE_CHILD, true)->h.mid, 0);
	assert_int_equal(tape_last(1, IKE_X_CREATE_CHILD, true)->h.mid, 2);
	tape_free(net);
}

static void
ike_151_a_repeated_request_gets_the_same_answer_and_an_old_one_none(void **state)
{
	struct net *net = tape_up(21);
	uint8_t request[2][2048], answer[2048];
	size_t len[2], answer_len = 0;
	uint32_t spi = 0x4001;
	struct ike_builder b;

	for (int i = 0; i < 2; i++) { /* two requests, each kept */
		struct ike_sa *sa = puppet_sa(net, 0);

		puppet_begin(net, 0, &b, IKE_X_CREATE_CHILD, false, sa->next_out++);
		fill_child(&b, &spi);
		spi++;
		assert_int_equal(ike_build_seal(&b, sa->seal, &len[i]), 0);
		memcpy(request[i], b.w.start, len[i]);
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, request[i], len[i]);
		answer_len = tape_last(1, IKE_X_CREATE_CHILD, true)->len;
		memcpy(answer, tape_last(1, IKE_X_CREATE_CHILD, true)->bytes, answer_len);
	}
	unsigned int installs = net->host[1].installs;

	for (int i = 0; i < 5; i++) {
		tape_clear();
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, request[1], len[1]);
		assert_int_equal(tape_count(1, IKE_X_CREATE_CHILD, true), 1);
		assert_int_equal(tape.at[0].len, answer_len);
		assert_memory_equal(tape.at[0].bytes, answer, answer_len);
		tape_clear();
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, request[0], len[0]);
		assert_int_equal(tape_count(1, IKE_X_CREATE_CHILD, true), 0);
	}
	assert_int_equal(net->host[1].installs, installs);
	tape_free(net);
}

static void
ike_152_repeats_are_the_same_octets_after_growing_waits(void **state)
{
	struct net *net = tape_up(22);
	uint64_t wait = 500 * NET_MS, last = net->now;

	tape.drop_from[0] = 255;
	tape_clear();
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	net_run(net, 29 * NET_S);
	assert_true(tape_count(0, IKE_X_CREATE_CHILD, false) >= 6);
	for (unsigned int i = 1; i < tape.n; i++) {
		if (tape.at[i].h.exchange != IKE_X_CREATE_CHILD)
			continue; /* the other asks whether we live */
		assert_int_equal(tape.at[i].len, tape.at[0].len);
		assert_memory_equal(tape.at[i].bytes, tape.at[0].bytes, tape.at[0].len);
		assert_in_range(tape.at[i].at - last, wait - NET_MS, wait + NET_MS);
		last = tape.at[i].at;
		wait = ike_min_u64(wait + wait / 5 * 4, 10 * NET_S); /* IKE-157 */
	}
	tape_free(net);
}

static void
ike_153_a_request_is_taken_while_ours_waits_and_none_beyond_the_window(void **state)
{
	struct net *net = tape_up(23);
	struct ike_sa *sa = puppet_sa(net, 0);
	struct ike_builder b;

	tape.drop_from[1] = IKE_X_CREATE_CHILD;
	ike_engine_rekey(net->host[1].engine, net->now, "azure", CHILD);
	assert_int_equal(puppet_sa(net, 1)->req.task, IKE_TASK_CHILD_REKEY);
	assert_non_null(puppet_ask(net, 0, IKE_X_INFORMATIONAL, NULL, NULL));
	for (uint32_t ahead = 1; ahead < 5; ahead++) {
		tape_clear();
		puppet_begin(net, 0, &b, IKE_X_INFORMATIONAL, false, sa->next_out + ahead);
		puppet_send(net, 0, &b);
		assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, true), 0);
	}
	assert_int_equal(tape_count(1, IKE_X_CREATE_CHILD, false), 0); /* and ours is one */
	assert_non_null(puppet_ask(net, 0, IKE_X_INFORMATIONAL, NULL, NULL));
	tape_free(net);
}

static void
ike_155_an_ike_sa_is_rekeyed_long_before_its_ids_run_out(void **state)
{
	for (int way = 0; way < 2; way++) {
		struct net *net = tape_up(24);
		uint64_t old = net_status(net, 0).spi_i;
		struct ike_sa *a = puppet_sa(net, way), *b = puppet_sa(net, !way);

		a->next_out = b->next_in = 0x80000001u;
		net_run(net, 40 * NET_S); /* some probe comes by */
		assert_true(net_status(net, 0).spi_i != old);
		assert_true(puppet_sa(net, 0)->next_out < 100);
		assert_true(net_agrees(net));
		tape_free(net);
	}
}

static void
ike_158_a_broken_answer_does_not_end_the_waiting(void **state)
{
	struct net *net = tape_up(25);
	struct ike_builder b;
	size_t len;

	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	puppet_begin(net, 1, &b, IKE_X_CREATE_CHILD, true, puppet_sa(net, 0)->req.mid);
	assert_int_equal(ike_build_seal(&b, puppet_sa(net, 1)->seal, &len), 0);
	b.w.start[len - 1] ^= 1;
	tape_clear();
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, b.w.start, len);
	assert_int_equal(puppet_sa(net, 0)->req.task, IKE_TASK_CHILD_REKEY);
	net_run(net, 2 * NET_S);
	assert_true(tape_count(0, IKE_X_CREATE_CHILD, false) >= 2);
	tape.drop_from[0] = 0;
	net_run(net, 10 * NET_S);
	assert_int_equal(net_status(net, 0).child_rekeys, 1);
	tape_free(net);
}

static void
ike_159_one_answer_is_kept_and_no_more(void **state)
{
	struct net *net = tape_up(26);
	uint32_t spi = 0x4001;
	size_t big;

	assert_non_null(puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_child, &spi));
	big = puppet_sa(net, 1)->response.len;
	for (int i = 0; i < 10; i++) {
		const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, NULL, NULL);

		assert_int_equal(puppet_sa(net, 1)->response.len, t->len);
	}
	assert_true(puppet_sa(net, 1)->response.len < big);
	tape_free(net);
}

static void
ike_161_times_hold_beyond_32_bits_of_milliseconds(void **state)
{
	static const uint64_t starts[] = {UINT64_C(4294967296), UINT64_C(8589934592),
					  UINT64_C(1) << 43};

	for (size_t i = 0; i < 3; i++) {
		struct net *net = tape_net(27);

		net->now = starts[i] * NET_MS - 5 * NET_S;
		ike_engine_tick(net->host[0].engine, net->now);
		ike_engine_tick(net->host[1].engine, net->now);
		net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
		assert_true(net_run_up(net, 5 * NET_S));
		for (int n = 0; n < 4; n++) {
			net_run(net, 8 * NET_S);
			ike_engine_rekey(net->host[n & 1].engine, net->now, "azure", CHILD);
		}
		net_run(net, 20 * NET_S);
		assert_int_equal(net_status(net, 0).child_rekeys, 4);
		assert_int_equal(net->host[0].downs + net->host[1].downs, 0);
		tape_free(net);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_130_an_empty_request_has_an_empty_answer),
		cmocka_unit_test(ike_131_every_delete_is_answered_with_the_spis_that_pair),
		cmocka_unit_test(ike_132_deletes_that_lie_are_malformed),
		cmocka_unit_test(ike_133_children_are_gone_before_a_deleted_ike_sa_is_answered),
		cmocka_unit_test(ike_134_a_silent_peer_is_asked_after_the_delay_and_not_before),
		cmocka_unit_test(ike_135_the_verdict_falls_after_all_repeats_and_not_earlier),
		cmocka_unit_test(ike_137_requests_with_unknown_spis_are_told_and_answers_are_not),
		cmocka_unit_test(ike_143_invalid_selectors_is_only_noted),
		cmocka_unit_test(ike_145_redirect_is_ignored),
		cmocka_unit_test(ike_147_deletes_between_notifies_are_done_in_one_answer),
		cmocka_unit_test(ike_150_each_direction_counts_by_itself),
		cmocka_unit_test(
			ike_151_a_repeated_request_gets_the_same_answer_and_an_old_one_none),
		cmocka_unit_test(ike_152_repeats_are_the_same_octets_after_growing_waits),
		cmocka_unit_test(
			ike_153_a_request_is_taken_while_ours_waits_and_none_beyond_the_window),
		cmocka_unit_test(ike_155_an_ike_sa_is_rekeyed_long_before_its_ids_run_out),
		cmocka_unit_test(ike_158_a_broken_answer_does_not_end_the_waiting),
		cmocka_unit_test(ike_159_one_answer_is_kept_and_no_more),
		cmocka_unit_test(ike_161_times_hold_beyond_32_bits_of_milliseconds),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
