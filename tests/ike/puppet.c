/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tape and the puppet of the conformance tests.
 *
 * A message is opened at the moment it leaves, with its sender's own cipher: sealing and opening
 * share their key, so no message is too old or too late to be read. A puppet takes the keys of a
 * living engine's IKE SA and speaks in its place; the message ids of that engine are moved on so
 * that it can go on by itself afterwards. One tape at a time, static for its size.
 */
#include "tests/ike/puppet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct tape tape;

void
tape_clear(void)
{
	for (unsigned int i = 0; i < tape.n; i++) {
		free(tape.at[i].bytes);
		free(tape.at[i].plain);
	}
	tape.n = 0;
}

/* The IKE SA of host i by its own SPI, one that has just ended too. */
static struct ike_sa *
any_sa(struct net *net, int i, uint64_t own_spi)
{
	for (struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
		if (ike_sa_own_spi(sa) == own_spi)
			return sa;
	return NULL;
}

/* Parse what was sent; a protected message is opened with its sender's cipher. */
static void
open_taped(struct net *net, struct taped *t)
{
	struct ike_sa *sa;
	struct ike_sk sk;
	size_t len;
	uint8_t *plain, *copy;

	t->m.hdr = t->h;
	if (ike_wire_find_sk(&t->h, t->bytes, t->len, &sk) != 0) {
		t->first = t->h.next;
		t->plain_len = t->len - IKE_HEADER_LEN;
		t->plain = malloc(t->plain_len + 1);
		memcpy(t->plain, t->bytes + IKE_HEADER_LEN, t->plain_len);
		t->opened = ike_wire_payloads(&t->m, t->first, t->plain, t->plain_len) == 0;
		return;
	}
	sa = any_sa(net, t->from, t->h.flags & IKE_FLAG_INITIATOR ? t->h.spi_i : t->h.spi_r);
	if (!sa || sk.total)
		return;
	copy = malloc(t->len);
	memcpy(copy, t->bytes, t->len);
	assert_int_equal(ike_cipher_open(sa->seal, copy, t->len, sk.aad_len, &plain, &len), 0);
	t->plain_len = len - plain[len - 1] - 1;
	t->plain = malloc(t->plain_len + 1);
	memcpy(t->plain, plain, t->plain_len);
	free(copy);
	t->first = sk.inner;
	t->opened = ike_wire_payloads(&t->m, t->first, t->plain, t->plain_len) == 0;
}

static enum net_verdict
record(struct net *net, int from, const struct ike_header *h)
{
	const struct ike_datagram *d = net->sending;
	uint8_t drop = tape.drop_from[from];
	bool request = !(h->flags & IKE_FLAG_RESPONSE);

	if (tape.n < TAPE_MAX) {
		struct taped *t = &tape.at[tape.n++];

		memset(t, 0, sizeof(*t));
		t->from = from;
		t->at = net->now;
		t->local_port = d->local_port;
		t->remote_port = d->remote_port;
		t->remote = d->remote;
		t->h = *h;
		t->len = d->len;
		t->bytes = malloc(d->len);
		memcpy(t->bytes, d->bytes, d->len);
		open_taped(net, t);
		if (tape.on_send)
			tape.on_send(net, t);
	}
	if ((drop == 255 || drop == h->exchange) && (request || !tape.drop_requests_only))
		return NET_DROP;
	return NET_PASS;
}

struct net *
tape_net(uint64_t seed)
{
	struct net *net = net_new(seed);

	tape_clear();
	memset(tape.drop_from, 0, sizeof(tape.drop_from));
	tape.drop_requests_only = false;
	tape.on_send = NULL;
	net->script = record;
	return net;
}

void
tape_free(struct net *net)
{
	net_free(net);
	tape_clear();
}

unsigned int
tape_count(int from, uint8_t exchange, bool response)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < tape.n; i++)
		n += tape.at[i].from == from && tape.at[i].h.exchange == exchange &&
		     ((tape.at[i].h.flags & IKE_FLAG_RESPONSE) != 0) == response;
	return n;
}

const struct taped *
tape_last(int from, uint8_t exchange, bool response)
{
	for (unsigned int i = tape.n; i > 0; i--) {
		const struct taped *t = &tape.at[i - 1];

		if (t->from == from && t->h.exchange == exchange &&
		    ((t->h.flags & IKE_FLAG_RESPONSE) != 0) == response)
			return t;
	}
	fail_msg("host %d sent no %s of exchange %u", from, response ? "answer" : "request",
		 exchange);
	return NULL;
}

unsigned int
tape_types(const struct taped *t, uint8_t *types, unsigned int max)
{
	uint8_t type = t->first;
	size_t at = 0;
	unsigned int n = 0;

	while (type != IKE_P_NONE && n < max) {
		types[n++] = type;
		assert_true(at + IKE_PAYLOAD_HDR <= t->plain_len);
		type = t->plain[at];
		at += spw_get_be16(t->plain + at + 2);
	}
	return n;
}

struct net *
tape_up(uint64_t seed)
{
	struct net *net = tape_net(seed);

	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	return net;
}

struct net *
tape_half(uint64_t seed)
{
	struct net *net = tape_net(seed);

	tape.drop_from[0] = tape.drop_from[1] = IKE_X_AUTH;
	net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
	net_run(net, 100 * NET_MS);
	assert_int_equal(puppet_sa(net, 0)->state, IKE_SA_AUTH_SENT);
	assert_int_equal(puppet_sa(net, 1)->state, IKE_SA_HALF_OPEN);
	return net;
}

struct ike_sa *
puppet_sa(struct net *net, int i)
{
	assert_non_null(net->host[i].engine->sas);
	return net->host[i].engine->sas;
}

void
puppet_begin(struct net *net, int i, struct ike_builder *b, uint8_t exchange, bool response,
	     uint32_t mid)
{
	static uint8_t buf[IKE_DATAGRAM_MAX];
	const struct ike_sa *sa = puppet_sa(net, i);
	const struct ike_header h = {.spi_i = sa->spi_i,
				     .spi_r = sa->spi_r,
				     .exchange = exchange,
				     .mid = mid,
				     .flags = (uint8_t)((sa->initiator ? IKE_FLAG_INITIATOR : 0) |
							(response ? IKE_FLAG_RESPONSE : 0))};

	ike_build_start(b, buf, sizeof(buf), &h);
	ike_build_sk(b, sa->seal);
}

void
puppet_send(struct net *net, int i, struct ike_builder *b)
{
	const struct ike_sa *sa = puppet_sa(net, i);
	size_t len;

	assert_int_equal(ike_build_seal(b, sa->seal, &len), 0);
	puppet_raw(net, !i, &net->host[i].addr, sa->local_port, sa->remote_port, b->w.start, len);
}

const struct taped *
puppet_ask(struct net *net, int i, uint8_t exchange, void (*fill)(struct ike_builder *b, void *ctx),
	   void *ctx)
{
	struct ike_sa *sa = puppet_sa(net, i);
	unsigned int before = tape_count(!i, exchange, true);
	struct ike_builder b;

	puppet_begin(net, i, &b, exchange, false, sa->next_out++);
	if (fill)
		fill(&b, ctx);
	puppet_send(net, i, &b);
	return tape_count(!i, exchange, true) > before ? tape_last(!i, exchange, true) : NULL;
}

void
puppet_answer(struct net *net, int i, void (*fill)(struct ike_builder *b, void *ctx), void *ctx)
{
	struct ike_sa *sa = puppet_sa(net, i);
	const struct ike_request *r = &puppet_sa(net, !i)->req;
	struct ike_builder b;

	assert_int_not_equal(r->task, IKE_TASK_NONE);
	puppet_begin(net, i, &b, r->exchange, true, r->mid);
	if (fill)
		fill(&b, ctx);
	sa->next_in = r->mid + 1;
	puppet_send(net, i, &b);
}

void
puppet_fill_notify(struct ike_builder *b, void *ctx)
{
	ike_build_notify(b, *(const uint16_t *)ctx, 0, 0, NULL, 0);
}

void
puppet_raw(struct net *net, int to, const struct spw_addr *from, uint16_t from_port,
	   uint16_t to_port, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* exactly as long, for the sanitizer */
	const struct ike_datagram d = {.local = net->host[to].addr,
				       .remote = *from,
				       .local_port = to_port,
				       .remote_port = from_port,
				       .bytes = copy,
				       .len = len};

	if (len)
		memcpy(copy, bytes, len);
	ike_engine_input(net->host[to].engine, net->now, &d);
	free(copy);
}
