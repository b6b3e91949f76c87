/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: waking a thread that sleeps on an eventfd, without a call when it is
 * awake. */
#ifndef SPW_DATAPLANE_BELL_H
#define SPW_DATAPLANE_BELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * The sleeper calls dp_bell_arm(), looks once more whether there is work, then waits for `fd`, then
 * calls dp_bell_disarm(). The caller makes its work visible, then rings.
 */
struct dp_bell {
	int fd;
	_Atomic int asleep;
};

/* 0, or -1 with errno set. */
static inline int
dp_bell_init(struct dp_bell *b)
{
	b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	atomic_init(&b->asleep, 0);
	return b->fd < 0 ? -1 : 0;
}

static inline void
dp_bell_arm(struct dp_bell *b)
{
	/* Pairs with the exchange in dp_bell_ring(): either the ringer sees us asleep, or we see
	 * its work. */
	atomic_store_explicit(&b->asleep, 1, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void
dp_bell_disarm(struct dp_bell *b)
{
	uint64_t n;

	atomic_store_explicit(&b->asleep, 0, memory_order_relaxed);
	ssize_t rc = read(b->fd, &n, sizeof(n));

	(void)rc; /* EAGAIN: something else woke us */
}

static inline void
dp_bell_ring(struct dp_bell *b)
{
	const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_exchange_explicit(&b->asleep, 0, memory_order_seq_cst))
		return;
	ssize_t rc = write(b->fd, &one, sizeof(one));

	(void)rc; /* the counter cannot overflow: one ring for each sleep */
}

#endif
