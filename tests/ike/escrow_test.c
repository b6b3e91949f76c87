/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The escrow: its store, and engines killed at every step of every exchange.
 *
 * A kill falls before the n-th operation of a process (a datagram, or a change in its data plane);
 * n runs from 1 until the exchange has fewer operations. Whatever falls, the next process goes on
 * from the escrow: no packet is lost, both ends agree, repeats are the same bytes, and an IKE SA
 * that stood has the same SPIs as before (or its successor's, after an IKE rekey).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/ike/net.h"

#define BOTH	 SPW_IKE_MODE_BOTH
#define RESPOND	 SPW_IKE_MODE_RESPOND
#define CHILD	 SPW_IKE_RESET_CHILD
#define IKE	 SPW_IKE_RESET_IKE
#define STEP_MAX 60

/* ---- the store ---- */

#define SLOTS 3

static struct ike_escrow *
store(uint8_t *mem, size_t size)
{
	struct ike_escrow *esc;

	assert_int_equal(ike_escrow_new(&esc, mem, size), 0);
	return esc;
}

/* A record: a name of one letter, then `n` bytes of it. */
static void
put(struct ike_escrow *esc, unsigned int slot, char letter, size_t n)
{
	size_t room;
	uint8_t *draft = ike_escrow_draft(esc, &room);

	assert_true(room >= IKE_ESCROW_NAME + n);
	memset(draft, 0, IKE_ESCROW_NAME);
	draft[0] = (uint8_t)letter;
	memset(draft + IKE_ESCROW_NAME, letter, n);
	ike_escrow_write(esc, slot, IKE_ESCROW_NAME + n);
}

static bool
holds(const struct ike_escrow *esc, unsigned int slot, char letter, size_t n)
{
	size_t len;
	const uint8_t *r = ike_escrow_read(esc, slot, &len);

	return r && len == IKE_ESCROW_NAME + n && r[0] == (uint8_t)letter &&
	       r[len - 1] == (uint8_t)letter;
}

static size_t
count_byte(const uint8_t *mem, size_t size, uint8_t byte)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += mem[i] == byte;
	return n;
}

static void
a_batch_holds_whole_or_not_at_all(void **state)
{
	size_t size = ike_escrow_size(SLOTS);
	uint8_t *mem = calloc(1, size);
	struct ike_escrow *esc = store(mem, size);
	unsigned int a = ike_escrow_take(esc), b = ike_escrow_take(esc);

	put(esc, a, 'a', 100);
	put(esc, b, 'b', 100);
	ike_escrow_publish(esc);
	put(esc, a, 'A', 200);
	put(esc, b, 'B', 200);
	assert_true(holds(esc, a, 'a', 100) && holds(esc, b, 'b', 100));
	ike_escrow_free(esc); /* killed before the batch held */
	esc = store(mem, size);
	assert_int_equal(ike_escrow_found(esc), 2);
	assert_true(holds(esc, a, 'a', 100) && holds(esc, b, 'b', 100));
	ike_escrow_claim(esc, a);
	ike_escrow_claim(esc, b);
	ike_escrow_publish(esc); /* the number that the other batch had: it must not come back */
	assert_true(holds(esc, a, 'a', 100) && holds(esc, b, 'b', 100));
	put(esc, a, 'A', 200);
	put(esc, b, 'B', 200);
	ike_escrow_publish(esc);
	assert_true(holds(esc, a, 'A', 200) && holds(esc, b, 'B', 200));
	ike_escrow_free(esc);
	free(mem);
}

static void
what_ends_is_wiped_and_its_slot_used_again(void **state)
{
	size_t size = ike_escrow_size(SLOTS);
	uint8_t *mem = calloc(1, size);
	struct ike_escrow *esc = store(mem, size);
	unsigned int a = ike_escrow_take(esc);

	put(esc, a, 0x77, 5000);
	ike_escrow_publish(esc);
	put(esc, a, 0x77, 300);
	ike_escrow_publish(esc);
	put(esc, a, 0x77, 301);
	ike_escrow_publish(esc);
	assert_true(count_byte(mem, size, 0x77) < 700); /* nothing is left of the long one */
	ike_escrow_remove(esc, a);
	assert_true(holds(esc, a, 0x77, 301)); /* until the batch holds */
	ike_escrow_publish(esc);
	assert_int_equal(count_byte(mem, size, 0x77), 0);
	assert_int_equal(ike_escrow_used(esc), 0);
	for (int i = 0; i < SLOTS; i++)
		assert_int_not_equal(ike_escrow_take(esc), 0);
	assert_int_equal(ike_escrow_take(esc), 0);
	ike_escrow_free(esc);
	free(mem);
}

static void
a_removal_that_did_not_hold_is_none(void **state)
{
	size_t size = ike_escrow_size(SLOTS);
	uint8_t *mem = calloc(1, size), *killed = malloc(size);
	struct ike_escrow *esc = store(mem, size);
	unsigned int a = ike_escrow_take(esc);

	put(esc, a, 'a', 50);
	ike_escrow_publish(esc);
	ike_escrow_remove(esc, a);
	memcpy(killed, mem, size);
	ike_escrow_publish(esc);
	ike_escrow_free(esc);
	esc = store(killed, size);
	assert_true(holds(esc, a, 'a', 50));
	assert_int_equal(ike_escrow_sweep(esc), 1);
	assert_int_equal(count_byte(killed, size, 'a'), 0);
	ike_escrow_free(esc);
	free(mem);
	free(killed);
}

static void
a_damaged_record_is_refused_and_the_others_stand(void **state)
{
	size_t size = ike_escrow_size(SLOTS);
	uint8_t *mem = calloc(1, size);
	struct ike_escrow *esc = store(mem, size);
	unsigned int a = ike_escrow_take(esc), b = ike_escrow_take(esc);
	size_t len;

	put(esc, a, 'a', 100);
	put(esc, b, 'b', 100);
	ike_escrow_publish(esc);
	put(esc, a, 'A', 100);
	ike_escrow_publish(esc);
	((uint8_t *)(uintptr_t)ike_escrow_read(esc, a, &len))[60] ^= 1;
	ike_escrow_free(esc);
	esc = store(mem, size);
	/* not the older one in its place: that state is past */
	assert_null(ike_escrow_read(esc, a, &len));
	assert_int_equal(ike_escrow_found(esc), 1);
	assert_true(holds(esc, b, 'b', 100));
	ike_escrow_free(esc);
	free(mem);
}

static void
what_is_no_escrow_of_this_build_is_refused_unchanged(void **state)
{
	size_t size = ike_escrow_size(SLOTS);
	uint8_t *mem = calloc(1, size), *copy = malloc(size);
	struct ike_escrow *esc = store(mem, size);

	ike_escrow_free(esc);
	mem[8] ^= 1; /* the mark of the build */
	memcpy(copy, mem, size);
	assert_int_equal(ike_escrow_new(&esc, mem, size), -EBADMSG);
	assert_memory_equal(mem, copy, size);
	memset(mem, 7, size);
	assert_int_equal(ike_escrow_new(&esc, mem, size), -EBADMSG);
	assert_int_equal(ike_escrow_new(&esc, mem, 4096), -EINVAL);
	free(mem);
	free(copy);
}

static size_t
pages_touched(uint8_t *mem, size_t size)
{
	unsigned char resident[64];
	size_t n = 0, page = (size_t)sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page;

	assert_true(pages <= sizeof(resident));
	assert_int_equal(mincore(mem, size, resident), 0);
	for (size_t i = 0; i < pages; i++)
		n += resident[i] & 1;
	return n;
}

/* Tunnels are many: what a record costs is what of its slot is touched. */
static void
a_slot_of_usual_records_is_one_page(void **state)
{
	size_t size = ike_escrow_size(SLOTS);
	uint8_t *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ike_escrow *esc = store(mem, size);

	for (unsigned int slot = 1; slot <= SLOTS; slot++) {
		assert_int_equal(ike_escrow_take(esc), slot);
		for (size_t n = 1900; n < 1990; n++) {
			put(esc, slot, 'a', n);
			ike_escrow_publish(esc);
			assert_true(holds(esc, slot, 'a', n));
		}
	}
	assert_int_equal(pages_touched(mem, size), 1 + SLOTS);
	put(esc, 1, 'a', 2000);
	ike_escrow_publish(esc);
	assert_int_equal(pages_touched(mem, size), 2 + SLOTS);
	ike_escrow_free(esc);
	munmap(mem, size);
}

/* The longest is whole in either half, and in neither does it reach another slot. */
static void
a_slot_has_room_for_two_of_the_longest(void **state)
{
	size_t size = ike_escrow_size(SLOTS), room;
	uint8_t *mem = calloc(1, size), *copy = malloc(size);
	struct ike_escrow *esc = store(mem, size);

	ike_escrow_draft(esc, &room);
	room -= IKE_ESCROW_NAME;
	for (unsigned int slot = 1; slot <= SLOTS; slot++)
		assert_int_equal(ike_escrow_take(esc), slot);
	for (size_t shorter = 0; shorter < 3; shorter++) {
		for (unsigned int slot = 1; slot <= SLOTS; slot++)
			put(esc, slot, (char)('a' + slot), room - shorter);
		ike_escrow_publish(esc);
		for (unsigned int slot = 1; slot <= SLOTS; slot++)
			assert_true(holds(esc, slot, (char)('a' + slot), room - shorter));
	}
	memcpy(copy, mem, size);
	for (unsigned int slot = 1; slot <= SLOTS; slot++)
		ike_escrow_remove(esc, slot);
	ike_escrow_publish(esc);
	for (unsigned int slot = 1; slot <= SLOTS; slot++)
		assert_true(count_byte(copy, size, (uint8_t)('a' + slot)) > 2 * room - 10 &&
			    count_byte(mem, size, (uint8_t)('a' + slot)) < 10);
	ike_escrow_free(esc);
	free(mem);
	free(copy);
}

/* ---- kills ---- */

/* What happens, and whether the tunnel stands before. */
struct story {
	const char *name;
	bool from_nothing;
	bool may_end; /* the IKE SA is closed by the story itself */
	uint64_t run_ns;
	void (*begin)(struct net *net);
};

static void
reset(struct net *net, int i)
{
	net_call_begins(&net->host[i]);
	ike_engine_reset(net->host[i].engine, net->now, "azure", IKE);
	net_call_ends(&net->host[i]);
}

static void
begin_nothing(struct net *net)
{
}
static void
begin_child_rekey(struct net *net)
{
	net_rekey(net, 0, CHILD);
}
static void
begin_child_rekey_by_other(struct net *net)
{
	net_rekey(net, 1, CHILD);
}
static void
begin_child_rekey_by_both(struct net *net)
{
	net_rekey(net, 0, CHILD);
	net_rekey(net, 1, CHILD);
}
static void
begin_ike_rekey(struct net *net)
{
	net_rekey(net, 0, IKE);
}
static void
begin_ike_rekey_by_other(struct net *net)
{
	net_rekey(net, 1, IKE);
}
static void
begin_ike_rekey_by_both(struct net *net)
{
	net_rekey(net, 0, IKE);
	net_rekey(net, 1, IKE);
}
static void
begin_both_kinds(struct net *net)
{
	net_rekey(net, 0, CHILD);
	net_rekey(net, 1, IKE);
}
static void
begin_reset(struct net *net)
{
	reset(net, 0);
}
static void
begin_reset_by_other(struct net *net)
{
	reset(net, 1);
}
static void
begin_silence(struct net *net)
{
	net->traffic = false; /* DPD asks */
}

static const struct story stories[] = {
	{"handshake", true, true, 2 * NET_S, begin_nothing},
	{"child rekey", false, false, 9 * NET_S, begin_child_rekey},
	{"child rekey by the other", false, false, 9 * NET_S, begin_child_rekey_by_other},
	{"child rekey by both", false, false, 15 * NET_S, begin_child_rekey_by_both},
	{"IKE rekey", false, false, 3 * NET_S, begin_ike_rekey},
	{"IKE rekey by the other", false, false, 3 * NET_S, begin_ike_rekey_by_other},
	{"IKE rekey by both", false, false, 15 * NET_S, begin_ike_rekey_by_both},
	{"child and IKE rekey", false, false, 15 * NET_S, begin_both_kinds},
	{"delete", false, true, 5 * NET_S, begin_reset},
	{"delete by the other", false, true, 5 * NET_S, begin_reset_by_other},
	{"silence", false, false, 40 * NET_S, begin_silence},
};

/* PFS, so that a private value is under way in a child rekey too. */
static struct net *
network(uint64_t seed, const struct story *s)
{
	struct net *net = net_new(seed);

	net->audit = true;
	for (int i = 0; i < 2; i++) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i == 0 ? BOTH : RESPOND;
		c.esp[0].group = SPW_GROUP_ECP256;
		net_set(net, i, &c);
	}
	if (s->from_nothing)
		return net;
	net_run_traffic(net);
	return net;
}

static void
expect(struct net *net, const struct story *s, int victim, unsigned int step, const char *how)
{
	for (int i = 0; i < 2; i++)
		net_orphans_end(net, i);
	for (int i = 0; i < 2; i++)
		if (net_ike_sas(net, i) != 1 || net_sas(net, i) != 1 ||
		    net_status(net, i).children != 1 || net->host[i].spis_out != 0)
			fail_msg(
				"%s, host %d killed at %u%s: host %d has %u IKE SAs, %u child SAs, "
				"%u SPIs",
				s->name, victim, step, how, i, net_ike_sas(net, i), net_sas(net, i),
				net->host[i].spis_out);
	if (!net_agrees(net) || net_status(net, 0).spi_i != net_status(net, 1).spi_i)
		fail_msg("%s, host %d killed at %u%s: the ends do not agree", s->name, victim, step,
			 how);
	if (net->repeats_changed)
		fail_msg("%s, host %d killed at %u%s: a repeat has other bytes", s->name, victim,
			 step, how);
	if (!s->may_end && (net->esp_lost || net->esp_unsent))
		fail_msg("%s, host %d killed at %u%s: %llu lost, %llu not sent", s->name, victim,
			 step, how, (unsigned long long)net->esp_lost,
			 (unsigned long long)net->esp_unsent);
}

/* One kill in one story. false when the story has fewer operations than that. */
static bool
tell(const struct story *s, int victim, unsigned int step, bool torn, uint64_t down,
     unsigned int loss)
{
	struct net *net = NULL;
	uint64_t before;
	bool fell;

	if (s->from_nothing) { /* the victim must be armed before it is told anything */
		net = net_new(step + 1);
		net->audit = true;
		net_kill_at(net, victim, step, torn, down);
		net_connect(net, BOTH, RESPOND);
	} else {
		net = network(step + 1, s);
		net_kill_at(net, victim, step, torn, down);
	}
	net->loss_percent = loss;
	before = net_status(net, 0).spi_i;
	s->begin(net);
	net_run(net, s->run_ns);
	fell = net->host[victim].kills == 1;
	net->host[victim].kill_in = 0;
	net->loss_percent = 0;
	net->traffic = true;
	net->traffic_every = 100 * NET_MS;
	net_run(net, 170 * NET_S);
	expect(net, s, victim, step, torn ? " while it wrote" : "");
	if (!s->may_end && !strstr(s->name, "IKE"))
		assert_true(net_status(net, 0).spi_i == before);
	assert_int_equal(net->host[0].downs * !s->may_end, 0);
	net_free(net);
	return fell;
}

static void
tell_all(uint64_t down, unsigned int loss, unsigned int stride)
{
	const char *only = getenv("SPW_STORY");
	unsigned int told = 0;

	for (unsigned int k = 0; k < sizeof(stories) / sizeof(stories[0]); k++) {
		if (only && !strstr(stories[k].name, only))
			continue;
		for (int victim = 0; victim < 2; victim++)
			for (int torn = 0; torn < 2; torn++)
				for (unsigned int n = 1; n < STEP_MAX; n += stride, told++)
					if (!tell(&stories[k], victim, n, torn, down, loss))
						break;
	}
	assert_true(only || told > 100 / stride);
}

static void
killed_at_every_step_it_goes_on(void **state)
{
	tell_all(0, 0, 1);
}

static void
killed_at_every_step_and_away_a_second_it_goes_on(void **state)
{
	tell_all(1100 * NET_MS, 0, 1);
}

static void
killed_on_a_lossy_network_it_goes_on(void **state)
{
	tell_all(300 * NET_MS, 15, getenv("SPW_LONG") ? 1 : 3);
}

static void
killed_a_hundred_times_the_ike_sa_is_the_same(void **state)
{
	struct net *net = network(9, &stories[1]);
	uint64_t before = net_status(net, 0).spi_i;
	uint64_t rng = 77;

	for (int n = 0; n < 100; n++) {
		int victim = n & 1;

		net_kill_at(net, victim, 1 + (unsigned int)(net_random(&rng) % 8), n & 2,
			    200 * NET_MS);
		net_rekey(net, (n >> 1) & 1, CHILD);
		net_run(net, 9 * NET_S);
		net->host[victim].kill_in = 0;
	}
	assert_true(net->host[0].kills + net->host[1].kills > 60);
	net_run(net, 170 * NET_S);
	expect(net, &stories[1], 0, 0, " often");
	assert_true(net_status(net, 0).spi_i == before);
	net_free(net);
}

static struct net *
killed_with(struct ike_escrow **none, void (*change)(struct net *net))
{
	struct net *net = network(3, &stories[1]);

	net_kill_at(net, 0, 1, false, 100 * NET_MS);
	net_rekey(net, 0, CHILD);
	net_run(net, 50 * NET_MS);
	assert_int_equal(net->host[0].kills, 1);
	change(net);
	net_run(net, 170 * NET_S);
	*none = net->host[0].escrow;
	return net;
}

static void
another_key(struct net *net)
{
	for (int i = 0; i < 2; i++)
		net->host[i].conn.psk[0] ^= 1;
	net_set(net, 1, &net->host[1].conn);
}

static void
an_sa_is_taken_only_by_what_it_was_negotiated_with(void **state)
{
	struct ike_escrow *esc;
	struct net *net = killed_with(&esc, another_key);

	assert_int_equal(net->host[0].adopted, 0);
	assert_int_equal(ike_escrow_found(esc), 0); /* swept */
	expect(net, &stories[8], 0, 0, " with another key");
	net_free(net);
}

static void
damage(struct net *net)
{
	const struct ike_escrow *esc = net->host[0].escrow;

	/* behind the name and the mark, of whatever records there are */
	for (unsigned int slot = 1; slot <= ike_escrow_slots(esc); slot++) {
		size_t len;
		uint8_t *record = (uint8_t *)(uintptr_t)ike_escrow_read(esc, slot, &len);

		if (record)
			record[376] ^= 0x10;
	}
}

static void
a_damaged_sa_starts_anew(void **state)
{
	struct ike_escrow *esc;
	struct net *net = killed_with(&esc, damage);

	assert_int_equal(net->host[0].adopted, 0);
	expect(net, &stories[8], 0, 0, " and damaged");
	net_free(net);
}

/* Any bytes under a good checksum: no SA, or one that is well formed; never a call about children.
 */
static void
no_record_whatever_is_in_it_does_harm(void **state)
{
	struct net *net = network(4, &stories[1]);
	struct ike_sa *sa = net->host[0].engine->sas;
	uint64_t rng = 5;
	uint8_t good[8192], bad[8192];
	size_t len;

	net->audit = false;
	net_rekey(net, 0, CHILD);
	len = ike_record_save(sa, good, sizeof(good));
	assert_true(len > 500);
	for (int n = 0; n < 3000; n++) {
		struct ike_sa *made;
		size_t cut = n % 3 ? len : net_random(&rng) % (len + 1);

		memcpy(bad, good, len);
		for (unsigned int k = 0; k <= net_random(&rng) % 4 && cut == len; k++)
			bad[84 + net_random(&rng) % (len - 84)] = (uint8_t)net_random(&rng);
		made = ike_record_load(sa->conn, bad, cut);
		if (cut != len)
			assert_null(made);
		if (made) { /* end it without a word to the data plane */
			made->req.stale = true;
			made->auth_spi = 0;
			for (struct ike_child *c = made->children; c; c = c->next) {
				c->absent = c->out_gone = true;
				c->active = false;
			}
			ike_state_set(made, IKE_SA_DEAD);
		}
		ike_door_forget(net->host[0].engine);
		ike_engine_reap(net->host[0].engine);
	}
	net_run(net, 20 * NET_S);
	assert_true(net_agrees(net));
	net_free(net);
}

/* What is cut to it would have no room for what surrounds it. */
static void
a_record_with_an_impossible_size_of_fragments_is_refused(void **state)
{
	static const uint32_t sizes[] = {1, 60, 575, 9001, UINT32_MAX};
	struct net *net = network(4, &stories[1]);
	struct ike_sa *sa = net->host[0].engine->sas;
	uint8_t record[8192];

	net->audit = false;
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		sa->fragment = sizes[i];
		assert_null(ike_record_load(sa->conn, record,
					    ike_record_save(sa, record, sizeof(record))));
	}
	sa->fragment = 0;
	ike_door_forget(net->host[0].engine);
	net_run(net, 20 * NET_S);
	assert_true(net_agrees(net));
	net_free(net);
}

/* Where these bytes are in a record. */
static uint8_t *
place_of(uint8_t *record, size_t len, const struct ike_blob *b)
{
	for (size_t at = 0; at + b->len <= len; at++)
		if (memcmp(record + at, b->bytes, b->len) == 0)
			return record + at;
	fail_msg("the message is not in the record");
	return NULL;
}

/* What is repeated is sent as long as its header says. */
static void
a_record_whose_messages_lie_about_their_length_is_refused(void **state)
{
	for (int answer = 0; answer < 2; answer++) {
		struct net *net = network(4, &stories[1]);
		struct ike_sa *sa;
		const struct ike_blob *kept;
		uint8_t record[8192], *at;
		size_t len;

		net->audit = false;
		net_rekey(net, 0, CHILD);
		if (answer)
			net_run(net, 2 * NET_S);
		sa = net->host[answer].engine->sas;
		kept = answer ? &sa->response : &sa->req.msg;
		assert_true(kept->len > IKE_HEADER_LEN);
		len = ike_record_save(sa, record, sizeof(record));
		at = place_of(record, len, kept) + 24;
		for (int i = 0; i < 5; i++) {
			const uint32_t lies[] = {0, IKE_HEADER_LEN - 1, (uint32_t)kept->len - 1,
						 (uint32_t)kept->len + 1, UINT32_MAX};

			spw_put_be32(at, lies[i]);
			assert_null(ike_record_load(sa->conn, record, len));
		}
		ike_door_forget(net->host[answer].engine);
		ike_engine_reap(net->host[answer].engine);
		net_run(net, 20 * NET_S);
		assert_true(net_agrees(net));
		net_free(net);
	}
}

static void
a_record_of_an_ike_rekey_without_its_key_pair_is_refused(void **state)
{
	struct net *net = network(4, &stories[1]);
	struct ike_sa *sa = net->host[0].engine->sas;
	uint8_t record[8192];
	struct ike_dh *dh;
	size_t len;

	net->audit = false;
	net_rekey(net, 0, IKE);
	assert_int_equal(sa->req.task, IKE_TASK_IKE_REKEY);
	dh = sa->req.dh;
	sa->req.dh = NULL;
	len = ike_record_save(sa, record, sizeof(record));
	sa->req.dh = dh;
	assert_true(len == 0 || !ike_record_load(sa->conn, record, len));
	ike_door_forget(net->host[0].engine);
	ike_engine_reap(net->host[0].engine);
	net_run(net, 20 * NET_S);
	assert_true(net_agrees(net));
	net_free(net);
}

static void
an_iv_counter_jumps_and_never_goes_back(void **state)
{
	struct net *net = network(6, &stories[1]);
	uint64_t before = ike_cipher_view(net->host[0].engine->sas->seal).iv_next;

	net_kill_at(net, 0, 1, false, 0);
	net_rekey(net, 0, CHILD);
	net_run(net, 1 * NET_S);
	assert_int_equal(net->host[0].kills, 1);
	assert_true(ike_cipher_view(net->host[0].engine->sas->seal).iv_next >=
		    before + (UINT64_C(1) << 32));
	net_run(net, 100 * NET_S);
	net_orphans_end(net, 0);
	net_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_holds_whole_or_not_at_all),
		cmocka_unit_test(what_ends_is_wiped_and_its_slot_used_again),
		cmocka_unit_test(a_removal_that_did_not_hold_is_none),
		cmocka_unit_test(a_damaged_record_is_refused_and_the_others_stand),
		cmocka_unit_test(a_slot_of_usual_records_is_one_page),
		cmocka_unit_test(a_slot_has_room_for_two_of_the_longest),
		cmocka_unit_test(what_is_no_escrow_of_this_build_is_refused_unchanged),
		cmocka_unit_test(killed_at_every_step_it_goes_on),
		cmocka_unit_test(killed_at_every_step_and_away_a_second_it_goes_on),
		cmocka_unit_test(killed_on_a_lossy_network_it_goes_on),
		cmocka_unit_test(killed_a_hundred_times_the_ike_sa_is_the_same),
		cmocka_unit_test(an_sa_is_taken_only_by_what_it_was_negotiated_with),
		cmocka_unit_test(a_damaged_sa_starts_anew),
		cmocka_unit_test(no_record_whatever_is_in_it_does_harm),
		cmocka_unit_test(a_record_with_an_impossible_size_of_fragments_is_refused),
		cmocka_unit_test(a_record_whose_messages_lie_about_their_length_is_refused),
		cmocka_unit_test(a_record_of_an_ike_rekey_without_its_key_pair_is_refused),
		cmocka_unit_test(an_iv_counter_jumps_and_never_goes_back),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	if (spw_secret_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
