/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: CREATE_CHILD_SA (IKE-070 to 088), and the keys that come of it. One engine is asked
 * by hand; what it answers is read from the wire. Collisions are in conf_collision_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet_child.h"

#define CHILD SPW_IKE_RESET_CHILD
#define IKE   SPW_IKE_RESET_IKE

/* ---- keys ---- */

static void
ike_070_child_keys_are_cut_from_one_stream_in_order(void **state)
{
	struct ike_nonce ni = {.len = 32, .bytes = {1}}, nr = {.len = 40, .bytes = {2}};
	struct spw_secret d = {0}, g = {0}, want = {0};
	uint8_t to_r[36], to_i[36];

	assert_int_equal(spw_secret_init(), 0);
	assert_int_equal(spw_secret_set(&d, "0123456789abcdef0123456789abcdef", 32), 0);
	assert_int_equal(spw_secret_set(&g, "a shared secret of a key exchange", 32), 0);
	for (int pfs = 0; pfs < 2; pfs++) {
		const struct ike_chunk with[] = {
			{g.bytes, 32}, {ni.bytes, ni.len}, {nr.bytes, nr.len}};

		assert_int_equal(ike_prf_plus(SPW_PRF_HMAC_SHA256, &d, pfs ? with : with + 1,
					      pfs ? 3 : 2, 72, &want),
				 0);
		assert_int_equal(ike_keys_child(SPW_PRF_HMAC_SHA256, &d, pfs ? &g : NULL, &ni, &nr,
						36, to_r, to_i),
				 0);
		assert_memory_equal(to_r, want.bytes, 36);
		assert_memory_equal(to_i, want.bytes + 36, 36);
		spw_secret_free(&want);
	}
	spw_secret_free(&d);
	spw_secret_free(&g);
}

/* RFC 7296 2.18: the seed by the old PRF and SK_d, the stream by the new PRF. */
static void
ike_078_a_rekeyed_ike_sa_is_seeded_by_the_old_prf(void **state)
{
	const struct spw_ike_proposal suite = {
		.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA384, .group = SPW_GROUP_ECP256};
	struct ike_nonce ni = {.len = 32, .bytes = {1}}, nr = {.len = 32, .bytes = {2}};
	struct spw_secret d = {0}, g = {0}, seed = {0}, want = {0};
	uint8_t spis[16] = {[7] = 3, [15] = 4};
	struct ike_keys k;

	assert_int_equal(spw_secret_init(), 0);
	assert_int_equal(spw_secret_set(&d, "0123456789abcdef0123456789abcdef", 32), 0);
	assert_int_equal(spw_secret_set(&g, "a shared secret of a key exchange", 32), 0);
	assert_int_equal(spw_secret_alloc(&seed, 32), 0);
	const struct ike_keys_input in = {.suite = &suite,
					  .shared = &g,
					  .ni = &ni,
					  .nr = &nr,
					  .spi_i = 3,
					  .spi_r = 4,
					  .old_d = &d,
					  .old_prf = SPW_PRF_HMAC_SHA256};
	const struct ike_chunk s[] = {{g.bytes, 32}, {ni.bytes, 32}, {nr.bytes, 32}};
	const struct ike_chunk c[] = {{ni.bytes, 32}, {nr.bytes, 32}, {spis, 16}};

	assert_int_equal(ike_keys_derive(&in, &k), 0);
	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, d.bytes, 32, s, 3, seed.bytes), 0);
	assert_int_equal(ike_prf_plus(SPW_PRF_HMAC_SHA384, &seed, c, 3, 3 * 48 + 2 * 36, &want), 0);
	assert_memory_equal(k.d.bytes, want.bytes, 48);
	assert_memory_equal(k.ei.bytes, want.bytes + 48, 36);
	assert_memory_equal(k.er.bytes, want.bytes + 84, 36);
	assert_memory_equal(k.pr.bytes, want.bytes + 168, 48);
	ike_keys_free(&k);
	spw_secret_free(&d);
	spw_secret_free(&g);
	spw_secret_free(&seed);
	spw_secret_free(&want);
}

/* IKE-038: with an AEAD there are no SK_a, and SK_e is key and salt. */
static void
ike_038_keys_of_an_aead_suite_have_no_integrity_part(void **state)
{
	const struct spw_ike_proposal suite = {
		.encr = SPW_ENCR_AES128_GCM, .prf = SPW_PRF_HMAC_SHA256, .group = SPW_GROUP_ECP256};
	struct ike_nonce ni = {.len = 16, .bytes = {1}}, nr = {.len = 256, .bytes = {2}};
	struct spw_secret g = {0}, seed = {0}, want = {0};
	uint8_t spis[16] = {[7] = 3, [15] = 4}, nonces[272] = {0};
	struct ike_keys k;

	assert_int_equal(spw_secret_init(), 0);
	assert_int_equal(spw_secret_set(&g, "a shared secret of a key exchange", 32), 0);
	assert_int_equal(spw_secret_alloc(&seed, 32), 0);
	nonces[0] = 1;
	nonces[16] = 2;
	const struct ike_keys_input in = {
		.suite = &suite, .shared = &g, .ni = &ni, .nr = &nr, .spi_i = 3, .spi_r = 4};
	const struct ike_chunk s = {g.bytes, 32}, c[] = {{nonces, sizeof(nonces)}, {spis, 16}};

	assert_int_equal(ike_keys_derive(&in, &k), 0);
	assert_int_equal(k.ai.len + k.ar.len, 0);
	assert_int_equal(k.ei.len, 20);
	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, nonces, sizeof(nonces), &s, 1, seed.bytes),
			 0);
	assert_int_equal(ike_prf_plus(SPW_PRF_HMAC_SHA256, &seed, c, 2, 3 * 32 + 40, &want), 0);
	assert_memory_equal(k.d.bytes, want.bytes, 32);
	assert_memory_equal(k.ei.bytes, want.bytes + 32, 20);
	assert_memory_equal(k.er.bytes, want.bytes + 52, 20);
	assert_memory_equal(k.pi.bytes, want.bytes + 72, 32);
	assert_memory_equal(k.pr.bytes, want.bytes + 104, 32);
	ike_keys_free(&k);
	spw_secret_free(&g);
	spw_secret_free(&seed);
	spw_secret_free(&want);
}

/* ---- making and rekeying children ---- */

static void
ike_070_children_with_and_without_a_key_exchange_are_made(void **state)
{
	for (uint8_t group = 0; group <= SPW_GROUP_ECP384; group += SPW_GROUP_ECP384) {
		struct net *net = tape_net(1);

		for (int i = 1; i >= 0; i--) {
			struct spw_ike_conn c = net_conn(net, i);

			c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
			c.esp[0].group = group;
			net_set(net, i, &c);
		}
		assert_true(net_run_up(net, 5 * NET_S));
		net_run(net, 1 * NET_S);
		ike_engine_reset(net->host[0].engine, net->now, "azure", CHILD);
		net_run(net, 10 * NET_S);
		assert_true(net_agrees(net));
		assert_int_equal(tape_last(0, IKE_X_CREATE_CHILD, false)->m.has_ke, group != 0);
		assert_int_equal(tape_last(1, IKE_X_CREATE_CHILD, true)->m.has_ke, group != 0);
		tape_free(net);
	}
}

static void
ike_071_a_rekey_names_the_senders_inbound_spi(void **state)
{
	struct net *net = tape_up(2);
	uint32_t spi = child_spi(net, 0);
	const struct ike_notify *n;

	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	net_run(net, 1 * NET_S);
	n = ike_wire_notify(&tape_last(0, IKE_X_CREATE_CHILD, false)->m, IKE_N_REKEY_SA);
	assert_non_null(n);
	assert_int_equal(n->protocol, IKE_PROTO_ESP);
	assert_int_equal(n->spi_len, 4);
	assert_int_equal(n->spi, spi);
	tape_free(net);
}

static void
ike_071_a_rekey_of_nothing_is_told_so_with_its_spi(void **state)
{
	struct net *net = tape_up(3);
	const struct taped *t = child_ask(net, 0, (struct child_wish){.rekey = 0x55667788});

	assert_int_equal(child_error(t), IKE_N_CHILD_SA_NOT_FOUND);
	assert_int_equal(t->m.notify[0].spi, 0x55667788);
	assert_int_equal(t->m.notify[0].protocol, IKE_PROTO_ESP);
	assert_int_equal(
		child_error(child_ask(
			net, 0,
			(struct child_wish){.rekey = 0x55667788, .rekey_protocol = IKE_PROTO_AH})),
		IKE_N_INVALID_SYNTAX);
	assert_int_equal(
		child_error(child_ask(net, 0,
				      (struct child_wish){.rekey = child_spi(net, 0),
							  .rekey_protocol = IKE_PROTO_IKE})),
		IKE_N_INVALID_SYNTAX);
	assert_int_equal(net_sas(net, 1), 1);
	tape_free(net);
}

static void
fill_not_found(struct ike_builder *b, void *ctx)
{
	ike_build_notify(b, IKE_N_CHILD_SA_NOT_FOUND, IKE_PROTO_ESP, *(uint32_t *)ctx, NULL, 0);
}

static void
ike_072_a_child_that_the_peer_has_lost_is_made_anew(void **state)
{
	struct net *net = tape_up(4);
	uint32_t spi = child_spi(net, 0);

	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	tape_clear();
	tape.drop_from[0] = 0;
	puppet_answer(net, 1, fill_not_found, &spi);
	net_run(net, 10 * NET_S);
	assert_int_equal(tape_count(0, IKE_X_CREATE_CHILD, false), 1); /* once */
	assert_null(ike_wire_notify(&tape_last(0, IKE_X_CREATE_CHILD, false)->m, IKE_N_REKEY_SA));
	for (unsigned int i = 0; i < tape.n; i++) /* and the lost one silently */
		assert_false(tape.at[i].from == 0 && tape.at[i].m.n_deletes &&
			     ike_wire_delete_spi(&tape.at[i].m.del[0], 0) == spi);
	assert_true(child_spi(net, 0) != spi && child_spi(net, 0) != 0);
	tape_free(net);
}

static void
ike_073_another_group_is_asked_for_and_none_means_none(void **state)
{
	static const struct spw_ike_proposal pfs = {.encr = SPW_ENCR_AES256_GCM,
						    .group = SPW_GROUP_ECP384};
	struct net *net = tape_net(5);
	struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};
	const struct taped *t;

	c[0].mode = SPW_IKE_MODE_BOTH;
	c[1].mode = SPW_IKE_MODE_RESPOND;
	c[1].n_esp = 2;
	c[1].esp[1] = c[1].esp[0];
	c[1].esp[0].group = SPW_GROUP_ECP384;
	net_set(net, 1, &c[1]);
	net_set(net, 0, &c[0]);
	assert_true(net_run_up(net, 5 * NET_S));
	t = child_ask(net, 0, (struct child_wish){.offer = &pfs, .ke = 19});
	assert_int_equal(child_error(t), IKE_N_INVALID_KE_PAYLOAD);
	assert_memory_equal(t->m.notify[0].data.bytes, "\0\24", 2);
	t = child_ask(net, 0,
		      (struct child_wish){.offer = &pfs}); /* the group is chosen, the KE missing */
	assert_int_equal(child_error(t), IKE_N_INVALID_KE_PAYLOAD);
	t = child_ask(net, 0,
		      (struct child_wish){.ke = 19}); /* NONE is chosen: the KE means nothing */
	assert_int_equal(child_error(t), 0);
	assert_true(t->m.has_sa && !t->m.has_ke);
	assert_true(child_ask(net, 0, (struct child_wish){.offer = &pfs, .ke = 20, .spi = 0x1002})
			    ->m.has_ke);
	tape_free(net);
}

static void
ike_074_a_rekey_proposes_what_was_agreed_and_takes_more(void **state)
{
	struct net *net = tape_net(6);
	struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};
	const struct taped *t;

	c[0].mode = SPW_IKE_MODE_BOTH;
	c[1].mode = SPW_IKE_MODE_RESPOND;
	c[0].n_esp = 2;
	c[0].esp[1] = c[0].esp[0];
	c[0].esp[0].encr = SPW_ENCR_AES128_GCM;
	c[1].sel_local[0].low = spw_addr_v4(0x0a010000);
	c[1].sel_local[0].high = spw_addr_v4(0x0a01ffff);
	net_set(net, 1, &c[1]);
	net_set(net, 0, &c[0]);
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	t = tape_last(0, IKE_X_CREATE_CHILD, false);
	assert_int_equal(t->m.sa.n_proposals, 1);
	assert_int_equal(t->m.sa.transform[0].key_bits, 256);
	assert_int_equal(t->m.tsr.count, 1);
	assert_int_equal(spw_addr_get_v4(&t->m.tsr.ts[0].low), 0x0a010000);
	assert_int_equal(spw_addr_get_v4(&t->m.tsr.ts[0].high), 0x0a01ffff);
	net_run(net, 10 * NET_S);
	/* a peer that sends its configured selectors, all of the world */
	t = child_ask(net, 0, (struct child_wish){.rekey = child_spi(net, 0), .spi = 0x1003});
	assert_int_equal(child_error(t), 0);
	assert_int_equal(spw_addr_get_v4(&t->m.tsr.ts[0].low), 0x0a010000);
	assert_int_equal(spw_addr_get_v4(&t->m.tsr.ts[0].high), 0x0a01ffff);
	tape_free(net);
}

static unsigned int sas_at_answer, out_at_delete;

static void
note_order(struct net *net, const struct taped *t)
{
	if (t->from == 1 && t->h.exchange == IKE_X_CREATE_CHILD)
		sas_at_answer = net_sas(net, 1);
	if (t->from == 0 && t->m.n_deletes && !(t->h.flags & IKE_FLAG_RESPONSE))
		out_at_delete = net->host[0].active;
}

static void
ike_075_the_new_sa_receives_before_the_answer_leaves(void **state)
{
	struct net *net = tape_up(7);
	uint32_t before = child_spi(net, 1);

	sas_at_answer = 0;
	tape.on_send = note_order;
	child_ask(net, 0, (struct child_wish){.rekey = child_spi(net, 0)});
	assert_int_equal(sas_at_answer, 2);
	assert_int_equal(child_spi(net, 1), before); /* it still sends on the old one */
	tape_free(net);
}

/*
 * Host 1 sends on the first of three children when that ends: on the second, which the peer is
 * known to have, though it lost against the first and will go; not on the heir of the first, of
 * which the peer may not have heard yet.
 */
static void
ike_075_what_the_peer_may_not_have_is_sent_on_last(void **state)
{
	struct net *net = tape_up(9);
	uint32_t first = child_spi(net, 1), second;
	const struct taped *t =
		child_ask(net, 0, (struct child_wish){.spi = 0x2001, .nonce_byte = 0xd0});

	second = (uint32_t)t->m.sa.proposal[0].spi;
	t = child_ask(net, 0, (struct child_wish){.spi = 0x2002, .rekey = child_spi(net, 0)});
	assert_int_equal(child_error(t), 0);
	assert_int_equal(child_spi(net, 1), first);
	net_event(net, 1, SPW_SA_EV_HARD);
	assert_int_equal(child_spi(net, 1), second);
	tape_free(net);
}

/* The peer makes a second child and may not have our answer; the first is not deleted for it. */
static void
ike_075_a_child_is_not_deleted_for_one_that_the_peer_may_not_have(void **state)
{
	struct net *net = tape_up(10);
	uint32_t first = child_spi(net, 1);

	net_run(net, 12 * NET_S); /* not both at once: the newer stays */
	tape_clear();
	child_ask(net, 0, (struct child_wish){.spi = 0x2001});
	tape.drop_from[0] = 255;
	net_run(net, 3 * NET_S);
	assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, false), 0);
	assert_int_equal(child_spi(net, 1), first);
	tape.drop_from[0] = 0;
	net_run(net, 2 * NET_S); /* it asks whether we live: so it has the second */
	assert_int_equal(tape_last(1, IKE_X_INFORMATIONAL, false)->m.n_deletes, 1);
	assert_int_not_equal(child_spi(net, 1), first);
	tape_free(net);
}

static void
ike_076_the_initiator_moves_over_and_then_deletes(void **state)
{
	struct net *net = tape_up(8);
	uint32_t before = child_spi(net, 0);

	out_at_delete = 0;
	tape.on_send = note_order;
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	net_run(net, 1 * NET_S);
	assert_true(out_at_delete != 0 && out_at_delete != before);
	tape_free(net);
}

/* Who waits for an answer that is lost. */
enum early { EARLY_REKEY, EARLY_NEW, EARLY_FIRST, EARLY_KINDS };

/* Host 0 has asked once and offers an SPI, host 1 has answered, and the answer is lost. */
static struct net *
early_net(enum early kind, uint8_t *exchange)
{
	struct net *net = kind == EARLY_FIRST ? tape_net(20) : tape_up(20 + kind);

	*exchange = kind == EARLY_FIRST ? IKE_X_AUTH : IKE_X_CREATE_CHILD;
	tape_clear();
	tape.drop_from[1] = *exchange;
	if (kind == EARLY_FIRST)
		net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
	else if (kind == EARLY_NEW)
		ike_engine_reset(net->host[0].engine, net->now, "azure", CHILD);
	else
		ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	for (int ms = 0; ms < 400 && tape_count(1, *exchange, true) == 0; ms += 10)
		net_run(net, 10 * NET_MS);
	net_run(net, 50 * NET_MS);
	assert_int_equal(tape_count(0, *exchange, false), 1);
	assert_int_equal(tape_count(1, *exchange, true), 1);
	assert_true(puppet_sa(net, 0)->req.spi_in != 0);
	return net;
}

static void
ike_076_a_packet_before_the_answer_repeats_the_request_at_once(void **state)
{
	for (enum early kind = 0; kind < EARLY_KINDS; kind++) {
		uint8_t exchange;
		struct net *net = early_net(kind, &exchange);
		uint32_t spi = puppet_sa(net, 0)->req.spi_in;
		const struct taped *first = tape_last(0, exchange, false), *again;

		tape.drop_from[1] = 0;
		net_esp(net, 0, spi);
		net_run(net, 10 * NET_MS + 1);
		again = tape_last(0, exchange, false);
		assert_int_equal(tape_count(0, exchange, false), 2);
		assert_int_equal(again->at, net->now - 1); /* when the packet came */
		assert_true(again->at < first->at + IKE_RETRANSMIT_NS);
		assert_int_equal(again->len, first->len);
		assert_memory_equal(again->bytes, first->bytes, first->len);
		net_run(net, 25 * NET_MS);
		assert_int_equal(child_spi(net, 0), spi); /* it stands, and is sent on */
		tape_free(net);
	}
}

static void
ike_076_it_is_repeated_once_and_its_schedule_stays(void **state)
{
	for (enum early kind = 0; kind < EARLY_KINDS; kind++) {
		uint8_t exchange;
		struct net *net = early_net(kind, &exchange);
		uint32_t spi = puppet_sa(net, 0)->req.spi_in;
		uint64_t sent = tape_last(0, exchange, false)->at;

		for (int n = 0; n < 5; n++) {
			net_esp(net, 0, spi); /* the data plane tells of the first */
			net_early(net, 0);    /* one that tells more often changes nothing */
			net_run(net, 10 * NET_MS);
		}
		assert_int_equal(tape_count(0, exchange, false), 2);
		net_run(net, sent + IKE_RETRANSMIT_NS - net->now);
		assert_int_equal(tape_count(0, exchange, false), 2);
		net_run(net, 1);
		assert_int_equal(tape_count(0, exchange, false), 3);
		net_early(net, 0);
		net_run(net, 50 * NET_MS);
		tape.drop_from[1] = 0;
		net_run(net, 2 * NET_S);
		assert_int_equal(tape_count(0, exchange, false), 4); /* 0.9 s after the third */
		assert_int_equal(tape_last(0, exchange, false)->at,
				 sent + IKE_RETRANSMIT_NS / 5 * 14);
		assert_int_equal(child_spi(net, 0), spi);
		tape_free(net);
	}
}

/* A packet on this SPI is told to host 0: it says nothing. */
static void
expect_silence(struct net *net, uint32_t spi)
{
	const struct spw_dp_sa_event ev = {
		.kind = SPW_SA_EV_EARLY, .tunnel = NET_TUNNEL, .spi_in = spi};
	unsigned int said = tape.n;

	ike_engine_sa_event(net->host[0].engine, net->now, &ev);
	assert_int_equal(tape.n, said);
}

static void
ike_076_a_packet_on_any_other_spi_repeats_nothing(void **state)
{
	uint8_t exchange;
	struct net *net = early_net(EARLY_REKEY, &exchange);
	uint32_t spi = puppet_sa(net, 0)->req.spi_in;

	expect_silence(net, spi ^ 1);
	expect_silence(net, child_spi(net, 0)); /* one that stands */
	expect_silence(net, child_spi(net, 1));
	expect_silence(net, 0);
	tape.drop_from[1] = 0;
	net_run(net, 1 * NET_S);
	assert_int_equal(child_spi(net, 0), spi);
	expect_silence(net, spi); /* it is answered */
	/* an SPI of a data plane that is gone may be given out by the new one to somebody else */
	tape.drop_from[1] = IKE_X_CREATE_CHILD;
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	spi = puppet_sa(net, 0)->req.spi_in;
	assert_int_not_equal(spi, 0);
	net_dataplane_reset(net, 0);
	expect_silence(net, spi);
	tape_free(net);
}

/* The answer is there, and waits for Diffie-Hellman: nothing is lost. */
static void
ike_076_an_answer_that_is_being_handled_is_not_asked_for_again(void **state)
{
	struct net *net = tape_net(24);
	struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

	for (int i = 0; i < 2; i++) {
		c[i].mode = i == 0 ? SPW_IKE_MODE_BOTH : SPW_IKE_MODE_RESPOND;
		c[i].esp[0].group = SPW_GROUP_ECP256;
		net_set(net, i, &c[i]);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 20 * NET_S);
	net_dh(net, 0, 100 * NET_MS, 100 * NET_MS);
	tape_clear();
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	net_run(net, 150 * NET_MS);
	assert_int_equal(tape_count(1, IKE_X_CREATE_CHILD, true), 1);
	assert_non_null(puppet_sa(net, 0)->parked[true]);
	net_early(net, 0);
	net_run(net, 1 * NET_S);
	assert_int_equal(tape_count(0, IKE_X_CREATE_CHILD, false), 1);
	tape_free(net);
}

static void
ike_078_a_rekeyed_ike_sa_begins_at_zero_and_the_delete_comes_last(void **state)
{
	struct net *net = tape_up(9);
	uint64_t old = net_status(net, 0).spi_i;
	const struct ike_sa *sa;

	ike_engine_rekey(net->host[1].engine, net->now, "azure", IKE);
	net_run(net, 100 * NET_MS);
	for (int i = 0; i < 2; i++) {
		sa = puppet_sa(net, i);
		assert_int_equal(sa->initiator, i == 1); /* who began the rekey */
		/* one request has been made: our token, for the new SPIs */
		assert_int_equal(sa->next_in + sa->next_out, 1);
		assert_non_null(sa->children); /* moved over */
	}
	assert_true(tape_last(1, IKE_X_CREATE_CHILD, false)->m.has_ke);
	assert_int_equal(tape_last(1, IKE_X_CREATE_CHILD, false)->m.sa.proposal[0].spi_len, 8);
	assert_true(tape_last(1, IKE_X_INFORMATIONAL, false)->h.spi_i == old);
	assert_int_equal(tape_last(1, IKE_X_INFORMATIONAL, false)->m.del[0].protocol,
			 IKE_PROTO_IKE);
	assert_int_equal(
		child_error(puppet_ask(net, 0, IKE_X_CREATE_CHILD, child_fill_ike_rekey, net)),
		IKE_N_INVALID_KE_PAYLOAD); /* a key exchange is demanded */
	tape_free(net);
}

static void
ike_079_no_child_is_begun_on_an_ike_sa_that_is_rekeyed(void **state)
{
	struct net *net = child_waiting(10, IKE, false);

	assert_int_equal(ike_engine_rekey(net->host[1].engine, net->now, "azure", CHILD), -11);
	net_event(net, 1, SPW_SA_EV_SOFT);
	net_run(net, 400 * NET_MS);
	assert_int_equal(tape_count(1, IKE_X_CREATE_CHILD, false), 1);
	tape.drop_from[1] = 0;
	net_run(net, 20 * NET_S);
	assert_int_equal(net_status(net, 1).child_rekeys, 1); /* on the new one */
	tape_free(net);
}

static void
ike_080_a_peer_without_room_gets_a_new_ike_sa(void **state)
{
	struct net *net = tape_up(11);
	uint16_t full = IKE_N_NO_ADDITIONAL_SAS;
	uint64_t old = net_status(net, 0).spi_i;

	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
	puppet_answer(net, 1, puppet_fill_notify, &full);
	net_run(net, 20 * NET_S);
	assert_int_equal(tape_count(0, IKE_X_CREATE_CHILD, false), 1);
	assert_true(net_status(net, 0).spi_i != old);
	assert_true(net_agrees(net));
	tape_free(net);
}

static void
ike_081_a_second_rekey_before_the_delete_is_harmless(void **state)
{
	struct net *net = tape_up(12);
	uint32_t old = child_spi(net, 0);

	assert_int_equal(
		child_error(child_ask(net, 0, (struct child_wish){.rekey = old, .spi = 0x2001})),
		0);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(
			child_error(child_ask(
				net, 0, (struct child_wish){.rekey = old, .spi = 0x2002 + i})),
			IKE_N_TEMPORARY_FAILURE);
	assert_int_equal(net_sas(net, 1), 2);
	puppet_ask(net, 0, IKE_X_INFORMATIONAL, child_fill_delete, &old);
	net_run(net, 10 * NET_S);
	assert_int_equal(net_sas(net, 1), 1);
	tape_free(net);
}

static void
ike_088_unknown_wishes_about_selectors_end_no_ike_sa(void **state)
{
	static const uint16_t types[] = {IKE_N_SINGLE_PAIR_REQUIRED, IKE_N_ADDITIONAL_TS_POSSIBLE};

	for (int i = 0; i < 2; i++) {
		struct net *net = tape_up(13);
		uint16_t type = types[i];

		tape.drop_from[0] = IKE_X_CREATE_CHILD;
		ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
		tape.drop_from[0] = 0;
		puppet_answer(net, 1, puppet_fill_notify, &type);
		net_run(net, 60 * NET_S);
		assert_int_equal(net_ike_sas(net, 0), 1);
		assert_true(net_agrees(net));
		tape_free(net);
	}
}

static void
ike_085_spis_below_256_are_not_taken(void **state)
{
	static const uint32_t spis[] = {1, 255, 256, 0xffffffff};
	struct net *net = tape_up(14);

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
			child_error(child_ask(net, 0, (struct child_wish){.spi = spis[i]})),
			spis[i] < 256 ? IKE_N_NO_PROPOSAL_CHOSEN : 0);
	tape_free(net);
}

static void
lif_04_when_rekeys_fail_the_sa_ends_and_nothing_goes_in_the_clear(void **state)
{
	struct net *net = tape_net(31);

	for (int i = 1; i >= 0; i--) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
		c.child_seconds = (struct spw_sa_limit){.soft = 20, .hard = 40};
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	net->host[1].refuse_installs = 1000000;
	net_run(net, 41 * NET_S);
	assert_int_equal(net->host[0].active, 0); /* nothing to send on: it is dropped */
	net->host[1].refuse_installs = 0;
	assert_true(net_run_up(net, 120 * NET_S));
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_070_child_keys_are_cut_from_one_stream_in_order),
		cmocka_unit_test(ike_078_a_rekeyed_ike_sa_is_seeded_by_the_old_prf),
		cmocka_unit_test(ike_038_keys_of_an_aead_suite_have_no_integrity_part),
		cmocka_unit_test(ike_070_children_with_and_without_a_key_exchange_are_made),
		cmocka_unit_test(ike_071_a_rekey_names_the_senders_inbound_spi),
		cmocka_unit_test(ike_071_a_rekey_of_nothing_is_told_so_with_its_spi),
		cmocka_unit_test(ike_072_a_child_that_the_peer_has_lost_is_made_anew),
		cmocka_unit_test(ike_073_another_group_is_asked_for_and_none_means_none),
		cmocka_unit_test(ike_074_a_rekey_proposes_what_was_agreed_and_takes_more),
		cmocka_unit_test(ike_075_the_new_sa_receives_before_the_answer_leaves),
		cmocka_unit_test(ike_075_what_the_peer_may_not_have_is_sent_on_last),
		cmocka_unit_test(ike_075_a_child_is_not_deleted_for_one_that_the_peer_may_not_have),
		cmocka_unit_test(ike_076_the_initiator_moves_over_and_then_deletes),
		cmocka_unit_test(ike_076_a_packet_before_the_answer_repeats_the_request_at_once),
		cmocka_unit_test(ike_076_it_is_repeated_once_and_its_schedule_stays),
		cmocka_unit_test(ike_076_a_packet_on_any_other_spi_repeats_nothing),
		cmocka_unit_test(ike_076_an_answer_that_is_being_handled_is_not_asked_for_again),
		cmocka_unit_test(ike_078_a_rekeyed_ike_sa_begins_at_zero_and_the_delete_comes_last),
		cmocka_unit_test(ike_079_no_child_is_begun_on_an_ike_sa_that_is_rekeyed),
		cmocka_unit_test(ike_080_a_peer_without_room_gets_a_new_ike_sa),
		cmocka_unit_test(ike_081_a_second_rekey_before_the_delete_is_harmless),
		cmocka_unit_test(ike_088_unknown_wishes_about_selectors_end_no_ike_sa),
		cmocka_unit_test(ike_085_spis_below_256_are_not_taken),
		cmocka_unit_test(lif_04_when_rekeys_fail_the_sa_ends_and_nothing_goes_in_the_clear),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
