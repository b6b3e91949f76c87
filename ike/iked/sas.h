/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/iked/: which SAs of the data plane are ours, and which an earlier instance left.
 */
#ifndef SPW_IKE_IKED_SAS_H
#define SPW_IKE_IKED_SAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A peer may send on the old SA until it misses the answers of its liveness checks there. */
#define IKED_ORPHAN_QUIET_S 60
#define IKED_ORPHAN_MAX_S   600

struct iked_sa {
	uint32_t spi_in;
	uint32_t tunnel;
	uint32_t next;	     /* SPI of the next one in its chain; 0 = the last */
	bool orphan;	     /* installed by an earlier instance of iked */
	bool present;	     /* seen by the resynchronisation that runs */
	uint64_t last_in_ns; /* last valid inbound packet, 0 = none */
	uint64_t packets;    /* of the busier direction, when last asked */
	uint64_t bytes;
	uint64_t sent;	       /* packets out, when last asked */
	bool heard;	       /* a packet has come in on it */
	uint64_t delete_at_ns; /* orphans: 0 = while nothing replaces it */
	uint32_t owed; /* enum spw_dp_sa_part: to be deleted when the data plane can be reached */
};

/* Sorted by spi_in, chained by tunnel. Zeroed = empty; free with iked_sas_clear(). */
struct iked_sas {
	struct iked_sa *sa;
	uint32_t *chain; /* [cap]: SPI of the first one, 0 = empty */
	size_t n, cap;	 /* cap: a power of two */
};

/* Add, or change the SA of this SPI. 0 or -ENOMEM. */
int iked_sas_add(struct iked_sas *s, uint32_t spi_in, uint32_t tunnel, bool orphan)
	__attribute__((warn_unused_result));
/*
 * Add many: each is put behind the others without a look at these, and then all are sorted, and of
 * those with one SPI one is kept. Nothing else is asked before they are sorted. The SA, valid until
 * the next call; NULL without memory.
 */
struct iked_sa *iked_sas_append(struct iked_sas *s, uint32_t spi_in, uint32_t tunnel)
	__attribute__((warn_unused_result));
void iked_sas_sort(struct iked_sas *s);
/* NULL when unknown; valid until the next add or del. */
struct iked_sa *iked_sas_find(const struct iked_sas *s, uint32_t spi_in);
void iked_sas_del(struct iked_sas *s, uint32_t spi_in);
void iked_sas_clear(struct iked_sas *s);
/* Newest inbound packet of our own SAs of the tunnel; 0 = none. Orphans prove nothing. */
uint64_t iked_sas_last_in(const struct iked_sas *s, uint32_t tunnel);
/* Packets that the tunnel's SAs have sent, orphans too. */
uint64_t iked_sas_sent(const struct iked_sas *s, uint32_t tunnel);
/* Orphans that still carry the tunnel, that is, whose successor is not up. */
size_t iked_sas_carrying(const struct iked_sas *s, uint32_t tunnel);
size_t iked_sas_orphans(const struct iked_sas *s);
/* A child SA of ours is up: the orphans of the tunnel end at delete_at_ns (the first call counts).
 */
void iked_sas_replaced(struct iked_sas *s, uint32_t tunnel, uint64_t delete_at_ns);
/*
 * An orphan whose time has come, NULL when none: past delete_at_ns, and nothing came in on it for
 * IKED_ORPHAN_QUIET_S; past IKED_ORPHAN_MAX_S more it goes though its peer still sends on it.
 */
const struct iked_sa *iked_sas_due(const struct iked_sas *s, uint64_t now_ns);

#endif
