import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ShardCommands } from '../../../src/broker/ports.ts'
import { DeduplicationWindow } from '../../../src/broker/queue/deduplication-window.ts'
import { chunkEntries, EntryFlag } from '../../../src/broker/queue/entry-chunk.ts'
import { LocalQueue } from '../../../src/broker/queue/local-queue.ts'
import { Fates } from '../../../src/broker/shard/fates.ts'
import {
  type QueueState,
  queueStateBytes,
  queueStates,
  readQueueState,
  writeQueueState,
} from '../../../src/broker/shard/queue-state.ts'
import { ReplayedSettlements } from '../../../src/broker/shard/replayed-settlements.ts'
import { recordBytesMax } from '../../../src/log/log.ts'
import { definitionOf } from '../../support/shard-harness.ts'

const deduplication = { windowMs: 1_000, idsMax: 100_000 }

function queueOf(count: number): LocalQueue {
  const queue = new LocalQueue(definitionOf(1, 'q', true, { deduplication }), {} as ShardCommands)
  for (let index = 0; index < count; index++) push(queue)
  return queue
}

function push(queue: LocalQueue): void {
  queue.entries.push(queue.entries.next * 10, 100, EntryFlag.live)
}

function change(queue: LocalQueue, sequence: number, what: 'settle' | 'fail' | 'wait'): void {
  const chunk = queue.entries.chunkOf(sequence)
  if (chunk === null || chunk.flagsOf(sequence) !== EntryFlag.live) return
  if (what === 'settle') return queue.entries.remove(chunk, sequence)
  if (what === 'wait') {
    queue.entries.handOut(chunk, sequence, 0)
    queue.entries.holdBack(chunk, sequence, 1_000_000 + sequence)
  }
  chunk.sideFor().setFailures(sequence - chunk.first, 1 + (sequence % 3))
  queue.hasFailures = true
}

/** As stored and read again. */
function stored(state: QueueState): QueueState {
  const bytes = queueStateBytes(state)
  assert.ok(bytes <= recordBytesMax, `${bytes} bytes`)
  const buffer = new Uint8Array(bytes)
  writeQueueState(buffer, 0, state)
  return readQueueState(buffer, 0)
}

/** A queue that was read from records of as many entries and these states. */
function replayed(count: number, states: readonly QueueState[]): LocalQueue {
  const queue = queueOf(count)
  const settled = new ReplayedSettlements()
  const fates = new Fates()
  for (const state of states) {
    settled.settle(queue, queue.entries.head(), state.head - 1)
    for (let at = 0; at < state.gaps.length; at += 2) {
      settled.settle(queue, state.gaps[at] as number, state.gaps[at + 1] as number)
    }
    for (const { first, bits } of state.bitmaps) settled.settleBits(queue, first, bits)
    fates.noteState(queue, state)
  }
  for (const _step of fates.apply());
  return queue
}

/** What the log must know of each entry. */
function known(queue: LocalQueue, count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const chunk = queue.entries.chunkOf(index + 1)
    const flags = chunk?.flagsOf(index + 1) ?? 0
    if (chunk === null || flags === 0) return '-'
    const isWaiting = (flags & EntryFlag.waiting) !== 0
    return `${chunk.failuresOf(index + 1)}${isWaiting ? ` until ${chunk.dueOf(index + 1)}` : ''}`
  })
}

describe('the state of a queue', () => {
  const what = fc.constantFrom('settle' as const, 'fail' as const, 'wait' as const)
  const range = fc.record({ what, from: fc.nat(200_000), count: fc.nat(9_000), step: fc.integer({ min: 1, max: 3 }) })

  it('is said again by its records, however many they are', () => {
    const property = fc.property(fc.array(range, { maxLength: 8 }), fc.nat(90_000), (ranges, more) => {
      const count = 70_000 + more
      const queue = queueOf(count)
      for (const { what: how, from, count: length, step } of ranges) {
        for (let index = 0; index < length; index++) change(queue, 1 + ((from + index * step) % count), how)
      }
      const states = [...queueStates(queue, 5)].map(stored)
      assert.ok(states.length >= 2)
      assert.deepEqual(
        states.map(({ sentMark }) => sentMark),
        states.map((_, index) => (index === 0 ? 5 : null)),
      )
      assert.deepEqual(known(replayed(count, states), count), known(queue, count))
    })
    fc.assert(property, { seed: 7, numRuns: 8 })
  })

  it('says nothing wrong when the queue changes between its records', () => {
    const count = 300 * chunkEntries
    const queue = queueOf(count)
    for (let sequence = 1; sequence <= count; sequence += 5) change(queue, sequence, 'wait')
    const states: QueueState[] = []
    const before = queue.entries.next
    for (const state of queueStates(queue, 0)) {
      states.push(stored(state))
      for (let index = 0; index < 100; index++) {
        change(queue, ((states.length * 7_919 + index * 131) % count) + 1, 'settle')
        push(queue)
      }
    }
    assert.ok(states.length > 10)
    const again = replayed(queue.entries.next - 1, states)
    for (let sequence = 1; sequence < queue.entries.next; sequence++) {
      const isThere = (queue.entries.chunkOf(sequence)?.flagsOf(sequence) ?? 0) !== 0
      // What is settled later is in a later record; nothing that is there may be settled.
      if (isThere)
        assert.notEqual(again.entries.chunkOf(sequence)?.flagsOf(sequence) ?? 0, 0, `${sequence} of ${before}`)
    }
  })

  it('says all ids, also when some are forgotten meanwhile', () => {
    const queue = queueOf(1)
    const window = new DeduplicationWindow(deduplication)
    queue.window = window
    for (let index = 0; index < 30_000; index++) window.remember(`${index}`, index < 20_000 ? 0 : 500)
    const states: QueueState[] = []
    for (const state of queueStates(queue, 0)) {
      states.push(stored(state))
      for (let index = 0; index < 100; index++) window.remember(`later ${states.length} ${index}`, 1_000)
    }
    const again = replayed(1, states)
    for (let index = 20_000; index < 30_000; index++) assert.ok(again.window?.isDuplicate(`${index}`, 900), `${index}`)
  })
})
