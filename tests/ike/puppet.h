/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of two engines led by hand: everything that is sent is recorded and opened, and a test
 * may speak for either end with the true keys of its IKE SA.
 */
#ifndef SPW_TESTS_IKE_PUPPET_H
#define SPW_TESTS_IKE_PUPPET_H

#include "tests/ike/net.h"

#define TAPE_MAX 256

/* A message as it left its sender. `m` is what was in it, of a protected one what was inside SK. */
struct taped {
	int from;
	uint64_t at;
	uint16_t local_port, remote_port;
	struct spw_addr remote;
	struct ike_header h;
	bool opened; /* `m` is there */
	size_t len, plain_len;
	uint8_t first; /* type of the first payload of `plain` */
	uint8_t *bytes, *plain;
	struct ike_msg m;
};

struct tape {
	unsigned int n;
	struct taped at[TAPE_MAX];
	/* exchanges that never arrive, by their sender; 0 = none, 255 = all */
	uint8_t drop_from[2];
	bool drop_requests_only;
	/* called as each message leaves */
	void (*on_send)(struct net *net, const struct taped *t);
};

extern struct tape tape;

/* A network whose every message goes to the tape, which begins empty; end with tape_free(). */
struct net *tape_net(uint64_t seed);
void tape_free(struct net *net);
/* Forget what was recorded. */
void tape_clear(void);
/* The last message of an exchange from host i, request or response; fails when there is none. */
const struct taped *tape_last(int from, uint8_t exchange, bool response);
unsigned int tape_count(int from, uint8_t exchange, bool response);
/* Types of the payloads of a recorded message, in order; how many. */
unsigned int tape_types(const struct taped *t, uint8_t *types, unsigned int max);

/* Two hosts whose tunnel is up, host 0 the initiator. */
struct net *tape_up(uint64_t seed);
/* IKE_SA_INIT is over, IKE_AUTH never arrives: host 0 is AUTH_SENT, host 1 HALF_OPEN. */
struct net *tape_half(uint64_t seed);

/* The IKE SA of host i that was made last. */
struct ike_sa *puppet_sa(struct net *net, int i);
/* Begin a protected message of host i; request or answer with message id `mid`. */
void puppet_begin(struct net *net, int i, struct ike_builder *b, uint8_t exchange, bool response,
		  uint32_t mid);
/* Seal it and put it before the other host at once. */
void puppet_send(struct net *net, int i, struct ike_builder *b);
/* The next request of host i, with what `fill` puts in; the answer is on the tape. */
const struct taped *puppet_ask(struct net *net, int i, uint8_t exchange,
			       void (*fill)(struct ike_builder *b, void *ctx), void *ctx);
/* Answer for host i the request of the other that waits; host i counts it as answered. */
void puppet_answer(struct net *net, int i, void (*fill)(struct ike_builder *b, void *ctx),
		   void *ctx);
/* For these two: one notify without data, of the type at ctx (uint16_t). */
void puppet_fill_notify(struct ike_builder *b, void *ctx);
/* Bytes from an address and port of choice to host `to`, as if they had come in. */
void puppet_raw(struct net *net, int to, const struct spw_addr *from, uint16_t from_port,
		uint16_t to_port, const uint8_t *bytes, size_t len);

#endif
