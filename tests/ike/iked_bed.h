/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bed of the tests of whole daemons: two spillway-iked on 127.0.0.1 and 127.0.0.2 of a network
 * namespace of their own, each with a stand-in for its data plane. The test is controld for both.
 * Whatever is not as it should be fails the test. Needs root.
 */
#ifndef SPW_TESTS_IKE_IKED_BED_H
#define SPW_TESTS_IKE_IKED_BED_H

#include <poll.h>
#include <sys/types.h>

#include "tests/ike/fake_dataplane.h"

#define BED_USER    "nobody"
#define BED_TUNNEL  7
#define BED_WAIT_MS 8000

/* One daemon and what is around it. */
struct bed_side {
	const char *name;
	char dir[64]; /* its run directory */
	struct spw_addr local, remote;
	int udp[2]; /* the duplicates that controld keeps */
	int escrow; /* as well; -1 = none */
	struct fake_dataplane dp;
	pid_t pid; /* 0 = it does not run */
	struct spw_client client;
	int events; /* a connection that hears of tunnels; -1 = none */
};
#define BED_SIDE(word)                                                      \
	{                                                                   \
		.name = (word), .escrow = -1, .client.fd = -1, .events = -1 \
	}

/* Wait until a condition holds; false after `ms`. */
#define EVENTUALLY_IN(ms, cond)                                        \
	__extension__({                                                \
		uint64_t until_ = spw_clock_ns() + (ms)*SPW_NS_PER_MS; \
		bool held_;                                            \
		while (!(held_ = (cond)) && spw_clock_ns() < until_)   \
			poll(NULL, 0, 20);                             \
		held_;                                                 \
	})
#define EVENTUALLY(cond) EVENTUALLY_IN(BED_WAIT_MS, cond)

/* The answer to the request that was made last. */
extern struct spw_msg bed_reply;

/* Go to a network namespace of our own, whose loopback is up; false without the right to. */
bool bed_namespace(void);
/* Directories, sockets and data planes of both. 0, or -1 without the right to. */
int bed_setup(struct bed_side *a, struct bed_side *b);
/* End what still runs and remove the directories. 0 when nothing else was in them, or -1. */
int bed_teardown(struct bed_side *a, struct bed_side *b);
/* The path of a file in the run directory. */
void bed_path(const struct bed_side *s, const char *file, char out[108]);

/*
 * Start the daemon and connect to it. `prepare` is called with `ctx` in the process that becomes
 * the daemon, right before; NULL = nothing to prepare.
 */
void bed_start(struct bed_side *s, const char *program, void (*prepare)(void *ctx), void *ctx);
/* Make the connection for events. */
void bed_subscribe(struct bed_side *s);
/* End the daemon by a signal, if it runs, and close our connections; as waitpid() tells, or -1. */
int bed_end(struct bed_side *s, int signal);
/* A new connection to the daemon, without a word said: the descriptor, or -errno. */
int bed_connect(const struct bed_side *s);
/* A request with one element, or none: NULL. As spw_client_call(). */
int bed_call(struct bed_side *s, uint16_t number, const void *elem, uint16_t size, const int *fds,
	     unsigned int n_fds, struct spw_err *err);
/* One that must succeed. */
void bed_ask(struct bed_side *s, uint16_t number, const void *elem, uint16_t size, const int *fds,
	     unsigned int n_fds);

/*
 * The settings of the tunnel "tun": AES-GCM-256, ECP-384, no PFS, any IPv4 to any, the key "correct
 * horse ba"; of generation 1.
 */
struct spw_ike_conn bed_conn(const struct bed_side *s, uint32_t mode);
/* Give the daemon its sockets and this connection. */
void bed_configure(struct bed_side *s, const struct spw_ike_conn *conn);
/* The status of its only connection. */
struct spw_ike_status bed_status(struct bed_side *s);
/*
 * The stand-ins carry no packet, so this one says to `to` that the first packet of what `from`
 * sends on came: the proof on which a responder sends on its new SA. false: it sends on nothing.
 */
bool bed_first_packet(struct bed_side *from, struct bed_side *to);
/* The next event of a tunnel within `ms`; false when none comes. */
bool bed_event(struct bed_side *s, struct spw_ike_tunnel_event *ev, int ms);
/* Wait for the event that the tunnel is up, or down. */
void bed_expect_event(struct bed_side *s, bool up);
/* What one side seals the other opens: the outbound SAs mirror each other. */
bool bed_agree(struct bed_side *a, struct bed_side *b);
/* Fails, with what it was, when a daemon asked its data plane for something that is not allowed. */
void bed_contract_kept(const struct bed_side *a, const struct bed_side *b);

#endif
