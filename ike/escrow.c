/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store of the escrow: fixed slots, each with two halves.
 *
 *	page 0: what it is, the number of the last batch that holds, how many slots were ever used,
 *		and a secret of the engine that belongs to no record
 *	slot n: record 0, head 0 | head 1, record 1; a head: { batch, checksum, length }
 *
 * The halves grow away from each other, from the middle of a page: it has both of nearly every IKE
 * SA, and the pages beside it are touched by long records alone.
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
 * are never touched, so that memory is spent for SAs that were. A record is drafted in guarded
 * memory of the process, since where it begins depends on its length. One thread.
 */
#include "ike/escrow.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

#define MAGIC	    "SPWESCR"
#define VERSION	    6
#define PAGE	    4096
#define SLOT_SIZE   16384
#define SLOTS_BEGIN (PAGE + PAGE / 2) /* so that the middle of a slot is that of a page */
#define ALIGNMENT   8

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
};
#define ROOM (SLOT_SIZE / 2 - sizeof(struct half))
_Static_assert(ROOM % ALIGNMENT == 0, "a record is aligned in either half");

enum use { FREE, FOUND, USED };

struct ike_escrow {
	struct head *head;
	uint8_t *middle;	 /* of slot 1 */
	struct spw_secret draft; /* [ROOM] */
	uint8_t *use;		 /* enum use of each slot */
	uint32_t *key;		 /* of the name each found record begins with */
	uint32_t *free;		 /* stack of slots below top */
	uint32_t *ended;	 /* slots removed in the batch under way */
	unsigned int slots, n_free, n_ended, n_used, n_found;
};

/* Two builds whose records differ have another value here, or another VERSION. */
static uint64_t
build_mark(void)
{
	const size_t facts[] = {VERSION,
				SLOT_SIZE,
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
	return 2 * PAGE + (size_t)slots * SLOT_SIZE;
}

static uint64_t
committed(const struct ike_escrow *esc)
{
	return atomic_load_explicit(&esc->head->committed, memory_order_acquire);
}

static struct half *
half_of(const struct ike_escrow *esc, unsigned int slot, unsigned int which)
{
	uint8_t *middle = esc->middle + (size_t)(slot - 1) * SLOT_SIZE;

	return (struct half *)(void *)middle - 1 + which;
}

/* What a record of this length takes. */
static size_t
span_of(size_t len)
{
	return (len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static uint8_t *
bytes_of(const struct ike_escrow *esc, unsigned int slot, unsigned int which, size_t len)
{
	struct half *h = half_of(esc, slot, which);

	return which == 1 ? (uint8_t *)(h + 1) : (uint8_t *)h - span_of(len);
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
half_wipe(struct ike_escrow *esc, unsigned int slot, unsigned int which)
{
	struct half *h = half_of(esc, slot, which);
	size_t worn = h->worn < ROOM ? h->worn : ROOM;

	spw_wipe(bytes_of(esc, slot, which, worn), span_of(worn));
	spw_wipe(h, sizeof(*h));
}

/* The half that holds last: without it the other one, which is past, would hold again. */
static void
slot_wipe(struct ike_escrow *esc, unsigned int slot)
{
	unsigned int last = current(esc, slot) == 0 ? 0 : 1;

	half_wipe(esc, slot, 1 - last);
	half_wipe(esc, slot, last);
	esc->use[slot - 1] = FREE;
	esc->free[esc->n_free++] = slot;
}

const uint8_t *
ike_escrow_read(const struct ike_escrow *esc, unsigned int slot, size_t *len)
{
	int which = current(esc, slot);
	const struct half *h;
	const uint8_t *bytes;

	if (which < 0)
		return NULL;
	h = half_of(esc, slot, (unsigned int)which);
	if (h->len == 0 || h->len > ROOM)
		return NULL;
	bytes = bytes_of(esc, slot, (unsigned int)which, h->len);
	if (h->sum != sum_of(h->batch, bytes, h->len))
		return NULL;
	*len = h->len;
	return bytes;
}

/* What an earlier instance left in one slot. */
static void
slot_meet(struct ike_escrow *esc, unsigned int slot)
{
	const uint8_t *record;
	size_t len;

	for (unsigned int i = 0; i < 2; i++)
		if (half_of(esc, slot, i)->batch > committed(esc))
			half_wipe(esc, slot, i);
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

	if (size < ike_escrow_size(1) || size >= ike_escrow_size(IKE_ESCROW_SLOTS + 1))
		return -EINVAL;
	slots = (unsigned int)((size - ike_escrow_size(0)) / SLOT_SIZE);
	esc = calloc(1, sizeof(*esc));
	if (!esc)
		return -ENOMEM;
	esc->head = memory;
	esc->middle = (uint8_t *)memory + SLOTS_BEGIN + SLOT_SIZE / 2;
	esc->slots = slots;
	esc->use = calloc(slots, sizeof(*esc->use));
	esc->key = calloc(slots, sizeof(*esc->key));
	esc->free = calloc(slots, sizeof(*esc->free));
	esc->ended = calloc(slots, sizeof(*esc->ended));
	rc = spw_secret_alloc(&esc->draft, ROOM);
	if (!esc->use || !esc->key || !esc->free || !esc->ended)
		rc = -ENOMEM;
	if (rc == 0)
		rc = head_meet(esc->head, slots);
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
	spw_secret_free(&esc->draft);
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

uint8_t *
ike_escrow_draft(struct ike_escrow *esc, size_t *room)
{
	*room = ROOM;
	return esc->draft.bytes;
}

/* The half that does not hold what is committed; what it had is wiped. */
static unsigned int
other_half(struct ike_escrow *esc, unsigned int slot)
{
	unsigned int which = current(esc, slot) == 0 ? 1 : 0;

	half_wipe(esc, slot, which);
	return which;
}

/* The draft's first `len` bytes are the record that holds. */
static bool
is_committed(const struct ike_escrow *esc, unsigned int slot, size_t len)
{
	int which = current(esc, slot);

	return which >= 0 && half_of(esc, slot, (unsigned int)which)->len == len &&
	       memcmp(bytes_of(esc, slot, (unsigned int)which, len), esc->draft.bytes, len) == 0;
}

void
ike_escrow_write(struct ike_escrow *esc, unsigned int slot, size_t len)
{
	unsigned int which = other_half(esc, slot);
	struct half *h = half_of(esc, slot, which);
	uint8_t *bytes = bytes_of(esc, slot, which, len);
	uint64_t batch = committed(esc) + 1;

	if (!is_committed(esc, slot, len)) {
		h->worn = (uint32_t)len;
		atomic_signal_fence(memory_order_seq_cst); /* before there is anything to wipe */
		memcpy(bytes, esc->draft.bytes, len);
		h->len = (uint32_t)len;
		h->sum = sum_of(batch, bytes, len);
		h->batch = batch;
	}
	spw_wipe(esc->draft.bytes, len);
}

void
ike_escrow_remove(struct ike_escrow *esc, unsigned int slot)
{
	struct half *h = half_of(esc, slot, other_half(esc, slot));

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
