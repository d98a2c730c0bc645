import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Consumer } from '../../../../src/broker/ports.ts'
import { Leases } from '../../../../src/broker/queue/leases.ts'

interface Lease {
  sequence: number
  consumer: Consumer | null
  ms: number
  endsAt: number
}

/** Leases only tell consumers apart. */
const consumers: (Consumer | null)[] = [null, ...[1, 2, 3].map((id) => ({ id }) as unknown as Consumer)]
const someConsumer = fc.nat(3)
const some = fc.nat(2_000)

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ begin: some, by: someConsumer, ms: fc.integer({ min: 1, max: 50 }) }) },
  { weight: 3, arbitrary: fc.record({ end: fc.nat(50) }) },
  { weight: 3, arbitrary: fc.record({ extend: fc.nat(50), by: someConsumer, ms: fc.integer({ min: 0, max: 50 }) }) },
  { weight: 3, arbitrary: fc.record({ advance: fc.nat(30) }) },
)

/** All that end by now, in the order in which they do. */
function takeAll(leases: Leases, now: number): unknown[] {
  const taken: unknown[] = []
  for (let one = leases.takeEnded(now); one !== null; one = leases.takeEnded(now)) taken.push(one)
  return taken
}

describe('leases', () => {
  it('end when a plain list says', () => {
    const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const leases = new Leases()
      let model: Lease[] = []
      let now = 1_000
      for (const one of steps) {
        const consumer = 'by' in one ? (consumers[one.by] ?? null) : null
        const chosen = 'end' in one ? model[one.end % Math.max(1, model.length)] : undefined
        if ('begin' in one) {
          if (model.some(({ sequence }) => sequence === one.begin)) continue
          leases.begin(one.begin, consumer, now, one.ms)
          model.push({ sequence: one.begin, consumer, ms: one.ms, endsAt: now + one.ms })
        } else if ('end' in one) {
          leases.end(chosen?.sequence ?? 5_000)
          model = model.filter((each) => each !== chosen)
        } else if ('extend' in one) {
          const lease = model[one.extend % Math.max(1, model.length)]
          leases.extend(lease?.sequence ?? 5_000, consumer, now, one.ms)
          if (lease?.consumer === consumer) lease.endsAt = now + (one.ms > 0 ? one.ms : lease.ms)
        } else {
          now += one.advance
          const ended = model.filter(({ endsAt }) => endsAt <= now)
          ended.sort((a, b) => a.endsAt - b.endsAt || a.sequence - b.sequence)
          assert.deepEqual(
            takeAll(leases, now),
            ended.map(({ sequence, consumer: holder }) => ({ sequence, consumer: holder })),
          )
          model = model.filter(({ endsAt }) => endsAt > now)
        }
        assert.equal(leases.size, model.length)
        assert.ok(leases.nextEnd <= Math.min(...model.map(({ endsAt }) => endsAt)))
      }
    })
    fc.assert(property, { seed: 6, numRuns: 200 })
  })
})
