/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scripted network of the engine's tests.
 *
 * Time is virtual: the loop jumps from one event to the next (a datagram arrives, an engine wants
 * to wake up, a packet of traffic is due). IKE datagrams may be lost, doubled, delayed or held by
 * a script; ESP is never lost by the network, so every lost packet is a fault of the engines: its
 * sender used an SA that the receiver did not have. The data plane refuses what a real one
 * refuses (an SPI twice, a key twice), and keeps account of SPIs.
 */
#include "tests/ike/net.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/witness.h"

uint64_t
net_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

static bool
before(const struct net_packet *a, const struct net_packet *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void
swap(struct net_packet *a, struct net_packet *b)
{
	struct net_packet t = *a;

	*a = *b;
	*b = t;
}

/* The queue is a heap: the earliest packet first, those in use at the front. */
static void
push(struct net *net, const struct net_packet *p)
{
	unsigned int i = net->n_queue++;

	if (i == NET_QUEUE)
		fail_msg("the network's queue is full");
	net->queue[i] = *p;
	net->queue[i].used = true;
	net->queue[i].order = net->order++;
	for (; i > 0 && before(&net->queue[i], &net->queue[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&net->queue[i], &net->queue[(i - 1) / 2]);
}

static struct net_packet
pop(struct net *net)
{
	struct net_packet first = net->queue[0];
	unsigned int i = 0, n = --net->n_queue;

	net->queue[0] = net->queue[n];
	net->queue[n].used = false;
	for (unsigned int k = 1; k < n; k = 2 * i + 1) {
		if (k + 1 < n && before(&net->queue[k + 1], &net->queue[k]))
			k++;
		if (!before(&net->queue[k], &net->queue[i]))
			break;
		swap(&net->queue[k], &net->queue[i]);
		i = k;
	}
	return first;
}

static uint64_t
draw_delay(struct net *net)
{
	uint64_t span = net->delay_max - net->delay_min;

	return net->delay_min + (span ? net_random(&net->rng) % span : 0);
}

/* How the escrow of a test looks in memory: as in escrow.c. */
#define ESCROW_SLOTS	 24
#define ESCROW_HEAD	 4096
#define ESCROW_HALF	 8192
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
	return ESCROW_HEAD + 2 * (size_t)top * ESCROW_HALF;
}

static void
escrow_copy(void *to, const void *from)
{
	memcpy(to, from, escrow_filled(from));
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
	for (size_t at = ESCROW_HEAD; at < escrow_filled(now); at += ESCROW_HALF) {
		memcpy(&batch, now + at, 8);
		if (batch != held || memcmp(now + at, image + at, 8) == 0)
			continue;
		memcpy(image + at, now + at, ESCROW_HALF);
		memset(image + at + 300, 0x5a, net_random(&h->net->rng) % 1000);
	}
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
static bool
dying(struct net_host *h, bool late)
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

/* Repeats of a message must be the same bytes (IKE-152, IKE-151). */
static void
watch_repeat(struct net *net, int from, const struct ike_header *h, const struct ike_datagram *d)
{
	if (h->exchange == IKE_X_SA_INIT || h->next != IKE_P_SK)
		return;
	for (unsigned int i = 0; i < net->n_seen; i++) {
		struct net_seen *s = &net->seen[i];

		if (s->from != from || s->spi_i != h->spi_i || s->mid != h->mid ||
		    s->flags != h->flags || s->exchange != h->exchange)
			continue;
		net->repeats++;
		if (s->len != d->len || memcmp(s->bytes, d->bytes, d->len) != 0)
			net->repeats_changed++;
		if (net->trace && net->repeats_changed)
			fprintf(stderr, "REPEAT %d x=%u mid=%u spi_i=%04x\n", from, h->exchange,
				h->mid, (unsigned int)(h->spi_i & 0xffff));
		return;
	}
	if (net->n_seen == 512)
		return;
	struct net_seen *s = &net->seen[net->n_seen++];
	*s = (struct net_seen){.from = from,
			       .spi_i = h->spi_i,
			       .mid = h->mid,
			       .exchange = h->exchange,
			       .flags = h->flags,
			       .len = d->len,
			       .bytes = malloc(d->len)};
	memcpy(s->bytes, d->bytes, d->len);
}

static void
push_datagram(struct net *net, int to, const struct ike_datagram *d, uint64_t delay)
{
	struct net_packet p = {.to = to, .at = net->now + delay, .d = *d};

	p.bytes = malloc(d->len + 1);
	memcpy(p.bytes, d->bytes, d->len);
	if (net->corrupt_percent && net_random(&net->rng) % 100 < net->corrupt_percent)
		p.bytes[net_random(&net->rng) % d->len] ^=
			(uint8_t)(1 << net_random(&net->rng) % 8);
	push(net, &p);
}

/* Turn the sender's view of a datagram into the receiver's, through the NAT when there is one. */
static struct ike_datagram
as_received(struct net *net, int from, const struct ike_datagram *d)
{
	struct ike_datagram r = *d;

	r.local = d->remote;
	r.remote = d->local;
	r.local_port = d->remote_port;
	r.remote_port = d->local_port;
	if (net->nat && from == 0) {
		r.remote = spw_addr_v4(0xcb007109);
		r.remote_port = (uint16_t)(net->nat_port + (d->local_port == 4500));
	} else if (net->nat) {
		r.local = net->host[0].addr;
		r.local_port = (uint16_t)(d->remote_port - net->nat_port == 1 ? 4500 : 500);
	}
	return r;
}

static void
op_send(void *ctx, const struct ike_datagram *d)
{
	struct net_host *h = ctx;
	struct net *net = h->net;
	struct ike_datagram r = as_received(net, h->index, d);
	struct ike_header hdr;
	enum net_verdict v = NET_PASS;

	assert_int_equal(ike_wire_header(&hdr, d->bytes, d->len), 0);
	if (dying(h, true))
		return;
	net->ike_sent++;
	watch_repeat(net, h->index, &hdr, d);
	if (h->dead)
		return;
	net->sending = d;
	if (net->script)
		v = net->script(net, h->index, &hdr);
	if (net->trace)
		fprintf(stderr, "%10.3f %d sends x=%u mid=%u %s spi_i=%04x len=%zu%s\n",
			(double)(net->now % (100000 * NET_S)) / 1e9, h->index, hdr.exchange,
			hdr.mid, hdr.flags & IKE_FLAG_RESPONSE ? "rsp" : "req",
			(unsigned int)(hdr.spi_i & 0xffff), d->len,
			v == NET_DROP ? " DROPPED" : "");
	if (v == NET_DROP || net_random(&net->rng) % 100 < net->loss_percent)
		return;
	push_datagram(net, !h->index, &r, v == NET_HOLD ? 3 * NET_S : draw_delay(net));
	if (net_random(&net->rng) % 100 < net->dup_percent)
		push_datagram(net, !h->index, &r, draw_delay(net));
}

static void
op_random(void *ctx, void *buf, size_t len)
{
	struct net_host *h = ctx;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)net_random(&h->rng);
}

/* A data plane is not as it was. */
static void
changed(const struct net_host *h)
{
	if (h->net->witness && h->net->strict)
		witness_change(h->net);
}

static struct net_sa *
find_sa(struct net_host *h, uint32_t spi_in)
{
	for (unsigned int i = 0; i < h->sa_top; i++)
		if ((h->sa[i].in || h->sa[i].out) && h->sa[i].spi_in == spi_in)
			return &h->sa[i];
	return NULL;
}

static int
op_spi_alloc(void *ctx, uint32_t tunnel, uint32_t *spi)
{
	struct net_host *h = ctx;

	assert_int_equal(tunnel, NET_TUNNEL);
	do
		*spi = (uint32_t)net_random(&h->rng);
	while (*spi < 256 || find_sa(h, *spi));
	if (!dying(h, false))
		h->spis_out++;
	return 0;
}

static void
op_spi_free(void *ctx, uint32_t tunnel, uint32_t spi)
{
	struct net_host *h = ctx;

	if (dying(h, true))
		return;
	assert_true(h->spis_out > 0);
	h->spis_out--;
}

static int
op_sa_install(void *ctx, const struct spw_sa_desc *sa, bool outbound)
{
	struct net_host *h = ctx;
	struct net_sa *slot = find_sa(h, sa->spi_in);

	if (dying(h, false))
		return 0;
	if (slot && slot->orphan) { /* of the process before: the same answer made the same SA */
		assert_int_equal(slot->key_len, sa->key_len);
		assert_memory_equal(slot->key_in, sa->key_in, sa->key_len);
		assert_memory_equal(slot->key_out, sa->key_out, sa->key_len);
		slot->orphan = false;
		h->spis_out--;
		h->adopted++;
		if (outbound)
			h->active = sa->spi_in;
		return 0;
	}
	slot = NULL;
	if (h->refuse_installs > 0) {
		h->refuse_installs--;
		return -EIO;
	}
	for (unsigned int i = 0; i < NET_SAS && i <= h->sa_top; i++) {
		/* an SPI whose SA has ended meanwhile is not given out any more */
		if (h->kills && h->sa[i].key_len && h->sa[i].spi_in == sa->spi_in)
			return -EINVAL;
		/* a key that was ever used here must not come back, whatever became of its SA */
		if (h->sa[i].key_len && memcmp(h->sa[i].key_out, sa->key_out, sa->key_len) == 0)
			fail_msg("a key was installed twice");
		if (!slot && !h->sa[i].in && !h->sa[i].out)
			slot = &h->sa[i];
	}
	assert_null(find_sa(h, sa->spi_in));
	assert_non_null(slot);
	assert_true(h->spis_out > 0);
	h->spis_out--;
	h->installs++;
	h->sa_top += slot == &h->sa[h->sa_top];
	memset(slot, 0, sizeof(*slot));
	slot->spi_in = sa->spi_in;
	slot->spi_out = sa->spi_out;
	slot->in = slot->out = true;
	slot->key_len = sa->key_len;
	slot->flags = sa->flags;
	memcpy(slot->key_in, sa->key_in, sa->key_len);
	memcpy(slot->key_out, sa->key_out, sa->key_len);
	slot->desc = *sa;
	if (outbound)
		h->active = sa->spi_in;
	changed(h);
	return 0;
}

static int
op_sa_switch(void *ctx, uint32_t spi_in)
{
	struct net_host *h = ctx;
	struct net_sa *sa = find_sa(h, spi_in);

	if (dying(h, true))
		return 0;
	if (h->kills && (!sa || !sa->out)) /* a deletion that was not recorded any more */
		return -ENOENT;
	assert_non_null(sa);
	assert_true(sa->out);
	h->active = spi_in;
	h->switches++;
	changed(h);
	return 0;
}

static int
op_sa_delete(void *ctx, uint32_t spi_in, uint32_t parts)
{
	struct net_host *h = ctx;
	struct net_sa *sa = find_sa(h, spi_in);

	if (dying(h, true))
		return 0;
	if (!sa)
		return -ENOENT;
	if (parts & SPW_SA_PART_IN)
		sa->in = false;
	if (parts & SPW_SA_PART_OUT)
		sa->out = false;
	if (!sa->out && h->active == spi_in)
		h->active = 0;
	changed(h);
	return 0;
}

static int
op_sa_move(void *ctx, uint32_t spi_in, const struct spw_addr *remote, uint16_t remote_port,
	   uint16_t local_port)
{
	struct net_host *h = ctx;

	if (dying(h, false))
		return 0;
	h->moves++;
	return find_sa(h, spi_in) ? 0 : -ENOENT;
}

static int
op_sa_adopt(void *ctx, uint32_t tunnel, uint32_t spi_in, struct ike_adopted *a)
{
	struct net_host *h = ctx;
	struct net_sa *sa = find_sa(h, spi_in);

	if (dying(h, false))
		return 0;
	if (!sa || !sa->in)
		return -ENOENT;
	sa->orphan = false;
	h->adopted++;
	*a = (struct ike_adopted){.heard = sa->heard};
	return 0;
}

static uint64_t
op_last_inbound(void *ctx, uint32_t tunnel)
{
	return ((struct net_host *)ctx)->last_inbound;
}

static void
op_tunnel_event(void *ctx, const struct spw_ike_tunnel_event *ev)
{
	struct net_host *h = ctx;

	if (h->killed)
		return;
	if (ev->up)
		h->ups++;
	else
		h->downs++;
}

static void
op_dh_start(void *ctx, struct ike_dh_job *job)
{
	struct net_host *h = ctx;
	uint64_t span = h->dh_max - h->dh_min;
	struct net_packet p = {.to = h->index, .job = job};

	(void)dying(h, false);
	p.at = h->net->now + h->dh_min + (span ? net_random(&h->net->rng) % span : 0);
	push(h->net, &p);
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

static const struct ike_ops ops = {
	.send = op_send,
	.random = op_random,
	.spi_alloc = op_spi_alloc,
	.spi_free = op_spi_free,
	.sa_install = op_sa_install,
	.sa_switch = op_sa_switch,
	.sa_delete = op_sa_delete,
	.sa_move = op_sa_move,
	.sa_adopt = op_sa_adopt,
	.last_inbound = op_last_inbound,
	.tunnel_event = op_tunnel_event,
};

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

static struct net_sa *find_sa(struct net_host *h, uint32_t spi_in);

/* What the killed process left: whatever the next one does not find in escrow is an orphan. */
static void
start_again(struct net_host *h)
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
	ike_escrow_sweep(h->escrow);
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
		fprintf(stderr, "%10.3f %d KILLED\n",
			(double)(h->net->now % (100000 * NET_S)) / 1e9, h->index);
	if (h->down_ns == 0)
		start_again(h);
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
net_rekey(struct net *net, int i, uint32_t what)
{
	net_call_begins(&net->host[i]);
	(void)ike_engine_rekey(net->host[i].engine, net->now, "azure", what);
	net_call_ends(&net->host[i]);
}

void
net_orphans_end(struct net *net, int i)
{
	struct net_host *h = &net->host[i];

	for (unsigned int k = 0; k < h->sa_top; k++) {
		if (!h->sa[k].orphan)
			continue;
		assert_int_not_equal(h->active, h->sa[k].spi_in);
		h->sa[k].in = h->sa[k].out = h->sa[k].orphan = false;
	}
}

struct net *
net_new(uint64_t seed)
{
	struct net *net = calloc(1, sizeof(*net));

	spw_log_init("test", getenv("SPW_TEST_LOG") ? SPW_LOG_DEBUG : SPW_LOG_ERROR);
	assert_int_equal(spw_secret_init(), 0);
	net->now = 1000 * NET_S;
	net->seed = seed;
	net->rng = seed * 2 + 1;
	for (int i = 0; i < 8; i++)
		net_random(&net->rng);
	net->delay_min = net->delay_max = 10 * NET_MS;
	net->traffic_every = 5 * NET_MS;
	net->nat_port = 31000;
	net->trace = getenv("SPW_TEST_TRACE") != NULL;
	for (int i = 0; i < 2; i++) {
		struct net_host *h = &net->host[i];

		h->net = net;
		h->index = i;
		h->addr = spw_addr_v4(i == 0 ? 0xc0000201 : 0xc6336401);
		h->rng = net_random(&net->rng) | 1;
		h->ops = ops;
		h->escrow_mem = calloc(1, escrow_size());
		assert_non_null(h->escrow_mem);
		start_escrow(h, true);
		start_engine(h);
	}
	return net;
}

void
net_free(struct net *net)
{
	for (int i = 0; i < 2; i++) {
		ike_engine_free(net->host[i].engine);
		drop_jobs(&net->host[i]);
		assert_int_equal(net_sas(net, i), 0);
		assert_int_equal(net->host[i].spis_out, 0);
		assert_int_equal(ike_escrow_used(net->host[i].escrow), 0);
		ike_escrow_free(net->host[i].escrow);
		free(net->host[i].escrow_mem);
		free(net->host[i].escrow_before);
		free(net->host[i].escrow_image);
	}
	for (unsigned int i = 0; i < NET_QUEUE; i++)
		if (net->queue[i].used)
			free(net->queue[i].bytes);
	for (unsigned int i = 0; i < net->n_seen; i++)
		free(net->seen[i].bytes);
	free(net);
}

struct spw_ike_conn
net_conn(const struct net *net, int i)
{
	const struct spw_selector any = {.low = spw_addr_v4(0),
					 .high = spw_addr_v4(0xffffffff),
					 .port_low = 0,
					 .port_high = 65535};
	struct spw_ike_conn c = {.name = "azure",
				 .tunnel = NET_TUNNEL,
				 .generation = 1,
				 .local = net->host[i].addr,
				 .remote = net->host[!i].addr,
				 .psk_len = 20,
				 .psk = "a shared secret, long",
				 .n_ike = 1,
				 .ike = {{.encr = SPW_ENCR_AES256_GCM,
					  .prf = SPW_PRF_HMAC_SHA256,
					  .group = SPW_GROUP_ECP256}},
				 .n_esp = 1,
				 .esp = {{.encr = SPW_ENCR_AES256_GCM}},
				 .dpd_delay_s = 15,
				 .dpd_timeout_s = 30,
				 .nat_keepalive_s = 20,
				 .replay_window = 4096,
				 .jitter_percent = 10,
				 .n_local = 1,
				 .n_remote = 1};

	c.sel_local[0] = c.sel_remote[0] = any;
	if (net->nat && i == 1)
		c.remote = spw_addr_v4(0xcb007109);
	return c;
}

void
net_set(struct net *net, int i, const struct spw_ike_conn *c)
{
	struct net_host *h = &net->host[i];
	struct spw_err err = {0};

	h->conn = *c;
	h->has_conn = true;
	net_call_begins(h);
	if (ike_engine_conn_set(h->engine, net->now, c, &err) != 0)
		fail_msg("%s", err.text);
	net_call_ends(h);
}

void
net_connect(struct net *net, uint32_t mode0, uint32_t mode1)
{
	struct spw_ike_conn c0 = net_conn(net, 0), c1 = net_conn(net, 1);

	c0.mode = mode0;
	c1.mode = mode1;
	if (net->nat) { /* identities do not follow the translated address */
		c0.local_id = c1.remote_id =
			(struct spw_ike_id){.type = SPW_ID_FQDN, .len = 4, .data = "here"};
	}
	net_set(net, 0, &c0);
	net_set(net, 1, &c1);
}

static void
deliver_esp(struct net *net, const struct net_packet *p)
{
	struct net_host *h = &net->host[p->to];
	struct net_sa *sa = find_sa(h, p->spi);
	bool first;

	if (h->dead)
		return;
	if (!sa || !sa->in) {
		net->esp_lost++;
		if (net->trace)
			fprintf(stderr, "%10.3f %d LOST esp spi=%08x\n",
				(double)(net->now % (100000 * NET_S)) / 1e9, p->to, p->spi);
		return;
	}
	first = !sa->heard;
	sa->heard = true;
	h->last_inbound = net->now;
	if (first && !h->down_until) {
		const struct spw_dp_sa_event ev = {
			.kind = SPW_SA_EV_FIRST_IN, .tunnel = NET_TUNNEL, .spi_in = p->spi};

		net_call_begins(h);
		ike_engine_sa_event(h->engine, net->now, &ev);
		net_call_ends(h);
	}
}

static void
deliver_job(struct net_host *h, struct ike_dh_job *job)
{
	ike_dh_job_run(job);
	h->dh_jobs++;
	net_call_begins(h);
	ike_engine_dh_done(h->engine, h->net->now, job);
	net_call_ends(h);
}

static void
deliver(struct net *net)
{
	struct net_packet copy = pop(net);
	struct net_host *h = &net->host[copy.to];

	if (copy.gone)
		return;
	if (copy.job) {
		deliver_job(h, copy.job);
		return;
	}
	if (copy.esp) {
		deliver_esp(net, &copy);
		return;
	}
	if (h->down_until && h->down_until <= net->now)
		start_again(h);
	if (h->down_until) { /* it waits in the socket */
		copy.at = h->down_until;
		push(net, &copy);
		return;
	}
	copy.d.bytes = copy.bytes;
	net_call_begins(h);
	if (!h->dead)
		ike_engine_input(h->engine, net->now, &copy.d);
	net_call_ends(h);
	free(copy.bytes);
}

/* Both hosts send one packet on the SA their data plane has chosen. */
static void
send_traffic(struct net *net)
{
	for (int i = 0; i < 2; i++) {
		struct net_host *h = &net->host[i];
		struct net_sa *sa = h->active ? find_sa(h, h->active) : NULL;

		if (h->dead)
			continue;
		if (!sa || !sa->out) {
			net->esp_unsent++;
			continue;
		}
		net->esp_sent++;
		const struct net_packet p = {.esp = true,
					     .to = !i,
					     .spi = sa->spi_out,
					     .at = net->now + draw_delay(net)};
		push(net, &p);
	}
	net->traffic_at = net->now + net->traffic_every;
}

static void
tick(struct net_host *h)
{
	if (h->down_until) {
		start_again(h);
		return;
	}
	net_call_begins(h);
	ike_engine_tick(h->engine, h->net->now);
	net_call_ends(h);
}

static uint64_t
wakeup(struct net_host *h)
{
	if (h->dead)
		return UINT64_MAX;
	if (h->down_until)
		return h->down_until;
	if (!h->wake_known) {
		h->wake = ike_engine_wakeup(h->engine);
		h->wake_known = true;
	}
	return h->wake;
}

/* Run the earliest event before `end`; false when there is none. */
static bool
step(struct net *net, uint64_t end)
{
	const struct net_packet *p = net->n_queue ? &net->queue[0] : NULL;
	uint64_t at = p ? p->at : UINT64_MAX;
	uint64_t wake[2];

	for (int i = 0; i < 2; i++) {
		wake[i] = wakeup(&net->host[i]);
		at = ike_min_u64(at, wake[i]);
	}
	if (net->traffic)
		at = ike_min_u64(at, net->traffic_at);
	if (at >= end)
		return false;
	if (at > net->now)
		net->now = at;
	if (p && p->at <= net->now)
		deliver(net);
	else if (net->traffic && net->traffic_at <= net->now)
		send_traffic(net);
	else
		tick(&net->host[wake[0] <= net->now ? 0 : 1]);
	return true;
}

void
net_run(struct net *net, uint64_t ns)
{
	uint64_t end = net->now + ns, steps = 0;

	for (int i = 0; i < 2; i++) /* tests call engines themselves in between */
		net->host[i].wake_known = false;
	while (step(net, end))
		if (++steps > 20000000)
			fail_msg("the engines never rest");
	net->now = end;
}

bool
net_up(const struct net *net, int i)
{
	return net->host[i].active != 0 && net_ike_sas(net, i) > 0;
}

bool
net_run_up(struct net *net, uint64_t limit)
{
	uint64_t end = net->now + limit;

	while (net->now < end && !(net_up(net, 0) && net_up(net, 1)))
		net_run(net, 10 * NET_MS);
	return net_up(net, 0) && net_up(net, 1);
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
net_dataplane_reset(struct net *net, int i)
{
	struct net_host *h = &net->host[i];

	for (unsigned int k = 0; k < h->sa_top; k++)
		h->sa[k].in = h->sa[k].out = false; /* keys stay, to see none come back */
	h->active = 0;
	h->incarnation++;
	h->spis_out = 0;
	net_call_begins(h);
	ike_engine_incarnation(h->engine, 1 + h->incarnation);
	ike_engine_dataplane_reset(h->engine, net->now, 0xffff);
	net_call_ends(h);
}

void
net_event(struct net *net, int i, uint32_t kind)
{
	struct net_host *h = &net->host[i];
	const struct spw_dp_sa_event ev = {
		.kind = kind, .tunnel = NET_TUNNEL, .spi_in = h->active, .limit = 1};

	if (kind == SPW_SA_EV_HARD) {
		struct net_sa *sa = find_sa(h, h->active);

		sa->in = sa->out = false;
		h->active = 0;
	}
	net_call_begins(h);
	ike_engine_sa_event(h->engine, net->now, &ev);
	net_call_ends(h);
}

struct spw_ike_status
net_status(const struct net *net, int i)
{
	struct spw_ike_status s = {0};

	ike_engine_status(net->host[i].engine, &s, 1);
	return s;
}

unsigned int
net_sas(const struct net *net, int i)
{
	unsigned int n = 0;

	for (unsigned int k = 0; k < net->host[i].sa_top; k++)
		n += net->host[i].sa[k].in;
	return n;
}

unsigned int
net_ike_sas(const struct net *net, int i)
{
	unsigned int n = 0;

	for (const struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
		n += sa->state == IKE_SA_ESTABLISHED && !sa->redundant && !sa->pending;
	return n;
}

bool
net_agrees(const struct net *net)
{
	for (int i = 0; i < 2; i++) {
		struct net_sa *out = find_sa((struct net_host *)&net->host[i], net->host[i].active);
		struct net_sa *in =
			out ? find_sa((struct net_host *)&net->host[!i], out->spi_out) : NULL;

		if (!in || !in->in || !out->out || in->key_len != out->key_len ||
		    memcmp(in->key_in, out->key_out, out->key_len) != 0)
			return false;
	}
	return true;
}

void
net_inject(struct net *net, int to, const uint8_t *bytes, size_t len, uint16_t port)
{
	const struct ike_datagram d = {.local = net->host[to].addr,
				       .remote = net->host[!to].addr,
				       .local_port = port,
				       .remote_port = port,
				       .bytes = bytes,
				       .len = len};

	push_datagram(net, to, &d, 0);
}
