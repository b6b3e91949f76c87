/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: starting and ending DPDK's environment. */
#ifndef SPW_DATAPLANE_EAL_H
#define SPW_DATAPLANE_EAL_H

#include "dataplane/options.h"

/*
 * Initialise the EAL: worker i gets lcore i; the calling thread becomes the main lcore. No device
 * is probed. 0 or -errno with a sentence. Once in a process.
 */
int dp_eal_start(const struct dp_options *o, struct spw_err *err)
	__attribute__((warn_unused_result));
/* End it and remove its run-time directory. */
void dp_eal_stop(const struct dp_options *o);

#endif
