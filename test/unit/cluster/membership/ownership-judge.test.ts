import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeOwnership } from '../../../support/cluster/ownership-judge.ts'

/** `at node incarnation epoch event`, all of one shard. */
function lines(...texts: string[]): string[] {
  return texts.map((text) => {
    const [at, node, incarnation, epoch, event, since] = text.split(' ')
    const line = { at: Number(at), node, incarnation: Number(incarnation), shard: 's', epoch: Number(epoch), event }
    return JSON.stringify(since === undefined ? line : { ...line, since: Number(since) })
  })
}

test('finds two nodes that serve a shard at once', () => {
  const found = judgeOwnership(lines('10 a 1 1 opened', '20 b 2 2 opened', '30 a 1 1 closed'), [])
  assert.equal(found.length, 1)
  assert.match(found[0] ?? '', /served twice/)
})

test('finds a node that goes on after it was held', () => {
  const found = judgeOwnership(
    lines('10 a 1 1 opened', '20 a 1 1 held', '30 b 2 2 opened', '40 a 1 1 resumed', '50 b 2 2 closed'),
    [],
  )
  assert.equal(found.length, 1)
})

test('finds an epoch that was given twice', () => {
  assert.equal(judgeOwnership(lines('10 a 1 3 acquired', '20 b 2 3 acquired'), []).length, 1)
})

test('finds a node that never ended', () => {
  assert.equal(judgeOwnership(lines('10 a 1 1 opened', '99 b 2 2 opened', '199 b 2 2 closed'), []).length, 1)
})

test('is content with one after the other, however the first one ended', () => {
  const closed = lines('10 a 1 1 opened', '20 a 1 1 closed', '20 b 2 2 opened', '30 b 2 2 held')
  assert.deepEqual(judgeOwnership(closed, []), [])
  const killed = lines('10 a 1 1 opened', '20 b 2 2 opened', '30 b 2 2 held')
  assert.deepEqual(judgeOwnership(killed, [{ incarnation: 1, at: 15 }]), [])
  const woken = lines('10 a 1 1 opened', '20 b 2 2 opened', '30 a 1 1 abandoned 18')
  assert.deepEqual(judgeOwnership(woken, []), [])
})
