/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection to spillway-dataplane: one for requests, which are waited for, and one on which
 * events of SAs arrive.
 *
 * Invariants: both connections stand or neither does, and both met the same incarnation. When
 * one fails, both are closed and tried again with a growing pause; IKE goes on meanwhile and
 * operations on SAs answer -ENOTCONN. At each new hello the SAs on the other side are read:
 *
 *   first hello, or another incarnation   what stands there is an orphan of an earlier iked, until
 *                                         the engine finds it in escrow and takes it over; children
 *                                         that are not there it makes anew; nothing is installed
 *                                         twice (a repeated GCM IV gives the key away)
 *   the same incarnation                  our SAs are what they were; one that is gone met its
 *                                         hard limit unseen, one we do not know was installed by a
 *                                         request whose answer was lost, and is deleted. What was
 *                                         to be deleted meanwhile is; events that were missed are
 *                                         read off what the SAs have carried
 *
 * Nothing here is called by the engine, so all of it may call the engine. One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ike/iked/iked.h"

#define CALL_TIMEOUT_MS	 1000
#define HELLO_TIMEOUT_MS 300 /* short: it is tried again and again while IKE goes on */
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS	 1000
#define AREA		 "dataplane"

bool
iked_dataplane_connected(const struct iked_dataplane *dp)
{
	return dp->client.fd >= 0;
}

uint32_t
iked_dataplane_encr_mask(const struct iked_dataplane *dp)
{
	uint32_t mask = 0;

	if (dp->seen)
		return dp->encr_mask;
	for (int i = 1; i < SPW_ENCR_COUNT; i++)
		if (spw_encr_info((enum spw_encr)i)->uses & SPW_USE_ESP)
			mask |= 1u << i;
	return mask;
}

static void
retry_later(struct iked_dataplane *dp)
{
	struct timeval tv = {dp->backoff_ms / 1000, (int)(dp->backoff_ms % 1000) * 1000};

	evtimer_add(dp->retry, &tv);
	dp->backoff_ms = dp->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : dp->backoff_ms * 2;
}

static void
fds_close(struct iked_dataplane *dp)
{
	if (dp->readable)
		event_free(dp->readable);
	dp->readable = NULL;
	if (dp->event_fd >= 0)
		close(dp->event_fd);
	dp->event_fd = -1;
	if (dp->client.fd >= 0)
		close(dp->client.fd);
	dp->client.fd = -1;
}

static void
go_down(struct iked *d, const char *cause)
{
	if (!iked_dataplane_connected(&d->dp))
		return;
	spw_log(SPW_LOG_WARNING, AREA, "disconnected", "cause=\"%s\"", cause);
	fds_close(&d->dp);
	d->dp.backoff_ms = BACKOFF_FIRST_MS;
	retry_later(&d->dp);
}

/* Did the peer answer, be it with a refusal? Otherwise the connection itself failed. */
static bool
answered(const struct iked_dataplane *dp, int rc)
{
	return rc == 0 || ((dp->msg.hdr.flags & SPW_MSG_REPLY) && dp->msg.hdr.status != 0 &&
			   dp->msg.hdr.seq == dp->client.seq);
}

int
iked_dataplane_call(struct iked *d, uint16_t number, const void *elem, uint16_t size,
		    struct spw_err *err)
{
	struct iked_dataplane *dp = &d->dp;
	int rc;

	if (!iked_dataplane_connected(dp))
		return spw_fail(err, -ENOTCONN, "the data plane is not connected");
	dp->msg.hdr = (struct spw_msg_hdr){0};
	rc = spw_client_call(&dp->client, number, elem, size, elem ? 1 : 0, NULL, 0, &dp->msg, err);
	spw_msg_close_fds(&dp->msg); /* none belongs to any answer */
	if (!answered(dp, rc)) {
		go_down(d, err->text);
		return -ENOTCONN;
	}
	if (rc == 0 && dp->msg.hdr.count > 0 &&
	    dp->msg.hdr.elem_size != spw_dp_msg_info(number)->reply_size) {
		go_down(d, "an answer has the wrong size");
		return spw_fail(err, -EPROTO, "the data plane's answer has the wrong size");
	}
	return rc;
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void
row_take(struct iked_sa *sa, const struct spw_dp_sa_stats *row)
{
	sa->last_in_ns = row->last_in_ns;
	sa->packets = larger(row->in_packets, row->out_packets);
	sa->bytes = larger(row->in_bytes, row->out_bytes);
	sa->heard = row->in_packets > 0;
	sa->sent = row->out_packets;
}

static int
rows_take(const struct spw_msg *m, struct iked_sas *sas, bool known_only)
{
	const struct spw_dp_sa_stats *row = (const struct spw_dp_sa_stats *)m->body;

	for (unsigned int i = 0; i < m->hdr.count; i++) {
		struct iked_sa *sa = known_only
					     ? iked_sas_find(sas, row[i].spi_in)
					     : iked_sas_append(sas, row[i].spi_in, row[i].tunnel);

		if (sa)
			row_take(sa, &row[i]);
		else if (!known_only)
			return -ENOMEM;
	}
	return 0;
}

static int
rows_read(struct iked *d, struct iked_sas *sas, bool known_only, struct spw_err *err)
{
	struct iked_dataplane *dp = &d->dp;
	int rc = iked_dataplane_call(d, SPW_DP_GET_SAS, NULL, 0, err);

	while (rc == 0) {
		rc = rows_take(&dp->msg, sas, known_only);
		if (rc != 0 || !(dp->msg.hdr.flags & SPW_MSG_MORE))
			break;
		dp->msg.hdr = (struct spw_msg_hdr){0};
		rc = spw_client_next(&dp->client, &dp->msg, err);
		spw_msg_close_fds(&dp->msg);
		if (rc == 0 && dp->msg.hdr.count > 0 &&
		    dp->msg.hdr.elem_size != sizeof(struct spw_dp_sa_stats))
			rc = spw_fail(err, -EPROTO, "the data plane's answer has the wrong size");
	}
	if (rc != 0) /* the rest of a broken dump must not be taken for an answer */
		go_down(d, err->text);
	return rc;
}

int
iked_dataplane_sas(struct iked *d, struct iked_sas *found, struct spw_err *err)
{
	int rc = rows_read(d, found, false, err);

	iked_sas_sort(found);
	return rc;
}

int
iked_dataplane_refresh(struct iked *d, struct spw_err *err)
{
	return rows_read(d, &d->dp.sas, true, err);
}

static void
sa_event_take(struct iked *d, const struct spw_dp_sa_event *ev)
{
	const struct iked_sa *sa = iked_sas_find(&d->dp.sas, ev->spi_in);
	bool orphan = sa && sa->orphan;

	spw_log(SPW_LOG_DEBUG, AREA, "sa-event",
		"kind=%" PRIu32 " tunnel=%" PRIu32 " spi-in=%08" PRIx32 " orphan=%d", ev->kind,
		ev->tunnel, ev->spi_in, orphan);
	if (ev->kind == SPW_SA_EV_HARD)
		iked_sas_del(&d->dp.sas, ev->spi_in);
	if (!orphan && d->engine)
		ike_engine_sa_event(d->engine, spw_clock_ns(), ev);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct iked *d = arg;
	struct spw_msg *m = &d->dp.event;
	int rc;

	while (d->dp.event_fd == fd && (rc = spw_msg_recv(fd, m)) != -EAGAIN) {
		const struct spw_dp_sa_event *ev = (const struct spw_dp_sa_event *)m->body;

		if (rc != 0) {
			go_down(d, strerror(-rc));
			break;
		}
		spw_msg_close_fds(m);
		if (m->hdr.number != SPW_DP_EV_SA || m->hdr.elem_size != sizeof(*ev))
			continue;
		for (unsigned int i = 0; i < m->hdr.count; i++)
			sa_event_take(d, &ev[i]);
	}
	iked_engine_settle(d);
}

static int
hello(struct spw_client *c, uint32_t subscribe, struct spw_msg *m, struct spw_dp_hello_reply *out,
      struct spw_err *err)
{
	struct spw_dp_hello h = {.role = SPW_ROLE_IKED, .subscribe = subscribe, .client = "iked"};
	int rc = spw_client_call(c, SPW_DP_HELLO, &h, sizeof(h), 1, NULL, 0, m, err);

	if (rc != 0)
		return rc;
	if (m->hdr.count != 1 || m->hdr.elem_size != sizeof(*out))
		return spw_fail(err, -EPROTO, "the data plane's hello has the wrong size");
	memcpy(out, m->body, sizeof(*out));
	return 0;
}

static int
connect_one(struct iked_dataplane *dp, uint32_t subscribe, struct spw_client *c,
	    struct spw_dp_hello_reply *out, struct spw_err *err)
{
	int rc;

	*c = (struct spw_client){.timeout_ms = HELLO_TIMEOUT_MS};
	c->fd = spw_msg_connect(dp->path, err);
	if (c->fd < 0)
		return c->fd;
	rc = hello(c, subscribe, &dp->msg, out, err);
	c->timeout_ms = CALL_TIMEOUT_MS;
	if (rc != 0) {
		close(c->fd);
		c->fd = -1;
	}
	return rc;
}

static int
connect_both(struct iked *d, struct spw_dp_hello_reply *out, struct spw_err *err)
{
	struct iked_dataplane *dp = &d->dp;
	struct spw_dp_hello_reply second;
	struct spw_client events;
	int rc = connect_one(dp, 0, &dp->client, out, err);

	if (rc != 0)
		return rc;
	rc = connect_one(dp, SPW_DP_SUB_SA, &events, &second, err);
	if (rc == 0) {
		dp->event_fd = events.fd;
		if (second.incarnation != out->incarnation ||
		    fcntl(events.fd, F_SETFL, O_NONBLOCK) < 0)
			rc = spw_fail(err, -EAGAIN, "the data plane restarted meanwhile");
	}
	if (rc == 0) {
		dp->readable = event_new(d->base, dp->event_fd, EV_READ | EV_PERSIST, on_event, d);
		if (!dp->readable || event_add(dp->readable, NULL) < 0)
			rc = spw_fail(err, -ENOMEM, "no memory for an event");
	}
	if (rc != 0)
		fds_close(dp);
	return rc;
}

/* What stands there was not installed by this process, or not in this incarnation. */
static int
meet_anew(struct iked *d, const struct spw_dp_hello_reply *h, struct spw_err *err)
{
	struct iked_dataplane *dp = &d->dp;
	struct iked_sas found = {0};
	int rc = iked_dataplane_sas(d, &found, err);

	if (rc != 0) {
		iked_sas_clear(&found);
		return rc;
	}
	for (size_t i = 0; i < found.n; i++)
		found.sa[i].orphan = true;
	iked_sas_clear(&dp->sas);
	dp->sas = found;
	dp->incarnation = h->incarnation;
	dp->encr_mask = h->encr_mask;
	dp->seen = true;
	if (d->engine) {
		ike_engine_incarnation(d->engine, dp->incarnation);
		ike_engine_dataplane_reset(d->engine, spw_clock_ns(), dp->encr_mask);
	}
	for (size_t i = 0; i < d->conns.n; i++)
		iked_orphan_tell(d, &d->conns.conn[i]);
	return 0;
}

static void
stray_delete(struct iked *d, uint32_t spi_in)
{
	struct spw_dp_sa_ref ref = {spi_in, SPW_SA_PART_IN | SPW_SA_PART_OUT};
	struct spw_err err = {0};

	spw_log(SPW_LOG_WARNING, AREA, "sa-stray-deleted", "spi-in=%08" PRIx32, spi_in);
	if (iked_dataplane_call(d, SPW_DP_SA_DELETE, &ref, sizeof(ref), &err) != 0)
		spw_log(SPW_LOG_WARNING, AREA, "sa-delete-failed",
			"spi-in=%08" PRIx32 " cause=\"%s\"", spi_in, err.text);
}

/* Our SA is not there any more: only its hard limit ends one, and the event was missed. */
static void
missing_report(struct iked *d)
{
	struct iked_sas *sas = &d->dp.sas;

	for (size_t i = 0; i < sas->n;) {
		struct spw_dp_sa_event ev = {.kind = SPW_SA_EV_HARD,
					     .tunnel = sas->sa[i].tunnel,
					     .spi_in = sas->sa[i].spi_in,
					     .limit = SPW_SA_LIMIT_TIME};

		if (sas->sa[i].present) {
			i++;
			continue;
		}
		sa_event_take(d, &ev);
		i = 0; /* the engine may have changed the list */
	}
}

/* What was to be deleted while nobody could be told. */
static void
debts_pay(struct iked *d)
{
	struct iked_sas *sas = &d->dp.sas;

	for (size_t i = 0; i < sas->n;) {
		uint32_t spi_in = sas->sa[i].spi_in, owed = sas->sa[i].owed;

		sas->sa[i].owed = 0;
		if (owed == 0)
			i++;
		else if (iked_op_sa_delete(d, spi_in, owed) == -ENOTCONN)
			return; /* it is owed again */
	}
}

/* Is it there, and what has it carried? */
static void
meet_one(struct iked_sa *sa, const struct iked_sas *found)
{
	const struct iked_sa *there = iked_sas_find(found, sa->spi_in);

	sa->present = there != NULL;
	if (!there)
		return;
	sa->last_in_ns = there->last_in_ns;
	sa->packets = there->packets;
	sa->bytes = there->bytes;
	sa->heard = there->heard;
	sa->sent = there->sent;
}

static int
meet_again(struct iked *d, struct spw_err *err)
{
	struct iked_dataplane *dp = &d->dp;
	struct iked_sas found = {0};
	int rc = iked_dataplane_sas(d, &found, err);

	for (size_t i = 0; rc == 0 && i < dp->sas.n; i++)
		meet_one(&dp->sas.sa[i], &found);
	for (size_t i = 0; rc == 0 && i < found.n; i++)
		if (!iked_sas_find(&dp->sas, found.sa[i].spi_in))
			stray_delete(d, found.sa[i].spi_in);
	iked_sas_clear(&found);
	if (rc != 0)
		return rc;
	dp->refreshed_ns = spw_clock_ns();
	missing_report(d);
	debts_pay(d);
	if (d->engine)
		ike_engine_dataplane_again(d->engine, spw_clock_ns());
	return iked_dataplane_connected(dp) ? 0 : -ENOTCONN;
}

int
iked_dataplane_connect(struct iked *d)
{
	struct iked_dataplane *dp = &d->dp;
	struct spw_dp_hello_reply h;
	struct spw_err err = {0};
	bool anew;
	int rc;

	if (iked_dataplane_connected(dp))
		return 0;
	evtimer_del(dp->retry);
	rc = connect_both(d, &h, &err);
	if (rc != 0) {
		spw_log(SPW_LOG_DEBUG, AREA, "connect-failed", "cause=\"%s\"", err.text);
		retry_later(dp);
		return rc;
	}
	anew = !dp->seen || dp->incarnation != h.incarnation;
	rc = anew ? meet_anew(d, &h, &err) : meet_again(d, &err);
	if (rc != 0)
		return rc; /* it went down and is tried again */
	dp->backoff_ms = BACKOFF_FIRST_MS;
	spw_log(SPW_LOG_INFO, AREA, "connected",
		"incarnation=%016" PRIx64 " new=%d orphans=%zu ciphers=%#" PRIx32, dp->incarnation,
		anew, iked_sas_orphans(&dp->sas), dp->encr_mask);
	return 0;
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct iked *d = arg;

	if (iked_dataplane_connect(d) == 0)
		iked_engine_settle(d);
}

int
iked_dataplane_start(struct iked *d, struct spw_err *err)
{
	struct iked_dataplane *dp = &d->dp;

	dp->client.fd = -1;
	dp->event_fd = -1;
	dp->backoff_ms = BACKOFF_FIRST_MS;
	dp->retry = evtimer_new(d->base, on_retry, d);
	if (!dp->retry)
		return spw_fail(err, -ENOMEM, "no memory for an event");
	if (iked_dataplane_connect(d) != 0)
		spw_log(SPW_LOG_WARNING, AREA, "waiting", "socket=%s", dp->path);
	return 0;
}

void
iked_dataplane_stop(struct iked *d)
{
	fds_close(&d->dp);
	if (d->dp.retry)
		event_free(d->dp.retry);
	d->dp.retry = NULL;
	iked_sas_clear(&d->dp.sas);
}
