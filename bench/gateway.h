/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For benches: a data plane inside the bench's own process, configured through the handlers of the
 * API messages as controld would, and driven burst by burst. One thread.
 *
 *   inner host -- LAN port -- gateway -- WAN port -- peer (the bench itself seals and opens for it)
 */
#ifndef SPW_BENCH_GATEWAY_H
#define SPW_BENCH_GATEWAY_H

#include "dataplane/control.h"
#include "dataplane/worker_loop.h"

#define BG_LAN	       0 /* port ids of the API and of DPDK */
#define BG_WAN	       1
#define BG_LAN_ADDR    0x0a010001u /* 10.1.0.1 */
#define BG_LAN_HOST    0x0a010002u
#define BG_REMOTE_HOST 0x0a020002u /* 10.2.0.2, behind the tunnel */
#define BG_WAN_ADDR    0xc0000201u /* 192.0.2.1 */
#define BG_PEER	       0xc0000202u /* 192.0.2.2 */

struct bg {
	struct dp_options opt;
	struct dp_control *c;
	struct dp_worker *w;
	struct dp_stage_cycles cycles; /* of the worker */
	enum dp_crypto_isa isa;	       /* of the cipher */
};

/* One tunnel's SA as the peer needs it. */
struct bg_sa {
	uint32_t tunnel;
	enum spw_encr encr;
	enum spw_integ integ;
	bool udp, esn;
	bool ipv6; /* any-to-any in IPv6, too */
	uint32_t spi_in, spi_out;
	uint32_t key_len;
	uint8_t key_in[SPW_SA_KEY_MAX], key_out[SPW_SA_KEY_MAX];
};

/* End with a sentence on stderr. */
void bg_die(const char *what, const struct spw_err *err) __attribute__((noreturn));
/* Start the EAL on this thread, on huge pages when enough are free; @memory_mb for packets, tables.
 */
void bg_eal(unsigned int memory_mb);
/*
 * Make the gateway: two ring ports, addresses, neighbours; 10.1.0.0/16 on the LAN, everything else
 * to the peer. Ends the process when it cannot.
 */
void bg_new(struct bg *g, unsigned int n_workers);
/* The same with the cipher's code of an older CPU. */
void bg_new_isa(struct bg *g, unsigned int n_workers, enum dp_crypto_isa isa);
/* The same with room for so many routes of each family and so many packets. */
void bg_new_sized(struct bg *g, unsigned int n_workers, uint32_t max_routes, uint32_t mbufs);
void bg_free(struct bg *g);
/* Hand a message of `n` elements to its handler, as the API thread does; `what` names it when it is
 * refused, which ends the process. */
void bg_call(struct bg *g, const char *what, dp_handler *handler, const void *elems, uint32_t n,
	     void *reply);
/* A tunnel to the peer with a child SA, and the prefix that goes into it. Fills in SPIs and keys.
 */
void bg_tunnel(struct bg *g, struct bg_sa *sa, uint32_t prefix, uint8_t len);
/* Point a prefix to the tunnel's group. */
void bg_route(struct bg *g, uint32_t prefix, uint8_t len, uint32_t group);

/* An Ethernet frame with an IPv4/UDP packet of `size` bytes, for us on port LAN. Returns its
 * length. */
uint32_t bg_frame(const struct bg *g, uint8_t *out, uint32_t src, uint32_t dst, uint32_t size);
/* An Ethernet frame with an ESP packet from the peer, for us on port WAN: the inner packet sealed
 * with number `seq`. Returns its length. */
uint32_t bg_esp_frame(const struct bg *g, uint8_t *out, const struct bg_sa *sa, uint64_t seq,
		      uint32_t size);
/* Run a burst of received frames through the pipeline; cycles from receive to the end. */
uint64_t bg_burst(struct bg *g, struct rte_mbuf **frames, unsigned int n);
/* Take what the gateway has sent on a port; how many (at most n). */
unsigned int bg_sent(const struct bg *g, unsigned int port, struct rte_mbuf **out, unsigned int n);

#endif
