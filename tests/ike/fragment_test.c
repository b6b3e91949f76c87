/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE fragmentation (RFC 7383): two engines whose messages do not fit a packet, over a good and a
 * bad network; and the rules of putting pieces together, one by one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

#define PACKET	 576
#define MSG_ROOM (PACKET - 28)

static unsigned int pieces, longest;

static enum net_verdict
watch(struct net *net, int from, const struct ike_header *h)
{
	pieces += h->next == IKE_P_SKF;
	if (h->exchange != IKE_X_SA_INIT && h->len > longest)
		longest = h->len;
	return NET_PASS;
}

/* Long identities and eight proposals make IKE_AUTH some thousand bytes. */
static struct spw_ike_conn
wordy(const struct net *net, int i, uint32_t fragment)
{
	struct spw_ike_conn c = net_conn(net, i);

	for (c.n_esp = 0; c.n_esp < SPW_IKE_PROPOSALS; c.n_esp++)
		c.esp[c.n_esp] = (struct spw_ike_proposal){
			.encr = c.n_esp & 1 ? SPW_ENCR_AES256_CBC : SPW_ENCR_AES128_CBC,
			.integ = SPW_INTEG_HMAC_SHA256_128};
	c.local_id = (struct spw_ike_id){.type = SPW_ID_FQDN, .len = 120};
	c.remote_id = c.local_id;
	memset(c.local_id.data, i ? 'b' : 'a', 120);
	memset(c.remote_id.data, i ? 'a' : 'b', 120);
	c.fragment = fragment;
	c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
	return c;
}

static struct net *
pair(uint64_t seed, uint32_t fragment0, uint32_t fragment1)
{
	struct net *net = net_new(seed);
	struct spw_ike_conn c0 = wordy(net, 0, fragment0), c1 = wordy(net, 1, fragment1);

	pieces = longest = 0;
	net->script = watch;
	net_set(net, 1, &c1);
	net_set(net, 0, &c0);
	return net;
}

static void
long_messages_go_in_pieces_that_fit_a_packet(void **state)
{
	struct net *net = pair(11, PACKET, PACKET);

	assert_true(net_run_up(net, 5 * NET_S));
	assert_true(pieces >= 2);
	assert_in_range(longest, 400, MSG_ROOM);
	net_free(net);
}

static void
nothing_is_cut_unless_both_sides_can(void **state)
{
	static const uint32_t size[3][2] = {{PACKET, 0}, {0, PACKET}, {0, 0}};

	for (int i = 0; i < 3; i++) {
		struct net *net = pair(12, size[i][0], size[i][1]);

		assert_true(net_run_up(net, 5 * NET_S));
		assert_int_equal(pieces, 0);
		assert_true(longest > MSG_ROOM);
		net_free(net);
	}
}

static void
short_messages_are_not_cut(void **state)
{
	struct net *net = pair(13, 1280, 1280);

	assert_true(net_run_up(net, 5 * NET_S));
	assert_int_equal(pieces, 0);
	net_free(net);
}

static void
a_rekeyed_ike_sa_still_takes_pieces(void **state)
{
	struct net *net = pair(14, PACKET, PACKET);

	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	assert_int_equal(
		ike_engine_rekey(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_IKE), 0);
	net_run(net, 2 * NET_S);
	assert_int_equal(net->host[0].engine->sas->fragment, PACKET);
	assert_int_equal(net->host[1].engine->sas->fragment, PACKET);
	pieces = 0;
	assert_int_equal(
		ike_engine_rekey(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_CHILD), 0);
	net_run(net, 2 * NET_S);
	assert_true(net_up(net, 0) && net_agrees(net));
	assert_true(longest <= MSG_ROOM);
	net_free(net);
}

/* Every seed: up, three rekeys, both sides agree; nothing kept at the end. */
static void
pieces_survive_loss_doubling_and_reordering(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct net *net = pair(seed, PACKET, PACKET);

		net->loss_percent = 15;
		net->dup_percent = 10;
		net->delay_min = 1 * NET_MS;
		net->delay_max = 80 * NET_MS;
		assert_true(net_run_up(net, 120 * NET_S));
		for (int i = 0; i < 3; i++) {
			ike_engine_rekey(net->host[i & 1].engine, net->now, "azure",
					 SPW_IKE_RESET_CHILD);
			net_run(net, 70 * NET_S);
		}
		net->loss_percent = 0;
		net_run(net, 200 * NET_S);
		assert_true(net_up(net, 0) && net_up(net, 1) && net_agrees(net));
		assert_true(longest <= MSG_ROOM && pieces >= 2);
		for (int i = 0; i < 2; i++)
			assert_int_equal(net->host[i].engine->sas->pieces[0].total, 0);
		net_free(net);
	}
}

/* ---- the rules ---- */

struct bench {
	struct ike_engine e;
	struct ike_sa sa;
	struct ike_blob whole;
	uint8_t first, critical;
};

static int
take(struct bench *b, uint32_t mid, uint16_t number, uint16_t total, const char *text)
{
	const struct ike_header h = {.mid = mid};
	struct ike_sk sk = {.fragment = number,
			    .total = total,
			    .inner = number == 1 ? IKE_P_NOTIFY : IKE_P_NONE,
			    .critical = number == 1 ? 200 : 0};
	int rc = ike_fragment_take(&b->sa, &h, &sk, (const uint8_t *)text, strlen(text), &b->whole);

	b->first = sk.inner;
	b->critical = sk.critical;
	return rc;
}

static struct bench *
bench_new(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->sa.e = &b->e;
	return b;
}

static void
bench_free(struct bench *b)
{
	ike_fragment_forget(&b->sa);
	ike_blob_free(&b->whole);
	free(b);
}

static void
pieces_come_together_in_any_order(void **state)
{
	struct bench *b = bench_new();

	assert_int_equal(take(b, 1, 3, 3, "ghi"), -EAGAIN);
	assert_int_equal(take(b, 1, 1, 3, "abc"), -EAGAIN);
	assert_int_equal(take(b, 1, 3, 3, "xyz"), -EAGAIN); /* again: the first one counts */
	assert_int_equal(take(b, 1, 2, 3, "def"), 0);
	assert_int_equal(b->whole.len, 9);
	assert_memory_equal(b->whole.bytes, "abcdefghi", 9);
	assert_int_equal(b->first, IKE_P_NOTIFY);
	assert_int_equal(b->critical, 200);
	assert_int_equal(b->sa.pieces[0].total, 0);
	bench_free(b);
}

static void
a_finer_cut_voids_the_coarser_one_and_not_the_other_way_round(void **state)
{
	struct bench *b = bench_new();

	assert_int_equal(take(b, 1, 1, 2, "abcd"), -EAGAIN);
	assert_int_equal(take(b, 1, 1, 3, "ab"), -EAGAIN);
	assert_int_equal(b->sa.pieces[0].got, 1);
	assert_int_equal(take(b, 1, 2, 2, "efgh"), -EAGAIN); /* late, of the first cut */
	assert_int_equal(b->sa.pieces[0].total, 3);
	assert_int_equal(take(b, 1, 2, 3, "cd"), -EAGAIN);
	assert_int_equal(take(b, 1, 3, 3, "ef"), 0);
	assert_memory_equal(b->whole.bytes, "abcdef", 6);
	bench_free(b);
}

static void
another_message_starts_anew(void **state)
{
	struct bench *b = bench_new();

	assert_int_equal(take(b, 1, 1, 2, "old"), -EAGAIN);
	assert_int_equal(take(b, 2, 2, 2, "two"), -EAGAIN);
	assert_int_equal(take(b, 2, 1, 2, "one"), 0);
	assert_memory_equal(b->whole.bytes, "onetwo", 6);
	bench_free(b);
}

static void
pieces_are_no_longer_together_than_a_message_may_be(void **state)
{
	static char big[IKE_DATAGRAM_MAX / 2 + 1];
	struct bench *b = bench_new();

	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(take(b, 1, 1, 3, big), -EAGAIN);
	assert_int_equal(take(b, 1, 2, 3, big), -EAGAIN);
	assert_int_equal(take(b, 1, 3, 3, "x"), -EAGAIN);
	assert_int_equal(b->sa.pieces[0].total, 0);
	bench_free(b);
}

static void
impossible_numbers_are_malformed(void **state)
{
	static const struct {
		uint16_t number, total;
		int rc;
	} t[] = {{0, 1, -EBADMSG},  {1, 0, -EBADMSG}, {2, 1, -EBADMSG},
		 {1, 65, -EBADMSG}, {1, 1, 0},	      {64, 64, 0}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t msg[IKE_HEADER_LEN + 40] = {[16] = IKE_P_SKF};
		const struct ike_header h = {.next = IKE_P_SKF};
		struct ike_sk sk;

		spw_put_be16(msg + IKE_HEADER_LEN + 2, 40);
		spw_put_be16(msg + IKE_HEADER_LEN + 4, t[i].number);
		spw_put_be16(msg + IKE_HEADER_LEN + 6, t[i].total);
		assert_int_equal(ike_wire_find_sk(&h, msg, sizeof(msg), &sk), t[i].rc);
		if (t[i].rc == 0)
			assert_int_equal(sk.aad_len, IKE_HEADER_LEN + 8);
	}
}

/* What is under way from one host, as the network carries it. */
static unsigned int
under_way(const struct net *net, int to, struct ike_datagram out[16])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < NET_QUEUE && n < 16; i++) {
		const struct net_packet *p = &net->queue[i];

		if (p->used && !p->esp && p->to == to) {
			out[n] = p->d;
			out[n++].bytes = p->bytes;
		}
	}
	return n;
}

static enum net_verdict
hold_auth(struct net *net, int from, const struct ike_header *h)
{
	return h->exchange == IKE_X_AUTH && from == 0 ? NET_HOLD : NET_PASS;
}

static void
a_forged_piece_is_not_kept(void **state)
{
	struct net *net = pair(15, PACKET, PACKET);
	struct ike_datagram d[16];
	uint8_t forged[IKE_DATAGRAM_MAX];

	net->script = hold_auth;
	net_run(net, 1 * NET_S);
	assert_true(under_way(net, 1, d) >= 2);
	memcpy(forged, d[0].bytes, d[0].len);
	forged[d[0].len - 1] ^= 1;
	net_inject(net, 1, forged, d[0].len, d[0].remote_port);
	memcpy(forged, d[0].bytes, d[0].len);
	spw_put_be16(forged + IKE_HEADER_LEN + 4, 2); /* another number: it is covered, too */
	net_inject(net, 1, forged, d[0].len, d[0].remote_port);
	net_run(net, 10 * NET_MS);
	assert_int_equal(net->host[1].engine->sas->pieces[0].total, 0);
	net_run(net, 5 * NET_S);
	assert_true(net_up(net, 1));
	net_free(net);
}

static unsigned int answers;

static enum net_verdict
count_answers(struct net *net, int from, const struct ike_header *h)
{
	answers += from == 1 && (h->flags & IKE_FLAG_RESPONSE) && h->exchange == IKE_X_AUTH;
	return h->exchange == IKE_X_AUTH && from == 0 ? NET_HOLD : NET_PASS;
}

static void
of_an_answered_request_the_first_piece_alone_is_answered_again(void **state)
{
	struct net *net = pair(16, PACKET, PACKET);
	struct ike_datagram d[16];
	uint8_t copy[16][PACKET];
	unsigned int n, first;

	net->script = count_answers;
	net_run(net, 1 * NET_S);
	n = under_way(net, 1, d);
	assert_true(n >= 2);
	for (unsigned int i = 0; i < n; i++)
		memcpy(copy[i], d[i].bytes, d[i].len);
	net_run(net, 5 * NET_S);
	assert_true(net_up(net, 1));
	first = answers;
	assert_true(first > 0);
	answers = 0;
	for (unsigned int i = 0; i < n; i++)
		if (spw_get_be16(copy[i] + IKE_HEADER_LEN + 4) != 1)
			net_inject(net, 1, copy[i], spw_get_be32(copy[i] + 24), d[i].remote_port);
	net_run(net, 100 * NET_MS);
	assert_int_equal(answers, 0);
	for (unsigned int i = 0; i < n; i++)
		if (spw_get_be16(copy[i] + IKE_HEADER_LEN + 4) == 1) {
			net_inject(net, 1, copy[i], spw_get_be32(copy[i] + 24), d[i].remote_port);
			break;
		}
	net_run(net, 100 * NET_MS);
	assert_true(answers > 0);
	net_free(net);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_messages_go_in_pieces_that_fit_a_packet),
		cmocka_unit_test(nothing_is_cut_unless_both_sides_can),
		cmocka_unit_test(short_messages_are_not_cut),
		cmocka_unit_test(a_rekeyed_ike_sa_still_takes_pieces),
		cmocka_unit_test(pieces_survive_loss_doubling_and_reordering),
		cmocka_unit_test(pieces_come_together_in_any_order),
		cmocka_unit_test(a_finer_cut_voids_the_coarser_one_and_not_the_other_way_round),
		cmocka_unit_test(another_message_starts_anew),
		cmocka_unit_test(pieces_are_no_longer_together_than_a_message_may_be),
		cmocka_unit_test(impossible_numbers_are_malformed),
		cmocka_unit_test(a_forged_piece_is_not_kept),
		cmocka_unit_test(of_an_answered_request_the_first_piece_alone_is_answered_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
