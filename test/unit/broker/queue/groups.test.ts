import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Groups } from '../../../../src/broker/queue/groups.ts'

type State = 'ready' | 'out'

interface Member {
  readonly id: number
  readonly sequence: number
  state: State
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ come: fc.nat(4) }) },
  { weight: 5, arbitrary: fc.record({ take: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ takeAny: fc.nat(50) }) },
  { weight: 4, arbitrary: fc.record({ back: fc.nat(50) }) },
  { weight: 4, arbitrary: fc.record({ gone: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ limit: fc.integer({ min: 1, max: 4 }) }) },
)

/** Groups beside a plain list of all members. */
class World {
  readonly members: Member[] = []
  limit = 2
  readonly groups: Groups
  next = 1

  constructor() {
    const isReady = (sequence: number): boolean =>
      this.members.some((one) => one.sequence === sequence && one.state === 'ready')
    this.groups = new Groups(this.limit, isReady, () => {})
  }

  come(name: string): void {
    const id = this.groups.join(name)
    const sequence = this.next++
    this.members.push({ id, sequence, state: 'ready' })
    this.groups.ready(id, sequence)
  }

  take(one: Member): void {
    one.state = 'out'
    this.groups.taken(one.id, one.sequence)
  }

  back(one: Member): void {
    one.state = 'ready'
    this.groups.back(one.id, one.sequence)
  }

  gone(one: Member): void {
    this.members.splice(this.members.indexOf(one), 1)
    this.groups.gone(one.id, one.sequence, one.state === 'out')
  }

  /** Of each group the lowest that is ready is listed, if fewer are out than may be, and nothing else is. */
  check(): void {
    const ids = new Set(this.members.map(({ id }) => id))
    assert.equal(this.groups.size, ids.size)
    for (const id of ids) {
      const own = this.members.filter((one) => one.id === id)
      const out = own.filter(({ state }) => state === 'out').length
      const lowest = Math.min(...own.filter(({ state }) => state === 'ready').map(({ sequence }) => sequence))
      for (const { sequence } of own) {
        const isListed = this.groups.isListed(id, sequence)
        if (out < this.limit) assert.equal(isListed, sequence === lowest, `${sequence} of group ${id}`)
      }
    }
  }
}

describe('groups', () => {
  it('list the first of each that may give, as a plain list would', () => {
    const property = fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const world = new World()
      for (const one of steps) {
        const ready = world.members.filter(({ state }) => state === 'ready')
        const out = world.members.filter(({ state }) => state === 'out')
        if ('come' in one) world.come(`group ${one.come}`)
        else if ('take' in one) {
          const listed = ready.find(({ id, sequence }) => world.groups.isListed(id, sequence))
          if (listed !== undefined) world.take(listed)
        } else if ('takeAny' in one && ready.length > 0) world.take(ready[one.takeAny % ready.length] as Member)
        else if ('back' in one && out.length > 0) world.back(out[one.back % out.length] as Member)
        else if ('gone' in one && world.members.length > 0)
          world.gone(world.members[one.gone % world.members.length] as Member)
        else if ('limit' in one) {
          world.limit = one.limit
          world.groups.changeLimit(one.limit)
        }
        world.check()
      }
    })
    fc.assert(property, { seed: 5, numRuns: 300 })
  })

  it('are many, and are forgotten with their last member', () => {
    const listed: number[] = []
    const groups = new Groups(
      1,
      () => true,
      (sequence) => listed.push(sequence),
    )
    const ids: number[] = []
    for (let index = 0; index < 5_000; index++) {
      ids.push(groups.join(`key ${index}`))
      groups.ready(ids[index] as number, index + 1)
    }
    assert.equal(groups.size, 5_000)
    assert.equal(new Set(ids).size, 5_000)
    assert.equal(groups.nameOf(ids[77] as number), 'key 77')
    assert.equal(groups.join('key 77'), ids[77])
    groups.gone(ids[77] as number, 0, false)
    assert.deepEqual(
      listed,
      ids.map((_, index) => index + 1),
    )
    for (const [index, id] of ids.entries()) groups.gone(id, index + 1, false)
    assert.equal(groups.size, 0)
  })
})
