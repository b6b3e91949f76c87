-- SPDX-License-Identifier: BSD-3-Clause
-- Latency at given shares of the line: Pktgen stamps some packets and reads them where they arrive, so
-- the receiving port must see them as they were sent: behind the second gateway, or a self-loop.
-- Give the rates of a throughput run; the self-loop's own latency is to be taken off.
package.path = package.path .. ";./?.lua;bench/pktgen/?.lua"
local tester = require("tester")
local site = tester.site

local SECONDS = 30
local SMALLEST = 128 -- room for the stamp whatever the release

-- Share of the line to test at each size: rates.lua from a throughput run, or one low rate for all.
local found, rates = pcall(require, "rates")

local function latency(size)
	local rate = (found and rates[size] or 1) * site.latency_share
	local port = string.match(site.receive, "%d+")
	tester.load(tester.of(size))
	pktgen.latency(site.send .. "," .. port, "rate", site.latency_rate)
	pktgen.latency(site.send .. "," .. port, "enable")
	local sent, received = tester.trial(rate, SECONDS)
	local seen = pktgen.pktStats(port)[tonumber(port)].latency
	pktgen.latency(site.send .. "," .. port, "disable")
	tester.say("%d B at %.2f %%: min %.2f us  avg %.2f us  max %.2f us  of %d stamped; lost %d", size,
		rate, seen.min_us, seen.avg_us, seen.max_us, seen.num_pkts, sent - received)
	tester.record("latency", { { "size", size }, { "rate_percent", rate }, { "min_us", seen.min_us },
		{ "avg_us", seen.avg_us }, { "max_us", seen.max_us }, { "stamped", seen.num_pkts },
		{ "lost", sent - received } })
end

tester.begin("latency")
for _, size in ipairs(site.sizes) do
	if size >= SMALLEST then
		latency(size)
	end
end
