import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SeededRandom } from '../../../../src/base/random.ts'
import { Entries } from '../../../../src/broker/queue/entries.ts'
import { EntryFlag } from '../../../../src/broker/queue/entry-chunk.ts'

const start = 1_700_000_000_000

/** A ready entry that expires then, or a waiting one that is due then. */
function put(entries: Entries, time: { deadline?: number; dueAt?: number }): number {
  const { deadline = 0, dueAt = 0 } = time
  const sequence = entries.next
  const aside = entries.asideFor(1)
  entries.put(sequence, sequence, 10, EntryFlag.live | (dueAt > 0 ? EntryFlag.aside | EntryFlag.waiting : 0))
  const chunk = entries.chunkOf(sequence)
  const side = chunk?.sideFor()
  if (chunk === null || side === undefined) return sequence
  if (deadline > 0) {
    side.setDeadline(sequence - chunk.first, deadline)
    aside.expiresAt(deadline, sequence)
  }
  if (dueAt > 0) {
    side.setDue(sequence - chunk.first, dueAt)
    aside.waitUntil(dueAt, sequence)
  }
  return sequence
}

function remove(entries: Entries, sequence: number): void {
  const chunk = entries.chunkOf(sequence)
  if (chunk !== null) entries.remove(chunk, sequence)
}

describe('entries aside', () => {
  it('expire at their time when they are few, and of many those of one moment in order', () => {
    const few = new Entries()
    for (const ms of [30, 10, 20]) put(few, { deadline: start + ms })
    assert.equal(few.aside?.nextTime, start + 10)
    const many = new Entries()
    const random = new SeededRandom(1)
    const deadlines = Array.from({ length: 30_000 }, () => start + random.below(1_000))
    for (const deadline of deadlines) put(many, { deadline })
    const { expiries } = many.aside ?? assert.fail()
    let turns = 0
    let before = 0
    while (expiries.size > 0) {
      const late = expiries.firstDeadline - (deadlines[expiries.firstValue - 1] as number)
      assert.ok(late >= 0 && late < 128, `${late} ms late`)
      if (expiries.firstValue < before) turns++
      before = expiries.firstValue
      expiries.pop()
    }
    // The first 10,000 were few and expire one by one.
    assert.ok(turns < 12_000, `${turns}`)
  })

  it('forget the times of those that are gone, a few with each that goes', () => {
    const entries = new Entries()
    for (let index = 0; index < 40_000; index++) put(entries, { deadline: start + index, dueAt: start + index })
    for (let sequence = 1; sequence <= 39_900; sequence++) remove(entries, sequence)
    const { expiries, due } = entries.aside ?? assert.fail()
    assert.ok(expiries.size < 3_000, `${expiries.size} times to expire`)
    assert.ok(due.size < 3_000, `${due.size} times to fall due`)
  })

  it('keep the time of one that comes back, whether it was passed over meanwhile or not', () => {
    const entries = new Entries()
    const [first, second] = [put(entries, { deadline: start + 10 }), put(entries, { deadline: start + 20 })]
    const aside = entries.aside ?? assert.fail()
    aside.expiries.pop()
    aside.watch(start + 10, first)
    assert.equal(aside.expiries.firstValue, first)
    for (let times = 0; times < 100; times++) aside.watch(start + 20, second)
    assert.equal(aside.expiries.size, 2)
  })

  it('stand behind all that came before they fell due, and return there', () => {
    const entries = new Entries()
    const late = put(entries, { dueAt: start })
    entries.push(10, 10, EntryFlag.live)
    const chunk = entries.chunkOf(late) ?? assert.fail()
    entries.release(chunk, late)
    entries.push(20, 10, EntryFlag.live)
    const taken: number[] = []
    for (let round = 0; round < 2; round++) {
      entries.handOut(chunk, entries.firstReady(), 1)
      taken.push(entries.firstReady())
      entries.handOut(chunk, late, 1)
      entries.takeBack(chunk, late)
      entries.takeBack(chunk, 2)
    }
    assert.deepEqual(taken, [late, late])
    assert.equal(chunk.placeOf(late) > 2 && chunk.placeOf(late) < 3, true)
  })
})
