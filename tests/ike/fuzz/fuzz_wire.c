/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: the IKE parser. The first byte chooses what the rest is: a whole message, a
 * chain of payloads of some first type (what stands inside SK), or the content of one payload.
 */
#include <stdlib.h>
#include <string.h>

#include "ike/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Use what was parsed, so that a wrong pointer or count is touched. */
static unsigned int
touch(const struct ike_chunk *c)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < c->len; i++)
		sum += ((const uint8_t *)c->bytes)[i];
	return sum;
}

static unsigned int
use(const struct ike_msg *m)
{
	static const struct spw_ike_proposal own = {.encr = SPW_ENCR_AES256_GCM};
	const struct ike_choice_rule rule = {
		.protocol = IKE_PROTO_ESP, .spi_len = 4, .with_group = true, .encr_mask = ~0u};
	struct spw_selector out[SPW_SA_SELECTORS];
	struct ike_choice choice;
	uint8_t hash[IKE_NATD_LEN] = {0};
	unsigned int sum = touch(&m->ke) + touch(&m->nonce) + touch(&m->auth) + touch(&m->idi.raw) +
			   touch(&m->idr.data);

	for (unsigned int i = 0; i < m->n_notifies; i++)
		sum += touch(&m->notify[i].data);
	for (unsigned int i = 0; i < m->n_deletes; i++)
		for (unsigned int j = 0; j < m->del[i].count && m->del[i].protocol != 1; j++)
			sum += ike_wire_delete_spi(&m->del[i], j);
	sum += (unsigned int)ike_proposal_choose(&m->sa, &own, 1, &rule, &choice);
	sum += (unsigned int)ike_proposal_check(&m->sa, &own, 1, &rule, &choice);
	sum += ike_selector_narrow(m->tsi.ts, m->tsi.count < 8 ? m->tsi.count : 8, m->tsr.ts,
				   m->tsr.count, out);
	return sum + ike_nat_changed(m, IKE_N_NAT_DETECTION_SOURCE_IP, hash);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned int sink;
	static struct ike_msg m;
	struct spw_reader r;
	struct ike_sk sk;
	uint8_t kind = size ? data[0] : 0;
	const uint8_t *rest = size ? data + 1 : data;
	size_t len = size ? size - 1 : 0;

	memset(&m, 0, sizeof(m));
	spw_reader_init(&r, rest, len);
	if (kind == 0) {
		if (ike_wire_header(&m.hdr, rest, len) != 0)
			return 0;
		sink += (unsigned int)ike_wire_find_sk(&m.hdr, rest, len, &sk);
		if (ike_wire_payloads(&m, m.hdr.next, rest + IKE_HEADER_LEN,
				      len - IKE_HEADER_LEN) == 0)
			sink += use(&m);
	} else if (kind == 1) {
		sink += (unsigned int)ike_wire_sa(&m.sa, r);
	} else if (kind == 2) {
		sink += (unsigned int)ike_wire_ts(&m.tsi, r);
	} else if (ike_wire_payloads(&m, kind, rest, len) == 0) {
		sink += use(&m);
	}
	return sink == 0xffffffff ? -1 : 0;
}
