/** What one node has to say to another about a shard: gathered during a turn of the event loop, sent when it ends. */
import { ByteWriter } from '../../amqp/byte-writer.ts'
import type { Clock } from '../../base/clock.ts'
import { type Peer, services } from '../peers.ts'
import { batchBytesMax } from './wire.ts'

export interface OutboxOptions {
  readonly peer: Peer
  readonly clock: Clock
  /** Begins each message. */
  writeHeader(writer: ByteWriter): void
  /** Adds what was kept back until now, by `add`. */
  beforeSend?(outbox: Outbox): void
}

export class Outbox {
  readonly #options: OutboxOptions
  readonly #writer = new ByteWriter(16 * 1024)
  #isScheduled = false
  #isClosed = false

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /** Where the next command or answer is to be written, whole, before anything else is done. */
  begin(): ByteWriter {
    if (this.#writer.length > batchBytesMax) this.flush()
    this.schedule()
    return this.add()
  }

  /** The same, for what goes with the message that is being sent. */
  add(): ByteWriter {
    if (this.#writer.length === 0) this.#options.writeHeader(this.#writer)
    return this.#writer
  }

  /** Something is kept back that goes with the next message. */
  schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#options.clock.soon(this.#endOfTurn)
  }

  flush(): void {
    const writer = this.#writer
    if (!this.#isClosed) this.#options.beforeSend?.(this)
    if (writer.length > 0 && !this.#isClosed) this.#options.peer.send(services.shards, writer.buffer, 0, writer.length)
    writer.reset()
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#isClosed = true
  }

  readonly #endOfTurn = (): void => {
    this.#isScheduled = false
    this.flush()
  }
}
