-- SPDX-License-Identifier: BSD-3-Clause
-- Throughput by RFC 2544 26.1: for each size the highest rate without loss, then confirmed.
package.path = package.path .. ";./?.lua;bench/pktgen/?.lua"
local tester = require("tester")
local site = tester.site

local function told(rate, sent, received, good)
	tester.say("  %7.3f %%  sent %d  received %d  lost %d%s", rate, sent, received, sent - received,
		good and "" or "  (too much)")
end

local function throughput(name, sizes)
	tester.load(sizes)
	local rate = tester.search(told)
	local sent, received, pps
	-- A rate that held for a short trial may lose in a long one: step down until it holds.
	while rate and rate >= site.rate_low do
		sent, received, pps = tester.trial(rate, site.confirm_s)
		told(rate, sent, received, sent - received <= site.loss_allowed)
		if sent > 0 and sent - received <= site.loss_allowed then
			break
		end
		rate = rate - site.resolution
	end
	if not rate or rate < site.rate_low then
		tester.say("%s: loses at %.2f %% of the line already", name, site.rate_low)
		return
	end
	local inner, wire = tester.gbits(pps, sizes)
	tester.say("%s: %.3f %%  %.3f Mpps  %.3f Gbit/s inner  %.3f Gbit/s on the wire", name, rate,
		pps / 1e6, inner, wire)
	tester.record("rfc2544", { { "load", name }, { "rate_percent", rate }, { "pps", pps },
		{ "inner_gbps", inner }, { "wire_gbps", wire }, { "confirm_s", site.confirm_s } })
end

tester.begin("RFC 2544 throughput")
for _, size in ipairs(site.sizes) do
	throughput(tostring(size), tester.of(size))
end
throughput("imix", tester.imix)
