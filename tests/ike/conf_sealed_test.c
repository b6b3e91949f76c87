/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: the protection of messages, errors and vendor ids in them (IKE-014 to 017). Each
 * test names the statement of docs/conformance.md that it shows.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet_child.h"
#include "tests/ike/puppet_init.h"

#define VENDOR_MS "\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\0\0\0\x09"

static uint8_t buf[4096];

/* An empty INFORMATIONAL of host 0 with `pad` octets of padding and this pad length. */
static void
send_padded(struct net *net, size_t pad, uint8_t pad_length)
{
	struct ike_sa *sa = puppet_sa(net, 0);
	struct ike_builder b;
	size_t icv = ike_cipher_icv_len(sa->seal), len;
	uint8_t *p;

	puppet_begin(net, 0, &b, IKE_X_INFORMATIONAL, false, sa->next_out++);
	p = spw_write_reserve(&b.w, pad + 1 + icv);
	memset(p, 0xa5, pad);
	p[pad] = pad_length;
	spw_put_be16(b.sk + 2, (uint16_t)(b.w.at - b.sk));
	assert_int_equal(ike_build_finish(&b, &len), 0);
	assert_int_equal(ike_cipher_seal(sa->seal, b.w.start, len, IKE_HEADER_LEN + 4), 0);
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, b.w.start, len);
}

static void
ike_014_any_padding_is_taken_that_is_no_longer_than_the_text(void **state)
{
	struct net *net = tape_up(40);

	for (size_t pad = 0; pad < 256; pad++) {
		tape_clear();
		send_padded(net, pad, (uint8_t)pad);
		assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, true), 1);
		assert_int_equal(tape.at[0].plain_len, 0);
		net_run(net, 20 * NET_MS); /* not too many at once: DOS-05 */
	}
	tape_clear();
	send_padded(net, 20, 21);
	assert_int_equal(tape.at[0].m.notify[0].type, IKE_N_INVALID_SYNTAX);
	assert_int_equal(net_ike_sas(net, 1), 0);
	tape_free(net);
}

static void
ike_015_what_stands_before_the_encrypted_payload_is_covered(void **state)
{
	struct net *net = tape_up(41);
	struct ike_sa *sa = puppet_sa(net, 0);
	const struct ike_header h = {.spi_i = sa->spi_i,
				     .spi_r = sa->spi_r,
				     .exchange = IKE_X_INFORMATIONAL,
				     .flags = IKE_FLAG_INITIATOR,
				     .mid = sa->next_out};
	struct ike_builder b;
	size_t len;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_bytes(&b, IKE_P_VENDOR, "before", 6);
	ike_build_sk(&b, sa->seal);
	assert_int_equal(ike_build_seal(&b, sa->seal, &len), 0);
	for (size_t at = 16; at < IKE_HEADER_LEN + 14; at++) { /* another SPI is another SA */
		buf[at] ^= 0x01;
		init_send(net, buf, len);
		buf[at] ^= 0x01;
		assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, true), 0);
	}
	init_send(net, buf, len);
	assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, true), 1);
	tape_free(net);
}

static void
ike_015_aead_takes_no_integrity_and_no_iv_twice(void **state)
{
	struct net *net = tape_up(42);
	const struct taped *t = tape_last(0, IKE_X_SA_INIT, false);
	struct ike_sa *sa = puppet_sa(net, 0);
	unsigned int n = getenv("SPW_LONG") ? 1000000 : 20000;
	uint64_t last = 0;

	for (unsigned int i = 0; i < t->m.sa.n_transforms; i++)
		assert_int_not_equal(t->m.sa.transform[i].type, SPW_TRANSFORM_INTEG);
	assert_int_equal(ike_cipher_iv_len(sa->seal), 8);
	assert_int_equal(ike_cipher_icv_len(sa->seal), 16);
	for (unsigned int i = 0; i < n; i++) { /* a counter: each above the one before */
		struct ike_builder b;
		size_t len;

		puppet_begin(net, 0, &b, IKE_X_INFORMATIONAL, false, 1);
		assert_int_equal(ike_build_seal(&b, sa->seal, &len), 0);
		assert_true(spw_get_be64(b.w.start + 32) > last);
		last = spw_get_be64(b.w.start + 32);
	}
	tape_free(net);
}

static void
fill_notify(struct ike_builder *b, void *ctx)
{
	ike_build_notify(b, *(const uint16_t *)ctx, 0, 0, "abc", 3);
}

static void
ike_016_unknown_errors_fail_an_answer_and_nothing_else(void **state)
{
	static const uint16_t unknown[] = {8000, 16000, 40000, 65535};
	struct net *net = tape_up(43);
	uint16_t error = 8000;

	for (size_t i = 0; i < 4; i++) {
		uint16_t type = unknown[i];
		const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_notify, &type);

		assert_true(t && t->plain_len == 0);
	}
	tape.drop_from[0] = IKE_X_CREATE_CHILD;
	ike_engine_rekey(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_CHILD);
	puppet_answer(net, 1, fill_notify, &error);
	tape.drop_from[0] = 0;
	assert_int_equal(net_status(net, 0).child_rekey_failures, 1);
	assert_int_equal(net_ike_sas(net, 0), 1);
	assert_true(net_agrees(net));
	net_run(net, 60 * NET_S);
	assert_int_equal(net_status(net, 0).child_rekeys, 1); /* tried again */
	tape_free(net);
}

/* An SA, and an error beside it. */
static void
fill_both(struct ike_builder *b, void *ctx)
{
	struct child_wish w = {.spi = 0x1234567};

	child_fill(b, &w);
	ike_build_notify(b, *(uint16_t *)ctx, 0, 0, NULL, 0);
}

static void
fill_both_ike(struct ike_builder *b, void *ctx)
{
	child_fill_ike_rekey(b, NULL);
	ike_build_notify(b, *(uint16_t *)ctx, 0, 0, NULL, 0);
}

static void
ike_016_an_error_fails_an_answer_whatever_stands_beside_it(void **state)
{
	static const struct {
		uint32_t what;
		void (*fill)(struct ike_builder *b, void *ctx);
	} t[] = {{SPW_IKE_RESET_CHILD, fill_both}, {SPW_IKE_RESET_IKE, fill_both_ike}};
	uint16_t error = 8000;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct net *net = tape_up(45);
		uint64_t spi = puppet_sa(net, 0)->spi_i;
		uint32_t child = child_spi(net, 0);

		tape.drop_from[0] = IKE_X_CREATE_CHILD;
		ike_engine_rekey(net->host[0].engine, net->now, "azure", t[i].what);
		puppet_answer(net, 1, t[i].fill, &error);
		tape.drop_from[0] = 0;
		assert_int_equal(net_ike_sas(net, 0), 1);
		assert_true(puppet_sa(net, 0)->spi_i == spi);
		assert_int_equal(child_spi(net, 0), child);
		assert_true(net_agrees(net));
		tape_free(net);
	}
}

static void
more_vendors(struct ike_builder *b)
{
	ike_build_bytes(b, IKE_P_VENDOR, VENDOR_MS, 20);
	ike_build_bytes(b, IKE_P_VENDOR, "MS-Negotiation Discovery Capable", 32);
	ike_build_bytes(b, IKE_P_VENDOR, "\033[31m\0\xff", 7);
	ike_build_bytes(b, IKE_P_VENDOR, "", 0);
}

static void
ike_017_vendor_ids_are_ignored(void **state)
{
	struct net *net = init_responder(44);
	const struct init_parts p = {.spi_i = 1, .head = more_vendors, .more = more_vendors};

	const struct taped *answer = init_ask(net, &p);

	assert_true(answer != NULL && answer->m.has_ke);
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_014_any_padding_is_taken_that_is_no_longer_than_the_text),
		cmocka_unit_test(ike_015_what_stands_before_the_encrypted_payload_is_covered),
		cmocka_unit_test(ike_015_aead_takes_no_integrity_and_no_iv_twice),
		cmocka_unit_test(ike_016_unknown_errors_fail_an_answer_and_nothing_else),
		cmocka_unit_test(ike_016_an_error_fails_an_answer_whatever_stands_beside_it),
		cmocka_unit_test(ike_017_vendor_ids_are_ignored),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
