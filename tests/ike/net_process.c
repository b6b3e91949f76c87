/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The processes of the scripted network: each an engine with its escrow, which can be killed.
 *
 * A kill falls on one operation of a call into the engine. What the call still does then has no
 * effect; when it returns, the escrow is put back to how it was at that operation (or, torn, to how
 * a process leaves it that dies while it writes), the engine is thrown away, and another begins
 * with the escrow, at once or after a while. Beside each call are the checks that hold at any
 * moment: nobody sleeps past a wish, and the escrow is not behind the engine.
 *
 * Jobs of key exchange travel on the wire's queue; those of a process that is gone are freed there.
 */
#include "tests/ike/net_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/witness.h"

/* How the escrow of a test looks in memory: as in escrow.c. */
#define ESCROW_SLOTS	 24
#define ESCROW_BEGIN	 6144
#define ESCROW_HALF	 8192
#define ESCROW_HEAD	 24 /* of a half: on either side of a slot's middle */
#define ESCROW_TOP	 20
#define ESCROW_COMMITTED 24

static size_t
escrow_size(void)
{
	return ike_escrow_size(ESCROW_SLOTS);
}

/* All of an escrow that may hold something: slots that were never used are not looked at. */
static size_t
escrow_filled(const void *mem)
{
	uint32_t top;

	memcpy(&top, (const uint8_t *)mem + ESCROW_TOP, sizeof(top));
	return ESCROW_BEGIN + 2 * (size_t)top * ESCROW_HALF;
}

static void
escrow_copy(void *to, const void *from)
{
	memcpy(to, from, escrow_filled(from));
}

/* The half of a slot at `at`; the first one has its head at its end. */
static void
half_torn(struct net_host *h, size_t at, bool first, uint64_t held)
{
	const uint8_t *now = (uint8_t *)h->escrow_mem + at;
	uint8_t *image = (uint8_t *)h->escrow_image + at;
	size_t head = first ? ESCROW_HALF - ESCROW_HEAD : 0;
	uint64_t batch;
	size_t n;

	memcpy(&batch, now + head, 8);
	if (batch != held || memcmp(now + head, image + head, 8) == 0)
		return;
	memcpy(image, now, ESCROW_HALF);
	n = net_random(&h->net->rng) % 1000;
	memset(image + (first ? head - 276 - n : 300), 0x5a, n);
}

/*
 * The escrow as a process leaves it that was killed while it wrote: the records of the new batch,
 * the last of them half, beside what held before; the batch itself does not hold.
 */
static void
image_torn(struct net_host *h)
{
	const uint8_t *now = h->escrow_mem;
	uint8_t *image = h->escrow_image;
	uint64_t batch, held;

	memcpy(&held, now + ESCROW_COMMITTED, 8);
	memcpy(&batch, (uint8_t *)h->escrow_before + ESCROW_COMMITTED, 8);
	if (batch + 1 != held) { /* two batches in one call: the first one held */
		escrow_copy(image, now);
		return;
	}
	escrow_copy(image, h->escrow_before);
	memset(image + escrow_filled(image), 0, escrow_filled(now) - escrow_filled(image));
	memcpy(image + ESCROW_TOP, now + ESCROW_TOP,
	       4); /* slots are taken before they are written */
	for (size_t at = ESCROW_BEGIN, half = 0; at < escrow_filled(now); at += ESCROW_HALF, half++)
		half_torn(h, at, half % 2 == 0, held);
}

/* Memory is as it was at the kill; what was written after it is undone. */
static void
escrow_restore(struct net_host *h)
{
	size_t kept = escrow_filled(h->escrow_image), now = escrow_filled(h->escrow_mem);

	escrow_copy(h->escrow_mem, h->escrow_image);
	if (now > kept)
		memset((uint8_t *)h->escrow_mem + kept, 0, now - kept);
}

/* Is this operation still done? `late`: it is one that comes after the records. */
bool
net_dying(struct net_host *h, bool late)
{
	if (h->killed)
		return true;
	if (h->kill_in > 0 && --h->kill_in == 0) {
		h->killed = true;
		if (late && h->torn && !h->spoke)
			image_torn(h);
		else
			escrow_copy(h->escrow_image, h->escrow_mem);
		return true;
	}
	h->spoke |= late;
	return false;
}

static void
op_random(void *ctx, void *buf, size_t len)
{
	struct net_host *h = ctx;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)net_random(&h->rng);
}

static void
op_dh_start(void *ctx, struct ike_dh_job *job)
{
	struct net_host *h = ctx;
	uint64_t span = h->dh_max - h->dh_min;
	struct net_packet p = {.to = h->index, .job = job};

	(void)net_dying(h, false);
	p.at = h->net->now + h->dh_min + (span ? net_random(&h->net->rng) % span : 0);
	net_push(h->net, &p);
}

/* Nobody is left to take the jobs of this host. */
static void
drop_jobs(struct net_host *h)
{
	for (unsigned int i = 0; i < h->net->n_queue; i++) {
		struct net_packet *p = &h->net->queue[i];

		if (!p->job || p->to != h->index)
			continue;
		ike_dh_job_free(p->job);
		p->job = NULL;
		p->gone = true;
	}
}

static void
start_engine(struct net_host *h)
{
	const struct ike_engine_config config = {.ops = &h->ops,
						 .ctx = h,
						 .encr_mask = 0xffff,
						 .half_open_cookies = 5,
						 .escrow = h->escrow,
						 .incarnation = 1 + h->incarnation};

	assert_int_equal(ike_engine_new(&h->engine, &config, h->net->now), 0);
	h->wake_known = false;
}

/* An escrow from what stands in memory, or an empty one. */
static void
start_escrow(struct net_host *h, bool empty)
{
	ike_escrow_free(h->escrow);
	if (empty)
		memset(h->escrow_mem, 0, escrow_size());
	assert_int_equal(ike_escrow_new(&h->escrow, h->escrow_mem, escrow_size()), 0);
}

/* The answer that makes this SA is still to come, or to be given. */
static bool
awaited(const struct net_host *h, uint32_t spi_in)
{
	for (const struct ike_sa *sa = h->engine->sas; sa; sa = sa->next)
		if (sa->req.spi_in == spi_in || sa->auth_spi == spi_in)
			return true;
	return false;
}

/* Orphans that carry traffic. */
static unsigned int
stranded(const struct net_host *h)
{
	unsigned int n = 0;

	for (unsigned int k = 0; k < h->sa_top; k++) {
		const struct net_sa *sa = &h->sa[k];

		if (!sa->orphan || (!sa->in && !sa->out) || awaited(h, sa->spi_in) ||
		    (!sa->heard && h->active != sa->spi_in))
			continue;
		n++;
		if (h->net->trace)
			fprintf(stderr, "%10.3f %d STRANDED spi_in=%08x in=%d out=%d heard=%d\n",
				net_seconds(h->net), h->index, sa->spi_in, sa->in, sa->out,
				sa->heard);
	}
	return n;
}

/* What the killed process left: whatever the next one does not find in escrow is an orphan. */
void
net_start_again(struct net_host *h)
{
	struct spw_err err = {0};

	ike_engine_free(h->engine);
	h->down_until = 0;
	start_escrow(h, false);
	for (unsigned int k = 0; k < h->sa_top; k++)
		h->sa[k].orphan = h->sa[k].in || h->sa[k].out;
	start_engine(h);
	net_call_begins(h);
	if (h->has_conn && ike_engine_conn_set(h->engine, h->net->now, &h->conn, &err) != 0)
		fail_msg("%s", err.text);
	/* SPIs that were given out and not recorded are lost for good */
	h->spis_out = 0;
	for (const struct ike_sa *sa = h->engine->sas; sa; sa = sa->next)
		h->spis_out += (sa->req.spi_in != 0 && !sa->req.stale) + (sa->auth_spi != 0);
	ike_engine_restored(h->engine, h->net->now);
	if (!h->killed)
		h->stranded += stranded(h);
	net_call_ends(h);
}

static void
audit(const struct net_host *h)
{
	static uint8_t fresh[ESCROW_HALF];

	for (struct ike_sa *sa = h->engine->sas; sa; sa = sa->next) {
		size_t len = 0, want = sa->slot ? ike_record_save(sa, fresh, sizeof(fresh)) : 0;
		const uint8_t *kept = sa->slot ? ike_escrow_read(h->escrow, sa->slot, &len) : NULL;

		if (sa->slot && (!kept || len != want || memcmp(kept, fresh, len) != 0))
			fail_msg("host %d: the escrow is behind on an SA that is %s", h->index,
				 ike_state_name(sa->state));
		if (!sa->slot && sa->conn && sa->state == IKE_SA_ESTABLISHED)
			fail_msg("host %d: an IKE SA is not in escrow", h->index);
	}
}

void
net_call_begins(struct net_host *h)
{
	h->spoke = h->wake_known = false;
	if (h->kill_in > 0 && h->torn)
		escrow_copy(h->escrow_before, h->escrow_mem);
}

void
net_call_ends(struct net_host *h)
{
	struct ike_escrow *kept = h->escrow;

	if (!h->killed) {
		if (!ike_turns_sound(h->engine))
			fail_msg("host %d: somebody sleeps past a wish, or is not found", h->index);
		if (h->net->audit && !h->down_until)
			audit(h);
		if (h->net->witness)
			witness_call(h->net, h->index, false);
		return;
	}
	if (h->net->witness)
		witness_call(h->net, h->index, true);
	ike_engine_abandon(h->engine);
	drop_jobs(h);
	escrow_restore(h);
	h->killed = false;
	h->kills++;
	h->down_until = h->net->now + h->down_ns;
	h->escrow = NULL;
	start_engine(h); /* nobody: without connections it does nothing */
	h->escrow = kept;
	if (h->net->trace)
		fprintf(stderr, "%10.3f %d KILLED\n", net_seconds(h->net), h->index);
	if (h->down_ns == 0)
		net_start_again(h);
}

void
net_kill_at(struct net *net, int i, unsigned int n, bool torn, uint64_t down_ns)
{
	struct net_host *h = &net->host[i];

	if (!h->escrow_image) {
		h->escrow_image = malloc(escrow_size());
		h->escrow_before = malloc(escrow_size());
		assert_true(h->escrow_image && h->escrow_before);
	}
	h->kill_in = n;
	h->torn = torn;
	h->down_ns = down_ns;
}

void
net_dh(struct net *net, int i, uint64_t min, uint64_t max)
{
	struct net_host *h = &net->host[i];

	h->dh_min = min;
	h->dh_max = max;
	h->ops.dh_start = min <= max ? op_dh_start : NULL;
}

void
net_reboot(struct net *net, int i, bool keep_dataplane)
{
	struct net_host *h = &net->host[i];
	struct net_sa kept[NET_SAS];
	uint32_t active = h->active;

	memcpy(kept, h->sa, sizeof(kept));
	ike_engine_free(h->engine);
	drop_jobs(h);
	start_escrow(h, true); /* with the machine, or its keeper too */
	h->active = 0;
	if (keep_dataplane) {
		memcpy(h->sa, kept, sizeof(kept));
		h->active = active;
	}
	start_engine(h);
}

void
net_process_begin(struct net_host *h)
{
	h->ops.random = op_random;
	h->escrow_mem = calloc(1, escrow_size());
	assert_non_null(h->escrow_mem);
	start_escrow(h, true);
	start_engine(h);
}

void
net_process_end(struct net_host *h)
{
	ike_engine_free(h->engine);
	drop_jobs(h);
	assert_int_equal(net_sas(h->net, h->index), 0);
	assert_int_equal(h->spis_out, 0);
	assert_int_equal(ike_escrow_used(h->escrow), 0);
	ike_escrow_free(h->escrow);
	free(h->escrow_mem);
	free(h->escrow_before);
	free(h->escrow_image);
}
