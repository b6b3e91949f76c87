/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Child SAs: the messages of iked, handed to the SAD one by one.
 *
 * An install that was accepted cannot be taken back and offered again (the key would be used
 * twice), so these messages carry one element each; a longer batch is refused whole. The
 * incarnation in an install must be ours: an iked that has not noticed a restart must not bring
 * keys that were used before.
 *
 * API thread.
 */
#include "dataplane/control.h"

#include <errno.h>

static int
one_only(const struct dp_batch *b, struct spw_err *err)
{
	if (b->count == 1)
		return 0;
	return spw_fail(err, -EINVAL, "messages about child SAs carry one element, not %u",
			b->count);
}

int
dp_handle_spi_alloc(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_spi *s = b->elems;
	struct spw_dp_spi *reply = b->reply;
	int rc = one_only(b, err);

	if (rc != 0)
		return rc;
	reply->tunnel = s->tunnel;
	return dp_sad_spi_alloc(c->sad, s->tunnel, &reply->spi, err);
}

int
dp_handle_spi_free(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_spi *s = b->elems;
	int rc = one_only(b, err);

	return rc != 0 ? rc : dp_sad_spi_free(c->sad, s->tunnel, s->spi, err);
}

int
dp_handle_sa_install(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_sa_install *s = b->elems;
	int rc = one_only(b, err);

	if (rc != 0)
		return rc;
	if (s->incarnation != c->incarnation)
		return spw_fail(
			err, -ESTALE,
			"the data plane was restarted since this SA was made; make a new one");
	return dp_sad_install(c->sad, &s->sa, s->outbound != 0, err);
}

int
dp_handle_sa_switch(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_sa_ref *s = b->elems;
	int rc = one_only(b, err);

	return rc != 0 ? rc : dp_sad_switch(c->sad, s->spi_in, err);
}

int
dp_handle_sa_delete(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_sa_ref *s = b->elems;
	int rc = one_only(b, err);

	return rc != 0 ? rc : dp_sad_delete(c->sad, s->spi_in, s->parts, err);
}

int
dp_handle_sa_move(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_sa_move *s = b->elems;
	int rc = one_only(b, err);

	return rc != 0 ? rc : dp_sad_move(c->sad, s, err);
}
