/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: Notify and Delete payloads. The input is cut into payload contents (a byte of
 * kind, a byte of length), so that the chain is right and what stands in each is tried; counts
 * keep to their caps, every pointer stays within the message, every SPI can be read.
 */
#include <stdlib.h>
#include <string.h>

#include "ike/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
chain_make(const uint8_t *data, size_t size, uint8_t *buf, size_t room)
{
	const struct ike_header h = {.spi_i = 1};
	struct ike_builder b;
	size_t at = 0, len;

	ike_build_start(&b, buf, room, &h);
	while (at + 2 <= size && spw_writer_len(&b.w) + 512 < room) {
		uint8_t type = data[at] & 1 ? IKE_P_DELETE : IKE_P_NOTIFY;

		len = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
		ike_build_bytes(&b, type, data + at + 2, len);
		at += 2 + len;
	}
	return ike_build_finish(&b, &len) == 0 ? len : 0;
}

static void
inside(const void *at, size_t len, const uint8_t *buf, size_t size)
{
	const uint8_t *p = at;

	if (len && (p < buf || p + len > buf + size))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ike_msg m;
	static uint8_t whole[16384];
	size_t len = chain_make(data, size, whole, sizeof(whole));
	static unsigned int sink;
	uint8_t *buf;

	if (len < IKE_HEADER_LEN)
		return 0;
	buf = malloc(len);
	memcpy(buf, whole, len);
	memset(&m, 0, sizeof(m));
	if (ike_wire_payloads(&m, buf[16], buf + IKE_HEADER_LEN, len - IKE_HEADER_LEN) == 0) {
		if (m.n_notifies > IKE_MAX_NOTIFIES || m.n_deletes > IKE_MAX_DELETES)
			abort();
		for (unsigned int i = 0; i < m.n_notifies; i++) {
			inside(m.notify[i].data.bytes, m.notify[i].data.len, buf, len);
			if (ike_wire_notify(&m, m.notify[i].type) > &m.notify[i])
				abort(); /* the first of a type is the one that is found */
			sink += ike_notify_name(m.notify[i].type)[0] != '\0';
		}
		for (unsigned int i = 0; i < m.n_deletes; i++) {
			const struct ike_delete *d = &m.del[i];

			if (d->protocol == IKE_PROTO_IKE)
				continue;
			inside(d->spis, 4u * d->count, buf, len);
			for (unsigned int k = 0; k < d->count; k++)
				sink += ike_wire_delete_spi(d, k);
		}
	}
	free(buf);
	return 0;
}
