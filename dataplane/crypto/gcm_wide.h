/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/crypto/: AES-GCM of our own for CPUs with wide AES. */
#ifndef SPW_DATAPLANE_CRYPTO_GCM_WIDE_H
#define SPW_DATAPLANE_CRYPTO_GCM_WIDE_H

#include "dataplane/crypto/suites.h"

/*
 * dp_crypto_run_t for AES-GCM with any key size, without and with ESN. Only with a manager of
 * DP_CRYPTO_AVX512_VAES: the key must be one that IPsec-MB expanded for that code.
 */
uint64_t dp_gcm_wide_seal(struct dp_crypto *c, const struct dp_crypto_key *key,
			  const struct dp_crypto_job *jobs, unsigned int n);
uint64_t dp_gcm_wide_seal_esn(struct dp_crypto *c, const struct dp_crypto_key *key,
			      const struct dp_crypto_job *jobs, unsigned int n);
uint64_t dp_gcm_wide_open(struct dp_crypto *c, const struct dp_crypto_key *key,
			  const struct dp_crypto_job *jobs, unsigned int n);
uint64_t dp_gcm_wide_open_esn(struct dp_crypto *c, const struct dp_crypto_key *key,
			      const struct dp_crypto_job *jobs, unsigned int n);

#endif
