import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SettledNodes } from '../../../../src/cluster/membership/settled-nodes.ts'

test('a node is settled when it has been here for long enough', () => {
  const settled = new SettledNodes(2_000)
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 1 }, 100), false)
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 1 }, 2_000), false)
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 1 }, 2_100), true)
})

test('a node that comes again and again must be here longer each time, until it has been quiet', () => {
  const settled = new SettledNodes(2_000)
  let now = 0
  const waits: number[] = []
  for (let incarnation = 1; incarnation <= 7; incarnation++) {
    const began = now
    while (!settled.isSettled({ name: 'n1', incarnation }, now)) now += 1_000
    waits.push(now - began)
  }
  assert.deepEqual(waits, [2_000, 4_000, 8_000, 16_000, 32_000, 32_000, 32_000])
  now += 60_000
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 8 }, now), false)
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 8 }, now + 2_000), true)
})
