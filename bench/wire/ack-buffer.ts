import { FrameType, frameEndOctet, MethodId } from './method-ids.ts'

const ackBytes = 21
const ackCount = 64

/** Gathers `basic.ack`s (multiple) so that all that belong to one read go out as one send. */
export class AckBuffer {
  readonly #channel: number
  readonly #send: (bytes: Uint8Array) => void
  #bytes = Buffer.alloc(0)
  #used = 0

  constructor(channel: number, send: (bytes: Uint8Array) => void) {
    this.#channel = channel
    this.#send = send
  }

  /** Settles everything up to and including the tag. */
  add(deliveryTag: number): void {
    if (this.#used === this.#bytes.length) {
      this.flush()
      this.#bytes = Buffer.allocUnsafe(ackBytes * ackCount)
    }
    const at = this.#used
    this.#bytes[at] = FrameType.Method
    this.#bytes.writeUInt16BE(this.#channel, at + 1)
    this.#bytes.writeUInt32BE(ackBytes - 8, at + 3)
    this.#bytes.writeUInt32BE(MethodId.BasicAck, at + 7)
    this.#bytes.writeUInt32BE(Math.floor(deliveryTag / 0x1_0000_0000), at + 11)
    this.#bytes.writeUInt32BE(deliveryTag >>> 0, at + 15)
    this.#bytes[at + 19] = 1
    this.#bytes[at + 20] = frameEndOctet
    this.#used += ackBytes
  }

  /** The bytes sent belong to the socket from now on; what is still free behind them is used on. */
  flush(): void {
    if (this.#used === 0) return
    this.#send(this.#bytes.subarray(0, this.#used))
    this.#bytes = this.#bytes.subarray(this.#used)
    this.#used = 0
  }
}
