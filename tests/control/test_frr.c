/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frr.conf: the exact text for a configuration, that FRR itself takes it, and what FRR's answers
 * mean for the cause of a switch.
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
			     "no zebra nexthop kernel enable\n"
			     "!\n"
			     "router bgp 65010\n"
			     " bgp router-id 172.16.0.1\n"
			     " no bgp network import-check\n"
			     " neighbor 172.16.0.2 remote-as 12076\n"
			     " neighbor 172.16.0.2 description edge one\n"
			     " neighbor 172.16.0.2 bfd\n"
			     " neighbor 172.16.0.2 bfd profile SPW-172.16.0.2\n"
			     " neighbor 172.16.0.2 password s3cret\n"
			     " neighbor 172.16.0.2 timers 60 180\n"
			     " neighbor 172.16.0.2 timers connect 1\n"
			     " neighbor 169.254.21.2 remote-as 65515\n"
			     " neighbor 169.254.21.2 timers connect 1\n"
			     " !\n"
			     " address-family ipv4 unicast\n"
			     "  network 10.1.0.0/16\n"
			     "  network 10.2.0.0/24\n"
			     "  neighbor 172.16.0.2 route-map SPW-IN-172.16.0.2 in\n"
			     "  neighbor 172.16.0.2 route-map SPW-%s out\n"
			     "  neighbor 169.254.21.2 route-map SPW-IN-169.254.21.2 in\n"
			     "  neighbor 169.254.21.2 route-map SPW-OUT out\n"
			     " exit-address-family\n"
			     "exit\n"
			     "!\n"
			     "ip prefix-list SPW-ANNOUNCE seq 5 permit 10.1.0.0/16\n"
			     "ip prefix-list SPW-ANNOUNCE seq 10 permit 10.2.0.0/24\n"
			     "!\n"
			     "route-map SPW-IN-172.16.0.2 permit 10\n"
			     " set local-preference 150\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-IN-169.254.21.2 permit 10\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-OUT permit 10\n"
			     " match ip address prefix-list SPW-ANNOUNCE\n"
			     "exit\n"
			     "!\n"
			     "route-map SPW-DRAINED deny 10\n"
			     "exit\n"
			     "!\n"
			     "bfd\n"
			     " profile SPW-172.16.0.2\n"
			     "  detect-multiplier 3\n"
			     "  transmit-interval 300\n"
			     "  receive-interval 750\n"
			     " exit\n"
			     " !\n"
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

static struct ctl_interface er0 = {
	.name = "er0", .role = SPW_IF_ROLE_EXPRESSROUTE, .enabled = true, .n_addresses = 1};
static struct ctl_config config = {.n_interfaces = 1, .interfaces = &er0};
static struct ctl_frr_secret secrets[CTL_LIST] = {{"s3cret"}};

static int
make_config(void **state)
{
	struct ctl_bgp *b = &config.bgp;

	er0.address[0] = prefix("172.16.0.1/30");
	b->local_as = 65010;
	b->router_id = prefix("172.16.0.1").addr;
	b->n_announce = 2;
	b->announce[0] = prefix("10.1.0.0/16");
	b->announce[1] = prefix("10.2.0.77/24"); /* host bits are cut */
	b->n_neighbors = 2;
	b->neighbor[0] = (struct ctl_neighbor){.address = prefix("172.16.0.2").addr,
					       .remote_as = 12076,
					       .description = "edge one",
					       .keepalive_s = 60,
					       .hold_s = 180,
					       .bfd = true,
					       .bfd_transmit_ms = 300,
					       .bfd_receive_ms = 750,
					       .bfd_multiplier = 3,
					       .local_preference = 150};
	b->neighbor[1] =
		(struct ctl_neighbor){.address = prefix("169.254.21.2").addr, .remote_as = 65515};
	return 0;
}

static void
expect(bool drained)
{
	char want[sizeof(golden) + 16];
	char *text = ctl_frr_render(&config, secrets, drained);

	snprintf(want, sizeof(want), golden, drained ? "DRAINED" : "OUT");
	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
}

static void
the_text_for_a_configuration_is_exact(void **state)
{
	expect(false);
}

static void
a_drain_silences_expressroute_neighbours_alone(void **state)
{
	expect(true);
}

static void
without_bgp_only_the_next_hop_objects_are_turned_off(void **state)
{
	struct ctl_config none = {0};
	char *text = ctl_frr_render(&none, secrets, false);

	assert_string_equal(text,
			    "frr defaults traditional\nno zebra nexthop kernel enable\n!\nend\n");
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
	char *text = ctl_frr_render(&config, secrets, true);

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_for_a_configuration_is_exact),
		cmocka_unit_test(a_drain_silences_expressroute_neighbours_alone),
		cmocka_unit_test(without_bgp_only_the_next_hop_objects_are_turned_off),
		cmocka_unit_test(frr_accepts_the_text),
		cmocka_unit_test(the_cause_follows_what_frr_says_of_the_neighbour),
		cmocka_unit_test(bfd_detection_is_the_remote_multiplier_times_the_slower_interval),
	};

	return cmocka_run_group_tests(tests, make_config, NULL);
}
