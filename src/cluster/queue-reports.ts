/**
 * What each node tells the others of the queues that it serves: how much is in them, each two seconds and only what has
 * changed. For those who look at a cluster through any of its nodes; nothing is decided by it.
 */
import { ByteReader } from '../amqp/byte-reader.ts'
import { ByteWriter } from '../amqp/byte-writer.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { RunQueue } from '../base/run-queue.ts'
import { inSlices } from '../base/sliced.ts'
import type { QueueStatus } from '../broker/ports.ts'
import { type Peer, type Peers, type ServiceHandler, services } from './peers.ts'

export interface QueueReportsParts {
  readonly peers: Peers
  readonly clock: Clock
  readonly runQueue: RunQueue
  /** The queues that are served here, by id. */
  served(): Iterable<readonly [number, QueueStatus]>
  /** Another node has said how much is in a queue that it serves. */
  told(id: number, status: QueueStatus): void
}

const intervalMs = 2_000
/** Of one message, in bytes: a queue takes 20. */
const messageBytesMax = 256 * 1024
const nothing = '0 0 0'

export class QueueReports implements ServiceHandler {
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
    parts.peers.serve(services.management, this)
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
    const said = new Map<number, string>()
    const changed = new ByteWriter(4_096)
    const all = this.#new.size > 0 ? new ByteWriter(4_096) : null
    const news = [...this.#new]
    const others = [...this.#parts.peers.all].filter((peer) => !this.#new.has(peer))
    for (const [id, status] of this.#parts.served()) {
      const { ready, unacked, consumers } = status
      const text = `${ready} ${unacked} ${consumers}`
      if (text !== nothing) said.set(id, text)
      if (text !== (this.#said.get(id) ?? nothing)) this.#add(changed, id, status, others)
      if (all !== null && text !== nothing) this.#add(all, id, status, news)
      yield
    }
    this.#send(changed, others)
    if (all !== null) this.#send(all, news)
    for (const peer of news) this.#new.delete(peer)
    this.#said = said
  }

  #add(writer: ByteWriter, id: number, { ready, unacked, consumers }: QueueStatus, peers: readonly Peer[]): void {
    writer.uint64(id)
    for (const count of [ready, unacked, consumers]) writer.uint32(Math.min(count, 0xffff_ffff))
    if (writer.length >= messageBytesMax) this.#send(writer, peers)
  }

  #send(writer: ByteWriter, peers: readonly Peer[]): void {
    if (writer.length === 0) return
    for (const peer of peers) peer.send(services.management, writer.buffer, 0, writer.length)
    writer.reset()
  }

  message(_peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader.reset(bytes, start, end)
    while (reader.remaining > 0) {
      const id = reader.uint64()
      const [ready, unacked, consumers] = [reader.uint32(), reader.uint32(), reader.uint32()]
      this.#parts.told(id, { ready, unacked, consumers })
    }
  }

  up(peer: Peer): void {
    this.#new.add(peer)
  }

  down(peer: Peer): void {
    this.#new.delete(peer)
  }

  drained(): void {}
}
