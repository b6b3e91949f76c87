/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_SA_DESC_H
#define SPW_LIB_SA_DESC_H

#include <stdint.h>

#include "lib/addr.h"
#include "lib/algo.h"

#define SPW_SA_KEY_MAX	  96 /* longest cipher key + salt, or cipher key + integrity key */
#define SPW_SA_SELECTORS  8  /* selectors a side */
#define SPW_SA_REPLAY_MAX 65536

/*
 * One traffic selector: an address range with a protocol and a port range (RFC 7296 3.13.1).
 * protocol 0 = any; ports in host order, 0..65535 = any. For ICMP the port fields hold
 * type << 8 | code.
 */
struct spw_selector {
	struct spw_addr low;
	struct spw_addr high;
	uint16_t port_low;
	uint16_t port_high;
	uint8_t protocol;
	uint8_t pad[3];
};

enum spw_sa_flag {
	SPW_SA_ESN = 1u << 0,	    /* 64-bit sequence numbers */
	SPW_SA_UDP_ENCAP = 1u << 1, /* ESP in UDP (RFC 3948) outbound; inbound takes both forms */
	SPW_SA_BEHIND_NAT =
		1u << 2, /* we are behind a NAT: send keepalives, never follow the peer */
};

/* A limit that raises an event (soft) and one that ends the SA (hard). 0 = none. */
struct spw_sa_limit {
	uint64_t soft;
	uint64_t hard;
};

/*
 * One child SA, both directions, as iked hands it to the data plane. Holds keys: wipe with
 * spw_wipe() after use. Keys are cipher key | salt for an AEAD (RFC 4106 8.1).
 */
struct spw_sa_desc {
	uint32_t tunnel;  /* tunnel id given by controld */
	uint32_t spi_in;  /* host order; from SPI_ALLOC */
	uint32_t spi_out; /* host order; chosen by the peer */
	uint32_t flags;	  /* enum spw_sa_flag */
	uint32_t encr;	  /* enum spw_encr */
	uint32_t integ;	  /* enum spw_integ, NONE with an AEAD */
	uint32_t key_len; /* bytes used in each of the keys */
	uint8_t key_in[SPW_SA_KEY_MAX];
	uint8_t key_out[SPW_SA_KEY_MAX];
	struct spw_addr local; /* outer addresses and UDP ports (host order) */
	struct spw_addr remote;
	uint16_t local_port;
	uint16_t remote_port;
	uint32_t replay_window; /* packets, 64..SPW_SA_REPLAY_MAX; 0 = off, only by configuration */
	struct spw_sa_limit seconds;
	struct spw_sa_limit bytes;   /* inner bytes, each direction counted apart */
	struct spw_sa_limit packets; /* each direction counted apart */
	uint32_t n_local;	     /* selectors used; local = our side of the tunnel */
	uint32_t n_remote;
	struct spw_selector sel_local[SPW_SA_SELECTORS];
	struct spw_selector sel_remote[SPW_SA_SELECTORS];
};

#endif
