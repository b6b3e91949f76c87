/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: two TS payloads and their narrowing. Whatever two lists say, the result is
 * within both, has no member that another covers, and comes over the wire as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "ike/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_result(const struct spw_selector *out, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int k = 0; k < n; k++)
			if (i != k && ike_selector_covers(&out[i], &out[k]))
				abort();
}

static void
check_wire(const struct spw_selector *out, unsigned int n)
{
	const struct ike_header h = {.spi_i = 1};
	static struct ike_msg m;
	struct ike_builder b;
	uint8_t buf[1024];
	size_t len;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_ts(&b, IKE_P_TSI, out, n);
	if (ike_build_finish(&b, &len) != 0 ||
	    ike_wire_payloads(&m, buf[16], buf + IKE_HEADER_LEN, len - IKE_HEADER_LEN) != 0 ||
	    m.tsi.count != n)
		abort();
	for (unsigned int i = 0; i < n; i++)
		if (!ike_selector_covers(&m.tsi.ts[i], &out[i]) ||
		    !ike_selector_covers(&out[i], &m.tsi.ts[i]))
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ike_ts_payload a, b;
	struct spw_selector out[SPW_SA_SELECTORS];
	struct spw_reader r;
	unsigned int n, own;
	size_t first;

	if (size < 1)
		return 0;
	first = (size_t)data[0] * 4 < size - 1 ? (size_t)data[0] * 4 : size - 1;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	spw_reader_init(&r, data + 1, first);
	if (ike_wire_ts(&a, r) != 0)
		return 0;
	spw_reader_init(&r, data + 1 + first, size - 1 - first);
	if (ike_wire_ts(&b, r) != 0)
		return 0;
	if (a.count > IKE_MAX_TS || b.count > IKE_MAX_TS)
		abort();
	own = a.count < SPW_SA_SELECTORS ? a.count : SPW_SA_SELECTORS;
	n = ike_selector_narrow(a.ts, own, b.ts, b.count, out);
	if (n > SPW_SA_SELECTORS || (n && (!ike_selector_subset(a.ts, own, out, n) ||
					   !ike_selector_subset(b.ts, b.count, out, n))))
		abort();
	check_result(out, n);
	if (n)
		check_wire(out, n);
	return 0;
}
