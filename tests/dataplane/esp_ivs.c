/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IVs seen, in an open hash of (SPI, IV). The table is emptied by counting on, not by clearing: an
 * entry counts only when it carries the present epoch. When it is three quarters full the epoch
 * ends too, so a test that seals more than that is checked in stretches. RFC 4106 3.1.
 */
#include "tests/dataplane/esp_ivs.h"

#include <rte_spinlock.h>
#include <string.h>

#define SLOTS (1u << 20)

static struct {
	uint64_t iv;
	uint32_t spi;
	uint32_t epoch;
} seen[SLOTS];
static uint32_t epoch = 1, used;
static rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;

static void
forget(void)
{
	epoch++;
	used = 0;
}

void
bed_ivs_forget(void)
{
	rte_spinlock_lock(&lock);
	forget();
	rte_spinlock_unlock(&lock);
}

static bool
note(uint32_t spi, uint64_t iv)
{
	uint32_t at = (uint32_t)((iv ^ spi) * UINT64_C(0x9e3779b97f4a7c15) >> 44);

	if (used >= SLOTS / 4 * 3)
		forget();
	for (; seen[at].epoch == epoch; at = (at + 1) % SLOTS)
		if (seen[at].iv == iv && seen[at].spi == spi)
			return false;
	seen[at].iv = iv;
	seen[at].spi = spi;
	seen[at].epoch = epoch;
	used++;
	return true;
}

bool
bed_ivs_note(uint32_t spi, const uint8_t iv[8])
{
	uint64_t word;
	bool fresh;

	memcpy(&word, iv, 8);
	rte_spinlock_lock(&lock);
	fresh = note(spi, word);
	rte_spinlock_unlock(&lock);
	return fresh;
}
