/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the security association database, as the API thread writes it and the
 * stages seal and open read it.
 */
#ifndef SPW_DATAPLANE_SAD_H
#define SPW_DATAPLANE_SAD_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/crypto/crypto.h"
#include "dataplane/packet.h"
#include "lib/spillway.h"

/* An SPI that was given back rests this long before its index is used again. */
#define DP_SPI_REST_NS (600 * SPW_NS_PER_S)
/* One that was given out and has no SA after so long is given back: no exchange takes an hour. */
#define DP_SPI_HOLD_NS (3600 * SPW_NS_PER_S)

struct dp_chunk;
struct dp_worker;
struct dp_sad;
struct rte_rcu_qsbr;

struct dp_sad_config {
	struct rte_rcu_qsbr *qsbr; /* workers report quiescence here */
	unsigned int n_workers;
	uint32_t max_sas;	 /* power of two; default 65536 */
	uint32_t max_tunnels;	 /* default 16384 */
	enum dp_crypto_isa isa;	 /* of the cipher; every worker's manager must have the same */
	uint64_t (*clock)(void); /* nanoseconds, for tests; NULL = spw_clock_ns */
};

/*
 * Make the one SAD of the process. Memory for keys comes from locked pages left out of core dumps.
 * 0 or -errno. API thread at start-up.
 */
int dp_sad_init(struct dp_sad **sad, const struct dp_sad_config *config, struct spw_err *err);
/* Wipe all keys and free. Workers must have stopped. */
void dp_sad_free(struct dp_sad *sad);

/* API thread, each may wait for grace; 0 or -errno with a sentence. See lib/msg_dataplane.h. */
int dp_sad_tunnel_set(struct dp_sad *sad, const struct spw_dp_tunnel *t, struct spw_err *err);
int dp_sad_tunnel_del(struct dp_sad *sad, uint32_t tunnel, struct spw_err *err);
int dp_sad_spi_alloc(struct dp_sad *sad, uint32_t tunnel, uint32_t *spi, struct spw_err *err);
int dp_sad_spi_free(struct dp_sad *sad, uint32_t tunnel, uint32_t spi, struct spw_err *err);
int dp_sad_install(struct dp_sad *sad, const struct spw_sa_desc *sa, bool outbound,
		   struct spw_err *err);
int dp_sad_switch(struct dp_sad *sad, uint32_t spi_in, struct spw_err *err);
int dp_sad_delete(struct dp_sad *sad, uint32_t spi_in, uint32_t parts, struct spw_err *err);
int dp_sad_move(struct dp_sad *sad, const struct spw_dp_sa_move *move, struct spw_err *err);

/*
 * API thread: time limits, soft events, the end of hard-expired SAs, and SPIs that nobody came to
 * use; call every 100 ms.
 */
void dp_sad_tick(struct dp_sad *sad, uint64_t now_ns);
/*
 * API thread: take the next event raised by workers (first packet in, soft, hard, peer moved,
 * packet before its SA).
 * False when there is none.
 */
bool dp_sad_event(struct dp_sad *sad, struct spw_dp_sa_event *ev);

/* API thread: statistics, summed over workers. Row `index` of all; false past the end. */
bool dp_sad_stats(struct dp_sad *sad, uint32_t *index, struct spw_dp_sa_stats *row);
bool dp_sad_tunnel_stats(struct dp_sad *sad, uint32_t *index, struct spw_dp_tunnel_stats *row);
uint32_t dp_sad_count(const struct dp_sad *sad);

/* The instruction set of the cipher, for the hello. */
const char *dp_sad_isa(const struct dp_sad *sad);
/*
 * Worker: a decrypted packet turned out to be for the gateway itself (it goes up to a twin), so it
 * is not transit. Call once per such packet.
 */
void dp_sad_count_own_in(struct dp_worker *w, uint32_t tunnel);

/*
 * Worker stages. They need w->sad, w->pool, w->now_tsc and w->crypto: a struct dp_crypto of the
 * worker's own, made by dp_crypto_new() with the SAD's instruction set. Metadata of DP_NEXT_SEAL
 * packets: `tunnel`, and DP_PKT_FROM_TWIN and DP_PKT_ER_STOOD for the counters.
 *
 * open: packets with next == DP_NEXT_OPEN (data at the ESP header; dp_pkt.spi
 * unset; outer_* and flags filled by parse) become decrypted IP packets with next == DP_NEXT_FIB,
 * DP_PKT_DECRYPTED and tunnel set, or are dropped. TTL is not touched here.
 */
void dp_stage_esp_open(struct dp_worker *w, struct dp_burst *b);
/*
 * fit: packets with next == DP_NEXT_SEAL and those bound for an interface whose MTU they exceed:
 * MSS clamp, inner fragmentation without DF, ICMP too-big with DF (reply appended to the burst
 * with next == DP_NEXT_FIB and DP_PKT_CREATED). Run it with next == DP_NEXT_SEAL or DP_NEXT_ADJ
 * (iface_out set); others pass untouched. Clears DP_KIND_FIT, with which the burst asked for it.
 */
void dp_stage_fit(struct dp_worker *w, struct dp_burst *b);
/*
 * seal: packets with next == DP_NEXT_SEAL become outer IP packets (native ESP or UDP) with
 * next == DP_NEXT_OUTER and DP_PKT_OUTER, or are dropped. Counts transit, own and violations. A
 * packet of ours (DP_PKT_OUTER) too long for its interface is dropped by fit, never fragmented.
 */
void dp_stage_esp_seal(struct dp_worker *w, struct dp_burst *b);
/*
 * Packets whose cipher work other workers did or could have done: appended to `b`, next FIB or
 * OUTER; refused ones are NULL. The other two are its halves for one chunk. Only with w->spread.
 */
void dp_stage_esp_back(struct dp_worker *w, struct dp_burst *b);
void dp_esp_open_back(struct dp_worker *w, struct dp_burst *b, const struct dp_chunk *chunk);
void dp_esp_seal_back(struct dp_worker *w, struct dp_burst *b, const struct dp_chunk *chunk);

#endif
