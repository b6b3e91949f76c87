/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile network: flipped bits, replays, forged and out-of-state messages, reflection. What is
 * not authentic changes nothing of an established SA (IKE-013); nothing but a verified AUTH makes
 * one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

/* What must not change: everything an engine decides by, but for the times of its log limiter. */
struct picture {
	enum ike_sa_state state;
	uint32_t next_in, next_out, task, n_children;
	uint64_t heard, rekey_at, made;
	struct spw_addr remote;
	uint16_t port;
	uint32_t active, installs;
	bool probe;
};

static struct picture
picture_of(const struct net *net, int i)
{
	const struct ike_sa *sa = net->host[i].engine->sas;
	struct picture p;

	memset(&p, 0, sizeof(p));
	p.state = sa->state;
	p.next_in = sa->next_in;
	p.next_out = sa->next_out;
	p.task = sa->req.task;
	for (const struct ike_child *c = sa->children; c; c = c->next)
		p.n_children++;
	p.heard = sa->heard_ns;
	p.rekey_at = sa->rekey_at;
	p.made = sa->made_ns;
	p.remote = sa->remote;
	p.port = sa->remote_port;
	p.active = net->host[i].active;
	p.installs = net->host[i].installs;
	p.probe = sa->probe_wanted;
	return p;
}

static struct {
	uint8_t bytes[8][IKE_DATAGRAM_MAX];
	size_t len[8];
	int from[8];
	int n;
} tape;

/* Copies what the network has under way. */
static void
record(struct net *net)
{
	for (unsigned int i = 0; i < NET_QUEUE && tape.n < 8; i++) {
		const struct net_packet *p = &net->queue[i];

		if (!p->used || p->esp)
			continue;
		memcpy(tape.bytes[tape.n], p->bytes, p->d.len);
		tape.len[tape.n] = p->d.len;
		tape.from[tape.n++] = !p->to;
	}
}

static struct net *
established(uint64_t seed)
{
	struct net *net = net_new(seed);

	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	return net;
}

static void
put(struct net *net, int to, const uint8_t *bytes, size_t len)
{
	const struct ike_datagram d = {.local = net->host[to].addr,
				       .remote = net->host[!to].addr,
				       .local_port = 500,
				       .remote_port = 500,
				       .bytes = bytes,
				       .len = len};

	ike_engine_input(net->host[to].engine, net->now, &d);
}

/* Take the next request of host 0 off the wire before it arrives. */
static void
catch_request(struct net *net, uint32_t what)
{
	tape.n = 0;
	assert_int_equal(ike_engine_rekey(net->host[0].engine, net->now, "azure", what), 0);
	record(net);
	assert_int_equal(tape.n, 1);
}

static void
flipped_bits_change_nothing(void **state)
{
	struct net *net = established(1);
	struct picture before;

	catch_request(net, SPW_IKE_RESET_CHILD);
	before = picture_of(net, 1);
	net->now += 5 * NET_MS;
	for (size_t bit = 0; bit < tape.len[0] * 8; bit++) {
		uint8_t *copy = malloc(tape.len[0]);
		struct picture after;

		memcpy(copy, tape.bytes[0], tape.len[0]);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		put(net, 1, copy, tape.len[0]);
		free(copy);
		after = picture_of(net, 1);
		assert_memory_equal(&before, &after, sizeof(before));
	}
	net_run(net, 10 * NET_S); /* the true one still works */
	assert_int_equal(net_status(net, 1).child_rekeys, 1);
	net_free(net);
}

static void
corrupted_answer_is_ignored_and_the_good_one_taken(void **state)
{
	struct net *net = established(2);
	struct picture before, after;

	catch_request(net, SPW_IKE_RESET_CHILD);
	put(net, 1, tape.bytes[0], tape.len[0]);
	tape.n = 0;
	record(net);
	before = picture_of(net, 0);
	for (int i = 0; i < tape.n; i++) {
		if (tape.from[i] != 1)
			continue;
		tape.bytes[i][tape.len[i] - 1] ^= 1;
		put(net, 0, tape.bytes[i], tape.len[i]);
		after = picture_of(net, 0);
		assert_memory_equal(&before, &after, sizeof(before));
	}
	net_run(net, 10 * NET_S);
	assert_int_equal(net_status(net, 0).child_rekeys, 1);
	net_free(net);
}

/* IKE-156: a message of any age replayed never acts twice. */
static enum net_verdict
tape_all(struct net *net, int from, const struct ike_header *h)
{
	return NET_PASS;
}

static void
replayed_messages_never_act_twice(void **state)
{
	struct net *net = net_new(3);
	struct picture before[2], after;

	net->script = tape_all;
	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	for (int n = 0; n < 6; n++) {
		ike_engine_rekey(net->host[n & 1].engine, net->now, "azure", SPW_IKE_RESET_CHILD);
		net_run(net, 8 * NET_S);
	}
	for (int i = 0; i < 2; i++)
		before[i] = picture_of(net, i);
	for (unsigned int k = 0; k < net->n_seen; k++) {
		const struct net_seen *s = &net->seen[k];
		int to = !s->from;

		put(net, to, s->bytes, s->len);
		after = picture_of(net, to);
		assert_memory_equal(&before[to], &after, sizeof(after));
		put(net, s->from, s->bytes, s->len); /* reflected to its maker (IKE-062) */
		after = picture_of(net, s->from);
		assert_memory_equal(&before[s->from], &after, sizeof(after));
	}
	net_free(net);
}

/* IKE-012: protected exchanges and odd message ids before IKE_AUTH. */
static void
nothing_but_auth_is_taken_from_half_open(void **state)
{
	struct net *net = net_new(4);
	static const uint8_t kinds[] = {34, 35, 36, 37, 38, 43, 0, 255};
	uint8_t bytes[200];

	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
	net_run(net, 15 * NET_MS); /* host 1 has answered IKE_SA_INIT */
	const struct ike_sa *sa = net->host[1].engine->sas;

	assert_int_equal(sa->state, IKE_SA_HALF_OPEN);
	for (unsigned int k = 0; k < sizeof(kinds); k++)
		for (uint32_t mid = 0; mid < 3; mid++)
			for (unsigned int f = 0; f < 64; f += 8) {
				memset(bytes, 0, sizeof(bytes));
				spw_put_be64(bytes, sa->spi_i);
				spw_put_be64(bytes + 8, sa->spi_r);
				bytes[16] = IKE_P_SK;
				bytes[17] = 0x20;
				bytes[18] = kinds[k];
				bytes[19] = (uint8_t)f;
				spw_put_be32(bytes + 20, mid);
				spw_put_be32(bytes + 24, sizeof(bytes));
				bytes[28] = IKE_P_NONCE;
				spw_put_be16(bytes + 30, sizeof(bytes) - 28);
				put(net, 1, bytes, sizeof(bytes));
				assert_int_equal(sa->state, IKE_SA_HALF_OPEN);
			}
	assert_true(net_run_up(net, 2 * NET_S));
	net_free(net);
}

/* A protected message made with the true keys of host 0's IKE SA. */
static void
send_forged(struct net *net, uint8_t exchange, void (*fill)(struct ike_builder *b))
{
	struct ike_sa *sa = net->host[0].engine->sas;
	struct ike_builder b;
	size_t len;

	ike_request_begin(sa, &b, exchange);
	fill(&b);
	assert_int_equal(ike_build_seal(&b, sa->seal, &len), 0);
	sa->next_out++;
	ike_send(sa, sa->e->out, len);
	ike_door_close(sa->e);
	net_run(net, 100 * NET_MS);
}

static void
fill_nothing(struct ike_builder *b)
{
}
static void
fill_critical(struct ike_builder *b)
{
	ike_build_open(b, 200);
	b->payload[1] = 0x80;
	ike_build_close(b);
}
static void
fill_broken(struct ike_builder *b)
{
	ike_build_bytes(b, IKE_P_DELETE, "\3\4\377\377abcd", 8);
}
static void
fill_unknown_delete(struct ike_builder *b)
{
	const uint32_t spis[3] = {1, 2, 0xffffffff};

	ike_build_delete(b, spis, 3);
	ike_build_delete(b, spis, 1);
	ike_build_notify(b, 12345, 0, 0, "x", 1);
	ike_build_notify(b, 40000, 0, 0, "x", 1);
}
static void
fill_rekey_of_protocol_0(struct ike_builder *b)
{
	ike_build_notify(b, IKE_N_REKEY_SA, 0, 0, NULL, 0);
}
static void
fill_initial_contact(struct ike_builder *b)
{
	ike_build_notify(b, IKE_N_INITIAL_CONTACT, 0, 0, NULL, 0);
	ike_build_notify(b, IKE_N_SET_WINDOW_SIZE, 0, 0, "\0\0\0\0", 4);
	ike_build_notify(b, IKE_N_INVALID_SELECTORS, 0, 0, NULL, 0);
}

static void
authentic_oddities_are_answered_and_survived(void **state)
{
	struct net *net = established(5);

	send_forged(net, IKE_X_INFORMATIONAL, fill_nothing);
	send_forged(net, IKE_X_INFORMATIONAL, fill_critical);
	send_forged(net, IKE_X_INFORMATIONAL, fill_unknown_delete);
	send_forged(net, IKE_X_INFORMATIONAL, fill_initial_contact); /* only in IKE_AUTH */
	send_forged(net, IKE_X_CREATE_CHILD, fill_nothing);
	send_forged(net, IKE_X_CREATE_CHILD, fill_rekey_of_protocol_0);
	assert_true(net_up(net, 1));
	assert_int_equal(net->host[1].engine->sas->next_in, net->host[0].engine->sas->next_out);
	/* malformed with a good ICV is fatal on this side, without Delete (2.21.3) */
	send_forged(net, IKE_X_INFORMATIONAL, fill_broken);
	assert_int_equal(net_ike_sas(net, 1), 0);
	assert_int_equal(net_sas(net, 1), 0);
	net_free(net);
}

static void
second_auth_on_an_established_sa_is_refused(void **state)
{
	struct net *net = established(6);

	send_forged(net, IKE_X_AUTH, fill_nothing);
	assert_int_equal(net_ike_sas(net, 1), 1);
	assert_int_equal(net->host[1].ups, 1);
	net_free(net);
}

static enum net_verdict
count_answers(struct net *net, int from, const struct ike_header *h)
{
	net->script_state += from == 1;
	return NET_PASS;
}

static void
strangers_get_little(void **state)
{
	struct net *net = established(7);
	uint8_t h[IKE_HEADER_LEN] = {0};

	net->script = count_answers;
	h[17] = 0x30; /* major version 3 */
	h[7] = 1;
	h[18] = 37;
	h[19] = IKE_FLAG_INITIATOR;
	spw_put_be32(h + 24, sizeof(h));
	for (int i = 0; i < 10000; i++)
		put(net, 1, h, sizeof(h));
	assert_in_range(net->script_state, 1, 100); /* at one instant */
	net->script_state = 0;
	net->now += 1 * NET_S;
	h[17] = 0x10;
	put(net, 1, h, sizeof(h)); /* version 1: silence */
	h[17] = 0x20;
	h[7] = 0;
	put(net, 1, h, sizeof(h)); /* SPIi 0: silence */
	h[7] = 1;
	h[19] = IKE_FLAG_RESPONSE;
	put(net, 1, h, sizeof(h)); /* an answer nobody waits for: silence */
	assert_int_equal(net->script_state, 0);
	h[19] = IKE_FLAG_INITIATOR;
	put(net, 1, h, sizeof(h)); /* unknown SPI: told */
	assert_int_equal(net->script_state, 1);
	net_free(net);
}

static void
random_bytes_do_nothing(void **state)
{
	struct net *net = established(8);
	struct picture before = picture_of(net, 1), after;
	const struct ike_sa *sa = net->host[1].engine->sas;
	uint64_t rng = 4711;

	for (int i = 0; i < 100000; i++) {
		size_t len = net_random(&rng) % 300;
		uint8_t *bytes = malloc(len + 1);

		for (size_t k = 0; k < len; k++)
			bytes[k] = (uint8_t)net_random(&rng);
		if (len >= IKE_HEADER_LEN && i % 2) { /* plausible: right length, SPIs, version */
			spw_put_be64(bytes, sa->spi_i);
			spw_put_be64(bytes + 8, i % 4 == 1 ? sa->spi_r : 0);
			bytes[17] = 0x20;
			bytes[18] = (uint8_t)(34 + net_random(&rng) % 4);
			bytes[19] = (uint8_t)(net_random(&rng) & 0x28);
			spw_put_be32(bytes + 20, (uint32_t)(net_random(&rng) % 4));
			spw_put_be32(bytes + 24, (uint32_t)len);
		}
		put(net, 1, bytes, len);
		free(bytes);
	}
	after = picture_of(net, 1);
	after.probe = before.probe;
	after.task = before.task;
	after.next_out = before.next_out; /* a hint may have started a probe */
	assert_memory_equal(&before, &after, sizeof(before));
	net_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flipped_bits_change_nothing),
		cmocka_unit_test(corrupted_answer_is_ignored_and_the_good_one_taken),
		cmocka_unit_test(replayed_messages_never_act_twice),
		cmocka_unit_test(nothing_but_auth_is_taken_from_half_open),
		cmocka_unit_test(authentic_oddities_are_answered_and_survived),
		cmocka_unit_test(second_auth_on_an_established_sa_is_refused),
		cmocka_unit_test(strangers_get_little),
		cmocka_unit_test(random_bytes_do_nothing),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
