import type { Method } from '../amqp/methods.generated.ts'
import type { Position } from '../broker/ports.ts'

/** A reply, or something to be done at its place in the order of replies (`method` null). */
interface HeldReply {
  readonly method: Method | null
  readonly committedWith: Position
  readonly after: (() => void) | null
}

/** Sends a reply that may go. */
export type SendReply = (method: Method) => void

/**
 * The replies of a channel in their order. One that answers a durable declare, bind or delete waits until the topology
 * record is stored; whatever comes after it waits behind it. As a rule nothing is held, and a reply goes straight out.
 */
export class HeldReplies {
  readonly #send: SendReply
  #held: HeldReply[] = []
  #head = 0

  constructor(send: SendReply) {
    this.#send = send
  }

  get count(): number {
    return this.#held.length - this.#head
  }

  get isEmpty(): boolean {
    return this.#held.length === 0
  }

  /** Sends the reply now or, in its turn, when the topology is committed up to `committedWith`; then calls `after`. */
  add(reply: HeldReply, committed: Position): void {
    if (this.#held.length === 0 && reply.committedWith <= committed) this.#release(reply)
    else this.#held.push(reply)
  }

  /** Sends what may go. `after` of a reply may add others. */
  commit(committed: Position): void {
    for (;;) {
      const next = this.#held[this.#head]
      if (next === undefined || next.committedWith > committed) break
      this.#head++
      this.#release(next)
    }
    if (this.#head === this.#held.length) {
      this.#held = []
      this.#head = 0
    }
  }

  /** Forgets all that is held. */
  drop(): void {
    this.#held = []
    this.#head = 0
  }

  #release(reply: HeldReply): void {
    if (reply.method !== null) this.#send(reply.method)
    reply.after?.()
  }
}
