/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The decapsulation table of RFC 6040 4.2.
 *
 * The codepoints are 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE. The outer mark adds to the inner one and
 * never takes away; a CE mark on a packet whose sender does not know ECN is a drop, because the
 * router that marked it would otherwise have dropped it.
 */
#include "dataplane/ecn.h"

const uint8_t dp_ecn_table[4][4] = {
	/* outer: Not-ECT, ECT(1), ECT(0), CE */
	[0] = {0, 0, 0, DP_ECN_DROP},
	[1] = {1, 1, 1, 3},
	[2] = {2, 1, 2, 3},
	[3] = {3, 3, 3, 3},
};
