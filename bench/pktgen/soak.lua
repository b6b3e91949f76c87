-- SPDX-License-Identifier: BSD-3-Clause
-- Soak: IMIX at one rate for long; a line for every minute that lost something, and the sum.
package.path = package.path .. ";./?.lua;bench/pktgen/?.lua"
local tester = require("tester")
local site = tester.site

local before = 0

local function minute(second, sent, received)
	if second % 60 ~= 0 then
		return
	end
	-- Packets in flight make the running difference jitter; only what grows is loss.
	local lost = sent - received
	tester.say("  %5d s  sent %d  missing %d (%+d)", second, sent, lost, lost - before)
	before = lost
end

tester.begin("soak")
tester.load(tester.imix)
local sent, received, pps = tester.trial(site.soak_rate, site.soak_s, minute)
tester.say("soak: %d s at %.3f Mpps  sent %d  lost %d  (%.3g of all)", site.soak_s, pps / 1e6, sent,
	sent - received, (sent - received) / math.max(sent, 1))
tester.record("soak", { { "seconds", site.soak_s }, { "pps", pps }, { "sent", sent },
	{ "lost", sent - received } })
