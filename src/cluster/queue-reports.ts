/**
 * What each node tells the others of the queues that it serves: how much is in them, each two seconds and only what has
 * changed. For those who look at a cluster through any of its nodes; and by it the next owner knows of an auto-delete queue that
 * it has had consumers. Of the latter the node that the consumer came to tells at once: it and the owner may be gone before the
 * next report, and nobody else would ever delete the queue.
 */
import { ByteReader } from '../amqp/byte-reader.ts'
import type { ByteWriter } from '../amqp/byte-writer.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { RunQueue } from '../base/run-queue.ts'
import { inSlices } from '../base/sliced.ts'
import type { QueueStatus } from '../broker/ports.ts'
import { type ManagementLink, type ToldHandler, toldBytesMax } from './management-link.ts'
import type { Peer } from './peers.ts'

export interface QueueReportsParts {
  readonly link: ManagementLink
  readonly clock: Clock
  readonly runQueue: RunQueue
  queues(): ReportedQueues
}

export interface ReportedQueues {
  /** The queues that are served here, by id. */
  served(): Iterable<readonly [number, QueueStatus]>
  /** Some node has said how much is in a queue that it serves, another one or this. */
  told(id: number, status: QueueStatus): void
  /** What was said last; null: nothing, or that there is nothing. */
  toldOf(id: number): QueueStatus | null
  /** Another node has said that a consumer has come to this auto-delete queue. */
  consumerCame(id: number): void
}

const intervalMs = 2_000
const nothing = '0 0 0'

export class QueueReports implements ToldHandler {
  readonly #parts: QueueReportsParts
  readonly #reader = new ByteReader()
  /** What all nodes that are linked have been told, by id. */
  #said = new Map<number, string>()
  /** Nodes that have been told nothing yet. */
  readonly #new = new Set<Peer>()
  #timer: Timer | null = null

  /** Before the links start. */
  constructor(parts: QueueReportsParts) {
    this.#parts = parts
    parts.link.hear('queues', this)
    parts.link.hear('consumers', {
      told: (_peer, ...range) => this.#consumersCame(this.#reader.reset(...range)),
      up: () => {},
      down: () => {},
    })
  }

  /** A client of this node has a consumer of an auto-delete queue. */
  consumerCame(id: number): void {
    const { link } = this.#parts
    const writer = link.writer('consumers')
    writer.uint64(id)
    for (const peer of link.peers) link.tell(peer, writer)
  }

  #consumersCame(reader: ByteReader): void {
    while (reader.remaining > 0) this.#parts.queues().consumerCame(reader.uint64())
  }

  start(): void {
    const { clock, runQueue } = this.#parts
    this.#timer = clock.after(intervalMs, () => {
      void inSlices(runQueue, this.#tell()).then(() => {
        if (this.#timer !== null) this.start()
      })
    })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  *#tell(): Generator<void, void> {
    const { link, queues } = this.#parts
    const said = new Map<number, string>()
    const changed = link.writer('queues')
    const all = this.#new.size > 0 ? link.writer('queues') : null
    const news = [...this.#new]
    const others = [...link.peers].filter((peer) => !this.#new.has(peer))
    for (const [id, status] of queues().served()) {
      const { ready, unacked, consumers } = status
      const text = `${ready} ${unacked} ${consumers}`
      // Who comes later, or again, may know a number that is old: it is told of what is empty by now, too.
      const isKnown = text !== nothing || this.#said.has(id)
      if (isKnown) said.set(id, text)
      if (text !== (this.#said.get(id) ?? this.#saidBefore(id))) {
        this.#add(changed, id, status, others)
        queues().told(id, status)
      }
      if (all !== null && isKnown) this.#add(all, id, status, news)
      yield
    }
    this.#send(changed, others)
    if (all !== null) this.#send(all, news)
    for (const peer of news) this.#new.delete(peer)
    this.#said = said
  }

  /** Of a queue that has just come here, or is empty: what its last owner has said may be true no more. */
  #saidBefore(id: number): string {
    return this.#parts.queues().toldOf(id) === null ? nothing : 'by another'
  }

  #add(writer: ByteWriter, id: number, { ready, unacked, consumers }: QueueStatus, peers: readonly Peer[]): void {
    writer.uint64(id)
    for (const count of [ready, unacked, consumers]) writer.uint32(Math.min(count, 0xffff_ffff))
    if (writer.length >= toldBytesMax) this.#send(writer, peers)
  }

  #send(writer: ByteWriter, peers: readonly Peer[]): void {
    const { link } = this.#parts
    if (writer.length === 1) return
    for (const peer of peers) link.tell(peer, writer)
    link.begin(writer, 'queues')
  }

  told(_peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader.reset(bytes, start, end)
    while (reader.remaining > 0) {
      const id = reader.uint64()
      const [ready, unacked, consumers] = [reader.uint32(), reader.uint32(), reader.uint32()]
      this.#parts.queues().told(id, { ready, unacked, consumers })
    }
  }

  up(peer: Peer): void {
    this.#new.add(peer)
  }

  down(peer: Peer): void {
    this.#new.delete(peer)
  }
}
