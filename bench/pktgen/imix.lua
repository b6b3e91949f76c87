-- SPDX-License-Identifier: BSD-3-Clause
-- Simple IMIX 7:4:1 by itself: throughput without loss, as rfc2544.lua finds it.
package.path = package.path .. ";./?.lua;bench/pktgen/?.lua"
local tester = require("tester")
tester.site.sizes = {}
dofile((package.searchpath("rfc2544", package.path)))
