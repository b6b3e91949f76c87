/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Quick crash detection (RFC 6290, EXT-03): who gets a token, when it is shown, and what it ends.
 * Host 1 loses its IKE SA by deleting its connection while the network is cut; its escrow, and so
 * the secret of its tokens, stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet.h"

#define CRASHED "the peer has lost its IKE SA"

static const struct ike_notify *
token_in(const struct taped *t)
{
	return ike_wire_notify(&t->m, IKE_N_QCD_TOKEN);
}

/* The token of host i for the SA `sa`, as the other host sees i and i sees the other. */
static void
token_of(const struct net *net, int i, const struct ike_sa *sa, uint8_t out[IKE_QCD_LEN])
{
	ike_qcd_token(ike_escrow_key(net->host[i].escrow), sa->spi_i, sa->spi_r,
		      &net->host[!i].addr, out);
}

/* Every IKE SA that stands has the other end's token for its SPIs. */
static void
expect_tokens(struct net *net)
{
	for (int i = 0; i < 2; i++) {
		const struct ike_sa *sa = ike_conn_sa(net->host[i].engine->conns);
		uint8_t want[IKE_QCD_LEN];

		assert_non_null(sa);
		token_of(net, !i, sa, want);
		assert_int_equal(sa->token.len, IKE_QCD_LEN);
		assert_memory_equal(sa->token.bytes, want, IKE_QCD_LEN);
	}
}

/* Host 1 forgets all it had with host 0, which hears nothing of it. */
static void
lose(struct net *net)
{
	struct spw_ike_conn c = net_conn(net, 1);

	tape.drop_from[1] = 255;
	assert_int_equal(ike_engine_conn_del(net->host[1].engine, net->now, "azure"), 0);
	for (int i = 0; i < 12 && net->host[1].engine->sas; i++) {
		net->now += 1 * NET_S; /* host 0 sleeps meanwhile: its probes are to come */
		ike_engine_tick(net->host[1].engine, net->now);
	}
	assert_null(net->host[1].engine->sas);
	tape.drop_from[1] = 0;
	c.mode = SPW_IKE_MODE_RESPOND;
	net_set(net, 1, &c);
}

static void
ext_03_both_ends_give_a_token_in_ike_auth(void **state)
{
	struct net *net = tape_up(1);
	const struct ike_notify *ask = token_in(tape_last(0, IKE_X_AUTH, false));
	const struct ike_notify *answer = token_in(tape_last(1, IKE_X_AUTH, true));

	assert_true(ask && answer);
	assert_int_equal(ask->protocol, IKE_PROTO_IKE);
	assert_int_equal(ask->spi_len + answer->spi_len, 0);
	assert_int_equal(ask->data.len, IKE_QCD_LEN);
	assert_memory_not_equal(ask->data.bytes, answer->data.bytes, IKE_QCD_LEN);
	expect_tokens(net);
	for (unsigned int i = 0; i < tape.n; i++) /* only there, where it is sealed */
		assert_true(!token_in(&tape.at[i]) || tape.at[i].h.exchange == IKE_X_AUTH);
	tape_free(net);
}

static void
ext_03_a_token_depends_on_secret_spis_and_taker(void **state)
{
	const uint8_t k1[IKE_ESCROW_KEY] = {1}, k2[IKE_ESCROW_KEY] = {2};
	const struct spw_addr x = spw_addr_v4(1), y = spw_addr_v4(2);
	uint8_t t[6][IKE_QCD_LEN];

	ike_qcd_token(k1, 1, 2, &x, t[0]);
	ike_qcd_token(k2, 1, 2, &x, t[1]);
	ike_qcd_token(k1, 2, 1, &x, t[2]);
	ike_qcd_token(k1, 1, 3, &x, t[3]);
	ike_qcd_token(k1, 1, 2, &y, t[4]);
	ike_qcd_token(k1, 1, 2, &x, t[5]);
	for (int i = 0; i < 5; i++)
		for (int k = 0; k < i; k++)
			assert_memory_not_equal(t[i], t[k], IKE_QCD_LEN);
	assert_memory_equal(t[0], t[5], IKE_QCD_LEN);
}

/* How long host 0 takes from its first question to a tunnel that works again. */
static uint64_t
time_to_recover(bool with_token)
{
	struct net *net = tape_up(2);
	uint64_t asked, start;

	lose(net);
	if (!with_token)
		ike_qcd_forget(puppet_sa(net, 0));
	start = net->host[0].installs;
	tape_clear();
	assert_int_equal(
		ike_engine_rekey(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_CHILD), 0);
	asked = net->now;
	for (int i = 0; i < 20000 && net->host[0].installs == start; i++)
		net_run(net, 10 * NET_MS);
	assert_true(net->host[0].installs > start);
	net_run(net, 1 * NET_S);
	assert_true(net_agrees(net) && net_up(net, 0) && net_up(net, 1));
	asked = net->now - 1 * NET_S - asked;
	tape_free(net);
	return asked;
}

static void
ext_03_a_crash_is_seen_at_the_first_question(void **state)
{
	assert_true(time_to_recover(true) <= 100 * NET_MS);
	assert_true(time_to_recover(false) >= 20 * NET_S); /* what it is worth */
}

static void
ext_03_the_sa_ends_silently_with_its_children(void **state)
{
	struct net *net = tape_up(3);
	struct ike_sa *sa = puppet_sa(net, 0);
	uint64_t spi = sa->spi_i;
	unsigned int said = 0;

	lose(net);
	tape_clear();
	net->host[0].conn.mode = SPW_IKE_MODE_RESPOND; /* it would dial at once */
	net_set(net, 0, &net->host[0].conn);
	assert_int_equal(ike_probe_start(sa), 0);
	ike_engine_tick(net->host[0].engine, net->now);
	net_run(net, 1 * NET_S);
	assert_int_equal(net_ike_sas(net, 0), 0);
	assert_int_equal(net_sas(net, 0), 0);
	assert_non_null(strstr(net_status(net, 0).reason, CRASHED));
	for (unsigned int i = 0; i < tape.n; i++)
		said += tape.at[i].from == 0 && tape.at[i].h.spi_i == spi;
	assert_int_equal(said, 1); /* the question, and no Delete after it */
	tape_free(net);
}

/* ---- what is shown to host 0, bare ---- */

struct bare {
	bool no_error, request, no_token;
	int wrong_spi;	     /* 1: of the initiator, 2: of the responder */
	unsigned int before; /* other tokens before it */
	uint8_t flip;	     /* into its last octet */
	size_t len;	     /* 0 = whole */
	uint16_t error;	     /* 0 = INVALID_IKE_SPI */
};

static void
show(struct net *net, const struct bare *s)
{
	const struct ike_sa *sa = puppet_sa(net, 0);
	struct ike_header h = {.spi_i = sa->spi_i ^ (s->wrong_spi == 1),
			       .spi_r = sa->spi_r ^ (s->wrong_spi == 2),
			       .exchange = IKE_X_INFORMATIONAL,
			       .flags = s->request ? 0 : IKE_FLAG_RESPONSE};
	uint8_t token[IKE_QCD_LEN], other[IKE_QCD_LEN] = {7}, buf[512];
	struct ike_builder b;
	size_t len;

	h.flags |= sa->initiator ? 0 : IKE_FLAG_INITIATOR;
	token_of(net, 1, sa, token);
	token[IKE_QCD_LEN - 1] ^= s->flip;
	ike_build_start(&b, buf, sizeof(buf), &h);
	if (!s->no_error)
		ike_build_notify(&b, s->error ? s->error : IKE_N_INVALID_IKE_SPI, 0, 0, NULL, 0);
	for (unsigned int i = 0; i < s->before; i++)
		ike_build_notify(&b, IKE_N_QCD_TOKEN, 1, 0, other, sizeof(other));
	if (!s->no_token)
		ike_build_notify(&b, IKE_N_QCD_TOKEN, 1, 0, token, s->len ? s->len : IKE_QCD_LEN);
	assert_int_equal(ike_build_finish(&b, &len), 0);
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, buf, len);
}

static void
ext_03_only_the_right_token_with_the_right_spis_ends_anything(void **state)
{
	static const struct {
		struct bare s;
		bool ends;
	} t[] = {
		{{0}, true},
		{{.before = 3}, true}, /* four are looked at */
		{{.before = 4}, false},
		{{.error = IKE_N_INVALID_SPI}, true},
		{{.no_error = true}, false},
		{{.error = IKE_N_INVALID_SYNTAX}, false},
		{{.request = true}, false},
		{{.no_token = true}, false},
		{{.flip = 1}, false},
		{{.flip = 0x80}, false},
		{{.len = IKE_QCD_LEN - 1}, false},
		{{.wrong_spi = 1}, false},
		{{.wrong_spi = 2}, false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct net *net = tape_up(4);
		uint64_t spi = puppet_sa(net, 0)->spi_i;

		tape_clear();
		show(net, &t[i].s);
		assert_int_equal(puppet_sa(net, 0)->spi_i != spi, t[i].ends);
		if (!t[i].ends) /* and nobody is told whether it was wrong */
			for (unsigned int k = 0; k < tape.n; k++)
				assert_true(tape.at[k].h.next == IKE_P_SK);
		net_run(net, 40 * NET_S);
		assert_true(net_agrees(net));
		tape_free(net);
	}
}

static void
ext_03_a_token_of_a_length_that_cannot_be_is_not_kept(void **state)
{
	static const struct {
		size_t len;
		bool kept;
	} t[] = {{0, false}, {15, false}, {16, true}, {128, true}, {129, false}};
	uint8_t token[129] = {9};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct net *net = tape_up(5);
		struct ike_sa *sa = puppet_sa(net, 0);
		struct ike_msg m = {.n_notifies = 1};

		m.notify[0] =
			(struct ike_notify){.type = IKE_N_QCD_TOKEN, .data = {token, t[i].len}};
		ike_qcd_forget(sa);
		ike_qcd_take(sa, &m);
		assert_int_equal(sa->token.len, t[i].kept ? t[i].len : 0);
		tape_free(net);
	}
}

/* ---- who is shown one ---- */

/* What host `to` says to a request of `len` octets for these SPIs. */
static const struct taped *
question_to(struct net *net, int to, const struct spw_addr *from, uint64_t spi_i, uint64_t spi_r,
	    uint8_t flags, size_t len)
{
	const struct ike_header h = {.spi_i = spi_i,
				     .spi_r = spi_r,
				     .exchange = IKE_X_INFORMATIONAL,
				     .flags = flags,
				     .mid = 5};
	uint8_t buf[256] = {0};
	struct ike_builder b;
	size_t n;

	ike_build_start(&b, buf, sizeof(buf), &h);
	if (len >= IKE_HEADER_LEN + 4) {
		ike_build_open(&b, IKE_P_SK);
		spw_write_reserve(&b.w, len - IKE_HEADER_LEN - 4);
		ike_build_close(&b);
	}
	assert_int_equal(ike_build_finish(&b, &n), 0);
	assert_int_equal(n, len);
	tape_clear();
	puppet_raw(net, to, from, 500, 500, buf, len);
	return tape.n ? &tape.at[0] : NULL;
}

static const struct taped *
question(struct net *net, const struct spw_addr *from, uint64_t spi_i, uint64_t spi_r,
	 uint8_t flags, size_t len)
{
	return question_to(net, 1, from, spi_i, spi_r, flags, len);
}

/* Who sees the answer to our dial before we have dealt with it knows both SPIs. */
static void
ext_03_a_token_of_an_sa_to_come_is_shown_to_nobody(void **state)
{
	for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
		struct net *net = tape_net(16);
		const struct taped *t;
		uint64_t spi_i, spi_r;

		if (elsewhere) /* its answer is there, and waits for the key exchange */
			net_dh(net, 0, 200 * NET_MS, 200 * NET_MS);
		net->delay_min = net->delay_max = elsewhere ? 10 * NET_MS : 100 * NET_MS;
		net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
		for (int i = 0; i < 50 && tape_count(1, IKE_X_SA_INIT, true) == 0; i++)
			net_run(net, 10 * NET_MS);
		net_run(net, 50 * NET_MS);
		t = tape_last(1, IKE_X_SA_INIT, true);
		spi_i = t->h.spi_i;
		spi_r = t->h.spi_r;
		assert_int_equal(puppet_sa(net, 0)->state, IKE_SA_INIT_SENT);
		assert_int_equal(puppet_sa(net, 0)->parked[true] != NULL, elsewhere);
		t = question_to(net, 0, &net->host[1].addr, spi_i, spi_r, IKE_FLAG_INITIATOR, 60);
		assert_true(!t || !token_in(t));
		assert_true(net_run_up(net, 5 * NET_S));
		assert_true(puppet_sa(net, 0)->spi_r == spi_r);
		tape_free(net);
	}
}

static void
ext_03_a_token_of_a_living_sa_is_shown_to_nobody(void **state)
{
	struct net *net = tape_up(6);
	const struct ike_sa *sa = puppet_sa(net, 1);
	uint64_t spi[2] = {sa->spi_i, sa->spi_r};

	for (uint8_t flags = 0; flags <= IKE_FLAG_INITIATOR; flags += IKE_FLAG_INITIATOR)
		for (int swapped = 0; swapped < 2; swapped++) {
			const struct taped *t = question(net, &net->host[0].addr, spi[swapped],
							 spi[!swapped], flags, 60);
			uint8_t secret[IKE_QCD_LEN];

			token_of(net, 1, sa, secret);
			if (t && token_in(t)) /* of a pair that nobody has */
				assert_memory_not_equal(token_in(t)->data.bytes, secret,
							IKE_QCD_LEN);
		}
	expect_tokens(net);
	tape_free(net);
}

static void
ext_03_a_token_of_a_lost_sa_is_shown_to_a_peer_within_bounds(void **state)
{
	struct net *net = tape_up(7);
	const struct spw_addr stranger = spw_addr_v4(0xcb007199), *peer = &net->host[0].addr;
	const uint8_t I = IKE_FLAG_INITIATOR;
	unsigned int n = 0;

	assert_non_null(token_in(question(net, peer, 1, 2, I, 60)));
	assert_null(token_in(question(net, &stranger, 1, 2, I, 60)));
	assert_null(token_in(question(net, peer, 1, 0, I, 60)));
	for (size_t len = IKE_HEADER_LEN; len < 100; len += len == IKE_HEADER_LEN ? 4 : 1) {
		const struct taped *t = question(net, peer, 1, 2, I, len);

		net->now += 10 * NET_MS;
		assert_non_null(t);
		assert_true(t->len * 10 <= len * 13);
		assert_int_equal(token_in(t) != NULL, len * 13 >= IKE_QCD_ANSWER * 10);
	}
	for (int ms = 0; ms < 1000; ms++, net->now += NET_MS)
		for (int i = 0; i < 10; i++)
			n += question(net, peer, 1, 2, I, 60) != NULL;
	assert_in_range(n, 900, 1200); /* DOS-06 */
	tape_free(net);
}

/* ---- lives ---- */

static void
ext_03_successors_have_tokens_too(void **state)
{
	struct net *net = tape_up(8);

	for (int n = 0; n < 6; n++) {
		net_rekey(net, n % 3 == 0, SPW_IKE_RESET_IKE);
		net_run(net, 3 * NET_S);
		expect_tokens(net);
	}
	assert_int_equal(net_status(net, 0).ike_rekeys, 6);
	tape_free(net);
}

static void
ext_03_a_peer_that_knows_of_no_tokens_is_told_of_them_once(void **state)
{
	struct net *net = tape_up(9);

	ike_qcd_forget(puppet_sa(net, 0));
	ike_qcd_forget(puppet_sa(net, 1));
	tape_clear();
	net_rekey(net, 0, SPW_IKE_RESET_IKE);
	net_run(net, 3 * NET_S);
	for (unsigned int i = 0; i < tape.n; i++)
		assert_null(token_in(&tape.at[i]));
	tape_free(net);
}

static void
ext_03_tokens_outlive_a_kill_at_both_ends(void **state)
{
	struct net *net = tape_up(10);
	uint8_t before[IKE_QCD_LEN], after[IKE_QCD_LEN];
	const struct spw_addr x = spw_addr_v4(1);

	for (int i = 0; i < 2; i++) {
		ike_qcd_token(ike_escrow_key(net->host[i].escrow), 1, 2, &x, before);
		net_kill_at(net, i, 1, false, 100 * NET_MS);
		net_rekey(net, i, SPW_IKE_RESET_CHILD);
		net_run(net, 5 * NET_S);
		assert_int_equal(net->host[i].kills, 1);
		ike_qcd_token(ike_escrow_key(net->host[i].escrow), 1, 2, &x, after);
		assert_memory_equal(before, after, IKE_QCD_LEN);
		expect_tokens(net);
	}
	tape_free(net);
}

static void
ext_03_a_rekey_killed_anywhere_leaves_both_with_tokens(void **state)
{
	for (int victim = 0; victim < 2; victim++)
		for (unsigned int n = 1; n < 7; n++) {
			struct net *net = tape_up(11);

			net->audit = true;
			net_kill_at(net, victim, n, n & 1, 100 * NET_MS);
			net_rekey(net, 0, SPW_IKE_RESET_IKE);
			net_run(net, 10 * NET_S);
			net->host[victim].kill_in = 0;
			assert_int_equal(net_ike_sas(net, 0), 1);
			expect_tokens(net);
			tape_free(net);
		}
}

static unsigned int tokens_sent;

static void
count_tokens(void *ctx, const struct ike_datagram *d)
{
	struct ike_msg m = {0};

	assert_int_equal(ike_wire_header(&m.hdr, d->bytes, d->len), 0);
	if (ike_wire_payloads(&m, m.hdr.next, d->bytes + IKE_HEADER_LEN, d->len - IKE_HEADER_LEN) ==
	    0)
		tokens_sent += ike_wire_notify(&m, IKE_N_QCD_TOKEN) != NULL;
}

static void
some_random(void *ctx, void *buf, size_t len)
{
	memset(buf, 5, len);
}

/* A process began anew and has not been told of its connections: any pair of SPIs may be one's. */
static void
ext_03_none_is_shown_before_everything_in_escrow_was_taken(void **state)
{
	static const struct ike_ops ops = {.send = count_tokens, .random = some_random};
	struct net *net = tape_up(12);
	const struct ike_sa *sa = puppet_sa(net, 1);
	size_t size = ike_escrow_size(24);
	struct ike_engine_config config = {.ops = &ops};
	struct spw_ike_conn c = net_conn(net, 1);
	struct spw_err err = {0};
	void *memory = malloc(size);
	uint8_t buf[60] = {0};
	const struct ike_datagram d = {.local = net->host[1].addr,
				       .remote = net->host[0].addr,
				       .local_port = 500,
				       .remote_port = 500,
				       .bytes = buf,
				       .len = sizeof(buf)};
	struct ike_engine *e;

	spw_put_be64(buf, sa->spi_i);
	spw_put_be64(buf + 8, sa->spi_r);
	memcpy(buf + 16, "\56\40\45\10\0\0\0\5\0\0\0\74\0\0\0\40", 16);
	memcpy(memory, net->host[1].escrow_mem, size); /* as it stood when the first was killed */
	assert_int_equal(ike_escrow_new(&config.escrow, memory, size), 0);
	assert_int_equal(ike_engine_new(&e, &config, net->now), 0);
	memcpy(c.name, "other", 6); /* the peer's address is configured, its SA not yet asked for */
	c.mode = SPW_IKE_MODE_RESPOND;
	assert_int_equal(ike_engine_conn_set(e, net->now, &c, &err), 0);
	tokens_sent = 0;
	ike_engine_input(e, net->now, &d);
	assert_int_equal(tokens_sent, 0);
	assert_int_equal(ike_escrow_sweep(config.escrow), 1);
	ike_engine_input(e, net->now, &d);
	assert_int_equal(tokens_sent, 1);
	ike_engine_abandon(e);
	ike_escrow_free(config.escrow);
	free(memory);
	tape_free(net);
}

static void
ext_03_without_an_escrow_no_token_is_promised(void **state)
{
	static const struct ike_ops ops = {.send = count_tokens, .random = some_random};
	struct ike_engine_config config = {.ops = &ops};
	struct net *net = tape_up(13);
	struct ike_sa *sa = puppet_sa(net, 0);
	struct ike_escrow *kept = net->host[0].engine->config.escrow;
	struct ike_engine *e;
	struct ike_builder b;

	assert_int_equal(ike_engine_new(&e, &config, 1), 0);
	ike_engine_abandon(e);
	net->host[0].engine->config.escrow = NULL;
	puppet_begin(net, 0, &b, IKE_X_INFORMATIONAL, false, sa->next_out);
	size_t before = (size_t)(b.w.at - b.w.start);
	ike_qcd_give(sa, &b);
	assert_int_equal(b.w.at - b.w.start, before);
	assert_false(ike_qcd_known(sa));
	net->host[0].engine->config.escrow = kept;
	ike_qcd_give(sa, &b);
	assert_true((size_t)(b.w.at - b.w.start) > before);
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ext_03_both_ends_give_a_token_in_ike_auth),
		cmocka_unit_test(ext_03_a_token_depends_on_secret_spis_and_taker),
		cmocka_unit_test(ext_03_a_crash_is_seen_at_the_first_question),
		cmocka_unit_test(ext_03_the_sa_ends_silently_with_its_children),
		cmocka_unit_test(ext_03_only_the_right_token_with_the_right_spis_ends_anything),
		cmocka_unit_test(ext_03_a_token_of_a_length_that_cannot_be_is_not_kept),
		cmocka_unit_test(ext_03_a_token_of_a_living_sa_is_shown_to_nobody),
		cmocka_unit_test(ext_03_a_token_of_an_sa_to_come_is_shown_to_nobody),
		cmocka_unit_test(ext_03_a_token_of_a_lost_sa_is_shown_to_a_peer_within_bounds),
		cmocka_unit_test(ext_03_successors_have_tokens_too),
		cmocka_unit_test(ext_03_a_peer_that_knows_of_no_tokens_is_told_of_them_once),
		cmocka_unit_test(ext_03_tokens_outlive_a_kill_at_both_ends),
		cmocka_unit_test(ext_03_a_rekey_killed_anywhere_leaves_both_with_tokens),
		cmocka_unit_test(ext_03_none_is_shown_before_everything_in_escrow_was_taken),
		cmocka_unit_test(ext_03_without_an_escrow_no_token_is_promised),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
