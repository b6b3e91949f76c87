/* SPDX-License-Identifier: BSD-3-Clause */
/* CREATE_CHILD_SA by hand, on a tunnel that is up. */
#ifndef SPW_TESTS_IKE_PUPPET_CHILD_H
#define SPW_TESTS_IKE_PUPPET_CHILD_H

#include "tests/ike/puppet.h"

/* A CREATE_CHILD_SA request for a child; all zero = a new one without a key exchange. */
struct child_wish {
	uint32_t spi; /* of the sender, inbound */
	uint32_t rekey;
	uint8_t rekey_protocol; /* 0 = ESP */
	uint16_t ke;		/* group of a key exchange; 0 = none */
	const struct spw_ike_proposal *offer;
	const struct spw_selector *tsi, *tsr;
	uint8_t nonce_byte;
};

/* For puppet_ask(): the wish at ctx. */
void child_fill(struct ike_builder *b, void *ctx);
/* Host i asks the other one; the answer, which there must be. */
const struct taped *child_ask(struct net *net, int i, struct child_wish w);
/* For puppet_ask(): a rekey of the IKE SA; with a ctx the key exchange is missing. */
void child_fill_ike_rekey(struct ike_builder *b, void *ctx);
/* For puppet_ask(): a Delete of the child with the SPI at ctx (uint32_t); NULL = the IKE SA's. */
void child_fill_delete(struct ike_builder *b, void *ctx);
/* The error of an answer; 0 = none. */
uint16_t child_error(const struct taped *t);
/* The SPI that host i receives on. */
uint32_t child_spi(struct net *net, int i);
/*
 * Host 1 wants to begin something that host 0 never hears of; host 0 is the puppet. what:
 * SPW_IKE_RESET_CHILD or _IKE, to be rekeyed or deleted.
 */
struct net *child_waiting(uint64_t seed, uint32_t what, bool delete);

#endif
