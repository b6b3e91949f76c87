/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the command line. */
#ifndef SPW_DATAPLANE_OPTIONS_H
#define SPW_DATAPLANE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/worker_loop.h"
#include "lib/spillway.h"

#define DP_WORKERS_MAX 32
#define DP_MBUF_SPARE  64 /* of a buffer, kept for what stands around an IP packet */

struct dp_options {
	const char *run_dir;
	const char *file_prefix;
	unsigned int n_workers;
	int core[DP_WORKERS_MAX]; /* CPU of each worker, -1 = not pinned */
	bool no_huge;
	uint32_t memory_mb; /* 0 = as needed, only with hugepages */
	uint32_t max_routes;
	uint32_t max_routes6;
	uint32_t max_sas;
	uint32_t mbufs;
	uint32_t mbuf_size; /* packet bytes in a buffer, headroom not counted */
	enum dp_polling polling;
	uid_t iked_uid;
	uid_t control_uid;
	gid_t socket_gid; /* (gid_t)-1 = unchanged */
	enum spw_log_level log_level;
};

/*
 * Parse the command line. 0; 1 when --help or --version was answered (leave with success); or
 * -EINVAL with a sentence.
 */
int dp_options_parse(struct dp_options *o, int argc, char **argv, struct spw_err *err)
	__attribute__((warn_unused_result));

#endif
