/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stand-in's one thread polls its listening socket and its clients and answers under the lock;
 * tests look at the SAs under the same lock. Breaches of the contract are counted, not asserted,
 * because cmocka's assertions belong to the main thread.
 */
#include "tests/ike/fake_dataplane.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void
violate(struct fake_dataplane *f, const char *what)
{
	if (f->violations++ == 0)
		snprintf(f->violation, sizeof(f->violation), "%s", what);
}

static void
reply(struct fake_dataplane *f, int fd, const struct spw_msg_hdr *req, int status, const void *elem,
      uint16_t size, uint16_t count)
{
	struct spw_msg_hdr hdr = {.number = req->number,
				  .flags = SPW_MSG_REPLY,
				  .status = (uint16_t)status,
				  .seq = req->seq,
				  .count = count,
				  .elem_size = size};
	struct spw_msg_error e = {.text = "refused by the stand-in"};

	if (status != 0) {
		hdr.count = 1;
		hdr.elem_size = sizeof(e);
		elem = &e;
	}
	/* who said hello while this was away may not have waited for the answer */
	if (spw_msg_send(fd, &hdr, elem, NULL, 0) != 0 && req->number != SPW_DP_HELLO)
		violate(f, "a reply could not be sent");
}

static int
sa_index(const struct fake_dataplane *f, uint32_t spi_in)
{
	for (unsigned int i = 0; i < f->n_sas; i++)
		if (f->sa[i].desc.spi_in == spi_in)
			return (int)i;
	return -1;
}

static bool
spi_was_given(const struct fake_dataplane *f, uint32_t spi)
{
	for (unsigned int i = 0; i < f->n_spis; i++)
		if (f->spi_given[i] == spi)
			return true;
	return false;
}

static void
key_note(struct fake_dataplane *f, const struct spw_sa_desc *sa)
{
	for (unsigned int i = 0; i < f->n_keys; i++)
		if (memcmp(f->key_seen[i], sa->key_out, SPW_SA_KEY_MAX) == 0)
			violate(f, "an outbound key was installed twice");
	if (f->n_keys < FAKE_KEYS)
		memcpy(f->key_seen[f->n_keys++], sa->key_out, SPW_SA_KEY_MAX);
}

static void
outbound_set(struct fake_dataplane *f, int index)
{
	for (unsigned int i = 0; i < f->n_sas; i++)
		if (f->sa[i].desc.tunnel == f->sa[index].desc.tunnel)
			f->sa[i].outbound = (int)i == index;
}

static int
install(struct fake_dataplane *f, const struct spw_dp_sa_install *req)
{
	if (req->incarnation != f->incarnation)
		return ESTALE;
	if (!spi_was_given(f, req->sa.spi_in))
		violate(f, "an SA was installed with an SPI that was not allocated");
	if (sa_index(f, req->sa.spi_in) >= 0)
		return EEXIST;
	if (f->n_sas == FAKE_SAS)
		return ENOSPC;
	key_note(f, &req->sa);
	f->sa[f->n_sas].desc = req->sa;
	f->sa[f->n_sas].parts = SPW_SA_PART_IN | SPW_SA_PART_OUT;
	f->sa[f->n_sas].outbound = false;
	f->n_sas++;
	if (req->outbound)
		outbound_set(f, (int)f->n_sas - 1);
	return 0;
}

static int delete (struct fake_dataplane *f, const struct spw_dp_sa_ref *ref)
{
	int i = sa_index(f, ref->spi_in);

	if (i < 0)
		return ENOENT;
	if (ref->parts == 0)
		violate(f, "SA_DELETE names no part");
	f->sa[i].parts &= ~ref->parts;
	if (f->sa[i].parts == 0)
		f->sa[i] = f->sa[--f->n_sas];
	return 0;
}

static void
dump(struct fake_dataplane *f, int fd, const struct spw_msg_hdr *req)
{
	struct spw_dp_sa_stats rows[FAKE_SAS] = {0};

	for (unsigned int i = 0; i < f->n_sas; i++)
		rows[i] = (struct spw_dp_sa_stats){.tunnel = f->sa[i].desc.tunnel,
						   .spi_in = f->sa[i].desc.spi_in,
						   .spi_out = f->sa[i].desc.spi_out,
						   .outbound = f->sa[i].outbound,
						   .in_packets = f->in_packets,
						   .out_bytes = f->out_bytes,
						   .last_in_ns = f->last_in_ns};
	reply(f, fd, req, 0, rows, sizeof(rows[0]), (uint16_t)f->n_sas);
}

static void
hello(struct fake_dataplane *f, unsigned int c)
{
	const struct spw_dp_hello *h = (const struct spw_dp_hello *)f->m.body;
	struct spw_dp_hello_reply r = {.incarnation = f->incarnation,
				       .encr_mask = 1u << SPW_ENCR_AES128_GCM |
						    1u << SPW_ENCR_AES256_GCM};

	if (h->role != SPW_ROLE_IKED)
		violate(f, "iked says hello in another role");
	f->client[c].subscribe = h->subscribe;
	reply(f, f->client[c].fd, &f->m.hdr, 0, &r, sizeof(r), 1);
}

static void
serve(struct fake_dataplane *f, unsigned int c)
{
	const struct spw_dp_msg_info *info = spw_dp_msg_info(f->m.hdr.number);
	struct spw_msg_hdr req = f->m.hdr;
	int fd = f->client[c].fd, i, rc = 0;
	struct spw_dp_spi spi;

	if (!info || !(info->who & SPW_ROLE_IKED) ||
	    req.elem_size * req.count != (info->request_size ? info->request_size : 0)) {
		violate(f, "a request does not fit its row of the table");
		reply(f, fd, &req, EINVAL, NULL, 0, 0);
		return;
	}
	switch (req.number) {
	case SPW_DP_HELLO: hello(f, c); return;
	case SPW_DP_GET_SAS: dump(f, fd, &req); return;
	case SPW_DP_SPI_ALLOC:
		memcpy(&spi, f->m.body, sizeof(spi));
		spi.spi = 0x1000 + 16 * f->n_spis;
		if (f->n_spis < FAKE_KEYS)
			f->spi_given[f->n_spis++] = spi.spi;
		reply(f, fd, &req, 0, &spi, sizeof(spi), 1);
		return;
	case SPW_DP_SA_INSTALL: rc = install(f, (const void *)f->m.body); break;
	case SPW_DP_SA_DELETE: rc = delete (f, (const void *)f->m.body); break;
	case SPW_DP_SA_SWITCH:
		i = sa_index(f, ((const struct spw_dp_sa_ref *)f->m.body)->spi_in);
		rc = i < 0 ? ENOENT : 0;
		if (i >= 0)
			outbound_set(f, i);
		break;
	default: break;
	}
	reply(f, fd, &req, rc, NULL, 0, 0);
}

static void
client_accept(struct fake_dataplane *f)
{
	int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct spw_peer peer;

	for (unsigned int c = 0; fd >= 0 && c < FAKE_CLIENTS; c++)
		if (f->client[c].fd < 0) {
			f->client[c].fd = fd;
			f->client[c].subscribe = 0;
			if (spw_msg_peer(fd, &peer) == 0)
				f->peer_uid = peer.uid;
			return;
		}
	if (fd >= 0)
		close(fd);
}

static void
client_read(struct fake_dataplane *f, unsigned int c)
{
	int rc;

	while ((rc = spw_msg_recv(f->client[c].fd, &f->m)) == 0)
		serve(f, c);
	if (rc != -EAGAIN) {
		close(f->client[c].fd);
		f->client[c].fd = -1;
	}
}

/* Woken: false when it is the end. */
static bool
woken(struct fake_dataplane *f)
{
	char what = 'x';

	return read(f->wake[0], &what, 1) == 1 && what != 'x';
}

static void *
run(void *arg)
{
	struct fake_dataplane *f = arg;

	for (;;) {
		pthread_mutex_lock(&f->lock);
		struct pollfd p[FAKE_CLIENTS + 2] = {{.fd = f->wake[0], .events = POLLIN},
						     {.fd = f->away ? -1 : f->listen_fd,
						      .events = POLLIN}};

		for (unsigned int c = 0; c < FAKE_CLIENTS; c++)
			p[c + 2] = (struct pollfd){.fd = f->client[c].fd, .events = POLLIN};
		pthread_mutex_unlock(&f->lock);
		if (poll(p, FAKE_CLIENTS + 2, -1) < 0)
			continue;
		if (p[0].revents && !woken(f))
			return NULL;
		pthread_mutex_lock(&f->lock);
		for (unsigned int c = 0; c < FAKE_CLIENTS; c++)
			if (p[c + 2].revents && f->client[c].fd == p[c + 2].fd)
				client_read(f, c);
		if (p[1].revents)
			client_accept(f);
		pthread_mutex_unlock(&f->lock);
	}
}

void
fake_start(struct fake_dataplane *f, const char *path)
{
	struct spw_err err = {0};

	pthread_mutex_init(&f->lock, NULL);
	snprintf(f->path, sizeof(f->path), "%s", path);
	for (unsigned int c = 0; c < FAKE_CLIENTS; c++)
		f->client[c].fd = -1;
	f->n_sas = 0;
	f->away = false;
	f->listen_fd = spw_msg_listen(path, (gid_t)-1, &err);
	if (f->listen_fd < 0 || chmod(path, 0666) < 0 || pipe(f->wake) < 0 ||
	    getrandom(&f->incarnation, sizeof(f->incarnation), 0) < 0 ||
	    pthread_create(&f->thread, NULL, run, f) != 0) {
		fprintf(stderr, "the stand-in cannot start: %s\n", err.text);
		abort();
	}
	f->running = true;
}

void
fake_away(struct fake_dataplane *f, bool away)
{
	pthread_mutex_lock(&f->lock);
	f->away = away;
	for (unsigned int c = 0; c < FAKE_CLIENTS && away; c++)
		if (f->client[c].fd >= 0) {
			close(f->client[c].fd);
			f->client[c].fd = -1;
		}
	if (write(f->wake[1], "w", 1) != 1)
		abort();
	pthread_mutex_unlock(&f->lock);
}

void
fake_stop(struct fake_dataplane *f)
{
	if (!f->running)
		return;
	if (write(f->wake[1], "x", 1) != 1)
		abort();
	pthread_join(f->thread, NULL);
	for (unsigned int c = 0; c < FAKE_CLIENTS; c++)
		if (f->client[c].fd >= 0)
			close(f->client[c].fd);
	close(f->listen_fd);
	close(f->wake[0]);
	close(f->wake[1]);
	unlink(f->path);
	pthread_mutex_destroy(&f->lock);
	f->running = false;
}

unsigned int
fake_count(struct fake_dataplane *f, uint32_t tunnel)
{
	unsigned int n = 0;

	pthread_mutex_lock(&f->lock);
	for (unsigned int i = 0; i < f->n_sas; i++)
		n += f->sa[i].desc.tunnel == tunnel;
	pthread_mutex_unlock(&f->lock);
	return n;
}

bool
fake_outbound(struct fake_dataplane *f, uint32_t tunnel, struct spw_sa_desc *out)
{
	bool found = false;

	pthread_mutex_lock(&f->lock);
	for (unsigned int i = 0; i < f->n_sas; i++)
		if (f->sa[i].desc.tunnel == tunnel && f->sa[i].outbound) {
			*out = f->sa[i].desc;
			found = true;
		}
	pthread_mutex_unlock(&f->lock);
	return found;
}

bool
fake_has(struct fake_dataplane *f, uint32_t spi_in)
{
	bool has;

	pthread_mutex_lock(&f->lock);
	has = sa_index(f, spi_in) >= 0;
	pthread_mutex_unlock(&f->lock);
	return has;
}

void
fake_event(struct fake_dataplane *f, const struct spw_dp_sa_event *ev)
{
	struct spw_msg_hdr hdr = {.number = SPW_DP_EV_SA,
				  .flags = SPW_MSG_EVENT,
				  .count = 1,
				  .elem_size = sizeof(*ev)};

	pthread_mutex_lock(&f->lock);
	for (unsigned int c = 0; c < FAKE_CLIENTS; c++)
		if (f->client[c].fd >= 0 && (f->client[c].subscribe & SPW_DP_SUB_SA) &&
		    spw_msg_send(f->client[c].fd, &hdr, ev, NULL, 0) != 0)
			violate(f, "an event could not be sent");
	pthread_mutex_unlock(&f->lock);
}
