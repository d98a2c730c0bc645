/** What nodes that begin together make once. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { idleMsMax, makeInTurn } from '../../../src/cluster/make-in-turn.ts'

class Stage {
  readonly clock = new ManualClock()
  readonly there: string[] = []
  readonly made: string[][] = []
  first = false
  isDone = false

  begin(): void {
    void makeInTurn({
      clock: this.clock,
      signal: new AbortController().signal,
      names: ['a', 'b', 'c'],
      there: () => Promise.resolve([...this.there, 'other']),
      isFirst: () => this.first,
      make: async (missing) => void this.made.push([...missing]),
    }).then(() => {
      this.isDone = true
    })
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed <= ms; passed += 250) {
      for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
      this.clock.advance(250)
    }
  }
}

describe('what all nodes need and any may make', () => {
  it('is made by the first of them, as far as it is missing', async () => {
    const stage = new Stage()
    stage.first = true
    stage.there.push('b')
    stage.begin()
    await stage.pass(0)
    assert.deepEqual([stage.made, stage.isDone], [[['a', 'c']], true])
  })

  it('is waited for by the others', async () => {
    const stage = new Stage()
    stage.begin()
    for (const name of ['a', 'b', 'c']) {
      await stage.pass(idleMsMax - 1_000)
      assert.equal(stage.isDone, false)
      stage.there.push(name)
    }
    await stage.pass(500)
    assert.deepEqual([stage.made, stage.isDone], [[], true])
  })

  it('is made by another when the first has gone', async () => {
    const stage = new Stage()
    stage.begin()
    await stage.pass(1_000)
    stage.first = true
    await stage.pass(500)
    assert.deepEqual([stage.made, stage.isDone], [[['a', 'b', 'c']], true])
  })

  it('is made by another when the first makes nothing for long', async () => {
    const stage = new Stage()
    stage.begin()
    await stage.pass(idleMsMax + 500)
    assert.deepEqual([stage.made, stage.isDone], [[['a', 'b', 'c']], true])
  })
})
