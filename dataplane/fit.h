/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: making packets fit their way out, before sealing and never after it. The
 * stage itself is dp_stage_fit() in sad.h.
 */
#ifndef SPW_DATAPLANE_FIT_H
#define SPW_DATAPLANE_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet.h"
#include "dataplane/pmtu.h"
#include "dataplane/worker.h"

/*
 * Lower the MSS option of a TCP SYN or SYN/ACK to `mss` and mend the checksum (RFC 6691, RFC 1624).
 * A smaller one, a packet without it and any option list that is not well-formed stay as they are.
 * @ip   header of a checked IPv4 packet; `len` bytes are there in one piece
 * Returns true when it changed something. Pure.
 */
bool dp_mss_clamp(uint8_t *ip, uint32_t len, uint32_t mss);
/* The same for IPv6. */
bool dp_mss_clamp6(uint8_t *ip, uint32_t len, uint32_t mss);

/* What fragment n of an IPv4 packet carries (RFC 791 2.3). */
struct dp_fragment {
	uint32_t header_len; /* of its own header, with padding */
	uint32_t from;	     /* first payload byte */
	uint32_t len;	     /* payload bytes */
	bool last;
};
/* Bytes of header that fragments behind the first carry: options without the copy bit go. Pure. */
uint32_t dp_fragment_later_header(const uint8_t *ip);
/*
 * Cut of the piece that starts at payload byte `from` of a packet with `payload` bytes; `len` 0
 * when not even 8 bytes fit. Pure.
 */
struct dp_fragment dp_fragment_cut(const uint8_t *ip, uint32_t payload, uint32_t from,
				   uint32_t mtu);
/* Write the header of one piece, checksum included, to `out` (60 bytes of room). Pure. */
void dp_fragment_header(uint8_t *out, const uint8_t *ip, const struct dp_fragment *f);
/*
 * Cut a packet in new mbufs of at most `mtu` bytes, each with a copy of its metadata. The packet
 * stays the caller's.
 * @out   receives up to `room` mbufs
 * Returns how many; 0 when it cannot be done, and then nothing was allocated.
 */
uint16_t dp_fragment_packet(struct dp_worker *w, struct rte_mbuf *m, uint32_t mtu,
			    struct rte_mbuf **out, uint16_t room);

/*
 * The packet in one piece, owned by nobody else, with room before and behind it: itself, or a copy
 * with its metadata while the original is freed. NULL when that failed: the packet was dropped
 * (no-buffer, no-room). Worker thread.
 */
struct rte_mbuf *dp_packet_own(struct dp_worker *w, struct rte_mbuf *m, uint16_t head,
			       uint16_t tail);

/* Is it so already? Nearly every packet is; then dp_packet_own() need not be called. */
static inline bool
dp_packet_is_own(const struct rte_mbuf *m, uint16_t head, uint16_t tail)
{
	return m->nb_segs == 1 && RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1 &&
	       m->data_off >= head && m->buf_len - m->data_off - m->data_len >= tail;
}

#endif
