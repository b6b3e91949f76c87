/* SPDX-License-Identifier: BSD-3-Clause */
/* Every IV that the bed saw: the standing check that none is used twice under one key. */
#ifndef SPW_TESTS_DATAPLANE_ESP_IVS_H
#define SPW_TESTS_DATAPLANE_ESP_IVS_H

#include <stdbool.h>
#include <stdint.h>

/* Forget all: the keys from here on are others. */
void bed_ivs_forget(void);
/* Note an IV (its first eight bytes) under an SPI; false when it was there. Any thread. */
bool bed_ivs_note(uint32_t spi, const uint8_t iv[8]);

#endif
