/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The algorithm table: names, IKE numbers and sizes, expanded from algo.def.
 *
 * Configuration, negotiation, key derivation, the data plane and the shell all ask here, so an
 * algorithm exists everywhere or nowhere. Constant data; any thread.
 */
#include "lib/algo.h"

#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct spw_encr_info encr_table[] = {
	{.conf_name = "none", .show_name = "none"},
#define SPW_ENCR(sym, id, kb, salt, iv, icv, blk, use, conf, show) \
	{.ike_id = (id),                                           \
	 .key_bits = (kb),                                         \
	 .ike_key_bits = ((use)&SPW_FIXED_KEY) != 0 ? 0 : (kb),    \
	 .key_len = (kb) / 8,                                      \
	 .salt_len = (salt),                                       \
	 .iv_len = (iv),                                           \
	 .icv_len = (icv),                                         \
	 .block = (blk),                                           \
	 .uses = (use),                                            \
	 .conf_name = (conf),                                      \
	 .show_name = (show)},
#include "lib/algo.def"
};
static const struct spw_integ_info integ_table[] = {
	{.conf_name = "none", .show_name = "none"},
#define SPW_INTEG(sym, id, key, icv, use, old, conf, show) \
	{.ike_id = (id),                                   \
	 .key_len = (key),                                 \
	 .icv_len = (icv),                                 \
	 .uses = (use),                                    \
	 .legacy = (old),                                  \
	 .conf_name = (conf),                              \
	 .show_name = (show)},
#include "lib/algo.def"
};
static const struct spw_prf_info prf_table[] = {
	{.conf_name = "none", .show_name = "none"},
#define SPW_PRF(sym, id, length, old, conf, show) \
	{.ike_id = (id),                          \
	 .len = (length),                         \
	 .legacy = (old),                         \
	 .conf_name = (conf),                     \
	 .show_name = (show)},
#include "lib/algo.def"
};
static const struct spw_group_info group_table[] = {
	{.conf_name = "none", .show_name = "none"},
#define SPW_GROUP(sym, id, pub, secret, bits, old, conf, show) \
	{.ike_id = (id),                                       \
	 .public_len = (pub),                                  \
	 .secret_len = (secret),                               \
	 .strength_bits = (bits),                              \
	 .legacy = (old),                                      \
	 .conf_name = (conf),                                  \
	 .show_name = (show)},
#include "lib/algo.def"
};

const struct spw_encr_info *
spw_encr_info(enum spw_encr a)
{
	return &encr_table[a];
}

const struct spw_integ_info *
spw_integ_info(enum spw_integ a)
{
	return &integ_table[a];
}

const struct spw_prf_info *
spw_prf_info(enum spw_prf a)
{
	return &prf_table[a];
}

const struct spw_group_info *
spw_group_info(enum spw_group a)
{
	return &group_table[a];
}

/* One search for each table: the index of the first row for which `match` holds, 0 when none. */
#define FIND(table, match)                              \
	for (unsigned int i = 1; i < COUNT(table); i++) \
		if (match)                              \
			return i;                       \
	return 0

enum spw_encr
spw_encr_by_name(const char *conf_name)
{
	FIND(encr_table, strcmp(encr_table[i].conf_name, conf_name) == 0);
}

enum spw_integ
spw_integ_by_name(const char *conf_name)
{
	FIND(integ_table, strcmp(integ_table[i].conf_name, conf_name) == 0);
}

enum spw_prf
spw_prf_by_name(const char *conf_name)
{
	FIND(prf_table, strcmp(prf_table[i].conf_name, conf_name) == 0);
}

enum spw_group
spw_group_by_name(const char *conf_name)
{
	FIND(group_table, strcmp(group_table[i].conf_name, conf_name) == 0);
}

enum spw_encr
spw_encr_by_ike_id(uint16_t ike_id, uint16_t ike_key_bits)
{
	FIND(encr_table,
	     encr_table[i].ike_id == ike_id && encr_table[i].ike_key_bits == ike_key_bits);
}

enum spw_integ
spw_integ_by_ike_id(uint16_t ike_id)
{
	FIND(integ_table, integ_table[i].ike_id == ike_id);
}

enum spw_prf
spw_prf_by_ike_id(uint16_t ike_id)
{
	FIND(prf_table, prf_table[i].ike_id == ike_id);
}

enum spw_group
spw_group_by_ike_id(uint16_t ike_id)
{
	FIND(group_table, group_table[i].ike_id == ike_id);
}
