/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_BYTES_H
#define SPW_LIB_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A reading cursor over borrowed bytes in network byte order. Reads past the end yield zeros and
 * latch `bad`, so a parser may read a whole structure and check once.
 */
struct spw_reader {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

/* A writing cursor over a caller's buffer. Writes past the end store nothing and latch `bad`. */
struct spw_writer {
	uint8_t *start;
	uint8_t *at;
	uint8_t *end;
	bool bad;
};

/* Start reading `len` bytes at `bytes` (borrowed). */
void spw_reader_init(struct spw_reader *r, const void *bytes, size_t len);
/* Bytes not read yet; 0 once the cursor is bad. */
size_t spw_reader_left(const struct spw_reader *r);
/* Read one big-endian integer. 0 and `bad` when too few bytes are left. */
uint8_t spw_read_u8(struct spw_reader *r);
uint16_t spw_read_u16(struct spw_reader *r);
uint32_t spw_read_u32(struct spw_reader *r);
uint64_t spw_read_u64(struct spw_reader *r);
/* Step over `len` bytes and return where they start; NULL and `bad` when too few are left. */
const uint8_t *spw_read_bytes(struct spw_reader *r, size_t len);
/* Split off a reader over the next `len` bytes (bad and empty when too few are left). */
struct spw_reader spw_read_sub(struct spw_reader *r, size_t len);

/* Start writing into `buf` of `size` bytes (borrowed). */
void spw_writer_init(struct spw_writer *w, void *buf, size_t size);
/* Bytes written so far. */
size_t spw_writer_len(const struct spw_writer *w);
/* Append one big-endian integer. */
void spw_write_u8(struct spw_writer *w, uint8_t v);
void spw_write_u16(struct spw_writer *w, uint16_t v);
void spw_write_u32(struct spw_writer *w, uint32_t v);
void spw_write_u64(struct spw_writer *w, uint64_t v);
/* Append `len` bytes. */
void spw_write_bytes(struct spw_writer *w, const void *bytes, size_t len);
/* Append `len` bytes to be filled in by the caller; NULL and `bad` when there is no room. */
uint8_t *spw_write_reserve(struct spw_writer *w, size_t len);

/* Unaligned big-endian loads and stores. */
uint16_t spw_get_be16(const void *p);
uint32_t spw_get_be32(const void *p);
uint64_t spw_get_be64(const void *p);
void spw_put_be16(void *p, uint16_t v);
void spw_put_be32(void *p, uint32_t v);
void spw_put_be64(void *p, uint64_t v);

#endif
