/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The second implementation: ESP of every suite by OpenSSL, written from the RFCs alone. It shares
 * nothing with the data plane but the numbers of the algorithms.
 */
#ifndef SPW_TESTS_DATAPLANE_ESP_ORACLE_H
#define SPW_TESTS_DATAPLANE_ESP_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

#define ORACLE_FRONT_MAX 24 /* ESP header and IV */
#define ORACLE_TAG_MAX	 16

/* A suite and its sizes in bytes, as the RFCs give them. */
struct oracle_suite {
	enum spw_encr encr;
	enum spw_integ integ;
	const char *name;
	uint8_t cipher_key, integ_key, salt;
	uint8_t iv, tag, align;
};

extern const struct oracle_suite oracle_suites[];
extern const unsigned int oracle_n_suites;

/* Bytes of key material: cipher key | salt, or cipher key | integrity key. */
uint32_t oracle_key_len(const struct oracle_suite *s);
/*
 * Seal: ESP header, IV, cipher text and tag go to `out`; returns their length.
 * @text  with trailer; @len a multiple of s->align
 * @iv    s->iv bytes
 */
uint32_t oracle_seal(const struct oracle_suite *s, const uint8_t *key, bool esn, uint32_t spi,
		     uint64_t seq, const uint8_t *iv, const uint8_t *text, uint32_t len,
		     uint8_t *out);
/* Open: the text goes to `text`; returns its length, -1 when the tag is wrong. */
int oracle_open(const struct oracle_suite *s, const uint8_t *key, bool esn, uint32_t seq_hi,
		const uint8_t *esp, uint32_t len, uint8_t *text);

#endif
