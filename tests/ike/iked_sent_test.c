/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NAT keepalives beside what a tunnel sends anyway (RFC 3948 4): none while something else keeps
 * the mapping, and the first one a period after the last of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ike/iked/conns.h"
#include "ike/iked/sas.h"

#define S SPW_NS_PER_S

/* Each second, as the daemon does: how many keepalives until `to`, with so many packets a second.
 */
static unsigned int
keepalives(struct iked_conn *c, uint64_t from, uint64_t to, uint64_t *packets, uint64_t each)
{
	unsigned int n = 0;

	for (uint64_t t = from; t < to; t++) {
		*packets += each;
		iked_conn_sent(c, *packets, t * S);
		n += iked_conn_keepalive(c, true, t * S);
	}
	return n;
}

static void
nat_08_none_is_sent_while_something_else_is(void **state)
{
	struct iked_conn c = {.nat_keepalive_s = 20};
	uint64_t packets = 1000;

	assert_int_equal(keepalives(&c, 1, 100, &packets, 0), 4);
	assert_int_equal(keepalives(&c, 100, 500, &packets, 1), 0);
	assert_int_equal(keepalives(&c, 500, 519, &packets, 0), 0); /* 20 s after the last packet */
	assert_int_equal(keepalives(&c, 519, 520, &packets, 0), 1);
	assert_int_equal(keepalives(&c, 520, 600, &packets, 0), 4);
}

/* A rekeyed SA ends and takes its count along: that is nothing sent. */
static void
nat_08_an_sa_that_ends_is_nothing_sent(void **state)
{
	struct iked_conn c = {.nat_keepalive_s = 20};
	uint64_t packets = 1000;

	keepalives(&c, 1, 10, &packets, 0);
	packets = 10;
	assert_int_equal(keepalives(&c, 10, 21, &packets, 0), 0);
	assert_int_equal(keepalives(&c, 21, 22, &packets, 0), 1);
}

static void
nat_08_all_sas_of_a_tunnel_count_and_no_other(void **state)
{
	struct iked_sas sas = {0};

	assert_int_equal(iked_sas_sent(&sas, 7), 0);
	for (uint32_t spi = 0x1000; spi < 0x1010; spi++) {
		assert_int_equal(iked_sas_add(&sas, spi, spi % 2 ? 7 : 23, spi % 3 == 0), 0);
		iked_sas_find(&sas, spi)->sent = 1;
	}
	assert_int_equal(iked_sas_sent(&sas, 7), 8);
	assert_int_equal(iked_sas_sent(&sas, 23), 8);
	assert_int_equal(iked_sas_sent(&sas, 8), 0);
	iked_sas_clear(&sas);
}

/* What is about to be deleted has nothing to say of whether the peer lives. */
static void
an_sa_that_is_owed_its_deletion_is_no_sign_of_life(void **state)
{
	struct iked_sas sas = {0};

	assert_int_equal(iked_sas_add(&sas, 1, 7, false), 0);
	assert_int_equal(iked_sas_add(&sas, 2, 7, false), 0);
	iked_sas_find(&sas, 1)->last_in_ns = 100;
	iked_sas_find(&sas, 2)->last_in_ns = 200;
	assert_int_equal(iked_sas_last_in(&sas, 7), 200);
	iked_sas_find(&sas, 2)->owed = SPW_SA_PART_IN | SPW_SA_PART_OUT;
	assert_int_equal(iked_sas_last_in(&sas, 7), 100);
	iked_sas_find(&sas, 1)->owed = SPW_SA_PART_OUT; /* its inbound half lives on */
	assert_int_equal(iked_sas_last_in(&sas, 7), 100);
	iked_sas_clear(&sas);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nat_08_none_is_sent_while_something_else_is),
		cmocka_unit_test(nat_08_an_sa_that_ends_is_nothing_sent),
		cmocka_unit_test(nat_08_all_sas_of_a_tunnel_count_and_no_other),
		cmocka_unit_test(an_sa_that_is_owed_its_deletion_is_no_sign_of_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
