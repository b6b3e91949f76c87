/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a person is told when the two ends are not configured alike, whoever dials: one line that
 * says what is wrong and which setting mends it, whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/ike/puppet_init.h"

#define INITIATE SPW_IKE_MODE_INITIATE
#define RESPOND	 SPW_IKE_MODE_RESPOND

static void
other_key(struct spw_ike_conn *c)
{
	c->psk[0] ^= 1;
}

static void
other_ike(struct spw_ike_conn *c)
{
	c->ike[0].group = SPW_GROUP_ECP384;
}

static void
other_esp(struct spw_ike_conn *c)
{
	c->esp[0].encr = SPW_ENCR_AES128_GCM;
}

static void
other_selectors(struct spw_ike_conn *c)
{
	c->sel_local[0].low = c->sel_local[0].high = spw_addr_v4(0x0a000001);
	c->sel_remote[0].low = c->sel_remote[0].high = spw_addr_v4(0x0a000002);
}

/* As Azure behind whose local network gateway another address stands (azure.md 5, 16). */
static void
other_identity(struct spw_ike_conn *c)
{
	c->local_id = (struct spw_ike_id){.type = SPW_ID_IPV4, .len = 4, .data = {203, 0, 113, 9}};
}

static void
silent(struct spw_ike_conn *c)
{
	c->remote = spw_addr_v4(0xc6336401);
}

/* The peer with this setting changed; what host 0, ours, says of it as initiator and responder. */
static const struct {
	void (*change)(struct spw_ike_conn *c);
	const char *what, *mend;	   /* when we dial; mend NULL = the same */
	const char *answers, *mend_answer; /* when we are dialled; NULL = nothing comes */
} wrong[] = {
	{other_key, "authentication failed", "compare key, local-id and remote-id",
	 "authentication failed", "compare key, local-id and remote-id"},
	{other_identity, "authentication failed", "compare key, local-id and remote-id",
	 "authentication failed", "the peer's identity is not remote-id"},
	{other_ike, "no common IKE proposal: peer refused all 1 of ours", "make ike-proposal",
	 "no common IKE proposal: none of the peer's 1", "make ike-proposal"},
	{other_esp, "no common ESP proposal", "make esp-proposal", "no common ESP proposal",
	 "make esp-proposal"},
	{silent, "no reply to IKE_SA_INIT", "does UDP 500 reach the peer, and is our address", NULL,
	 NULL},
};

static void
expect_told(const char *said, const char *what, const char *mend)
{
	size_t len = strlen(said);

	if (!strstr(said, what) || !strstr(said, mend))
		fail_msg("\"%s\" says not \"%s\" and \"%s\"", said, what, mend);
	assert_in_range(len, 20, SPW_IKE_STATE_TEXT - 2); /* nothing is cut off */
	assert_null(strchr(said, '\n'));
}

static void
each_difference_is_told_with_what_mends_it(void **state)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		for (int dialled = 0; dialled < 2; dialled++) {
			struct net *net = net_new(1 + i);
			struct spw_ike_conn ours = net_conn(net, 0), theirs = net_conn(net, 1);

			wrong[i].change(&theirs);
			ours.mode = dialled ? RESPOND : INITIATE;
			theirs.mode = dialled ? INITIATE : RESPOND;
			net_set(net, 0, &ours);
			net_set(net, 1, &theirs);
			net_run(net, 13 * NET_S);
			assert_false(net_up(net, 0));
			if (!dialled || wrong[i].answers)
				expect_told(net_status(net, 0).reason,
					    dialled ? wrong[i].answers : wrong[i].what,
					    dialled ? wrong[i].mend_answer : wrong[i].mend);
			net_free(net);
		}
}

/* Ours are narrower than the world, theirs another part of it. */
static void
selectors_that_do_not_meet_are_told_with_what_mends_them(void **state)
{
	for (int dialled = 0; dialled < 2; dialled++) {
		struct net *net = net_new(20);
		struct spw_ike_conn ours = net_conn(net, 0), theirs = net_conn(net, 1);

		other_selectors(&theirs);
		ours.sel_local[0].low = ours.sel_local[0].high = spw_addr_v4(0x0b000001);
		ours.mode = dialled ? RESPOND : INITIATE;
		theirs.mode = dialled ? INITIATE : RESPOND;
		net_set(net, 0, &ours);
		net_set(net, 1, &theirs);
		net_run(net, 5 * NET_S);
		assert_int_equal(net_ike_sas(net, 0), 1);
		assert_false(net_up(net, 0));
		expect_told(net_status(net, 0).reason, "traffic selectors do not match",
			    "make selectors here and the peer's the same");
		net_free(net);
	}
}

/* Rekeys fail until the hard limit, for one reason or for none that was told. */
static void
a_child_that_ends_at_its_hard_limit_is_told_with_why(void **state)
{
	for (int silent_end = 0; silent_end < 2; silent_end++) {
		struct net *net = net_new(30);

		for (int i = 1; i >= 0; i--) {
			struct spw_ike_conn c = net_conn(net, i);

			c.mode = i ? RESPOND : INITIATE;
			if (i == 0)
				c.child_seconds = (struct spw_sa_limit){.soft = 20, .hard = 40};
			net_set(net, i, &c);
		}
		assert_true(net_run_up(net, 5 * NET_S));
		net_run(net, 1 * NET_S);
		if (silent_end) {
			net_event(net, 0, SPW_SA_EV_HARD);
			assert_false(net_up(net, 0));
			expect_told(net_status(net, 0).reason, "hard limit",
				    "nothing had replaced");
		} else {
			net->host[1].refuse_installs = 1000;
			while (net_up(net, 0))
				net_run(net, 10 * NET_MS);
			expect_told(net_status(net, 0).reason, "child SA rekey failed",
				    "TEMPORARY_FAILURE");
		}
		net->host[1].refuse_installs = 0;
		assert_true(net_run_up(net, 120 * NET_S));
		assert_string_equal(net_status(net, 0).reason, "");
		net_free(net);
	}
}

/* A rekey that worked leaves nothing to be told of the one that did not. */
static void
a_rekey_that_failed_is_forgotten_when_one_works(void **state)
{
	struct net *net = net_new(31);

	net_connect(net, SPW_IKE_MODE_BOTH, RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	net->host[1].refuse_installs = 1;
	net_rekey(net, 0, SPW_IKE_RESET_CHILD);
	net_run(net, 1 * NET_S);
	expect_told(net_status(net, 0).reason, "child SA rekey failed", "same there?");
	net_run(net, 60 * NET_S);
	assert_int_equal(net_status(net, 0).child_rekeys, 1);
	assert_string_equal(net_status(net, 0).reason, "");
	net_free(net);
}

/* Somebody with the peer's address and another key: nothing that a tunnel which is up goes by. */
static void
a_refused_stranger_is_not_the_reason_of_a_tunnel_that_is_up(void **state)
{
	struct net *net = net_new(33);
	struct spw_ike_conn c;

	net_connect(net, INITIATE, RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	net_reboot(net, 0, false);
	c = net_conn(net, 0);
	c.mode = INITIATE;
	other_key(&c);
	net_set(net, 0, &c);
	net_run(net, 5 * NET_S);
	assert_non_null(strstr(net_status(net, 0).reason, "authentication failed"));
	assert_true(net_up(net, 1));
	assert_string_equal(net_status(net, 1).reason, "");
	net_event(net, 1, SPW_SA_EV_HARD);
	expect_told(net_status(net, 1).reason, "hard limit", "nothing had replaced");
	/* one that is down is told */
	net_run(net, 120 * NET_S);
	assert_false(net_up(net, 1));
	expect_told(net_status(net, 1).reason, "authentication failed", "compare key");
	net_free(net);
}

/* Azure rekeys without a key exchange, and we demand one (azure.md 5, 1 and 2). */
static void
a_rekey_of_the_peer_that_is_refused_here_is_why_the_tunnel_goes_down(void **state)
{
	struct net *net = net_new(34);

	for (int i = 1; i >= 0; i--) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i ? RESPOND : INITIATE;
		if (i == 0)
			c.child_seconds = (struct spw_sa_limit){.soft = 20, .hard = 40};
		else
			c.esp[0].group = SPW_GROUP_ECP256;
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	while (net_up(net, 1))
		net_run(net, 10 * NET_MS);
	expect_told(net_status(net, 1).reason, "no common ESP proposal", "PFS");
	net_free(net);
}

/* An answer to host 0's IKE_SA_INIT with a cipher that it did not offer. */
static void
answer_other_cipher(struct net *net)
{
	static const struct spw_ike_proposal other = {.encr = SPW_ENCR_AES128_GCM,
						      .prf = SPW_PRF_HMAC_SHA256,
						      .group = SPW_GROUP_MODP2048};
	const struct ike_header h = {.spi_i = puppet_sa(net, 0)->spi_i,
				     .spi_r = 1,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_RESPONSE};
	uint8_t buf[1024], value[256] = {1};
	struct ike_builder b;
	size_t len;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, &other, 1, 1, true);
	ike_build_ke(&b, 14, value, sizeof(value));
	ike_build_bytes(&b, IKE_P_NONCE, value, 32);
	assert_int_equal(ike_build_finish(&b, &len), 0);
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, buf, len);
}

/* "No reply" would send its reader to look for a firewall. */
static void
an_answer_that_is_of_no_use_is_told_and_not_taken_for_silence(void **state)
{
	static const struct {
		const char *what, *mend;
	} t[] = {{"peer wants group 2 for the key exchange", "ike-proposal"},
		 {"one cookie after another", "takes no handshake"},
		 {"is not what was offered", "compare ike-proposal"},
		 {"is malformed", "IKEv2"}};

	for (size_t i = 0; i < 4; i++) {
		struct net *net = init_dialled(40 + i, false);

		if (i == 0)
			(void)init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\2", 2);
		for (uint8_t n = 0; i == 1 && n < 8; n++)
			(void)init_hint(net, IKE_N_COOKIE, &n, 1);
		if (i == 2)
			answer_other_cipher(net);
		if (i == 3) /* a window size has four octets */
			(void)init_hint(net, IKE_N_SET_WINDOW_SIZE, "", 1);
		assert_int_equal(puppet_sa(net, 0)->state, IKE_SA_INIT_SENT);
		while (net_status(net, 0).attempts == 0)
			net_run(net, 100 * NET_MS);
		expect_told(net_status(net, 0).reason, t[i].what, t[i].mend);
		tape_free(net);
	}
}

/* What is logged while `act` runs. */
static void
log_of(void (*act)(struct net *net), struct net *net, char *out, size_t size)
{
	FILE *f = tmpfile();
	int before = dup(STDERR_FILENO);
	size_t n;

	assert_non_null(f);
	spw_log_init("test", SPW_LOG_INFO);
	dup2(fileno(f), STDERR_FILENO);
	act(net);
	dup2(before, STDERR_FILENO);
	close(before);
	spw_log_init("test", SPW_LOG_ERROR);
	rewind(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	fclose(f);
}

static void
dial_host_1(struct net *net)
{
	struct spw_ike_conn c = net_conn(net, 0);

	c.mode = INITIATE;
	for (unsigned int n = 0; n < 20; n++) { /* whoever it is cannot fill the log */
		net_set(net, 0, &c);
		net_run(net, 5 * NET_S);
	}
}

/* Azure's second instance, or an address with a slip in it: nothing else would be seen. */
static void
who_dials_and_is_nobodys_peer_is_logged(void **state)
{
	static const char *const causes[] = {"cause=\"it is no tunnel's remote-address\"",
					     "cause=\"its tunnel has mode initiate\"",
					     "cause=\"its tunnel has another local-address\""};
	char log[16384];

	for (size_t i = 0; i < 3; i++) {
		struct net *net = net_new(50 + i);
		struct spw_ike_conn c = net_conn(net, 1);
		unsigned int lines = 0;

		c.mode = i == 1 ? INITIATE : RESPOND;
		if (i == 0)
			c.remote = spw_addr_v4(0xcb007107);
		if (i == 2)
			c.local = spw_addr_v4(0xcb007107);
		net_set(net, 1, &c);
		log_of(dial_host_1, net, log, sizeof(log));
		for (const char *p = log; (p = strstr(p, " not-answered ")) != NULL; p++)
			lines++;
		assert_in_range(lines, 1, 10);
		assert_non_null(strstr(log, "remote=192.0.2.1 local=198.51.100.1"));
		assert_non_null(strstr(log, causes[i]));
		net_free(net);
	}
}

static void
more(struct ike_builder *b)
{
	for (unsigned int n = 0; n <= IKE_MAX_NOTIFIES; n++)
		ike_build_notify(b, 40000, 0, 0, NULL, 0);
}

static void
knock_with_too_much(struct net *net)
{
	const struct init_parts p = {.spi_i = 1, .more = more};

	assert_null(init_ask(net, &p));
}

static void
a_first_message_that_is_dropped_is_logged(void **state)
{
	struct net *net = init_responder(61);
	char log[4096];

	log_of(knock_with_too_much, net, log, sizeof(log));
	assert_non_null(strstr(log, "not-answered conn=azure "
				    "cause=\"its first message has more parts than are taken\""));
	tape_free(net);
}

/* It is tried again at every call, which says nothing new. */
static void
switch_with_a_sick_data_plane(struct net *net)
{
	net->host[1].refuse_switches = 100;
	for (int n = 0; n < 20; n++) {
		net_rekey(net, 0, SPW_IKE_RESET_CHILD);
		net_run(net, 3 * NET_S);
	}
}

static void
a_data_plane_that_refuses_to_switch_has_a_line_a_second(void **state)
{
	struct net *net = net_new(62);
	uint64_t before;
	char log[65536];
	unsigned int lines = 0;

	net_connect(net, INITIATE, RESPOND);
	net->traffic = true;
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	before = spw_clock_ns();
	log_of(switch_with_a_sick_data_plane, net, log, sizeof(log));
	for (const char *p = log; (p = strstr(p, " switch-failed ")) != NULL; p++)
		lines++;
	assert_in_range(net->host[1].refuse_switches, 0, 80);
	assert_in_range(lines, 1, 1 + (spw_clock_ns() - before) / SPW_NS_PER_S);
	net->host[1].refuse_switches = 0;
	net_run(net, 20 * NET_S);
	net_expect_one(net);
	net_free(net);
}

/* What the peer asks for and is refused is told by nobody else at this end. */
static void
dial_without_pfs(struct net *net)
{
	net_rekey(net, 0, SPW_IKE_RESET_CHILD);
	net_run(net, 1 * NET_S);
	net_rekey(net, 0, SPW_IKE_RESET_IKE);
	net_run(net, 1 * NET_S);
}

static void
a_refused_request_is_logged_with_what_mends_it(void **state)
{
	struct net *net = net_new(60);
	struct ike_conn *c;
	char log[16384];

	net_connect(net, INITIATE, RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	c = puppet_sa(net, 1)->conn;
	c->set.esp[0].group = c->set.ike[0].group = SPW_GROUP_ECP384;
	log_of(dial_without_pfs, net, log, sizeof(log));
	assert_non_null(strstr(log, "request-refused conn=azure exchange=36 "
				    "answer=NO_PROPOSAL_CHOSEN cause=\"no common ESP proposal"));
	assert_non_null(strstr(log, "make ike-proposal"));
	net_free(net);
}

static enum net_verdict
count_auth(struct net *net, int from, const struct ike_header *h)
{
	net->script_state += h->exchange == IKE_X_AUTH && !(h->flags & IKE_FLAG_RESPONSE);
	return NET_PASS;
}

/* The configured cipher is none of those that the running data plane says it has. */
static void
a_data_plane_without_the_cipher_is_told_and_nothing_empty_is_offered(void **state)
{
	struct net *net = net_new(32);

	net->script = count_auth;
	net->host[0].engine->config.encr_mask = 1u << SPW_ENCR_CHACHA20_POLY1305;
	net_connect(net, INITIATE, RESPOND);
	net_run(net, 30 * NET_S);
	expect_told(net_status(net, 0).reason, "the data plane has no cipher of esp-proposal",
		    "show version");
	assert_int_equal(net->script_state, 0);
	net->host[0].engine->config.encr_mask = 0xffff;
	assert_true(net_run_up(net, 60 * NET_S));
	net_run(net, 1 * NET_S);
	/* an update of the data plane: the child stands, and no rekey of it can be asked for */
	net->host[0].engine->config.encr_mask = 1u << SPW_ENCR_CHACHA20_POLY1305;
	net_rekey(net, 0, SPW_IKE_RESET_CHILD);
	net_run(net, 30 * NET_S);
	assert_true(net_up(net, 0) && net_up(net, 1));
	assert_int_equal(net_ike_sas(net, 1), 1);
	net_free(net);
}

/* Whatever the two are told apart by here, the peer is answered alike. */
static void
every_sentence_about_a_fault_fits_where_it_is_shown(void **state)
{
	static const enum ike_fault of_a_child[] = {IKE_FAULT_CHILD_TS, IKE_FAULT_CHILD_SYNTAX,
						    IKE_FAULT_INTERNAL};

	for (int f = 0; f < IKE_FAULTS; f++)
		assert_true(strlen(ike_fault_info((enum ike_fault)f)->text) < SPW_IKE_STATE_TEXT);
	for (size_t i = 0; i < 3; i++) /* of an answer that we cannot take */
		assert_true(strlen("child SA failed: ") +
				    strlen(ike_fault_info(of_a_child[i])->text) <
			    SPW_IKE_STATE_TEXT);
	assert_int_equal(ike_fault_info(IKE_FAULT_IDENTITY)->notify,
			 ike_fault_info(IKE_FAULT_AUTH)->notify);
	assert_int_equal(ike_fault_info(IKE_FAULT_IDENTITY)->action,
			 ike_fault_info(IKE_FAULT_AUTH)->action);
}

static void
an_identity_that_is_an_address_is_shown_as_one(void **state)
{
	static const uint8_t v4[] = {203, 0, 113, 9}, v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
	static const struct {
		struct ike_identity id;
		const char *text;
	} t[] = {
		{{.type = SPW_ID_IPV4, .data = {v4, 4}}, "203.0.113.9"},
		{{.type = SPW_ID_IPV4, .data = {v4, 3}}, "\\xcb\\x00q"},
		{{.type = SPW_ID_IPV6, .data = {v6, 16}}, "2001:db8::1"},
		{{.type = SPW_ID_FQDN, .data = {(const uint8_t *)"gw.test", 7}}, "gw.test"},
		{{.type = SPW_ID_KEY_ID, .data = {(const uint8_t *)"a\nb", 3}}, "a\\x0ab"},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char text[96];

		ike_auth_id_text(&t[i].id, text, sizeof(text));
		assert_string_equal(text, t[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_difference_is_told_with_what_mends_it),
		cmocka_unit_test(selectors_that_do_not_meet_are_told_with_what_mends_them),
		cmocka_unit_test(a_child_that_ends_at_its_hard_limit_is_told_with_why),
		cmocka_unit_test(a_rekey_that_failed_is_forgotten_when_one_works),
		cmocka_unit_test(a_refused_stranger_is_not_the_reason_of_a_tunnel_that_is_up),
		cmocka_unit_test(
			a_rekey_of_the_peer_that_is_refused_here_is_why_the_tunnel_goes_down),
		cmocka_unit_test(an_answer_that_is_of_no_use_is_told_and_not_taken_for_silence),
		cmocka_unit_test(who_dials_and_is_nobodys_peer_is_logged),
		cmocka_unit_test(a_first_message_that_is_dropped_is_logged),
		cmocka_unit_test(a_data_plane_that_refuses_to_switch_has_a_line_a_second),
		cmocka_unit_test(a_refused_request_is_logged_with_what_mends_it),
		cmocka_unit_test(
			a_data_plane_without_the_cipher_is_told_and_nothing_empty_is_offered),
		cmocka_unit_test(every_sentence_about_a_fault_fits_where_it_is_shown),
		cmocka_unit_test(an_identity_that_is_an_address_is_shown_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
