import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import type { Member } from '../../../../src/cluster/members.ts'
import {
  LinkWatch,
  relinkedMsMax,
  relinkedMsMin,
  unlinkedMsMax,
} from '../../../../src/cluster/membership/link-watch.ts'

/** Of its looks. */
const lookMs = 500
const other: Partial<Member> = { name: 'b', incarnation: 7 }

class Watched {
  isLinked = true
  /** What is told of the only other node. */
  isReached = true
  changes = 0
  readonly #clock = new ManualClock()
  readonly #watch: LinkWatch

  constructor() {
    const live = new Map([['b', other as Member]])
    const setUnreached = async (incarnations: readonly number[]): Promise<void> => {
      this.isReached = !incarnations.includes(7)
      this.changes++
    }
    this.#watch = new LinkWatch({
      clock: this.#clock,
      members: { self: { name: 'a', incarnation: 1 }, live, isCurrent: true, setUnreached },
      isLinked: () => this.isLinked,
    })
    this.#watch.start()
  }

  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += lookMs) this.#clock.advance(lookMs)
  }

  break(): void {
    this.isLinked = false
    this.pass(unlinkedMsMax + lookMs)
    assert.equal(this.isReached, false)
    this.isLinked = true
  }

  /** How long it takes until the link counts. */
  get untilReached(): number {
    for (let ms = 0; ms <= 2 * relinkedMsMax; ms += lookMs) {
      if (this.isReached) return ms - lookMs
      this.pass(lookMs)
    }
    return Number.POSITIVE_INFINITY
  }
}

describe('a node without a link to another', () => {
  it('says so when that lasts, and takes it back soon after the link is there', () => {
    const watched = new Watched()
    watched.isLinked = false
    watched.pass(unlinkedMsMax - lookMs)
    assert.equal(watched.isReached, true)
    watched.pass(2 * lookMs)
    assert.equal(watched.isReached, false)
    watched.isLinked = true
    assert.equal(watched.untilReached, relinkedMsMin)
  })

  it('passes over a short break of a link that has lasted', () => {
    const watched = new Watched()
    watched.break()
    watched.pass(relinkedMsMin + relinkedMsMax + 2 * lookMs)
    watched.isLinked = false
    watched.pass(unlinkedMsMax - lookMs)
    watched.isLinked = true
    watched.pass(lookMs)
    assert.deepEqual([watched.isReached, watched.changes], [true, 2])
  })

  it('asks a link that breaks again soon to last twice as long each time, up to a limit', () => {
    const watched = new Watched()
    watched.break()
    const asked: number[] = []
    for (let count = 0; count < 6; count++) {
      asked.push(watched.untilReached)
      // A short break is enough while it is on trial.
      watched.isLinked = false
      watched.pass(lookMs)
      assert.equal(watched.isReached, false)
      watched.isLinked = true
    }
    const doubled = [1, 2, 4, 8].map((times) => times * relinkedMsMin)
    assert.deepEqual(asked, [...doubled, relinkedMsMax, relinkedMsMax])
  })

  it('says it once of a link that comes and goes every few seconds', () => {
    const watched = new Watched()
    watched.break()
    for (let count = 0; count < 60; count++) {
      watched.isLinked = !watched.isLinked
      watched.pass(4_000)
    }
    // Away, there when it had lasted for 3 s, and away for good: it never lasts as long as is asked from then on.
    assert.deepEqual([watched.isReached, watched.changes <= 3], [false, true])
  })

  it('forgets that it broke when it has lasted', () => {
    const watched = new Watched()
    for (let count = 0; count < 3; count++) {
      watched.break()
      watched.pass(relinkedMsMin + relinkedMsMax + 2 * lookMs)
    }
    watched.break()
    assert.equal(watched.untilReached, relinkedMsMin)
  })
})
