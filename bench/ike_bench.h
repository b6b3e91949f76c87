/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two programs of bench/ike.py share: the addresses and settings of a tunnel. */
#ifndef SPW_BENCH_IKE_BENCH_H
#define SPW_BENCH_IKE_BENCH_H

#include <stdio.h>
#include <string.h>

#include "lib/spillway.h"

#define BENCH_IKE_MAX	4096		     /* peers */
#define BENCH_IKE_FIRST UINT32_C(0x0a4d0000) /* 10.77.0.0 */
#define BENCH_IKE_NAME	"t%u"
#define BENCH_IKE_PSK	"a pre-shared key for measuring 1"

/* Peer i (0..): 10.77.(i / 256).(i % 256). The daemon under test is 10.78.0.1. */
static inline struct spw_addr
bench_ike_peer(unsigned int i)
{
	return spw_addr_v4(BENCH_IKE_FIRST + i);
}

static inline struct spw_addr
bench_ike_daemon(void)
{
	return spw_addr_v4(UINT32_C(0x0a4e0001));
}

/*
 * The settings of tunnel i: AES256-GCM, SHA384 and ECP384 for IKE and, with PFS, for ESP; no timer
 * comes due while it is measured. Seen from the daemon, or (peer) from the other end.
 */
static inline struct spw_ike_conn
bench_ike_conn(unsigned int i, bool peer, uint32_t mode)
{
	struct spw_addr ends[2] = {bench_ike_daemon(), bench_ike_peer(i)};
	struct spw_selector any = {
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
	struct spw_ike_conn c = {.tunnel = i + 1,
				 .generation = 1,
				 .local = ends[peer],
				 .remote = ends[!peer],
				 .mode = mode,
				 .psk_len = sizeof(BENCH_IKE_PSK) - 1,
				 .n_ike = 1,
				 .n_esp = 1,
				 .ike_rekey_s = 28800,
				 .dpd_timeout_s = 120,
				 .replay_window = 1024,
				 .child_seconds = {27000, 28000},
				 .n_local = 1,
				 .n_remote = 1};

	snprintf(c.name, sizeof(c.name), BENCH_IKE_NAME, i);
	memcpy(c.psk, BENCH_IKE_PSK, c.psk_len);
	c.ike[0] = (struct spw_ike_proposal){SPW_ENCR_AES256_GCM, SPW_INTEG_NONE,
					     SPW_PRF_HMAC_SHA384, SPW_GROUP_ECP384};
	c.esp[0] = (struct spw_ike_proposal){SPW_ENCR_AES256_GCM, SPW_INTEG_NONE, SPW_PRF_NONE,
					     SPW_GROUP_ECP384};
	c.sel_local[0] = c.sel_remote[0] = any;
	return c;
}

#endif
