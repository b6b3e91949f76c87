/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: any DPDK device, a NIC by PCI address or a virtual device by its argument string, probed
 * when controld names it and not before.
 *
 * Each worker gets a receive queue and a transmit queue of its own where the device has enough;
 * else the first workers receive, and queue 0 is shared for sending under a lock. Where several
 * workers seal, ESP has queues apart (dp_tx_plan()). Offloads are used
 * only where the device has them. An unknown device, or one that refuses a step, gives one sentence
 * and leaves nothing behind.
 *
 * A link is up when the driver and the kernel both say so (drivers of virtual devices over kernel
 * interfaces say "up" for ever; controld passes the kernel's word). When it goes down, every path
 * over the port loses its bit at once, in the thread that heard of it.
 */
#include "dataplane/port.h"

#include <errno.h>
#include <net/if.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <stdlib.h>

#include "dataplane/bell.h"

#define DESCRIPTORS 1024

static void
name_escape(char out[64], const char *text, size_t max)
{
	spw_text_escape(out, 64, text, strnlen(text, max));
}

/* DPDK port of a probed device; false when there is none. */
static bool
port_by_device(const char *name, uint16_t *id)
{
	struct rte_eth_dev_info info;
	uint16_t i;

	RTE_ETH_FOREACH_DEV(i)
	{
		if (rte_eth_dev_info_get(i, &info) != 0 ||
		    strcmp(rte_dev_name(info.device), name) != 0)
			continue;
		*id = i;
		return true;
	}
	return false;
}

/*
 * Name of the kernel interface that a virtual device stands on; "" when there is none. net_tap
 * makes its interface itself.
 */
static void
kernel_iface(const struct spw_dp_port *conf, char name[IFNAMSIZ])
{
	const char *at = strstr(conf->devargs, ",iface=");

	name[0] = '\0';
	if (at && strncmp(conf->devargs, "net_tap", strlen("net_tap")) != 0) {
		at += strlen(",iface=");
		snprintf(name, IFNAMSIZ, "%.*s", (int)strcspn(at, ","), at);
	}
}

/* Say so when a missing kernel interface is what is wrong. */
static int
kernel_iface_check(const struct spw_dp_port *conf, struct spw_err *err)
{
	char name[IFNAMSIZ], shown[64];

	kernel_iface(conf, name);
	if (!name[0] || if_nametoindex(name) != 0)
		return 0;
	name_escape(shown, name, sizeof(name));
	return spw_fail(err, -ENODEV,
			"port '%.15s': there is no kernel interface '%s' for its device; create it "
			"or correct the device",
			conf->name, shown);
}

static int
device_probe(const struct spw_dp_port *conf, uint16_t *id, struct spw_err *err)
{
	struct rte_devargs da = {0};
	char shown[64], devargs[2 * SPW_DP_DEVARGS];
	int rc = dp_packet_devargs(conf->devargs, devargs, sizeof(devargs));

	name_escape(shown, conf->devargs, sizeof(conf->devargs));
	if (rc != 0 || rte_devargs_parse(&da, devargs) != 0) {
		free(da.data);
		return spw_fail(err, -EINVAL,
				"port '%.15s': device '%s' is neither a PCI address nor a virtual "
				"device; use 0000:03:00.0 or net_af_packet0,iface=eth0",
				conf->name, shown);
	}
	rc = kernel_iface_check(conf, err);
	if (rc == 0 && port_by_device(da.name, id))
		rc = spw_fail(err, -EEXIST, "port '%.15s': device '%s' is used by another port",
			      conf->name, shown);
	if (rc == 0 && (rc = rte_dev_probe(devargs)) != 0)
		rc = spw_fail(err, -ENODEV,
			      "port '%.15s': device '%s' cannot be opened (%s); check that it "
			      "exists and is bound to a DPDK driver",
			      conf->name, shown,
			      rc == -1 ? "the driver refuses it" : strerror(abs(rc)));
	if (rc == 0 && !port_by_device(da.name, id))
		rc = spw_fail(err, -ENODEV, "port '%.15s': device '%s' is no network device",
			      conf->name, shown);
	free(da.data);
	return rc;
}

static void
device_remove(uint16_t id)
{
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(id, &info) != 0)
		return;
	rte_eth_dev_stop(id);
	rte_eth_dev_close(id);
	rte_dev_remove(info.device);
}

/* Queues and offloads for what the device can do. */
static struct rte_eth_conf
conf_for(struct dp_port *p, const struct rte_eth_dev_info *info, unsigned int n_workers)
{
	struct rte_eth_conf conf = {0};

	p->n_rxq = (uint16_t)RTE_MIN(n_workers, info->max_rx_queues);
	p->tx = dp_tx_plan(info->max_tx_queues, n_workers);
	if (p->n_rxq > 1 && info->flow_type_rss_offloads) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			info->flow_type_rss_offloads &
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_ESP);
	}
	if (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) {
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
		p->rx_csum = true;
	}
	conf.rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	conf.txmode.offloads |= info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	p->tx_insert = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) != 0;
	p->lsc = info->dev_flags && (*info->dev_flags & RTE_ETH_DEV_INTR_LSC);
	conf.intr_conf.lsc = p->lsc;
	return conf;
}

static int
queues_setup(struct dp_port *p, struct rte_mempool *pool)
{
	uint16_t n_rx = DESCRIPTORS, n_tx = DESCRIPTORS;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->dpdk_id, &n_rx, &n_tx);

	for (uint16_t q = 0; rc == 0 && q < p->n_rxq; q++)
		rc = rte_eth_rx_queue_setup(p->dpdk_id, q, n_rx, SOCKET_ID_ANY, NULL, pool);
	for (uint16_t q = 0; rc == 0 && q < p->tx.n; q++)
		rc = rte_eth_tx_queue_setup(p->dpdk_id, q, n_tx, SOCKET_ID_ANY, NULL);
	return rc;
}

static int
link_event(uint16_t dpdk_id, enum rte_eth_event_type type, void *arg, void *ret)
{
	struct rte_eth_link link;

	if (type == RTE_ETH_EVENT_INTR_LSC && rte_eth_link_get_nowait(dpdk_id, &link) == 0)
		dp_port_link_driver(arg, link.link_status == RTE_ETH_LINK_UP);
	return 0;
}

int
dp_port_set_mtu(struct dp_port *p, const struct spw_dp_port *conf,
		const struct dp_port_context *ctx, struct spw_err *err)
{
	if (conf->mtu < 576 || conf->mtu > ctx->mtu_max)
		return spw_fail(err, -EINVAL,
				"port '%.15s': MTU %u is not in 576..%u; larger ones need a larger "
				"--mbuf-size",
				conf->name, conf->mtu, ctx->mtu_max);
	int rc = rte_eth_dev_set_mtu(p->dpdk_id, (uint16_t)conf->mtu);
	struct rte_eth_dev_info info;

	if (rc == 0 || rc == -ENOTSUP)
		return 0;
	if (rc == -EINVAL && rte_eth_dev_info_get(p->dpdk_id, &info) == 0)
		return spw_fail(err, rc,
				"port '%.15s': the device refuses an MTU of %u; its frames have up "
				"to %u bytes",
				conf->name, conf->mtu, info.max_rx_pktlen);
	return spw_fail(err, rc, "port '%.15s': the device refuses an MTU of %u: %s", conf->name,
			conf->mtu, strerror(-rc));
}

static int
device_start(struct dp_port *p, const struct spw_dp_port *conf, const struct dp_port_context *ctx,
	     struct spw_err *err)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	int rc = rte_eth_dev_info_get(p->dpdk_id, &info);

	if (rc == 0) {
		struct rte_eth_conf eth = conf_for(p, &info, ctx->n_workers);

		p->physical = strcmp(rte_bus_name(rte_dev_bus(info.device)), "vdev") != 0;
		rc = rte_eth_dev_configure(p->dpdk_id, p->n_rxq, p->tx.n, &eth);
	}
	if (rc == 0)
		rc = queues_setup(p, ctx->pool);
	if (rc == 0)
		rc = rte_eth_macaddr_get(p->dpdk_id, &mac);
	if (rc != 0)
		return spw_fail(err, rc, "port '%.15s': the device cannot be configured: %s",
				conf->name, strerror(-rc));
	memcpy(p->mac, mac.addr_bytes, 6);
	rc = dp_port_set_mtu(p, conf, ctx, err);
	if (rc != 0)
		return rc;
	rc = rte_eth_dev_start(p->dpdk_id);
	if (rc != 0)
		return spw_fail(err, rc, "port '%.15s': the device cannot be started: %s",
				conf->name, strerror(-rc));
	rte_eth_allmulticast_enable(p->dpdk_id);
	return 0;
}

static void
link_init(struct dp_port *p)
{
	struct rte_eth_link link = {.link_status = RTE_ETH_LINK_UP};

	atomic_store(&p->link_kernel, 1);
	if (p->lsc)
		rte_eth_dev_callback_register(p->dpdk_id, RTE_ETH_EVENT_INTR_LSC, link_event, p);
	if (p->physical)
		rte_eth_link_get_nowait(p->dpdk_id, &link);
	dp_port_link_driver(p, link.link_status == RTE_ETH_LINK_UP);
}

int
dp_port_open(struct dp_port **out, const struct spw_dp_port *conf,
	     const struct dp_port_context *ctx, struct spw_err *err)
{
	struct dp_port *p = aligned_alloc(64, sizeof(*p));
	int rc;

	if (p) {
		memset(p, 0, sizeof(*p));
		p->mask = calloc(1, sizeof(*p->mask));
	}
	if (!p || !p->mask) {
		free(p);
		return spw_fail(err, -ENOMEM, "no memory for port '%.15s'", conf->name);
	}
	p->conf = *conf;
	p->bits = ctx->bits;
	p->bell = ctx->bell;
	for (unsigned int q = 0; q < DP_TX_QUEUES; q++)
		atomic_flag_clear(&p->tx_lock[q].held);
	rc = device_probe(conf, &p->dpdk_id, err);
	if (rc == 0) {
		rc = device_start(p, conf, ctx, err);
		if (rc != 0)
			device_remove(p->dpdk_id);
	}
	if (rc != 0) {
		free(p->mask);
		free(p);
		return rc;
	}
	char name[IFNAMSIZ];

	kernel_iface(conf, name);
	if (name[0]) {
		dp_kernel_quiet(&p->quiet, name, ctx->run_dir);
		dp_port_missed_begin(&p->missed, name);
	}
	link_init(p);
	*out = p;
	return 0;
}

void
dp_port_close(struct dp_port *p)
{
	/* -EAGAIN: the interrupt thread is in it just now. */
	while (p->lsc && rte_eth_dev_callback_unregister(p->dpdk_id, RTE_ETH_EVENT_INTR_LSC,
							 link_event, p) == -EAGAIN)
		rte_pause();
	device_remove(p->dpdk_id);
	dp_kernel_restore(&p->quiet);
	free(atomic_load(&p->vlans));
	free(p->mask);
	free(p);
}

static uint8_t
both_up(struct dp_port *p)
{
	return atomic_load(&p->link_driver) && atomic_load(&p->link_kernel);
}

/*
 * Bring the effective state up to date; a fall clears the paths. Driver and kernel may speak at
 * once, and whoever read before the other wrote may be the last to store: each looks again.
 */
static void
link_settle(struct dp_port *p)
{
	uint8_t up, was;

	do {
		up = both_up(p);
		was = atomic_exchange(&p->link_up, up);
		if (was && !up)
			dp_path_bits_clear(p->bits, p->mask, spw_clock_ns());
		if (was != up)
			dp_bell_ring(p->bell);
	} while (up != both_up(p));
}

void
dp_port_link_driver(struct dp_port *p, bool up)
{
	if (atomic_exchange(&p->link_driver, up) == up)
		return;
	atomic_store(&p->link_event, 1);
	link_settle(p);
}

void
dp_port_link_kernel(struct dp_port *p, bool up)
{
	atomic_store(&p->link_kernel, up);
	link_settle(p);
}

void
dp_port_link_poll(struct dp_port *p)
{
	struct rte_eth_link link;

	if (p->physical && !p->lsc && rte_eth_link_get_nowait(p->dpdk_id, &link) == 0)
		dp_port_link_driver(p, link.link_status == RTE_ETH_LINK_UP);
}
