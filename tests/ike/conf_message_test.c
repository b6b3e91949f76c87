/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: headers, payloads and their order (IKE-001 to 012). Each test names the statement of
 * docs/conformance.md that it shows. IKE-014 to 017 are in conf_sealed_test.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet_child.h"
#include "tests/ike/puppet_init.h"

static uint8_t buf[4096];

/* Host 1 alone with its connection. */
static struct net *
responder(uint64_t seed)
{
	struct net *net = tape_net(seed);
	struct spw_ike_conn c = net_conn(net, 1);

	c.mode = SPW_IKE_MODE_RESPOND;
	c.fragment = 1280;
	net_set(net, 1, &c);
	return net;
}

/* True when an IKE_SA_INIT of these bytes is answered with a whole IKE_SA_INIT. */
static bool
accepted(struct net *net, const uint8_t *bytes, size_t len)
{
	init_send(net, bytes, len);
	return tape.n == 1 && tape.at[0].m.has_ke;
}

static void
ike_001_a_datagram_that_is_not_as_long_as_it_says_is_dropped(void **state)
{
	struct net *net = responder(1);
	const struct init_parts p = {.spi_i = 1};
	size_t len = puppet_init(buf, sizeof(buf), &p);

	for (size_t n = 0; n < IKE_HEADER_LEN; n++)
		init_send(net, buf, n);
	for (int off = -4; off <= 4; off++) {
		if (off == 0)
			continue;
		spw_put_be32(buf + 24, (uint32_t)((int)len + off));
		init_send(net, buf, len);
		assert_int_equal(tape.n, 0);
	}
	assert_null(net->host[1].engine->sas);
	spw_put_be32(buf + 24, (uint32_t)len);
	assert_true(accepted(net, buf, len));
	tape_free(net);
}

static void
ike_002_spis_of_an_ike_sa_init_are_one_set_and_one_zero(void **state)
{
	struct net *net = responder(2);
	const uint8_t cookie[16] = {1};
	const struct init_parts p[] = {
		{.spi_i = 0},
		{.spi_i = 1, .spi_r = 1},
		{.spi_i = 1, .spi_r = 1, .cookie = cookie, .cookie_len = sizeof(cookie)},
		{.spi_i = 1, .spi_r = 1, .ke_group = 14},
	};

	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++) {
		init_send(net, buf, puppet_init(buf, sizeof(buf), &p[i]));
		assert_int_equal(tape.n, 0);
		assert_null(net->host[1].engine->sas);
	}
	tape_free(net);
}

static void
ike_003_a_higher_version_is_told_and_version_1_is_not_answered(void **state)
{
	static const uint8_t exchanges[] = {34, 35, 36, 37, 99};
	struct net *net = tape_up(3);
	const struct init_parts p = {.spi_i = 0x1111222233334444, .spi_r = 5, .mid = 0xabcd};
	size_t len = puppet_init(buf, sizeof(buf), &p);

	for (size_t i = 0; i < sizeof(exchanges); i++) {
		const struct taped *t;

		buf[17] = 0x30;
		buf[18] = exchanges[i];
		buf[19] = IKE_FLAG_INITIATOR;
		init_send(net, buf, len);
		assert_int_equal(tape.n, 1);
		t = &tape.at[0];
		assert_memory_equal(t->bytes, buf, 16);
		assert_int_equal(t->bytes[17], 0x20);
		assert_int_equal(t->h.exchange, exchanges[i]);
		assert_int_equal(t->h.flags, IKE_FLAG_RESPONSE);
		assert_int_equal(t->h.mid, 0xabcd);
		assert_int_equal(t->len, IKE_HEADER_LEN + 8); /* one notify without data */
		assert_int_equal(t->m.notify[0].type, IKE_N_INVALID_MAJOR_VERSION);
		buf[19] = IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE;
		init_send(net, buf, len);
		assert_int_equal(tape.n, 0);
		buf[17] = 0x10;
		buf[19] = IKE_FLAG_INITIATOR;
		init_send(net, buf, len);
		assert_int_equal(tape.n, 0);
	}
	tape_free(net);
}

static void
ike_004_the_minor_version_is_ignored_and_sent_as_zero(void **state)
{
	struct net *net = responder(4);
	const struct init_parts p = {.spi_i = 1};
	size_t len = puppet_init(buf, sizeof(buf), &p);

	buf[17] = 0x2f;
	assert_true(accepted(net, buf, len));
	assert_int_equal(tape.at[0].bytes[17], 0x20);
	tape_free(net);
}

/* ---- reserved bits ---- */

/* Or-ed together what is reserved at `p`; `set` makes it all ones. */
static uint8_t
reserved_at(uint8_t *p, size_t n, uint8_t mask, bool set)
{
	uint8_t found = 0;

	for (size_t i = 0; i < n; i++) {
		found |= p[i] & mask;
		if (set)
			p[i] |= mask;
	}
	return found;
}

static uint8_t
reserved_in_sa(uint8_t *p, size_t len, bool set)
{
	uint8_t found = 0;

	for (size_t at = 0; at + 8 <= len; at += spw_get_be16(p + at + 2)) {
		uint8_t *t = p + at + 8 + p[at + 6];

		found |= reserved_at(p + at + 1, 1, 0xff, set);
		for (unsigned int i = p[at + 7]; i > 0; i--) {
			found |= reserved_at(t + 1, 1, 0xff, set);
			found |= reserved_at(t + 5, 1, 0xff, set);
			t += spw_get_be16(t + 2);
		}
	}
	return found;
}

/* All reserved bits of a chain of payloads, and critical bits, which we never set. */
static uint8_t
reserved_in(uint8_t type, uint8_t *p, size_t len, bool set)
{
	uint8_t found = 0;

	for (size_t at = 0; type != IKE_P_NONE && at + 4 <= len;) {
		size_t n = spw_get_be16(p + at + 2);
		uint8_t next = p[at];

		found |= reserved_at(p + at + 1, 1, set ? 0x7f : 0xff, set);
		if (type == IKE_P_SA)
			found |= reserved_in_sa(p + at + 4, n - 4, set);
		else if (type == IKE_P_KE)
			found |= reserved_at(p + at + 6, 2, 0xff, set);
		else if (type == IKE_P_IDI || type == IKE_P_IDR || type == IKE_P_AUTH ||
			 type == IKE_P_TSI || type == IKE_P_TSR)
			found |= reserved_at(p + at + 5, 3, 0xff, set);
		at += n;
		type = next;
	}
	return found;
}

static void
ike_005_reserved_bits_are_sent_as_zero(void **state)
{
	struct net *net = tape_up(5);
	unsigned int opened = 0;

	for (uint32_t what = 1; what <= 2; what++) {
		assert_int_equal(ike_engine_rekey(net->host[0].engine, net->now, "azure", what), 0);
		net_run(net, 10 * NET_S);
	}
	ike_engine_reset(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_IKE);
	net_run(net, 2 * NET_S);
	for (unsigned int i = 0; i < tape.n; i++) {
		const struct taped *t = &tape.at[i];

		assert_int_equal(t->h.flags & ~(IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE), 0);
		if (t->h.next == IKE_P_SK)
			assert_int_equal(t->bytes[IKE_HEADER_LEN + 1], 0);
		opened += t->opened;
		assert_int_equal(reserved_in(t->first, t->plain, t->plain_len, false), 0);
	}
	assert_true(opened > 12 && opened == tape.n);
	tape_free(net);
}

static void
fill_child(struct ike_builder *b, void *ctx)
{
	struct child_wish w = {.spi = 0x1234567};

	child_fill(b, &w);
	if (ctx)
		reserved_in(*b->sk, b->inner, (size_t)(b->w.at - b->inner), true);
}

static void
ike_005_reserved_bits_are_ignored_when_they_come(void **state)
{
	struct net *net = responder(6);
	const struct init_parts p = {.spi_i = 1};
	size_t len = puppet_init(buf, sizeof(buf), &p);
	const struct taped *t;

	assert_int_equal(reserved_in(buf[16], buf + IKE_HEADER_LEN, len - IKE_HEADER_LEN, true), 0);
	assert_int_not_equal(reserved_in(buf[16], buf + IKE_HEADER_LEN, len - IKE_HEADER_LEN, true),
			     0);
	buf[19] |= 0xd7;
	assert_true(accepted(net, buf, len));
	tape_free(net);
	net = tape_up(6);
	t = puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_child, net);
	assert_true(t && t->m.has_sa && t->m.has_tsi);
	tape_free(net);
}

/* ---- unknown payloads, order ---- */

struct odd {
	bool critical;
	int place; /* before, between, after two notifies */
	uint8_t type;
};

static void
fill_odd(struct ike_builder *b, void *ctx)
{
	const struct odd *o = ctx;

	for (int i = 0; i < 3; i++) {
		if (o->place != i) {
			ike_build_notify(b, 40000, 0, 0, "x", 1);
			continue;
		}
		ike_build_open(b, o->type);
		b->payload[1] = o->critical ? 0x80 : 0;
		spw_write_u32(&b->w, 40001);
		ike_build_close(b);
	}
}

static void
ike_007_unknown_payloads_are_skipped_unless_critical(void **state)
{
	struct net *net = tape_up(7);

	for (int place = 0; place < 3; place++)
		for (int critical = 0; critical < 2; critical++) {
			struct odd o = {.critical = critical, .place = place, .type = 200};
			const struct taped *t =
				puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_odd, &o);

			assert_non_null(t);
			assert_int_equal(t->m.n_notifies, critical);
			if (critical) {
				assert_int_equal(t->m.notify[0].type,
						 IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
				assert_int_equal(t->m.notify[0].data.len, 1);
				assert_memory_equal(t->m.notify[0].data.bytes, "\310", 1);
			}
			o.type = IKE_P_NOTIFY; /* a known one: the bit means nothing */
			t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_odd, &o);
			assert_true(t && t->plain_len == 0);
		}
	assert_int_equal(net_ike_sas(net, 1), 1);
	tape_free(net);
}

/* One payload stands before the encrypted one, which is empty; what is answered. */
static const struct taped *
ask_with_bare(struct net *net, uint8_t type, bool critical)
{
	struct ike_sa *sa = puppet_sa(net, 0);
	const struct ike_header h = {.spi_i = sa->spi_i,
				     .spi_r = sa->spi_r,
				     .exchange = IKE_X_INFORMATIONAL,
				     .flags = IKE_FLAG_INITIATOR,
				     .mid = sa->next_out++};
	struct ike_builder b;
	size_t len;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_bytes(&b, IKE_P_VENDOR, "before", 6);
	ike_build_open(&b, type);
	b.payload[1] = critical ? 0x80 : 0;
	ike_build_close(&b);
	ike_build_sk(&b, sa->seal);
	assert_int_equal(ike_build_seal(&b, sa->seal, &len), 0);
	init_send(net, buf, len);
	assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, true), 1);
	return tape_last(1, IKE_X_INFORMATIONAL, true);
}

static void
ike_007_unknown_payloads_before_the_encrypted_one_are_skipped_unless_critical(void **state)
{
	static const struct {
		uint8_t type;
		bool critical, refused;
	} t[] = {{200, false, false}, {200, true, true},	   {32, true, true},
		 {54, true, true},    {IKE_P_NOTIFY, true, false}, {IKE_P_EAP, true, false}};
	struct net *net = tape_up(7);

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct taped *a = ask_with_bare(net, t[i].type, t[i].critical);

		assert_true(a->opened);
		assert_int_equal(a->m.n_notifies, t[i].refused);
		if (!t[i].refused)
			continue;
		assert_int_equal(a->m.notify[0].type, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
		assert_int_equal(a->m.notify[0].data.len, 1);
		assert_memory_equal(a->m.notify[0].data.bytes, &t[i].type, 1);
	}
	assert_int_equal(net_ike_sas(net, 1), 1);
	tape_free(net);
}

static void
head_critical(struct ike_builder *b)
{
	ike_build_open(b, 201);
	b->payload[1] = 0x80;
	ike_build_close(b);
}

static void
ike_007_a_critical_payload_in_ike_sa_init_is_told_and_nothing_is_kept(void **state)
{
	struct net *net = responder(8);
	const struct init_parts p = {.spi_i = 9, .head = head_critical};

	init_send(net, buf, puppet_init(buf, sizeof(buf), &p));
	assert_int_equal(tape.n, 1);
	assert_int_equal(tape.at[0].m.notify[0].type, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
	assert_memory_equal(tape.at[0].m.notify[0].data.bytes, "\311", 1);
	assert_true(tape.at[0].h.spi_r == 0);
	assert_null(net->host[1].engine->sas);
	tape_free(net);
}

static void
expect_types(const struct taped *t, const uint8_t *want, unsigned int n)
{
	uint8_t types[32];

	assert_int_equal(tape_types(t, types, sizeof(types)), n);
	assert_memory_equal(types, want, n);
}

static void
ike_008_payloads_go_out_in_the_order_of_the_standard(void **state)
{
	static const uint8_t init[] = {IKE_P_SA, IKE_P_KE, IKE_P_NONCE, IKE_P_NOTIFY, IKE_P_NOTIFY};
	static const uint8_t auth[] = {IKE_P_IDI, IKE_P_NOTIFY, IKE_P_IDR, IKE_P_AUTH,
				       IKE_P_SA,  IKE_P_TSI,	IKE_P_TSR, IKE_P_NOTIFY};
	static const uint8_t answer[] = {IKE_P_IDR, IKE_P_AUTH, IKE_P_SA,
					 IKE_P_TSI, IKE_P_TSR,	IKE_P_NOTIFY};
	static const uint8_t rekey[] = {IKE_P_NOTIFY, IKE_P_SA, IKE_P_NONCE, IKE_P_TSI, IKE_P_TSR};
	struct net *net = tape_up(9);

	expect_types(tape_last(0, IKE_X_SA_INIT, false), init, sizeof(init));
	expect_types(tape_last(1, IKE_X_SA_INIT, true), init, sizeof(init));
	expect_types(tape_last(0, IKE_X_AUTH, false), auth, sizeof(auth));
	expect_types(tape_last(1, IKE_X_AUTH, true), answer, sizeof(answer));
	ike_engine_rekey(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_CHILD);
	net_run(net, 100 * NET_MS);
	expect_types(tape_last(0, IKE_X_CREATE_CHILD, false), rekey, sizeof(rekey));
	expect_types(tape_last(1, IKE_X_CREATE_CHILD, true), rekey + 1, sizeof(rekey) - 1);
	tape_free(net);
}

static void
ike_008_payloads_are_taken_in_any_order(void **state)
{
	for (unsigned int order = 0; order < 6; order++) {
		struct net *net = responder(10);
		const struct init_parts whole = {.spi_i = 1};
		uint8_t sorted[1024], out[1024];
		size_t at[4] = {IKE_HEADER_LEN}, len = puppet_init(sorted, sizeof(sorted), &whole);
		size_t to = IKE_HEADER_LEN;
		unsigned int pick[3] = {order % 3, 0, 0};

		pick[1] = (pick[0] + 1 + order / 3) % 3;
		pick[2] = 3 - pick[0] - pick[1];
		for (int i = 0; i < 3; i++)
			at[i + 1] = at[i] + spw_get_be16(sorted + at[i] + 2);
		memcpy(out, sorted, IKE_HEADER_LEN);
		out[16] = (uint8_t)(IKE_P_SA + (pick[0] == 2 ? 7 : pick[0]));
		for (int i = 0; i < 3; i++) {
			size_t n = at[pick[i] + 1] - at[pick[i]];

			memcpy(out + to, sorted + at[pick[i]], n);
			out[to] =
				i == 2 ? 0
				       : (uint8_t)(IKE_P_SA + (pick[i + 1] == 2 ? 7 : pick[i + 1]));
			to += n;
		}
		assert_int_equal(to, len);
		assert_true(accepted(net, out, len));
		tape_free(net);
	}
}

/* ---- lengths, nesting ---- */

/* Host 1 says that what host 0 asked was malformed, and goes on as if it had not. */
static struct net *
told_malformed(uint64_t seed, uint32_t mode)
{
	struct net *net = tape_net(seed);
	uint16_t error = IKE_N_INVALID_SYNTAX;

	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 3 * NET_S);
	net->host[0].conn.mode = mode;
	net_set(net, 0, &net->host[0].conn);
	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	ike_engine_rekey(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_CHILD);
	tape_clear();
	puppet_answer(net, 1, puppet_fill_notify, &error);
	tape.drop_from[0] = 0;
	return net;
}

static void
ike_009_an_ike_sa_that_the_peer_says_was_malformed_is_replaced_before_it_breaks(void **state)
{
	struct net *net = told_malformed(61, SPW_IKE_MODE_BOTH);
	uint64_t spi = net_status(net, 0).spi_i;

	net_run(net, 10 * NET_S);
	assert_int_equal(net_ike_sas(net, 0), 1);
	assert_true(net_status(net, 0).spi_i != spi);
	assert_int_equal(net->host[0].downs, 0);
	assert_true(net_agrees(net));
	tape_free(net);
	net = told_malformed(62, SPW_IKE_MODE_RESPOND); /* it may not dial: is the peer there? */
	spi = net_status(net, 0).spi_i;
	assert_int_equal(tape_count(0, IKE_X_INFORMATIONAL, false), 1);
	net_run(net, 10 * NET_S);
	assert_true(net_status(net, 0).spi_i == spi);
	assert_true(net_agrees(net));
	tape_free(net);
}

static void
fill_short_payload(struct ike_builder *b, void *ctx)
{
	ike_build_bytes(b, IKE_P_VENDOR, "abcd", 4);
	spw_put_be16(b->w.at - 6, *(const uint16_t *)ctx);
}

static void
ike_009_a_payload_length_that_lies_is_dropped_bare_and_fatal_inside(void **state)
{
	static const uint16_t lies[] = {0, 3, 9, 0xffff};

	for (size_t i = 0; i < 4; i++) {
		struct net *net = responder(20 + i);
		const struct init_parts p = {.spi_i = 1};
		size_t len = puppet_init(buf, sizeof(buf), &p);
		uint16_t lie = lies[i];
		const struct taped *t;

		spw_put_be16(buf + len - 34, lie == 9 ? 37 : lie); /* of the nonce */
		init_send(net, buf, len);
		assert_int_equal(tape.n, 0);
		assert_null(net->host[1].engine->sas);
		tape_free(net);
		net = tape_up(20 + i);
		tape_clear();
		t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_short_payload, &lie);
		assert_non_null(t);
		assert_int_equal(t->m.n_notifies, 1);
		assert_int_equal(t->m.notify[0].type, IKE_N_INVALID_SYNTAX);
		assert_int_equal(net_ike_sas(net, 1), 0);
		assert_int_equal(net_sas(net, 1), 0);
		assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, false), 0); /* no Delete */
		tape_free(net);
	}
}

static void
ike_139_a_malformed_answer_ends_the_ike_sa_and_is_not_answered(void **state)
{
	struct net *net = tape_up(24);
	uint64_t spi = net_status(net, 0).spi_i;
	uint16_t lie = 3;

	tape_clear();
	tape.drop_from[0] = 255;
	ike_engine_rekey(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_CHILD);
	puppet_answer(net, 1, fill_short_payload, &lie);
	assert_null(ike_sa_find(net->host[0].engine, spi));
	assert_int_equal(net_sas(net, 0), 0);
	assert_int_equal(tape_count(0, IKE_X_INFORMATIONAL, false), 0);
	tape.drop_from[0] = 0;
	assert_true(net_run_up(net, 5 * NET_S)); /* and it dials anew */
	assert_true(tape_count(0, IKE_X_INFORMATIONAL, false) +
			    tape_count(1, IKE_X_INFORMATIONAL, false) <=
		    3);
	tape_free(net);
}

static void
fill_nested(struct ike_builder *b, void *ctx)
{
	ike_build_bytes(b, *(const uint8_t *)ctx, "\0\1\0\1abcdefghabcdefghabcdefgh", 28);
}

static void
ike_010_an_encrypted_payload_is_never_inside_another(void **state)
{
	static const uint8_t types[] = {IKE_P_SK, IKE_P_SKF};

	for (size_t i = 0; i < 2; i++) {
		struct net *net = tape_up(30);
		uint8_t type = types[i];
		const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_nested, &type);

		assert_true(t && t->m.n_notifies == 1);
		assert_int_equal(t->m.notify[0].type, IKE_N_INVALID_SYNTAX);
		assert_int_equal(net_ike_sas(net, 1), 0);
		tape_free(net);
	}
}

static void
ike_010_an_encrypted_payload_is_the_last_and_ends_the_message(void **state)
{
	const struct ike_header h = {.next = IKE_P_SK};
	const struct ike_header f = {.next = IKE_P_SKF};
	uint8_t msg[IKE_HEADER_LEN + 44] = {0};
	struct ike_sk sk;

	for (size_t trail = 0; trail < 5; trail++) {
		spw_put_be16(msg + IKE_HEADER_LEN + 2, 40);
		spw_put_be32(msg + IKE_HEADER_LEN + 4, 0x00010001);
		assert_int_equal(ike_wire_find_sk(&h, msg, IKE_HEADER_LEN + 40 + trail, &sk),
				 trail ? -EBADMSG : 0);
		assert_int_equal(ike_wire_find_sk(&f, msg, IKE_HEADER_LEN + 40 + trail, &sk),
				 trail ? -EBADMSG : 0);
	}
}

static void
ike_012_before_authentication_nothing_else_is_answered(void **state)
{
	static const uint8_t exchanges[] = {IKE_X_CREATE_CHILD, IKE_X_INFORMATIONAL};
	struct net *net = tape_half(31);
	const struct init_parts p = {.spi_i = 77, .mid = 1};

	for (size_t i = 0; i < sizeof(exchanges); i++) {
		struct ike_builder b;

		tape_clear();
		puppet_begin(net, 0, &b, exchanges[i], false, 1);
		fill_child(&b, NULL);
		puppet_send(net, 0, &b); /* with the true keys of the half-open SA */
		assert_int_equal(tape_count(1, exchanges[i], true), 0);
		assert_int_equal(puppet_sa(net, 1)->state, IKE_SA_HALF_OPEN);
	}
	init_send(net, buf, puppet_init(buf, sizeof(buf), &p));
	assert_int_equal(tape.n, 0);
	tape.drop_from[0] = tape.drop_from[1] = 0;
	assert_true(net_run_up(net, 5 * NET_S)); /* its own IKE_AUTH is still taken */
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_001_a_datagram_that_is_not_as_long_as_it_says_is_dropped),
		cmocka_unit_test(ike_002_spis_of_an_ike_sa_init_are_one_set_and_one_zero),
		cmocka_unit_test(ike_003_a_higher_version_is_told_and_version_1_is_not_answered),
		cmocka_unit_test(ike_004_the_minor_version_is_ignored_and_sent_as_zero),
		cmocka_unit_test(ike_005_reserved_bits_are_sent_as_zero),
		cmocka_unit_test(ike_005_reserved_bits_are_ignored_when_they_come),
		cmocka_unit_test(ike_007_unknown_payloads_are_skipped_unless_critical),
		cmocka_unit_test(
			ike_007_unknown_payloads_before_the_encrypted_one_are_skipped_unless_critical),
		cmocka_unit_test(
			ike_007_a_critical_payload_in_ike_sa_init_is_told_and_nothing_is_kept),
		cmocka_unit_test(ike_008_payloads_go_out_in_the_order_of_the_standard),
		cmocka_unit_test(ike_008_payloads_are_taken_in_any_order),
		cmocka_unit_test(
			ike_009_a_payload_length_that_lies_is_dropped_bare_and_fatal_inside),
		cmocka_unit_test(ike_139_a_malformed_answer_ends_the_ike_sa_and_is_not_answered),
		cmocka_unit_test(ike_010_an_encrypted_payload_is_never_inside_another),
		cmocka_unit_test(ike_010_an_encrypted_payload_is_the_last_and_ends_the_message),
		cmocka_unit_test(ike_012_before_authentication_nothing_else_is_answered),
		cmocka_unit_test(
			ike_009_an_ike_sa_that_the_peer_says_was_malformed_is_replaced_before_it_breaks),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
