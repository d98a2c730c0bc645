import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeShortString } from '../../../../src/amqp/short-string.ts'
import { DeduplicationWindow, entryBytes, hashOf } from '../../../../src/broker/queue/deduplication-window.ts'
import type { DeduplicationSettings } from '../../../../src/broker/queue/queue-settings.ts'

/** The same, plainly: ids in order, each with its time. */
class Model {
  ids: { id: string; time: number }[] = []
  settings: DeduplicationSettings

  constructor(settings: DeduplicationSettings) {
    this.settings = settings
  }

  configure(settings: DeduplicationSettings, now: number): void {
    this.settings = settings
    this.#forget(now)
    this.ids = this.ids.slice(-settings.idsMax)
  }

  isDuplicate(id: string, now: number): boolean {
    return this.ids.some((one) => one.id === id && now - one.time < this.settings.windowMs)
  }

  remember(id: string, now: number): void {
    this.#forget(now)
    if (this.isDuplicate(id, now)) return
    this.ids.push({ id, time: now })
    this.ids = this.ids.slice(-this.settings.idsMax)
  }

  #forget(now: number): void {
    this.ids = this.ids.filter((one) => now - one.time < this.settings.windowMs)
  }
}

const settings = fc.record({ windowMs: fc.integer({ min: 0, max: 50 }), idsMax: fc.integer({ min: 1, max: 60 }) })
const someId = fc.nat(120).map((number) => `id-${number}`)
const step = fc.oneof(
  { weight: 20, arbitrary: fc.record({ remember: someId }) },
  { weight: 3, arbitrary: fc.record({ from: fc.nat(300), many: fc.nat(60) }) },
  { weight: 6, arbitrary: fc.record({ advance: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ configure: settings }) },
  { weight: 1, arbitrary: fc.constant('restore' as const) },
)

function check(window: DeduplicationWindow, model: Model, now: number): void {
  for (let number = 0; number <= 360; number += 3) {
    const id = `id-${number}`
    assert.equal(window.isDuplicate(id, now), model.isDuplicate(id, now), id)
  }
  for (const { id } of model.ids) assert.equal(window.isDuplicate(id, now), model.isDuplicate(id, now), id)
}

describe('deduplication window', () => {
  it('knows what a plain list knows', () => {
    const property = fc.property(settings, fc.array(step, { maxLength: 120 }), (first, steps) => {
      let window = new DeduplicationWindow(first)
      const model = new Model(first)
      let now = 1_700_000_000_000
      const remember = (id: string): void => {
        window.remember(id, now)
        model.remember(id, now)
        assert.equal(window.size, model.ids.length)
      }
      for (const one of steps) {
        if (one === 'restore') {
          const half = window.size >> 1
          const again = new DeduplicationWindow(model.settings)
          const { firstNumber, endNumber } = window
          const middle = firstNumber + half
          again.restore(window.entriesFrom(firstNumber, middle - firstNumber))
          again.restore(window.entriesFrom(middle, endNumber - middle))
          window = again
        } else if ('remember' in one) remember(one.remember)
        else if ('many' in one) for (let index = 0; index < one.many; index++) remember(`id-${one.from + index}`)
        else if ('advance' in one) now += one.advance
        else {
          window.configure(one.configure, now)
          model.configure(one.configure, now)
          assert.equal(window.size, model.ids.length)
        }
        check(window, model, now)
      }
    })
    fc.assert(property, { seed: 4, numRuns: 150 })
  })

  it('remembers an id from its first time on and not longer because it came again', () => {
    const window = new DeduplicationWindow({ windowMs: 100, idsMax: 10 })
    window.remember('a', 0)
    window.remember('a', 60)
    assert.equal(window.isDuplicate('a', 99), true)
    assert.equal(window.isDuplicate('a', 100), false)
    window.remember('a', 100)
    assert.equal(window.isDuplicate('a', 199), true)
  })

  it('tells ids apart that are no text', () => {
    const [one, other] = [0xfe, 0xff].map((byte) => decodeShortString(Uint8Array.of(byte), 0, 1)) as [string, string]
    const window = new DeduplicationWindow({ windowMs: 100, idsMax: 10 })
    window.remember(one, 0)
    assert.equal(window.isDuplicate(one, 0), true)
    assert.equal(window.isDuplicate(other, 0), false)
  })

  it('forgets the oldest when there are too many', () => {
    const window = new DeduplicationWindow({ windowMs: 1000, idsMax: 3 })
    for (const id of ['a', 'b', 'c', 'd']) window.remember(id, 5)
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((id) => window.isDuplicate(id, 5)),
      [false, true, true, true],
    )
  })

  it('bears a clock that goes back', () => {
    const window = new DeduplicationWindow({ windowMs: 100, idsMax: 100 })
    window.remember('late', 1000)
    for (let index = 0; index < 50; index++) window.remember(`early-${index}`, 500)
    assert.equal(window.isDuplicate('early-3', 550), true)
    assert.equal(window.isDuplicate('early-3', 700), false)
    window.remember('early-3', 700)
    assert.equal(window.isDuplicate('early-3', 700), true)
    assert.equal(window.isDuplicate('late', 700), true)
    assert.equal(window.isDuplicate('early-9', 550), true)
    assert.equal(window.isDuplicate('early-9', 700), false)
  })

  it('is written as 24 bytes an id', () => {
    const window = new DeduplicationWindow({ windowMs: 100, idsMax: 100 })
    window.remember('a', 1)
    window.remember('b', 2)
    const bytes = Buffer.from(window.entries())
    assert.equal(bytes.length, 2 * entryBytes)
    // SHA-256 of 'a' begins so.
    assert.equal(bytes.toString('hex', 0, 16), 'ca978112ca1bbdcafac231b39a23dc4d')
    assert.equal(bytes.readDoubleBE(16), 1)
    assert.equal(bytes.readDoubleBE(40), 2)
    assert.deepEqual(Buffer.from(window.entriesFrom(window.firstNumber + 1, 9)), bytes.subarray(24))
    assert.equal(window.entriesFrom(window.endNumber, 9).length, 0)
    const again = new DeduplicationWindow({ windowMs: 100, idsMax: 100 })
    again.rememberHash(Buffer.concat([Buffer.from('..'), hashOf('a')]), 2, 1)
    again.rememberHash(hashOf('b'), 0, 2)
    assert.deepEqual(again.entries(), window.entries())
  })

  it('takes at most 80 bytes an id and gives them back', () => {
    const window = new DeduplicationWindow({ windowMs: 1000, idsMax: 20_000 })
    for (let index = 0; index < 20_000; index++) window.remember(`${index}`, 0)
    assert.equal(window.size, 20_000)
    assert.ok(window.memoryBytes <= 20_000 * 80, `${window.memoryBytes} bytes`)
    window.configure({ windowMs: 1000, idsMax: 5 }, 0)
    assert.equal(window.size, 5)
    assert.ok(window.memoryBytes <= 4_096, `${window.memoryBytes} bytes`)
    window.clear()
    assert.equal(window.size, 0)
    assert.equal(window.isDuplicate('19999', 0), false)
  })
})
