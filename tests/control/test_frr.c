/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frr.conf: the exact text for a configuration, that FRR's grammar has it, and what FRR's answers
 * mean for the cause of a switch. test_frr_apply.py applies the same text to FRR's daemons.
 */
#include "control/frr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char golden[] = "frr defaults traditional\n"
			     "no ip forwarding\n"
			     "no ipv6 forwarding\n"
			     "no zebra nexthop kernel enable\n"
			     "!\n"
			     "bgp route-map delay-timer 1\n"
			     "!\n"
			     "router bgp 65010\n"
			     " bgp router-id 172.16.0.1\n"
			     " no bgp default ipv4-unicast\n"
			     " bgp graceful-restart stalepath-time 300\n"
			     " bgp graceful-restart select-defer-time 30\n"
			     " bgp graceful-restart\n"
			     " bgp graceful-restart preserve-fw-state\n"
			     " no bgp network import-check\n"
			     " neighbor 169.254.21.2 remote-as 65515\n"
			     " neighbor 169.254.21.2 timers 60 180\n"
			     " neighbor 169.254.21.2 timers connect 1\n"
			     " neighbor 172.16.0.2 remote-as 12076\n"
			     " neighbor 172.16.0.2 description edge one\n"
			     " neighbor 172.16.0.2 password s3cret\n"
			     " neighbor 172.16.0.2 timers 10 30\n"
			     " neighbor 172.16.0.2 timers connect 1\n"
			     " neighbor 172.16.0.6 remote-as 12076\n"
			     " neighbor 172.16.0.6 timers connect 1\n"
			     " neighbor 2001:db8:0:1::2 remote-as 12076\n"
			     " neighbor 2001:db8:0:1::2 timers connect 1\n"
			     " !\n"
			     " address-family ipv4 unicast\n"
			     "  network 10.1.0.0/16\n"
			     "  network 10.1.2.0/24\n"
			     "  network 10.2.0.0/24\n"
			     "  neighbor 169.254.21.2 activate\n"
			     "  neighbor 169.254.21.2 route-map SPW-IN-169.254.21.2 in\n"
			     "  neighbor 169.254.21.2 route-map SPW-OUT-169.254.21.2 out\n"
			     "  neighbor 172.16.0.2 activate\n"
			     "  neighbor 172.16.0.2 maximum-prefix 1000 80 warning-only\n"
			     "  neighbor 172.16.0.2 route-map SPW-IN-172.16.0.2 in\n"
			     "  neighbor 172.16.0.2 route-map SPW-%s out\n"
			     "  neighbor 172.16.0.6 activate\n"
			     "  neighbor 172.16.0.6 maximum-prefix 900 80\n"
			     "  neighbor 172.16.0.6 route-map SPW-IN-172.16.0.6 in\n"
			     "  neighbor 172.16.0.6 route-map SPW-OUT-172.16.0.6 out\n"
			     "  maximum-paths 4\n"
			     " exit-address-family\n"
			     " !\n"
			     " address-family ipv6 unicast\n"
			     "  neighbor 2001:db8:0:1::2 activate\n"
			     "  neighbor 2001:db8:0:1::2 route-map SPW-IN-2001:db8:0:1::2 in\n"
			     "  neighbor 2001:db8:0:1::2 route-map SPW-OUT-2001:db8:0:1::2 out\n"
			     "  maximum-paths 4\n"
			     " exit-address-family\n"
			     " !\n"
			     " bmp targets SPILLWAY\n"
			     "  bmp monitor ipv4 unicast post-policy\n"
			     "  bmp monitor ipv6 unicast post-policy\n"
			     "  bmp connect 127.0.0.1 port 11019 min-retry 1000 max-retry 2000\n"
			     " exit\n"
			     "exit\n"
			     "!\n"
			     "ip prefix-list SPW-OUT-169.254.21.2 seq 5 permit 10.1.0.0/16\n"
			     "ip prefix-list SPW-OUT-169.254.21.2 seq 10 permit 10.2.0.0/24\n"
			     "ip prefix-list SPW-OUT-172.16.0.2 seq 5 permit 10.1.0.0/16\n"
			     "ip prefix-list SPW-OUT-172.16.0.2 seq 10 permit 10.2.0.0/24\n"
			     "ip prefix-list SPW-OUT-172.16.0.6 seq 5 permit 10.1.2.0/24\n"
			     "!\n"
			     "route-map SPW-IN-169.254.21.2 permit 10\n"
			     " set local-preference 100\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-OUT-169.254.21.2 permit 10\n"
			     " match ip address prefix-list SPW-OUT-169.254.21.2\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-IN-172.16.0.2 permit 10\n"
			     " set local-preference 150\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-OUT-172.16.0.2 permit 10\n"
			     " match ip address prefix-list SPW-OUT-172.16.0.2\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-IN-172.16.0.6 permit 10\n"
			     " set local-preference 150\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-OUT-172.16.0.6 permit 10\n"
			     " match ip address prefix-list SPW-OUT-172.16.0.6\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-IN-2001:db8:0:1::2 permit 10\n"
			     " set ipv6 next-hop prefer-global\n"
			     " set local-preference 150\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-OUT-2001:db8:0:1::2 deny 10\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-DRAINED deny 10\n"
			     "exit\n"
			     "!\n"
			     "end\n";

static struct spw_prefix
prefix(const char *text)
{
	struct spw_prefix p;

	assert_int_equal(spw_prefix_parse(&p, text, NULL), 0);
	return p;
}

static struct ctl_config config;
static struct ctl_frr_secret secrets[CTL_LIST] = {[1] = {"s3cret"}};

static int
make_config(void **state)
{
	struct ctl_bgp *b = &config.bgp;

	b->local_as = 65010;
	b->router_id = prefix("172.16.0.1").addr;
	b->multipath = 4;
	b->graceful_restart = true;
	b->n_announce = 2;
	b->announce[0] = prefix("10.1.0.0/16");
	b->announce[1] = prefix("10.2.0.77/24"); /* host bits are cut */
	b->n_neighbors = 4;
	b->neighbor[1] = (struct ctl_neighbor){.address = prefix("172.16.0.2").addr,
					       .remote_as = 12076,
					       .description = "edge one",
					       .keepalive_s = 10,
					       .hold_s = 30,
					       .bfd = true, /* the data plane's, not FRR's */
					       .bfd_transmit_ms = 300,
					       .bfd_receive_ms = 750,
					       .bfd_multiplier = 3,
					       .prefix_limit = 1000,
					       .local_preference = 150};
	b->neighbor[2] = (struct ctl_neighbor){.address = prefix("172.16.0.6").addr,
					       .remote_as = 12076,
					       .prefix_limit = 900,
					       .prefix_limit_drops = true,
					       .local_preference = 150,
					       .n_announce = 1};
	b->neighbor[2].announce[0] = prefix("10.1.2.0/24");
	b->neighbor[0] = (struct ctl_neighbor){.address = prefix("169.254.21.2").addr,
					       .remote_as = 65515,
					       .keepalive_s = 60,
					       .hold_s = 180,
					       .local_preference = 100};
	b->neighbor[3] = (struct ctl_neighbor){.address = prefix("2001:db8:0:1::2").addr,
					       .remote_as = 12076,
					       .local_preference = 150};
	return 0;
}

static void
expect(const bool *drained, const char *out)
{
	char want[sizeof(golden) + 32];
	char *text = ctl_frr_render(&config, secrets, drained, 11019);

	snprintf(want, sizeof(want), golden, out);
	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
}

static void
the_text_for_a_configuration_is_exact(void **state)
{
	expect(NULL, "OUT-172.16.0.2");
}

/* A text that FRR took for a command, or for none, would keep all that follows from being applied.
 */
static void
a_description_is_words_that_frr_keeps_as_they_are(void **state)
{
	static const struct {
		const char *text, *line;
	} row[] = {{"edge one", " description edge one\n"},
		   {" a  | include b ", " description a . include b\n"},
		   {"caf\xc3\xa9 \x1b[1m", " description caf.. .[1m\n"},
		   {"   ", NULL},
		   {"", NULL}};
	char before[CTL_TEXT];

	memcpy(before, config.bgp.neighbor[1].description, sizeof(before));
	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		char *text;

		snprintf(config.bgp.neighbor[1].description, CTL_TEXT, "%s", row[i].text);
		text = ctl_frr_render(&config, secrets, NULL, 11019);
		assert_non_null(text);
		if (row[i].line)
			assert_non_null(strstr(text, row[i].line));
		else
			assert_null(strstr(text, "description"));
		free(text);
	}
	memcpy(config.bgp.neighbor[1].description, before, sizeof(before));
}

static void
a_drain_silences_the_neighbours_it_names_alone(void **state)
{
	bool drained[CTL_LIST] = {false, true};

	expect(drained, "DRAINED");
}

static void
ipv6_is_announced_to_ipv6_neighbours_alone(void **state)
{
	struct ctl_config c = config;
	char *text;

	c.bgp.announce[1] = prefix("2001:db8:1::/48");
	text = ctl_frr_render(&c, secrets, NULL, 0);
	assert_non_null(strstr(text, "ipv6 unicast\n  network 2001:db8:1::/48\n"));
	assert_non_null(strstr(text, "ipv6 prefix-list SPW-OUT-2001:db8:0:1::2 seq 5 permit "
				     "2001:db8:1::/48\n"));
	assert_non_null(strstr(text, "route-map SPW-OUT-2001:db8:0:1::2 permit 10\n match ipv6 "
				     "address prefix-list SPW-OUT-2001:db8:0:1::2\n"));
	assert_null(strstr(text, "ip prefix-list SPW-OUT-172.16.0.2 seq 10"));
	free(text);
}

static void
what_is_not_wanted_is_not_written(void **state)
{
	struct ctl_config c = config;
	char *text;

	c.bgp.graceful_restart = false;
	c.bgp.multipath = 1;
	c.bgp.n_neighbors = 3;
	c.bgp.neighbor[1].prefix_limit = 0;
	text = ctl_frr_render(&c, secrets, NULL, 0);
	assert_null(strstr(text, "graceful-restart"));
	assert_null(strstr(text, "bmp"));
	assert_null(strstr(text, "bfd"));
	assert_null(strstr(text, "address-family ipv6"));
	assert_null(strstr(text, "ipv6 next-hop"));
	assert_null(strstr(text, "172.16.0.2 maximum-prefix"));
	assert_non_null(strstr(text, "  maximum-paths 1\n"));
	free(text);
}

static void
without_bgp_only_the_next_hop_objects_are_turned_off(void **state)
{
	struct ctl_config none = {0};
	char *text = ctl_frr_render(&none, secrets, NULL, 11019);

	assert_string_equal(text, "frr defaults traditional\nno ip forwarding\nno ipv6 forwarding\n"
				  "no zebra nexthop kernel enable\n!\nend\n");
	free(text);
}

/* vtysh checks every line against FRR's own grammar. */
static int
vtysh_check(const char *text)
{
	char path[64];
	FILE *f;
	pid_t pid;
	int status;

	snprintf(path, sizeof(path), "/tmp/ctl-frr-%d.conf", getpid());
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	pid = fork();
	if (pid == 0) {
		execl("/usr/bin/vtysh", "vtysh", "-C", "-f", path, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	unlink(path);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void
frr_accepts_the_text(void **state)
{
	char *text = ctl_frr_render(&config, secrets, NULL, 11019);

	if (access("/usr/bin/vtysh", X_OK) != 0)
		skip();
	assert_int_equal(vtysh_check(text), 0);
	free(text);
	assert_int_not_equal(vtysh_check("router bgp nonsense\n"), 0);
}

static void
expect_cause(const char *json, const char *cause)
{
	json_t *o = json ? json_loads(json, 0, NULL) : NULL;

	assert_string_equal(ctl_frr_cause(o), cause);
	json_decref(o);
}

static void
the_cause_follows_what_frr_says_of_the_neighbour(void **state)
{
	expect_cause(NULL, "withdrawn");
	expect_cause("{\"bgpState\":\"Established\",\"lastResetDueTo\":\"BFD down received\"}",
		     "withdrawn");
	expect_cause("{\"bgpState\":\"Idle\",\"lastResetDueTo\":\"BFD down received\"}",
		     "bfd-timeout");
	expect_cause("{\"bgpState\":\"Idle\",\"lastResetDueTo\":\"BGP Notification send\","
		     "\"lastNotificationReason\":\"Cease/BFD Down\"}",
		     "bfd-timeout");
	expect_cause("{\"bgpState\":\"Idle\",\"lastResetDueTo\":\"BGP Notification send\","
		     "\"lastNotificationReason\":\"Hold Timer Expired\"}",
		     "bgp-down");
	/* An older notification has nothing to say of this loss. */
	expect_cause("{\"bgpState\":\"Active\",\"lastResetDueTo\":\"Peer closed the session\","
		     "\"lastNotificationReason\":\"Cease/BFD Down\"}",
		     "bgp-down");
	expect_cause("{\"bgpState\":\"Idle\",\"lastResetDueTo\":\"Interface down\"}", "link-down");
}

static void
bfd_detection_is_the_remote_multiplier_times_the_slower_interval(void **state)
{
	json_t *o = json_pack("{s:i,s:i,s:i}", "remote-detect-multiplier", 3, "receive-interval",
			      300, "remote-transmit-interval", 750);

	assert_true(ctl_frr_bfd_detect_ms(o) == 2250.0);
	json_object_set_new(o, "remote-transmit-interval", json_integer(10));
	assert_true(ctl_frr_bfd_detect_ms(o) == 900.0);
	json_object_del(o, "remote-detect-multiplier");
	assert_true(ctl_frr_bfd_detect_ms(o) < 0);
	json_decref(o);
}

/* For test_frr_apply.py, which asks FRR itself: the text, once with IPv6 to announce. */
static int
print(bool ipv6)
{
	char *text;

	make_config(NULL);
	if (ipv6)
		config.bgp.announce[1] = prefix("2001:db8:1::/48");
	text = ctl_frr_render(&config, secrets, NULL, 11019);
	fputs(text, stdout);
	free(text);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		return print(strcmp(argv[1], "ipv6") == 0);

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_for_a_configuration_is_exact),
		cmocka_unit_test(a_description_is_words_that_frr_keeps_as_they_are),
		cmocka_unit_test(a_drain_silences_the_neighbours_it_names_alone),
		cmocka_unit_test(ipv6_is_announced_to_ipv6_neighbours_alone),
		cmocka_unit_test(what_is_not_wanted_is_not_written),
		cmocka_unit_test(without_bgp_only_the_next_hop_objects_are_turned_off),
		cmocka_unit_test(frr_accepts_the_text),
		cmocka_unit_test(the_cause_follows_what_frr_says_of_the_neighbour),
		cmocka_unit_test(bfd_detection_is_the_remote_multiplier_times_the_slower_interval),
	};

	return cmocka_run_group_tests(tests, make_config, NULL);
}
