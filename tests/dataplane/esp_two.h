/* SPDX-License-Identifier: BSD-3-Clause */
/* Two gateways back to back with one child SA between them: what most tests of ESP start from. */
#ifndef SPW_TESTS_DATAPLANE_ESP_TWO_H
#define SPW_TESTS_DATAPLANE_ESP_TWO_H

#include "tests/dataplane/esp_bed.h"

struct bed_two {
	struct bed_end a, b;
	struct spw_sa_desc at_a, at_b;
};

/* Both ends, the tunnel between them, and a child SA; no SA when `how` is NULL. */
void bed_two_open(struct bed_two *t, const struct bed_sa *how);
/* The same with the ciphers of one instruction set. */
void bed_two_open_isa(struct bed_two *t, const struct bed_sa *how, enum dp_crypto_isa isa);
/* Close both; every packet that was in a stage must have come out or been dropped by then. */
void bed_two_close(struct bed_two *t);
/* Send n packets of len bytes from a to b in bursts; returns how many arrived. */
unsigned int bed_carry(struct bed_two *t, unsigned int n, uint32_t len);
/* Feed one ESP packet to an end; true when it came out (its bytes to `out`, if not NULL). */
bool bed_open_esp(struct bed_end *e, const uint8_t *esp, uint32_t len, uint8_t *out,
		  uint32_t *out_len);
/* ESP by OpenSSL towards b: around a packet of `len` bytes; returns the length. No ESN. */
uint32_t bed_oracle_sized(const struct bed_two *t, uint64_t seq, uint32_t len, uint8_t *esp);
/* The same around 60 bytes. */
uint32_t bed_oracle_packet(const struct bed_two *t, uint64_t seq, uint8_t *esp);
/* The first rows of an end's SAs and tunnels. */
struct spw_dp_sa_stats bed_sa_stats(const struct bed_end *e);
struct spw_dp_tunnel_stats bed_tunnel_stats(const struct bed_end *e);
/* Keys in use, of both directions. */
uint32_t bed_keys(const struct bed_end *e);

#endif
