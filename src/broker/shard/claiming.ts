/**
 * What clients hold from an earlier owner of the shard, taken out of what is ready: said by the nodes that they are
 * connected to, before the new owner delivers anything.
 */
import type { Clock } from '../../base/clock.ts'
import type { Consumer } from '../ports.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import { Leases } from '../queue/leases.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { QueueFeature } from '../queue/queue-features.ts'
import type { Deadlines } from './deadlines.ts'

export interface ClaimingPorts {
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** Loads the columns of a chunk that is away. */
  loadChunk(queue: LocalQueue, chunk: EntryChunk): Promise<void>
}

const readyMask = EntryFlag.live | EntryFlag.unacked | EntryFlag.waiting

export class Claiming {
  readonly #ports: ClaimingPorts

  constructor(ports: ClaimingPorts) {
    this.#ports = ports
  }

  /** Gives the consumer (null: gets) those of `first..last` that are ready. Resolves with how many these are. */
  async claim(queue: LocalQueue, consumer: Consumer | null, first: number, last: number): Promise<number> {
    let count = 0
    const end = Math.min(last, queue.entries.next - 1)
    for (let from = first; from <= end; ) {
      const chunkEnd = Math.min(end, Math.floor(from / chunkEntries) * chunkEntries + chunkEntries - 1)
      const chunk = queue.entries.chunkOf(from)
      if (chunk?.isAway === true) await this.#ports.loadChunk(queue, chunk)
      const loaded = queue.entries.chunkOf(from)
      if (loaded !== null && !loaded.isAway) count += this.#claimIn(queue, loaded, consumer, from, chunkEnd)
      from = chunkEnd + 1
    }
    return count
  }

  #claimIn(queue: LocalQueue, chunk: EntryChunk, consumer: Consumer | null, first: number, last: number): number {
    let count = 0
    for (let sequence = first; sequence <= last; sequence++) {
      if ((chunk.flagsOf(sequence) & readyMask) !== EntryFlag.live) continue
      queue.entries.handOut(chunk, sequence, consumer?.id ?? 0)
      if (consumer !== null) consumer.unacked++
      this.#lease(queue, sequence, consumer)
      count++
    }
    return count
  }

  /** Its time begins anew: how much of it the earlier owner had given is not known. */
  #lease(queue: LocalQueue, sequence: number, consumer: Consumer | null): void {
    const ms = consumer?.timeoutMs ?? queue.settings.consumerTimeoutMs
    if (((queue.features & QueueFeature.lease) === 0 && consumer?.timeoutMs == null) || ms === null || ms === 0) return
    const now = this.#ports.clock.now()
    queue.leases ??= new Leases()
    queue.leases.begin(sequence, consumer, now, ms)
    this.#ports.deadlines.arm(queue, now + ms)
  }
}
