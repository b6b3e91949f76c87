/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser and builder of IKE messages: round trips, every truncation, every cap exactly and one
 * above, lies in every length field, unknown payloads with and without the critical bit.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

static uint8_t buf[IKE_DATAGRAM_MAX];

static size_t
sample(struct ike_builder *b)
{
	const struct ike_header h = {.spi_i = 1, .exchange = IKE_X_SA_INIT, .mid = 7};
	const struct spw_ike_proposal p[2] = {{SPW_ENCR_AES256_GCM, 0, SPW_PRF_HMAC_SHA256, 1},
					      {SPW_ENCR_AES128_CBC, SPW_INTEG_HMAC_SHA1_96,
					       SPW_PRF_HMAC_SHA1, SPW_GROUP_MODP2048}};
	const struct spw_ike_id id = {.type = SPW_ID_FQDN, .len = 5, .data = "hello"};
	const struct spw_selector ts[2] = {{.low = spw_addr_v4(1),
					    .high = spw_addr_v4(9),
					    .port_low = 80,
					    .port_high = 81,
					    .protocol = 6},
					   {.low = {.family = AF_INET6},
					    .high = {.family = AF_INET6, .bytes = {0xff}},
					    .port_high = 65535}};
	const uint32_t spis[2] = {0x1001, 0x1002};
	uint8_t fill[64] = {0xaa};
	size_t len;

	ike_build_start(b, buf, sizeof(buf), &h);
	ike_build_notify(b, IKE_N_COOKIE, 0, 0, fill, 20);
	ike_build_sa(b, IKE_PROTO_IKE, 0x1122334455667788, 8, p, 2, 1, true);
	ike_build_ke(b, 19, fill, 64);
	ike_build_bytes(b, IKE_P_NONCE, fill, 32);
	ike_build_id(b, IKE_P_IDI, &id);
	ike_build_auth(b, fill, 32);
	ike_build_ts(b, IKE_P_TSI, ts, 2);
	ike_build_ts(b, IKE_P_TSR, ts, 1);
	ike_build_notify(b, IKE_N_REKEY_SA, IKE_PROTO_ESP, 0xabcdef01, NULL, 0);
	ike_build_delete(b, spis, 2);
	assert_int_equal(ike_build_finish(b, &len), 0);
	return len;
}

static int
parse(struct ike_msg *m, const uint8_t *bytes, size_t len)
{
	int rc = ike_wire_header(&m->hdr, bytes, len);

	return rc ? rc
		  : ike_wire_payloads(m, m->hdr.next, bytes + IKE_HEADER_LEN, len - IKE_HEADER_LEN);
}

static void
what_is_built_is_parsed(void **state)
{
	struct ike_builder b;
	struct ike_msg m;
	size_t len = sample(&b);

	assert_int_equal(parse(&m, buf, len), 0);
	assert_int_equal(m.hdr.mid, 7);
	assert_true(m.has_sa && m.has_ke && m.has_nonce && m.has_idi && m.has_auth && m.has_tsi &&
		    m.has_tsr && !m.has_idr);
	assert_int_equal(m.sa.n_proposals, 2);
	assert_true(m.sa.proposal[1].spi == 0x1122334455667788);
	assert_int_equal(m.sa.proposal[0].count, 3);
	assert_int_equal(m.sa.proposal[1].count, 4);
	assert_int_equal(m.sa.transform[0].key_bits, 256);
	assert_int_equal(m.ke_group, 19);
	assert_int_equal(m.ke.len, 64);
	assert_int_equal(m.nonce.len, 32);
	assert_memory_equal(m.idi.data.bytes, "hello", 5);
	assert_int_equal(m.idi.raw.len, 9);
	assert_int_equal(m.tsi.count, 2);
	assert_int_equal(m.tsi.ts[0].port_low, 80);
	assert_int_equal(m.tsi.ts[1].low.family, AF_INET6);
	assert_int_equal(m.n_notifies, 2);
	assert_int_equal(ike_wire_notify(&m, IKE_N_REKEY_SA)->spi, 0xabcdef01);
	assert_int_equal(m.n_deletes, 1);
	assert_int_equal(ike_wire_delete_spi(&m.del[0], 1), 0x1002);
	assert_null(ike_wire_error(&m));
}

static void
every_truncation_is_refused(void **state)
{
	struct ike_builder b;
	struct ike_msg m;
	size_t len = sample(&b);

	for (size_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n ? n : 1); /* exact size, for the sanitizer */

		memcpy(copy, buf, n);
		if (n >= IKE_HEADER_LEN)
			spw_put_be32(copy + 24, (uint32_t)n);
		assert_int_not_equal(parse(&m, copy, n), 0);
		free(copy);
	}
}

/* Each byte set to each of some values: never a crash, and what is accepted is consistent. */
static void
no_byte_can_do_harm(void **state)
{
	static const uint8_t values[] = {0, 1, 3, 4, 7, 8, 0x7f, 0x80, 0xff};
	struct ike_builder b;
	struct ike_msg m;
	size_t len = sample(&b);

	for (size_t at = 16; at < len; at++)
		for (size_t v = 0; v < sizeof(values); v++) {
			uint8_t *copy = malloc(len);

			memcpy(copy, buf, len);
			copy[at] = values[v];
			if (parse(&m, copy, len) == 0) {
				assert_true(m.sa.n_transforms <= IKE_MAX_TRANSFORMS);
				assert_true(m.tsi.count <= IKE_MAX_TS);
			}
			free(copy);
		}
}

static void
header_rules(void **state)
{
	struct ike_builder b;
	struct ike_header h;
	size_t len = sample(&b);

	assert_int_equal(ike_wire_header(&h, buf, len), 0);
	assert_int_not_equal(ike_wire_header(&h, buf, len - 1), 0);
	assert_int_not_equal(ike_wire_header(&h, buf, 27), 0);
	spw_put_be32(buf + 24, (uint32_t)len + 1);
	assert_int_not_equal(ike_wire_header(&h, buf, len), 0);
}

/* n payloads of one type, each with the same content. */
static int
many(uint8_t type, unsigned int n, const void *content, size_t content_len)
{
	const struct ike_header h = {.spi_i = 1, .exchange = IKE_X_INFORMATIONAL};
	struct ike_builder b;
	struct ike_msg m;
	size_t len;

	ike_build_start(&b, buf, sizeof(buf), &h);
	for (unsigned int i = 0; i < n; i++)
		ike_build_bytes(&b, type, content, content_len);
	assert_int_equal(ike_build_finish(&b, &len), 0);
	return parse(&m, buf, len);
}

static void
caps_are_ordinary_errors(void **state)
{
	const uint8_t notify[4] = {0, 0, 0x40, 0}, del[8] = {3, 4, 0, 1, 0, 0, 1, 0};

	assert_int_equal(many(IKE_P_VENDOR, IKE_MAX_PAYLOADS, "x", 1), 0);
	assert_int_equal(many(IKE_P_VENDOR, IKE_MAX_PAYLOADS + 1, "x", 1), -E2BIG);
	assert_int_equal(many(IKE_P_NOTIFY, IKE_MAX_NOTIFIES, notify, 4), 0);
	assert_int_equal(many(IKE_P_NOTIFY, IKE_MAX_NOTIFIES + 1, notify, 4), -E2BIG);
	assert_int_equal(many(IKE_P_DELETE, IKE_MAX_DELETES, del, 8), 0);
	assert_int_equal(many(IKE_P_DELETE, IKE_MAX_DELETES + 1, del, 8), -E2BIG);
}

static int
sa_of(unsigned int proposals, unsigned int transforms)
{
	static struct ike_sa_payload sa;
	struct spw_writer w;
	struct spw_reader r;

	spw_writer_init(&w, buf, sizeof(buf));
	for (unsigned int p = 0; p < proposals; p++) {
		spw_write_u8(&w, p + 1 == proposals ? 0 : 2);
		spw_write_u8(&w, 0);
		spw_write_u16(&w, (uint16_t)(8 + 8 * transforms));
		spw_write_u32(&w, (uint32_t)(p + 1) << 24 | 1 << 16 | transforms);
		for (unsigned int t = 0; t < transforms; t++) {
			spw_write_u32(&w, (t + 1 == transforms ? 0u : 3u) << 24 | 8);
			spw_write_u32(&w, 2u << 24 | 5);
		}
	}
	assert_false(w.bad);
	spw_reader_init(&r, buf, spw_writer_len(&w));
	return ike_wire_sa(&sa, r);
}

static void
proposal_and_transform_caps(void **state)
{
	assert_int_equal(sa_of(IKE_MAX_PROPOSALS, 1), 0);
	assert_int_equal(sa_of(IKE_MAX_PROPOSALS + 1, 1), -E2BIG);
	assert_int_equal(sa_of(2, IKE_MAX_TRANSFORMS / 2), 0);
	assert_int_equal(sa_of(3, IKE_MAX_TRANSFORMS / 2), -E2BIG);
	assert_int_equal(sa_of(1, 0), 0); /* no transform: a proposal nobody can take */
}

static int
ts_of(unsigned int claimed, unsigned int n)
{
	static struct ike_ts_payload ts;
	struct spw_writer w;
	struct spw_reader r;

	spw_writer_init(&w, buf, sizeof(buf));
	spw_write_u32(&w, claimed << 24);
	for (unsigned int i = 0; i < n; i++) {
		spw_write_u32(&w, 7u << 24 | 16);
		spw_write_u32(&w, 0xffff);
		spw_write_u64(&w, 0x0a0000010a000001);
	}
	spw_reader_init(&r, buf, spw_writer_len(&w));
	return ike_wire_ts(&ts, r);
}

static void
selector_counts(void **state)
{
	assert_int_equal(ts_of(IKE_MAX_TS, IKE_MAX_TS), 0);
	assert_int_equal(ts_of(IKE_MAX_TS + 1, IKE_MAX_TS + 1), -E2BIG);
	assert_int_equal(ts_of(0, 0), -EBADMSG);
	assert_int_equal(ts_of(2, 1), -EBADMSG);
	assert_int_equal(ts_of(1, 2), -EBADMSG);
}

static int
one(uint8_t type, bool critical, const void *content, size_t len, uint8_t *seen)
{
	const struct ike_header h = {.spi_i = 1, .exchange = IKE_X_INFORMATIONAL};
	struct ike_builder b;
	struct ike_msg m;
	size_t total;
	int rc;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_bytes(&b, type, content, len);
	buf[IKE_HEADER_LEN + 1] = critical ? 0x80 : 0;
	assert_int_equal(ike_build_finish(&b, &total), 0);
	rc = parse(&m, buf, total);
	*seen = m.critical;
	return rc;
}

static void
unknown_payloads_are_skipped_unless_critical(void **state)
{
	uint8_t c;

	assert_int_equal(one(200, false, "abc", 3, &c), 0);
	assert_int_equal(c, 0);
	assert_int_equal(one(200, true, "abc", 3, &c), 0);
	assert_int_equal(c, 200);
	assert_int_equal(one(IKE_P_VENDOR, true, "abc", 3, &c), 0); /* ignored on known types */
	assert_int_equal(c, 0);
	assert_int_equal(one(IKE_P_SK, false, "abc", 3, &c), -EBADMSG); /* never nested */
}

static void
payload_length_rules(void **state)
{
	const struct {
		uint8_t type;
		const char *bytes;
		size_t len;
		int rc;
	} t[] = {
		{IKE_P_NONCE, "0123456789abcde", 15, -EBADMSG},
		{IKE_P_NONCE, "0123456789abcdef", 16, 0},
		{IKE_P_KE, "\0\23\0\0", 4, -EBADMSG},
		{IKE_P_KE, "\0\23\0\0x", 5, 0},
		{IKE_P_IDI, "\1\0\0\0abc", 7, -EBADMSG}, /* an IPv4 identity of 3 bytes */
		{IKE_P_IDI, "\1\0\0\0abcd", 8, 0},
		{IKE_P_IDI, "\5\0\0\0abcd", 8, -EBADMSG},
		{IKE_P_IDI, "\2\0\0\0", 4, -EBADMSG},
		{IKE_P_AUTH, "\2\0\0", 3, -EBADMSG},
		{IKE_P_NOTIFY, "\3\4\100\11abc", 7, -EBADMSG}, /* SPI longer than the payload */
		{IKE_P_NOTIFY, "\3\377\100\11abcd", 8, -EBADMSG},
		{IKE_P_DELETE, "\3\4\377\377abcd", 8, -EBADMSG}, /* IKE-132 */
		{IKE_P_DELETE, "\3\0\0\1", 4, -EBADMSG},
		{IKE_P_DELETE, "\3\3\0\1abc", 7, -EBADMSG},
		{IKE_P_DELETE, "\1\0\0\0", 4, 0},
		{IKE_P_DELETE, "\1\0\0\1", 4, -EBADMSG},
		{IKE_P_DELETE, "\0\0\0\0", 4, -EBADMSG},
		{IKE_P_SA, "", 0, -EBADMSG},
	};
	uint8_t c;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (one(t[i].type, false, t[i].bytes, t[i].len, &c) != t[i].rc)
			fail_msg("row %zu", i);
}

static void
doubled_payloads_are_refused(void **state)
{
	assert_int_equal(many(IKE_P_NONCE, 2, "0123456789abcdef", 16), -EBADMSG);
	assert_int_equal(many(IKE_P_AUTH, 2, "\2\0\0\0abcd", 8), -EBADMSG);
	assert_int_equal(many(IKE_P_IDI, 2, "\1\0\0\0abcd", 8), -EBADMSG);
}

static void
builder_never_writes_past_its_buffer(void **state)
{
	struct ike_builder b;
	size_t full = sample(&b), len;
	const struct ike_header h = {.spi_i = 1};

	assert_true(full > 100);
	for (size_t size = 0; size < 200; size++) {
		uint8_t *small = malloc(size ? size : 1);
		uint8_t fill[64] = {0};

		ike_build_start(&b, small, size, &h);
		ike_build_bytes(&b, IKE_P_NONCE, fill, 64);
		ike_build_notify(&b, IKE_N_COOKIE, 0, 0, fill, 64);
		assert_int_equal(ike_build_finish(&b, &len), size >= 28 + 68 + 72 ? 0 : -ENOBUFS);
		free(small);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_built_is_parsed),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(no_byte_can_do_harm),
		cmocka_unit_test(header_rules),
		cmocka_unit_test(caps_are_ordinary_errors),
		cmocka_unit_test(proposal_and_transform_caps),
		cmocka_unit_test(selector_counts),
		cmocka_unit_test(unknown_payloads_are_skipped_unless_critical),
		cmocka_unit_test(payload_length_rules),
		cmocka_unit_test(doubled_payloads_are_refused),
		cmocka_unit_test(builder_never_writes_past_its_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
