/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: one forwarding probe as a state machine, without I/O, clock or memory of
 * its own. Times are nanoseconds of CLOCK_MONOTONIC. One thread at a time.
 */
#ifndef SPW_DATAPLANE_PROBE_H
#define SPW_DATAPLANE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

#define DP_PROBE_SLOTS	  128 /* packets remembered; timeouts are at most 100 intervals */
#define DP_PROBE_RECENT	  100 /* verdicts remembered */
#define DP_PROBE_NEVER	  UINT64_MAX
#define DP_PROBE_SLACK_NS SPW_NS_PER_MS /* a verdict of silence waits so long after the timeout */
#define DP_PROBE_STALL_NS (20 * SPW_NS_PER_MS) /* being run so late is a stall */
#define DP_PROBE_GRACE_NS (10 * SPW_NS_PER_MS) /* after a stall, until answers have come in */

/* What became of a packet. */
enum dp_probe_fate {
	DP_PROBE_FREE = 0, /* the slot was never used */
	DP_PROBE_WAITING,
	DP_PROBE_ANSWERED, /* in time */
	DP_PROBE_REFUSED,  /* an error about it came, or it could not be sent */
};

struct dp_probe_slot {
	uint64_t sent_ns;
	uint64_t cookie;
	uint8_t fate;	  /* enum dp_probe_fate */
	uint8_t why;	  /* enum spw_probe_why, when refused */
	uint8_t answered; /* an answer came, in time or not */
	uint8_t pad[5];
};

struct dp_probe {
	struct spw_dp_probe conf;
	uint64_t next_send_ns;
	uint32_t next_seq; /* of the next packet; the first has 0 */
	uint32_t head_seq; /* of the oldest packet without a verdict; next_seq: none waits */
	uint16_t run_ok;   /* answered in a row, lost in a row: one of them is 0 */
	uint16_t run_lost;
	uint8_t state;	   /* enum spw_probe_state */
	uint8_t recent_n;  /* verdicts in `recent`, at most DP_PROBE_RECENT */
	uint8_t recent_at; /* the bit that the next verdict takes */
	uint8_t pad;
	uint64_t recent[2];		 /* bit: lost */
	struct spw_dp_probe_stats stats; /* id, path, state and recent_* are filled in on reading */
	struct dp_probe_slot slot[DP_PROBE_SLOTS];
};

/*
 * Whether the threads that probes need were kept from running. A packet whose timeout passed while
 * one of them stood still gets no verdict: its answer may wait in a queue that nobody reads.
 */
struct dp_probe_watch {
	uint64_t ran_ns;     /* the newest run, 0 = none */
	uint64_t planned_ns; /* when the thread meant to run next; DP_PROBE_NEVER: not at all */
	uint64_t blind_ns;   /* timeouts until here have no meaning */
};

/*
 * The thread runs at `now`: find out whether it is late. Once per run, after answers were read.
 * @listened_ns  until when all receive queues have been read
 */
void dp_probe_watch_run(struct dp_probe_watch *w, uint64_t now, uint64_t listened_ns);

/* Is a probe with this content possible? 0 or -errno with a sentence that names it. */
int dp_probe_check(const struct spw_dp_probe *conf, struct spw_err *err)
	__attribute__((warn_unused_result));
/* Do two configurations ask for the same (generation apart)? */
bool dp_probe_same(const struct spw_dp_probe *a, const struct spw_dp_probe *b);

/*
 * Begin anew: unknown, nothing counted. First packets of many probes are spread over an interval,
 * or a second if that is shorter, by their ids.
 */
void dp_probe_start(struct dp_probe *p, const struct spw_dp_probe *conf, uint64_t now);
/* Shall a packet be sent now? */
bool dp_probe_due(const struct dp_probe *p, uint64_t now);
/*
 * A packet goes out (dp_probe_judge() has been called for `now`). The next is due an interval
 * later; those that a late thread has missed are left out, the rhythm stays.
 * @cookie  what its answer must show
 * Returns its sequence number.
 */
uint32_t dp_probe_sent(struct dp_probe *p, uint64_t now, uint64_t cookie);
/*
 * The packet with this number has no chance: an error about it came back (`cookie` as quoted), or
 * it could not be sent. False when it is none of ours or has had its verdict.
 * @seq  low 16 bits of the number
 * @why  enum spw_probe_why
 * @mtu  TOO_BIG: IP bytes that fit, 0 = not said
 */
bool dp_probe_refused(struct dp_probe *p, uint16_t seq, uint64_t cookie, uint32_t why,
		      uint32_t mtu);

enum dp_probe_answer {
	DP_PROBE_FOREIGN, /* no packet of ours asked for it */
	DP_PROBE_TAKEN,
	DP_PROBE_LATE,
	DP_PROBE_DUPLICATE,
};
/*
 * An answer came in.
 * @seq        low 16 bits of the number it answers
 * @rx_ns      when it was received, not when it is handled
 * @other_way  not by the path that the packet took
 */
enum dp_probe_answer dp_probe_answered(struct dp_probe *p, uint16_t seq, uint64_t cookie,
				       uint64_t rx_ns, bool other_way);
/*
 * Give the verdicts that are due, in the order of sending, up to the next change of state. True
 * when the state changed: then call it again.
 */
bool dp_probe_judge(struct dp_probe *p, const struct dp_probe_watch *w, uint64_t now);
/* When dp_probe_judge() or dp_probe_sent() is next due. */
uint64_t dp_probe_next_ns(const struct dp_probe *p);
/* Statistics as GET_PROBES tells them. */
void dp_probe_stats(const struct dp_probe *p, struct spw_dp_probe_stats *out);
/* Bucket of a round-trip time. */
uint32_t dp_probe_bucket(uint64_t us);

#endif
