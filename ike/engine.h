/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/: the engine's objects and the functions its files call from one another. */
#ifndef SPW_IKE_ENGINE_H
#define SPW_IKE_ENGINE_H

#include "ike/bounds.h"
#include "ike/ike.h"
#include "ike/keys.h"
#include "ike/rules.h"
#include "ike/turn.h"

enum ike_sa_state {
#define IKE_SA_STATE(name, shown) IKE_SA_##name,
#include "ike/state.def"
	IKE_SA_STATES,
};
enum ike_sa_event {
#define IKE_SA_EVENT(name) IKE_EV_##name,
#include "ike/state.def"
	IKE_SA_EVENTS,
};
enum ike_child_state {
#define IKE_CHILD_STATE(name, shown) IKE_CHILD_##name,
#include "ike/state.def"
	IKE_CHILD_STATES,
};
enum ike_child_event {
#define IKE_CHILD_EVENT(name) IKE_CHILD_EV_##name,
#include "ike/state.def"
	IKE_CHILD_EVENTS,
};
enum ike_fault {
	IKE_OK,
#define IKE_FAULT(name, notify, action, text) IKE_FAULT_##name,
#include "ike/fault.def"
	IKE_FAULTS,
};
enum ike_action { IKE_KEEP, IKE_CLOSE, IKE_SILENT };
struct ike_fault_info {
	const char *name;
	uint16_t notify;
	enum ike_action action;
	const char *text;
};
/* What goes with the notify of a fault; set by the handler that returns the fault. */
struct ike_fault_detail {
	uint8_t protocol;
	uint32_t spi;
	uint8_t data[2];
	uint8_t len;
};

struct ike_blob {
	uint8_t *bytes;
	size_t len;
};

/* A message of the peer that comes in pieces (RFC 7383), those that were authentic. */
struct ike_pieces {
	uint32_t mid;
	uint8_t first, critical; /* what piece 1 said of it, as in struct ike_sk */
	uint16_t total, got;
	size_t bytes;
	uint64_t until;	       /* then they are forgotten */
	struct ike_blob *part; /* [total] */
};

/* How far a post-quantum pre-shared key has come into an IKE SA (RFC 8784). */
enum ike_ppk {
	IKE_PPK_OFF,
	IKE_PPK_AGREED, /* both said USE_PPK */
	IKE_PPK_USED,	/* SK_d, SK_pi and SK_pr have it */
	IKE_PPK_STATES,
};

/* A message that waits for Diffie-Hellman, opened and whole. */
struct ike_parked {
	struct ike_parked *next; /* of strangers */
	struct ike_sa *sa;	 /* NULL: of a stranger */
	struct ike_dh_job *job;	 /* NULL: it waits behind the answer that waits */
	struct ike_datagram d; /* where it came from; the bytes are those of `message` */
	struct ike_header h;
	uint8_t first;		 /* type of the first payload of `message`, of a protected one */
	struct ike_blob message; /* what was inside SK; of an IKE_SA_INIT the whole datagram */
};
/* A key pair for the next request of an IKE SA or dial of a connection. */
struct ike_pair {
	struct ike_turn *turn;	/* of whom it is for */
	struct ike_dh_job *job; /* under way */
	struct ike_dh *dh;
	int rc;
};

/* The one request of ours that waits for its answer (window 1). */
enum ike_task {
	IKE_TASK_NONE,
	IKE_TASK_INIT,
	IKE_TASK_AUTH,
	IKE_TASK_CHILD,
	IKE_TASK_CHILD_REKEY,
	IKE_TASK_CHILD_DELETE,
	IKE_TASK_IKE_REKEY,
	IKE_TASK_IKE_DELETE,
	IKE_TASK_PROBE,
};
struct ike_request {
	enum ike_task task;
	uint8_t exchange;
	uint32_t mid;
	struct ike_blob msg;
	uint64_t first_ns; /* first transmission */
	uint64_t next_ns;  /* next one, or the verdict */
	uint32_t sent;
	/* what the answer needs */
	struct ike_nonce nonce;
	struct ike_dh *dh;
	uint32_t spi_in;     /* of the child to be made; 0 = none */
	uint32_t old_spi_in; /* child that is rekeyed or deleted */
	uint64_t ike_spi;    /* of the IKE SA to be made */
	bool stale;	     /* spi_in is of an earlier incarnation of the data plane */
	/*
	 * Repeated because of a packet on spi_in. Not in escrow: whoever finds the request there
	 * repeats it anyway, and the data plane tells of an SPI once.
	 */
	bool early;
	uint32_t groups_tried;
	uint32_t n_offer;
	struct spw_ike_proposal offer[SPW_IKE_PROPOSALS];
	/* the peer's rekey of the same SA, answered while ours was out */
	bool rival;
	uint32_t rival_spi_in;
	uint64_t rival_ike_spi;
	struct ike_nonce rival_low;
};

struct ike_child {
	struct ike_child *next;
	struct ike_child *same; /* of the same bucket of the index */
	struct ike_sa *sa;
	enum ike_child_state state;
	uint32_t spi_in;
	uint32_t spi_out;
	bool mine;	/* we started the exchange that made it */
	bool absent;	/* not in the data plane: refused there, or of an earlier incarnation */
	bool active;	/* the data plane sends on it */
	bool redundant; /* lost against another one; goes soon */
	bool out_gone;	/* the outbound half is deleted */
	/*
	 * The peer is known to have it. One made by answering the peer is not at first: our answer
	 * may be lost, so nothing is sent on it or asked about it before (IKE-075).
	 */
	bool proven;
	enum spw_group group; /* that the peer asked for at the next rekey; NONE = first offered */
	uint32_t heir;	      /* spi_in of its successor */
	struct ike_nonce low;
	struct spw_ike_proposal suite;
	uint32_t n_local, n_remote;
	struct spw_selector sel_local[SPW_SA_SELECTORS];
	struct spw_selector sel_remote[SPW_SA_SELECTORS];
	/* when; UINT64_MAX = never */
	uint64_t made_ns;
	uint64_t rekey_at;
	uint64_t hard_at;
	uint64_t prove_at;  /* taken as proven though the peer has shown nothing */
	uint64_t delete_at; /* send its Delete */
	uint64_t gone_at;   /* end of lingering */
};

/*
 * The IKE_AUTH that an IKE SA goes back to, through whatever rekeys: both ends know the same of it,
 * whenever each of them has rekeyed. What decides between two IKE SAs of a tunnel.
 */
struct ike_birth {
	uint64_t ns;
	bool dialled; /* by us */
	struct ike_nonce low;
};

struct ike_sa {
	struct ike_sa *next, *prev;
	struct ike_turn turn; /* while it has no connection */
	struct ike_spot spot[IKE_MARKS];
	bool counted; /* as a stranger's */
	struct ike_sa *conn_next; /* in the list of its connection */
	struct ike_engine *e;
	struct ike_conn *conn; /* NULL once its connection is deleted */
	enum ike_sa_state state;
	bool initiator; /* original initiator */
	bool nat_here, nat_there, encap;
	bool pending;	/* made by the peer's IKE rekey while ours is out; not decided yet */
	bool redundant; /* lost against another IKE SA */
	bool contact_sent;
	uint32_t fragment;	     /* longest IP packet of ours; 0 = never cut: one side cannot */
	struct ike_pieces pieces[2]; /* of a request, of an answer */
	struct ike_parked *parked[2];
	struct ike_pair pair;
	uint64_t spi_i, spi_r;
	struct spw_addr local, remote;
	uint16_t local_port, remote_port;
	struct spw_ike_proposal suite;
	struct ike_nonce ni, nr, low;
	struct ike_birth birth;
	struct ike_keys keys; /* e* and a* live in the ciphers */
	struct ike_cipher *seal, *open;
	struct ike_blob own_init, peer_init; /* until IKE_AUTH is over */
	struct ike_blob cookie;
	uint32_t cookie_rounds;
	uint32_t next_in;	  /* message id of the peer's next request */
	uint32_t next_out;	  /* of ours */
	struct ike_blob response; /* to request next_in - 1 */
	struct ike_request req;
	struct ike_child *children;
	uint64_t made_ns, since_ns, heard_ns, hint_ns, busy_since;
	uint64_t rekey_at, hard_at, close_at, expire_at;
	uint64_t quiet_until; /* no requests of ours: the peer may not have our answer yet */
	bool probe_wanted;
	uint32_t auth_spi; /* inbound SPI that the answer to IKE_AUTH will have, 0 = none yet */
	/* ike_psk.mark of the key it was authenticated with; 0 = not decided yet */
	uint8_t psk_mark[IKE_CONN_MARK];
	enum ike_ppk ppk;
	struct ike_blob token; /* the peer's, of quick crash detection (RFC 6290) */
	bool token_owed;       /* ours is to be sent: this SA is the successor of another */
	bool dirty;	   /* not as in escrow */
	unsigned int slot; /* of the escrow, 0 = none */
};

/* Whether the two sides agree on how to rekey: check.c. */
struct ike_check {
	enum spw_ike_check outcome;
	uint16_t notify;   /* REFUSED: the peer's, 0 = an answer that does not fit */
	uint16_t wanted;   /* group it asked for instead, IANA number, 0 = it did not say */
	uint64_t at_ns;	   /* of the outcome */
	uint64_t due_ns;   /* of the check; UINT64_MAX = none waits */
	uint64_t later_ns; /* when the child would have been rekeyed without it, 0 = none was */
	uint32_t tries;
	bool running;
};

/* One of the pre-shared keys of a connection; psk.c. */
struct ike_psk {
	struct spw_secret key;	     /* empty = none */
	uint8_t mark[IKE_CONN_MARK]; /* of what is negotiated with, under this key */
};

struct ike_conn {
	struct ike_conn *next;
	struct ike_conn *near, *like; /* of the same buckets of the index: by address, by name */
	struct ike_turn turn;
	struct ike_engine *e;
	struct ike_sa *sas;
	struct spw_ike_conn set; /* without its secrets */
	struct ike_psk psk[IKE_PSKS];
	unsigned int dial_psk; /* the next dial signs with this one */
	struct spw_secret ppk;
	struct ike_pace creates, infos; /* what the peer may still ask for */
	struct ike_pace repeats;	/* and whoever repeats what it said, elsewhere */
	bool dirty;			/* one of its SAs is not as in escrow */
	bool up;
	bool renew;    /* a new IKE SA is wanted beside the one that stands */
	bool restored; /* from escrow, and not up since */
	struct ike_check check;
	uint32_t attempts;
	uint32_t child_attempts;
	uint64_t next_try;
	uint64_t child_at;	    /* not before: a new child SA */
	enum spw_group child_group; /* that the peer asked for; NONE = the first we offer */
	uint64_t since_ns;
	uint32_t ike_rekeys, child_rekeys, child_rekey_failures;
	char reason[SPW_IKE_STATE_TEXT];
	struct ike_pair pair;
};

/* The deletions of a call, on record until they are done: escrow_will.c. */
#define IKE_WILLS 32 /* lists of some thousand each */
struct ike_wills {
	unsigned int slot[IKE_WILLS], n; /* of the escrow */
	struct ike_will *draft;		 /* the last list, while it is written */
	size_t room;
};

struct ike_engine {
	struct ike_engine_config config;
	uint64_t now;
	bool shutdown;
	bool dirty;
	struct ike_turns turns;
	struct ike_index index;
	struct ike_letter *letters, *last; /* what leaves at the end of the call */
	struct ike_wills wills;
	struct ike_conn *conns;
	struct ike_sa *sas;
	struct ike_parked *strangers; /* IKE_SA_INIT requests that wait */
	struct ike_dh_job *done;      /* found by the handler of its message, which runs again */
	struct ike_dh_job *wanted;    /* by the handler that runs */
	struct ike_pair *fresh;	      /* has just arrived */
	struct ike_cookie_jar jar;
	uint64_t cookies_until; /* cookies are asked for even below the limits */
	struct ike_fault_detail detail;
	struct spw_log_limit log, strangers_log, switch_log;
	uint64_t spare_ns; /* unauthenticated answers: credit of a token bucket */
	uint32_t spare;
	struct ike_pace prefix[256]; /* the same of a prefix, by a hash of it */
	struct ike_pace again;	     /* the same of IKE_SA_INIT that is repeated */
	uint8_t in[IKE_DATAGRAM_MAX];
	uint8_t out[IKE_DATAGRAM_MAX];
	uint8_t sealed[2 * IKE_DATAGRAM_MAX]; /* a message in pieces */
};

/* ---- state.c: the tables ---- */

typedef enum ike_fault ike_handler(struct ike_sa *sa, const struct ike_msg *m,
				   struct ike_builder *b);
/*
 * Feed one event to an IKE SA. The table's handler runs; on IKE_OK the table's next state is
 * taken. A pair without a row is refused: IKE_FAULT_UNEXPECTED, nothing changes.
 */
enum ike_fault ike_state_step(struct ike_sa *sa, enum ike_sa_event ev, const struct ike_msg *m,
			      struct ike_builder *b);
void ike_state_set(struct ike_sa *sa, enum ike_sa_state state);
const char *ike_state_name(enum ike_sa_state state);
bool ike_state_allows(enum ike_sa_state state, enum ike_sa_event ev);
/* The same for a child SA. false when refused. */
bool ike_child_step(struct ike_child *c, enum ike_child_event ev);
const char *ike_child_state_name(enum ike_child_state state);
const struct ike_fault_info *ike_fault_info(enum ike_fault f);

/* ---- door.c: the end of a call ---- */

/* Something about an IKE SA, or another one of its connection, changes. */
void ike_touch(struct ike_sa *sa);
/* Send at the end of the call, when the escrow holds what it tells. Copies. */
void ike_post(struct ike_engine *e, const struct ike_datagram *d);
/* The same of deletions in the data plane: what a lost record still names must be there. */
void ike_post_delete(struct ike_engine *e, uint32_t spi_in, uint32_t parts);
void ike_post_spi_free(struct ike_engine *e, uint32_t tunnel, uint32_t spi);
/* Send on a new child SA. */
void ike_post_switch(struct ike_engine *e, uint32_t spi_in);
/* Record, send, delete, free what is DEAD. */
void ike_door_close(struct ike_engine *e);
/* Record this one SA now, before something that must not happen twice. */
void ike_record_now(struct ike_sa *sa);
/* Drop what was not sent. */
void ike_door_forget(struct ike_engine *e);
/*
 * What happened to a child while the data plane could not tell, and what it missed of ours. One
 * that is gone is left alone: that is told as its hard limit.
 */
void ike_child_catch_up(struct ike_child *c);
/* Take the IKE SAs of a new connection from escrow. */
void ike_conn_restore(struct ike_conn *conn);

/* ---- escrow_record.c ---- */

/* Write the record of an SA that has a connection. Returns its length; 0 = it does not fit. */
size_t ike_record_save(struct ike_sa *sa, uint8_t *room, size_t size);
/* The record is of this connection, and that negotiates with the same settings and key. */
bool ike_record_fits(const struct ike_conn *conn, const uint8_t *bytes, size_t len);
/*
 * Make the SA, as it was, or DEAD: half-open when the data plane began anew. NULL when the record is
 * damaged; then nothing was called.
 */
struct ike_sa *ike_record_load(struct ike_conn *conn, const uint8_t *bytes, size_t len);
/* Set the marks of conn->psk[]. 0 or -errno. */
int ike_conn_mark(struct ike_conn *conn) __attribute__((warn_unused_result));

/* ---- escrow_will.c: deletions on record until they are done ---- */

/* This deletion is in the batch; of those that have no slot, a warning. */
void ike_will_add(struct ike_engine *e, uint32_t spi_in, uint32_t parts);
/* There are no more of them: before the batch is published. */
void ike_wills_write(struct ike_engine *e);
/* They are done. */
void ike_wills_end(struct ike_engine *e);
/* What is left to do where a will names the SA of a child that goes on here (NULL = none). Pure. */
uint32_t ike_will_rest(uint32_t parts, const struct ike_child *own);

/* ---- psk.c: the pre-shared keys of a connection ---- */

/* Take the secrets of a message into guarded memory. 0 or -ENOMEM; nothing is left then. */
int ike_psk_load(struct ike_conn *conn, const struct spw_ike_conn *c)
	__attribute__((warn_unused_result));
void ike_psk_unload(struct ike_conn *conn);
/* The message holds just these secrets. */
bool ike_psk_same(const struct ike_conn *conn, const struct spw_ike_conn *c);
/* Which key has this mark; -1 = none. */
int ike_psk_find(const struct ike_conn *conn, const uint8_t mark[IKE_CONN_MARK]);
/* The key an SA was authenticated with; -1 = none yet, or one that is not there any more. */
int ike_psk_of(const struct ike_sa *sa);
/* It is authenticated with key `i`, and the next dial begins with that one. */
void ike_psk_choose(struct ike_sa *sa, unsigned int i);
/* The mark its record has. */
const uint8_t *ike_psk_mark(const struct ike_sa *sa);
/* Every IKE SA of `old` stands on with the keys of `new`, and there is one. */
bool ike_psk_carries(const struct ike_conn *old, const struct ike_conn *new);
/* Replace the keys. */
void ike_psk_move(struct ike_conn *to, struct ike_conn *from);
/* The peer did not believe our dial: another key is next. */
void ike_psk_refused(struct ike_conn *conn);
/* Responder: the key under which the peer's AUTH is right; -1 = none. The same work for all. */
int ike_psk_proven(const struct ike_sa *sa, const struct ike_conn *conn,
		   const struct ike_chunk *auth, const struct ike_identity *id);
/* Initiator: the peer's AUTH is right under the key that we signed with. */
bool ike_psk_answers(const struct ike_sa *sa, const struct ike_chunk *auth,
		     const struct ike_identity *id);

/* ---- ppk.c: post-quantum pre-shared keys (RFC 8784) ---- */

enum ike_ppk_verdict {
	IKE_PPK_PLAIN,	  /* go on without */
	IKE_PPK_FALLBACK, /* go on without; AUTH is that of NO_PPK_AUTH */
	IKE_PPK_MIX,
	IKE_PPK_REFUSE,
};
/*
 * What the responder of an IKE_AUTH does. agreed: both said USE_PPK; named: PPK_IDENTITY is there;
 * known: it names our key; fallback: NO_PPK_AUTH is there; required: ours to demand. Pure.
 */
enum ike_ppk_verdict ike_ppk_rule(bool agreed, bool named, bool known, bool fallback,
				  bool required);
/* This connection has a PPK. NULL has none. */
bool ike_ppk_wanted(const struct ike_conn *conn);
/* IKE_SA_INIT: say USE_PPK, as initiator; the responder's answer to it; what that was. */
void ike_ppk_build_use(const struct ike_conn *conn, struct ike_builder *b);
bool ike_ppk_offered(const struct ike_sa *sa, const struct ike_msg *m);
/* false: the peer does not want it and we must; the answer is no usable one. */
bool ike_ppk_answered(struct ike_sa *sa, const struct ike_msg *m);
/* IKE_AUTH request: the verdict, and the AUTH that counts. */
enum ike_ppk_verdict ike_ppk_judge(const struct ike_sa *sa, const struct ike_conn *conn,
				   const struct ike_msg *m, struct ike_chunk *auth);
/* Mix the PPK of `conn` into the SA's keys, unless they have it. 0 or -errno, nothing changed. */
int ike_ppk_mix(struct ike_sa *sa, const struct ike_conn *conn)
	__attribute__((warn_unused_result));
/* The SK_p* that our AUTH is made with, a copy. */
int ike_ppk_sk_p(const struct ike_sa *sa, struct spw_secret *out)
	__attribute__((warn_unused_result));
/* PPK_IDENTITY: the name in a request, empty in an answer. */
void ike_ppk_build_identity(const struct ike_sa *sa, struct ike_builder *b);
/* IKE_AUTH answer: mix or go on without. false: it is required and not there. */
bool ike_ppk_settle(struct ike_sa *sa, const struct ike_msg *m);

/* ---- qcd.c: quick crash detection (RFC 6290) ---- */

#define IKE_QCD_LEN    16
#define IKE_QCD_ANSWER (IKE_HEADER_LEN + 8 + 8 + IKE_QCD_LEN) /* octets of one that shows it */

/* The token of an IKE SA for the peer at `taker`. Pure. */
void ike_qcd_token(const uint8_t key[IKE_ESCROW_KEY], uint64_t spi_i, uint64_t spi_r,
		   const struct spw_addr *taker, uint8_t out[IKE_QCD_LEN]);
/* Make the secret of tokens, when there is an escrow that has none. */
void ike_qcd_begin(struct ike_engine *e);
/* Put our token for this SA into a protected message; nothing without an escrow. */
void ike_qcd_give(const struct ike_sa *sa, struct ike_builder *b);
/* Keep the peer's, when the (protected) message has one. */
void ike_qcd_take(struct ike_sa *sa, const struct ike_msg *m);
/* Wipe and free the peer's. */
void ike_qcd_forget(struct ike_sa *sa);
/* The peer knows of tokens, and we can give one. */
bool ike_qcd_known(const struct ike_sa *sa);
/* Tell it in a request of its own. */
int ike_qcd_start(struct ike_sa *sa) __attribute__((warn_unused_result));
/* An unprotected answer about this SA: true when its token was right, and the SA has ended. */
bool ike_qcd_heard(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_header *h);
/* INVALID_IKE_SPI to the sender of a request, with the token where that may be shown. */
void ike_qcd_answer(struct ike_engine *e, const struct ike_datagram *d,
		    const struct ike_header *h);

/* ---- sa.c: objects ---- */

int ike_blob_set(struct ike_blob *b, const void *bytes, size_t len)
	__attribute__((warn_unused_result));
void ike_blob_free(struct ike_blob *b);
uint64_t ike_random_u64(struct ike_engine *e);
void ike_nonce_new(struct ike_engine *e, struct ike_nonce *n);
void ike_nonce_set(struct ike_nonce *n, const struct ike_chunk *c);
/* A fresh SPI of ours, not 0 and not in use. */
uint64_t ike_sa_fresh_spi(struct ike_engine *e);
/* Make an SA one of a connection's, or of none (NULL). */
void ike_sa_attach(struct ike_sa *sa, struct ike_conn *conn);
struct ike_sa *ike_sa_new(struct ike_engine *e, struct ike_conn *conn, bool initiator);
/* Who began it has never proved who he is: half-open, or refused and not forgotten yet. */
bool ike_sa_is_strangers(const struct ike_sa *sa);
/* It has as many children as it may. */
bool ike_sa_is_crowded(const struct ike_sa *sa, unsigned int most);
/* By the SPI that we chose. */
struct ike_sa *ike_sa_find(struct ike_engine *e, uint64_t own_spi);
uint64_t ike_sa_own_spi(const struct ike_sa *sa);
/* Derive keys and make both ciphers. */
int ike_sa_set_keys(struct ike_sa *sa, const struct ike_keys_input *in)
	__attribute__((warn_unused_result));
/* Forget the request in flight and all it holds. */
void ike_request_clear(struct ike_sa *sa);
/* Keep repeating the request, for its message id, but forget what its answer was for. */
void ike_request_forget(struct ike_sa *sa);
/* Close now: Delete when established, as soon as the window allows; children go at once. */
void ike_sa_close(struct ike_sa *sa);
/* Take children out of the data plane at once and free them. */
void ike_sa_drop_children(struct ike_sa *sa);
void ike_sa_move_children(struct ike_sa *from, struct ike_sa *to);
/* Free what is DEAD. */
void ike_engine_reap(struct ike_engine *e);
void ike_sa_reason(struct ike_sa *sa, const char *text);

/* ---- message.c: window, retransmission, protection ---- */

/* Begin our next request in e->out. */
void ike_request_begin(struct ike_sa *sa, struct ike_builder *b, uint8_t exchange);
/* Seal, keep and send it. On failure the SA has no request in flight. */
int ike_request_send(struct ike_sa *sa, struct ike_builder *b, enum ike_task task)
	__attribute__((warn_unused_result));
/* Keep and send a finished plain message (IKE_SA_INIT). */
int ike_request_launch(struct ike_sa *sa, enum ike_task task, uint8_t exchange,
		       const uint8_t *bytes, size_t len) __attribute__((warn_unused_result));
/* Retransmit or give up, when due. */
void ike_request_timer(struct ike_sa *sa);
/*
 * A packet came on the SPI that our request offers: repeat it now, once, its next repetition and
 * the verdict staying where they were (RFC 7296 2.8). Nothing when its answer is being handled.
 */
void ike_request_early(struct ike_sa *sa);
uint64_t ike_sa_patience(const struct ike_sa *sa);
/* Send one message, or several in a row, each as long as its header says. */
void ike_send(struct ike_sa *sa, const uint8_t *bytes, size_t len);
/* A protected message of an SA we know. */
void ike_message_protected(struct ike_sa *sa, const struct ike_datagram *d,
			   const struct ike_header *h);
void ike_build_fault(struct ike_builder *b, const struct ike_engine *e, enum ike_fault f);

/* Handle a message that was parked. */
void ike_message_again(struct ike_sa *sa, const struct ike_parked *p);

/* ---- dh_park.c: what waits for Diffie-Hellman ---- */

struct ike_dh_want {
	enum spw_group group;
	struct ike_dh *own;	      /* our pair that stands; NULL = a new one */
	const struct ike_chunk *peer; /* NULL: no secret is wanted, only the pair */
	enum ike_dh_rank rank;
};
/*
 * For a handler, before it changes anything. 0 with *made (of a new pair; its private value may
 * have served) and *shared; -EINPROGRESS: the handler returns IKE_FAULT_PARKED, and runs again;
 * else as ike_dh_new() and ike_dh_shared(). A pair of our own has not served after it.
 */
int ike_dh_obtain(struct ike_engine *e, const struct ike_dh_want *w, struct ike_dh **made,
		  struct spw_secret *shared) __attribute__((warn_unused_result));
enum ike_dh_rank ike_sa_rank(const struct ike_sa *sa);
/* The fault of such an error in a CREATE_CHILD_SA. */
enum ike_fault ike_dh_fault(int rc);
/* Keep the message whose handler was told -EINPROGRESS. Copies. `sa` NULL: of a stranger. */
void ike_park(struct ike_engine *e, struct ike_sa *sa, const struct ike_datagram *d,
	      const struct ike_header *h, const struct ike_chunk *message, uint8_t first);
/* Keep a request until the answer that waits was handled: it came after it. Copies. */
void ike_park_behind(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_header *h,
		     const struct ike_chunk *message, uint8_t first);
/* Forget what waits; its job is wiped when it comes back. */
void ike_park_forget(struct ike_sa *sa, bool response);
void ike_park_forget_strangers(struct ike_engine *e);
/* This very request of a stranger waits already. */
bool ike_park_knows(const struct ike_engine *e, const struct ike_datagram *d,
		    const struct ike_header *h);
/* How many do in all; those of an address are added to *of_source. */
unsigned int ike_park_strangers(const struct ike_engine *e, const struct spw_addr *from,
				unsigned int *of_source);
/*
 * The pair for a request of ours that is about to be made. -EINPROGRESS: the wish must stay, it
 * is met when the pair is there; else as ike_dh_new().
 */
int ike_pair_take(struct ike_engine *e, struct ike_pair *pair, enum spw_group group,
		  enum ike_dh_rank rank, struct ike_dh **dh) __attribute__((warn_unused_result));
void ike_pair_forget(struct ike_engine *e, struct ike_pair *pair);

/* ---- fragment.c ---- */

/*
 * Pad and seal what was built, in one piece or, where that would be too long for a packet and the
 * peer takes pieces, in several in a row. *bytes is in the builder's buffer or e->sealed. 0, or
 * -ENOBUFS or the cipher's error.
 */
int ike_fragment_seal(struct ike_sa *sa, struct ike_builder *b, const uint8_t **bytes, size_t *len)
	__attribute__((warn_unused_result));
/*
 * Keep an authentic piece. 0 when the message is whole: then *whole holds its payloads (the caller
 * wipes and frees them), and `inner` and `critical` of *sk are those of piece 1; -EAGAIN while it
 * is not.
 */
int ike_fragment_take(struct ike_sa *sa, const struct ike_header *h, struct ike_sk *sk,
		      const uint8_t *plain, size_t len, struct ike_blob *whole)
	__attribute__((warn_unused_result));
/* Wipe and free the pieces kept. */
void ike_fragment_forget(struct ike_sa *sa);
/* The same for those that have waited too long; and when the next ones will have. */
void ike_fragment_expire(struct ike_sa *sa);
uint64_t ike_fragment_due(const struct ike_sa *sa);

/* ---- sa_init.c ---- */

/* Dial: a new IKE SA with its IKE_SA_INIT sent. */
void ike_init_start(struct ike_conn *conn);
void ike_init_request_in(struct ike_engine *e, const struct ike_datagram *d,
			 const struct ike_header *h);
/* The same for one that was parked. */
void ike_init_request_again(struct ike_engine *e, const struct ike_datagram *d,
			    const struct ike_header *h);
void ike_init_response_in(struct ike_sa *sa, const struct ike_datagram *d,
			  const struct ike_header *h);
ike_handler ike_init_response, ike_init_retry;

/* Answer a request without protection, within the rate for strangers. sa_init_answer.c. */
void ike_reply_plain(struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h,
		     uint16_t type, const void *data, size_t len);
/* The same with INVALID_IKE_SPI and a token of quick crash detection. */
void ike_reply_token(struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h,
		     const void *token, size_t len);

/* ---- auth.c ---- */

int ike_auth_start(struct ike_sa *sa) __attribute__((warn_unused_result));
ike_handler ike_auth_request, ike_auth_response;
/* An identity of the peer for a person: addresses as such, all else escaped. */
void ike_auth_id_text(const struct ike_identity *id, char *out, size_t size);
/* Give back the SPI that was kept for the answer to IKE_AUTH, when it was not used. */
void ike_auth_spi_free(struct ike_sa *sa);
/*
 * It was of an incarnation of the data plane that is gone. The keys of that child may have been in
 * use there, and this IKE SA knows no others: it ends, the peer dials anew.
 */
void ike_auth_spi_void(struct ike_sa *sa);
void ike_auth_ids(const struct spw_ike_conn *c, struct spw_ike_id *local,
		  struct spw_ike_id *remote);

/* ---- child.c: making child SAs ---- */

struct ike_child_plan {
	struct ike_choice choice;
	uint32_t spi_in;
	bool mine;
	bool outbound;
	bool absent; /* make the object only */
	const struct ike_nonce *ni, *nr;
	const struct spw_secret *g; /* NULL = no PFS */
	unsigned int n_local, n_remote;
	struct spw_selector local[SPW_SA_SELECTORS];
	struct spw_selector remote[SPW_SA_SELECTORS];
};
/* Derive keys, install, link. NULL with *rc when that failed; nothing is left then. */
struct ike_child *ike_child_make(struct ike_sa *sa, const struct ike_child_plan *plan, int *rc);
/* A new SPI, nonce and key pair for a request; `group` may be NONE. */
int ike_child_prepare(struct ike_sa *sa, enum spw_group group) __attribute__((warn_unused_result));
/* Responder: choose, install and write the answer's payloads; *made is set on IKE_OK. */
enum ike_fault ike_child_answer(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b,
				bool auth, struct ike_child **made);
/* Initiator: take the answer. outbound: send on it at once. */
enum ike_fault ike_child_take(struct ike_sa *sa, const struct ike_msg *m,
			      const struct ike_choice_rule *rule, bool outbound,
			      struct ike_child **made);
/* Fill the request's offer. -ENOTSUP: the data plane has none of the ciphers. */
int ike_child_offer(struct ike_sa *sa, const struct ike_child *old)
	__attribute__((warn_unused_result));
int ike_child_start(struct ike_sa *sa, enum spw_group group) __attribute__((warn_unused_result));
ike_handler ike_child_request, ike_child_response;
int ike_child_send(struct ike_sa *sa, const struct ike_child *old, enum ike_task task)
	__attribute__((warn_unused_result));
/* A child was refused by the peer's notify, or (0) failed here by `fault`: why, and when again. */
void ike_child_failed(struct ike_sa *sa, uint16_t notify, enum ike_fault fault);
/* Preferred group for a request: `wanted` (0 = the first of the offer). */
bool ike_group_allowed(const struct ike_request *r, uint16_t ike_id, enum spw_group *group);

/* ---- child_sad.c: the data plane's view of children ---- */

int ike_child_install(struct ike_child *c, const struct spw_sa_desc *d, bool outbound)
	__attribute__((warn_unused_result));
/* Send on this child from now on. */
void ike_child_activate(struct ike_child *c);
/*
 * The peer's next request on this IKE SA shows that it has our last answer (window 1), and so
 * what that answer made; a repeated request shows that it has not.
 */
void ike_sa_proven(struct ike_sa *sa);
void ike_sa_unproven(struct ike_sa *sa);
/* The child that should carry a connection's traffic, but not `except`. NULL = none. */
struct ike_child *ike_child_best(struct ike_conn *conn, const struct ike_child *except);
/* Nothing is to be sent on it any more: another takes over, OUT is deleted. */
void ike_child_stop_out(struct ike_child *c);
void ike_child_linger(struct ike_child *c);
/* Take it out of the data plane and free it. */
void ike_child_free(struct ike_child *c);
struct ike_child *ike_child_find_in(const struct ike_engine *e, uint32_t spi_in);
/* Among all IKE SAs of the same connection, by the peer's SPI. */
struct ike_child *ike_child_find_out(struct ike_sa *sa, uint32_t spi_out);
unsigned int ike_conn_live_children(const struct ike_conn *conn);
/* Run what is due; false when that freed the child. */
bool ike_child_timers(struct ike_child *c);
/* It is not in the data plane any more: made anew by a rekey, which the peer sees as any other. */
void ike_child_lost(struct ike_child *c);
/*
 * Its outbound half is not in the data plane: a killed process deleted it and could not record that
 * any more. The inbound half is; a rekey brings the other back.
 */
void ike_child_mute(struct ike_child *c);
/* A hard limit ended it. */
void ike_child_ended(struct ike_child *c);

/* ---- child_rekey.c, ike_rekey.c ---- */

int ike_child_rekey_start(struct ike_child *old, enum spw_group group)
	__attribute__((warn_unused_result));
ike_handler ike_child_rekey_request, ike_child_rekey_response;
int ike_rekey_start(struct ike_sa *sa) __attribute__((warn_unused_result));
ike_handler ike_rekey_request, ike_rekey_response;
/* The peer's rekey, answered while ours was out, is the successor after all. */
enum ike_fault ike_rekey_adopt(struct ike_sa *sa);
/* Wait after TEMPORARY_FAILURE; asks for a new IKE SA when that goes on too long. */
uint64_t ike_busy_wait(struct ike_sa *sa);

/* ---- check.c: does rekeying work? ---- */

/* Whether a tunnel that has come up is checked. `restored`: from escrow, so it was up before. Pure.
 */
bool ike_check_wanted(enum spw_ike_check outcome, unsigned int tries, bool restored);
/* Does this notify say that the peer will never take such a rekey? Pure. */
bool ike_check_is_verdict(uint16_t notify);
/* The tunnel came up, or may be checked from now on; it went down. */
void ike_check_up(struct ike_conn *conn);
void ike_check_down(struct ike_conn *conn);
/* The request was not answered. */
void ike_check_silent(struct ike_conn *conn);
/* The child of this IKE SA whose check waits for its time; NULL = none. */
struct ike_child *ike_check_child(const struct ike_sa *sa);
int ike_check_start(struct ike_child *c) __attribute__((warn_unused_result));
/* A rekey with this group worked, one of ours (`mine`) or one of the peer's. */
void ike_check_passed(struct ike_conn *conn, enum spw_group group, bool mine);
/* The peer refused ours; NULL = its answer was unusable. After the child's next rekey is set. */
void ike_check_refused(struct ike_child *old, const struct ike_notify *error);

/* ---- informational.c ---- */

int ike_child_delete_start(struct ike_child *c) __attribute__((warn_unused_result));
int ike_probe_start(struct ike_sa *sa) __attribute__((warn_unused_result));
ike_handler ike_info_request, ike_delete_request, ike_child_delete_response, ike_delete_response,
	ike_probe_response, ike_close_start;

/* ---- dial.c: connections, back-off, duplicates, what to do next ---- */

/* The newest of this name; NULL = none. */
struct ike_conn *ike_conn_find(const struct ike_engine *e, const char *name);
/* Tell whether the tunnel went up or down. */
void ike_conn_update(struct ike_conn *conn);
/* Dial, settle duplicates. */
void ike_conn_run(struct ike_conn *conn);
void ike_sa_run(struct ike_sa *sa);
void ike_engine_run(struct ike_engine *e);
/* Count a failed dial and set the next one. */
void ike_dial_failed(struct ike_conn *conn);
/* Close every IKE SA of a connection. */
void ike_conn_close(struct ike_conn *conn);
void ike_conn_free(struct ike_conn *conn);
/*
 * When a connection, or an IKE SA, wants a turn though nothing happens to it. Whatever a handler or
 * a rule makes depend on the time must be in one of the two.
 */
uint64_t ike_conn_wakeup(const struct ike_conn *conn);
/* Somebody's peer has this address. */
bool ike_peer_known(const struct ike_engine *e, const struct spw_addr *remote);
/* The established IKE SA that a connection works with; NULL = none. */
struct ike_sa *ike_conn_sa(const struct ike_conn *conn);
ike_handler ike_timeout, ike_auth_closed;
uint64_t ike_sa_wakeup(const struct ike_sa *sa);

/* The IKE SAs of a connection; none of none. */
static inline struct ike_sa *
ike_conn_sas(const struct ike_conn *conn)
{
	return conn ? conn->sas : NULL;
}

static inline uint64_t
ike_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* now + wait without overflow. */
static inline uint64_t
ike_after(uint64_t now, uint64_t wait)
{
	return wait > UINT64_MAX - now ? UINT64_MAX : now + wait;
}

#endif
