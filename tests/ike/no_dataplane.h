/* SPDX-License-Identifier: BSD-3-Clause */
/* The world of an engine whose data plane is nothing. */
#ifndef SPW_TESTS_IKE_NO_DATAPLANE_H
#define SPW_TESTS_IKE_NO_DATAPLANE_H

#include "ike/ike.h"

/*
 * Operations of a data plane that succeed and do nothing; random numbers are the kernel's, no
 * packet ever came in, and nobody wants to know of tunnels. `send` and `spi_alloc` are left to the
 * caller, who may set others of its own too.
 */
struct ike_ops no_dataplane_ops(void);

#endif
