-- SPDX-License-Identifier: BSD-3-Clause
-- Run a profile without Pktgen, against a made-up gateway of 4 million packets a second on a
-- 10 Gbit/s line: `lua5.4 dry-run.lua rfc2544.lua [old]`. It shows that a profile works after an
-- edit; its figures mean nothing. `old` answers as releases did that had no `curr`.
package.path = package.path .. ";./?.lua;bench/pktgen/?.lua"
local site = require("site")

local LINE_BITS, GATEWAY_PPS = 10e9, 4e6
local sizes, slots, rate, running, now = {}, 0, 0, false, 0
local sent, received = 0, 0

local function port_list(text)
	assert(type(text) == "string" and (text == "all" or text:match("^[%d,]+$")), "bad port list")
end

local function mean_frame()
	local sum = 0
	for slot = 0, slots - 1 do
		sum = sum + assert(sizes[slot], "a slot was not loaded")
	end
	return sum / slots
end

local function pass(ms)
	now = now + ms
	if running then
		local offered = rate / 100 * LINE_BITS / 8 / (mean_frame() + 20)
		sent = sent + math.floor(offered * ms / 1000)
		received = received + math.floor(math.min(offered, GATEWAY_PPS) * ms / 1000)
	end
end

local settings = {
	count = function(value) assert(value == 0) end,
	seq_cnt = function(value) assert(value >= 1 and value <= 16) slots = value end,
	rate = function(value) assert(value > 0 and value <= 100) rate = value end,
}

local function port_stats(text, kind)
	port_list(text)
	assert(kind == "port")
	local stats = { opackets = text == site.send and sent or 0,
		ipackets = text ~= site.send and text == site.receive:match("%d+") and received or 0 }
	return { [tonumber(text)] = arg[2] == "old" and stats or { curr = stats } }
end

pktgen = {
	screen = function(state) assert(state == "off") end,
	clr = function() sent, received = 0, 0 end,
	delay = pass,
	start = function(ports) port_list(ports) running = true end,
	stop = function(ports) port_list(ports) running = false end,
	set = function(ports, what, value) port_list(ports) settings[what](value) end,
	latency = function(ports, what) port_list(ports) assert(({ rate = 1, enable = 1, disable = 1 })[what]) end,
	seqTable = function(slot, ports, packet)
		port_list(ports)
		assert(slot >= 0 and slot < 16 and packet.pktSize >= 64 and packet.pktSize <= 1518)
		sizes[slot] = packet.pktSize
	end,
	portStats = port_stats,
	pktStats = function(ports)
		return { [tonumber(ports)] = { latency = { min_us = 5, avg_us = 8, max_us = 40, num_pkts = 30000 } } }
	end,
}

site.results = os.tmpname()
dofile(arg[1])
print(string.format("(%d s of line time; results went to %s)", now // 1000, site.results))
