/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a spillway-iked with taps tells of its secrets: records on the descriptor that SPW_TAP_FD
 * names, a struct tap_head and `len` bytes each.
 */
#ifndef SPW_TESTS_IKE_TAPPED_H
#define SPW_TESTS_IKE_TAPPED_H

#include <stdint.h>

#define TAP_FD_NAME "SPW_TAP_FD"
/* A call that the sandbox forbids, made when the first key pair is: see tapped.c. */
#define TAP_CANARY_NAME "SPW_TAP_CANARY"

enum tap_kind {
	TAP_DH_PRIVATE = 1, /* big-endian, without leading zeros */
	TAP_DH_SHARED,	    /* g^ir */
	TAP_SEED,	    /* SKEYSEED */
	TAP_PADDED_PSK,	    /* prf(PSK, pad), as good as the PSK for AUTH */
	TAP_IKE_KEYS,	    /* the block of all SK_* */
	TAP_CHILD_KEYS,	    /* KEYMAT of one child */
	TAP_KINDS,
};
struct tap_head {
	uint32_t kind;
	uint32_t len;
};

#endif
