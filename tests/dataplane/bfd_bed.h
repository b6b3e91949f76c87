/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of BFD share: times, and the packets of a peer. */
#ifndef SPW_TESTS_DATAPLANE_BFD_BED_H
#define SPW_TESTS_DATAPLANE_BFD_BED_H

#include "dataplane/bfd.h"

#define MS   SPW_NS_PER_MS
#define US   SPW_NS_PER_US
#define T0   UINT64_C(5000000000)
#define OURS 0x11111111u
#define PEER 0x22222222u

/* A peer's packet to us in this state: 50 ms both ways, three times. */
static inline struct dp_bfd_packet
bed_says(uint8_t state)
{
	return (struct dp_bfd_packet){.state = state,
				      .mult = 3,
				      .my_disc = PEER,
				      .your_disc = OURS,
				      .min_tx_us = 50000,
				      .min_rx_us = 50000};
}

#endif
