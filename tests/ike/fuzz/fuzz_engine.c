/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: datagrams and plaintexts into live engines in every state.
 *
 * The first byte chooses the state (bed.h). The rest is a list of records, a byte that says how, a
 * byte of length, and content: a raw datagram; one with the live SPIs put in; the plaintext of an
 * SK payload, as bytes or as a program of payloads, sealed with the true keys (request or answer,
 * any exchange, the message id that is due or the one before). Time passes in between; the other
 * engine answers.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/ike/fuzz/bed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A datagram with the SPIs of an SA that lives, and the right length. */
static void
put_aimed(struct net *net, int to, const uint8_t *bytes, size_t len)
{
	const struct ike_sa *sa = net->host[to].engine->sas;
	uint8_t copy[256];

	memcpy(copy, bytes, len);
	if (len >= IKE_HEADER_LEN && sa) {
		spw_put_be64(copy, sa->spi_i);
		spw_put_be64(copy + 8, sa->spi_r);
		copy[17] = 0x20;
		spw_put_be32(copy + 24, (uint32_t)len);
	}
	fuzz_put(net, to, copy, len);
}

static void
put_sealed(struct net *net, uint8_t how, const uint8_t *bytes, size_t len)
{
	static const uint8_t kinds[] = {IKE_X_AUTH, IKE_X_CREATE_CHILD, IKE_X_INFORMATIONAL, 99};
	struct fuzz_sealing s = {.to = how & 1,
				 .exchange = kinds[how >> 1 & 3],
				 .response = (how & 8) != 0,
				 .again = (how & 16) != 0};
	uint8_t plain[4096];

	if (how >> 6 == 3)
		len = fuzz_chain(net, s.to, bytes, len, plain, sizeof(plain), &s.first);
	else if (len > 0)
		memcpy(plain, bytes + 1, --len);
	if (how >> 6 != 3)
		s.first = bytes[0];
	fuzz_put_sealed(net, &s, plain, len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net *net;
	size_t at = 1;

	if (size < 3)
		return 0;
	net = fuzz_bring(data[0] % FUZZ_STATES);
	for (unsigned int n = 0; at + 2 < size && n < 24; n++) {
		uint8_t how = data[at];
		size_t len = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
		const uint8_t *bytes = data + at + 2;

		switch (how >> 6) {
		case 0: fuzz_put(net, how & 1, bytes, len); break;
		case 1: put_aimed(net, how & 1, bytes, len); break;
		default: put_sealed(net, how, bytes, len); break;
		}
		net_run(net, (uint64_t)(how & 0x20 ? 300 : 3) * NET_MS);
		at += 2 + len;
	}
	fuzz_finish(net, data[0] % FUZZ_STATES);
	return 0;
}
