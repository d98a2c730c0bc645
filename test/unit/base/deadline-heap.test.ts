import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { DeadlineHeap } from '../../../src/base/deadline-heap.ts'

interface Pair {
  deadline: number
  value: number
}

/** Takes the earliest pair out and finds it among those that have the earliest deadline in the model. */
function popBoth(heap: DeadlineHeap, model: Pair[]): void {
  const pair = { deadline: heap.firstDeadline, value: heap.firstValue }
  assert.equal(pair.deadline, Math.min(...model.map((one) => one.deadline)))
  const index = model.findIndex((one) => one.deadline === pair.deadline && one.value === pair.value)
  assert.ok(index >= 0, `value ${pair.value} does not belong to ${pair.deadline}`)
  model.splice(index, 1)
  heap.pop()
}

describe('deadline heap', () => {
  it('gives the earliest first, as a sorted array does', () => {
    const deadline = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.double({ noNaN: true }))
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ push: deadline }) },
      { weight: 2, arbitrary: fc.constant('pop' as const) },
      { weight: 1, arbitrary: fc.record({ pushMany: fc.integer({ min: 1, max: 100 }) }) },
    )
    const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new DeadlineHeap()
      const model: Pair[] = []
      let value = 0
      const push = (at: number): void => {
        heap.push(at, ++value)
        model.push({ deadline: at, value })
      }
      for (const one of steps) {
        if (one === 'pop') {
          if (model.length > 0) popBoth(heap, model)
        } else if ('push' in one) push(one.push)
        else for (let index = 0; index < one.pushMany; index++) push((index * 7919) % 101)
        assert.equal(heap.size, model.length)
      }
      while (model.length > 0) popBoth(heap, model)
      assert.equal(heap.size, 0)
    })
    fc.assert(property, { seed: 1, numRuns: 300 })
  })

  it('has nothing first when it is empty', () => {
    const heap = new DeadlineHeap()
    assert.equal(heap.firstDeadline, Number.POSITIVE_INFINITY)
    assert.ok(Number.isNaN(heap.firstValue))
    heap.pop()
    heap.push(5, 1)
    heap.clear()
    assert.equal(heap.size, 0)
    assert.equal(heap.firstDeadline, Number.POSITIVE_INFINITY)
  })

  it('takes 16 bytes a pair, at most twice that, and gives them back', () => {
    const heap = new DeadlineHeap()
    const least = heap.memoryBytes
    for (let index = 0; index < 100_000; index++) heap.push(100_000 - index, index)
    assert.ok(heap.memoryBytes < 100_000 * 32, `${heap.memoryBytes} bytes`)
    for (let index = 0; index < 99_990; index++) heap.pop()
    assert.ok(heap.memoryBytes <= 2 * least, `${heap.memoryBytes} bytes`)
    assert.equal(heap.firstDeadline, 99_991)
    heap.clear()
    assert.equal(heap.memoryBytes, least)
  })
})
