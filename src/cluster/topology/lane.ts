import { messageBytesMax, type Peer, services } from '../peers.ts'
import { messageKinds } from './topology-message.ts'

/** Of one message with all its pieces, in bytes: definitions as long as they may be, as JSON within JSON. */
export const wholeMessageBytesMax = 160 * 1024 * 1024

const pieceBytes = messageBytesMax / 2

/**
 * Messages to and from one other node while the link is up, of any length: long ones go in pieces, one after the other,
 * and wait while the link has enough to write.
 */
export class Lane {
  readonly peer: Peer
  #waiting: Uint8Array[] = []
  #begun: Uint8Array[] = []
  #begunBytes = 0

  constructor(peer: Peer) {
    this.peer = peer
  }

  /** The message belongs to the lane from now on. */
  send(message: Uint8Array): void {
    if (message.length <= messageBytesMax && this.#waiting.length === 0) {
      this.peer.send(services.topology, message, 0, message.length)
      return
    }
    let at = 0
    for (; message.length - at > pieceBytes; at += pieceBytes) {
      const piece = new Uint8Array(1 + pieceBytes)
      piece[0] = messageKinds.piece
      piece.set(message.subarray(at, at + pieceBytes), 1)
      this.#waiting.push(piece)
    }
    // What is left is no message of its own: it ends what the pieces began.
    this.#waiting.push(at === 0 ? message : endOf(message, at))
    this.drained()
  }

  /** The link has room. */
  drained(): void {
    let sent = 0
    for (const message of this.#waiting) {
      if (this.peer.isCongested) break
      this.peer.send(services.topology, message, 0, message.length)
      sent++
    }
    this.#waiting.splice(0, sent)
  }

  /** The whole message that ends here, or null: there is more to come. Throws `RangeError` when it is too long. */
  received(bytes: Uint8Array, start: number, end: number): Uint8Array | null {
    const isPiece = bytes[start] === messageKinds.piece
    if (!isPiece && this.#begunBytes === 0) return bytes.slice(start, end)
    const piece = bytes.slice(start + 1, end)
    this.#begun.push(piece)
    this.#begunBytes += piece.length
    if (this.#begunBytes > wholeMessageBytesMax) {
      throw new RangeError(`a message about the topology is longer than ${wholeMessageBytesMax} bytes`)
    }
    if (isPiece) return null
    const whole = Buffer.concat(this.#begun)
    this.#begun = []
    this.#begunBytes = 0
    return whole
  }
}

/** Its kind tells that no piece follows. */
function endOf(message: Uint8Array, at: number): Uint8Array {
  const end = new Uint8Array(1 + message.length - at)
  end[0] = message[0] ?? 0
  end.set(message.subarray(at), 1)
  return end
}
