-- SPDX-License-Identifier: BSD-3-Clause
-- What the profiles share: flows, trials, counters of old and new Pktgen releases, results.
--
-- A size here is that of the inner IPv4 packet. Pktgen counts a frame with its Ethernet header and
-- checksum, 18 bytes more. Packets are laid into Pktgen's 16 sequence slots, which it sends in turn;
-- every slot has a UDP source port of its own, so that the gateway's RSS sees flows.
local site = require("site")

local tester = { site = site }

local FRAME = 18 -- Ethernet header and checksum
local WIRE = 20 -- preamble and gap between frames
local SLOTS = 16

-- Simple IMIX 7:4:1 in twelve slots, the small ones spread out.
tester.imix = { 64, 594, 64, 64, 594, 64, 594, 64, 64, 594, 64, 1400 }

function tester.mean(sizes)
	local sum = 0
	for _, size in ipairs(sizes) do
		sum = sum + size
	end
	return sum / #sizes
end

-- A list of `SLOTS` slots of one size.
function tester.of(size)
	local sizes = {}
	for slot = 1, SLOTS do
		sizes[slot] = size
	end
	return sizes
end

function tester.say(format, ...)
	print(string.format(format, ...))
end

-- Say what is sent, one line: a figure without its mix is worth nothing.
function tester.print_mix(sizes)
	local counts, order = {}, {}
	for _, size in ipairs(sizes) do
		if not counts[size] then
			counts[size] = 0
			order[#order + 1] = size
		end
		counts[size] = counts[size] + 1
	end
	local parts = {}
	for _, size in ipairs(order) do
		parts[#parts + 1] = string.format("%d x %d B", counts[size], size)
	end
	tester.say("mix: %s; mean %.1f B inner, %d flows", table.concat(parts, ", "), tester.mean(sizes),
		#sizes)
end

-- Lay the packets into the slots of the sending port.
function tester.load(sizes)
	assert(#sizes <= SLOTS, "Pktgen has 16 sequence slots")
	for slot, size in ipairs(sizes) do
		pktgen.seqTable(slot - 1, site.send, {
			eth_dst_addr = site.gateway_mac,
			eth_src_addr = site.source_mac,
			ip_dst_addr = site.destination,
			ip_src_addr = site.source,
			sport = site.first_port + slot - 1,
			dport = 4789,
			ethType = "ipv4",
			ipProto = "udp",
			vlanid = 1,
			pktSize = size + FRAME,
			gtpu_teid = 0,
		})
	end
	pktgen.set(site.send, "count", 0)
	pktgen.set(site.send, "seq_cnt", #sizes)
	tester.print_mix(sizes)
end

-- A port's counter: newer releases keep it in `curr`.
local function counter(port, name)
	local stats = pktgen.portStats(port, "port")[tonumber(port)]
	return (stats.curr or stats)[name]
end

function tester.sent()
	return counter(site.send, "opackets")
end

function tester.received()
	local sum = 0
	for port in string.gmatch(site.receive, "%d+") do
		sum = sum + counter(port, "ipackets")
	end
	return sum
end

-- Send at `rate` percent for `seconds`; calls each(second) every second when given.
-- Returns packets sent, received, and packets a second offered.
function tester.trial(rate, seconds, each)
	pktgen.clr()
	pktgen.delay(500)
	local sent, received = tester.sent(), tester.received()
	pktgen.set(site.send, "rate", rate)
	pktgen.start(site.send)
	for second = 1, seconds do
		pktgen.delay(1000)
		if each then
			each(second, tester.sent() - sent, tester.received() - received)
		end
	end
	pktgen.stop(site.send)
	pktgen.delay(site.settle_s * 1000)
	sent, received = tester.sent() - sent, tester.received() - received
	return sent, received, sent / seconds
end

-- The highest rate, in percent, at which no more than `loss_allowed` packets are lost, by halving;
-- nil when even the lowest loses. `told` gets each trial.
function tester.search(told)
	local low, high, best = site.rate_low, site.rate_high, nil
	local rate = high
	while true do
		local sent, received = tester.trial(rate, site.trial_s)
		local good = sent > 0 and sent - received <= site.loss_allowed
		told(rate, sent, received, good)
		if good then
			low, best = rate, rate
		else
			high = rate
		end
		if best == site.rate_high or high - low <= site.resolution then
			return best
		end
		rate = (low + high) / 2
	end
end

-- Inner Gbit/s and Gbit/s on the wire of the sending side.
function tester.gbits(pps, sizes)
	local mean = tester.mean(sizes)
	return pps * mean * 8 / 1e9, pps * (mean + FRAME + WIRE) * 8 / 1e9
end

-- A row of the results file; the heading is written when the file is new.
function tester.record(profile, fields)
	local names, values = { "when", "profile" }, { os.date("!%Y-%m-%dT%H:%M:%SZ"), profile }
	for _, field in ipairs(fields) do
		names[#names + 1] = field[1]
		values[#values + 1] = tostring(field[2])
	end
	local file = assert(io.open(site.results, "a"))
	file:write("# " .. table.concat(names, ",") .. "\n" .. table.concat(values, ",") .. "\n")
	file:close()
end

function tester.begin(title)
	pktgen.screen("off")
	pktgen.stop("all")
	pktgen.delay(500)
	tester.say("%s: port %s to port %s", title, site.send, site.receive)
end

return tester
