/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bed for the ESP stages: an EAL without huge pages or ports, ends that each have a SAD and a
 * worker, packets to feed them, and ESP by OpenSSL as the second implementation.
 */
#ifndef SPW_TESTS_DATAPLANE_ESP_BED_H
#define SPW_TESTS_DATAPLANE_ESP_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "dataplane/sad.h"
#include "dataplane/sad_data.h"
#include "dataplane/worker.h"
#include "lib/spillway.h"

#define BED_TUNNEL 7
#define BED_BUF	   10240

/* One gateway: its SAD and one of its workers. */
struct bed_end {
	struct dp_sad *sad;
	struct dp_worker w;
	uint32_t addr; /* outer, host order */
};

/* How to make a pair of SAs; zeros are good defaults (AES-128, native ESP, window 4096). */
struct bed_sa {
	enum spw_encr encr;
	uint32_t flags;
	uint32_t window;
	struct spw_sa_limit seconds, bytes, packets;
	bool narrow; /* selectors 10.1/16 to 10.2/16 instead of any to any */
	bool held;   /* do not send on it yet */
};

/* Start the EAL and the pool; group setup and teardown of a test program. */
int bed_start(void **state);
int bed_stop(void **state);
struct rte_mempool *bed_pool(void);
/* The clock of all SADs, nanoseconds; tests move it. */
extern uint64_t bed_now;

void bed_open(struct bed_end *e, uint32_t addr, enum dp_crypto_isa isa, unsigned int n_workers);
void bed_close(struct bed_end *e);
/* A tunnel between both; inner MTU 1400, or 9000 when jumbo. */
void bed_tunnel(struct bed_end *a, struct bed_end *b, uint32_t mtu);
/* Install a child SA with fresh random keys at both ends. Descriptors are left for a look. */
void bed_pair(struct bed_end *a, struct bed_end *b, const struct bed_sa *how,
	      struct spw_sa_desc *at_a, struct spw_sa_desc *at_b);
/* An SA descriptor for `e` with an allocated SPI and random keys, not installed. */
struct spw_sa_desc bed_desc(struct bed_end *e, uint32_t peer, const struct bed_sa *how);

/*
 * An inner IPv4 UDP packet of `len` bytes (>= 20) from 10.1.0.1 to 10.2.0.1, random payload, in an
 * mbuf that is bound for the bed's tunnel.
 */
struct rte_mbuf *bed_packet(uint32_t len);
/* An mbuf with these bytes. */
struct rte_mbuf *bed_mbuf(const void *bytes, uint32_t len);
/* Write a fresh header checksum. */
void bed_ip_checksum(uint8_t *ip);
/* Put one packet in an empty burst. */
void bed_single(struct dp_burst *b, struct rte_mbuf *m);
/*
 * Turn sealed packets into received ones: check and cut the outer header, note what parse notes,
 * and that no IV comes twice under one SPI.
 */
void bed_receive(struct dp_burst *b);
/* Seal at one end, receive, open at the other. */
void bed_through(struct bed_end *from, struct bed_end *to, struct dp_burst *b);
/* Free what is in the burst. */
void bed_free(struct dp_burst *b);
/* Packets dropped for a reason by this end since it was opened. */
uint64_t bed_drops(const struct bed_end *e, enum dp_drop reason);
/* Take all events; returns how many of `kind` there were, the last of which goes to `last`. */
unsigned int bed_events(struct bed_end *e, uint32_t kind, struct spw_dp_sa_event *last);

/*
 * ESP by OpenSSL and RFC 4106. seal writes ESP header to tag and returns its length; `pad` extra
 * zero bytes go between the packet and the trailer's own padding.
 */
uint32_t bed_oracle_seal(const uint8_t *key, uint32_t key_len, uint32_t spi, uint64_t seq, bool esn,
			 const uint8_t *inner, uint32_t len, uint32_t extra, int pad_len,
			 uint8_t next, uint8_t *out);
/* open returns the length of the text with trailer, -1 when the tag is wrong. */
int bed_oracle_open(const uint8_t *key, uint32_t key_len, uint64_t seq_hi, bool esn,
		    const uint8_t *esp, uint32_t len, uint8_t *out);

#endif
