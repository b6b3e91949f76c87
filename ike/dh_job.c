/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker does with a job of Diffie-Hellman.
 *
 * A job holds all it needs: the peer's value is a copy, and a key pair that a request of ours is
 * waiting with is a second one of the same private value, so that nothing of an IKE SA is read or
 * written while another thread computes. All secrets are in guarded memory or in OpenSSL's locked
 * heap; both are there for every thread. Nothing of an engine is known here.
 */
#include <stdlib.h>

#include "ike/dh.h"

void
ike_dh_job_run(struct ike_dh_job *job)
{
	job->rc = job->own ? 0 : ike_dh_new(&job->dh, job->group);
	if (job->rc == 0 && job->share)
		job->rc = ike_dh_shared(job->dh, job->peer, job->peer_len, &job->shared);
}

void
ike_dh_job_free(struct ike_dh_job *job)
{
	if (!job)
		return;
	ike_dh_free(job->dh);
	spw_secret_free(&job->shared);
	free(job);
}
