import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Coming,
  comingsMax,
  readComings,
  unsteadyMs,
  withComing,
  writeComings,
} from '../../../../src/cluster/membership/comings.ts'

test('a node that comes again and again must stay longer each time, until it has been quiet', () => {
  let comings: Coming[] = []
  const waits: number[] = []
  const come = (name: string, at: number): number => {
    const ms = unsteadyMs(comings, { name, at })
    comings = withComing(comings, { name, at })
    return ms
  }
  for (let at = 0; at < 7_000; at += 1_000) {
    waits.push(come('n1', at))
    assert.equal(come(`other-${at}`, at), 0, 'others are not blamed')
  }
  assert.deepEqual(waits, [0, 4_000, 8_000, 16_000, 32_000, 32_000, 32_000])
  assert.equal(come('n1', 65_500), 4_000, 'the last one still counts')
  assert.equal(come('n1', 200_000), 0)
  assert.deepEqual(comings, [{ name: 'n1', at: 200_000 }])
})

test('what is kept is bounded, and survives the store', () => {
  let comings: Coming[] = []
  for (let index = 0; index < 100; index++) comings = withComing(comings, { name: `n${index}`, at: 1_000 + index })
  assert.equal(comings.length, comingsMax)
  assert.equal(comings.at(-1)?.name, 'n99')
  assert.deepEqual(readComings(JSON.parse(JSON.stringify(writeComings(comings)))), comings)
})

test('what makes no sense counts for nothing', () => {
  assert.deepEqual(readComings(undefined), [])
  assert.deepEqual(readComings('n1'), [])
  assert.deepEqual(readComings([['n1'], ['n2', -1], 'n3', null, [4, 5], ['n6', 7]]), [{ name: 'n6', at: 7 }])
})

test('a clock that was set back blames nobody for what is still to come', () => {
  assert.equal(unsteadyMs([{ name: 'n1', at: 90_000 }], { name: 'n1', at: 50_000 }), 0)
})
