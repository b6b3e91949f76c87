/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The punt thread: between the workers and the kernel's twins (TAP for ports and sub-interfaces,
 * TUN for tunnels).
 *
 * Upwards it takes packets from each worker's ring and writes them to the twin named in the
 * packet; a packet counts as mirrored once the kernel took it and is dropped otherwise, so
 * rx + from_twin + created = tx + drops + mirrored holds when nothing is under way. Downwards it
 * reads frames and hands all of one twin to one worker, so their order stays. It sleeps in epoll
 * and is woken by a bell that workers ring only when it sleeps. Nothing slow may run here: IKE and
 * BGP pass through it, and the monitor's timers (monitor.h) are kept by it, which get their turn
 * between any two twins and whenever some packets were written. Its priority is raised where
 * the system allows that.
 *
 * The descriptors come from controld, which keeps duplicates; losing controld changes nothing
 * here. The lock guards the table of twins between this thread and the API thread; workers never
 * take it. Counters are written by this thread alone.
 */
#include "dataplane/punt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "dataplane/pages.h"

#define READS  64 /* frames taken from one twin before the next has its turn */
#define EVENTS 32
#define NICE   (-15) /* the service has -10 */
#define UP_PER_S \
	10000 /* packets that the monitor took from no queue of the kernel's and gives back */
#define IFACE_ALL (DP_IFACES_MAX * sizeof(struct dp_iface_counters))

struct dp_punt {
	struct dp_bell bell;
	pthread_t thread;
	bool running;
	_Atomic int stop;
	int epfd;
	struct dp_worker **worker;
	unsigned int n_workers;
	struct rte_mempool *pool;
	struct dp_monitor *monitor; /* borrowed; NULL: none */
	uint64_t monitor_due_ns;
	struct dp_rate up_rate;
	pthread_mutex_t lock;
	int *fd; /* [DP_IFACES_MAX] descriptor + 1 of the twin, 0 = none; under the lock */
	struct dp_worker_counters *count; /* [n_workers] */
	struct dp_iface_counters *iface;  /* [DP_IFACES_MAX] */
};

static int
watch(struct dp_punt *p, int fd, uint16_t iface)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = iface};

	return epoll_ctl(p->epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int
dp_punt_new(struct dp_punt **out, struct dp_worker **workers, unsigned int n_workers,
	    struct rte_mempool *pool, struct spw_err *err)
{
	struct dp_punt *p = calloc(1, sizeof(*p));

	if (!p)
		return spw_fail(err, -ENOMEM, "no memory for the punt thread");
	p->worker = workers;
	p->n_workers = n_workers;
	p->pool = pool;
	p->up_rate = dp_rate_make(rte_get_tsc_hz(), UP_PER_S, UP_PER_S / 10);
	pthread_mutex_init(&p->lock, NULL);
	p->epfd = epoll_create1(EPOLL_CLOEXEC);
	p->fd = dp_pages_new(DP_IFACES_MAX * sizeof(p->fd[0]), false);
	p->iface = dp_pages_new(IFACE_ALL, false);
	p->count = calloc(n_workers, sizeof(p->count[0]));
	if (dp_bell_init(&p->bell) == 0 && p->epfd >= 0 && p->fd && p->iface && p->count &&
	    watch(p, p->bell.fd, DP_NO_IFACE) == 0) {
		*out = p;
		return 0;
	}
	dp_punt_free(p);
	return spw_fail(err, -ENOMEM, "cannot prepare the punt thread: %s", strerror(errno));
}

struct dp_bell *
dp_punt_bell(struct dp_punt *p)
{
	return &p->bell;
}

void
dp_punt_monitor(struct dp_punt *p, struct dp_monitor *m)
{
	p->monitor = m;
}

void
dp_punt_free(struct dp_punt *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; p->fd && i < DP_IFACES_MAX; i++)
		if (p->fd[i])
			close(p->fd[i] - 1);
	if (p->fd)
		dp_pages_free(p->fd, DP_IFACES_MAX * sizeof(p->fd[0]));
	if (p->iface)
		dp_pages_free(p->iface, IFACE_ALL);
	if (p->epfd >= 0)
		close(p->epfd);
	if (p->bell.fd >= 0)
		close(p->bell.fd);
	pthread_mutex_destroy(&p->lock);
	free(p->count);
	free(p);
}

static void
drop(struct dp_punt *p, unsigned int worker, uint16_t iface, enum dp_drop why)
{
	struct dp_worker_counters *c = &p->count[worker];

	c->dropped++;
	c->drop[why]++;
	c->drop_last_tsc[why] = rte_rdtsc();
	p->iface[iface].drops++;
}

static bool
write_all(int fd, const struct rte_mbuf *m)
{
	ssize_t n;

	do {
		n = write(fd, rte_pktmbuf_mtod(m, const void *), m->data_len);
	} while (n < 0 && errno == EINTR);
	return n == m->data_len;
}

/* Under the lock. */
static void
to_twin(struct dp_punt *p, unsigned int worker, struct rte_mbuf *m)
{
	uint16_t iface = dp_pkt(m)->twin;
	int fd = p->fd[iface] - 1;

	if (fd < 0) {
		drop(p, worker, iface, DP_DROP_IFACE_DOWN);
	} else if (!write_all(fd, m)) {
		drop(p, worker, iface, DP_DROP_TWIN_WRITE);
	} else {
		p->count[worker].mirrored++;
		p->iface[iface].mirrored++;
	}
	rte_pktmbuf_free(m);
}

/* What the monitor took and does not want. Under the lock. */
static void
unwanted(void *arg, unsigned int worker, struct rte_mbuf *m)
{
	struct dp_punt *p = arg;

	if (dp_rate_take(&p->up_rate, rte_rdtsc())) {
		to_twin(p, worker, m);
		return;
	}
	drop(p, worker, dp_pkt(m)->twin, DP_DROP_PUNT_RATE);
	rte_pktmbuf_free(m);
}

/* Let the monitor do what is due. Under the lock. */
static void
monitor_turn(struct dp_punt *p)
{
	if (p->monitor && (dp_monitor_waits(p->monitor) || spw_clock_ns() >= p->monitor_due_ns))
		p->monitor_due_ns = dp_monitor_turn(p->monitor, p->count, unwanted, p);
}

/* Under the lock. */
static void
drain(struct dp_punt *p)
{
	struct rte_mbuf *m[64];

	for (unsigned int w = 0; w < p->n_workers; w++) {
		unsigned int n = rte_ring_sc_dequeue_burst(dp_priv(p->worker[w])->to_punt,
							   (void **)m, RTE_DIM(m), NULL);

		for (unsigned int i = 0; i < n; i++)
			to_twin(p, w, m[i]);
		monitor_turn(p);
	}
}

static void
pkt_from_twin(struct rte_mbuf *m, uint16_t iface, uint16_t len)
{
	struct dp_pkt *k = dp_pkt(m);

	memset(k, 0, sizeof(*k));
	k->iface_in = iface;
	k->port_out = DP_PORT_NONE;
	k->flags = DP_PKT_FROM_TWIN;
	m->port = RTE_MBUF_PORT_INVALID;
	m->data_len = len;
	m->pkt_len = len;
}

/* Read one frame. 1 = there may be more, 0 = none left, or -errno. Under the lock. */
static int
read_one(struct dp_punt *p, uint16_t iface, int fd)
{
	unsigned int worker = iface % p->n_workers;
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
	uint8_t waste[64];
	ssize_t n = m ? read(fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m))
		      : read(fd, waste, sizeof(waste));

	if (n <= 0) {
		rte_pktmbuf_free(m);
		return n == 0 || errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	p->count[worker].from_twin++;
	if (!m) {
		drop(p, worker, iface, DP_DROP_NO_BUFFER);
		return 1;
	}
	pkt_from_twin(m, iface, (uint16_t)n);
	if (rte_ring_sp_enqueue(dp_priv(p->worker[worker])->from_punt, m) != 0) {
		rte_pktmbuf_free(m);
		drop(p, worker, iface, DP_DROP_PUNT_FULL);
	}
	return 1;
}

/* A twin that fails for good (its device was deleted) is no longer watched. Under the lock. */
static void
from_twin(struct dp_punt *p, uint16_t iface)
{
	int fd = p->fd[iface] - 1, rc = 1;

	for (unsigned int i = 0; fd >= 0 && rc > 0 && i < READS; i++)
		rc = read_one(p, iface, fd);
	if (rc >= 0)
		return;
	epoll_ctl(p->epfd, EPOLL_CTL_DEL, fd, NULL);
	spw_log(SPW_LOG_WARNING, "punt", "twin-lost", "iface=%u cause=\"%s\"", iface,
		strerror(-rc));
}

static bool
work_waits(const struct dp_punt *p)
{
	for (unsigned int w = 0; w < p->n_workers; w++)
		if (!rte_ring_empty(dp_priv(p->worker[w])->to_punt))
			return true;
	return p->monitor && dp_monitor_waits(p->monitor);
}

/* Sleep until something comes or the monitor is due. Returns the number of events. */
static int
sleep_until_due(struct dp_punt *p, struct epoll_event *ev)
{
	struct timespec t = {0};
	bool bounded = p->monitor && p->monitor_due_ns != DP_MONITOR_NEVER;

	dp_bell_arm(&p->bell);
	if (work_waits(p)) {
		bounded = true;
	} else if (bounded) {
		uint64_t now = spw_clock_ns();
		uint64_t left = p->monitor_due_ns > now ? p->monitor_due_ns - now : 0;

		t.tv_sec = (time_t)(left / SPW_NS_PER_S);
		t.tv_nsec = (long)(left % SPW_NS_PER_S);
	}
	int n = epoll_pwait2(p->epfd, ev, EVENTS, bounded ? &t : NULL, NULL);

	dp_bell_disarm(&p->bell);
	return n;
}

static void *
punt_main(void *arg)
{
	struct dp_punt *p = arg;
	struct epoll_event ev[EVENTS];

	if (setpriority(PRIO_PROCESS, 0, NICE) != 0) /* on Linux: of this thread */
		spw_log(SPW_LOG_DEBUG, "punt", "no-priority", "cause=\"%s\"", strerror(errno));
	/* With an lcore id of its own the thread has a cache in the packet pool. */
	if (rte_thread_register() != 0)
		spw_log(SPW_LOG_DEBUG, "punt", "no-lcore-id", "cause=\"%s\"",
			rte_strerror(rte_errno));
	while (!atomic_load_explicit(&p->stop, memory_order_relaxed)) {
		int n = sleep_until_due(p, ev);

		pthread_mutex_lock(&p->lock);
		monitor_turn(p);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.u32 == DP_NO_IFACE)
				continue;
			from_twin(p, (uint16_t)ev[i].data.u32);
			monitor_turn(p);
		}
		drain(p);
		pthread_mutex_unlock(&p->lock);
	}
	rte_thread_unregister();
	return NULL;
}

int
dp_punt_start(struct dp_punt *p, struct spw_err *err)
{
	int rc = rte_ctrl_thread_create(&p->thread, "dp-punt", NULL, punt_main, p);

	if (rc != 0)
		return spw_fail(err, -EAGAIN, "cannot start the punt thread: %s", strerror(-rc));
	p->running = true;
	return 0;
}

void
dp_punt_stop(struct dp_punt *p)
{
	const uint64_t one = 1;

	if (!p->running)
		return;
	atomic_store_explicit(&p->stop, 1, memory_order_relaxed);
	ssize_t rc = write(p->bell.fd, &one, sizeof(one));

	(void)rc;
	pthread_join(p->thread, NULL);
	p->running = false;
}

int
dp_punt_twin_set(struct dp_punt *p, uint16_t iface, int fd, struct spw_err *err)
{
	int flags = fcntl(fd, F_GETFL), rc;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		rc = -errno;
		close(fd);
		return spw_fail(err, rc, "twin of interface %u: bad descriptor", iface);
	}
	dp_punt_twin_del(p, iface);
	pthread_mutex_lock(&p->lock);
	rc = watch(p, fd, iface);
	if (rc == 0)
		p->fd[iface] = fd + 1;
	pthread_mutex_unlock(&p->lock);
	if (rc == 0)
		return 0;
	close(fd);
	return spw_fail(err, rc, "twin of interface %u is no TAP or TUN descriptor: %s", iface,
			strerror(-rc));
}

void
dp_punt_twin_del(struct dp_punt *p, uint16_t iface)
{
	pthread_mutex_lock(&p->lock);
	int fd = p->fd[iface] - 1;

	p->fd[iface] = 0;
	if (fd >= 0)
		epoll_ctl(p->epfd, EPOLL_CTL_DEL, fd, NULL);
	pthread_mutex_unlock(&p->lock);
	/* The thread uses it under the lock only; closing a twin may take milliseconds. */
	if (fd >= 0)
		close(fd);
}

const struct dp_worker_counters *
dp_punt_counters(const struct dp_punt *p, unsigned int worker)
{
	return &p->count[worker];
}

const struct dp_iface_counters *
dp_punt_iface(const struct dp_punt *p, uint16_t iface)
{
	return &p->iface[iface];
}
