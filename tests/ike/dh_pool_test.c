/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads of the key exchange: every job comes back once and right, ranks go first, and an end
 * amid work leaves nothing. Built with -Db_sanitize=thread as well.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ike/iked/dh_pool.h"

static struct iked_dh_pool *
pool_new(unsigned int workers)
{
	struct iked_dh_pool *pool = NULL;
	struct spw_err err = {0};

	if (iked_dh_pool_new(&pool, workers, &err) != 0)
		fail_msg("%s", err.text);
	return pool;
}

static struct ike_dh_job *
job_new(enum ike_dh_rank rank, enum spw_group group, const struct ike_dh *peer)
{
	struct ike_dh_job *job = calloc(1, sizeof(*job));

	job->rank = rank;
	job->group = group;
	if (!peer)
		return job;
	job->share = true;
	job->peer_len = spw_group_info(group)->public_len;
	memcpy(job->peer, ike_dh_public(peer), job->peer_len);
	return job;
}

/* The next jobs that are done; fails when none is within 20 s. */
static struct ike_dh_job *
take(struct iked_dh_pool *pool, unsigned int max)
{
	struct pollfd p = {.fd = iked_dh_pool_fd(pool), .events = POLLIN};
	struct ike_dh_job *job;

	do
		assert_int_equal(poll(&p, 1, 20000), 1);
	while (!(job = iked_dh_pool_take(pool, max)));
	return job;
}

static void
every_job_comes_back_once_and_agrees_with_its_peer(void **state)
{
	enum { JOBS = 64 };
	struct iked_dh_pool *pool = pool_new(3);
	struct ike_dh *peer[JOBS];
	struct ike_dh_job *sent[JOBS];
	unsigned int back = 0;

	for (unsigned int i = 0; i < JOBS; i++) {
		enum spw_group g = i & 1 ? SPW_GROUP_X25519 : SPW_GROUP_ECP256;

		assert_int_equal(ike_dh_new(&peer[i], g), 0);
		sent[i] = job_new((enum ike_dh_rank)(i % IKE_DH_RANKS), g, peer[i]);
		iked_dh_pool_put(pool, sent[i]);
	}
	while (back < JOBS) {
		struct ike_dh_job *job = take(pool, 5);
		unsigned int n = 0;

		for (struct ike_dh_job *next; job; job = next, n++, back++) {
			size_t len = spw_group_info(job->group)->public_len;
			struct spw_secret same = {0};
			unsigned int i = 0;

			next = job->next;
			while (i < JOBS && sent[i] != job)
				i++;
			assert_true(i < JOBS);
			sent[i] = NULL;
			assert_int_equal(job->rc, 0);
			assert_int_equal(ike_dh_shared(peer[i], ike_dh_public(job->dh), len, &same),
					 0);
			assert_true(spw_secret_equal(&same, &job->shared));
			spw_secret_free(&same);
			ike_dh_job_free(job);
			ike_dh_free(peer[i]);
		}
		assert_in_range(n, 1, 5);
	}
	assert_null(iked_dh_pool_take(pool, 5));
	assert_int_equal(
		poll(&(struct pollfd){.fd = iked_dh_pool_fd(pool), .events = POLLIN}, 1, 0), 0);
	iked_dh_pool_free(pool);
}

/* Behind 40 strangers: served before most of them, and handed back first of what is done. */
static void
living_tunnels_go_first_and_strangers_last(void **state)
{
	struct iked_dh_pool *pool = pool_new(1);
	struct ike_dh_job *job;
	unsigned int strangers = 0, n = 0;

	for (int i = 0; i < 40; i++)
		iked_dh_pool_put(pool, job_new(IKE_DH_STRANGER, SPW_GROUP_MODP2048, NULL));
	iked_dh_pool_put(pool, job_new(IKE_DH_DIAL, SPW_GROUP_MODP2048, NULL));
	iked_dh_pool_put(pool, job_new(IKE_DH_LIVING, SPW_GROUP_MODP2048, NULL));
	for (bool living = false, dial = false; !living || !dial; n++) {
		job = take(pool, 1);
		living |= job->rank == IKE_DH_LIVING;
		if (job->rank == IKE_DH_DIAL)
			assert_true(living);
		dial |= job->rank == IKE_DH_DIAL;
		strangers += job->rank == IKE_DH_STRANGER;
		ike_dh_job_free(job);
	}
	assert_in_range(strangers, 0, 20); /* that were done while the others were put */
	for (; n < 42; n++)
		ike_dh_job_free(take(pool, 1));
	iked_dh_pool_free(pool);
}

static void
jobs_of_one_rank_keep_their_order(void **state)
{
	struct iked_dh_pool *pool = pool_new(1);
	struct ike_dh_job *sent[20];

	for (int i = 0; i < 20; i++) {
		sent[i] = job_new(IKE_DH_DIAL, SPW_GROUP_X25519, NULL);
		iked_dh_pool_put(pool, sent[i]);
	}
	for (int i = 0; i < 20; i++) {
		assert_ptr_equal(take(pool, 1), sent[i]);
		ike_dh_job_free(sent[i]);
	}
	iked_dh_pool_free(pool);
}

static void
a_bad_value_is_told_and_the_worker_goes_on(void **state)
{
	struct iked_dh_pool *pool = pool_new(1);
	struct ike_dh_job *job = job_new(IKE_DH_STRANGER, SPW_GROUP_ECP384, NULL);

	job->share = true;
	job->peer_len = 96; /* 0, 0 is no point */
	iked_dh_pool_put(pool, job);
	assert_ptr_equal(take(pool, 1), job);
	assert_int_equal(job->rc, -EINVAL);
	assert_null(job->shared.bytes);
	ike_dh_job_free(job);
	job = job_new(IKE_DH_STRANGER, SPW_GROUP_ECP384, NULL);
	iked_dh_pool_put(pool, job);
	assert_ptr_equal(take(pool, 1), job);
	assert_int_equal(job->rc, 0);
	ike_dh_job_free(job);
	iked_dh_pool_free(pool);
}

static void
an_end_amid_work_waits_for_no_queue(void **state)
{
	for (int n = 0; n < 4; n++) {
		struct iked_dh_pool *pool = pool_new(2);
		uint64_t began = spw_clock_ns();

		for (int i = 0; i < 2000; i++)
			iked_dh_pool_put(pool, job_new(IKE_DH_STRANGER, SPW_GROUP_MODP2048, NULL));
		iked_dh_pool_stop(pool);
		assert_true(spw_clock_ns() - began < SPW_NS_PER_S);
		iked_dh_pool_free(pool);
	}
}

static volatile sig_atomic_t taken_elsewhere;
static pthread_t loop;

static void
on_signal(int number)
{
	taken_elsewhere |= !pthread_equal(pthread_self(), loop);
}

/* A signal to the process is the event loop's, who leaves its poll for it. */
static void
workers_take_no_signals(void **state)
{
	struct iked_dh_pool *pool = pool_new(4);

	loop = pthread_self();
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 100; i++) {
		iked_dh_pool_put(pool, job_new(IKE_DH_DIAL, SPW_GROUP_X25519, NULL));
		kill(getpid(), SIGUSR1);
	}
	assert_int_equal(taken_elsewhere, 0);
	iked_dh_pool_free(pool);
}

static void
the_number_of_threads_is_checked(void **state)
{
	struct iked_dh_pool *pool;
	struct spw_err err = {0};

	assert_int_equal(iked_dh_pool_new(&pool, 0, &err), -EINVAL);
	assert_int_equal(iked_dh_pool_new(&pool, IKED_DH_WORKERS_MAX + 1, &err), -EINVAL);
	assert_non_null(strstr(err.text, "17 threads"));
	assert_int_equal(iked_dh_workers(1), 1);
	assert_int_equal(iked_dh_workers(3), 1);
	assert_int_equal(iked_dh_workers(4), 2);
	assert_int_equal(iked_dh_workers(128), 2);
}

static int
setup(void **state)
{
	struct spw_err err = {0};

	return spw_secret_init() == 0 && ike_crypto_self_test(&err) == 0 ? 0 : -1;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_comes_back_once_and_agrees_with_its_peer),
		cmocka_unit_test(living_tunnels_go_first_and_strangers_last),
		cmocka_unit_test(jobs_of_one_rank_keep_their_order),
		cmocka_unit_test(a_bad_value_is_told_and_the_worker_goes_on),
		cmocka_unit_test(an_end_amid_work_waits_for_no_queue),
		cmocka_unit_test(workers_take_no_signals),
		cmocka_unit_test(the_number_of_threads_is_checked),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, setup, NULL);
}
