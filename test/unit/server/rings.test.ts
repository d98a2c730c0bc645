import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Method, Methods } from '../../../src/amqp/methods.generated.ts'
import { Arena, copyBytes } from '../../../src/base/arena.ts'
import { headroomBytes } from '../../../src/base/network.ts'
import type { Consumer, Outcome, Queue } from '../../../src/broker/ports.ts'
import { Confirms } from '../../../src/server/confirms.ts'
import { HeldReplies } from '../../../src/server/held-replies.ts'
import { Holder } from '../../../src/server/holders.ts'
import { KeptInput } from '../../../src/server/kept-input.ts'
import { RouteCache } from '../../../src/server/route-cache.ts'
import { type Detached, Unacked } from '../../../src/server/unacked.ts'
import { throwsProtocolError } from '../../support/protocol-error.ts'

// ---------------------------------------------------------------- confirms

/** A client's book: what each frame means for the numbers it has published. */
class ConfirmBook {
  readonly answers = new Map<number, 'ack' | 'nack'>()
  frames = 0
  published = 0

  ack(sequence: number, multiple: boolean): void {
    this.#answer(sequence, multiple, 'ack')
  }

  nack(sequence: number, multiple: boolean): void {
    this.#answer(sequence, multiple, 'nack')
  }

  #answer(sequence: number, multiple: boolean, answer: 'ack' | 'nack'): void {
    this.frames++
    assert.ok(!this.answers.has(sequence), `${sequence} is answered once`)
    for (let covered = multiple ? 1 : sequence; covered <= sequence; covered++) {
      if (!this.answers.has(covered)) this.answers.set(covered, answer)
    }
  }
}

describe('confirms', () => {
  it('tells the client exactly what the broker said, in whatever order and turns it came', () => {
    const step = fc.record({ count: fc.nat(40), isRefused: fc.boolean(), position: fc.nat(), isFlush: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const confirms = new Confirms()
        const book = new ConfirmBook()
        const truth = new Map<number, 'ack' | 'nack'>()
        const pending: number[] = []
        for (const { count, isRefused, position, isFlush } of steps) {
          for (let index = 0; index < count; index++) pending.push(confirms.open())
          if (pending.length > 0) {
            const [sequence] = pending.splice(position % pending.length, 1)
            assert.ok(sequence !== undefined)
            truth.set(sequence, isRefused ? 'nack' : 'ack')
            if (isRefused) confirms.refuse(sequence)
            else confirms.confirm(sequence)
          }
          if (isFlush) {
            confirms.flush(book)
            assert.deepEqual(new Map([...book.answers].sort(byKey)), new Map([...truth].sort(byKey)))
            assert.equal(confirms.isDirty, false)
          }
        }
        assert.ok(confirms.waiting >= pending.length)
      }),
    )
  })

  it('needs one frame for a run, whatever the order within the turn', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(
          Array.from({ length: 50 }, (_, index) => index + 1),
          { minLength: 50 },
        ),
        (order) => {
          const confirms = new Confirms()
          const book = new ConfirmBook()
          for (let count = 0; count < 50; count++) confirms.open()
          for (const sequence of order) confirms.confirm(sequence)
          confirms.flush(book)
          assert.deepEqual([book.frames, book.answers.size, confirms.waiting], [1, 50, 0])
        },
      ),
    )
  })

  it('never lets multiple cover a publish that still waits', () => {
    const confirms = new Confirms()
    const frames: string[] = []
    const writer = {
      ack: (sequence: number, multiple: boolean) => void frames.push(`ack ${sequence} ${multiple}`),
      nack: (sequence: number, multiple: boolean) => void frames.push(`nack ${sequence} ${multiple}`),
    }
    for (let count = 0; count < 8; count++) confirms.open()
    for (const sequence of [1, 2, 4, 5]) confirms.confirm(sequence)
    confirms.flush(writer)
    confirms.refuse(3)
    confirms.confirm(6)
    confirms.flush(writer)
    for (const sequence of [8, 7]) confirms.confirm(sequence)
    confirms.flush(writer)
    assert.deepEqual(frames, ['ack 2 true', 'ack 4 false', 'ack 5 false', 'nack 3 false', 'ack 6 false', 'ack 8 true'])
  })

  it('fails an assertion when a publish is answered twice or was never made', () => {
    const confirms = new Confirms()
    confirms.open()
    confirms.open()
    confirms.confirm(2)
    assert.throws(() => confirms.confirm(2), /once/)
    assert.throws(() => confirms.refuse(3), /waits/)
  })
})

function byKey(a: [number, unknown], b: [number, unknown]): number {
  return a[0] - b[0]
}

// ---------------------------------------------------------------- unacked

class SettleLog {
  readonly runs: { holder: string; first: number; last: number; outcome: Outcome }[] = []

  settle(queue: Queue, _consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    this.runs.push({ holder: queue.definition.name, first, last, outcome })
  }

  /** Every delivery by itself. */
  get settled(): string[] {
    return this.runs.flatMap(({ holder, first, last, outcome }) =>
      Array.from({ length: last - first + 1 }, (_, index) => `${holder} ${first + index} ${outcome}`),
    )
  }
}

function holder(name: string): Holder {
  const definition = { id: 1, vhost: '/', name, isDurable: false, isAutoDelete: false, exclusiveOwner: null }
  return new Holder({ definition } as Queue, null)
}

/** In small steps. */
function takeUpTo(unacked: Unacked, tag: number, outcome: Outcome): void {
  let hasMore = true
  while (hasMore) hasMore = unacked.takeUpTo(tag, outcome, 3)
}

describe('unacked', () => {
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('deliver' as const), holder: fc.nat(2), skip: fc.nat(2) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('take' as const), at: fc.nat(), outcome: outcomes() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('upTo' as const), at: fc.nat(), outcome: outcomes() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('unknown' as const), tag: fc.nat(500) }) },
  )

  function outcomes(): fc.Arbitrary<Outcome> {
    return fc.constantFrom<Outcome[]>('ack', 'requeue', 'reject')
  }

  it('settles what a map of tags would, in the order of tags', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 400 }), (actions) => {
        const log = new SettleLog()
        const unacked = new Unacked(log)
        const holders = [holder('a'), holder('b'), holder('c')]
        const sequences = [0, 0, 0]
        const model = new Map<number, string>()
        const expected: string[] = []
        let tag = 0
        for (const step of actions) {
          if (step.kind === 'deliver') {
            // Tags that are skipped are those of deliveries that need no ack.
            tag += 1 + step.skip
            const sequence = (sequences[step.holder] ?? 0) + 1
            sequences[step.holder] = sequence
            const who = holders[step.holder]
            assert.ok(who !== undefined)
            unacked.add(tag, who, sequence)
            model.set(tag, `${who.queue.definition.name} ${sequence}`)
          } else if (step.kind === 'unknown') {
            assert.equal(unacked.has(step.tag), model.has(step.tag))
          } else if (model.size > 0) {
            const tags = [...model.keys()]
            const chosen = tags[step.at % tags.length] ?? 0
            const covered = step.kind === 'take' ? [chosen] : tags.filter((other) => other <= chosen)
            for (const each of covered) {
              expected.push(`${model.get(each)} ${step.outcome}`)
              model.delete(each)
            }
            if (step.kind === 'take') assert.ok(unacked.take(chosen, step.outcome))
            else takeUpTo(unacked, chosen, step.outcome)
          }
          assert.equal(unacked.count, model.size)
        }
        unacked.flush()
        assert.deepEqual(log.settled, expected)
        takeUpTo(unacked, unacked.lastTag, 'requeue')
        unacked.flush()
        assert.deepEqual(
          log.settled.slice(expected.length),
          [...model.values()].map((value) => `${value} requeue`),
        )
      }),
    )
  })

  it('makes one settlement of consecutive deliveries that are acked one by one', () => {
    const log = new SettleLog()
    const unacked = new Unacked(log)
    const one = holder('q')
    for (let tag = 1; tag <= 1000; tag++) unacked.add(tag, one, tag + 100)
    for (let tag = 1; tag <= 1000; tag++) assert.ok(unacked.take(tag, 'ack'))
    unacked.flush()
    assert.deepEqual(log.runs, [{ holder: 'q', first: 101, last: 1100, outcome: 'ack' }])
  })

  it('says whether there are more than it was to settle', () => {
    const log = new SettleLog()
    const unacked = new Unacked(log)
    for (let tag = 1; tag <= 10; tag++) unacked.add(tag, holder('q'), tag)
    assert.deepEqual([unacked.takeUpTo(7, 'ack', 3), unacked.count, unacked.has(4)], [true, 7, true])
    assert.deepEqual([unacked.takeUpTo(7, 'ack', 4), unacked.count, unacked.has(8)], [false, 3, true])
    assert.deepEqual([unacked.takeUpTo(7, 'ack', 4), unacked.count], [false, 3])
  })

  it('hands on at most 4,096 deliveries as one', () => {
    const log = new SettleLog()
    const unacked = new Unacked(log)
    const one = holder('q')
    for (let tag = 1; tag <= 5_000; tag++) unacked.add(tag, one, tag)
    takeUpTo(unacked, 5_000, 'ack')
    unacked.flush()
    assert.deepEqual(
      log.runs.map(({ first, last }) => [first, last]),
      [
        [1, 4_096],
        [4_097, 5_000],
      ],
    )
  })

  it('does not run after deliveries that its own settlements lead to', () => {
    const one = holder('q')
    let tag = 3
    let redelivered = 0
    const unacked: Unacked = new Unacked({
      settle: (_queue, _consumer, first, last) => {
        for (let sequence = first; sequence <= last; sequence++, redelivered++) unacked.add(++tag, one, sequence)
      },
    })
    for (const sequence of [1, 3, 5]) unacked.add(Math.ceil(sequence / 2), one, sequence)
    takeUpTo(unacked, unacked.lastTag, 'requeue')
    unacked.flush()
    assert.deepEqual([redelivered, unacked.count], [3, 3])
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].filter((each) => unacked.has(each)),
      [4, 5, 6],
    )
  })

  it('puts back what a transaction took, to its places', () => {
    const log = new SettleLog()
    const unacked = new Unacked(log)
    const one = holder('q')
    for (let tag = 1; tag <= 6; tag++) unacked.add(tag, one, tag)
    const taken = [...(unacked.detach(2, true) ?? []), ...(unacked.detach(4, false) ?? [])]
    assert.equal(unacked.detach(2, false), null)
    assert.deepEqual([taken.map(({ tag }) => tag), unacked.count], [[1, 2, 4], 3])
    restore(unacked, taken)
    takeUpTo(unacked, 5, 'ack')
    unacked.flush()
    assert.deepEqual(log.runs, [{ holder: 'q', first: 1, last: 5, outcome: 'ack' }])
  })

  it('puts back what was taken anywhere, whatever has come and gone meanwhile', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { maxLength: 300 }), (steps) => {
        const log = new SettleLog()
        const unacked = new Unacked(log)
        const holders = [holder('a'), holder('b')]
        const model = new Set<number>()
        const taken: Detached[] = []
        let tag = 0
        for (const step of steps) {
          const tags = [...model]
          const chosen = tags[step % Math.max(1, tags.length)]
          if (step < 5) {
            tag += 1 + (step % 2)
            unacked.add(tag, holders[tag % 2] ?? assert.fail(), tag)
            model.add(tag)
          } else if (step < 8 && chosen !== undefined) {
            const got = unacked.detach(chosen, step === 7) ?? assert.fail()
            for (const one of got) model.delete(one.tag)
            taken.unshift(...got)
          } else if (step === 8) {
            restore(unacked, taken)
            for (const one of taken.splice(0)) model.add(one.tag)
          } else if (chosen !== undefined) {
            assert.ok(unacked.take(chosen, 'ack'))
            model.delete(chosen)
          }
          assert.equal(unacked.count, model.size)
          assert.equal(unacked.lastTag, Math.max(0, ...model))
        }
        const expected = [...model].sort((a, b) => a - b)
        assert.deepEqual(
          unacked.detachAll().map((one) => [one.tag, one.holder, one.sequence]),
          expected.map((each) => [each, holders[each % 2], each]),
        )
      }),
    )
  })

  it('adds what comes while it puts back behind everything, and yields', () => {
    const unacked = new Unacked(new SettleLog())
    const one = holder('q')
    for (let tag = 1; tag <= 3_000; tag++) unacked.add(tag, one, tag)
    const taken: Detached[] = []
    for (let tag = 2; tag <= 3_000; tag += 2) taken.push(...(unacked.detach(tag, false) ?? []))
    let tag = 3_000
    for (const _ of unacked.restore(taken)) for (let more = 0; more < 1_000; more++) unacked.add(++tag, one, tag)
    assert.ok(tag > 8_000)
    assert.deepEqual([unacked.isRestoring, unacked.count], [false, tag])
    assert.deepEqual(
      unacked.detachAll().map((back) => [back.tag, back.sequence]),
      Array.from({ length: tag }, (_, index) => [index + 1, index + 1]),
    )
  })

  it('needs room for what is outstanding, not for the distance between tags', () => {
    const log = new SettleLog()
    const unacked = new Unacked(log)
    const one = holder('q')
    unacked.add(1, one, 1)
    for (let tag = 2; tag <= 300_000; tag++) {
      unacked.add(tag, one, tag)
      assert.ok(unacked.take(tag, 'ack'))
    }
    assert.deepEqual([unacked.count, unacked.has(1)], [1, true])
  })
})

function restore(unacked: Unacked, detached: readonly Detached[]): void {
  for (const _ of unacked.restore(detached)) assert.ok(unacked.isRestoring)
}

// ---------------------------------------------------------------- route cache

/** The arguments of a `basic.publish`. */
function publishArguments(exchange: string, routingKey: string, flags = 0): Uint8Array {
  return Buffer.from([
    0,
    0,
    exchange.length,
    ...Buffer.from(exchange),
    routingKey.length,
    ...Buffer.from(routingKey),
    flags,
  ])
}

describe('route cache', () => {
  it('reads any publish as its bytes say, again and again, in whatever order', () => {
    const name = fc.string({ maxLength: 20 }).filter((text) => /^[\x20-\x7e]*$/.test(text))
    const forms = fc.array(fc.tuple(name, name, fc.integer({ min: 0, max: 3 })), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(forms, fc.array(fc.nat(), { maxLength: 200 }), (all, order) => {
        const cache = new RouteCache()
        for (const index of order) {
          const form = all[index % all.length]
          assert.ok(form !== undefined)
          const [exchange, routingKey, flags] = form
          const bytes = publishArguments(exchange, routingKey, flags)
          const target = cache.find(Buffer.concat([Buffer.alloc(3), bytes]), 3, 3 + bytes.length)
          const read = [target.exchange, target.routingKey, target.isMandatory, target.isImmediate]
          assert.deepEqual(read, [exchange, routingKey, (flags & 1) !== 0, (flags & 2) !== 0])
        }
      }),
    )
  })

  it('keeps the route of a form and gives another form a route that does not hold', () => {
    const cache = new RouteCache()
    const first = publishArguments('x', 'a')
    cache.find(first, 0, first.length).route.version = 7
    const other = publishArguments('x', 'b')
    assert.equal(cache.find(other, 0, other.length).route.version, -1)
    assert.equal(cache.find(first, 0, first.length).route.version, 7)
  })

  it('refuses arguments that are cut short or too long', () => {
    const cache = new RouteCache()
    const whole = publishArguments('exchange', 'key')
    for (let length = 0; length < whole.length; length++) {
      throwsProtocolError(() => cache.find(whole, 0, length), 501)
    }
    throwsProtocolError(() => cache.find(Buffer.concat([whole, Buffer.alloc(1)]), 0, whole.length + 1), 501)
    assert.equal(cache.find(whole, 0, whole.length).exchange, 'exchange')
  })
})

// ---------------------------------------------------------------- replies and input that wait

describe('held replies', () => {
  const open: Method = { id: Methods.ChannelOpenOk, name: 'channel.open-ok' }
  const declare: Method = { id: Methods.QueueBindOk, name: 'queue.bind-ok' }

  it('lets nothing overtake a reply that waits for topology', () => {
    const sent: string[] = []
    const replies = new HeldReplies((method) => sent.push(method.name))
    replies.add({ method: open, committedWith: 0, after: () => sent.push('then 0') }, 4)
    replies.add({ method: declare, committedWith: 5, after: () => sent.push('then 5') }, 4)
    replies.add({ method: null, committedWith: 0, after: () => sent.push('then nothing') }, 4)
    replies.add({ method: open, committedWith: 6, after: null }, 4)
    assert.deepEqual([sent.splice(0), replies.count], [['channel.open-ok', 'then 0'], 3])
    replies.commit(5)
    assert.deepEqual([sent.splice(0), replies.count], [['queue.bind-ok', 'then 5', 'then nothing'], 1])
    replies.commit(6)
    assert.deepEqual([sent, replies.isEmpty], [['channel.open-ok'], true])
  })
})

describe('kept input', () => {
  it('gives back the bytes that came, whatever was kept and however they were cut', () => {
    const step = fc.record({
      arrive: fc.integer({ min: 1, max: 9000 }),
      use: fc.double({ min: 0, max: 1, noNaN: true }),
      need: fc.nat(12_000),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const arena = new Arena(1024 * 1024)
        const read = arena.takeForGood(headroomBytes + 16_384)
        const kept = new KeptInput(arena)
        let written = 0
        let used = 0
        for (const { arrive, use, need } of steps) {
          const start = read.start + headroomBytes
          for (let at = start; at < start + arrive; at++) read.buffer[at] = written++ % 251
          if (!kept.join(read.buffer, start, start + arrive)) continue
          assert.equal(kept.end - kept.start, written - used)
          const count = Math.floor(use * (kept.end - kept.start))
          for (let at = kept.start; at < kept.start + count; at++) assert.equal(kept.buffer[at], used++ % 251)
          const left = kept.end - kept.start - count
          kept.keep(kept.start + count, need > left ? need : 0)
          assert.equal(kept.byteCount, left)
        }
      }),
    )
  })
})

describe('arena', () => {
  it('never gives the same bytes to two owners, inside of it or beyond its end', () => {
    const arena = new Arena(512 * 1024)
    const blocks = Array.from({ length: 40 }, (_, index) => arena.take(index % 3 === 0 ? 20_000 : 100))
    for (const [index, block] of blocks.entries()) block.buffer.fill(index, block.start, block.end)
    for (const [index, block] of blocks.entries()) {
      assert.ok(block.buffer.subarray(block.start, block.end).every((byte) => byte === index))
    }
    assert.ok(blocks.some((block) => block.buffer !== arena.bytes))
    const [first] = blocks
    assert.ok(first !== undefined)
    arena.give(first)
    assert.equal(arena.take(20_000), first)
    assert.equal(arena.take(1024 * 1024).end, 1024 * 1024)
  })

  it('copies within one buffer and between two', () => {
    const from = Uint8Array.of(1, 2, 3, 4, 0, 0, 0)
    copyBytes(from, 1, 4, from, 4)
    const to = new Uint8Array(4)
    copyBytes(from, 4, 7, to, 1)
    assert.deepEqual(
      [[...from], [...to]],
      [
        [1, 2, 3, 4, 2, 3, 4],
        [0, 2, 3, 4],
      ],
    )
  })
})
