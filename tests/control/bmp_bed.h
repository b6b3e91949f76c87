/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages for the tests of BMP: each is made in bmp_message, its length is returned. */
#ifndef SPW_TESTS_CONTROL_BMP_BED_H
#define SPW_TESTS_CONTROL_BMP_BED_H

#include "lib/spillway.h"

#define BMP_MESSAGE 8192

extern uint8_t bmp_message[BMP_MESSAGE];

struct spw_prefix bmp_prefix(const char *text);
struct spw_addr bmp_addr(const char *text);
/* Begin a message of a type; end it: sets its length, which is returned. */
struct spw_writer bmp_begin(uint8_t type);
size_t bmp_end(struct spw_writer *w);
/* Route Monitoring around the body of an UPDATE; flags of the per-peer header, without V. */
size_t bmp_monitoring(const char *peer, uint8_t flags, const uint8_t *update, size_t len);
/* One IPv4 prefix is withdrawn, or announced with a next hop. */
size_t bmp_withdrawal(const char *peer, const char *text);
size_t bmp_announcement(const char *peer, const char *text, const char *next_hop);
/*
 * An UPDATE for IPv6 (RFC 4760).
 * @type      14 announces, 15 withdraws
 * @text      prefix; NULL = none, the end of the table
 * @next_hop  NULL = none
 */
size_t bmp_mp(const char *peer, uint8_t type, const char *text, const char *next_hop);
/*
 * Peer Up with both OPENs.
 * @sent, @received  families in the graceful restart capability of each; negative = it has none
 * @flags            of the capability, its highest four bits
 */
size_t bmp_peer_up(const char *peer, int sent, int received, uint8_t flags);
/* Peer Down; the NOTIFICATION's code and subcode where the reason carries one. */
size_t bmp_peer_down(const char *peer, uint8_t reason, uint8_t code, uint8_t subcode);

#endif
