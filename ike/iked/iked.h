/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to ike/iked/: the daemon around the engine. One thread runs all of it; others only
 * compute key exchanges (dh_pool.h).
 */
#ifndef SPW_IKE_IKED_IKED_H
#define SPW_IKE_IKED_IKED_H

#include <event2/event.h>
#include <sys/types.h>

#include "ike/ike.h"
#include "ike/iked/conns.h"
#include "ike/iked/dh_pool.h"
#include "ike/iked/escrow.h"
#include "ike/iked/privilege.h"
#include "ike/iked/sas.h"

#define IKED_PATH_MAX	   108
#define IKED_ORPHAN_S	   12 /* an orphan lives so long beside its successor */
#define IKED_HALF_OPEN_MAX 30 /* cookies above */
#define IKED_STOP_MS	   1000
#define IKED_EXIT_AGAIN	   75 /* exit status after a hand-over: start the next instance */

struct iked_options {
	const char *run_dir;
	const char *user; /* NULL: the default when started as root */
	const char *control_user;
	enum spw_log_level log_level;
	unsigned int dh_threads; /* 0: by the number of processors */
};

/* The connection to the data plane (dataplane.c, dataplane_ops.c). */
struct iked_dataplane {
	char path[IKED_PATH_MAX];
	struct spw_client client; /* requests; fd -1 while down */
	int event_fd;
	struct event *readable; /* of event_fd */
	struct event *retry;
	uint32_t backoff_ms;
	uint64_t incarnation; /* of the last hello; valid when `seen` */
	uint32_t encr_mask;
	bool seen; /* there was a hello in the life of this process */
	struct iked_sas sas;
	uint64_t refreshed_ns; /* when last_in of `sas` was read */
	struct spw_msg msg;    /* answers */
	struct spw_msg event;  /* apart, because handling one asks for answers */
};

/* One local address with its two sockets: [0] port 500, [1] port 4500 (udp.c). */
struct iked_socket {
	struct iked_socket *next;
	struct iked *iked;
	struct spw_addr local;
	int fd[2];
	struct event *readable[2];
	bool leaving; /* all connections were told, and none has it */
};

/*
 * What anybody may send without having shown anything: first messages. They wait until the others
 * that have come are handled (udp.c).
 */
#define IKED_STRANGERS 256 /* more are dropped */
struct iked_stranger {
	struct ike_datagram d;
	uint8_t *bytes;
};
struct iked_strangers {
	struct iked_stranger at[IKED_STRANGERS]; /* a ring */
	unsigned int first, n;
	struct event *turn;
};

/* A connection accepted on ike.sock (server.c). */
struct iked_client {
	struct iked_client *next;
	struct iked *iked;
	int fd;
	struct event *readable;
	bool subscribed;
	bool dead; /* to be freed when nobody walks the list */
};

/* The beginning of the draw before: a source that repeats itself is broken. */
#define IKED_RANDOM_BLOCK 16
struct iked_random {
	uint8_t last[IKED_RANDOM_BLOCK];
	bool drawn;
};

struct iked {
	struct event_base *base;
	struct event *tick;	 /* the engine's next wake-up */
	struct event *second;	 /* once a second: keepalives, orphans, state log */
	struct event *stop[2];	 /* SIGTERM, SIGINT */
	struct event *hand_over; /* SIGUSR1 */
	bool handing_over;	 /* the SAs go on without us */
	struct event *stop_end;	 /* the end of the moment given to Deletes */
	uint64_t stop_by_ns;
	uint64_t instance;
	struct ike_engine *engine; /* made with the first connection */
	struct iked_random random;
	struct iked_dh_pool *dh_pool;
	struct event *dh_done; /* of its descriptor */
	struct iked_escrow escrow;
	struct iked_conns conns;
	struct iked_dataplane dp;
	struct iked_socket *sockets;
	struct iked_strangers strangers;
	int listen_fd;
	struct event *acceptable;
	struct iked_client *clients;
	uid_t control_uid;
	struct spw_ike_tunnel_event *news; /* told by the engine, not yet handled */
	size_t n_news, cap_news;
};

/* options.c: 0 to go on, 1 when help or version was printed, -EINVAL with a sentence. */
int iked_options_parse(struct iked_options *o, int argc, char **argv, struct spw_err *err);

/* engine.c: the operations given to the engine, and what follows a call of it. */
int iked_engine_start(struct iked *d, struct spw_err *err);
/*
 * Start the threads for key exchanges, and take what they have done from the event loop; before the
 * sandbox. `threads` 0: by the number of processors.
 */
int iked_dh_start(struct iked *d, unsigned int threads, struct spw_err *err);
/* Fill with random octets. A source that fails, or repeats itself, ends the process. */
void iked_random_draw(struct iked_random *r, void *buf, size_t len);
/* True when this block is the one before; it is remembered for the next. */
bool iked_random_repeats(struct iked_random *r, const uint8_t block[IKED_RANDOM_BLOCK]);
/*
 * Status of every connection, on the heap (the caller frees). *n is 0 and the result NULL when
 * there is none, or no memory.
 */
struct spw_ike_status *iked_engine_rows(const struct iked *d, size_t *n);
/* Handle what the engine told and arm its next wake-up; after every entry into the engine. */
void iked_engine_settle(struct iked *d);
/* Log and push one event about a tunnel that only SAs of an earlier instance carry. */
void iked_tunnel_tell(struct iked *d, const struct spw_ike_tunnel_event *ev);
/* Tell that it is up, once, when SAs of an earlier instance carry it. */
void iked_orphan_tell(struct iked *d, struct iked_conn *conn);

/* dataplane.c */
int iked_dataplane_start(struct iked *d, struct spw_err *err);
void iked_dataplane_stop(struct iked *d);
/* Connect now unless connected. 0 or -errno; the retry goes on by itself. */
int iked_dataplane_connect(struct iked *d);
bool iked_dataplane_connected(const struct iked_dataplane *dp);
/* One request on the connection; -ENOTCONN while it is down, and it goes down when it fails. */
int iked_dataplane_call(struct iked *d, uint16_t number, const void *elem, uint16_t size,
			struct spw_err *err);
/* Read what stands in the data plane into `found` (empty before). 0 or -errno. */
int iked_dataplane_sas(struct iked *d, struct iked_sas *found, struct spw_err *err);
/* Read anew what the SAs in dp.sas carry; those they are stay. 0 or -errno. */
int iked_dataplane_refresh(struct iked *d, struct spw_err *err);
/* What the engine may offer for ESP; all we know of while the data plane has not said. */
uint32_t iked_dataplane_encr_mask(const struct iked_dataplane *dp);

/* dataplane_ops.c: the SA operations of struct ike_ops; ctx is the struct iked. */
int iked_op_spi_alloc(void *ctx, uint32_t tunnel, uint32_t *spi);
void iked_op_spi_free(void *ctx, uint32_t tunnel, uint32_t spi);
int iked_op_sa_install(void *ctx, const struct spw_sa_desc *sa, bool outbound);
int iked_op_sa_switch(void *ctx, uint32_t spi_in);
int iked_op_sa_delete(void *ctx, uint32_t spi_in, uint32_t parts);
int iked_op_sa_move(void *ctx, uint32_t spi_in, const struct spw_addr *remote, uint16_t remote_port,
		    uint16_t local_port);
int iked_op_sa_adopt(void *ctx, uint32_t tunnel, uint32_t spi_in, struct ike_adopted *a);
uint64_t iked_op_last_inbound(void *ctx, uint32_t tunnel);
/* Delete the orphans whose time has come. */
void iked_orphans_reap(struct iked *d, uint64_t now_ns);

/* udp.c */
/* Take both descriptors for a local address; an earlier pair is closed. 0, or -errno (none taken).
 */
int iked_udp_set(struct iked *d, const struct spw_addr *local, const int fds[2],
		 struct spw_err *err);
/* The descriptors of a local address, borrowed; NULL when there are none. */
const int *iked_udp_get(const struct iked *d, const struct spw_addr *local);
/* Every connection is set: local addresses that none of them has are not needed for long. */
void iked_udp_sweep(struct iked *d);
/* Close those whose IKE SAs have ended, too: each second. */
void iked_udp_reap(struct iked *d);
int iked_udp_start(struct iked *d);
void iked_udp_stop(struct iked *d);
/* Is this the first message of a handshake with us? Any bytes. */
bool iked_udp_is_first(const uint8_t *bytes, size_t len);
void iked_op_send(void *ctx, const struct ike_datagram *dg);
/*
 * One 0xFF from port 4500 to where ESP goes (RFC 3948 2.3): a NAT before us keeps a mapping for each
 * place, and the peer behind one of its own is not at 4500. @remote_port  0 = 4500
 */
void iked_udp_keepalive(struct iked *d, const struct spw_addr *local, const struct spw_addr *remote,
			uint16_t remote_port);
enum iked_udp_kind { IKED_UDP_IKE, IKED_UDP_KEEPALIVE, IKED_UDP_ESP, IKED_UDP_SHORT };
/* What a datagram on port 4500 is (RFC 3948 2.2, 2.3). */
enum iked_udp_kind iked_udp_classify(const uint8_t *bytes, size_t len);

/* server.c */
/* Make ike.sock; before privileges are dropped. */
int iked_server_listen(struct iked *d, const char *run_dir, gid_t gid, struct spw_err *err);
int iked_server_start(struct iked *d);
void iked_server_stop(struct iked *d, const char *run_dir);
/* Send an event to every subscriber. */
void iked_server_push(struct iked *d, const struct spw_ike_tunnel_event *ev);
/* Answer with `count` elements; `more` when further parts follow. false: the client is gone. */
bool iked_server_reply(struct iked_client *c, const struct spw_msg_hdr *request, const void *elems,
		       uint16_t elem_size, uint16_t count, bool more);

/* commands.c: check a request against its row and serve it; 0 = answered, else refuse with err. */
int iked_command(struct iked_client *c, struct spw_msg *m, struct spw_err *err);

#endif
