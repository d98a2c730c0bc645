import { assert } from '../base/assert.ts'
import type { Route } from './commands.ts'
import type { Message } from './message.ts'
import type { BodyWriter, ConfirmSink, Queue, ShardCommands } from './ports.ts'
import { countPublish } from './statistics/counting.ts'
import type { VhostCounts } from './statistics/message-counts.ts'

/** One message for the queues of a route, which may be in several shards. */

/** Whether more than the first queue's shard is concerned. */
function isOnSeveralShards(route: Route): boolean {
  const first = route.queues[0]?.shard
  for (let index = 1; index < route.count; index++) {
    if (route.queues[index]?.shard !== first) return true
  }
  return false
}

export function publishRouted(
  counts: VhostCounts,
  route: Route,
  message: Message,
  confirms: ConfirmSink | null,
  sequence: number,
): void {
  countPublish(counts, route, message.bodyBytes)
  if (isOnSeveralShards(route)) publishToShards(route, message, confirms, sequence)
  else route.queues[0]?.shard.publish(message, route.queues, route.count, confirms, sequence)
}

/** For at least one queue. */
export function openRoutedBody(route: Route, isPersistent: boolean, bodyBytes: number): BodyWriter {
  if (isOnSeveralShards(route)) return openBodyOnShards(route, isPersistent, bodyBytes)
  const shard = route.queues[0]?.shard
  assert(shard !== undefined, 'a body is opened for at least one queue')
  return shard.openBody(isPersistent, bodyBytes)
}

function publishToShards(route: Route, message: Message, confirms: ConfirmSink | null, sequence: number): void {
  const groups = queuesByShard(route)
  const sink = confirms === null ? null : new CountedConfirms(confirms, groups.size)
  const { chunks } = message
  for (const [shard, queues] of groups) {
    if (chunks instanceof BodyOnShards) message.chunks = chunks.partOf(shard)
    shard.publish(message, queues, queues.length, sink, sequence)
  }
  message.chunks = chunks
}

function openBodyOnShards(route: Route, isPersistent: boolean, bodyBytes: number): BodyWriter {
  const parts = new Map<ShardCommands, BodyWriter>()
  for (const shard of queuesByShard(route).keys()) parts.set(shard, shard.openBody(isPersistent, bodyBytes))
  return new BodyOnShards(parts)
}

function queuesByShard(route: Route): Map<ShardCommands, Queue[]> {
  const groups = new Map<ShardCommands, Queue[]>()
  for (let index = 0; index < route.count; index++) {
    const queue = route.queues[index]
    if (queue === undefined) continue
    const group = groups.get(queue.shard)
    if (group === undefined) groups.set(queue.shard, [queue])
    else group.push(queue)
  }
  return groups
}

/** Confirms when all shards have, refuses as soon as one does; copies that other shards took stay there. */
class CountedConfirms implements ConfirmSink {
  readonly #sink: ConfirmSink
  #left: number

  constructor(sink: ConfirmSink, shards: number) {
    this.#sink = sink
    this.#left = shards
  }

  confirm(sequence: number): void {
    if (this.#left > 0 && --this.#left === 0) this.#sink.confirm(sequence)
  }

  refuse(sequence: number): void {
    if (this.#left === 0) return
    this.#left = 0
    this.#sink.refuse(sequence)
  }
}

/** A large body that is written to the log of each shard. */
class BodyOnShards implements BodyWriter {
  readonly #parts: ReadonlyMap<ShardCommands, BodyWriter>
  readonly #first: BodyWriter

  constructor(parts: ReadonlyMap<ShardCommands, BodyWriter>) {
    const [first] = parts.values()
    assert(first !== undefined, 'a body is opened for at least one queue')
    this.#parts = parts
    this.#first = first
  }

  partOf(shard: ShardCommands): BodyWriter {
    const part = this.#parts.get(shard)
    assert(part !== undefined, 'a body is published where it was opened')
    return part
  }

  get count(): number {
    return this.#first.count
  }

  get bodyBytes(): number {
    return this.#first.bodyBytes
  }

  append(buffer: Uint8Array, start: number, end: number): void {
    for (const part of this.#parts.values()) part.append(buffer, start, end)
  }

  abandon(): void {
    for (const part of this.#parts.values()) part.abandon()
  }

  read(index: number, done: (error: Error | null, buffer: Uint8Array, start: number, end: number) => void): void {
    this.#first.read(index, done)
  }

  release(): void {
    this.#first.release()
  }
}
