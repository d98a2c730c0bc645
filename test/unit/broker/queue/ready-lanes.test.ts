import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ReadyLanes } from '../../../../src/broker/queue/ready-lanes.ts'

interface Listed {
  lane: number
  key: number
  sequence: number
}

/** The same, plainly: what is there in an array, in order of lane and key. */
class Model {
  there: Listed[] = []

  first(): Listed | undefined {
    return [...this.there].sort((a, b) => b.lane - a.lane || a.key - b.key)[0]
  }

  last(): Listed | undefined {
    return [...this.there].sort((a, b) => a.lane - b.lane || a.key - b.key)[0]
  }

  has(sequence: number): boolean {
    return this.there.some((one) => one.sequence === sequence)
  }

  remove(sequence: number): void {
    this.there = this.there.filter((one) => one.sequence !== sequence)
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ come: fc.nat(3), count: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 2, arbitrary: fc.record({ late: fc.nat(3) }) },
  { weight: 6, arbitrary: fc.record({ take: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 3, arbitrary: fc.record({ back: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ gone: fc.integer({ min: 2, max: 6 }) }) },
  { weight: 4, arbitrary: fc.record({ tidy: fc.nat(300) }) },
)

describe('ready lanes', () => {
  it('give what a sorted array gives, whatever comes, goes, comes back and is tidied', () => {
    const property = fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const model = new Model()
      const lanes = new ReadyLanes((sequence) => model.has(sequence))
      const taken: Listed[] = []
      let next = 1
      const add = (one: Listed): void => {
        lanes.add(one.lane, one.key, one.sequence)
        model.there.push(one)
      }
      const checkEnds = (): void => {
        const first = model.first()
        assert.equal(lanes.first(), first?.sequence ?? 0)
        if (first !== undefined) assert.deepEqual([lanes.lane, lanes.key], [first.lane, first.key])
        assert.equal(lanes.last(), model.last()?.sequence ?? 0)
      }
      for (const one of steps) {
        if ('come' in one) {
          for (let index = 0; index < one.count; index++, next++) add({ lane: one.come, key: next, sequence: next })
        } else if ('late' in one) {
          add({ lane: one.late, key: next - 0.5, sequence: next - 0.25 })
          next++
        } else if ('take' in one) {
          for (let index = 0; index < one.take; index++) {
            const first = model.first()
            assert.equal(lanes.first(), first?.sequence ?? 0)
            if (first === undefined) break
            lanes.drop()
            model.remove(first.sequence)
            taken.push(first)
          }
        } else if ('back' in one) {
          for (const again of taken.splice(-one.back)) add(again)
        } else if ('gone' in one) {
          model.there = model.there.filter(({ sequence }) => Math.floor(sequence) % one.gone !== 0)
        } else for (let index = 0; index < one.tidy; index++) lanes.tidy()
        checkEnds()
        assert.ok(lanes.size >= model.there.length)
      }
    })
    fc.assert(property, { seed: 3, numRuns: 200 })
  })

  it('take 8 bytes an entry that stands in order, 16 where a key is another, and copy nothing to grow', () => {
    const lanes = new ReadyLanes(() => true)
    for (let sequence = 1; sequence <= 100_000; sequence++) lanes.add(0, sequence, sequence)
    assert.ok(lanes.memoryBytes < 100_000 * 9, `${lanes.memoryBytes} bytes`)
    const late = new ReadyLanes(() => true)
    for (let sequence = 100_000; sequence >= 1; sequence--) late.add(0, 200_000 - sequence, sequence)
    assert.ok(late.memoryBytes < 100_000 * 17, `${late.memoryBytes} bytes`)
  })

  it('say what comes next, the highest lane first, as far as they are asked', () => {
    const lanes = new ReadyLanes(() => true)
    for (let sequence = 1; sequence <= 1_000; sequence++) lanes.add(sequence % 2, sequence, sequence)
    lanes.first()
    lanes.drop()
    const next: number[] = []
    for (const sequence of lanes.ahead(700)) {
      assert.equal(lanes.first(), sequence)
      lanes.drop()
      next.push(sequence)
    }
    assert.equal(next.length, 700)
    assert.deepEqual([next[0], next[498], next[499]], [3, 999, 2])
    assert.equal(lanes.ahead(700).length, 299)
    assert.deepEqual(new ReadyLanes(() => true).ahead(5), [])
  })

  it('let go of what is gone before anyone comes to it', () => {
    let isThere = (_sequence: number): boolean => true
    const lanes = new ReadyLanes((sequence) => isThere(sequence))
    for (let sequence = 1; sequence <= 20_000; sequence++) lanes.add(sequence % 3, sequence, sequence)
    isThere = (sequence) => sequence % 50 === 0
    for (let call = 0; call < 10_000; call++) lanes.tidy()
    assert.equal(lanes.size, 400)
    assert.ok(lanes.memoryBytes < 400 * 32, `${lanes.memoryBytes} bytes`)
    const left: number[] = []
    for (let sequence = lanes.first(); sequence !== 0; sequence = lanes.first()) {
      left.push(sequence)
      lanes.drop()
    }
    const all = Array.from({ length: 400 }, (_, index) => (index + 1) * 50)
    assert.deepEqual(
      left,
      all.sort((a, b) => (b % 3) - (a % 3) || a - b),
    )
    assert.equal(lanes.size, 0)
  })
})
