/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations on child SAs that the engine asks for, each one request to the data plane.
 *
 * The engine counts on an operation having taken effect when it returns, so each waits for its
 * answer; that is fractions of a millisecond on one machine, bounded by the call's time-out.
 * None calls the engine. Keys in a request live on the stack for its duration and are wiped.
 * What was installed is noted in the list of our SAs, so that an orphan of an earlier instance
 * is told from our own.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ike/iked/iked.h"

#define AREA		 "sa"
#define LAST_IN_FRESH_NS SPW_NS_PER_S

/* Without a data plane every SA has its refusals: each kind of request gets a line a second. */
static struct spw_log_limit refusals[] = {
	[0 ... SPW_DP_SA_MOVE - SPW_DP_SPI_ALLOC] = SPW_LOG_LIMIT(1, 1)};

static struct spw_log_limit *
limit_of(uint16_t number)
{
	return &refusals[number - SPW_DP_SPI_ALLOC];
}

/* A request about one SA; logs a refusal and returns it. */
static int
call(struct iked *d, uint16_t number, const void *elem, uint16_t size, uint32_t spi_in)
{
	struct spw_err err = {0};
	int rc = iked_dataplane_call(d, number, elem, size, &err);

	if (rc != 0)
		spw_log_limited(limit_of(number), SPW_LOG_WARNING, AREA, "refused",
				"request=%s spi-in=%08" PRIx32 " cause=\"%s\"",
				spw_dp_msg_info(number)->name, spi_in, err.text);
	return rc;
}

int
iked_op_spi_alloc(void *ctx, uint32_t tunnel, uint32_t *spi)
{
	struct iked *d = ctx;
	struct spw_dp_spi ask = {.tunnel = tunnel}, answer;
	int rc = call(d, SPW_DP_SPI_ALLOC, &ask, sizeof(ask), 0);

	if (rc != 0)
		return rc;
	if (d->dp.msg.hdr.count != 1)
		return -EPROTO;
	memcpy(&answer, d->dp.msg.body, sizeof(answer));
	*spi = answer.spi;
	return 0;
}

void
iked_op_spi_free(void *ctx, uint32_t tunnel, uint32_t spi)
{
	struct spw_dp_spi ref = {.tunnel = tunnel, .spi = spi};
	struct iked *d = ctx;
	const struct iked_sa *there = iked_sas_find(&d->dp.sas, spi);

	if (there && there->orphan)
		(void)iked_op_sa_delete(d, spi, SPW_SA_PART_IN | SPW_SA_PART_OUT);
	else
		(void)call(d, SPW_DP_SPI_FREE, &ref, sizeof(ref), spi);
}

/* It stands there since before we started, under an SPI that our escrow knows. */
static int
take_over(struct iked *d, struct iked_sa *sa, bool outbound)
{
	sa->orphan = false;
	sa->delete_at_ns = 0;
	spw_log(SPW_LOG_INFO, AREA, "taken-over",
		"tunnel=%" PRIu32 " spi-in=%08" PRIx32 " outbound=%d", sa->tunnel, sa->spi_in,
		outbound);
	return outbound ? iked_op_sa_switch(d, sa->spi_in) : 0;
}

int
iked_op_sa_install(void *ctx, const struct spw_sa_desc *sa, bool outbound)
{
	struct iked *d = ctx;
	struct iked_sa *there = iked_sas_find(&d->dp.sas, sa->spi_in);
	struct spw_dp_sa_install req;
	int rc;

	if (there && there->orphan)
		return take_over(d, there, outbound);
	req = (struct spw_dp_sa_install){
		.incarnation = d->dp.incarnation, .outbound = outbound, .sa = *sa};
	/* Before the request: there must be no SA that we cannot note. */
	rc = iked_sas_add(&d->dp.sas, sa->spi_in, sa->tunnel, false);
	if (rc == 0)
		rc = call(d, SPW_DP_SA_INSTALL, &req, sizeof(req), sa->spi_in);
	spw_wipe(&req, sizeof(req));
	if (rc != 0) {
		iked_sas_del(&d->dp.sas, sa->spi_in);
		return rc;
	}
	spw_log(SPW_LOG_DEBUG, AREA, "installed",
		"tunnel=%" PRIu32 " spi-in=%08" PRIx32 " spi-out=%08" PRIx32 " cipher=%s udp=%d "
		"outbound=%d",
		sa->tunnel, sa->spi_in, sa->spi_out,
		spw_encr_info((enum spw_encr)sa->encr)->show_name,
		(sa->flags & SPW_SA_UDP_ENCAP) != 0, outbound);
	return 0;
}

int
iked_op_sa_switch(void *ctx, uint32_t spi_in)
{
	struct spw_dp_sa_ref ref = {.spi_in = spi_in};
	int rc = call(ctx, SPW_DP_SA_SWITCH, &ref, sizeof(ref), spi_in);

	if (rc == 0)
		spw_log(SPW_LOG_DEBUG, AREA, "outbound", "spi-in=%08" PRIx32, spi_in);
	return rc;
}

/* It could not be said: it is when the connection stands again (dataplane.c). */
static void
owe(struct iked *d, uint32_t spi_in, uint32_t parts)
{
	struct iked_sa *sa = iked_sas_find(&d->dp.sas, spi_in);

	if (sa)
		sa->owed |= parts;
}

int
iked_op_sa_delete(void *ctx, uint32_t spi_in, uint32_t parts)
{
	struct iked *d = ctx;
	struct spw_dp_sa_ref ref = {.spi_in = spi_in, .parts = parts};
	uint32_t all = SPW_SA_PART_IN | SPW_SA_PART_OUT;
	struct spw_err err = {0};
	int rc = iked_dataplane_call(d, SPW_DP_SA_DELETE, &ref, sizeof(ref), &err);
	const char *what;

	if (rc == -ENOENT) /* gone by its hard limit */
		rc = 0;
	if (rc == 0 && (parts & SPW_SA_PART_IN))
		iked_sas_del(&d->dp.sas, spi_in);
	if (rc == -ENOTCONN)
		owe(d, spi_in, parts);
	what = (parts & all) == all ? "both" : parts & SPW_SA_PART_IN ? "in" : "out";
	if (rc == 0)
		spw_log(SPW_LOG_DEBUG, AREA, "deleted", "spi-in=%08" PRIx32 " parts=%s", spi_in,
			what);
	else
		spw_log_limited(limit_of(SPW_DP_SA_DELETE), SPW_LOG_WARNING, AREA, "delete-failed",
				"spi-in=%08" PRIx32 " parts=%s cause=\"%s\"", spi_in, what,
				err.text);
	return rc;
}

int
iked_op_sa_move(void *ctx, uint32_t spi_in, const struct spw_addr *remote, uint16_t remote_port,
		uint16_t local_port)
{
	struct spw_dp_sa_move move = {.spi_in = spi_in,
				      .remote_port = remote_port,
				      .local_port = local_port,
				      .remote = *remote};
	char text[SPW_ADDR_TEXT];
	int rc = call(ctx, SPW_DP_SA_MOVE, &move, sizeof(move), spi_in);

	if (rc == 0)
		spw_log(SPW_LOG_DEBUG, AREA, "moved", "spi-in=%08" PRIx32 " remote=%s:%u", spi_in,
			spw_addr_format(remote, text), remote_port);
	return rc;
}

static void
last_in_refresh(struct iked *d)
{
	struct spw_err err = {0};

	d->dp.refreshed_ns = spw_clock_ns();
	if (iked_dataplane_connected(&d->dp))
		(void)iked_dataplane_refresh(d, &err);
}

int
iked_op_sa_adopt(void *ctx, uint32_t tunnel, uint32_t spi_in, struct ike_adopted *a)
{
	struct iked *d = ctx;
	struct iked_sa *sa;

	if (!iked_dataplane_connected(&d->dp))
		return -ENOTCONN;
	if (spw_clock_ns() - d->dp.refreshed_ns >= LAST_IN_FRESH_NS)
		last_in_refresh(d);
	sa = iked_sas_find(&d->dp.sas, spi_in);
	if (!sa || sa->tunnel != tunnel)
		return -ENOENT;
	*a = (struct ike_adopted){.heard = sa->heard, .bytes = sa->bytes, .packets = sa->packets};
	return sa->orphan ? take_over(d, sa, false) : 0;
}

uint64_t
iked_op_last_inbound(void *ctx, uint32_t tunnel)
{
	struct iked *d = ctx;

	if (spw_clock_ns() - d->dp.refreshed_ns >= LAST_IN_FRESH_NS)
		last_in_refresh(d);
	return iked_sas_last_in(&d->dp.sas, tunnel);
}

void
iked_orphans_reap(struct iked *d, uint64_t now_ns)
{
	const struct iked_sa *sa;

	if (iked_sas_orphans(&d->dp.sas) > 0)
		last_in_refresh(d);
	while ((sa = iked_sas_due(&d->dp.sas, now_ns)) != NULL) {
		uint32_t spi_in = sa->spi_in;

		spw_log(SPW_LOG_INFO, AREA, "orphan-ended", "tunnel=%" PRIu32 " spi-in=%08" PRIx32,
			sa->tunnel, spi_in);
		if (iked_op_sa_delete(d, spi_in, SPW_SA_PART_IN | SPW_SA_PART_OUT) != 0)
			break; /* the data plane is down; tried again in a second */
	}
}
