/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: FRR, rendered, applied and asked. */
#ifndef SPW_CONTROL_FRR_H
#define SPW_CONTROL_FRR_H

#include "control/runtime_priv.h"

int ctl_frr_new(struct ctl_runtime *rt);
void ctl_frr_free(struct ctl_runtime *rt);
/* Render the running configuration and apply it in the background, again until FRR takes it. */
void ctl_frr_apply(struct ctl_runtime *rt);
/*
 * A route over this next hop vanished: tell ctl_failover_explain() why, at once when BMP knows,
 * else when FRR has been asked (in the background). Several questions are one.
 */
void ctl_frr_ask(struct ctl_runtime *rt, const struct spw_addr *next_hop);
/*
 * Reset the session with a neighbour that another word (BFD) has found dead, so that bgpd does not
 * wait for its hold time. In the background, at most once a second for each neighbour.
 */
void ctl_frr_clear(struct ctl_runtime *rt, const struct spw_addr *neighbour);
/* Once a second: refresh what FRR says of its sessions, at most every few seconds. */
void ctl_frr_tick(struct ctl_runtime *rt);
/* FRR's last words: borrowed, NULL when it did not answer. Neighbours by address. */
const json_t *ctl_frr_neighbours(const struct ctl_runtime *rt);
/* "8.4.4", empty when not known. */
const char *ctl_frr_version(const struct ctl_runtime *rt);

/* frr_render.c: pure. */
struct ctl_frr_secret {
	char text[82]; /* TCP MD5 password of a neighbour, empty = none */
};
/*
 * Write frr.conf for a configuration.
 * @secrets   one for each neighbour of config->bgp
 * @drained   one for each neighbour: nothing is announced to it; NULL = to none of them
 * @bmp_port  port of the BMP station on 127.0.0.1, 0 = none. bgpd must have its module then.
 * Returns text, the caller wipes and frees it; NULL when out of memory.
 */
char *ctl_frr_render(const struct ctl_config *config, const struct ctl_frr_secret *secrets,
		     const bool *drained, uint16_t bmp_port);
/*
 * Why a next hop was lost, from one entry of "show bgp neighbors json" (NULL: no such neighbour):
 * "withdrawn", "bgp-down", "bfd-timeout" or "link-down".
 */
const char *ctl_frr_cause(const json_t *neighbour);
/* Detection time of BFD in ms, multiplier x agreed interval, from a peer of "show bfd peers json";
 * negative when it cannot be told. */
double ctl_frr_bfd_detect_ms(const json_t *peer);

#endif
