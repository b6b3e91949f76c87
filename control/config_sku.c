/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an Azure VPN gateway takes, by its SKU: the throughput Microsoft publishes for one tunnel
 * with AES256-GCM, for one with AES256-CBC and SHA256, and for the gateway as a whole. One tunnel
 * gets the lower of its own figure and the gateway's. The gateway's figure is shared by its tunnels
 * in ways that are not known here; a vnet whose tunnels add up to more than it is warned about.
 */
#include <string.h>

#include "control/config_private.h"

/* Microsoft names no figure for a single tunnel of the Basic gateway. */
static const struct config_sku skus[] = {
	{"basic", 100, 100, 100},
	{"vpngw1az", 650, 500, 650},
	{"vpngw2az-gen1", 1200, 650, 1000},
	{"vpngw2az-gen2", 1250, 550, 1250},
	{"vpngw3az-gen1", 1250, 700, 1250},
	{"vpngw3az-gen2", 1500, 700, 2500},
	{"vpngw4az", 2300, 700, 5000},
	{"vpngw5az", 2300, 700, 10000},
	{"high-bandwidth", 5000, 5000, 20000},
};

const struct config_sku *
config_sku_find(const char *word)
{
	for (size_t i = 0; i < sizeof(skus) / sizeof(skus[0]); i++)
		if (strcmp(skus[i].word, word) == 0)
			return &skus[i];
	return NULL;
}

uint32_t
config_sku_capacity_kbps(const struct config_sku *sku, bool gcm)
{
	uint32_t mbps = gcm ? sku->gcm_mbps : sku->cbc_mbps;

	return 1000 * (mbps < sku->aggregate_mbps ? mbps : sku->aggregate_mbps);
}
