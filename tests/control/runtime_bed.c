/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bed of tests that run the runtime over the real kernel: what is made in the namespace goes
 * with the process, what is made in the directory is removed by name, so that a file nobody
 * expected is seen. The configuration is the bed's, to be changed and committed.
 */
#include "tests/control/runtime_bed.h"

#include <event2/event.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct runtime_bed bed = {
	.config = {.interfaces = bed.interfaces, .tunnels = bed.tunnel, .vnets = &bed.vnet}};

static int
key_make(void)
{
	FILE *f;

	snprintf(bed.key, sizeof(bed.key), "%s/key", bed.dir);
	f = fopen(bed.key, "w");
	if (f == NULL)
		return -1;
	fputs("secret", f);
	fclose(f);
	return chmod(bed.key, 0600);
}

int
bed_enter(const char *name)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0)
		return 0;
	spw_log_init("test", getenv("SPW_TEST_LOG") ? SPW_LOG_DEBUG : SPW_LOG_ERROR);
	snprintf(bed.dir, sizeof(bed.dir), "/tmp/ctl-%s-XXXXXX", name);
	if (!mkdtemp(bed.dir) || spw_secret_init() != 0 || key_make() != 0)
		return -1;
	bed.base = event_base_new();
	return ip_status("link set lo up");
}

void
bed_start(void)
{
	bed.dp.incarnation = 1;
	double_start(bed.dir, &bed.dp);
	bed_runtime_start();
}

int
bed_leave(void **state)
{
	static const char *const left[] = {"key", "controld.ids", "dataplane.sock", "frr.conf"};
	char path[96];

	if (!bed.base)
		return 0;
	ctl_runtime_free(bed.rt);
	double_stop();
	event_base_free(bed.base);
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", bed.dir, left[i]);
		unlink(path);
	}
	return rmdir(bed.dir);
}

void
bed_need_root(void)
{
	if (!bed.base)
		skip();
}

void
bed_runtime_start(void)
{
	struct ctl_runtime_options o = {.run_dir = bed.dir, .state_dir = bed.dir};
	struct spw_err err = {0};

	if (ctl_runtime_new(&bed.rt, bed.base, &o, &err) != 0)
		fail_msg("%s", err.text);
	bed_commit();
}

void
bed_commit(void)
{
	struct spw_err err = {0};
	struct ctl_plan *plan;

	if (ctl_runtime_prepare(bed.rt, &bed.config, &plan, &err) != 0)
		fail_msg("%s", err.text);
	ctl_runtime_apply(bed.rt, plan);
}

void
bed_turn(unsigned int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	event_base_loopexit(bed.base, &tv);
	event_base_dispatch(bed.base);
}

bool
bed_run(unsigned int ms, bool (*condition)(void))
{
	uint64_t end = spw_clock_ns() + ms * SPW_NS_PER_MS;

	while (spw_clock_ns() < end) {
		bed_turn(5);
		double_lock();
		bool is = condition && condition();

		double_unlock();
		if (is)
			return true;
	}
	return false;
}

const char *
bed_tiers(const char *text)
{
	static char out[8];
	struct spw_prefix p = prefix(text);
	unsigned int n = 0;

	for (unsigned int r = 0; r < bed.dp.n_route; r++) {
		if (!spw_prefix_equal(&bed.dp.route[r].prefix, &p))
			continue;
		for (unsigned int g = 0; g < bed.dp.n_group; g++)
			for (unsigned int t = 0; bed.dp.group[g].id == bed.dp.route[r].group &&
						 t < bed.dp.group[g].n_tiers;
			     t++)
				out[n++] = "PETI"[bed.dp.group[g].tier[t].role];
		out[n] = '\0';
		return n ? out : "drop";
	}
	return "-";
}

const struct spw_dp_path *
bed_path(enum spw_dp_path_kind kind, const char *next_hop)
{
	struct spw_addr hop = {0};

	if (next_hop)
		hop = prefix(next_hop).addr;
	for (unsigned int i = 0; i < bed.dp.n_path; i++)
		if (bed.dp.path[i].kind == kind && spw_addr_equal(&bed.dp.path[i].next_hop, &hop))
			return &bed.dp.path[i];
	return NULL;
}

struct ctl_interface
bed_interface(const char *name, const char *device, enum spw_dp_iface_role role,
	      const char *address)
{
	struct ctl_interface i = {.role = role, .enabled = true, .mtu = 1500, .n_addresses = 1};

	snprintf(i.name, sizeof(i.name), "%s", name);
	snprintf(i.device, sizeof(i.device), "%s", device);
	i.address[0] = prefix(address);
	return i;
}

struct ctl_tunnel
bed_tunnel(const char *name, const char *local, const char *remote)
{
	struct ctl_tunnel t = {.enabled = true,
			       .mtu = 1400,
			       .local = prefix(local).addr,
			       .remote = prefix(remote).addr};

	snprintf(t.name, sizeof(t.name), "%s", name);
	snprintf(t.psk_file, sizeof(t.psk_file), "%s", bed.key);
	return t;
}

void
bed_one_link(void)
{
	ip("link add p-er type veth peer name far-er");
	ip("link set p-er up");
	ip("link set far-er up");
	bed.interfaces[0] = bed_interface("er0", "net_af_packet0,iface=p-er",
					  SPW_IF_ROLE_EXPRESSROUTE, "172.16.0.1/30");
	bed.interfaces[1] = bed_interface("lan0", "net_null0", SPW_IF_ROLE_LAN, "10.1.0.1/24");
	bed.tunnel[0] = bed_tunnel("azure-a", "198.51.100.2", "203.0.113.2");
	bed.vnet = (struct ctl_vnet){.name = "prod",
				     .n_prefixes = 1,
				     .n_tunnels = 1,
				     .tunnel = {{.name = "azure-a", .weight = 1}}};
	bed.vnet.prefix[0] = prefix("10.100.0.0/16");
	bed.config.n_interfaces = 2;
	bed.config.n_tunnels = bed.config.n_vnets = 1;
}
