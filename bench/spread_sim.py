#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What more cores would do for one SA: a simulation of the rules in dataplane/spread*.c.

The measuring machine has two cores. This replays, event by event, what the code does with 2, 4, 8
and 16 workers, with costs in cycles that bench-spread and bench-pipeline measured: bursts, chunks,
the chunks left to helpers, retiring in order; the claim rule, its blocks and its window of 64. What
it cannot know, cache and memory bandwidth shared by many cores, is not in it.

    bench/spread_sim.py [--packets N] [--seed N]     prints the tables of docs/scaling.md
"""
import argparse
import heapq
import random

BURST, CHUNK, CHUNK_BYTES = 64, 32, 16 << 10   # dataplane/spread.h
LEAVE = 4                                      # fresh chunks left to each helper
WINDOW, LEAST, TRIES_PAUSE = 64, 4, 150        # dataplane/spread_claim.h; a failed claim, cycles
CORES = (1, 2, 4, 8, 16)
HZ = 2.6e9

# Cycles. cipher and rest: one packet; rest is all of the pipeline that is not the cipher.
CASES = {
    '1400 B, wide AES': dict(size=1400, cipher=300, rest=110),
    '1400 B, AES-NI': dict(size=1400, cipher=1163, rest=130),
    '512 B, wide AES': dict(size=512, cipher=150, rest=100),
    '64 B, wide AES': dict(size=64, cipher=90, rest=90),
}
OFFER = 40     # owner, for each chunk: fill, offer, retire
JOB = 7        # owner, for each packet in a chunk: the job in and out
TAKE = 400     # helper, for each chunk: the lines of the offer and the jobs
BACK = 25      # owner, for each packet that another core opened: its first and last line
BLOCK = 1000   # sealer, for each block in company: seq, marks, the transmit queue and its lock
PREEMPT_US = 50


class Clock:
    """Actors are generators that yield how many cycles they work; shared state is plain."""

    def __init__(self, rng, preempt_ms):
        self.now, self.heap, self.rng, self.count = 0, [], rng, 0
        self.gap = preempt_ms * HZ / 1000 if preempt_ms else 0

    def start(self, actor):
        self.push(0, actor, self.next_stop())

    def next_stop(self):
        return self.now + self.rng.expovariate(1 / self.gap) if self.gap else float('inf')

    def push(self, delay, actor, stop):
        self.count += 1
        heapq.heappush(self.heap, (self.now + delay, self.count, actor, stop))

    def run(self, done):
        while not done():
            self.now, _, actor, stop = heapq.heappop(self.heap)
            cycles = next(actor, None)
            if cycles is None:
                continue
            cycles *= self.rng.uniform(0.95, 1.05)
            if self.now > stop:
                cycles += PREEMPT_US * HZ / 1e6
                stop = self.next_stop()
            self.push(cycles, actor, stop)
        return self.now


def block_rule(n):
    """dp_claim_block()"""
    return max(WINDOW >> (n - 1).bit_length(), LEAST)


class Inbound:
    """One owner, n - 1 helpers."""

    def __init__(self, case, n):
        self.case, self.n = case, n
        self.per_chunk = min(CHUNK, -(-CHUNK_BYTES // case['size']))
        self.offered, self.taken, self.sent, self.lane = [], 0, 0, []

    def take(self):
        self.taken += 1
        return self.offered[self.taken - 1]

    def helper(self):
        while True:
            if self.taken == len(self.offered):
                yield 60
                continue
            chunk = self.take()
            chunk['lent'] = True
            yield TAKE + self.case['cipher'] * chunk['n']
            chunk['done'] = True

    def owner(self):
        was = before = 0
        c = self.case
        while True:
            if self.n == 1:
                yield (c['cipher'] + c['rest']) * BURST
                self.sent += BURST
                continue
            yield c['rest'] * BURST / 2
            for at in range(0, BURST, self.per_chunk):
                chunk = dict(n=min(self.per_chunk, BURST - at), lent=False, done=False)
                yield OFFER + JOB * chunk['n']
                self.offered.append(chunk)
                self.lane.append(chunk)
            end = max(len(self.offered) - LEAVE * (self.n - 1), before)
            while self.taken < end:
                chunk = self.take()
                yield c['cipher'] * chunk['n']
                chunk['done'] = True
            before, was = was, len(self.offered)
            while self.lane and self.lane[0]['done']:
                chunk = self.lane.pop(0)
                yield (c['rest'] / 2 + (BACK if chunk['lent'] else 0)) * chunk['n']
                self.sent += chunk['n']
            while sum(chunk['n'] for chunk in self.lane) > 96 * self.per_chunk - BURST:
                yield 100
                while self.lane and self.lane[0]['done']:
                    chunk = self.lane.pop(0)
                    yield (c['rest'] / 2 + BACK) * chunk['n']
                    self.sent += chunk['n']

    def run(self, rng, packets, preempt_ms):
        clock = Clock(rng, preempt_ms)
        clock.start(self.owner())
        for _ in range(self.n - 1):
            clock.start(self.helper())
        return packets / clock.run(lambda: self.sent >= packets)


class Outbound:
    """n workers with inner flows of their own, all on one SA."""

    def __init__(self, case, n, block):
        self.case, self.n, self.block = case, n, block
        self.seq, self.sent, self.low, self.top, self.worst, self.waits = 0, 0, {}, 0, 0, 0

    def claim(self, i):
        if self.n == 1:
            room = BURST
        else:
            others = [low for j, low in self.low.items() if j != i]
            end = self.seq + self.block
            if others:
                end = min(end, min(others) + WINDOW - 1)
            room = end - self.seq
        if room <= 0:
            self.waits += 1
            return 0
        self.low[i] = self.seq + 1
        self.seq += room
        return room

    def worker(self, i):
        c = self.case
        while True:
            n = self.claim(i)
            if n == 0:
                yield TRIES_PAUSE
                continue
            yield (c['cipher'] + c['rest']) * n + (BLOCK if self.n > 1 else 0)
            self.worst = max(self.worst, self.top - self.low[i])
            self.top = max(self.top, self.low[i] + n - 1)
            del self.low[i]
            self.sent += n

    def run(self, rng, packets, preempt_ms):
        clock = Clock(rng, preempt_ms)
        for i in range(self.n):
            clock.start(self.worker(i))
        rate = packets / clock.run(lambda: self.sent >= packets)
        assert self.worst < WINDOW
        return rate


def table(title, head, rows):
    print(f'### {title}\n')
    print('| ' + ' | '.join(head) + ' |')
    print('|' + '---|' * len(head))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')
    print()


def gbit(rate, case):
    return rate * HZ * case['size'] * 8 / 1e9


def row(name, case, rates):
    return [name] + [f'{gbit(r, case):.1f} ({r / rates[0]:.2f})' for r in rates]


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--packets', type=int, default=100000)
    p.add_argument('--seed', type=int, default=1)
    o = p.parse_args()

    def run(model, preempt_ms=0):
        return model.run(random.Random(o.seed), o.packets, preempt_ms)

    head = ['Gbit/s (over one worker)'] + [f'{n} workers' if n > 1 else '1 worker' for n in CORES]
    for stop, word in ((0, 'undisturbed'),
                       (20, f'each core loses {PREEMPT_US} us every 20 ms')):
        table(f'Inbound, one ESP flow, {word}', head,
              [row(name, c, [run(Inbound(c, n), stop) for n in CORES])
               for name, c in CASES.items()])
        table(f'Outbound, flows on all workers, {word}', head,
              [row(name, c, [run(Outbound(c, n, block_rule(n)), stop) for n in CORES])
               for name, c in CASES.items()])
    c = CASES['1400 B, wide AES']
    table('Outbound by size of the block, 1400 B, wide AES, undisturbed', head,
          [row(str(b), c, [run(Outbound(c, n, b)) for n in CORES])
           for b in (4, 8, 12, 16, 24, 32)])


if __name__ == '__main__':
    main()
