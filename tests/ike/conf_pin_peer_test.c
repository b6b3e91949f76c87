/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: what two engines of one make cannot show of one another (see conf_pin_test.c): keys
 * and their direction, identities, what may change before a message is known to be the peer's,
 * addresses, and times that are drawn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ike/iked/iked.h"
#include "tests/ike/puppet_auth.h"
#include "tests/ike/puppet_child.h"
#include "tests/ike/puppet_init.h"

#define CHILD SPW_IKE_RESET_CHILD

/* ---- keys ---- */

/* The child that host 1 receives on with this SPI, as its data plane was given it. */
static const struct net_sa *
installed(const struct net *net, int i, uint32_t spi_in)
{
	for (unsigned int k = 0; k < net->host[i].sa_top; k++)
		if (net->host[i].sa[k].spi_in == spi_in)
			return &net->host[i].sa[k];
	fail_msg("host %d has no SA %08x", i, spi_in);
	return NULL;
}

/* KEYMAT = prf+(SK_d, Ni | Nr): first what the exchange's initiator sends with (2.17). */
static void
expect_keys(const struct net *net, int initiator, const struct ike_sa *sa, const uint8_t *ni,
	    const uint8_t *nr)
{
	const struct ike_chunk nonces[] = {{ni, 32}, {nr, 32}};
	const struct net_sa *i = installed(net, initiator, net->host[initiator].active);
	const struct net_sa *r = installed(net, !initiator, i->spi_out);
	struct spw_secret want = {0};

	assert_int_equal(i->key_len, 36);
	assert_int_equal(ike_prf_plus(sa->suite.prf, &sa->keys.d, nonces, 2, 72, &want), 0);
	assert_memory_equal(i->key_out, want.bytes, 36);
	assert_memory_equal(r->key_in, want.bytes, 36);
	assert_memory_equal(i->key_in, want.bytes + 36, 36);
	assert_memory_equal(r->key_out, want.bytes + 36, 36);
	spw_secret_free(&want);
}

static void
ike_070_who_begins_the_exchange_sends_with_the_first_key(void **state)
{
	struct net *net = tape_up(16);
	const struct ike_sa *sa = puppet_sa(net, 0);

	expect_keys(net, 0, sa, sa->ni.bytes, sa->nr.bytes);
	for (int i = 0; i < 2; i++) { /* whoever began the IKE SA */
		tape_clear();
		ike_engine_rekey(net->host[i].engine, net->now, "azure", CHILD);
		net_run(net, 8 * NET_S);
		expect_keys(net, i, sa, tape_last(i, IKE_X_CREATE_CHILD, false)->m.nonce.bytes,
			    tape_last(!i, IKE_X_CREATE_CHILD, true)->m.nonce.bytes);
	}
	tape_free(net);
}

/* ---- answers and identities ---- */

#define NEW_SPI UINT64_C(0x1122334455667788)

static const uint8_t rekey_nonce[32] = {0x77};

/* A rekey of the IKE SA with another PRF, and the key pair at ctx. */
static void
fill_other_prf(struct ike_builder *b, void *ctx)
{
	static const struct spw_ike_proposal other = {
		.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA384, .group = SPW_GROUP_ECP256};

	ike_build_sa(b, IKE_PROTO_IKE, NEW_SPI, 8, &other, 1, 1, true);
	ike_build_bytes(b, IKE_P_NONCE, rekey_nonce, sizeof(rekey_nonce));
	ike_build_ke(b, 19, ike_dh_public(ctx), 64);
}

/* SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) with the old PRF, SK_* with the new (2.18). */
static void
ike_078_the_old_prf_makes_the_seed_and_the_new_one_the_keys(void **state)
{
	struct net *net = tape_up(93);
	struct ike_conn *conn = puppet_sa(net, 1)->conn;
	struct spw_secret shared = {0}, seed = {0}, want = {0};
	uint8_t old_d[32], spis[16], made[32];
	const struct taped *t;
	struct ike_dh *dh = NULL;

	conn->set.n_ike = 2;
	conn->set.ike[1] = conn->set.ike[0];
	conn->set.ike[1].prf = SPW_PRF_HMAC_SHA384;
	assert_int_equal(puppet_sa(net, 1)->keys.d.len, sizeof(old_d));
	memcpy(old_d, puppet_sa(net, 1)->keys.d.bytes, sizeof(old_d));
	assert_int_equal(ike_dh_new(&dh, SPW_GROUP_ECP256), 0);
	t = puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_other_prf, dh);
	assert_true(t && t->m.has_ke);
	assert_int_equal(ike_dh_shared(dh, t->m.ke.bytes, t->m.ke.len, &shared), 0);
	const struct ike_chunk old[] = {
		{shared.bytes, shared.len}, {rekey_nonce, 32}, {t->m.nonce.bytes, t->m.nonce.len}};
	const struct ike_chunk new[] = {old[1], old[2], {spis, sizeof(spis)}};

	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, old_d, sizeof(old_d), old, 3, made), 0);
	assert_int_equal(spw_secret_set(&seed, made, sizeof(made)), 0);
	spw_put_be64(spis, NEW_SPI);
	spw_put_be64(spis + 8, t->m.sa.proposal[0].spi);
	assert_int_equal(ike_prf_plus(SPW_PRF_HMAC_SHA384, &seed, new, 3, 48, &want), 0);
	assert_int_equal(puppet_sa(net, 1)->spi_i, NEW_SPI);
	assert_int_equal(puppet_sa(net, 1)->keys.d.len, 48);
	assert_memory_equal(puppet_sa(net, 1)->keys.d.bytes, want.bytes, 48);
	spw_secret_free(&shared);
	spw_secret_free(&seed);
	spw_secret_free(&want);
	ike_dh_free(dh);
	tape_free(net);
}

static void
ike_050_an_answer_of_another_method_is_not_believed(void **state)
{
	static const uint8_t methods[] = {1, 2, 3, 14};

	for (size_t i = 0; i < sizeof(methods); i++) {
		const struct auth_parts p = {.method = methods[i]};
		struct net *net = auth_answered(&p);

		assert_int_equal(net_ike_sas(net, 0), methods[i] == IKE_AUTH_PSK);
		tape_free(net);
	}
}

/* The same octets under another type are another identity. */
static void
ike_054_the_type_of_an_identity_counts(void **state)
{
	static const uint8_t types[] = {SPW_ID_FQDN, SPW_ID_RFC822, SPW_ID_KEY_ID};

	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 3; k++) {
			struct net *net = tape_net(17);
			struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

			c[0].mode = SPW_IKE_MODE_INITIATE;
			c[1].mode = SPW_IKE_MODE_RESPOND;
			c[0].local_id = c[1].remote_id =
				(struct spw_ike_id){.type = types[i], .len = 6, .data = "a@b.de"};
			c[1].remote_id.type = types[k];
			net_set(net, 1, &c[1]);
			net_set(net, 0, &c[0]);
			assert_int_equal(net_run_up(net, 1 * NET_S), i == k);
			tape_free(net);
		}
}

/* A peer that saw a NAT and stays on port 500 all the same gets no UDP there (2.23). */
static void
nat_03_esp_is_never_put_into_udp_on_port_500(void **state)
{
	const struct auth_parts p = {0};
	struct net *net = tape_half(19);

	puppet_sa(net, 1)->encap = puppet_sa(net, 1)->nat_there = true;
	assert_true(auth_send(net, &p)->m.has_sa);
	const struct net_sa *sa = installed(net, 1, net->host[1].active);

	assert_int_equal(sa->desc.local_port, 500);
	assert_int_equal(sa->flags & SPW_SA_UDP_ENCAP, 0);
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

/* What did not come from where we dialled is nobody's answer, whatever SPI it knows. */
static void
ike_041_an_answer_from_elsewhere_is_none(void **state)
{
	const struct spw_addr elsewhere = spw_addr_v4(0xcb007163);
	struct net *net = init_dialled(91, false);
	const struct ike_header h = {.spi_i = puppet_sa(net, 0)->spi_i,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_RESPONSE};
	unsigned int before = tape.n;
	struct ike_builder b;
	uint8_t buf[128];
	size_t n;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_notify(&b, IKE_N_COOKIE, 0, 0, "abcd", 4);
	assert_int_equal(ike_build_finish(&b, &n), 0);
	puppet_raw(net, 0, &elsewhere, 500, 500, buf, n);
	assert_int_equal(tape.n, before);
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, buf, n);
	assert_int_equal(tape.n, before + 1);
	tape_free(net);
}

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
		cmocka_unit_test(ike_070_who_begins_the_exchange_sends_with_the_first_key),
		cmocka_unit_test(ike_050_an_answer_of_another_method_is_not_believed),
		cmocka_unit_test(ike_054_the_type_of_an_identity_counts),
		cmocka_unit_test(nat_03_esp_is_never_put_into_udp_on_port_500),
		cmocka_unit_test(ike_013_nothing_at_all_of_an_ike_sa_changes_before_the_icv),
		cmocka_unit_test(nat_09_behind_a_nat_of_our_own_nobody_is_followed),
		cmocka_unit_test(ike_041_an_answer_from_elsewhere_is_none),
		cmocka_unit_test(ike_078_the_old_prf_makes_the_seed_and_the_new_one_the_keys),
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
