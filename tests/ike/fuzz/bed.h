/* SPDX-License-Identifier: BSD-3-Clause */
/* What the fuzz targets of the engine share: two engines in a state, messages with true keys, the
 * invariants that are checked whatever came in. */
#ifndef SPW_TESTS_IKE_FUZZ_BED_H
#define SPW_TESTS_IKE_FUZZ_BED_H

#include "tests/ike/net.h"

#define FUZZ_STATES 20

/*
 * Two engines brought to one of FUZZ_STATES states (fresh, half open, dialling, AUTH sent,
 * established, rekeying a child or the IKE SA on one side or both, closing, behind a NAT, killed
 * and restored, ...). In states below FUZZ_STRANGER the pre-shared keys differ and nothing may ever
 * be established.
 */
#define FUZZ_STRANGER 4
struct net *fuzz_bring(unsigned int state);
/* Check what must hold, that a handshake still comes through, and that nothing is left; frees. */
void fuzz_finish(struct net *net, unsigned int state);

/* A datagram to host `to` from the other, on port 500, as it is. */
void fuzz_put(struct net *net, int to, const uint8_t *bytes, size_t len);
/* How a message is sealed for a host in the name of its peer. */
struct fuzz_sealing {
	int to;
	uint8_t exchange; /* 0 = that of the request which waits */
	bool response;
	bool again;	       /* the message id before the one that is due */
	uint16_t piece, total; /* of an SKF payload; total 0 = SK */
	uint8_t first;	       /* type of the first payload inside */
};
/* Seal with the true keys and deliver; nothing when there are none. */
void fuzz_put_sealed(struct net *net, const struct fuzz_sealing *how, const uint8_t *plain,
		     size_t len);
/*
 * Payloads from a program of one to three bytes a step (bed.c says which): a chain that is mostly
 * right, so that what is inside gets tried. Returns its length in `out` and *first.
 */
size_t fuzz_chain(const struct net *net, int to, const uint8_t *program, size_t len, uint8_t *out,
		  size_t size, uint8_t *first);
/* Stop the run: an invariant does not hold. */
void fuzz_broken(const char *what) __attribute__((noreturn));

#endif
