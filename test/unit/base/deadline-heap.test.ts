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

  it('takes 16 bytes a pair and gives them back', () => {
    const heap = new DeadlineHeap()
    const least = heap.memoryBytes
    for (let index = 0; index < 100_000; index++) heap.push(100_000 - index, index)
    assert.ok(heap.memoryBytes < 100_000 * 17, `${heap.memoryBytes} bytes`)
    for (let index = 0; index < 99_990; index++) heap.pop()
    assert.ok(heap.memoryBytes <= 2 * least, `${heap.memoryBytes} bytes`)
    assert.equal(heap.firstDeadline, 99_991)
    heap.clear()
    assert.equal(heap.memoryBytes, least)
  })

  it('sweeps out what is not wanted, a few looks at a time, and keeps the order of the rest', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ push: fc.integer({ min: 0, max: 50 }) }) },
      { weight: 1, arbitrary: fc.constant('pop' as const) },
      { weight: 3, arbitrary: fc.record({ looks: fc.integer({ min: 1, max: 20 }) }) },
      { weight: 1, arbitrary: fc.record({ unwanted: fc.integer({ min: 2, max: 5 }) }) },
    )
    const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new DeadlineHeap()
      let model: Pair[] = []
      const unwanted = new Set<number>()
      let value = 0
      for (const one of steps) {
        if (one === 'pop') {
          if (model.length > 0) popBoth(heap, model)
        } else if ('push' in one) {
          for (let index = 0; index < 10; index++) {
            heap.push(one.push + index, ++value)
            model.push({ deadline: one.push + index, value })
          }
        } else if ('unwanted' in one) {
          for (const pair of model) if (pair.value % one.unwanted === 0) unwanted.add(pair.value)
        } else {
          let seen = 0
          heap.sweep(one.looks, (deadline, of) => {
            seen++
            assert.ok(model.some((pair) => pair.deadline === deadline && pair.value === of))
            if (unwanted.has(of)) model = model.filter((pair) => pair.value !== of)
            return !unwanted.has(of)
          })
          assert.ok(seen <= one.looks)
        }
        assert.equal(heap.size, model.length)
      }
      // Twice round finds all of them: what a removal moves to where the hand has been is found the second time.
      heap.sweep(2 * heap.size, (_deadline, of) => !unwanted.has(of))
      model = model.filter((pair) => !unwanted.has(pair.value))
      assert.equal(heap.size, model.length)
      while (model.length > 0) popBoth(heap, model)
    })
    fc.assert(property, { seed: 2, numRuns: 300 })
  })

  it('knows the latest deadline it has given out', () => {
    const heap = new DeadlineHeap()
    assert.equal(heap.popped, Number.NEGATIVE_INFINITY)
    for (const deadline of [7, 3, 5]) heap.push(deadline, deadline)
    heap.pop()
    heap.pop()
    assert.equal(heap.popped, 5)
    heap.push(1, 1)
    heap.pop()
    assert.equal(heap.popped, 5)
  })

  it('holds many thousands in their order, over all its pages', () => {
    const heap = new DeadlineHeap()
    const deadlines = Array.from({ length: 20_000 }, (_, index) => (index * 7919) % 20_011)
    for (const deadline of deadlines) heap.push(deadline, -deadline)
    heap.sweep(20_000, (deadline) => deadline % 3 === 0)
    heap.sweep(20_000, (deadline) => deadline % 3 === 0)
    for (const deadline of deadlines.filter((one) => one % 3 === 0).sort((a, b) => a - b)) {
      assert.equal(heap.firstDeadline, deadline)
      assert.equal(heap.firstValue, -deadline)
      heap.pop()
    }
    assert.equal(heap.size, 0)
  })
})
