/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BMP from anywhere: the input is cut into frames as the station does, each is parsed. Prefixes
 * that are told must be masked and of their family's length; a refused message must have said
 * nothing and have one sentence.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/bmp_parse.h"

static unsigned int calls;

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void
must_be_a_prefix(const struct spw_prefix *p)
{
	struct spw_prefix masked = spw_prefix_masked(p);

	if (p->len > 8 * spw_addr_len(p->addr.family) || p->addr.family == 0 ||
	    !spw_prefix_equal(p, &masked))
		abort();
	calls++;
}

static void
on_announced(void *ctx, const struct ctl_bmp_peer *peer, const struct spw_prefix *p,
	     const struct spw_addr *next_hop)
{
	must_be_a_prefix(p);
	if (next_hop->family == 0)
		abort();
}

static void
on_withdrawn(void *ctx, const struct ctl_bmp_peer *peer, const struct spw_prefix *p)
{
	must_be_a_prefix(p);
}

static void
on_end(void *ctx, const struct ctl_bmp_peer *peer, uint8_t family)
{
	calls++;
}

static void
on_up(void *ctx, const struct ctl_bmp_peer *peer, const struct ctl_bmp_restart *restart)
{
	if (restart->notifications && !restart->retained)
		abort();
	calls++;
}

static void
on_down(void *ctx, const struct ctl_bmp_peer *peer, const struct ctl_bmp_down *down)
{
	static const struct ctl_bmp_restart none;
	char text[96];

	ctl_bmp_down_text(down, text, sizeof(text));
	if (ctl_bmp_judge(down, &none) == CTL_BMP_KEPT)
		abort();
	calls++;
}

static const struct ctl_bmp_handler handler = {.peer_up = on_up,
					       .peer_down = on_down,
					       .announced = on_announced,
					       .withdrawn = on_withdrawn,
					       .end_of_rib = on_end};

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	while (size > 0) {
		struct spw_err err = {0};
		int n = ctl_bmp_frame(data, size, &err);

		if (n <= 0) {
			if (n < 0 && err.text[0] == '\0')
				abort();
			return 0;
		}
		/* A copy of its own length: reading past its end is seen. */
		uint8_t *copy = malloc((size_t)n);

		if (!copy)
			abort();
		memcpy(copy, data, (size_t)n);
		calls = 0;
		if (ctl_bmp_parse(copy, (size_t)n, &handler, NULL, &err) != 0 &&
		    (calls > 0 || err.text[0] == '\0' || strchr(err.text, '\n')))
			abort();
		free(copy);
		data += n;
		size -= (size_t)n;
	}
	return 0;
}
