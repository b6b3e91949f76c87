/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: IKE_SA_INIT (IKE-020 to 043), floods (DOS) and NAT detection (NAT). Key exchanges
 * are counted by the linker: ike_dh_new() is wrapped.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet.h"

static uint8_t buf[4096];
static unsigned int dh_made, keys_derived;

int __real_ike_dh_new(struct ike_dh **dh, enum spw_group group);
int __wrap_ike_dh_new(struct ike_dh **dh, enum spw_group group);
int __real_ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out);
int __wrap_ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out);

int
__wrap_ike_dh_new(struct ike_dh **dh, enum spw_group group)
{
	dh_made++;
	return __real_ike_dh_new(dh, group);
}

int
__wrap_ike_keys_derive(const struct ike_keys_input *in, struct ike_keys *out)
{
	keys_derived++;
	return __real_ike_keys_derive(in, out);
}

static struct net *
responder(uint64_t seed)
{
	struct net *net = tape_net(seed);
	struct spw_ike_conn c = net_conn(net, 1);

	c.mode = SPW_IKE_MODE_RESPOND;
	net_set(net, 1, &c);
	return net;
}

/* What host 1 answers to an IKE_SA_INIT; NULL = silence. */
static const struct taped *
ask(struct net *net, const struct init_parts *p)
{
	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, buf, puppet_init(buf, sizeof(buf), p));
	assert_true(tape.n <= 1);
	return tape.n ? &tape.at[0] : NULL;
}

/* A stateless error: one notify, SPIr 0, nothing kept. */
static void
expect_error(struct net *net, const struct taped *t, uint16_t type, const void *data, size_t len)
{
	assert_non_null(t);
	assert_int_equal(t->m.n_notifies, 1);
	assert_int_equal(t->m.notify[0].type, type);
	assert_int_equal(t->m.notify[0].data.len, len);
	if (len)
		assert_memory_equal(t->m.notify[0].data.bytes, data, len);
	assert_true(t->h.spi_r == 0);
	assert_int_equal(t->h.mid, 0);
	assert_null(net->host[1].engine->sas);
}

static void
ike_020_our_spis_are_random_set_and_unique(void **state)
{
	struct net *net = tape_net(1);
	struct spw_ike_conn c = net_conn(net, 0);
	struct ike_engine *e = net->host[0].engine;
	uint64_t rng = net->host[0].rng, last = 0;

	c.mode = SPW_IKE_MODE_INITIATE;
	net_set(net, 0, &c);
	assert_true(puppet_sa(net, 0)->spi_i != 0);
	net->host[0].rng = rng; /* the dice fall as they did */
	assert_true(ike_sa_fresh_spi(e) != puppet_sa(net, 0)->spi_i);
	for (int i = 0; i < 1000; i++) {
		uint64_t spi = ike_sa_fresh_spi(e);

		assert_true(spi != 0 && spi != last);
		last = spi;
	}
	tape_free(net);
}

static void
ike_021_our_nonces_are_32_octets_and_never_the_same(void **state)
{
	struct net *net = tape_up(2);
	const uint8_t *seen[64];
	unsigned int n = 0;

	for (int i = 0; i < 4; i++) {
		ike_engine_rekey(net->host[i & 1].engine, net->now, "azure", 1 + i / 2u);
		net_run(net, 8 * NET_S);
	}
	for (unsigned int i = 0; i < tape.n; i++) {
		const struct taped *t = &tape.at[i];

		if (!t->m.has_nonce)
			continue;
		assert_int_equal(t->m.nonce.len, 32);
		for (unsigned int k = 0; k < n; k++)
			assert_memory_not_equal(seen[k], t->m.nonce.bytes, 32);
		assert_true(n < 64);
		seen[n++] = t->m.nonce.bytes;
	}
	assert_true(n >= 10);
	tape_free(net);
}

static void
ike_021_nonces_of_16_to_256_octets_are_taken(void **state)
{
	static const struct {
		uint16_t len;
		bool taken;
	} t[] = {{1, false}, {15, false}, {16, true}, {32, true}, {256, true}, {257, false}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct net *net = responder(3);
		const struct init_parts p = {.spi_i = 1, .nonce_len = t[i].len};

		assert_int_equal(ask(net, &p) != NULL, t[i].taken);
		assert_int_equal(puppet_half_open(net), t[i].taken);
		tape_free(net);
	}
}

static void
ike_022_another_group_is_asked_for_and_nothing_is_kept(void **state)
{
	struct net *net = responder(4);
	const struct init_parts p = {.spi_i = 1, .ke_group = 14};
	const struct init_parts not_offered = {.spi_i = 1, .ke_group = 31};

	expect_error(net, ask(net, &p), IKE_N_INVALID_KE_PAYLOAD, "\0\23", 2);
	expect_error(net, ask(net, &not_offered), IKE_N_INVALID_KE_PAYLOAD, "\0\23", 2);
	tape_free(net);
}

static void
ike_030_no_common_proposal_is_told_and_nothing_is_kept(void **state)
{
	struct net *net = responder(5);
	const struct spw_ike_proposal other = {
		.encr = SPW_ENCR_AES128_GCM, .prf = SPW_PRF_HMAC_SHA384, .group = SPW_GROUP_ECP256};
	const struct init_parts p = {.spi_i = 1, .offer = &other, .n_offer = 1};

	expect_error(net, ask(net, &p), IKE_N_NO_PROPOSAL_CHOSEN, NULL, 0);
	tape_free(net);
}

/* ---- we dial ---- */

/* Host 0 has dialled into silence. It offers groups 14, 20, 19 in this order. */
static struct net *
dialled(uint64_t seed, bool force_encap)
{
	struct net *net = tape_net(seed);
	struct spw_ike_conn c = net_conn(net, 0);

	c.mode = SPW_IKE_MODE_INITIATE;
	c.n_ike = 3;
	c.ike[2] = c.ike[1] = c.ike[0];
	c.ike[0].group = SPW_GROUP_MODP2048;
	c.ike[1].group = SPW_GROUP_ECP384;
	c.force_encap = force_encap;
	net_set(net, 0, &c);
	return net;
}

/* An answer with one notify from where host 1 is; what host 0 sends then, NULL = nothing. */
static const struct taped *
hint(struct net *net, uint16_t type, const void *data, size_t len)
{
	const struct ike_header h = {.spi_i = puppet_sa(net, 0)->spi_i,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_RESPONSE};
	unsigned int before = tape.n;
	struct ike_builder b;
	size_t n;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_notify(&b, type, 0, 0, data, len);
	assert_int_equal(ike_build_finish(&b, &n), 0);
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, buf, n);
	assert_true(tape.n <= before + 1);
	return tape.n > before ? &tape.at[before] : NULL;
}

static void
ike_023_a_group_is_tried_once_when_we_offered_it(void **state)
{
	struct net *net = dialled(6, false);
	const struct taped *first = &tape.at[0], *t;

	assert_int_equal(first->m.ke_group, 14);
	assert_null(hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\37", 2)); /* not offered */
	assert_null(hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\2", 2));
	assert_null(hint(net, IKE_N_INVALID_KE_PAYLOAD, "\23", 1));
	assert_null(hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\0\23", 3));
	t = hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\24", 2);
	assert_non_null(t);
	assert_int_equal(t->m.ke_group, 20);
	assert_int_equal(t->h.mid, 0);
	assert_memory_equal(t->bytes, first->bytes, 8);
	assert_int_equal(t->m.sa.n_proposals, 3); /* no downgrade: all of them again */
	assert_memory_equal(&t->m.sa.transform, &first->m.sa.transform,
			    t->m.sa.n_transforms * sizeof(t->m.sa.transform[0]));
	assert_memory_equal(t->m.nonce.bytes, first->m.nonce.bytes, 32);
	assert_null(hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\24", 2)); /* no loop */
	assert_null(hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\16", 2));
	assert_int_equal(hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\23", 2)->m.ke_group, 19);
	assert_null(hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\23", 2));
	tape_free(net);
}

static void
ike_031_unprotected_errors_are_hints(void **state)
{
	static const uint16_t errors[] = {1, 4, 7, 9, 11, 14, 24, 34, 35, 38, 39, 43, 44, 8000};
	struct net *net = tape_net(7);

	tape.drop_from[0] = 255;
	net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		assert_null(hint(net, errors[i], NULL, 0));
		assert_int_equal(puppet_sa(net, 0)->state, IKE_SA_INIT_SENT);
	}
	assert_int_equal(net_status(net, 0).attempts, 0);
	net_run(net, 2 * NET_S);
	assert_true(tape_count(0, IKE_X_SA_INIT, false) >= 3); /* it goes on asking */
	tape.drop_from[0] = 0;
	assert_true(net_run_up(net, 5 * NET_S));
	tape_free(net);
}

/* `t` is `first` with a cookie in front, and not otherwise changed. */
static void
expect_cookie(const struct taped *first, const struct taped *t, const uint8_t *cookie, size_t len)
{
	const size_t head = 8 + len;

	assert_non_null(t);
	assert_int_equal(t->len, first->len + head);
	assert_int_equal(t->first, IKE_P_NOTIFY);
	assert_int_equal(t->m.notify[0].type, IKE_N_COOKIE);
	assert_int_equal(t->m.notify[0].data.len, len);
	assert_memory_equal(t->m.notify[0].data.bytes, cookie, len);
	assert_memory_equal(t->bytes, first->bytes, 16);
	assert_int_equal(t->h.mid, 0);
	assert_int_equal(t->plain[0], first->first);
	assert_memory_equal(t->bytes + IKE_HEADER_LEN + head, first->bytes + IKE_HEADER_LEN,
			    first->len - IKE_HEADER_LEN);
}

static void
ike_032_a_cookie_comes_first_and_the_rest_stays_byte_for_byte(void **state)
{
	static const uint8_t cookie[65] = {1, 2, 3};

	for (int encap = 0; encap < 2; encap++) {
		struct net *net = dialled(8, encap);

		assert_null(hint(net, IKE_N_COOKIE, cookie, 0));
		assert_null(hint(net, IKE_N_COOKIE, cookie, 65));
		expect_cookie(&tape.at[0], hint(net, IKE_N_COOKIE, cookie, 1), cookie, 1);
		expect_cookie(&tape.at[0], hint(net, IKE_N_COOKIE, cookie, 64), cookie, 64);
		for (int i = 2; i < IKE_COOKIE_ROUNDS; i++)
			assert_non_null(hint(net, IKE_N_COOKIE, cookie, 33));
		assert_null(hint(net, IKE_N_COOKIE, cookie, 33)); /* enough */
		tape_free(net);
	}
}

static void
ike_033_cookies_and_groups_come_in_any_order(void **state)
{
	/* c = a cookie, k = a group: asked of us one after the other */
	static const char *const orders[] = {"ck", "kc", "ckc", "kck", "cckk"};

	for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
		struct net *net = dialled(9, false);
		uint8_t cookie[16] = {0};
		unsigned int ks = 0, cs = 0;

		for (const char *s = orders[o]; *s; s++) {
			const struct taped *t;

			cookie[0]++;
			t = *s == 'c' ? hint(net, IKE_N_COOKIE, cookie, sizeof(cookie))
				      : hint(net, IKE_N_INVALID_KE_PAYLOAD, ks ? "\0\23" : "\0\24",
					     2);
			ks += *s == 'k';
			cs += *s == 'c';
			assert_non_null(t);
			assert_int_equal(t->m.ke_group, ks == 0 ? 14 : ks == 1 ? 20 : 19);
			assert_int_equal(t->first == IKE_P_NOTIFY, cs > 0);
		}
		tape_free(net);
	}
}

static void
ike_035_the_last_ike_sa_init_is_the_one_that_auth_covers(void **state)
{
	struct net *net = tape_net(10);
	struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};
	const struct taped *t;

	c[0].mode = SPW_IKE_MODE_INITIATE;
	c[1].mode = SPW_IKE_MODE_RESPOND;
	c[0].n_ike = 2;
	c[0].ike[1] = c[0].ike[0];
	c[0].ike[0].group = SPW_GROUP_ECP384;
	net->host[1].engine->config.half_open_cookies = 0;
	net_set(net, 1, &c[1]);
	for (uint64_t i = 1; i < 4; i++) { /* others knock: a cookie is wanted */
		const struct init_parts p = {.spi_i = i, .nonce_byte = (uint8_t)i};

		ask(net, &p);
	}
	tape_clear();
	tape.drop_from[0] = IKE_X_AUTH;
	net_set(net, 0, &c[0]);
	net_run(net, 200 * NET_MS);
	t = tape_last(0, IKE_X_SA_INIT, false);
	assert_true(tape_count(0, IKE_X_SA_INIT, false) >= 3); /* plain, with cookie, with group */
	assert_int_equal(puppet_sa(net, 0)->own_init.len, t->len);
	assert_memory_equal(puppet_sa(net, 0)->own_init.bytes, t->bytes, t->len);
	assert_memory_equal(puppet_sa(net, 1)->peer_init.bytes, t->bytes, t->len);
	t = tape_last(1, IKE_X_SA_INIT, true);
	assert_memory_equal(puppet_sa(net, 1)->own_init.bytes, t->bytes, t->len);
	assert_memory_equal(puppet_sa(net, 0)->peer_init.bytes, t->bytes, t->len);
	tape.drop_from[0] = 0;
	assert_true(net_run_up(net, 5 * NET_S)); /* and so both take the other's AUTH */
	tape_free(net);
}

static void
ike_034_a_wrong_cookie_is_as_none_and_two_secrets_count(void **state)
{
	struct net *net = responder(11);
	struct init_parts p = {.spi_i = 9};
	uint8_t cookie[IKE_COOKIE_LEN], wrong[IKE_COOKIE_LEN];

	net->host[1].engine->config.half_open_cookies = 0;
	for (uint64_t i = 1; i <= 3; i++) {
		const struct init_parts q = {.spi_i = i, .nonce_byte = (uint8_t)i};

		ask(net, &q);
	}
	assert_int_equal(ask(net, &p)->m.notify[0].type, IKE_N_COOKIE);
	assert_int_equal(puppet_half_open(net), 1);
	memcpy(cookie, tape.at[0].m.notify[0].data.bytes, sizeof(cookie));
	memcpy(wrong, cookie, sizeof(cookie));
	wrong[20] ^= 1;
	p.cookie = wrong;
	p.cookie_len = sizeof(wrong);
	assert_int_equal(ask(net, &p)->m.notify[0].type, IKE_N_COOKIE);
	p.cookie = cookie;
	assert_true(ask(net, &p)->m.has_ke);
	tape_free(net);
}

static void
ike_036_a_repeat_is_answered_with_the_same_bytes_and_no_work(void **state)
{
	struct net *net = responder(12);
	const struct init_parts p = {.spi_i = 9}, other = {.spi_i = 9, .nonce_byte = 1};
	uint8_t first[1024];
	const struct taped *t = ask(net, &p);
	size_t len = t->len;

	memcpy(first, t->bytes, len);
	dh_made = 0;
	for (int i = 0; i < 10; i++) {
		t = ask(net, &p);
		assert_int_equal(t->len, len);
		assert_memory_equal(t->bytes, first, len);
	}
	assert_int_equal(dh_made, 0);
	assert_int_equal(puppet_half_open(net), 1);
	assert_true(ask(net, &other)->m.has_ke); /* another nonce is another peer (NAT-13) */
	assert_int_equal(puppet_half_open(net), 2);
	tape_free(net);
}

static void
ike_036_a_repeat_after_ike_auth_is_ignored(void **state)
{
	struct net *net = tape_up(13);
	const struct taped *t = tape_last(0, IKE_X_SA_INIT, false);
	uint8_t copy[1024];
	size_t len = t->len;

	memcpy(copy, t->bytes, len);
	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, copy, len);
	assert_int_equal(tape.n, 0);
	assert_int_equal(puppet_half_open(net), 0);
	tape_free(net);
}

static void
ike_037_a_forged_answer_delays_and_does_not_prevent(void **state)
{
	struct net *net = tape_net(14);
	struct ike_dh *dh;
	struct ike_builder b;
	uint8_t nonce[32] = {5};
	size_t len;

	net->delay_min = net->delay_max = 100 * NET_MS;
	net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
	const struct ike_header h = {.spi_i = puppet_sa(net, 0)->spi_i,
				     .spi_r = 0x666,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_RESPONSE};

	assert_int_equal(ike_dh_new(&dh, SPW_GROUP_ECP256), 0);
	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, net_conn(net, 0).ike, 1, 1, true);
	ike_build_ke(&b, 19, ike_dh_public(dh), 64);
	ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
	assert_int_equal(ike_build_finish(&b, &len), 0);
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, buf, len);
	ike_dh_free(dh);
	net_run(net, 10 * NET_S);
	assert_int_equal(net_ike_sas(net, 0), 0);
	assert_true(net_run_up(net, 40 * NET_S));
	tape_free(net);
}

static void
ike_041_answers_go_where_the_request_came_from(void **state)
{
	struct net *net = responder(15);
	const struct init_parts p = {.spi_i = 9};
	size_t len = puppet_init(buf, sizeof(buf), &p);

	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 12345, 500, buf, len);
	assert_int_equal(tape.n, 1);
	assert_int_equal(tape.at[0].remote_port, 12345);
	assert_int_equal(tape.at[0].local_port, 500);
	assert_true(spw_addr_equal(&tape.at[0].remote, &net->host[0].addr));
	tape_free(net);
}

static void
more_unknown(struct ike_builder *b)
{
	static const uint16_t seen[] = {16406, 16418, 16430, 16431, 16420, 16435, 16440, 65535, 40};

	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		ike_build_notify(b, seen[i], 0, 0, "\0\2\0\3", 4);
}

static void
ike_042_unknown_notifies_do_no_harm(void **state)
{
	struct net *net = responder(16);
	const struct init_parts p = {.spi_i = 9, .head = more_unknown, .more = more_unknown};

	assert_true(ask(net, &p)->m.has_ke);
	tape_free(net);
}

static void
ike_043_nothing_is_made_or_kept_before_the_cookie_is_good(void **state)
{
	struct net *net = responder(17);
	unsigned int n = getenv("SPW_LONG") ? 1000000 : 20000;
	unsigned int before;
	size_t heap;

	for (uint64_t i = 1; i <= 3; i++) {
		const struct init_parts p = {.spi_i = i, .nonce_byte = (uint8_t)i};

		ask(net, &p);
	}
	before = puppet_half_open(net);
	tape_clear();
	net->script = NULL; /* the tape itself would grow */
	heap = mallinfo2().uordblks;
	dh_made = keys_derived = 0;
	for (unsigned int i = 0; i < n; i++) {
		const struct init_parts p = {.spi_i = 1000 + i};
		struct ike_datagram d = {.local = net->host[1].addr,
					 .remote = net->host[0].addr,
					 .local_port = 500,
					 .remote_port = (uint16_t)i,
					 .bytes = buf,
					 .len = puppet_init(buf, sizeof(buf), &p)};

		net->host[1].dead = true; /* its answers are made and go nowhere */
		ike_engine_input(net->host[1].engine, net->now, &d);
	}
	assert_int_equal(dh_made + keys_derived, 0);
	assert_int_equal(puppet_half_open(net), before);
	assert_true(mallinfo2().uordblks <= heap + 100000);
	net->host[1].dead = false;
	tape_free(net);
}

/* ---- floods ---- */

static void
dos_01_cookies_are_wanted_above_the_limits_and_until_it_is_calm(void **state)
{
	struct net *net = responder(20);
	unsigned int n = 0;

	for (uint64_t i = 1; i <= 20; i++) {
		const struct init_parts p = {.spi_i = i, .nonce_byte = (uint8_t)i};

		n += ask(net, &p)->m.has_ke;
	}
	assert_int_equal(n, IKE_PER_SOURCE);
	net_run(net, 4 * NET_S);
	const struct init_parts late = {.spi_i = 21, .nonce_byte = 21};

	assert_int_equal(ask(net, &late)->m.notify[0].type, IKE_N_COOKIE);
	net_run(net, 2 * NET_S); /* they are gone, but it is not calm yet */
	assert_int_equal(puppet_half_open(net), 0);
	const struct init_parts soon = {.spi_i = 22, .nonce_byte = 22};

	assert_int_equal(ask(net, &soon)->m.notify[0].type, IKE_N_COOKIE);
	net_run(net, 10 * NET_S);
	const struct init_parts calm = {.spi_i = 23, .nonce_byte = 23};

	assert_true(ask(net, &calm)->m.has_ke);
	tape_free(net);
}

static void
dos_03_only_configured_peers_are_answered(void **state)
{
	struct net *net = responder(21);
	const struct init_parts p = {.spi_i = 9};
	size_t len = puppet_init(buf, sizeof(buf), &p);

	dh_made = 0;
	for (uint32_t i = 1; i < 2000; i++) {
		const struct spw_addr stranger = spw_addr_v4(0xcb007100 + i);

		puppet_raw(net, 1, &stranger, 500, 500, buf, len);
	}
	assert_int_equal(tape.n, 0);
	assert_int_equal(dh_made, 0);
	assert_true(ask(net, &p)->m.has_ke); /* nothing of the limits was used up */
	tape_free(net);
}

static void
dos_04_bad_messages_to_a_half_open_sa_cost_no_keys(void **state)
{
	struct net *net = tape_half(22);
	const struct taped *t = tape_last(0, IKE_X_AUTH, false);
	unsigned int answered = tape_count(1, IKE_X_AUTH, true);

	dh_made = keys_derived = 0;
	for (unsigned int i = 0; i < 1000; i++) {
		t->bytes[40 + i % (t->len - 40)] ^= 1;
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, t->bytes, t->len);
		t->bytes[40 + i % (t->len - 40)] ^= 1;
	}
	assert_int_equal(dh_made + keys_derived, 0);
	assert_int_equal(tape_count(1, IKE_X_AUTH, true), answered);
	assert_int_equal(puppet_sa(net, 1)->state, IKE_SA_HALF_OPEN);
	tape.drop_from[0] = tape.drop_from[1] = 0;
	assert_true(net_run_up(net, 5 * NET_S));
	tape_free(net);
}

static void
dos_06_answers_to_strangers_are_hardly_longer_than_what_came(void **state)
{
	struct net *net = tape_up(23);
	uint8_t h[IKE_HEADER_LEN] = {
		[7] = 1, [15] = 2, [17] = 0x20, [18] = 37, [19] = 8, [27] = 28};
	const struct init_parts group = {.spi_i = 1, .ke_group = 14};
	unsigned int n = 0;

	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, h, sizeof(h));
	assert_int_equal(tape.n, 1);
	assert_true(tape.at[0].len * 10 <= sizeof(h) * 13);
	h[17] = 0x30;
	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, h, sizeof(h));
	assert_true(tape.at[0].len * 10 <= sizeof(h) * 13);
	assert_true(ask(net, &group)->len < 100);
	tape.drop_from[1] = 255;
	for (int ms = 0; ms < 2000; ms++) { /* 20 000 in two seconds */
		for (int i = 0; i < 10; i++) {
			tape_clear();
			puppet_raw(net, 1, &net->host[0].addr, 500, 500, h, sizeof(h));
			n += tape.n;
		}
		net->now += NET_MS;
	}
	assert_in_range(n, 1850, 2000);
	tape_free(net);
}

static void
more_puzzle(struct ike_builder *b)
{
	ike_build_notify(b, 16434, 0, 0, "\0\2\24", 3); /* PUZZLE of RFC 8019 */
}

static void
dos_07_puzzles_are_not_solved_and_not_minded(void **state)
{
	struct net *net = responder(24);
	const struct init_parts p = {.spi_i = 9, .more = more_puzzle};

	assert_true(ask(net, &p)->m.has_ke);
	tape_free(net);
	net = dialled(24, false);
	assert_null(hint(net, 16434, "\0\2\24", 3));
	assert_non_null(hint(net, IKE_N_COOKIE, "abcdefgh", 8));
	tape_free(net);
}

static void
dos_08_the_secret_of_cookies_turns_and_the_one_before_counts(void **state)
{
	static const unsigned int after[] = {0, 119, 121, 239, 241, 400};

	for (size_t i = 0; i < 6; i++) {
		struct net *net = responder(25);
		struct init_parts p = {.spi_i = 99};
		uint8_t cookie[IKE_COOKIE_LEN];
		bool good = after[i] < 240;

		for (uint64_t s = 1; s <= 3; s++) {
			const struct init_parts q = {.spi_i = s, .nonce_byte = (uint8_t)s};

			ask(net, &q);
		}
		memcpy(cookie, ask(net, &p)->m.notify[0].data.bytes, sizeof(cookie));
		for (unsigned int s = 0; s < after[i]; s++) {
			const struct init_parts q = {.spi_i = s + 1,
						     .nonce_byte = (uint8_t)(s + 1)};

			net->now += NET_S; /* the attack goes on */
			ike_engine_tick(net->host[1].engine, net->now);
			ask(net, &q);
		}
		p.cookie = cookie;
		p.cookie_len = sizeof(cookie);
		assert_int_equal(ask(net, &p)->m.has_ke, good);
		tape_free(net);
	}
}

/* ---- NAT ---- */

static void
nat_03_behind_a_nat_ike_and_esp_move_to_4500_from_ike_auth_on(void **state)
{
	struct net *net = tape_net(30);

	net->nat = true;
	net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	ike_engine_rekey(net->host[1].engine, net->now, "azure", SPW_IKE_RESET_IKE);
	net_run(net, 2 * NET_S);
	for (unsigned int i = 0; i < tape.n; i++)
		assert_int_equal(tape.at[i].local_port,
				 tape.at[i].h.exchange == IKE_X_SA_INIT ? 500 : 4500);
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < NET_SAS; k++)
			if (net->host[i].sa[k].in) {
				assert_int_equal(net->host[i].sa[k].desc.local_port, 4500);
				assert_true(net->host[i].sa[k].flags & SPW_SA_UDP_ENCAP);
			}
	tape_free(net);
}

static void
nat_05_a_peer_may_begin_on_4500(void **state)
{
	struct net *net = responder(31);
	const struct init_parts p = {.spi_i = 9};
	size_t len = puppet_init(buf, sizeof(buf), &p);

	puppet_raw(net, 1, &net->host[0].addr, 4500, 4500, buf, len);
	assert_int_equal(tape.n, 1);
	assert_true(tape.at[0].m.has_ke);
	assert_int_equal(tape.at[0].local_port, 4500);
	assert_int_equal(tape.at[0].remote_port, 4500);
	tape_free(net);
}

/* An empty INFORMATIONAL of host 0 comes from another address. */
static void
nat_09_an_authentic_new_message_moves_the_peer_and_nothing_else_does(void **state)
{
	for (int who = 0; who < 2; who++) { /* who speaks: behind the NAT is host 0 */
		struct net *net = tape_net(32);
		const struct spw_addr moved = spw_addr_v4(0xcb00710a);
		struct ike_sa *sa, *peer;
		struct ike_builder b;
		unsigned int moves;
		size_t len;

		net->nat = true;
		net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
		assert_true(net_run_up(net, 5 * NET_S));
		net_run(net, 1 * NET_S);
		sa = puppet_sa(net, who);
		peer = puppet_sa(net, !who);
		moves = net->host[!who].moves;
		puppet_begin(net, who, &b, IKE_X_INFORMATIONAL, false, sa->next_out++);
		assert_int_equal(ike_build_seal(&b, sa->seal, &len), 0);
		b.w.start[len - 1] ^= 1; /* NAT-10: nothing before the ICV */
		puppet_raw(net, !who, &moved, 5555, 4500, b.w.start, len);
		assert_int_not_equal(peer->remote_port, 5555);
		b.w.start[len - 1] ^= 1;
		puppet_raw(net, !who, &moved, 5555, 4500, b.w.start, len);
		/* only towards the side behind the NAT */
		assert_int_equal(peer->remote_port == 5555, who == 0);
		assert_int_equal(spw_addr_equal(&peer->remote, &moved), who == 0);
		assert_int_equal(net->host[!who].moves, moves + (who == 0)); /* NAT-11 */
		puppet_raw(net, !who, &moved, 7777, 4500, b.w.start, len);   /* again: old */
		assert_int_not_equal(peer->remote_port, 7777);
		tape_free(net);
	}
}

static void
nat_14_a_peer_can_be_made_to_use_udp_and_hashes_stay_the_same(void **state)
{
	struct net *net = dialled(33, true);
	const struct ike_sa *sa = puppet_sa(net, 0);
	uint8_t hash[IKE_NATD_LEN];

	assert_int_equal(ike_nat_hash(sa->spi_i, 0, &sa->local, 500, hash), 0);
	assert_true(ike_nat_changed(&tape.at[0].m, IKE_N_NAT_DETECTION_SOURCE_IP, hash));
	assert_int_equal(ike_nat_hash(sa->spi_i, 0, &sa->remote, 500, hash), 0);
	assert_false(ike_nat_changed(&tape.at[0].m, IKE_N_NAT_DETECTION_DESTINATION_IP, hash));
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_020_our_spis_are_random_set_and_unique),
		cmocka_unit_test(ike_021_our_nonces_are_32_octets_and_never_the_same),
		cmocka_unit_test(ike_021_nonces_of_16_to_256_octets_are_taken),
		cmocka_unit_test(ike_022_another_group_is_asked_for_and_nothing_is_kept),
		cmocka_unit_test(ike_030_no_common_proposal_is_told_and_nothing_is_kept),
		cmocka_unit_test(ike_023_a_group_is_tried_once_when_we_offered_it),
		cmocka_unit_test(ike_031_unprotected_errors_are_hints),
		cmocka_unit_test(ike_032_a_cookie_comes_first_and_the_rest_stays_byte_for_byte),
		cmocka_unit_test(ike_033_cookies_and_groups_come_in_any_order),
		cmocka_unit_test(ike_035_the_last_ike_sa_init_is_the_one_that_auth_covers),
		cmocka_unit_test(ike_034_a_wrong_cookie_is_as_none_and_two_secrets_count),
		cmocka_unit_test(ike_036_a_repeat_is_answered_with_the_same_bytes_and_no_work),
		cmocka_unit_test(ike_036_a_repeat_after_ike_auth_is_ignored),
		cmocka_unit_test(ike_037_a_forged_answer_delays_and_does_not_prevent),
		cmocka_unit_test(ike_041_answers_go_where_the_request_came_from),
		cmocka_unit_test(ike_042_unknown_notifies_do_no_harm),
		cmocka_unit_test(ike_043_nothing_is_made_or_kept_before_the_cookie_is_good),
		cmocka_unit_test(dos_01_cookies_are_wanted_above_the_limits_and_until_it_is_calm),
		cmocka_unit_test(dos_03_only_configured_peers_are_answered),
		cmocka_unit_test(dos_04_bad_messages_to_a_half_open_sa_cost_no_keys),
		cmocka_unit_test(dos_06_answers_to_strangers_are_hardly_longer_than_what_came),
		cmocka_unit_test(dos_07_puzzles_are_not_solved_and_not_minded),
		cmocka_unit_test(dos_08_the_secret_of_cookies_turns_and_the_one_before_counts),
		cmocka_unit_test(nat_03_behind_a_nat_ike_and_esp_move_to_4500_from_ike_auth_on),
		cmocka_unit_test(nat_05_a_peer_may_begin_on_4500),
		cmocka_unit_test(
			nat_09_an_authentic_new_message_moves_the_peer_and_nothing_else_does),
		cmocka_unit_test(nat_14_a_peer_can_be_made_to_use_udp_and_hashes_stay_the_same),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
