/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: what two engines of one make cannot show of one another, because both would be
 * wrong alike, and what random schedules heal before anybody looks. One end is led by hand, and the
 * other is held to the letter of the statement. Here collisions, refusals and repeats; keys,
 * identities, addresses and times are in conf_pin_peer_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet_child.h"

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

/* Our Delete of the IKE SA is out, and the peer's comes: it is answered, ours is forgotten. */
static void
ike_114_a_delete_that_crosses_ours_ends_both(void **state)
{
	struct net *net = tape_up(20);
	const struct taped *t;

	tape.drop_from[1] = 255;
	ike_engine_shutdown(net->host[1].engine, net->now);
	assert_int_equal(puppet_sa(net, 1)->state, IKE_SA_CLOSING);
	t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, child_fill_delete, NULL);
	assert_non_null(t);
	assert_int_equal(t->plain_len, 0);
	assert_int_equal(puppet_sa(net, 1)->state, IKE_SA_GONE);
	tape_clear();
	net->host[0].dead = true;
	net_run(net, 5 * NET_S);
	assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, false), 0); /* not repeated any more */
	tape_free(net);
}

/* Its time is over and no rekey has worked: first the new one, then the end of this one. */
static void
ike_083_an_ike_sa_at_its_hard_limit_is_replaced_before_it_goes(void **state)
{
	struct net *net = net_new(21);
	struct ike_sa *sa;
	uint64_t old;

	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
	net_run_traffic(net);
	sa = puppet_sa(net, 0);
	old = sa->spi_i;
	sa->hard_at = net->now;
	ike_wake(sa);
	ike_engine_tick(net->host[0].engine, net->now);
	net_run(net, 10 * NET_S);
	assert_true(net_status(net, 0).spi_i != old);
	assert_int_equal(net->esp_lost + net->esp_unsent, 0);
	assert_int_equal(net->host[0].downs + net->host[1].downs, 0);
	net_expect_one(net);
	net_free(net);
}

/* A new IKE SA comes beside the old one; the answer that makes it is lost, more than once. */
static void
ike_083_the_old_ike_sa_stays_until_the_peer_has_the_new_one(void **state)
{
	for (int traffic = 0; traffic < 2; traffic++) {
		struct net *net = tape_up(23);
		uint64_t old = net_status(net, 1).spi_i;

		net_run(net, 15 * NET_S); /* not both at once: the newer stays */
		net->traffic = traffic;
		tape_clear();
		tape.drop_from[1] = IKE_X_AUTH;
		net->host[0].engine->conns->renew = true;
		ike_wake_conn(net->host[0].engine->conns);
		ike_engine_tick(net->host[0].engine, net->now);
		net_run(net, 6 * NET_S);
		assert_int_equal(net_sas(net, 1), 2);
		assert_true(net_agrees(net)); /* host 1 sends on what host 0 has */
		tape.drop_from[1] = 0;
		net_run(net, 15 * NET_S); /* and then the old one goes soon */
		assert_true(net_status(net, 1).spi_i != old);
		net_expect_one(net);
		assert_int_equal(net->esp_lost + net->esp_unsent, 0);
		tape_free(net);
	}
}

/*
 * The answer to a rekey of the old IKE SA is lost until a new one stands beside it: its successor
 * is the newer one for host 0, the new one for host 1.
 */
static void
ike_146_a_rekey_that_ends_late_makes_no_winner_of_the_loser(void **state)
{
	struct net *net = tape_up(25);

	net_run(net, 15 * NET_S);
	net->host[0].downs = net->host[1].downs = 0;
	tape.drop_from[1] = IKE_X_CREATE_CHILD;
	net_rekey(net, 0, IKE);
	net_run(net, 12 * NET_S); /* not both at once */
	net->host[0].engine->conns->renew = true;
	ike_wake_conn(net->host[0].engine->conns);
	ike_engine_tick(net->host[0].engine, net->now);
	net_run(net, 4 * NET_S);
	tape.drop_from[1] = IKE_X_INFORMATIONAL; /* and so is what host 1 says of the old one */
	net_run(net, 15 * NET_S);
	tape.drop_from[1] = 0;
	net_run(net, 30 * NET_S);
	net_expect_one(net);
	assert_true(net_agrees(net));
	assert_int_equal(net->host[0].downs + net->host[1].downs, 0);
	tape_free(net);
}

/* Whoever rekeys, and how often: both ends go by the IKE_AUTH that it all began with. */
static void
ike_146_an_ike_sa_is_judged_by_its_birth_at_both_ends(void **state)
{
	struct net *net = tape_up(26);
	const struct ike_birth born[2] = {puppet_sa(net, 0)->birth, puppet_sa(net, 1)->birth};

	net->audit = true;
	assert_int_equal(ike_nonce_compare(&born[0].low, &born[1].low), 0);
	assert_true(born[0].dialled && !born[1].dialled);
	for (int n = 0; n < 3; n++) {
		net_run(net, 12 * NET_S);
		net_rekey(net, n % 2 == 0, IKE);
		net_run(net, 2 * NET_S);
		for (int i = 0; i < 2; i++) {
			const struct ike_sa *sa = puppet_sa(net, i);

			assert_true(sa->birth.ns == born[i].ns && sa->made_ns > born[i].ns);
			assert_int_equal(sa->birth.dialled, i == 0);
			assert_int_equal(ike_nonce_compare(&sa->birth.low, &born[0].low), 0);
		}
	}
	tape_free(net);
}

static void
ike_077_what_is_in_flight_on_a_replaced_ike_sa_is_received(void **state)
{
	struct net *net = tape_up(24);
	struct ike_sa *old = puppet_sa(net, 0);
	unsigned int n = 0;

	net->audit = true;
	net_run(net, 15 * NET_S);
	net->host[0].engine->conns->renew = true;
	ike_wake_conn(net->host[0].engine->conns);
	ike_engine_tick(net->host[0].engine, net->now);
	for (; puppet_sa(net, 0) == old || puppet_sa(net, 0)->next; n++) { /* until it is gone */
		assert_true(n < 5000);
		net_run(net, 1 * NET_MS);
	}
	assert_int_equal(net_sas(net, 0), 2);
	net_run(net, 4900 * NET_MS);
	assert_int_equal(net_sas(net, 0), 2);
	net_run(net, 200 * NET_MS);
	assert_int_equal(net_sas(net, 0), 1);
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

/* Our rekey of the IKE SA is never answered, the peer's was: what carries the traffic goes there.
 */
static void
ike_113_a_rekey_that_times_out_leaves_the_children_with_the_peers(void **state)
{
	struct net *net = child_waiting(20, IKE, false);
	const struct ike_sa *old = puppet_sa(net, 1), *rival;
	uint64_t began = net->now;

	assert_int_equal(
		child_error(puppet_ask(net, 0, IKE_X_CREATE_CHILD, child_fill_ike_rekey, NULL)), 0);
	rival = puppet_sa(net, 1);
	assert_true(rival != old && rival->pending && !rival->children);
	while (rival->pending && net->now < began + 60 * NET_S)
		net_run(net, 100 * NET_MS);
	assert_in_range(net->now - began, 25 * NET_S, 32 * NET_S);
	assert_non_null(rival->children);
	assert_int_equal(net->host[1].downs, 0);
	assert_int_equal(net_sas(net, 1), 1);
	net->host[0].dead = true;
	tape_free(net);
}

/* One that has lost a race goes: a successor of it would be one too many. */
static void
ike_118_a_child_that_lost_is_not_rekeyed(void **state)
{
	struct net *net = tape_up(21);
	struct child_wish w = {.rekey = child_spi(net, 0), .spi = 0x5003};

	puppet_sa(net, 1)->children->redundant = true;
	assert_int_equal(child_error(child_ask(net, 0, w)), IKE_N_TEMPORARY_FAILURE);
	puppet_sa(net, 1)->children->redundant = false;
	assert_int_equal(child_error(child_ask(net, 0, w)), 0);
	tape_free(net);
}

/* Authentic is not enough: it has to be the answer to this request, of this IKE SA. */
static void
ike_150_an_answer_is_of_its_exchange_and_of_both_spis(void **state)
{
	struct net *net = tape_up(19);
	struct ike_builder b;

	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	assert_int_equal(ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD), 0);
	for (int wrong = 0; wrong < 3; wrong++) {
		puppet_begin(net, 1, &b, wrong == 0 ? IKE_X_INFORMATIONAL : IKE_X_CREATE_CHILD,
			     true, puppet_sa(net, 0)->req.mid);
		if (wrong == 1)
			b.w.start[15] ^= 1; /* SPIr; by SPIi host 0 finds its IKE SA */
		ike_build_notify(&b, IKE_N_NO_ADDITIONAL_SAS, 0, 0, NULL, 0);
		puppet_send(net, 1, &b);
		assert_int_equal(puppet_sa(net, 0)->req.task == IKE_TASK_CHILD_REKEY, wrong < 2);
	}
	tape.drop_from[0] = 0;
	net_run(net, 1 * NET_S);
	tape_free(net);
}

/* An answer that gives more than was asked for is not taken, and what it made is deleted. */
static void
ike_026_selectors_beyond_the_offer_are_not_taken(void **state)
{
	struct net *net = tape_net(18);
	struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};
	struct child_wish answer = {.spi = 0x5002};

	c[0].mode = SPW_IKE_MODE_BOTH;
	c[1].mode = SPW_IKE_MODE_RESPOND;
	c[1].sel_local[0].low = spw_addr_v4(0x0a010000);
	c[1].sel_local[0].high = spw_addr_v4(0x0a01ffff);
	net_set(net, 1, &c[1]);
	net_set(net, 0, &c[0]);
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	tape_clear();
	tape.drop_from[1] = 255;
	assert_int_equal(ike_engine_rekey(net->host[1].engine, net->now, "azure", CHILD), 0);
	uint32_t asked = puppet_sa(net, 1)->req.spi_in;
	unsigned int installs = net->host[1].installs;

	puppet_answer(net, 0, child_fill, &answer); /* any to any */
	assert_int_equal(net->host[1].installs, installs);
	assert_true(deletes(asked));
	tape_free(net);
}

/* ---- repeats ---- */

/* The peer has moved while our request waits: the same octets go where it is now. */
static void
ike_152_a_repeat_goes_where_the_peer_is_now(void **state)
{
	struct net *net = tape_up(22);
	const struct spw_addr moved = spw_addr_v4(0xcb00710a);
	struct ike_builder b;
	size_t len;

	puppet_sa(net, 1)->nat_there = true;
	tape.drop_from[1] = 255;
	tape_clear();
	assert_int_equal(ike_engine_rekey(net->host[1].engine, net->now, "azure", CHILD), 0);
	puppet_begin(net, 0, &b, IKE_X_INFORMATIONAL, false, puppet_sa(net, 0)->next_out++);
	assert_int_equal(ike_build_seal(&b, puppet_sa(net, 0)->seal, &len), 0);
	puppet_raw(net, 1, &moved, 5555, 500, b.w.start, len);
	net_run(net, 600 * NET_MS);
	assert_int_equal(tape_count(1, IKE_X_CREATE_CHILD, false), 2);
	const struct taped *first = &tape.at[0], *again = tape_last(1, IKE_X_CREATE_CHILD, false);

	assert_true(spw_addr_equal(&first->remote, &net->host[0].addr));
	assert_true(spw_addr_equal(&again->remote, &moved));
	assert_int_equal(again->remote_port, 5555);
	assert_int_equal(again->len, first->len);
	assert_memory_equal(again->bytes, first->bytes, first->len);
	tape_free(net);
}

/* A request in pieces is repeated in the same pieces: no IV is drawn for the same text again. */
static void
ike_152_pieces_are_repeated_as_they_were(void **state)
{
	struct net *net = tape_net(23);
	unsigned int n = 0, at[TAPE_MAX], pieces;

	for (int i = 1; i >= 0; i--) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
		c.fragment = 576;
		for (c.n_local = 0; c.n_local < SPW_SA_SELECTORS; c.n_local++) {
			c.sel_local[c.n_local] = c.sel_remote[c.n_local] = net_any();
			c.sel_local[c.n_local].protocol = (uint8_t)(1 + c.n_local);
			c.sel_remote[c.n_local].protocol = (uint8_t)(1 + c.n_local);
		}
		c.n_remote = c.n_local;
		for (c.n_esp = 1; c.n_esp < SPW_IKE_PROPOSALS; c.n_esp++) {
			c.esp[c.n_esp] = c.esp[0];
			c.esp[c.n_esp].encr =
				c.n_esp & 1 ? SPW_ENCR_AES128_GCM : SPW_ENCR_AES256_GCM;
			c.esp[c.n_esp].group = SPW_GROUP_ECP384;
		}
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	ike_engine_reset(net->host[0].engine, net->now, "azure", CHILD);
	net_run(net, 4 * NET_S);
	for (unsigned int i = 0; i < tape.n; i++)
		if (tape.at[i].from == 0 && tape.at[i].h.exchange == IKE_X_CREATE_CHILD)
			at[n++] = i;
	for (pieces = 1; pieces < n && tape.at[at[pieces]].at == tape.at[at[0]].at; pieces++)
		;
	assert_true(pieces >= 2);
	assert_true(n >= 3 * pieces && n % pieces == 0);
	for (unsigned int i = pieces; i < n; i++) {
		const struct taped *first = &tape.at[at[i % pieces]], *again = &tape.at[at[i]];

		assert_int_equal(again->h.next, IKE_P_SKF);
		assert_int_equal(again->len, first->len);
		assert_memory_equal(again->bytes, first->bytes, first->len);
	}
	tape.drop_from[0] = 0;
	net_run(net, 20 * NET_S);
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
		cmocka_unit_test(ike_114_a_delete_that_crosses_ours_ends_both),
		cmocka_unit_test(ike_083_an_ike_sa_at_its_hard_limit_is_replaced_before_it_goes),
		cmocka_unit_test(ike_083_the_old_ike_sa_stays_until_the_peer_has_the_new_one),
		cmocka_unit_test(ike_146_a_rekey_that_ends_late_makes_no_winner_of_the_loser),
		cmocka_unit_test(ike_146_an_ike_sa_is_judged_by_its_birth_at_both_ends),
		cmocka_unit_test(ike_077_what_is_in_flight_on_a_replaced_ike_sa_is_received),
		cmocka_unit_test(ike_112_an_ike_sa_that_the_peer_has_rekeyed_is_not_rekeyed_again),
		cmocka_unit_test(ike_155_the_ids_of_the_peer_count_as_ours_do),
		cmocka_unit_test(ike_113_a_rekey_that_times_out_leaves_the_children_with_the_peers),
		cmocka_unit_test(ike_118_a_child_that_lost_is_not_rekeyed),
		cmocka_unit_test(ike_150_an_answer_is_of_its_exchange_and_of_both_spis),
		cmocka_unit_test(ike_026_selectors_beyond_the_offer_are_not_taken),
		cmocka_unit_test(ike_152_a_repeat_goes_where_the_peer_is_now),
		cmocka_unit_test(ike_152_pieces_are_repeated_as_they_were),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
