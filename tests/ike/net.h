/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two engines in one process: a network with a virtual clock, and a data plane that watches.
 */
#ifndef SPW_TESTS_IKE_NET_H
#define SPW_TESTS_IKE_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "ike/engine.h"

#define NET_SAS	   64
#define NET_SPIS   32
#define NET_QUEUE  2048
#define NET_TUNNEL 7
#define NET_MS	   SPW_NS_PER_MS
#define NET_S	   SPW_NS_PER_S

/* One child SA as a host's data plane knows it. */
struct net_sa {
	uint32_t spi_in, spi_out;
	bool in, out; /* which halves live */
	bool heard;   /* a packet has arrived on it */
	bool orphan;  /* no engine knows it: a killed one installed it */
	uint8_t key_in[SPW_SA_KEY_MAX], key_out[SPW_SA_KEY_MAX];
	uint32_t key_len;
	uint32_t flags;
	struct spw_sa_desc desc; /* without keys */
};

struct net_host {
	struct net *net;
	int index;
	struct ike_engine *engine;
	struct spw_addr addr;
	struct net_sa sa[NET_SAS];
	unsigned int sa_top;  /* of them the first so many were ever used */
	uint32_t active;      /* spi_in of the SA it sends on, 0 = none */
	uint32_t incarnation; /* counts resets of the data plane */
	uint64_t last_inbound;
	uint64_t rng;
	unsigned int spis_out; /* allocated, not installed, not freed */
	struct net_spi {       /* those of them that its data plane expects packets on; 0 = none */
		uint32_t spi;
		bool told; /* that one came */
	} given[NET_SPIS];
	unsigned int next_given; /* what was lost by kills is written over */
	unsigned int installs, switches, ups, downs, moves;
	int refuse_installs; /* this many installs fail with EIO */
	int refuse_switches; /* the same of switches */
	bool dead;	     /* hears and sends nothing */
	bool has_conn;
	struct spw_ike_conn conn; /* what it was told last */
	/* the process, its escrow, and how it is killed: see net_kill_at() */
	struct ike_escrow *escrow;
	void *escrow_mem, *escrow_before, *escrow_image;
	unsigned int kill_in; /* the n-th operation from now is not done any more, 0 = never */
	bool torn;	      /* killed while writing the escrow, where that can be */
	bool killed;	      /* in the present call; what it still does has no effect */
	bool spoke;	      /* in the present call */
	uint64_t down_ns, down_until;
	unsigned int kills, adopted;
	unsigned int stranded; /* SAs in use that a killed process left to nobody */
	struct ike_ops ops;
	uint64_t dh_min, dh_max; /* see net_dh() */
	unsigned int dh_jobs;	 /* that were done elsewhere */
	bool wake_known;	 /* no call since */
	uint64_t wake;
};

struct net_packet {
	bool used;
	bool esp;
	struct ike_dh_job *job; /* not a packet: it is done then */
	bool gone;		/* the process that wanted it is not there any more */
	int to;
	uint64_t at, order;
	uint32_t spi;
	struct ike_datagram d;
	uint8_t *bytes;
};

/* What a script decides about one IKE datagram. */
enum net_verdict { NET_PASS, NET_DROP, NET_HOLD };
struct net;
typedef enum net_verdict net_script(struct net *net, int from, const struct ike_header *h);

struct net {
	uint64_t now, order, rng;
	uint64_t seed;
	struct net_host host[2];
	struct net_packet queue[NET_QUEUE]; /* a heap; the first n_queue are used */
	unsigned int n_queue;
	uint64_t delay_min, delay_max;
	unsigned int loss_percent, dup_percent; /* of IKE datagrams */
	net_script *script;
	const struct ike_datagram *sending; /* for scripts: the datagram, as its sender made it */
	int drops;			    /* for scripts: how many more to drop */
	int script_state;
	bool nat; /* host 0 is behind a NAT: seen as 203.0.113.9 from a mapped port */
	uint16_t nat_port;
	bool traffic; /* both hosts send ESP every millisecond or so */
	uint64_t traffic_every, traffic_at;
	uint64_t esp_sent, esp_lost, esp_unsent;
	uint64_t ike_sent;
	bool trace;
	struct witness *witness;      /* sees every call, see witness.h */
	bool strict;		      /* and that everything sent could be received */
	unsigned int corrupt_percent; /* of IKE datagrams: one bit is another */
	bool audit; /* after every call the escrow must say what the engine knows */
	/* every request seen, to check that repeats are the same bytes */
	struct net_seen {
		int from;
		uint64_t spi_i;
		uint32_t mid;
		uint8_t exchange, flags;
		size_t len;
		uint8_t *bytes;
	} seen[512];
	unsigned int n_seen;
	unsigned int repeats, repeats_changed;
};

/* ---- net.c ---- */

/* A network with two idle engines; caller frees with net_free(). */
struct net *net_new(uint64_t seed);
/* Frees and fails the test when anything is left in a data plane. */
void net_free(struct net *net);
/* Every IPv4 address, protocol and port. */
struct spw_selector net_any(void);
/* The settings of host `i` for the tunnel between the two: AES-GCM-256, ECP-256, any to any. */
struct spw_ike_conn net_conn(const struct net *net, int i);
/* Give both hosts their connections; mode of each. */
void net_connect(struct net *net, uint32_t mode0, uint32_t mode1);
void net_set(struct net *net, int i, const struct spw_ike_conn *c);
/* Ask host i for a rekey (IKE or child); nothing when it is busy. */
void net_rekey(struct net *net, int i, uint32_t what);
/* Raise a data plane event about the SA host i sends on. */
void net_event(struct net *net, int i, uint32_t kind);
/* Tell host i of a packet on the SPI that a request of its own offers, if one does. */
void net_early(struct net *net, int i);
struct spw_ike_status net_status(const struct net *net, int i);
bool net_up(const struct net *net, int i);
/* Established, not retired, IKE SAs. */
unsigned int net_ike_sas(const struct net *net, int i);
/* Fail the test unless each host has one IKE SA and one child SA, and they agree. */
void net_expect_one(const struct net *net);

/* ---- net_clock.c ---- */

/* Let virtual time pass. */
void net_run(struct net *net, uint64_t ns);
/* Run until both tunnels are up; false after `limit` ns. */
bool net_run_up(struct net *net, uint64_t limit);
/* The tunnels must come up; then half a second with traffic, of which nothing counts as lost. */
void net_run_traffic(struct net *net);

/* ---- net_wire.c ---- */

/* Put a datagram on the wire towards host `to`. */
void net_inject(struct net *net, int to, const uint8_t *bytes, size_t len, uint16_t port);
/* The same of a packet of ESP. */
void net_esp(struct net *net, int to, uint32_t spi);
uint64_t net_random(uint64_t *state);

/* ---- net_dataplane.c ---- */

/* SAs that only a killed process knew end, as iked ends them when they are silent. */
void net_orphans_end(struct net *net, int i);
/* The data plane of host i starts anew. */
void net_dataplane_reset(struct net *net, int i);
/* Live SAs (inbound half) in a data plane. */
unsigned int net_sas(const struct net *net, int i);
/* What host i sends on is received by the other. */
bool net_agrees(const struct net *net);

/* ---- net_process.c ---- */

/* A process or machine of host i starts anew: engine and data plane empty, no Delete sent. */
void net_reboot(struct net *net, int i, bool keep_dataplane);
/*
 * Kill the process of host i at its n-th operation from now (n >= 1; an operation is a datagram, or
 * a change in the data plane), before that takes effect, and start it again down_ns later with its
 * escrow. Datagrams wait in its sockets meanwhile, events of the data plane are lost. torn: when
 * the operation is the first datagram of a call, the kill falls into the writing of the escrow.
 */
void net_kill_at(struct net *net, int i, unsigned int n, bool torn, uint64_t down_ns);
/*
 * From now on the process of host i has its Diffie-Hellman done elsewhere: each job takes between
 * `min` and `max`, which lets them overtake each other. min > max: in its own calls, as at first.
 */
void net_dh(struct net *net, int i, uint64_t min, uint64_t max);
/* Around every call into an engine that may be killed in it. */
void net_call_begins(struct net_host *h);
void net_call_ends(struct net_host *h);

#endif
