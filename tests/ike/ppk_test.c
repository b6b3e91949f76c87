/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Post-quantum pre-shared keys (RFC 8784, EXT-05): host 0 dials host 1, each with a key or without,
 * required or not. Where an engine would never say it, a puppet does: its AUTH is computed here
 * from the formulas, not by the engine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet.h"

#define PSK	"a shared secret, long"
#define PSK_LEN 20

struct ppk {
	const char *id, *key; /* NULL = none */
	bool required;
};
static const struct ppk none = {0}, a = {"azure-1", "quantum secret A"};
static const struct ppk must = {"azure-1", "quantum secret A", true};
static const struct ppk other_name = {"azure-2", "quantum secret A"};
static const struct ppk other_name_must = {"azure-2", "quantum secret A", true};
static const struct ppk other_key = {"azure-1", "quantum secret B"};

static void
fill_conn(struct spw_ike_conn *c, const struct ppk *p)
{
	if (p->id) {
		c->ppk_id_len = (uint32_t)strlen(p->id);
		memcpy(c->ppk_id, p->id, c->ppk_id_len);
	}
	if (p->key) {
		c->ppk_len = (uint32_t)strlen(p->key);
		memcpy(c->ppk, p->key, c->ppk_len);
	}
	c->ppk_required = p->required;
}

static void
set(struct net *net, int i, const struct ppk *p, uint32_t mode, enum spw_prf prf)
{
	struct spw_ike_conn c = net_conn(net, i);

	c.mode = mode;
	c.ike[0].prf = (uint8_t)prf;
	fill_conn(&c, p);
	net_set(net, i, &c);
}

static struct net *
pair(uint64_t seed, const struct ppk *initiator, const struct ppk *responder)
{
	struct net *net = tape_net(seed);

	net->audit = true;
	set(net, 1, responder, SPW_IKE_MODE_RESPOND, SPW_PRF_HMAC_SHA256);
	set(net, 0, initiator, SPW_IKE_MODE_INITIATE, SPW_PRF_HMAC_SHA256);
	return net;
}

static bool
said(int from, uint8_t exchange, bool response, uint16_t notify)
{
	return ike_wire_notify(&tape_last(from, exchange, response)->m, notify) != NULL;
}

/* Both ends stand with these settings, and both say that their keys have the PPK, or have not. */
static void
expect_up(uint64_t seed, const struct ppk *initiator, const struct ppk *responder, bool used)
{
	struct net *net = pair(seed, initiator, responder);

	assert_true(net_run_up(net, 2 * NET_S));
	assert_int_equal(net_status(net, 0).ppk, used);
	assert_int_equal(net_status(net, 1).ppk, used);
	assert_true(net_agrees(net));
	assert_int_equal(said(1, IKE_X_AUTH, true, IKE_N_PPK_IDENTITY), used);
	tape_free(net);
}

/* Nothing stands, the responder says this (0 = it is not even asked), and `teller` knows why. */
static void
expect_refused(uint64_t seed, const struct ppk *initiator, const struct ppk *responder,
	       uint16_t notify, int teller, const char *why)
{
	struct net *net = pair(seed, initiator, responder);

	assert_false(net_run_up(net, 30 * NET_S));
	assert_int_equal(net->host[0].installs + net->host[1].installs, 0);
	if (notify)
		assert_int_equal(tape_last(1, IKE_X_AUTH, true)->m.notify[0].type, notify);
	else
		assert_int_equal(tape_count(0, IKE_X_AUTH, false), 0);
	assert_non_null(strstr(net_status(net, teller).reason, why));
	assert_true(tape_count(0, IKE_X_SA_INIT, false) > 1); /* and it is tried again */
	tape_free(net);
}

static void
ext_05_the_responder_decides_by_the_table_of_the_standard(void **state)
{
	for (unsigned int i = 0; i < 32; i++) {
		bool agreed = i & 1, named = i & 2, known = i & 4, plain = i & 8, required = i & 16;
		enum ike_ppk_verdict want;

		/* RFC 8784 3, table 1, row by row */
		if (!agreed && !required)
			want = IKE_PPK_PLAIN;
		else if (agreed && named && known)
			want = IKE_PPK_MIX;
		else if (agreed && named && plain && !required)
			want = IKE_PPK_FALLBACK;
		else
			want = IKE_PPK_REFUSE;
		assert_int_equal(ike_ppk_rule(agreed, named, known, plain, required), want);
	}
}

static void
ext_05_a_key_that_both_have_is_used(void **state)
{
	struct net *net = pair(1, &a, &a);
	const struct ike_notify *n;
	const struct taped *t;

	assert_true(net_run_up(net, 2 * NET_S));
	assert_true(said(0, IKE_X_SA_INIT, false, IKE_N_USE_PPK));
	assert_true(said(1, IKE_X_SA_INIT, true, IKE_N_USE_PPK));
	t = tape_last(0, IKE_X_AUTH, false);
	n = ike_wire_notify(&t->m, IKE_N_PPK_IDENTITY);
	assert_true(n && n->data.len == 8);
	assert_memory_equal(n->data.bytes, "\2azure-1", 8);
	n = ike_wire_notify(&t->m, IKE_N_NO_PPK_AUTH);
	assert_true(n && n->data.len == 32);
	assert_memory_not_equal(n->data.bytes, t->m.auth.bytes, 32);
	n = ike_wire_notify(&tape_last(1, IKE_X_AUTH, true)->m, IKE_N_PPK_IDENTITY);
	assert_true(n && n->data.len == 0);
	tape_free(net);
	expect_up(2, &a, &a, true);
}

static void
ext_05_required_means_no_auth_without_it(void **state)
{
	struct net *net = pair(3, &must, &must);

	assert_true(net_run_up(net, 2 * NET_S));
	assert_true(said(0, IKE_X_AUTH, false, IKE_N_PPK_IDENTITY));
	assert_false(said(0, IKE_X_AUTH, false, IKE_N_NO_PPK_AUTH));
	tape_free(net);
	expect_up(4, &must, &a, true);
	expect_up(5, &a, &must, true);
}

static void
ext_05_a_responder_without_one_is_served_without(void **state)
{
	expect_up(6, &a, &none, false);
}

static void
ext_05_a_responder_without_one_is_not_believed_when_it_is_required(void **state)
{
	expect_refused(7, &must, &none, 0, 0, "PPK");
}

static void
ext_05_an_initiator_without_one_is_served_without(void **state)
{
	expect_up(8, &none, &a, false);
}

static void
ext_05_an_initiator_without_one_is_refused_when_it_is_required(void **state)
{
	expect_refused(9, &none, &must, IKE_N_AUTHENTICATION_FAILED, 1, "PPK");
}

static void
ext_05_a_name_nobody_knows_falls_back(void **state)
{
	expect_up(10, &other_name, &a, false);
}

static void
ext_05_a_name_nobody_knows_is_refused_when_the_initiator_requires_it(void **state)
{
	expect_refused(11, &other_name_must, &a, IKE_N_AUTHENTICATION_FAILED, 1, "PPK");
}

static void
ext_05_a_name_nobody_knows_is_refused_when_the_responder_requires_it(void **state)
{
	expect_refused(12, &other_name, &must, IKE_N_AUTHENTICATION_FAILED, 1, "PPK");
}

static void
ext_05_another_key_under_the_same_name_is_refused(void **state)
{
	expect_refused(13, &other_key, &a, IKE_N_AUTHENTICATION_FAILED, 1, "authentication");
}

/* ---- the formulas ---- */

/* prf+ of one block: prf(key, data | 1) */
static void
mixed(enum spw_prf prf, const char *key, const uint8_t *sk, size_t len, uint8_t *out)
{
	const struct ike_chunk c[] = {{sk, len}, {"\1", 1}};

	assert_int_equal(ike_prf(prf, key, strlen(key), c, 2, out), 0);
}

static void
ext_05_sk_d_is_that_of_the_formula_for_every_prf(void **state)
{
	static const enum spw_prf prfs[] = {SPW_PRF_HMAC_SHA1, SPW_PRF_HMAC_SHA256,
					    SPW_PRF_HMAC_SHA384, SPW_PRF_HMAC_SHA512};

	for (unsigned int k = 0; k < sizeof(prfs) / sizeof(prfs[0]); k++) {
		struct net *net = tape_net(20 + k);
		size_t len = spw_prf_info(prfs[k])->len;
		uint8_t before[64], want[64];
		struct ike_sa *sa;

		tape.drop_from[1] = IKE_X_AUTH;
		set(net, 1, &a, SPW_IKE_MODE_RESPOND, prfs[k]);
		set(net, 0, &a, SPW_IKE_MODE_INITIATE, prfs[k]);
		net_run(net, 100 * NET_MS);
		sa = puppet_sa(net, 0);
		assert_int_equal(sa->state, IKE_SA_AUTH_SENT);
		assert_int_equal(sa->keys.d.len, len);
		memcpy(before, sa->keys.d.bytes, len);
		mixed(prfs[k], a.key, before, len, want);
		tape.drop_from[1] = 0;
		assert_true(net_run_up(net, 2 * NET_S));
		for (int i = 0; i < 2; i++)
			assert_memory_equal(puppet_sa(net, i)->keys.d.bytes, want, len);
		tape_free(net);
	}
}

/* ---- said by hand ---- */

/* The AUTH of host i under its SK_p*, with the PPK mixed in or not. */
static void
sign(struct net *net, int i, bool with_ppk, uint8_t out[32])
{
	const struct ike_sa *sa = puppet_sa(net, i);
	const struct spw_secret *p = sa->initiator ? &sa->keys.pi : &sa->keys.pr;
	const struct ike_nonce *nonce = sa->initiator ? &sa->nr : &sa->ni;
	const struct ike_chunk pad = {"Key Pad for IKEv2", 17};
	uint8_t id[8] = {SPW_ID_IPV4}, key[32], maced[32], sk[32];
	const struct ike_chunk idc = {id, 8};
	const struct ike_chunk octets[] = {{sa->own_init.bytes, sa->own_init.len},
					   {nonce->bytes, nonce->len},
					   {maced, sizeof(maced)}};

	memcpy(id + 4, net->host[i].addr.bytes, 4);
	memcpy(sk, p->bytes, 32);
	if (with_ppk)
		mixed(SPW_PRF_HMAC_SHA256, a.key, p->bytes, 32, sk);
	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, PSK, PSK_LEN, &pad, 1, key), 0);
	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, sk, 32, &idc, 1, maced), 0);
	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, key, 32, octets, 3, out), 0);
}

struct words {
	bool auth_mixed;      /* in the AUTH payload */
	const char *identity; /* NULL = no PPK_IDENTITY */
	size_t identity_len;
	unsigned int plain; /* octets of NO_PPK_AUTH, 0 = none */
};

/* IKE_AUTH of host i with these words. */
static void
speak(struct net *net, int i, const struct words *w)
{
	const struct spw_ike_proposal esp = {.encr = SPW_ENCR_AES256_GCM};
	const struct spw_selector any = net_any();
	uint8_t id[8] = {SPW_ID_IPV4}, auth[32], plain[32];
	struct ike_builder b;

	memcpy(id + 4, net->host[i].addr.bytes, 4);
	sign(net, i, w->auth_mixed, auth);
	sign(net, i, false, plain);
	puppet_begin(net, i, &b, IKE_X_AUTH, i == 1, 1);
	ike_build_bytes(&b, i == 0 ? IKE_P_IDI : IKE_P_IDR, id, 8);
	ike_build_auth(&b, auth, 32);
	ike_build_sa(&b, IKE_PROTO_ESP, 0x7a7a7a7a, 4, &esp, 1, 1, false);
	ike_build_ts(&b, IKE_P_TSI, &any, 1);
	ike_build_ts(&b, IKE_P_TSR, &any, 1);
	if (w->identity)
		ike_build_notify(&b, IKE_N_PPK_IDENTITY, 0, 0, w->identity, w->identity_len);
	if (w->plain)
		ike_build_notify(&b, IKE_N_NO_PPK_AUTH, 0, 0, plain, w->plain);
	puppet_send(net, i, &b);
}

/* IKE_SA_INIT is over, both said USE_PPK; no IKE_AUTH arrives but by hand. */
static struct net *
half(uint64_t seed, const struct ppk *initiator, const struct ppk *responder)
{
	struct net *net = tape_net(seed);

	tape.drop_from[0] = tape.drop_from[1] = IKE_X_AUTH;
	set(net, 1, responder, SPW_IKE_MODE_RESPOND, SPW_PRF_HMAC_SHA256);
	set(net, 0, initiator, SPW_IKE_MODE_INITIATE, SPW_PRF_HMAC_SHA256);
	net_run(net, 100 * NET_MS);
	assert_int_equal(puppet_sa(net, 0)->ppk, IKE_PPK_AGREED);
	assert_int_equal(puppet_sa(net, 1)->ppk, IKE_PPK_AGREED);
	return net;
}

/* Does host 1, whose key may be required, take this IKE_AUTH? -1 = no, else whether with the PPK.
 */
static int
taken(const struct ppk *responder, const struct words *w)
{
	struct net *net = half(30, &a, responder);
	int result;

	speak(net, 0, w);
	result = net_ike_sas(net, 1) ? puppet_sa(net, 1)->ppk == IKE_PPK_USED : -1;
	if (result < 0)
		assert_int_equal(tape_last(1, IKE_X_AUTH, true)->m.notify[0].type,
				 IKE_N_AUTHENTICATION_FAILED);
	tape_free(net);
	return result;
}

static void
ext_05_what_a_peer_may_say_in_ike_auth(void **state)
{
	static const struct {
		struct words w;
		int optional, required;
	} t[] = {
		{{true, "\2azure-1", 8, 0}, 1, 1},     {{true, "\2azure-1", 8, 32}, 1, 1},
		{{false, "\2azure-1", 8, 32}, -1, -1}, /* the name is known: it counts */
		{{false, NULL, 0, 0}, -1, -1},	       /* nothing is named after USE_PPK */
		{{false, NULL, 0, 32}, -1, -1},	       {{true, NULL, 0, 0}, -1, -1},
		{{true, "\1azure-1", 8, 0}, -1, -1}, /* an opaque name is another one */
		{{true, "\1azure-1", 8, 32}, 0, -1},   {{true, "\2azure-10", 9, 32}, 0, -1},
		{{true, "\2azure", 6, 32}, 0, -1},     {{true, "", 0, 32}, 0, -1},
		{{true, "\2zzz", 4, 31}, -1, -1}, /* no AUTH */
		{{true, "\2zzz", 4, 0}, -1, -1},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(taken(&a, &t[i].w), t[i].optional);
		assert_int_equal(taken(&must, &t[i].w), t[i].required);
	}
}

static void
ext_05_an_answer_without_it_is_taken_only_when_it_is_not_required(void **state)
{
	static const struct {
		struct words w;
		bool optional, required;
	} t[] = {
		{{true, "", 0, 0}, true, true},
		{{false, NULL, 0, 0}, true, false},
		{{false, "", 0, 0}, false, false}, /* it says that it used it, and did not */
		{{true, NULL, 0, 0}, false, false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (int required = 0; required < 2; required++) {
			struct net *net = half(31, required ? &must : &a, &a);
			bool want = required ? t[i].required : t[i].optional;

			speak(net, 1, &t[i].w);
			assert_int_equal(net_ike_sas(net, 0), want);
			if (!want) /* the responder believes in an SA: it is told, once */
				assert_int_equal(
					tape_last(0, IKE_X_INFORMATIONAL, false)->m.notify[0].type,
					IKE_N_AUTHENTICATION_FAILED);
			tape_free(net);
		}
}

static void
ext_05_use_ppk_is_said_again_with_a_cookie(void **state)
{
	struct net *net = tape_net(32);
	const struct ike_header *first;
	uint8_t buf[128];
	struct ike_builder b;
	size_t len;

	tape.drop_from[0] = 255;
	set(net, 0, &a, SPW_IKE_MODE_INITIATE, SPW_PRF_HMAC_SHA256);
	first = &tape_last(0, IKE_X_SA_INIT, false)->h;
	const struct ike_header h = {
		.spi_i = first->spi_i, .exchange = IKE_X_SA_INIT, .flags = IKE_FLAG_RESPONSE};

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_notify(&b, IKE_N_COOKIE, 0, 0, "12345678", 8);
	assert_int_equal(ike_build_finish(&b, &len), 0);
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, buf, len);
	assert_int_equal(tape_count(0, IKE_X_SA_INIT, false), 2);
	assert_true(said(0, IKE_X_SA_INIT, false, IKE_N_COOKIE));
	assert_true(said(0, IKE_X_SA_INIT, false, IKE_N_USE_PPK));
	tape_free(net);
}

/* ---- later ---- */

static void
ext_05_rekeys_inherit_it_and_do_not_speak_of_it(void **state)
{
	struct net *net = pair(40, &must, &must);

	assert_true(net_run_up(net, 2 * NET_S));
	net->traffic = true;
	net_run(net, 1 * NET_S);
	tape_clear();
	for (int n = 0; n < 8; n++) {
		net_rekey(net, n & 1, n & 2 ? SPW_IKE_RESET_IKE : SPW_IKE_RESET_CHILD);
		net_run(net, 8 * NET_S);
	}
	for (unsigned int i = 0; i < tape.n; i++) {
		assert_null(ike_wire_notify(&tape.at[i].m, IKE_N_USE_PPK));
		assert_null(ike_wire_notify(&tape.at[i].m, IKE_N_PPK_IDENTITY));
		assert_null(ike_wire_notify(&tape.at[i].m, IKE_N_NO_PPK_AUTH));
	}
	assert_true(net_status(net, 0).ike_rekeys >= 4);
	assert_int_equal(net_status(net, 0).ppk + net_status(net, 1).ppk, 2);
	assert_true(net->esp_lost == 0 && net->esp_unsent == 0);
	tape_free(net);
}

static void
ext_05_killed_at_every_step_of_the_handshake_it_is_used_once(void **state)
{
	for (int victim = 0; victim < 2; victim++)
		for (int torn = 0; torn < 2; torn++)
			for (unsigned int n = 1; n < 9; n++) {
				struct net *net = tape_net(50 + n);

				net->audit = true;
				net_kill_at(net, victim, n, torn, 200 * NET_MS);
				set(net, 1, &must, SPW_IKE_MODE_RESPOND, SPW_PRF_HMAC_SHA256);
				set(net, 0, &must, SPW_IKE_MODE_INITIATE, SPW_PRF_HMAC_SHA256);
				assert_true(net_run_up(net, 10 * NET_S));
				for (unsigned int i = 0; i < tape.n;
				     i++) /* mixed twice fits nothing */
					assert_null(ike_wire_notify(&tape.at[i].m,
								    IKE_N_AUTHENTICATION_FAILED));
				net->host[victim].kill_in = 0;
				net_run(net, 2 * NET_S);
				assert_int_equal(net_status(net, 0).ppk, 1);
				assert_int_equal(net_status(net, 1).ppk, 1);
				assert_true(net_agrees(net));
				net_run(net, 120 * NET_S);
				net_orphans_end(net, 0);
				net_orphans_end(net, 1);
				tape_free(net);
			}
}

static void
ext_05_a_kill_later_keeps_it(void **state)
{
	struct net *net = pair(60, &must, &must);
	uint64_t before;

	assert_true(net_run_up(net, 2 * NET_S));
	net_run(net, 1 * NET_S);
	before = net_status(net, 0).spi_i;
	for (int i = 0; i < 2; i++) {
		net_kill_at(net, i, 1, false, 100 * NET_MS);
		net_rekey(net, i, SPW_IKE_RESET_CHILD);
		net_run(net, 5 * NET_S);
		assert_int_equal(net->host[i].kills, 1);
	}
	assert_true(net_status(net, 0).spi_i == before);
	assert_int_equal(net_status(net, 0).ppk + net_status(net, 1).ppk, 2);
	assert_true(net_agrees(net));
	tape_free(net);
}

static void
ext_05_another_key_or_rule_begins_anew_and_the_same_does_not(void **state)
{
	static const struct ppk *to[] = {&a, &other_key, &other_name, &must, &none};

	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		struct net *net = pair(70 + i, &a, &a);
		uint64_t before;

		assert_true(net_run_up(net, 2 * NET_S));
		net_run(net, 1 * NET_S);
		before = net_status(net, 0).spi_i;
		set(net, 0, to[i], SPW_IKE_MODE_INITIATE, SPW_PRF_HMAC_SHA256);
		net_run(net, 5 * NET_S);
		assert_int_equal(net_status(net, 0).spi_i == before, i == 0);
		assert_int_equal(net_status(net, 0).ppk, i == 0 || to[i] == &must);
		tape_free(net);
	}
}

static void
ext_05_both_may_dial_at_once(void **state)
{
	for (uint64_t seed = 80; seed < 90; seed++) {
		struct net *net = tape_net(seed);

		net->delay_max = 60 * NET_MS;
		set(net, 1, &must, SPW_IKE_MODE_BOTH, SPW_PRF_HMAC_SHA384);
		set(net, 0, &must, SPW_IKE_MODE_BOTH, SPW_PRF_HMAC_SHA384);
		assert_true(net_run_up(net, 5 * NET_S));
		net_run(net, 30 * NET_S);
		assert_int_equal(net_ike_sas(net, 0), 1);
		assert_int_equal(net_status(net, 0).ppk + net_status(net, 1).ppk, 2);
		tape_free(net);
	}
}

static void
ext_05_it_goes_in_pieces_too(void **state)
{
	struct net *net = tape_net(91);
	char name[SPW_IKE_PPK_ID_MAX + 1];
	const struct ppk p = {name, "k", true};

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int i = 1; i >= 0; i--) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_INITIATE;
		c.fragment = 576;
		c.local_id = (struct spw_ike_id){.type = SPW_ID_KEY_ID, .len = SPW_IKE_ID_MAX};
		c.remote_id = c.local_id;
		c.local_id.data[0] = (uint8_t)(1 + i);
		c.remote_id.data[0] = (uint8_t)(2 - i);
		for (c.n_esp = 1; c.n_esp < SPW_IKE_PROPOSALS; c.n_esp++)
			c.esp[c.n_esp] = (struct spw_ike_proposal){.encr = SPW_ENCR_AES128_GCM};
		fill_conn(&c, &p);
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 2 * NET_S));
	assert_int_equal(tape_last(0, IKE_X_AUTH, false)->h.next, IKE_P_SKF);
	assert_int_equal(net_status(net, 0).ppk + net_status(net, 1).ppk, 2);
	tape_free(net);
}

static void
ext_05_settings_that_make_no_sense_are_refused_with_a_sentence(void **state)
{
	static const struct ppk bad[] = {
		{NULL, NULL, true}, {"name", NULL, false}, {NULL, "key", false}};
	struct net *net = tape_net(92);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct spw_ike_conn c = net_conn(net, 0);
		struct spw_err err = {0};

		fill_conn(&c, &bad[i]);
		assert_int_not_equal(ike_engine_conn_set(net->host[0].engine, net->now, &c, &err),
				     0);
		assert_non_null(strstr(err.text, "PPK"));
		assert_null(net->host[0].engine->conns);
	}
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ext_05_the_responder_decides_by_the_table_of_the_standard),
		cmocka_unit_test(ext_05_a_key_that_both_have_is_used),
		cmocka_unit_test(ext_05_required_means_no_auth_without_it),
		cmocka_unit_test(ext_05_a_responder_without_one_is_served_without),
		cmocka_unit_test(
			ext_05_a_responder_without_one_is_not_believed_when_it_is_required),
		cmocka_unit_test(ext_05_an_initiator_without_one_is_served_without),
		cmocka_unit_test(ext_05_an_initiator_without_one_is_refused_when_it_is_required),
		cmocka_unit_test(ext_05_a_name_nobody_knows_falls_back),
		cmocka_unit_test(
			ext_05_a_name_nobody_knows_is_refused_when_the_initiator_requires_it),
		cmocka_unit_test(
			ext_05_a_name_nobody_knows_is_refused_when_the_responder_requires_it),
		cmocka_unit_test(ext_05_another_key_under_the_same_name_is_refused),
		cmocka_unit_test(ext_05_sk_d_is_that_of_the_formula_for_every_prf),
		cmocka_unit_test(ext_05_what_a_peer_may_say_in_ike_auth),
		cmocka_unit_test(ext_05_an_answer_without_it_is_taken_only_when_it_is_not_required),
		cmocka_unit_test(ext_05_use_ppk_is_said_again_with_a_cookie),
		cmocka_unit_test(ext_05_rekeys_inherit_it_and_do_not_speak_of_it),
		cmocka_unit_test(ext_05_killed_at_every_step_of_the_handshake_it_is_used_once),
		cmocka_unit_test(ext_05_a_kill_later_keeps_it),
		cmocka_unit_test(ext_05_another_key_or_rule_begins_anew_and_the_same_does_not),
		cmocka_unit_test(ext_05_both_may_dial_at_once),
		cmocka_unit_test(ext_05_it_goes_in_pieces_too),
		cmocka_unit_test(ext_05_settings_that_make_no_sense_are_refused_with_a_sentence),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
