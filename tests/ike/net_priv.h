/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to the net*.c files: what each part of the scripted network has for the others. */
#ifndef SPW_TESTS_IKE_NET_PRIV_H
#define SPW_TESTS_IKE_NET_PRIV_H

#include "tests/ike/net.h"

/* ---- net_wire.c ---- */

/* Put something under way, to arrive at p->at; takes its bytes or its job. */
void net_push(struct net *net, const struct net_packet *p);
/* Take out what arrives first; there must be something. */
struct net_packet net_pop(struct net *net);
/* How long the next packet takes, ns. */
uint64_t net_delay(struct net *net);
/* Fill in the operations that this part has. */
void net_wire_ops(struct ike_ops *ops);
/* Free what is under way and what was seen. */
void net_wire_free(struct net *net);

/* ---- net_dataplane.c ---- */

/* The SA with this inbound SPI of which a half lives; NULL when there is none. */
struct net_sa *net_find_sa(struct net_host *h, uint32_t spi_in);
/* This SPI is given out and has no SA yet; NULL when it is not. */
struct net_spi *net_find_spi(struct net_host *h, uint32_t spi);
/* As net_wire_ops(). */
void net_dataplane_ops(struct ike_ops *ops);

/* ---- net_process.c ---- */

/*
 * To be asked once by each operation: is it not done any more? `late`: it is one that comes after
 * the records of its call.
 */
bool net_dying(struct net_host *h, bool late);
/* The first process of a host whose other operations are filled in, with an empty escrow. */
void net_process_begin(struct net_host *h);
/* The last one ends; fails the test when anything is left in the data plane or in escrow. */
void net_process_end(struct net_host *h);
/* The process after a killed one: whatever it does not find in escrow is an orphan. */
void net_start_again(struct net_host *h);

/* ---- net_clock.c ---- */

/* The time for a trace. */
double net_seconds(const struct net *net);

#endif
