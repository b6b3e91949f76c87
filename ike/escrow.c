/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store of the escrow: fixed slots, each with two halves.
 *
 *	page 0: what it is, the number of the last batch that holds, how many slots were ever used,
 *		and a secret of the engine that belongs to no record
 *	slot n: half 0, half 1: { batch, checksum, length, record }
 *
 * A record is written into the half that does not hold the committed one, under the number of the
 * batch under way. One store of that number into page 0 makes the whole batch hold, whatever number
 * of records it has: an IKE SA and its successor change hands of their children in one step or not
 * at all. A process killed in between leaves halves with a batch number that never came to hold;
 * the next one wipes them before it begins a batch of its own. A record that ends is a half of
 * length 0, wiped with its twin once the batch holds. A committed half whose checksum is wrong is
 * not replaced by its older twin: an IKE SA set back by a message would answer wrongly, so it goes.
 *
 * The memory is shared with whoever keeps its descriptor, who does not write. Nothing in it is
 * trusted further than bounds and checksum; the record's reader checks the rest. Slots above `top`
 * are never touched, so that memory is spent for SAs that were. One thread.
 */
#include "ike/escrow.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

#define MAGIC	  "SPWESCR"
#define VERSION	  5
#define HEAD_SIZE 4096
#define HALF_SIZE 8192

struct head {
	char magic[8];
	uint64_t build;
	uint32_t slots;
	_Atomic uint32_t top;
	_Atomic uint64_t committed; /* written by us, read by the next instance */
	_Atomic uint32_t keyed;	    /* 1: `key` is whole */
	uint8_t key[IKE_ESCROW_KEY];
};

struct half {
	uint64_t batch; /* 0 = never written */
	uint64_t sum;
	uint32_t len;  /* 0 = the record ended */
	uint32_t worn; /* bytes that may hold something: what is wiped */
	uint8_t bytes[HALF_SIZE - 24];
};
_Static_assert(sizeof(struct half) == HALF_SIZE, "a half has its size");

enum use { FREE, FOUND, USED };

struct ike_escrow {
	struct head *head;
	struct half *half; /* 2 a slot */
	uint8_t *use;	   /* enum use of each slot */
	uint32_t *key;	   /* of the name each found record begins with */
	uint32_t *free;	   /* stack of slots below top */
	uint32_t *ended;   /* slots removed in the batch under way */
	unsigned int slots, n_free, n_ended, n_used, n_found;
	uint32_t worn; /* of the half that is a draft, before */
};

/* Two builds whose records differ have another value here, or another VERSION. */
static uint64_t
build_mark(void)
{
	const size_t facts[] = {VERSION,
				HALF_SIZE,
				sizeof(struct ike_sa),
				sizeof(struct ike_child),
				sizeof(struct ike_request),
				IKE_SA_STATES,
				IKE_CHILD_STATES,
				SPW_ENCR_COUNT,
				SPW_INTEG_COUNT,
				SPW_PRF_COUNT,
				SPW_GROUP_COUNT};
	uint64_t mark = 1;

	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		mark = mark * 1000003 + facts[i];
	return mark;
}

/* FNV-1a over words, the tail by bytes: finds damage, stops nobody. */
static uint64_t
sum_of(uint64_t batch, const uint8_t *bytes, size_t len)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325) ^ batch ^ len << 40, word;
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		memcpy(&word, bytes + i, 8);
		sum = (sum ^ word) * UINT64_C(0x100000001b3);
		sum ^= sum >> 29;
	}
	for (; i < len; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static uint32_t
key_of(const void *name)
{
	return (uint32_t)sum_of(0, name, IKE_ESCROW_NAME);
}

size_t
ike_escrow_size(unsigned int slots)
{
	return HEAD_SIZE + (size_t)slots * 2 * HALF_SIZE;
}

static uint64_t
committed(const struct ike_escrow *esc)
{
	return atomic_load_explicit(&esc->head->committed, memory_order_acquire);
}

static struct half *
half_of(const struct ike_escrow *esc, unsigned int slot, unsigned int which)
{
	return &esc->half[2 * (slot - 1) + which];
}

static bool
holds(const struct ike_escrow *esc, const struct half *h)
{
	return h->batch != 0 && h->batch <= committed(esc);
}

/* Which half holds what is committed: 0, 1, or -1. */
static int
current(const struct ike_escrow *esc, unsigned int slot)
{
	const struct half *a = half_of(esc, slot, 0), *b = half_of(esc, slot, 1);

	if (holds(esc, a) && (!holds(esc, b) || a->batch > b->batch))
		return 0;
	return holds(esc, b) ? 1 : -1;
}

/* Its head last, which says how much there is to wipe. */
static void
half_wipe(struct half *h)
{
	spw_wipe(h->bytes, h->worn < sizeof(h->bytes) ? h->worn : sizeof(h->bytes));
	spw_wipe(h, offsetof(struct half, bytes));
}

/* The half that holds last: without it the other one, which is past, would hold again. */
static void
slot_wipe(struct ike_escrow *esc, unsigned int slot)
{
	unsigned int last = current(esc, slot) == 0 ? 0 : 1;

	half_wipe(half_of(esc, slot, 1 - last));
	half_wipe(half_of(esc, slot, last));
	esc->use[slot - 1] = FREE;
	esc->free[esc->n_free++] = slot;
}

const uint8_t *
ike_escrow_read(const struct ike_escrow *esc, unsigned int slot, size_t *len)
{
	int which = current(esc, slot);
	const struct half *h;

	if (which < 0)
		return NULL;
	h = half_of(esc, slot, (unsigned int)which);
	if (h->len == 0 || h->len > sizeof(h->bytes) ||
	    h->sum != sum_of(h->batch, h->bytes, h->len))
		return NULL;
	*len = h->len;
	return h->bytes;
}

/* What an earlier instance left in one slot. */
static void
slot_meet(struct ike_escrow *esc, unsigned int slot)
{
	const uint8_t *record;
	size_t len;

	for (unsigned int i = 0; i < 2; i++)
		if (half_of(esc, slot, i)->batch > committed(esc))
			half_wipe(half_of(esc, slot, i));
	record = ike_escrow_read(esc, slot, &len);
	if (!record || len < IKE_ESCROW_NAME) {
		slot_wipe(esc, slot);
		return;
	}
	esc->key[slot - 1] = key_of(record);
	esc->use[slot - 1] = FOUND;
	esc->n_used++;
	esc->n_found++;
}

static int
head_meet(struct head *head, unsigned int slots)
{
	static const struct head none;

	if (memcmp(head, &none, sizeof(none)) == 0) {
		memcpy(head->magic, MAGIC, sizeof(head->magic));
		head->build = build_mark();
		head->slots = slots;
		return 0;
	}
	if (memcmp(head->magic, MAGIC, sizeof(head->magic)) != 0 || head->build != build_mark() ||
	    head->slots != slots || atomic_load(&head->top) > slots)
		return -EBADMSG;
	return 0;
}

int
ike_escrow_new(struct ike_escrow **out, void *memory, size_t size)
{
	struct ike_escrow *esc;
	unsigned int slots;
	int rc;

	if (size < ike_escrow_size(1) || (size - HEAD_SIZE) / (2 * HALF_SIZE) > IKE_ESCROW_SLOTS)
		return -EINVAL;
	slots = (unsigned int)((size - HEAD_SIZE) / (2 * HALF_SIZE));
	esc = calloc(1, sizeof(*esc));
	if (!esc)
		return -ENOMEM;
	esc->head = memory;
	esc->half = (struct half *)((uint8_t *)memory + HEAD_SIZE);
	esc->slots = slots;
	esc->use = calloc(slots, sizeof(*esc->use));
	esc->key = calloc(slots, sizeof(*esc->key));
	esc->free = calloc(slots, sizeof(*esc->free));
	esc->ended = calloc(slots, sizeof(*esc->ended));
	rc = esc->use && esc->key && esc->free && esc->ended ? head_meet(esc->head, slots)
							     : -ENOMEM;
	if (rc != 0) {
		ike_escrow_free(esc);
		return rc;
	}
	for (unsigned int slot = esc->head->top; slot > 0; slot--)
		slot_meet(esc, slot);
	*out = esc;
	return 0;
}

void
ike_escrow_free(struct ike_escrow *esc)
{
	if (!esc)
		return;
	free(esc->use);
	free(esc->key);
	free(esc->free);
	free(esc->ended);
	free(esc);
}

const uint8_t *
ike_escrow_key(const struct ike_escrow *esc)
{
	return atomic_load_explicit(&esc->head->keyed, memory_order_acquire) == 1 ? esc->head->key
										  : NULL;
}

void
ike_escrow_key_set(struct ike_escrow *esc, const uint8_t key[IKE_ESCROW_KEY])
{
	memcpy(esc->head->key, key, IKE_ESCROW_KEY);
	/* Partner: the load in ike_escrow_key() of the next instance; half a key is none. */
	atomic_store_explicit(&esc->head->keyed, 1, memory_order_release);
}

unsigned int
ike_escrow_used(const struct ike_escrow *esc)
{
	return esc->n_used;
}

unsigned int
ike_escrow_slots(const struct ike_escrow *esc)
{
	return esc->slots;
}

unsigned int
ike_escrow_found(const struct ike_escrow *esc)
{
	return esc->n_found;
}

unsigned int
ike_escrow_take(struct ike_escrow *esc)
{
	unsigned int slot;

	if (esc->n_free > 0)
		slot = esc->free[--esc->n_free];
	else if (esc->head->top < esc->slots)
		slot = ++esc->head->top;
	else
		return 0;
	esc->use[slot - 1] = USED;
	esc->n_used++;
	return slot;
}

static struct half *
draft_of(const struct ike_escrow *esc, unsigned int slot)
{
	return half_of(esc, slot, current(esc, slot) == 0 ? 1 : 0);
}

uint8_t *
ike_escrow_draft(struct ike_escrow *esc, unsigned int slot, size_t *room)
{
	struct half *h = draft_of(esc, slot);

	h->batch = 0;
	esc->worn = h->worn;
	h->worn = sizeof(h->bytes);
	atomic_signal_fence(memory_order_seq_cst); /* before the record is touched */
	*room = sizeof(h->bytes);
	return h->bytes;
}

void
ike_escrow_write(struct ike_escrow *esc, unsigned int slot, size_t len)
{
	struct half *h = draft_of(esc, slot);
	int now = current(esc, slot);
	const struct half *old = now < 0 ? NULL : half_of(esc, slot, (unsigned int)now);
	uint64_t batch = committed(esc) + 1;

	if (esc->worn > len) /* what a longer record left behind it */
		spw_wipe(h->bytes + len, esc->worn - len);
	h->worn = (uint32_t)len;
	if (old && old->len == len && memcmp(old->bytes, h->bytes, len) == 0)
		return;
	h->len = (uint32_t)len;
	h->sum = sum_of(batch, h->bytes, len);
	h->batch = batch;
}

void
ike_escrow_remove(struct ike_escrow *esc, unsigned int slot)
{
	struct half *h = draft_of(esc, slot);

	h->len = 0;
	h->sum = 0;
	h->batch = committed(esc) + 1;
	esc->ended[esc->n_ended++] = slot;
	esc->n_used--;
}

void
ike_escrow_publish(struct ike_escrow *esc)
{
	/* Partner: the acquire load of committed() in the next instance. */
	atomic_store_explicit(&esc->head->committed, committed(esc) + 1, memory_order_release);
	while (esc->n_ended > 0)
		slot_wipe(esc, esc->ended[--esc->n_ended]);
}

unsigned int
ike_escrow_next_found(const struct ike_escrow *esc, unsigned int slot,
		      const char name[IKE_ESCROW_NAME])
{
	uint32_t key = name ? key_of(name) : 0;

	while (++slot <= esc->head->top)
		if (esc->use[slot - 1] == FOUND && (!name || esc->key[slot - 1] == key))
			return slot;
	return 0;
}

void
ike_escrow_claim(struct ike_escrow *esc, unsigned int slot)
{
	esc->use[slot - 1] = USED;
	esc->n_found--;
}

unsigned int
ike_escrow_sweep(struct ike_escrow *esc)
{
	unsigned int n = 0;

	for (unsigned int s = 0; (s = ike_escrow_next_found(esc, s, NULL)) != 0; n++) {
		slot_wipe(esc, s);
		esc->n_found--;
		esc->n_used--;
	}
	return n;
}
