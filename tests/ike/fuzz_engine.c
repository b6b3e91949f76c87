/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: datagrams and plaintexts into live engines in several states.
 *
 * A pair of engines is brought to a state (fresh, half-open, dialling, AUTH sent, established,
 * rekeying a child, rekeying the IKE SA, closing). The input is a list of records: one byte says
 * whether the bytes are a raw datagram, a raw datagram with the live SPIs put in, or the
 * plaintext of an SK payload sealed with the true keys (request or answer, any exchange), another
 * the length. Time passes in between; the other engine answers. The checks of the fake data plane
 * and the account of SPIs run as in the tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct net *
bring_to(unsigned int state)
{
	struct net *net = net_new(state + 1);

	net_connect(net, state == 0 ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH,
		    SPW_IKE_MODE_RESPOND);
	switch (state) {
	case 0: return net;
	case 1: net_run(net, 5 * NET_MS); return net;
	case 2: net_run(net, 15 * NET_MS); return net;
	case 3: net_run(net, 25 * NET_MS); return net;
	default: net_run(net, 1 * NET_S); break;
	}
	if (state == 5)
		ike_engine_rekey(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_CHILD);
	if (state == 6)
		ike_engine_rekey(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_IKE);
	if (state == 7)
		ike_engine_shutdown(net->host[0].engine, net->now);
	return net;
}

static void
put(struct net *net, int to, uint8_t *bytes, size_t len)
{
	const struct ike_datagram d = {.local = net->host[to].addr,
				       .remote = net->host[!to].addr,
				       .local_port = 500,
				       .remote_port = 500,
				       .bytes = bytes,
				       .len = len};

	ike_engine_input(net->host[to].engine, net->now, &d);
}

/* A datagram with the SPIs of an SA that lives, and the right length. */
static void
put_aimed(struct net *net, int to, uint8_t *bytes, size_t len)
{
	const struct ike_sa *sa = net->host[to].engine->sas;

	if (len >= IKE_HEADER_LEN && sa) {
		spw_put_be64(bytes, sa->spi_i);
		spw_put_be64(bytes + 8, sa->spi_r);
		bytes[17] = 0x20;
		spw_put_be32(bytes + 24, (uint32_t)len);
	}
	put(net, to, bytes, len);
}

/* A protected message from the peer of `to` with this plaintext. */
static void
put_sealed(struct net *net, int to, uint8_t how, const uint8_t *plain, size_t len)
{
	static const uint8_t kinds[] = {IKE_X_AUTH, IKE_X_CREATE_CHILD, IKE_X_INFORMATIONAL, 99};
	const struct ike_sa *at = net->host[to].engine->sas;
	struct ike_sa *peer =
		at ? ike_sa_find(net->host[!to].engine, at->initiator ? at->spi_r : at->spi_i)
		   : NULL;
	static uint8_t buf[IKE_DATAGRAM_MAX];
	struct ike_builder b;
	size_t total;

	if (!peer || !peer->seal || len == 0)
		return;
	bool response = (how & 4) != 0;
	const struct ike_header h = {.spi_i = at->spi_i,
				     .spi_r = at->spi_r,
				     .exchange = response ? at->req.exchange : kinds[how & 3],
				     .flags = (uint8_t)((response ? IKE_FLAG_RESPONSE : 0) |
							(peer->initiator ? IKE_FLAG_INITIATOR : 0)),
				     .mid = response ? at->req.mid : at->next_in};

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_sk(&b, peer->seal);
	*b.sk = plain[0]; /* type of the first payload inside */
	spw_write_bytes(&b.w, plain + 1, len - 1);
	if (ike_build_seal(&b, peer->seal, &total) == 0)
		put(net, to, buf, total);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net *net;
	size_t at = 1;

	if (size < 3)
		return 0;
	net = bring_to(data[0] & 7);
	while (at + 2 < size) {
		uint8_t how = data[at], want = data[at + 1];
		size_t len = size - at - 2 < want ? size - at - 2 : want;
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, data + at + 2, len);
		switch (how >> 6) {
		case 0: put(net, how & 1, copy, len); break;
		case 1: put_aimed(net, how & 1, copy, len); break;
		default: put_sealed(net, how & 1, (uint8_t)(how >> 1), copy, len); break;
		}
		free(copy);
		net_run(net, (uint64_t)(how & 0x20 ? 300 : 3) * NET_MS);
		at += 2 + len;
	}
	net_free(net);
	return 0;
}
