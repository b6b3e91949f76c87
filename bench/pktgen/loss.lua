-- SPDX-License-Identifier: BSD-3-Clause
-- Loss window: a steady load while something happens to the gateway (rekey, failover, failback,
-- commit, restart). Prints the packets lost and the *effective blocked time*, lost / offered packets a
-- second. A first run without any event must lose nothing, else the rate is too high.
package.path = package.path .. ";./?.lua;bench/pktgen/?.lua"
local tester = require("tester")
local site = tester.site

local EVENT_AT = 10 -- second
local SIZE = 512

local before = 0

local function second_line(second, sent, received)
	local missing = sent - received
	local mark = second == EVENT_AT and "   <== now" or ""
	tester.say("  %3d s  missing %d (%+d)%s", second, missing, missing - before, mark)
	before = missing
end

tester.begin("loss window")
tester.load(tester.of(SIZE))
local sent, received, pps = tester.trial(site.loss_rate, site.loss_s, second_line)
local lost = sent - received
tester.say("loss window: offered %.0f packets/s  lost %d  effective blocked time %.3f ms", pps, lost,
	lost / math.max(pps, 1) * 1e3)
tester.record("loss", { { "seconds", site.loss_s }, { "pps", pps }, { "sent", sent },
	{ "lost", lost }, { "blocked_ms", lost / math.max(pps, 1) * 1e3 } })
