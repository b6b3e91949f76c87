/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_ALGO_H
#define SPW_LIB_ALGO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPW_USE_IKE   1u
#define SPW_USE_ESP   2u
#define SPW_FIXED_KEY 4u /* no Key Length attribute in IKE */

/* IKEv2 transform types (RFC 7296 3.3.2). */
enum spw_transform_type {
	SPW_TRANSFORM_ENCR = 1,
	SPW_TRANSFORM_PRF = 2,
	SPW_TRANSFORM_INTEG = 3,
	SPW_TRANSFORM_DH = 4,
	SPW_TRANSFORM_ESN = 5,
};

enum spw_encr {
	SPW_ENCR_NONE,
#define SPW_ENCR(sym, ...) SPW_ENCR_##sym,
#include "lib/algo.def"
	SPW_ENCR_COUNT,
};
enum spw_integ {
	SPW_INTEG_NONE,
#define SPW_INTEG(sym, ...) SPW_INTEG_##sym,
#include "lib/algo.def"
	SPW_INTEG_COUNT,
};
enum spw_prf {
	SPW_PRF_NONE,
#define SPW_PRF(sym, ...) SPW_PRF_##sym,
#include "lib/algo.def"
	SPW_PRF_COUNT,
};
enum spw_group {
	SPW_GROUP_NONE,
#define SPW_GROUP(sym, ...) SPW_GROUP_##sym,
#include "lib/algo.def"
	SPW_GROUP_COUNT,
};

/* All lengths in bytes. */
struct spw_encr_info {
	uint16_t ike_id;
	uint16_t key_bits;
	uint16_t ike_key_bits; /* Key Length attribute; 0 = none is sent */
	uint8_t key_len;
	uint8_t salt_len;
	uint8_t iv_len;
	uint8_t icv_len; /* 0: not an AEAD, needs an integrity algorithm */
	uint8_t block;
	uint8_t uses;
	const char *conf_name;
	const char *show_name;
};
struct spw_integ_info {
	uint16_t ike_id;
	uint8_t key_len;
	uint8_t icv_len;
	uint8_t uses;
	bool legacy;
	const char *conf_name;
	const char *show_name;
};
struct spw_prf_info {
	uint16_t ike_id;
	uint8_t len;
	bool legacy;
	const char *conf_name;
	const char *show_name;
};
struct spw_group_info {
	uint16_t ike_id;
	uint16_t public_len;
	uint16_t secret_len;
	uint16_t strength_bits;
	bool legacy;
	const char *conf_name;
	const char *show_name;
};

/* Facts of an algorithm; the argument must be below its COUNT (NONE gives zeros and "none"). */
const struct spw_encr_info *spw_encr_info(enum spw_encr a);
const struct spw_integ_info *spw_integ_info(enum spw_integ a);
const struct spw_prf_info *spw_prf_info(enum spw_prf a);
const struct spw_group_info *spw_group_info(enum spw_group a);

/* Configuration name to algorithm; NONE when unknown. */
enum spw_encr spw_encr_by_name(const char *conf_name);
enum spw_integ spw_integ_by_name(const char *conf_name);
enum spw_prf spw_prf_by_name(const char *conf_name);
enum spw_group spw_group_by_name(const char *conf_name);

/* IKE transform id (and Key Length attribute in bits, 0 = absent) to algorithm; NONE if unknown. */
enum spw_encr spw_encr_by_ike_id(uint16_t ike_id, uint16_t ike_key_bits);
enum spw_integ spw_integ_by_ike_id(uint16_t ike_id);
enum spw_prf spw_prf_by_ike_id(uint16_t ike_id);
enum spw_group spw_group_by_ike_id(uint16_t ike_id);

#endif
