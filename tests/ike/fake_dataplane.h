/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stand-in for the protocol of dataplane.sock, as far as iked speaks it: it keeps SAs and
 * enforces the contract (an SPI from SPI_ALLOC, no key twice, the right incarnation), but carries
 * no packet. It runs on a thread of its own.
 */
#ifndef SPW_TESTS_IKE_FAKE_DATAPLANE_H
#define SPW_TESTS_IKE_FAKE_DATAPLANE_H

#include <pthread.h>

#include "lib/spillway.h"

#define FAKE_SAS     64
#define FAKE_CLIENTS 8
#define FAKE_KEYS    256

struct fake_dataplane {
	pthread_t thread;
	pthread_mutex_t lock; /* guards everything below */
	char path[108];
	int listen_fd;
	int wake[2];
	bool running;
	bool away; /* takes no connection */
	uint64_t incarnation;
	struct {
		int fd;
		uint32_t subscribe;
	} client[FAKE_CLIENTS];
	struct {
		struct spw_sa_desc desc;
		uint32_t parts;
		bool outbound;
	} sa[FAKE_SAS];
	unsigned int n_sas;
	uint32_t spi_given[FAKE_KEYS];
	unsigned int n_spis;
	uint8_t key_seen[FAKE_KEYS][SPW_SA_KEY_MAX]; /* outbound keys, over all incarnations */
	unsigned int n_keys;
	uint64_t last_in_ns;	 /* what GET_SAS says of every SA */
	uint64_t in_packets, out_bytes;
	uid_t peer_uid;		 /* of the newest client */
	unsigned int violations; /* breaches of the contract */
	char violation[160];	 /* the first of them */
	struct spw_msg m;
};

/* Listen at path (mode 0666) with a new incarnation and no SAs, and serve. */
void fake_start(struct fake_dataplane *f, const char *path);
/* Close everything; what was seen stays for a later fake_start(). */
void fake_stop(struct fake_dataplane *f);
/* Close all connections and take none, or take them again; SAs and incarnation stay. */
void fake_away(struct fake_dataplane *f, bool away);
/* How many SAs stand for the tunnel. */
unsigned int fake_count(struct fake_dataplane *f, uint32_t tunnel);
/* Copy the SA that the tunnel sends on; false when there is none. */
bool fake_outbound(struct fake_dataplane *f, uint32_t tunnel, struct spw_sa_desc *out);
bool fake_has(struct fake_dataplane *f, uint32_t spi_in);
/* Send an SA event to the subscribers. */
void fake_event(struct fake_dataplane *f, const struct spw_dp_sa_event *ev);

#endif
