/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shell without a daemon: command matching and offers, filters, number formats, and the text of
 * every show against the examples of docs/show-json.md.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/cli/cli.h"

static int
match(const char *line, enum cli_mode mode, struct cli_match *m, struct spw_err *err)
{
	static char copy[CTL_LINE_MAX];
	const char *word[CTL_WORDS_MAX];

	snprintf(copy, sizeof(copy), "%s", line);
	return cli_match(word, (unsigned int)ctl_words_split(copy, word, NULL), mode, m, err);
}

static const struct {
	const char *line;
	enum cli_mode mode;
	const char *words, *arg;
} good[] = {
	{"show ike", CLI_MODE_OPER, "show ike", NULL},
	{"sh ik azure-a det", CLI_MODE_OPER, "show ike azure-a detail", "azure-a"},
	{"show ike detail", CLI_MODE_OPER, "show ike detail", NULL},
	{"show ipsec stat azure-a det", CLI_MODE_OPER, "show ipsec statistics azure-a detail",
	 "azure-a"},
	{"show ipsec sa", CLI_MODE_CONF, "show ipsec sa", NULL},
	{"show fail hist prod", CLI_MODE_OPER, "show failover history prod", "prod"},
	{"show failover prod", CLI_MODE_OPER, "show failover prod", "prod"},
	{"show fib 10.0.0.1", CLI_MODE_OPER, "show fib 10.0.0.1", "10.0.0.1"},
	{"show bgp", CLI_MODE_OPER, NULL, NULL},
	{"res t azure-a ch", CLI_MODE_OPER, "reset tunnel azure-a child", "azure-a"},
	{"failover switch azure-a prod", CLI_MODE_OPER, "failover switch azure-a prod", "azure-a"},
	{"failover r", CLI_MODE_OPER, "failover resume", NULL},
	{"failover test prod force", CLI_MODE_OPER, "failover test prod force", "prod"},
	{"failover test force", CLI_MODE_OPER, "failover test force", NULL},
	{"failover test for 20s prod", CLI_MODE_OPER, "failover test for 20s prod", "20s"},
	{"failover ex prod", CLI_MODE_OPER, "failover exercise prod", "prod"},
	{"failover switch er0 for 10m prod", CLI_MODE_OPER, "failover switch er0 for 10m prod",
	 "er0"},
	{"failover switch tunnel manual", CLI_MODE_OPER, "failover switch tunnel manual", "tunnel"},
	{"show failover prod detail", CLI_MODE_OPER, "show failover prod detail", "prod"},
	{"show bfd", CLI_MODE_OPER, "show bfd", NULL},
	{"show probes azure-a det", CLI_MODE_OPER, "show probes azure-a detail", "azure-a"},
	{"commit", CLI_MODE_CONF, "commit", NULL},
	{"comm che", CLI_MODE_CONF, "commit check", NULL},
	{"commit confirmed 5", CLI_MODE_CONF, "commit confirmed 5", "5"},
	{"confirm", CLI_MODE_CONF, "confirm", NULL},
	{"compare rollback 2", CLI_MODE_CONF, "compare rollback 2", "2"},
	{"set a b c d", CLI_MODE_CONF, "set a b c d", "a"},
	{"commit comment two words", CLI_MODE_CONF, "commit comment two words", "two"},
	{"exit discard", CLI_MODE_CONF, "exit discard", NULL},
	{"conf", CLI_MODE_OPER, NULL, NULL}, /* configure, confirm */
	{"set a", CLI_MODE_OPER, NULL, NULL},
	{"commit", CLI_MODE_OPER, NULL, NULL},
	{"exit discard", CLI_MODE_OPER, NULL, NULL},
	{"show", CLI_MODE_OPER, NULL, NULL},
	{"show i", CLI_MODE_OPER, NULL, NULL},
	{"show version x", CLI_MODE_OPER, NULL, NULL},
	{"show fib", CLI_MODE_OPER, NULL, NULL},
	{"reset tunnel", CLI_MODE_OPER, NULL, NULL},
	{"reset tunnel a both", CLI_MODE_OPER, NULL, NULL},
	{"\"\"", CLI_MODE_OPER, NULL, NULL},
};

static void
lines_match_one_command_or_none(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct cli_match m;
		struct spw_err err = {0};
		char text[256] = "";
		int rc = match(good[i].line, good[i].mode, &m, &err);

		if ((rc == 0) != (good[i].words != NULL))
			fail_msg("%s: %d %s", good[i].line, rc, err.text);
		if (rc < 0) {
			assert_true(err.text[0] != '\0');
			continue;
		}
		for (unsigned int k = 0; k < m.n; k++) {
			strcat(text, k ? " " : "");
			strcat(text, m.word[k]);
		}
		assert_string_equal(text, good[i].words);
		if (good[i].arg)
			assert_string_equal(m.arg, good[i].arg);
		else
			assert_null(m.arg);
	}
}

static void
mistakes_are_told_with_what_fits(void **state)
{
	struct cli_match m;
	struct spw_err err = {0};

	match("show i", CLI_MODE_OPER, &m, &err);
	assert_string_equal(err.text, "\"i\" is ambiguous: one of interfaces, ike, ipsec");
	match("failover x", CLI_MODE_OPER, &m, &err);
	assert_string_equal(
		err.text, "\"x\" is unknown here: one of switch, resume, lockout, test, exercise");
	match("reset tunnel", CLI_MODE_OPER, &m, &err);
	assert_string_equal(err.text, "incomplete: reset tunnel <tunnel> [ike|child]");
	match("show version x", CLI_MODE_OPER, &m, &err);
	assert_string_equal(err.text, "nothing may follow here, but there is \"x\"");
}

static const struct {
	const char *line, *want;
} offered[] = {
	{"failover", "switch resume lockout test exercise"},
	{"failover test", " <vnet> force for"},
	{"show failover", " <vnet> detail history readiness"},
	{"show probes azure-a", " detail"},
	{"show ike", " <tunnel> detail"},
	{"show ike a", " detail"},
	{"reset tunnel a", " ike child"},
	{"compare", " saved rollback"},
	{"nonsense", ""},
};

static void
offers_are_what_the_table_allows(void **state)
{
	for (size_t i = 0; i < sizeof(offered) / sizeof(offered[0]); i++) {
		const char *word[CTL_WORDS_MAX];
		struct cli_offers offers = {0};
		char copy[64], text[256] = "";
		int n;

		snprintf(copy, sizeof(copy), "%s", offered[i].line);
		n = ctl_words_split(copy, word, NULL);
		cli_offer_commands(word, (unsigned int)n, CLI_MODE_BOTH, &offers);
		for (unsigned int k = 0; k < offers.n; k++) {
			strcat(text, k ? " " : "");
			strcat(text, offers.item[k].word);
		}
		assert_string_equal(text, offered[i].want);
		cli_offers_free(&offers);
	}
}

static void
every_command_matches_itself(void **state)
{
	for (unsigned int i = 0; i < cli_n_commands; i++) {
		char line[128];
		size_t n = 0;
		struct cli_match m;
		struct spw_err err = {0};

		for (const char *p = cli_commands[i].pattern; *p && *p != '['; p++)
			if (*p != '<' && *p != '>')
				line[n++] = *p;
		line[n] = '\0';
		if (match(line, cli_commands[i].mode, &m, &err) < 0)
			fail_msg("%s: %s", line, err.text);
		assert_ptr_equal(m.command, &cli_commands[i]);
		assert_true(strlen(cli_commands[i].help) > 5);
	}
}

static const struct {
	const char *line;
	bool kept;
} typed[] = {
	{"set tunnel a pre-shared-key", true},
	{"set tunnel a ppk", true},
	{"set tunnel a pre-shared-key-file a.psk", true},
	{"set tunnel a ppk-required true", true},
	{"set tunnel a local-address 192.0.2.1 remote-address 192.0.2.2", true},
	{"set tunnel a description \"two words\"", true},
	{"set vnet prod tunnel a", true},
	{"show interfaces | match p | count", true},
	{"", true},
	{"set tunnel a ppk Secret", false},
	{"  s\ttun a next-pre-shared-key\tSecret", false},
	{"set tunnel a \"ppk\" Secret", false},
	{"set tunnel a \"ppk\"Secret", false},
	{"set tunnel a ppk \"Secret", false},
	{"set tunnel a \"ppk Secret", false},
	{"set tunnel a ppk Secret pre-shared-key", false},
	{"set tunnel a pre-shared Secret", false},
	{"set tunnel a next Secret", false},
	{"set t a pp Secret", false},
	{"set tunnel a local-address 192.0.2.1 pre Secret", false},
	{"set tunnel ppk Secret", false},
	{"tunnel a ppk Secret", false},
};

static void
the_history_keeps_no_line_that_may_hold_a_key(void **state)
{
	for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++)
		if (cli_may_hold_key(typed[i].line) == typed[i].kept)
			fail_msg("%s", typed[i].line);
}

static void
filters_work_on_lines(void **state)
{
	static const struct {
		const char *words[6];
		unsigned int n;
		const char *want;
	} cases[] = {
		{{"match", "a"}, 2, "alpha\nbeta\ngamma\n"},
		{{"match", "^a"}, 2, "alpha\n"},
		{{"except", "^a|^b"}, 2, "gamma\ndelta\n"},
		{{"count"}, 1, "Count: 4 lines\n"},
		{{"match", "m", "|", "count"}, 4, "Count: 1 lines\n"},
		{{"no-more"}, 1, "alpha\nbeta\ngamma\ndelta\n"},
		{{"match", "zzz"}, 2, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[] = "alpha\nbeta\ngamma\ndelta\n", *got = NULL;
		struct cli_filters f;
		struct spw_err err = {0};
		size_t len;
		FILE *out = open_memstream(&got, &len);

		assert_int_equal(cli_filters_parse(&f, cases[i].words, cases[i].n, &err), 0);
		assert_int_equal(cli_filters_print(&f, text, out, &err), 0);
		fclose(out);
		if (i == 0)
			assert_string_equal(got, "alpha\nbeta\ngamma\ndelta\n");
		else
			assert_string_equal(got, cases[i].want);
		free(got);
	}
}

static void
bad_filters_are_refused(void **state)
{
	const char *unknown[] = {"grep", "x"}, *missing[] = {"match"}, *extra[] = {"count", "x"};
	const char *broken[] = {"match", "("};
	struct cli_filters f;
	struct spw_err err = {0};
	char text[] = "a\n";

	assert_int_equal(cli_filters_parse(&f, unknown, 2, &err), -EINVAL);
	assert_int_equal(cli_filters_parse(&f, missing, 1, &err), -EINVAL);
	assert_int_equal(cli_filters_parse(&f, extra, 2, &err), -EINVAL);
	assert_int_equal(cli_filters_parse(&f, unknown, 0, &err), 0);
	assert_int_equal(cli_filters_parse(&f, broken, 2, &err), 0);
	assert_int_equal(cli_filters_print(&f, text, stdout, &err), -EINVAL);
}

static void
numbers_read_as_people_expect(void **state)
{
	char out[CLI_CELL];

	assert_string_equal(cli_format_count(0, out), "0");
	assert_string_equal(cli_format_count(999, out), "999");
	assert_string_equal(cli_format_count(1000, out), "1,000");
	assert_string_equal(cli_format_count(91204551, out), "91,204,551");
	assert_string_equal(cli_format_count(-1234, out), "-1,234");
	assert_string_equal(cli_format_bytes(1023, out), "1023");
	assert_string_equal(cli_format_bytes(94600000000.0, out), "88.1G");
	assert_string_equal(cli_format_rate(1.9e9, out), "1.9 Gb/s");
	assert_string_equal(cli_format_rate(12, out), "12 b/s");
	assert_string_equal(cli_format_age(2292, out), "38:12");
	assert_string_equal(cli_format_age(19862, out), "05:31:02");
	assert_string_equal(cli_format_age(3 * 86400 + 2 * 3600 + 11 * 60, out), "3d02:11");
	assert_string_equal(cli_format_age(-4, out), "00:00");
	assert_string_equal(cli_format_short(41e-6, out), "41us");
	assert_string_equal(cli_format_short(0.0004, out), "400us");
	assert_string_equal(cli_format_short(0.87, out), "0.87s");
	assert_string_equal(cli_format_short(8, out), "8s");
	assert_string_equal(cli_format_short(0, out), "0s");
	assert_string_equal(cli_format_date("2026-08-19T02:14:07.311Z", out),
			    "2026-08-19 02:14:07.311");
}

/* --- rendering */

static char *
read_whole(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = calloc(1, 1 << 16);

	if (in == NULL || text == NULL)
		fail_msg("%s cannot be read", path);
	assert_true(fread(text, 1, (1 << 16) - 1, in) > 0);
	fclose(in);
	return text;
}

static json_t *
example(const char *what)
{
	char *text = read_whole(getenv("SPW_SHOW_JSON"));
	char heading[64], *at, *end;
	json_error_t why;
	json_t *json;

	snprintf(heading, sizeof(heading), "\n## %s", what);
	for (at = strstr(text, heading); at; at = strstr(at + 1, heading))
		if (strchr(" \n", at[strlen(heading)]))
			break;
	assert_non_null(at);
	at = strstr(at, "```json\n") + 8;
	end = strstr(at, "```");
	json = json_loadb(at, (size_t)(end - at), 0, &why);
	if (json == NULL)
		fail_msg("example of %s: %s", what, why.text);
	free(text);
	return json;
}

static char *
render(const char *what, const struct cli_style *style)
{
	json_t *data = example(what);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_true(cli_render(out, what, data, style));
	fclose(out);
	json_decref(data);
	return text;
}

static const struct {
	const char *what, *want;
} golden[] = {
	{"version", "spillway    0.1.0  up 02:15:23  revision 12\n"
		    "dataplane   0.1.0  up 02:15:20  DPDK 22.11.7  ciphers AVX512  workers 2  "
		    "incarnation 9f3c55d10a6b2e71\n"
		    "iked        0.1.0\nfrr         8.4.4\n"},
	{"interfaces", "Interface   Role          Link      MTU   Address             MAC          "
		       "      Description\n"
		       "lan0        lan           up        1500  10.1.0.1/24         "
		       "02:00:00:00:00:01  office LAN\n"
		       "primary     expressroute  up        1500  172.16.0.1/30       "
		       "02:00:00:00:00:02  -\n"},
	{"ike", "Peer        Remote          State        Role  Cipher                   Up        "
		"Rekey-in  PFS       "
		"DPD   Retx\n"
		"azure-a     203.0.113.2     established  init  AES256-GCM/PRF-SHA384/20 3d01:53   "
		"05:31:02  ok        "
		"ok 3s 0\n"
		"azure-b     203.0.113.3     connecting   init  -                        -         "
		"-         not-yet   "
		"-     4     (no reply to IKE_SA_INIT, next try 8s)\n"},
	{"ipsec-sa",
	 "Tunnel      Dir  SPI         Cipher      NAT-T  Packets     Bytes    Rate       "
	 "Replay(win/late/dup)  Rekey-in\n"
	 "azure-a     in   c0ffee01    AES256-GCM  no     91,204,551  88.1G    1.9 Gb/s   4096/0/0 "
	 "    "
	 "         38:13\n"
	 "azure-a     out  0b51c2d3    AES256-GCM  no     88,104,400  85.1G    1.9 Gb/s   -        "
	 "    "
	 "         38:13\n"},
	{"ipsec-statistics",
	 "Tunnel      State   Transit-in    Transit-out   Own-in    Own-out   Violations  "
	 "Asymmetric  SAs\n"
	 "azure-a     up      900           910           12        14        0           "
	 "0           1\n"},
	{"route", "Prefix              Source     Vnet    Paths\n"
		  "10.100.0.0/16       bgp        prod    *expressroute 172.16.0.2 er0 | azure-a "
		  "203.0.113.2\n"
		  "10.1.0.0/24         connected  -       *lan0 lan0\n"},
	{"fib", "10.100.1.4: forward by expressroute to 172.16.0.2 on er0  (prefix 10.100.0.0/16, "
		"group 3)\n"},
	{"neighbors", "Address          Interface   MAC                State\n"
		      "172.16.0.2       er0         02:00:00:00:00:09  reachable\n"},
	{"failover",
	 "Vnet   Active        State    Since     Reason                Candidates\n"
	 "prod   expressroute  primary  11d04:02  -                     expressroute up via "
	 "172.16.0.2 and 1 more, bfd up | azure-a ready | azure-b down no reply to IKE_SA_INIT\n"
	 "Last:  2026-08-19 02:14:07.311  expressroute -> azure-a  cause=bfd-timeout  detect=0.87s "
	 " switch=41us  lost=1,902 pkts (est)  restore-hold 30s\n"},
	{"failover-history", "When                     Vnet    From          To            Cause   "
			     "       Detect  Switch  "
			     "Lost\n"
			     "2026-08-19 02:14:07.311  prod    expressroute  azure-a       "
			     "bfd-timeout    0.87s   41us    "
			     "1,902\n"},
	{"failover-readiness",
	 "Vnet    Verdict    Standby       Findings\n"
	 "prod    degraded   azure-a       class normal: 312.0 of 700.0 Mb/s would not fit\n"
	 "lab     not-ready  -             tunnel azure-c: no reply to IKE_SA_INIT\n"
	 "\n"
	 "Vnet    Tunnel      Verdict    IKE-up    SA-age   Rekeyed  PFS       Probe   Loss   p50  "
	 "   p99     MTU           Capacity\n"
	 "prod    azure-a     ready      3d01:53   05:56:47 -        unproven  up      0.0%   "
	 "11.8ms  15.9ms  1400 passes   650.0 Mb/s\n"
	 "lab     azure-c     not-ready  -         -        -        unknown   none    -      -    "
	 "   -       1400 untested -\n"
	 "\n"
	 "Vnet    Class       Load        Would-pass  Fits\n"
	 "prod    critical    12.0 Mb/s   12.0 Mb/s   yes\n"
	 "prod    important   250.0 Mb/s  250.0 Mb/s  yes\n"
	 "prod    normal      700.0 Mb/s  388.0 Mb/s  no\n"
	 "prod    bulk        0 b/s       0 b/s       yes\n"},
	{"drops", "Reason                  Packets       Rate      Last\n"
		  "no-route                12            0.0/s     05:02\n"},
	{"workers",
	 "Worker  Core  Load    Cycles/packet  Rx            Tx            Dropped   Mirrored  "
	 "From-twin  Created\n"
	 "0       1     3.1%    412            100           97            1         2         0   "
	 "    "
	 "   0\n"},
	{"bgp", "Neighbor         AS      State        Up        Received  Limit       Sent   BFD  "
		" Description\n"
		"172.16.0.2       12076   established  11d04:00  4         1000 (0%)   1      up   "
		" msee primary\n"
		"Local AS 65010, router id 172.16.0.1\n"},
	{"bfd",
	 "Peer             Interface   State    Since     Transmit  Detect  Heard   Downs  "
	 "Diagnostic\n"
	 "172.16.0.2       er0         up       11d04:00  0.30s     0.90s   0.20s   0      -\n"
	 "172.16.1.2       er1         down     00:12     1s        -       13s     1      "
	 "detection time expired\n"},
	{"probes", "Vnet    Path          Next-hop        Target          Kind  Size  State    "
		   "Loss   Last    Min     Avg     Max     Lost-why\n"
		   "prod    expressroute  172.16.0.2      10.100.0.4      icmp  100   up       "
		   "0.0%   1.8ms   1.7ms   1.8ms   9.2ms   -\n"
		   "prod    azure-a       -               10.100.0.4      icmp  1400  down     "
		   "100.0% -       -       -       -       too big\n"},
};

static void
every_show_prints_as_agreed(void **state)
{
	const struct cli_style plain = {0};

	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		char *text = render(golden[i].what, &plain);

		assert_string_equal(text, golden[i].want);
		free(text);
	}
}

static void
detail_tells_every_key(void **state)
{
	const struct cli_style detail = {.detail = true};
	char *text = render("ike", &detail);

	assert_non_null(strstr(text, "azure-b\n"));
	assert_non_null(strstr(text, "  child_rekeys           120\n"));
	assert_non_null(strstr(text, "  cipher                 -\n"));
	free(text);
}

static void
detail_of_failover_lists_every_link_with_what_is_wrong(void **state)
{
	const struct cli_style detail = {.detail = true};
	char *text = render("failover", &detail);

	assert_string_equal(
		text, "prod\n"
		      "  active                   expressroute\n"
		      "  state                    primary\n"
		      "  since_s                  964920\n"
		      "  reason                   -\n"
		      "  prefixes_on_expressroute 4\n"
		      "  prefixes_on_tunnel       0\n"
		      "  prefixes_down            0\n"
		      "  flaps                    0\n"
		      "  hold_s                   5\n"
		      "Candidate     Link        Next-hop        State           Weight  BFD   "
		      "Probe    Faults                 Detail\n"
		      "expressroute  -           -               up              -       -     -   "
		      "     -                      via 172.16.0.2 and 1 more, bfd up\n"
		      "-             er0         172.16.0.2      up              -       up    up  "
		      "     -                      -\n"
		      "-             er1         172.16.1.2      down            -       down  "
		      "down     bfd-timeout,probe-lost -\n"
		      "azure-a       -           -               ready           1       -     up  "
		      "     -                      -\n"
		      "azure-b       -           -               down            1       -     "
		      "down     probe-lost             no reply to IKE_SA_INIT\n"
		      "Last:  2026-08-19 02:14:07.311  expressroute -> azure-a  cause=bfd-timeout  "
		      "detect=0.87s  switch=41us  lost=1,902 pkts (est)  restore-hold 30s\n"
		      "Asymmetric packets: 0\n");
	free(text);
}

static void
remarks_are_told_in_detail_only(void **state)
{
	const struct cli_style plain = {0}, detail = {.detail = true};
	char *text = render("failover-readiness", &plain);

	assert_null(strstr(text, "Remark"));
	free(text);
	text = render("failover-readiness", &detail);
	assert_non_null(strstr(text, "Remark prod: tunnel azure-a: pfs is not proven"));
	free(text);
}

static void
events_are_one_line_each_and_cannot_steer_the_terminal(void **state)
{
	static const char *const want[] = {
		"2026-08-19 02:14:07.310  fault  path=expressroute  interface=er0  "
		"next_hop=172.16.0.2  cause=bfd-timeout\n",
		"prod  2026-08-19 02:14:07.311  expressroute -> azure-a  cause=bfd-timeout  "
		"detect=0.87s  switch=41us  restore-hold 30s\n",
		"2026-08-19 02:14:12.102  readiness  vnet=prod  old=ready  new=not-ready  "
		"why=?[2Jthe next hop is dead\n"};
	json_t *data = example("failover-events"), *event;
	size_t i;

	json_object_set_new(json_array_get(json_object_get(data, "events"), 2), "why",
			    json_string("\033[2Jthe next hop is dead"));
	json_array_foreach(json_object_get(data, "events"), i, event)
	{
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		cli_render_event(out, event);
		fclose(out);
		assert_string_equal(text, want[i]);
		free(text);
	}
	assert_int_equal(i, 3);
	json_decref(data);
}

static void
a_report_with_phases_is_a_table(void **state)
{
	json_t *report = json_loads("{\"phases\":[{\"phase\":\"away\",\"path\":\"azure-a\","
				    "\"took_s\":4.0,\"probes_sent\":40,\"probes_lost\":1,"
				    "\"loss_percent\":2.5,\"rtt_p50_us\":11800.0,"
				    "\"rtt_p99_us\":null,\"carried_packets\":40110,"
				    "\"dropped_packets\":0}]}",
				    0, NULL);
	json_t *none = json_pack("{s:s}", "message", "done");
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_false(cli_render_phases(out, none));
	assert_true(cli_render_phases(out, report));
	fclose(out);
	assert_string_equal(text, "Phase     Path          Time    Probes  Lost  Loss   p50     "
				  "p99     Carried     Dropped\n"
				  "away      azure-a       4s      40      1     2.5%   11.8ms  "
				  "-       40,110      0\n");
	free(text);
	json_decref(report);
	json_decref(none);
}

static void
colour_does_not_move_columns(void **state)
{
	const struct cli_style colour = {.colour = true};
	char *text = render("ike", &colour), *out = text;

	assert_non_null(strstr(text, "\033[32mestablished\033[0m"));
	for (char *p = text; *p;)
		if (*p == '\033')
			p = strchr(p, 'm') + 1;
		else
			*out++ = *p++;
	*out = '\0';
	assert_string_equal(text, golden[2].want);
	free(text);
}

static void
foreign_text_cannot_steer_the_terminal(void **state)
{
	json_t *data = json_pack("{s:[{s:s, s:s, s:s}]}", "ike", "peer", "a", "state", "connecting",
				 "reason", "\033[2Jgone\n");
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	const struct cli_style plain = {0};

	assert_true(cli_render(out, "ike", data, &plain));
	fclose(out);
	assert_null(strchr(text, '\033'));
	assert_non_null(strstr(text, "?[2Jgone?"));
	free(text);
	json_decref(data);
}

/* U+009B is what terminals take for ESC [ . */
static void
controls_of_every_kind_are_replaced_and_letters_stay(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {{"\033[2J", "?[2J"},
		   {"a\tb\x7f", "a?b?"},
		   {"\xc2\x9b"
		    "31m",
		    "??31m"},
		   {"\xc2\xa0Z\xc3\xbcrich \xe2\x82\xac", "\xc2\xa0Z\xc3\xbcrich \xe2\x82\xac"},
		   {"cut \xe2\x82", "cut ??"}};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		char text[32];

		snprintf(text, sizeof(text), "%s", row[i].text);
		cli_make_printable(text);
		assert_string_equal(text, row[i].want);
	}
}

static void
columns_are_aligned_by_characters(void **state)
{
	json_t *data = json_loads("{\"interfaces\":[{\"name\":\"a\",\"role\":\"Z\u00fcrich\","
				  "\"link\":\"up\"},{\"name\":\"b\",\"role\":\"Zurich\","
				  "\"link\":\"up\"}]}",
				  0, NULL);
	const struct cli_style plain = {0};
	char *text = NULL, *first, *second;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_true(cli_render(out, "interfaces", data, &plain));
	fclose(out);
	first = strchr(text, '\n') + 1;
	second = strchr(first, '\n') + 1;
	assert_int_equal(strstr(first, "up") - first, strstr(second, "up") - second + 1);
	free(text);
	json_decref(data);
}

static void
objects_of_another_form_are_refused_or_print_dashes(void **state)
{
	static const char *const forms[] = {"{}", "{\"ike\":1}", "{\"ike\":[1,null,{}]}",
					    "{\"ike\":[{\"peer\":5,\"up_s\":\"x\"}]}"};
	const struct cli_style plain = {0};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		json_t *data = json_loads(forms[i], 0, NULL);
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		assert_int_equal(cli_render(out, "ike", data, &plain), i >= 2);
		fclose(out);
		free(text);
		json_decref(data);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_match_one_command_or_none),
		cmocka_unit_test(mistakes_are_told_with_what_fits),
		cmocka_unit_test(offers_are_what_the_table_allows),
		cmocka_unit_test(every_command_matches_itself),
		cmocka_unit_test(the_history_keeps_no_line_that_may_hold_a_key),
		cmocka_unit_test(filters_work_on_lines),
		cmocka_unit_test(bad_filters_are_refused),
		cmocka_unit_test(numbers_read_as_people_expect),
		cmocka_unit_test(every_show_prints_as_agreed),
		cmocka_unit_test(detail_tells_every_key),
		cmocka_unit_test(detail_of_failover_lists_every_link_with_what_is_wrong),
		cmocka_unit_test(remarks_are_told_in_detail_only),
		cmocka_unit_test(events_are_one_line_each_and_cannot_steer_the_terminal),
		cmocka_unit_test(a_report_with_phases_is_a_table),
		cmocka_unit_test(colour_does_not_move_columns),
		cmocka_unit_test(foreign_text_cannot_steer_the_terminal),
		cmocka_unit_test(controls_of_every_kind_are_replaced_and_letters_stay),
		cmocka_unit_test(columns_are_aligned_by_characters),
		cmocka_unit_test(objects_of_another_form_are_refused_or_print_dashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
