/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NAT detection (RFC 7296 2.23): the hash over SPIs, address and port, and its comparison.
 *
 * SHA-1 is fixed by the standard and protects nothing here: it only hides the address. A peer may
 * send several source hashes, one an interface; one that fits means no NAT. Pure.
 */
#include <string.h>

#include "ike/rules.h"

int
ike_nat_hash(uint64_t spi_i, uint64_t spi_r, const struct spw_addr *addr, uint16_t port,
	     uint8_t out[IKE_NATD_LEN])
{
	uint8_t spis[16], p[2];
	const struct ike_chunk c[] = {
		{spis, sizeof(spis)}, {addr->bytes, spw_addr_len(addr->family)}, {p, sizeof(p)}};

	spw_put_be64(spis, spi_i);
	spw_put_be64(spis + 8, spi_r);
	spw_put_be16(p, port);
	return ike_sha1(c, 3, out);
}

bool
ike_nat_changed(const struct ike_msg *m, uint16_t type, const uint8_t hash[IKE_NATD_LEN])
{
	bool seen = false;

	for (unsigned int i = 0; i < m->n_notifies; i++) {
		const struct ike_notify *n = &m->notify[i];

		if (n->type != type || n->data.len != IKE_NATD_LEN)
			continue;
		if (memcmp(n->data.bytes, hash, IKE_NATD_LEN) == 0)
			return false;
		seen = true;
	}
	return seen;
}
