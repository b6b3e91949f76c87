/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: what two engines of one make cannot show of one another, because both would be
 * wrong alike, and what random schedules heal before anybody looks. One end is led by hand, and the
 * other is held to the letter of the statement.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ike/iked/iked.h"
#include "tests/ike/puppet_child.h"
#include "tests/ike/puppet_init.h"

#define CHILD SPW_IKE_RESET_CHILD
#define IKE   SPW_IKE_RESET_IKE

/* child_wish.nonce_byte is added to 0x30 */
#define LOWEST	((uint8_t)(0x00 - 0x30))
#define HIGHEST ((uint8_t)(0xff - 0x30))

/* The peer's rekey of the child that host 1 is rekeying, with this nonce; what host 1 made. */
static uint32_t
rival(struct net *net, uint8_t nonce)
{
	const struct taped *t =
		child_ask(net, 0,
			  (struct child_wish){
				  .rekey = child_spi(net, 0), .spi = 0x5001, .nonce_byte = nonce});

	assert_int_equal(child_error(t), 0);
	return (uint32_t)t->m.sa.proposal[0].spi;
}

/* Has host 1 asked to delete the child that it receives on with this SPI? */
static bool
deletes(uint32_t spi)
{
	for (unsigned int i = 0; i < tape.n; i++) {
		const struct taped *t = &tape.at[i];

		if (t->from == 1 && !(t->h.flags & IKE_FLAG_RESPONSE) && t->m.n_deletes == 1 &&
		    t->m.del[0].protocol == IKE_PROTO_ESP &&
		    ike_wire_delete_spi(&t->m.del[0], 0) == spi)
			return true;
	}
	return false;
}

/* ---- the nonces of a collision ---- */

/*
 * Of the four nonces the lowest is in the peer's answer to our rekey: ours is redundant, and we
 * delete it; the old one is the peer's to delete. In its request: its SA is redundant, we go on
 * with ours and delete the old one.
 */
static void
ike_100_the_maker_of_the_sa_with_the_lowest_nonce_deletes_it(void **state)
{
	for (int lost = 0; lost < 2; lost++) {
		struct net *net = child_waiting(1, CHILD, false);
		uint32_t old = child_spi(net, 1), ours = puppet_sa(net, 1)->req.spi_in, theirs;
		struct child_wish answer = {.spi = 0x5002, .nonce_byte = lost ? LOWEST : HIGHEST};

		theirs = rival(net, lost ? HIGHEST : LOWEST);
		puppet_answer(net, 0, child_fill, &answer);
		assert_int_equal(deletes(lost ? ours : old), 1);
		assert_int_equal(deletes(lost ? old : ours), 0);
		assert_int_equal(deletes(theirs), 0);
		if (!lost)
			assert_int_equal(child_spi(net, 1), ours);
		tape_free(net);
	}
}

/*
 * The peer leaves its own loser standing: it goes all the same, and soon. Not before the peer is
 * known to have our answer, though, or the Delete would be of something it does not know.
 */
static void
ike_118_a_loser_that_its_maker_forgets_is_deleted_within_ten_seconds(void **state)
{
	struct net *net = child_waiting(2, CHILD, false);
	struct child_wish answer = {.spi = 0x5002, .nonce_byte = HIGHEST};
	uint32_t theirs = rival(net, LOWEST);

	puppet_answer(net, 0, child_fill, &answer);
	puppet_answer(net, 0, NULL, NULL); /* the Delete of the old one */
	assert_non_null(puppet_ask(net, 0, IKE_X_INFORMATIONAL, NULL, NULL));
	net->host[0].dead = true; /* it says nothing of its own accord */
	net_run(net, 8 * NET_S);
	assert_false(deletes(theirs));
	net_run(net, 2500 * NET_MS);
	assert_true(deletes(theirs));
	tape_free(net);
}

/* Ours fails and the peer's has been made: that one is the successor, nothing is rekeyed again. */
static void
ike_102_the_peers_sa_takes_over_when_ours_is_refused(void **state)
{
	uint16_t error = IKE_N_TS_UNACCEPTABLE;
	struct net *net = child_waiting(3, CHILD, false);
	uint32_t old = child_spi(net, 1), theirs = rival(net, HIGHEST);
	struct spw_dp_sa_event first = {.kind = SPW_SA_EV_FIRST_IN, .spi_in = theirs};

	puppet_answer(net, 0, puppet_fill_notify, &error);
	assert_int_equal(ike_child_find_in(net->host[1].engine, old)->state, IKE_CHILD_REPLACED);
	ike_engine_sa_event(net->host[1].engine, net->now, &first);
	assert_int_equal(child_spi(net, 1), theirs);
	net->host[0].dead = true;
	net_run(net, 45 * NET_S);
	assert_int_equal(tape_count(1, IKE_X_CREATE_CHILD, false), 1);
	tape_free(net);
}

struct ike_wish {
	uint64_t spi;
	uint8_t nonce;
};

static void
fill_ike(struct ike_builder *b, void *ctx)
{
	static const struct spw_ike_proposal usual = {
		.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA256, .group = SPW_GROUP_ECP256};
	const struct ike_wish *w = ctx;
	uint8_t nonce[32];
	struct ike_dh *dh;

	memset(nonce, w->nonce, sizeof(nonce));
	assert_int_equal(ike_dh_new(&dh, SPW_GROUP_ECP256), 0);
	ike_build_sa(b, IKE_PROTO_IKE, w->spi, 8, &usual, 1, 1, true);
	ike_build_bytes(b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ke(b, 19, ike_dh_public(dh), 64);
	ike_dh_free(dh);
}

/* Answer for host 0 what waits on this IKE SA of host 1, which is not its newest any more. */
static void
answer_on(struct net *net, const struct ike_sa *sa, void (*fill)(struct ike_builder *b, void *ctx),
	  void *ctx)
{
	struct ike_builder b;

	puppet_begin(net, 0, &b, sa->req.exchange, true, sa->req.mid);
	if (fill)
		fill(&b, ctx);
	puppet_send(net, 0, &b);
}

static bool
deletes_ike(uint64_t spi_i)
{
	for (unsigned int i = 0; i < tape.n; i++) {
		const struct taped *t = &tape.at[i];

		if (t->from == 1 && !(t->h.flags & IKE_FLAG_RESPONSE) && t->h.spi_i == spi_i &&
		    t->h.exchange == IKE_X_INFORMATIONAL && t->opened && t->m.n_deletes == 1 &&
		    t->m.del[0].protocol == IKE_PROTO_IKE)
			return true;
	}
	return false;
}

static void
ike_111_the_ike_sa_with_the_lowest_nonce_goes_and_the_other_has_the_children(void **state)
{
	for (int lost = 0; lost < 2; lost++) {
		struct net *net = child_waiting(4, IKE, false);
		struct ike_engine *e = net->host[1].engine;
		struct ike_sa *old = puppet_sa(net, 1);
		uint64_t old_spi = old->spi_i, ours = old->req.ike_spi, theirs;
		struct ike_wish ask = {.spi = 0xa1, .nonce = lost ? 0xff : 0x00};
		struct ike_wish answer = {.spi = 0xa2, .nonce = lost ? 0x00 : 0xff};
		const struct taped *t = puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_ike, &ask);

		assert_int_equal(child_error(t), 0);
		theirs = t->m.sa.proposal[0].spi;
		answer_on(net, old, fill_ike, &answer);
		assert_true((ike_sa_find(e, ours)->children != NULL) == !lost);
		assert_true((ike_sa_find(e, theirs)->children != NULL) == lost);
		assert_int_equal(deletes_ike(old_spi), !lost); /* else it is the peer's to delete */
		assert_int_equal(ike_sa_find(e, ours)->redundant, lost);
		assert_int_equal(ike_sa_find(e, theirs)->redundant, !lost);
		tape_free(net);
	}
}

/* ---- refusals in states that pass quickly ---- */

/* Ours has replaced it and our Delete is out, unanswered. */
static void
ike_104_a_replaced_child_whose_delete_is_out_is_not_rekeyed(void **state)
{
	struct net *net = child_waiting(5, CHILD, false);
	struct child_wish answer = {.spi = 0x5002};
	uint32_t old = child_spi(net, 0);

	puppet_answer(net, 0, child_fill, &answer);
	assert_int_equal(puppet_sa(net, 1)->req.task, IKE_TASK_CHILD_DELETE);
	assert_int_equal(child_error(child_ask(net, 0, (struct child_wish){.rekey = old})),
			 IKE_N_TEMPORARY_FAILURE);
	tape_free(net);
}

/* A child is being created, not rekeyed: all of its kind has been deleted by the peer. */
static void
ike_108_an_ike_rekey_waits_for_a_child_being_created(void **state)
{
	struct net *net = tape_up(6);
	struct spw_ike_conn c = net->host[1].conn;
	uint32_t theirs = child_spi(net, 0);

	c.mode = SPW_IKE_MODE_BOTH;
	net_set(net, 1, &c);
	puppet_ask(net, 0, IKE_X_INFORMATIONAL, child_fill_delete, &theirs);
	tape.drop_from[1] = 255;
	net->host[0].dead = true;
	net_run(net, 1500 * NET_MS);
	assert_int_equal(puppet_sa(net, 1)->req.task, IKE_TASK_CHILD);
	assert_int_equal(
		child_error(puppet_ask(net, 0, IKE_X_CREATE_CHILD, child_fill_ike_rekey, NULL)),
		IKE_N_TEMPORARY_FAILURE);
	tape_free(net);
}

/* The peer has rekeyed it, and asks for it once more on the old one. */
static void
ike_112_an_ike_sa_that_the_peer_has_rekeyed_is_not_rekeyed_again(void **state)
{
	struct net *net = tape_up(7);
	struct ike_sa *old = puppet_sa(net, 1);

	tape.drop_from[1] = 255;
	assert_int_equal(
		child_error(puppet_ask(net, 0, IKE_X_CREATE_CHILD, child_fill_ike_rekey, NULL)), 0);
	assert_int_equal(old->state, IKE_SA_RETIRED);
	for (int i = 0; i < 3; i++)
		assert_int_equal(child_error(puppet_ask(net, 0, IKE_X_CREATE_CHILD,
							child_fill_ike_rekey, NULL)),
				 IKE_N_TEMPORARY_FAILURE);
	assert_int_equal(old->state, IKE_SA_RETIRED);
	tape_free(net);
}

/* The peer asks and asks, and never rekeys: its message ids are running out. */
static void
ike_155_the_ids_of_the_peer_count_as_ours_do(void **state)
{
	struct net *net = tape_up(8);

	tape_clear();
	net->host[0].dead = true;
	puppet_sa(net, 1)->next_in = 0x80000001u;
	ike_wake(puppet_sa(net, 1));
	ike_engine_tick(net->host[1].engine, net->now);
	assert_int_equal(tape_count(1, IKE_X_CREATE_CHILD, false), 1);
	assert_int_equal(tape_last(1, IKE_X_CREATE_CHILD, false)->m.sa.proposal[0].protocol,
			 IKE_PROTO_IKE);
	tape_free(net);
}

/* ---- what may change before a message is known to be the peer's ---- */

/* All of it, but for whose turn it is. */
static void
image(const struct ike_sa *sa, struct ike_sa *out)
{
	*out = *sa;
	memset(&out->turn, 0, sizeof(out->turn));
}

static void
ike_013_nothing_at_all_of_an_ike_sa_changes_before_the_icv(void **state)
{
	struct net *net = tape_up(9);
	static struct ike_sa before, after;
	struct ike_child child;
	struct ike_builder b;
	struct ike_sa *sa;
	size_t len;

	/* host 1 has answered a rekey of the IKE SA, and holds its peace until that is known */
	tape.drop_from[1] = 255;
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	net_run(net, 50 * NET_MS);
	sa = puppet_sa(net, 1);
	sa->quiet_until = net->now + 7;
	net->now += 5;
	puppet_begin(net, 0, &b, IKE_X_INFORMATIONAL, false, sa->next_in);
	assert_int_equal(ike_build_seal(&b, puppet_sa(net, 0)->seal, &len), 0);
	b.w.start[len - 1] ^= 1;
	image(sa, &before);
	child = *sa->children;
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, b.w.start, len);
	image(sa, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_memory_equal(&child, sa->children, sizeof(child));
	b.w.start[len - 1] ^= 1;
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, b.w.start, len);
	image(sa, &after);
	assert_memory_not_equal(&before, &after, sizeof(before)); /* and the true one is taken */
	tape_free(net);
}

/* Two of ours are behind one NAT each, or the addresses are both known to be another's. */
static void
nat_09_behind_a_nat_of_our_own_nobody_is_followed(void **state)
{
	for (int own = 0; own < 2; own++) {
		struct net *net = tape_up(10);
		const struct spw_addr moved = spw_addr_v4(0xcb00710a);
		struct ike_sa *sa = puppet_sa(net, 1);
		struct spw_dp_sa_event ev = {.kind = SPW_SA_EV_PEER_MOVED,
					     .spi_in = child_spi(net, 1),
					     .remote = moved,
					     .remote_port = 6666};
		struct ike_builder b;
		size_t len;

		sa->nat_there = true;
		sa->nat_here = own;
		puppet_begin(net, 0, &b, IKE_X_INFORMATIONAL, false, puppet_sa(net, 0)->next_out++);
		assert_int_equal(ike_build_seal(&b, puppet_sa(net, 0)->seal, &len), 0);
		puppet_raw(net, 1, &moved, 5555, 500, b.w.start, len);
		assert_int_equal(sa->remote_port == 5555, !own);
		ike_engine_sa_event(net->host[1].engine, net->now, &ev);
		assert_int_equal(sa->remote_port == 6666, !own);
		assert_int_equal(net->host[1].moves, own ? 0 : 2);
		tape_free(net);
	}
}

/* ---- strangers and peers ---- */

/* The same SPI and nonce from another peer's address is another IKE SA. */
static void
ike_036_the_address_tells_requests_apart(void **state)
{
	struct net *net = init_responder(11);
	struct spw_ike_conn c = net_conn(net, 1);
	const struct init_parts p = {.spi_i = 9};
	struct spw_err err = {0};
	uint8_t buf[2048];
	size_t len = puppet_init(buf, sizeof(buf), &p);

	c.mode = SPW_IKE_MODE_RESPOND;
	c.tunnel++;
	strcpy(c.name, "other");
	c.remote = spw_addr_v4(0xc0000263);
	assert_int_equal(ike_engine_conn_set(net->host[1].engine, net->now, &c, &err), 0);
	assert_true(init_ask(net, &p)->m.has_ke);
	tape_clear();
	puppet_raw(net, 1, &c.remote, 500, 500, buf, len);
	assert_int_equal(tape.n, 1);
	assert_true(tape.at[0].m.has_ke);
	assert_int_equal(puppet_half_open(net), 2);
	tape_free(net);
}

/* As the daemon sets it, and each from an address of its own. */
static void
dos_01_above_thirty_half_open_ike_sas_in_all_a_cookie_is_asked_for(void **state)
{
	struct net *net = init_responder(15);
	struct ike_engine *e = net->host[1].engine;
	struct spw_ike_conn c = net_conn(net, 1);
	struct spw_err err = {0};
	uint8_t buf[2048];

	assert_int_equal(IKED_HALF_OPEN_MAX, 30);
	e->config.half_open_cookies = IKED_HALF_OPEN_MAX;
	c.mode = SPW_IKE_MODE_RESPOND;
	for (uint32_t i = 1; i <= 40; i++) {
		const struct init_parts p = {.spi_i = i, .nonce_byte = (uint8_t)i};

		c.tunnel = 100 + i;
		c.remote = spw_addr_v4(0xc0000300 + i);
		snprintf(c.name, sizeof(c.name), "peer-%u", i);
		assert_int_equal(ike_engine_conn_set(e, net->now, &c, &err), 0);
		tape_clear();
		puppet_raw(net, 1, &c.remote, 500, 500, buf, puppet_init(buf, sizeof(buf), &p));
		assert_int_equal(tape.n, 1);
		assert_int_equal(tape.at[0].m.has_ke, i <= 31);
		if (i > 31)
			assert_int_equal(tape.at[0].m.notify[0].type, IKE_N_COOKIE);
	}
	assert_int_equal(puppet_half_open(net), 31);
	tape_free(net);
}

static unsigned int
established(const struct net *net, int i)
{
	unsigned int n = 0;

	for (const struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
		n += sa->state == IKE_SA_ESTABLISHED;
	return n;
}

/* While two IKE SAs stand, outside of IKE_AUTH the word means nothing to either. */
static void
ike_058_initial_contact_outside_ike_auth_ends_no_other_ike_sa(void **state)
{
	struct net *net = tape_up(12);
	uint16_t contact = IKE_N_INITIAL_CONTACT;

	net_run(net, 1 * NET_S);
	net->host[0].engine->conns->renew = true;
	ike_wake_conn(net->host[0].engine->conns);
	ike_engine_tick(net->host[0].engine, net->now);
	net_run(net, 200 * NET_MS);
	assert_int_equal(established(net, 1), 2);
	assert_non_null(puppet_ask(net, 0, IKE_X_INFORMATIONAL, puppet_fill_notify, &contact));
	assert_int_equal(established(net, 1), 2);
	net_run(net, 10 * NET_S);
	tape_free(net);
}

/* ---- times that are drawn ---- */

static void
ike_119_soft_limits_are_drawn_within_ten_percent(void **state)
{
	struct spw_sa_limit least = {UINT64_MAX, UINT64_MAX}, most = {0, 0};
	struct net *net = tape_net(13);

	for (int i = 1; i >= 0; i--) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
		c.jitter_percent = 10;
		c.child_seconds = (struct spw_sa_limit){3000, 3600};
		c.child_bytes = (struct spw_sa_limit){3000000, 3600000};
		c.child_packets = (struct spw_sa_limit){30000, 36000};
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	for (int n = 0; n < 20; n++) {
		ike_engine_rekey(net->host[n & 1].engine, net->now, "azure", CHILD);
		net_run(net, 8 * NET_S);
		tape_clear();
		for (int k = 0; k < NET_SAS; k++) {
			const struct spw_sa_desc *d = &net->host[0].sa[k].desc;

			if (!net->host[0].sa[k].in)
				continue;
			assert_in_range(d->seconds.soft, 2700, 3000);
			assert_in_range(d->bytes.soft, 2700000, 3000000);
			assert_in_range(d->packets.soft, 27000, 30000);
			assert_int_equal(d->seconds.hard, 3600);
			assert_int_equal(d->bytes.hard, 3600000);
			least.soft = ike_min_u64(least.soft, d->seconds.soft);
			most.soft = d->seconds.soft > most.soft ? d->seconds.soft : most.soft;
			least.hard = ike_min_u64(least.hard, d->bytes.soft);
			most.hard = d->bytes.soft > most.hard ? d->bytes.soft : most.hard;
		}
	}
	assert_true(most.soft - least.soft > 100);
	assert_true(most.hard - least.hard > 100000);
	tape_free(net);
}

static void
ike_141_pauses_between_dials_double_to_a_minute_and_are_drawn(void **state)
{
	uint64_t spread = 0;
	struct net *net = tape_net(14);
	const struct ike_conn *conn;

	net->host[1].dead = true;
	net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
	conn = net->host[0].engine->conns;
	for (unsigned int n = 1; n <= 20; n++) {
		uint64_t whole = (n > 6 ? 60 : UINT64_C(1) << (n - 1)) * NET_S, wait;

		while (conn->attempts < n) {
			net_run(net, 10 * NET_MS);
			tape_clear();
		}
		wait = conn->next_try - net->now;
		assert_in_range(wait, whole / 100 * 80 - 20 * NET_MS, whole);
		spread |= whole - wait;
		net->now = conn->next_try;
		ike_engine_tick(net->host[0].engine, net->now);
	}
	assert_true(spread > 2 * NET_S);
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_100_the_maker_of_the_sa_with_the_lowest_nonce_deletes_it),
		cmocka_unit_test(
			ike_118_a_loser_that_its_maker_forgets_is_deleted_within_ten_seconds),
		cmocka_unit_test(ike_102_the_peers_sa_takes_over_when_ours_is_refused),
		cmocka_unit_test(
			ike_111_the_ike_sa_with_the_lowest_nonce_goes_and_the_other_has_the_children),
		cmocka_unit_test(ike_104_a_replaced_child_whose_delete_is_out_is_not_rekeyed),
		cmocka_unit_test(ike_108_an_ike_rekey_waits_for_a_child_being_created),
		cmocka_unit_test(ike_112_an_ike_sa_that_the_peer_has_rekeyed_is_not_rekeyed_again),
		cmocka_unit_test(ike_155_the_ids_of_the_peer_count_as_ours_do),
		cmocka_unit_test(ike_013_nothing_at_all_of_an_ike_sa_changes_before_the_icv),
		cmocka_unit_test(nat_09_behind_a_nat_of_our_own_nobody_is_followed),
		cmocka_unit_test(ike_036_the_address_tells_requests_apart),
		cmocka_unit_test(
			dos_01_above_thirty_half_open_ike_sas_in_all_a_cookie_is_asked_for),
		cmocka_unit_test(ike_058_initial_contact_outside_ike_auth_ends_no_other_ike_sa),
		cmocka_unit_test(ike_119_soft_limits_are_drawn_within_ten_percent),
		cmocka_unit_test(ike_141_pauses_between_dials_double_to_a_minute_and_are_drawn),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
