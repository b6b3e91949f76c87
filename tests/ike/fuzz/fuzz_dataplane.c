/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: what comes from the data plane's socket, answers and events.
 *
 * Connecting is wrapped: it gives one end of a pair in whose other end the frames of a session
 * wait already, followed by the end of the connection; so nothing is ever waited for. A record is
 * a byte that says what, an argument, a length, and changes; it becomes the answer to hello, rows
 * of SAs, an SPI, an empty answer, a refusal, an event, or bytes as they are. The daemon connects,
 * is told of events and asks for every operation on an SA; both connections stand or none does. It
 * has an IKE SA whose request offers an SPI and waits for its answer: packets may come on that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ike/engine.h"
#include "tests/ike/fuzz/daemon.h"

#define NEXT_SOCKET 0xf
#define OFFERED	    0x1002 /* among the SPIs of events */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_spw_msg_connect(const char *path, struct spw_err *err);

static const uint8_t *input;
static size_t left;
static int waiting[64]; /* our ends: they take what the daemon sends */
static unsigned int n_waiting;

struct frame {
	struct spw_msg_hdr hdr;
	union {
		struct spw_dp_hello_reply hello;
		struct spw_dp_sa_stats row[8];
		struct spw_dp_spi spi;
		struct spw_msg_error error;
		struct spw_dp_sa_event event[4];
	} body;
};

static void
header_set(struct frame *f, uint16_t number, uint16_t flags, uint16_t count, size_t elem_size)
{
	f->hdr.number = number;
	f->hdr.flags = flags;
	f->hdr.count = count;
	f->hdr.elem_size = (uint16_t)elem_size;
}

static void
frame_make(struct frame *f, uint8_t what, uint8_t arg)
{
	switch (what & 7) {
	case 0:
		header_set(f, SPW_DP_HELLO, SPW_MSG_REPLY, 1, sizeof(f->body.hello));
		f->body.hello.incarnation = arg;
		f->body.hello.encr_mask = 0xffff;
		break;
	case 1:
		header_set(f, SPW_DP_GET_SAS, SPW_MSG_REPLY | (arg & 0x80 ? SPW_MSG_MORE : 0),
			   arg % 8, sizeof(f->body.row[0]));
		for (unsigned int i = 0; i < arg % 8; i++) {
			f->body.row[i].spi_in = 0x1000 + i * (arg & 8 ? 0 : 1);
			f->body.row[i].tunnel = 7;
		}
		break;
	case 2:
		header_set(f, SPW_DP_SPI_ALLOC, SPW_MSG_REPLY, 1, sizeof(f->body.spi));
		f->body.spi = (struct spw_dp_spi){.tunnel = 7, .spi = 0x2000u + arg};
		break;
	case 3: header_set(f, SPW_DP_SA_INSTALL, SPW_MSG_REPLY, 0, 0); break;
	case 4:
		header_set(f, SPW_DP_SA_INSTALL, SPW_MSG_REPLY, 1, sizeof(f->body.error));
		f->hdr.status = arg;
		memset(f->body.error.text, 'x', sizeof(f->body.error.text));
		break;
	default:
		header_set(f, SPW_DP_EV_SA, SPW_MSG_EVENT, arg % 4, sizeof(f->body.event[0]));
		for (unsigned int i = 0; i < arg % 4; i++)
			f->body.event[i] = (struct spw_dp_sa_event){
				.kind = arg >> 4, .tunnel = 7, .spi_in = 0x1000 + i};
		break;
	}
}

/* The next record of the input onto `fd`; false at the end of the session. */
static bool
frame_queue(int fd, uint32_t *seq)
{
	struct frame f;
	uint8_t what, arg;
	size_t len, total;

	if (left < 3)
		return false;
	what = input[0];
	arg = input[1];
	len = input[2] < left - 3 ? input[2] : left - 3;
	input += 3;
	left -= 3;
	memset(&f, 0, sizeof(f));
	f.hdr.protocol = SPW_MSG_PROTOCOL;
	if ((what & 0xf) != NEXT_SOCKET) {
		frame_make(&f, what, arg);
		f.hdr.seq = what & 0x20 ? *seq : ++*seq;
		total = sizeof(f.hdr) + (size_t)f.hdr.count * f.hdr.elem_size;
		fuzz_patch(&f, what & 0x40 ? sizeof(f.hdr) : total, input, len);
		(void)!send(fd, &f, what & 0x80 ? total - arg % 8 : total,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	input += len;
	left -= len;
	return (what & 0xf) != NEXT_SOCKET;
}

int
__wrap_spw_msg_connect(const char *path, struct spw_err *err)
{
	uint32_t seq = 0;
	int pair[2];

	if (n_waiting == sizeof(waiting) / sizeof(waiting[0]) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return spw_fail(err, -ECONNREFUSED, "no more sessions");
	for (int n = 0; n < 24 && frame_queue(pair[1], &seq); n++)
		;
	shutdown(pair[1], SHUT_WR);
	waiting[n_waiting++] = pair[1];
	return pair[0];
}

static void
check(struct iked *d)
{
	if (iked_dataplane_connected(&d->dp) != (d->dp.event_fd >= 0) ||
	    (d->dp.event_fd >= 0) != (d->dp.readable != NULL))
		fuzz_daemon_broken("one of two connections stands");
	for (size_t i = 0; i < d->dp.sas.n; i++)
		for (size_t k = 0; k < i; k++)
			if (d->dp.sas.sa[i].spi_in == d->dp.sas.sa[k].spi_in)
				fuzz_daemon_broken("an SA is noted twice");
}

/* Everything that the engine may ask for. */
static void
operations(struct iked *d)
{
	struct spw_sa_desc sa = {.tunnel = 7, .spi_in = 0x1000, .spi_out = 9, .key_len = 36};
	struct ike_adopted adopted;
	struct spw_addr addr = spw_addr_v4(0x7f000002);
	uint32_t spi = 0;

	if (iked_op_spi_alloc(d, 7, &spi) == 0) {
		sa.spi_in = spi;
		(void)iked_op_sa_install(d, &sa, true);
	}
	(void)iked_op_sa_adopt(d, 7, 0x1000, &adopted);
	check(d);
	sa.spi_in = 0x1001;
	(void)iked_op_sa_install(d, &sa, false);
	(void)iked_op_sa_switch(d, sa.spi_in);
	(void)iked_op_sa_move(d, sa.spi_in, &addr, 4500, 4500);
	(void)iked_op_last_inbound(d, 7);
	(void)iked_op_sa_delete(d, sa.spi_in, SPW_SA_PART_IN | SPW_SA_PART_OUT);
	iked_op_spi_free(d, 7, spi);
	iked_sas_replaced(&d->dp.sas, 7, 1);
	iked_orphans_reap(d, UINT64_MAX / 2);
	check(d);
}

static void
cipher_make(struct ike_cipher **c, const struct spw_ike_proposal *suite)
{
	static const uint8_t key[36];

	if (ike_cipher_new(c, suite->encr, key, sizeof(key), suite->integ, NULL, 0) != 0)
		fuzz_daemon_broken("no cipher");
}

/* An IKE_AUTH of ours that nobody answers. */
static void
request_wait(struct iked *d, const struct spw_ike_conn *conn)
{
	struct ike_conn *c = ike_conn_find(d->engine, conn->name);
	struct ike_sa *sa = c ? ike_sa_new(d->engine, c, true) : NULL;
	uint8_t msg[IKE_HEADER_LEN] = {[27] = IKE_HEADER_LEN};

	if (!sa)
		fuzz_daemon_broken("no IKE SA");
	sa->spi_i = 1;
	sa->spi_r = 2;
	sa->local = conn->local;
	sa->remote = conn->remote;
	sa->local_port = sa->remote_port = IKE_PORT;
	sa->suite = conn->ike[0];
	cipher_make(&sa->seal, &sa->suite);
	cipher_make(&sa->open, &sa->suite);
	sa->req.spi_in = OFFERED;
	ike_state_set(sa, IKE_SA_AUTH_SENT);
	if (ike_request_launch(sa, IKE_TASK_AUTH, IKE_X_AUTH, msg, sizeof(msg)) != 0)
		fuzz_daemon_broken("no request");
	(void)ike_engine_tick(d->engine, spw_clock_ns());
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct spw_ike_conn conn = fuzz_conn();
	struct spw_err err = {0};
	static struct iked d;

	input = data;
	left = size;
	n_waiting = 0;
	fuzz_daemon_begin(&d);
	if (iked_engine_start(&d, &err) != 0 ||
	    ike_engine_conn_set(d.engine, spw_clock_ns(), &conn, &err) != 0)
		fuzz_daemon_broken(err.text);
	request_wait(&d, &conn);
	check(&d);
	for (int session = 0; session < 4; session++) {
		fuzz_daemon_turn(&d);
		check(&d);
		operations(&d);
		(void)iked_dataplane_connect(&d);
		check(&d);
	}
	for (unsigned int i = 0; i < n_waiting; i++)
		close(waiting[i]);
	/* the SAs that are noted belong to nobody any more */
	fuzz_daemon_end(&d);
	return 0;
}
