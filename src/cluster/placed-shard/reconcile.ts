/**
 * A node that attaches to a shard that serves already: too late, or again since its link was cut. Its consumers go on
 * where they were. What it claims is held by them; what they were thought to hold and it does not claim was lost on the
 * way, and goes back to the queue.
 */
import type { Outcome } from '../../broker/ports.ts'
import type { EntryNode } from './entry-node.ts'
import { HeldSequences } from './held-sequences.ts'
import type { PlacedQueue } from './placed-queue.ts'
import type { LocalShard } from './ports.ts'
import type { RemoteConsumer } from './remote-consumer.ts'

type Holder = RemoteConsumer | PlacedQueue

export async function reconcile(local: LocalShard, node: EntryNode): Promise<void> {
  const { previous } = node
  node.makeConsumers()
  const kept = new Set(node.consumers.values())
  if (previous !== null)
    for (const former of previous.consumers.values()) if (!kept.has(former)) leave(former, 'requeue')
  const claims = node.takeClaims()
  const claimed = new Map<Holder, HeldSequences>()
  for (const { queue, consumer, first, last } of claims) {
    const sequences = claimed.get(consumer ?? queue) ?? new HeldSequences()
    claimed.set(consumer ?? queue, sequences)
    for (let sequence = first; sequence <= last; sequence++) sequences.add(sequence)
  }
  for (const consumer of kept) {
    eachMissing(consumer.held, claimed.get(consumer), (first, last) => giveBack(consumer, first, last, 'requeue'))
    if (consumer.isMember && !consumer.isRegistered) consumer.register()
  }
  if (previous !== null) takeOverGets(local, node, previous, claimed)
  for (const { queue, consumer, first, last } of claims) {
    if (queue.isDropped) continue
    const held = consumer?.held ?? node.heldByGets(queue)
    for (let sequence = first; sequence <= last; sequence++) {
      if (held.has(sequence)) continue
      held.add(sequence)
      await local.claim(queue.handleIn(local), consumer, sequence, sequence)
    }
  }
}

function takeOverGets(
  local: LocalShard,
  node: EntryNode,
  previous: EntryNode,
  claimed: ReadonlyMap<Holder, HeldSequences>,
): void {
  for (const [queue, held] of previous.gets) {
    const handle = queue.handleIn(local)
    eachMissing(held, claimed.get(queue), (first, last) => {
      held.remove(first, last)
      queue.commands.settle(handle, null, first, last, 'requeue')
    })
    node.gets.set(queue, held)
  }
  previous.gets.clear()
}

/** A node is gone for good: its consumers end, and what they held has failed. */
export function leaveAll(local: LocalShard, node: EntryNode): void {
  for (const consumer of node.consumers.values()) leave(consumer, 'fail')
  node.consumers.clear()
  for (const [queue, held] of node.gets) {
    const handle = queue.handleIn(local)
    if (!queue.isDropped) held.eachRun((first, last) => queue.commands.settle(handle, null, first, last, 'fail'))
  }
  node.gets.clear()
}

function leave(consumer: RemoteConsumer, outcome: Outcome): void {
  consumer.isLeaving = true
  if (consumer.isRegistered) consumer.placed.commands.unregister(consumer, { done: () => {}, failed: () => {} })
  consumer.isRegistered = false
  const { held } = consumer
  const runs: [number, number][] = []
  held.eachRun((first, last) => runs.push([first, last]))
  for (const [first, last] of runs) giveBack(consumer, first, last, outcome)
}

function giveBack(consumer: RemoteConsumer, first: number, last: number, outcome: Outcome): void {
  consumer.held.remove(first, last)
  consumer.placed.commands.settle(consumer.queue, consumer, first, last, outcome)
}

/** Calls back for each sequence that is held and not among those that are kept. */
function eachMissing(
  held: HeldSequences,
  kept: HeldSequences | undefined,
  visit: (first: number, last: number) => void,
): void {
  const missing: number[] = []
  held.eachRun((first, last) => {
    for (let sequence = first; sequence <= last; sequence++) if (kept?.has(sequence) !== true) missing.push(sequence)
  })
  for (const sequence of missing) visit(sequence, sequence)
}
