/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the slab in which expanded keys live. */
#ifndef SPW_DATAPLANE_CRYPTO_KEYS_H
#define SPW_DATAPLANE_CRYPTO_KEYS_H

#include "dataplane/crypto/crypto.h"

struct dp_keys;

/* An empty slab; NULL when out of memory. API thread, like all here. */
struct dp_keys *dp_keys_new(void);
/* Wipe every slot and give the memory back. No worker may use a key of it any more. */
void dp_keys_free(struct dp_keys *k);
/*
 * Take a zeroed slot, grown from locked memory left out of core dumps. -ENOMEM with a sentence
 * when memory cannot be had or locked: keys are never put elsewhere.
 */
int dp_keys_get(struct dp_keys *k, struct dp_crypto_key **slot, struct spw_err *err)
	__attribute__((warn_unused_result));
/* Wipe a slot and take it back; after grace. NULL is fine. */
void dp_keys_put(struct dp_keys *k, struct dp_crypto_key *slot);
/* Slots in use. */
uint32_t dp_keys_used(const struct dp_keys *k);

#endif
