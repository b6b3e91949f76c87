/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One call fails, each in its turn: memory, locked memory, and every call into OpenSSL that makes,
 * computes or converts something.
 *
 * The engine's own files are compiled anew with those calls by other names (failpoint.def), which
 * count, and fail once when the count is reached; the tests' files keep the real ones. A run brings
 * two engines up, rekeys the child with PFS and the IKE SA, and deletes, with the failure somewhere
 * in it. Whatever it hits: nobody crashes; neither side believes in an SA that the other does not
 * have; what was given up is made good later by the engines alone; every block of memory is freed,
 * every SA, SPI and record of the escrow gone at the end (net_free(), and the sanitizer for what
 * OpenSSL holds). Randomness is not here: a draw that fails ends the process, which is a test of
 * its own. A sample by seed; SPW_LONG=1 takes every call.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>

#include "tests/ike/net.h"

#define SAMPLE 120

static unsigned long count;   /* calls so far */
static unsigned long fail_at; /* 0 = none */
static bool fail_all;
static const char *failed; /* the call that was made to fail */
static long blocks;	   /* of memory that ike/ holds */
static bool armed;

static bool
fails(const char *name)
{
	if (!armed || (++count != fail_at && !fail_all))
		return false;
	failed = name;
	return true;
}

#define FAILPOINT(result, name, failure, parameters, arguments) result failpoint_##name parameters;
#include "tests/ike/failpoint.def"
#define FAILPOINT(result, name, failure, parameters, arguments) \
	result failpoint_##name parameters                      \
	{                                                       \
		return fails(#name) ? failure : name arguments; \
	}
#include "tests/ike/failpoint.def"

/* Memory is counted as well. */
void *failpoint_malloc(size_t size);
void *failpoint_calloc(size_t n, size_t size);
void *failpoint_realloc(void *p, size_t size);
void failpoint_free(void *p);

void *
failpoint_malloc(size_t size)
{
	void *p = fails("malloc") ? NULL : malloc(size);

	blocks += p != NULL;
	return p;
}

void *
failpoint_calloc(size_t n, size_t size)
{
	void *p = fails("calloc") ? NULL : calloc(n, size);

	blocks += p != NULL;
	return p;
}

void *
failpoint_realloc(void *p, size_t size)
{
	void *moved = fails("realloc") ? NULL : realloc(p, size);

	blocks += moved && !p;
	return moved;
}

void
failpoint_free(void *p)
{
	blocks -= p != NULL;
	free(p);
}

/* ---- a run ---- */

static void
set(struct net *net, int i, uint32_t mode)
{
	struct net_host *h = &net->host[i];
	struct spw_err err = {0};
	int rc;

	h->conn = net_conn(net, i);
	h->conn.mode = mode;
	h->conn.esp[0].group = SPW_GROUP_ECP256;
	h->has_conn = true;
	rc = ike_engine_conn_set(h->engine, net->now, &h->conn, &err);
	if (rc == 0)
		return;
	assert_non_null(failed);
	assert_true((rc == -ENOMEM || rc == -EIO) &&
		    strlen(err.text) > 10); /* and nothing has changed: */
	assert_int_equal(ike_engine_status(h->engine, NULL, 0), 0);
	assert_int_equal(ike_engine_conn_set(h->engine, net->now, &h->conn, &err), 0);
}

/* A rekey that is said to be done has made another SA. */
static void
rekey(struct net *net, int i, uint32_t what)
{
	const struct spw_ike_status before = net_status(net, i);
	uint32_t active = net->host[i].active;

	(void)ike_engine_rekey(net->host[i].engine, net->now, "azure", what);
	net_run(net, 2 * NET_S);
	const struct spw_ike_status after = net_status(net, i);

	if (after.child_rekeys > before.child_rekeys && net->host[i].active == active)
		fail_msg("call %lu (%s): a child rekey is counted that did not happen", fail_at,
			 failed);
	if (after.ike_rekeys > before.ike_rekeys && after.spi_i == before.spi_i)
		fail_msg("call %lu (%s): an IKE rekey is counted that did not happen", fail_at,
			 failed);
}

static unsigned long
run(unsigned long at)
{
	struct net *net = net_new(7);

	count = 0;
	fail_at = at;
	failed = NULL;
	armed = true;
	set(net, 0, SPW_IKE_MODE_BOTH);
	set(net, 1, SPW_IKE_MODE_RESPOND);
	if (!net_run_up(net, 200 * NET_S))
		fail_msg("call %lu (%s): the tunnel never comes up", at, failed);
	net_run(net, 1 * NET_S);
	rekey(net, 0, SPW_IKE_RESET_CHILD);
	rekey(net, 1, SPW_IKE_RESET_IKE);
	rekey(net, 1, SPW_IKE_RESET_CHILD);
	(void)ike_engine_reset(net->host[1].engine, net->now, "azure", SPW_IKE_RESET_CHILD);
	net_run(net, 5 * NET_S);
	armed = false;
	net_run(net, 200 * NET_S); /* what was given up is found out by DPD and mended */
	if (!net_up(net, 0) || !net_up(net, 1) || !net_agrees(net))
		fail_msg("call %lu (%s): the sides do not come together again", at, failed);
	net_free(net);
	if (blocks != 0)
		fail_msg("call %lu (%s): %ld blocks of memory are left", at, failed, blocks);
	return count;
}

static unsigned long all; /* calls of an undisturbed run */

static void
an_undisturbed_run_frees_all_it_took(void **state)
{
	assert_int_equal(ike_crypto_self_test(&(struct spw_err){0}), 0);
	all = run(0);
	assert_null(failed);
	assert_true(all > 1000);
	assert_int_equal(run(0), all); /* the same calls each time, or the rest proves little */
}

static void
any_one_call_may_fail(void **state)
{
	bool every = getenv("SPW_LONG") != NULL;
	uint64_t rng = 20240607;
	unsigned int n = 0;

	for (unsigned long at = 1; at <= all; n++) {
		run(at);
		if (!failed)
			fail_msg("call %lu was not made to fail", at);
		at += every ? 1 : 1 + net_random(&rng) % (2 * all / SAMPLE);
	}
	printf("# %u of %lu calls failed in turn\n", n, all);
}

/* Each kind of call at its first use, so that a sample leaves none out. */
static void
each_kind_of_call_may_fail(void **state)
{
	static const char *seen[64];
	unsigned int n = 0;

	for (unsigned long at = 1; at <= all && at < 400; at++) {
		bool known = false;

		run(at);
		for (unsigned int i = 0; i < n; i++)
			known |= strcmp(seen[i], failed) == 0;
		if (!known && n < 64)
			seen[n++] = failed;
	}
	assert_true(n >= 15);
}

/* A tunnel up, then its peer silent for so long; nothing more can be had from now on. */
static struct net *
starved(uint64_t wait)
{
	struct net *net = net_new(8);

	set(net, 0, SPW_IKE_MODE_BOTH);
	set(net, 1, SPW_IKE_MODE_RESPOND);
	assert_true(net_run_up(net, 20 * NET_S));
	net->now += wait;
	fail_all = armed = true;
	return net;
}

/* What cannot be begun is begun again later, not at once and for ever. */
static void
a_request_that_cannot_be_made_waits(void **state)
{
	enum { DELETE, PROBE, TOKEN, ASKED, WAYS };

	for (int way = 0; way < WAYS; way++) {
		struct net *net = starved(way == PROBE ? 100 * NET_S : 0);
		struct ike_engine *e = net->host[0].engine;
		struct ike_sa *sa = e->sas;

		sa->token_owed = way == TOKEN;
		if (way == ASKED) { /* by a hint: nothing else would ever ask */
			sa->conn->set.dpd_delay_s = 0;
			sa->probe_wanted = true;
		}
		if (way == DELETE)
			(void)ike_engine_reset(e, net->now, "azure", SPW_IKE_RESET_CHILD);
		ike_wake(sa);
		(void)ike_engine_tick(e, net->now);
		assert_int_equal(sa->req.task, IKE_TASK_NONE);
		assert_true(ike_engine_wakeup(e) >= net->now + 900 * NET_MS);
		fail_all = armed = false;
		(void)ike_engine_tick(e, ike_engine_wakeup(e));
		assert_int_equal(sa->req.task,
				 way == DELETE ? IKE_TASK_CHILD_DELETE : IKE_TASK_PROBE);
		assert_false(sa->token_owed);
		net_free(net);
	}
}

static void
op_random(void *ctx, void *buf, size_t len)
{
	memset(buf, 7, len);
}

/* An engine that cannot be made is not there, and has taken nothing. */
static void
an_engine_is_made_whole_or_not_at_all(void **state)
{
	static const struct ike_ops none = {.random = op_random};
	const struct ike_engine_config config = {.ops = &none};
	struct ike_engine *e = NULL;
	unsigned long at = 0;
	int rc;

	do {
		count = 0;
		fail_at = ++at;
		failed = NULL;
		armed = true;
		rc = ike_engine_new(&e, &config, 1);
		armed = false;
		if (failed) {
			assert_true(rc < 0);
			assert_null(e);
			assert_int_equal(blocks, 0);
		}
	} while (failed);
	assert_true(at > 1);
	assert_int_equal(rc, 0);
	ike_engine_free(e);
	assert_int_equal(blocks, 0);
}

/*
 * Only where the self-test wants a refusal, of a message that was tampered with, is a failing call
 * what is wanted.
 */
static bool
may_be_wanted(const char *name)
{
	return strncmp(name, "EVP_Decrypt", 11) == 0 || strncmp(name, "EVP_CIPHER_CTX", 14) == 0 ||
	       strncmp(name, "EVP_MAC", 7) == 0;
}

/* A machine that computes wrongly is not trusted: the self-test says what failed. */
static void
the_self_test_fails_with_its_calls(void **state)
{
	struct spw_err err = {0};
	unsigned long n, wanted = 0;

	count = fail_at = 0;
	armed = true;
	assert_int_equal(ike_crypto_self_test(&err), 0);
	n = count;
	assert_true(n > 100);
	for (unsigned long at = 1; at <= n; at++) {
		err.text[0] = '\0';
		count = 0;
		fail_at = at;
		failed = NULL;
		if (ike_crypto_self_test(&err) != 0)
			assert_true(strlen(err.text) > 10);
		else if (failed && may_be_wanted(failed))
			wanted++;
		else
			fail_msg("call %lu (%s) failed and the self-test did not", at, failed);
		assert_int_equal(blocks, 0);
	}
	assert_true(wanted < n / 8);
}

/* What a test that failed has left is not counted against the next. */
static int
setup(void **state)
{
	blocks = 0;
	armed = fail_all = false;
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_undisturbed_run_frees_all_it_took, setup),
		cmocka_unit_test_setup(any_one_call_may_fail, setup),
		cmocka_unit_test_setup(each_kind_of_call_may_fail, setup),
		cmocka_unit_test_setup(a_request_that_cannot_be_made_waits, setup),
		cmocka_unit_test_setup(an_engine_is_made_whole_or_not_at_all, setup),
		cmocka_unit_test_setup(the_self_test_fails_with_its_calls, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
