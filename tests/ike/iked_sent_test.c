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
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ike/iked/conns.h"
#include "ike/iked/iked.h"
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

static int
bound(const struct spw_addr *addr, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = spw_addr_to_sockaddr(addr, port, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

/* Both behind NATs: the mapping of ours that ESP uses is the one to where the peer's NAT has it. */
static void
nat_08_a_keepalive_goes_where_esp_goes(void **state)
{
	const struct spw_addr local = {.family = AF_INET, .bytes = {127, 77, 0, 1}};
	const struct spw_addr peer = {.family = AF_INET, .bytes = {127, 77, 0, 2}};
	int ours[2] = {bound(&local, 500), bound(&local, 4500)};
	int moved = bound(&peer, 31001), standard = bound(&peer, 4500);
	struct iked d = {.base = event_base_new()};
	uint8_t byte = 0;

	assert_int_equal(iked_udp_set(&d, &local, ours, NULL), 0);
	iked_udp_keepalive(&d, &local, &peer, 31001);
	assert_int_equal(recv(moved, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, 0xff);
	assert_int_equal(recv(standard, &byte, 1, MSG_DONTWAIT), -1);
	iked_udp_keepalive(&d, &local, &peer, 0);
	assert_int_equal(recv(standard, &byte, 1, MSG_DONTWAIT), 1);
	iked_udp_stop(&d);
	event_base_free(d.base);
	close(moved);
	close(standard);
}

/* As they are added, one after another, so they are when appended and sorted. */
static void
a_list_that_is_sorted_at_the_end_is_the_same(void **state)
{
	struct iked_sas one = {0}, all = {0};
	uint32_t spi = 1;

	for (uint32_t i = 0; i < 500; i++) {
		spi = spi * 1664525u + 1013904223u;
		assert_int_equal(iked_sas_add(&one, spi, spi >> 8 & 15, false), 0);
		assert_non_null(iked_sas_append(&all, spi, spi >> 8 & 15));
	}
	iked_sas_sort(&all);
	assert_int_equal(all.n, 500);
	assert_memory_equal(&one.cap, &all.cap, sizeof(all.cap));
	for (uint32_t i = 0; i < 500; i++) {
		assert_int_equal(one.sa[i].spi_in, all.sa[i].spi_in);
		iked_sas_find(&all, one.sa[i].spi_in)->sent = 1;
		iked_sas_find(&one, one.sa[i].spi_in)->sent = 1;
	}
	for (uint32_t tunnel = 0; tunnel < 16; tunnel++)
		assert_int_equal(iked_sas_sent(&one, tunnel), iked_sas_sent(&all, tunnel));
	for (uint32_t i = 0; i < 500; i++)
		iked_sas_del(&all, one.sa[i].spi_in);
	assert_int_equal(all.n, 0);
	assert_int_equal(iked_sas_sent(&all, 3), 0);
	iked_sas_clear(&one);
	iked_sas_clear(&all);
}

/* A data plane that says one twice, of one tunnel and of two. */
static void
an_sa_that_is_listed_twice_is_one(void **state)
{
	static const uint32_t listed[][2] = {{7, 1}, {9, 1}, {7, 1}, {9, 2}, {7, 1}, {8, 2}};
	struct iked_sas sas = {0};

	for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
		assert_non_null(iked_sas_append(&sas, listed[i][0], listed[i][1]));
	iked_sas_sort(&sas);
	assert_int_equal(sas.n, 3);
	iked_sas_find(&sas, 8)->sent = 5;
	assert_int_equal(iked_sas_sent(&sas, 2), 5); /* and every walk ends */
	assert_int_equal(iked_sas_sent(&sas, 1), 0);
	for (uint32_t spi = 7; spi < 10; spi++)
		iked_sas_del(&sas, spi);
	assert_int_equal(sas.n, 0);
	assert_int_equal(iked_sas_sent(&sas, 1) + iked_sas_sent(&sas, 2), 0);
	iked_sas_clear(&sas);
}

/* Twenty times as many as there may be; in their place one after another they took a minute. */
static void
a_list_is_read_in_no_time_however_long_it_is(void **state)
{
	uint64_t began = spw_clock_ns();
	struct iked_sas sas = {0};
	uint32_t spi = 1;

	for (uint32_t i = 0; i < 400000; i++) {
		spi = spi * 1664525u + 1013904223u;
		assert_non_null(iked_sas_append(&sas, spi, i));
	}
	iked_sas_sort(&sas);
	assert_true(spw_clock_ns() - began < 5 * S);
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
		cmocka_unit_test(nat_08_a_keepalive_goes_where_esp_goes),
		cmocka_unit_test(a_list_that_is_sorted_at_the_end_is_the_same),
		cmocka_unit_test(an_sa_that_is_listed_twice_is_one),
		cmocka_unit_test(a_list_is_read_in_no_time_however_long_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
