/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The escrow of IKE SAs: records of them in memory that outlives the process, so that the next one
 * goes on where this one was killed. Here the store alone: slots, batches, checksums. What a record
 * holds is escrow_record.c's; when it is written, door.c's. Pure: works on any memory.
 */
#ifndef SPW_IKE_ESCROW_H
#define SPW_IKE_ESCROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IKE_ESCROW_SLOTS 12000 /* IKE SAs of 10,000 tunnels, with those being replaced */

struct ike_escrow;

/* Bytes of memory for so many slots. */
size_t ike_escrow_size(unsigned int slots);
/*
 * Use `memory` (page-aligned, borrowed until ike_escrow_free()). All zero: an empty escrow is laid
 * out. Else what an earlier instance left is checked: what it had not finished is wiped, a damaged
 * record too, the others wait to be taken. 0, -EINVAL (too small), -ENOMEM, or -EBADMSG: of another
 * build, or no escrow at all; then the memory is unchanged.
 */
int ike_escrow_new(struct ike_escrow **out, void *memory, size_t size)
	__attribute__((warn_unused_result));
/* Forget it; the memory stays as it is. */
void ike_escrow_free(struct ike_escrow *esc);
/* A secret that lives as long as the memory; NULL until it is set. */
#define IKE_ESCROW_KEY 32
const uint8_t *ike_escrow_key(const struct ike_escrow *esc);
void ike_escrow_key_set(struct ike_escrow *esc, const uint8_t key[IKE_ESCROW_KEY]);
/* Records, those that nobody has taken yet among them. */
unsigned int ike_escrow_used(const struct ike_escrow *esc);
unsigned int ike_escrow_slots(const struct ike_escrow *esc);
/* Records of an earlier instance that nobody has taken. */
unsigned int ike_escrow_found(const struct ike_escrow *esc);

/* A free slot (1..slots), 0 when all are used. */
unsigned int ike_escrow_take(struct ike_escrow *esc);
/* Room for one record, guarded. Fill, then write, then the next. */
uint8_t *ike_escrow_draft(struct ike_escrow *esc, size_t *room);
/*
 * The draft's first `len` bytes belong to the batch as the record of this slot, and leave the draft;
 * what is committed stays whole.
 */
void ike_escrow_write(struct ike_escrow *esc, unsigned int slot, size_t len);
/* The slot's record ends with the batch; then it is wiped and free. */
void ike_escrow_remove(struct ike_escrow *esc, unsigned int slot);
/* The batch holds, whole: before this one store none of it does, after it all. */
void ike_escrow_publish(struct ike_escrow *esc);

/* The committed record of a slot; NULL when there is none. */
const uint8_t *ike_escrow_read(const struct ike_escrow *esc, unsigned int slot, size_t *len);
/*
 * The next slot after `slot` (0 = from the start) whose record nobody has taken and, unless `name`
 * is NULL, that likely begins with this name, IKE_ESCROW_NAME bytes padded with zeros. 0 at the
 * end.
 */
#define IKE_ESCROW_NAME 32
unsigned int ike_escrow_next_found(const struct ike_escrow *esc, unsigned int slot,
				   const char name[IKE_ESCROW_NAME]);
/* Take a found record: its slot is written from now on. */
void ike_escrow_claim(struct ike_escrow *esc, unsigned int slot);
/* Wipe what nobody has taken. Returns how many. */
unsigned int ike_escrow_sweep(struct ike_escrow *esc);

#endif
