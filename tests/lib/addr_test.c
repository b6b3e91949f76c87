/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and prefixes: text both ways, masks and containment against a bitwise model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/spillway.h"

static void
text_survives_a_round_trip(void **state)
{
	const char *const texts[] = {"10.1.0.0/16",   "0.0.0.0/0", "255.255.255.255/32",
				     "2001:db8::/32", "::/0",	   "172.16.0.1/30"};

	for (unsigned int i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct spw_prefix p;
		char out[SPW_PREFIX_TEXT];

		assert_int_equal(spw_prefix_parse(&p, texts[i], NULL), 0);
		assert_string_equal(spw_prefix_format(&p, out), texts[i]);
	}
}

static void
wrong_text_is_refused_with_a_sentence(void **state)
{
	const char *const texts[] = {
		"10.1.0.0/33", "10.1.0/16",   "10.1.0.0/",   "10.1.0.0/x",   "",
		"1.2.3.4/-1",  "::1/129",     "10.0.0.0/ 8", "fe80::1%eth0", "/8",
		"1.2.3.4.5/8", "10.0.0.0/8/8"};

	for (unsigned int i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct spw_prefix p = {.len = 77};
		struct spw_err err = {0};

		assert_int_equal(spw_prefix_parse(&p, texts[i], &err), -22);
		assert_int_equal(p.len, 77);
		assert_true(strlen(err.text) > 10);
	}
}

static bool
bit(const struct spw_addr *a, unsigned int n)
{
	return a->bytes[n / 8] >> (7 - n % 8) & 1;
}

static bool
contains_model(const struct spw_prefix *p, const struct spw_addr *a)
{
	if (p->addr.family != a->family)
		return false;
	for (unsigned int i = 0; i < p->len; i++)
		if (bit(&p->addr, i) != bit(a, i))
			return false;
	return true;
}

static void
mapped_form_survives_a_round_trip(void **state)
{
	static const char *const texts[] = {"192.0.2.1", "2001:db8::1", "0.0.0.0"};
	struct spw_addr a, none = {0}, back;
	uint8_t raw[16];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(spw_addr_parse(&a, texts[i], NULL), 0);
		spw_addr_to_mapped(&a, raw);
		back = spw_addr_from_mapped(raw);
		assert_true(spw_addr_equal(&a, &back));
	}
	spw_addr_to_mapped(&none, raw);
	assert_int_equal(spw_addr_from_mapped(raw).family, 0);
}

static void
containment_agrees_with_a_bitwise_model(void **state)
{
	srandom(7);
	for (int i = 0; i < 20000; i++) {
		struct spw_prefix p = {.addr = spw_addr_v4((uint32_t)random()),
				       .len = (uint8_t)(random() % 33)};
		struct spw_addr a = p.addr;

		a.bytes[random() % 4] ^= (uint8_t)(1 << random() % 8);
		assert_int_equal(spw_prefix_contains_addr(&p, &a), contains_model(&p, &a));
		struct spw_prefix m = spw_prefix_masked(&p);

		for (unsigned int b = 0; b < 32; b++)
			assert_int_equal(bit(&m.addr, b), b < p.len ? bit(&p.addr, b) : 0);
	}
}

static void
prefix_contains_only_longer_ones(void **state)
{
	struct spw_prefix wide, narrow, other;

	assert_int_equal(spw_prefix_parse(&wide, "10.0.0.0/8", NULL), 0);
	assert_int_equal(spw_prefix_parse(&narrow, "10.1.0.0/16", NULL), 0);
	assert_int_equal(spw_prefix_parse(&other, "11.0.0.0/16", NULL), 0);
	assert_true(spw_prefix_contains(&wide, &narrow));
	assert_true(spw_prefix_contains(&wide, &wide));
	assert_false(spw_prefix_contains(&narrow, &wide));
	assert_false(spw_prefix_contains(&wide, &other));
}

static void
socket_address_survives_a_round_trip(void **state)
{
	const char *const texts[] = {"192.0.2.7", "2001:db8::7"};

	for (int i = 0; i < 2; i++) {
		struct spw_addr a, b;
		struct sockaddr_storage ss;
		uint16_t port = 0;

		assert_int_equal(spw_addr_parse(&a, texts[i], NULL), 0);
		spw_addr_to_sockaddr(&a, 4500, &ss);
		assert_int_equal(spw_addr_from_sockaddr(&b, &port, &ss), 0);
		assert_true(spw_addr_equal(&a, &b));
		assert_int_equal(port, 4500);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_survives_a_round_trip),
		cmocka_unit_test(wrong_text_is_refused_with_a_sentence),
		cmocka_unit_test(mapped_form_survives_a_round_trip),
		cmocka_unit_test(containment_agrees_with_a_bitwise_model),
		cmocka_unit_test(prefix_contains_only_longer_ones),
		cmocka_unit_test(socket_address_survives_a_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
