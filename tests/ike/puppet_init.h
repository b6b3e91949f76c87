/* SPDX-License-Identifier: BSD-3-Clause */
/* IKE_SA_INIT by hand: requests of any form to host 1, answers to a host 0 that has dialled. */
#ifndef SPW_TESTS_IKE_PUPPET_INIT_H
#define SPW_TESTS_IKE_PUPPET_INIT_H

#include "tests/ike/puppet.h"

/* An IKE_SA_INIT request to host 1. */
struct init_parts {
	uint64_t spi_i, spi_r;
	uint32_t mid;
	uint16_t ke_group;  /* 0 = 19 */
	uint16_t nonce_len; /* 0 = 32 */
	uint8_t nonce_byte;
	bool no_sa, no_ke, no_nonce;
	const struct spw_ike_proposal *offer; /* NULL = AES-GCM-256, PRF-SHA256, ECP-256 */
	unsigned int n_offer;
	const uint8_t *cookie;
	size_t cookie_len;
	/* payloads more, before the others and after them */
	void (*head)(struct ike_builder *b);
	void (*more)(struct ike_builder *b);
};
size_t puppet_init(uint8_t *out, size_t size, const struct init_parts *p);
/* One that is in order, with this SPI, from the address of host 0. */
void puppet_knock(struct net *net, uint64_t spi_i);
/* Half-open IKE SAs of host 1. */
unsigned int puppet_half_open(const struct net *net);

/* A network in which host 1 answers, and host 0 is the puppet. */
struct net *init_responder(uint64_t seed);
/* These bytes to host 1 from where host 0 is. The tape has what comes of them and nothing else. */
void init_send(struct net *net, const uint8_t *bytes, size_t len);
/* What host 1 answers to such a request; NULL = silence. The tape has nothing else. */
const struct taped *init_ask(struct net *net, const struct init_parts *p);
/* Host 0 has dialled into silence. It offers groups 14, 20, 19 in this order. */
struct net *init_dialled(uint64_t seed, bool force_encap);
/* An answer with one notify from where host 1 is; what host 0 sends then, NULL = nothing. */
const struct taped *init_hint(struct net *net, uint16_t type, const void *data, size_t len);

#endif
