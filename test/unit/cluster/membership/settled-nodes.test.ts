import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SettledNodes } from '../../../../src/cluster/membership/settled-nodes.ts'

test('a node is settled when it has been here for long enough', () => {
  const settled = new SettledNodes(2_000)
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 1 }, 100), false)
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 1 }, 2_000), false)
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 1 }, 2_100), true)
})

test('a node that has come anew counts from then on', () => {
  const settled = new SettledNodes(2_000)
  assert.equal(settled.ageOf({ name: 'n1', incarnation: 1 }, 0), 0)
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 1 }, 5_000), true)
  assert.equal(settled.isSettled({ name: 'n1', incarnation: 2 }, 5_000), false)
  assert.equal(settled.ageOf({ name: 'n1', incarnation: 2 }, 7_000), 2_000)
})
