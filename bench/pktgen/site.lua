-- SPDX-License-Identifier: BSD-3-Clause
-- The one file to edit: ports, addresses and bounds of this test bed. README.md has the drawing.
--
-- A port is Pktgen's number as text. `receive` may name several ports, as "1,2": what arrives on
-- any of them counts (the loss profile, where traffic moves from one path to another).
return {
	send = "0",
	receive = "1",
	source_mac = "02:00:00:00:00:0a", -- of Pktgen's sending port
	gateway_mac = "02:00:00:00:00:01", -- of the gateway's LAN port: `show interfaces`
	source = "10.1.0.2/16",
	destination = "10.2.0.2", -- behind the tunnel
	first_port = 1024, -- UDP source ports from here on: one a slot of the mix

	sizes = { 64, 128, 256, 512, 1024, 1400 }, -- inner IPv4 bytes
	trial_s = 20, -- a trial of the search; RFC 2544 24 wants at least 60 for the last
	confirm_s = 60,
	settle_s = 2, -- from stop to reading, for packets in flight
	rate_low = 0.1, -- percent of the line
	rate_high = 100,
	resolution = 0.1, -- the search stops there
	loss_allowed = 0, -- packets; 0 is what RFC 2544 calls throughput

	latency_share = 0.9, -- of the throughput, per RFC 2544 26.2 and beyond
	latency_rate = 1000, -- stamped packets a second
	soak_s = 1800,
	soak_rate = 50,
	loss_s = 30, -- of a loss window run
	loss_rate = 10,
	results = "results.csv",
}
