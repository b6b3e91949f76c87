/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: messages in pieces (RFC 7383), sealed with the true keys.
 *
 * The pair has agreed on pieces. A record is five bytes (how, number, total, length, first payload)
 * and the piece's content, as bytes or as a part of a chain built by program; in between, other
 * messages and time. What is kept of unfinished messages must stay within one message a direction.
 */
#include <string.h>

#include "tests/ike/fuzz/bed.h"

#define STATE 12
#define HEAD  5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_kept(const struct net *net)
{
	for (int i = 0; i < 2; i++)
		for (const struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
			for (int k = 0; k < 2; k++) {
				const struct ike_pieces *p = &sa->pieces[k];

				if (p->bytes > IKE_DATAGRAM_MAX || p->total > IKE_FRAGMENTS_MAX ||
				    (p->total && p->got >= p->total))
					fuzz_broken("too much is kept of a message in pieces");
			}
}

/* A part of a chain of payloads, cut as the numbers say. */
static size_t
cut(const struct net *net, struct fuzz_sealing *s, const uint8_t *program, size_t len,
    uint8_t *plain, size_t size)
{
	uint8_t chain[4096];
	size_t all = fuzz_chain(net, s->to, program, len, chain, sizeof(chain), &s->first);
	size_t share = s->total ? all / s->total + 1 : all, from;

	from = s->piece ? (size_t)(s->piece - 1) * share : 0;
	if (from > all)
		return 0;
	share = share < all - from ? share : all - from;
	share = share < size ? share : size;
	memcpy(plain, chain + from, share);
	return share;
}

static void
record(struct net *net, const uint8_t *head, const uint8_t *bytes, size_t len)
{
	static const uint8_t kinds[] = {IKE_X_CREATE_CHILD, IKE_X_INFORMATIONAL};
	uint8_t how = head[0], plain[4096];
	struct fuzz_sealing s = {.to = how & 1,
				 .exchange = kinds[how >> 1 & 1],
				 .response = (how & 4) != 0,
				 .again = (how & 8) != 0,
				 .piece = head[1],
				 .total = head[2],
				 .first = head[4]};

	if (how & 0x40)
		len = cut(net, &s, bytes, len, plain, sizeof(plain));
	else if (len)
		memcpy(plain, bytes, len);
	fuzz_put_sealed(net, &s, plain, len);
	check_kept(net);
	net_run(net, (uint64_t)(how & 0x20 ? 31000 : 1) * NET_MS);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net *net;
	size_t at = 0;

	if (size < HEAD)
		return 0;
	net = fuzz_bring(STATE);
	if (net->host[0].engine->sas->fragment == 0)
		fuzz_broken("the pair does not cut its messages");
	for (unsigned int n = 0; at + HEAD <= size && n < 32; n++) {
		size_t len = data[at + 3] < size - at - HEAD ? data[at + 3] : size - at - HEAD;

		record(net, data + at, data + at + HEAD, len);
		at += HEAD + len;
	}
	fuzz_finish(net, STATE);
	return 0;
}
