/**
 * Large bodies of dead letters on their way to other logs: from the scratch log to the durable one, and to the shards that
 * hold their queues. Those for other nodes are in memory until these have them, so the bytes of all of them together are
 * counted with the letters that are under way (`outgoing-letters.ts`).
 */
import type { Clock } from '../../base/clock.ts'
import type { Message } from '../message.ts'
import type { BodyWriter, Queue } from '../ports.ts'
import type { Dying } from '../queue/dying-entries.ts'
import { type LargeBodies, type LargeBody, LargeBodyWriter } from './large-bodies.ts'
import type { OutgoingLetters } from './outgoing-letters.ts'

export interface LetterBodiesPorts {
  readonly bodies: LargeBodies
  readonly clock: Clock
  readonly outgoing: OutgoingLetters
  damaged(error: Error): void
}

/** What a dead letter needs that takes time: its body in other logs, and the word of other shards. */
interface Transfer {
  /** By queue for those of other shards; null: in this shard's durable log. */
  readonly writers: Map<Queue | null, BodyWriter>
  /** Bytes that count as under way. */
  heldBytes: number
  /** The queues of other shards have it. */
  isElsewhere: boolean
}

export class LetterBodies {
  readonly #ports: LetterBodiesPorts
  readonly #transfers = new WeakMap<Dying, Transfer>()

  constructor(ports: LetterBodiesPorts) {
    this.#ports = ports
  }

  /** Something has been done about it already. */
  has(dying: Dying): boolean {
    return this.#transfers.has(dying)
  }

  isElsewhere(dying: Dying): boolean {
    return this.#transfers.get(dying)?.isElsewhere === true
  }

  /** Whether the body must be written to other logs first: also again, where a queue has come meanwhile. */
  needsCopies(dying: Dying, letter: Message, body: LargeBody, elsewhere: readonly Queue[]): boolean {
    const transfer = this.#transfers.get(dying)
    if (transfer === undefined) return elsewhere.length > 0 || mustBecomeDurable(letter, body)
    return !transfer.isElsewhere && elsewhere.some((queue) => !transfer.writers.has(queue))
  }

  /** Calls back when all of it is written, or when it was ended before. */
  copy(dying: Dying, letter: Message, body: LargeBody, elsewhere: readonly Queue[], copied: () => void): void {
    this.end(dying)
    const { bodies, clock, outgoing, damaged } = this.#ports
    const heldBytes = body.bodyBytes * elsewhere.length
    const transfer: Transfer = { writers: new Map(), heldBytes, isElsewhere: false }
    this.#transfers.set(dying, transfer)
    outgoing.hold(heldBytes)
    const { writers } = transfer
    if (mustBecomeDurable(letter, body)) writers.set(null, bodies.openWriter(true, body.bodyBytes))
    for (const queue of elsewhere) writers.set(queue, queue.shard.openBody(letter.isPersistent, body.bodyBytes))
    const reader = bodies.reader(body)
    const copyChunk = (index: number): void => {
      reader.read(index, (error, buffer, start, end) => {
        if (error !== null) return damaged(error)
        const isOver = this.#transfers.get(dying) !== transfer
        if (!isOver) for (const writer of writers.values()) writer.append(buffer, start, end)
        if (!isOver && index + 1 < reader.count) return clock.soon(() => copyChunk(index + 1))
        reader.release()
        if (isOver) return copied()
        const written = writers.get(null)
        if (written instanceof LargeBodyWriter) written.flush()
        copied()
      })
    }
    copyChunk(0)
  }

  /** What its publishes carry, each taken out as it is sent. */
  writersOf(dying: Dying): Map<Queue | null, BodyWriter> | null {
    return this.#transfers.get(dying)?.writers ?? null
  }

  /** The body as this shard's queues are to have it. */
  writtenHere(dying: Dying, body: LargeBody | null): LargeBody | null {
    const copied = this.#transfers.get(dying)?.writers.get(null)
    return copied instanceof LargeBodyWriter ? copied.body : body
  }

  /** The other shards have all of it; it is still to be stored here. */
  storedElsewhere(dying: Dying): void {
    const transfer = this.#transfers.get(dying) ?? { writers: new Map(), heldBytes: 0, isElsewhere: false }
    this.#transfers.set(dying, transfer)
    this.#letGo(transfer)
    transfer.isElsewhere = true
  }

  /** It cannot be sent for now, and others must not wait for the room that it takes: it is copied again. */
  postpone(dying: Dying): void {
    if ((this.#transfers.get(dying)?.heldBytes ?? 0) > 0) this.end(dying)
  }

  /** It is done with, or begins anew. */
  end(dying: Dying): void {
    const transfer = this.#transfers.get(dying)
    if (transfer === undefined) return
    this.#transfers.delete(dying)
    for (const writer of transfer.writers.values()) writer.abandon()
    this.#letGo(transfer)
  }

  #letGo(transfer: Transfer): void {
    this.#ports.outgoing.letGo(transfer.heldBytes)
    transfer.heldBytes = 0
  }
}

function mustBecomeDurable(letter: Message, body: LargeBody): boolean {
  return letter.isPersistent && !body.isDurable
}
