/**
 * Cuts what goes out at the ends of AMQP frames. What of a frame has come without its end is kept until the rest comes:
 * at most one frame. It knows no more of a frame than its length (AMQP 0-9-1 §4.2.3), and that the answer to a wrong
 * protocol header is one of 8 bytes, which looks like no frame.
 */
const headerBytes = 7
const endBytes = 1
/** `A`, the first byte of `AMQP`. */
const protocolHeaderStart = 0x41
const protocolHeaderBytes = 8

export class FrameEnds {
  #head = new Uint8Array(headerBytes)
  /** The frame that has begun, as far as it has come; its head alone while its length is not known. */
  #kept = this.#head
  #keptBytes = 0
  #frameBytes = 0

  /** Views of `bytes`, and copies of what was kept; each holds one or more whole frames. */
  cut(bytes: Uint8Array): Uint8Array[] {
    const whole: Uint8Array[] = []
    let at = 0
    if (this.#keptBytes > 0) {
      at = this.#goOn(bytes)
      if (this.#keptBytes < this.#frameBytes || this.#frameBytes === 0) return whole
      whole.push(this.#kept)
      this.#forget()
    }
    const end = lastEnd(bytes, at)
    if (end > at) whole.push(bytes.subarray(at, end))
    if (end < bytes.length) this.#goOn(bytes.subarray(end))
    return whole
  }

  /** Adds what belongs to the frame that has begun; returns how much that was. */
  #goOn(bytes: Uint8Array): number {
    let at = 0
    if (this.#frameBytes === 0) {
      at = this.#add(bytes, 0, headerBytes)
      if (this.#keptBytes === headerBytes || this.#kept[0] === protocolHeaderStart) this.#measure()
    }
    if (this.#frameBytes > 0) at += this.#add(bytes, at, this.#frameBytes)
    return at
  }

  /** As much from `at` on as is missing up to `bytesMax`. */
  #add(bytes: Uint8Array, at: number, bytesMax: number): number {
    const piece = bytes.subarray(at, at + bytesMax - this.#keptBytes)
    this.#kept.set(piece, this.#keptBytes)
    this.#keptBytes += piece.length
    return piece.length
  }

  #measure(): void {
    const head = this.#kept.subarray(0, this.#keptBytes)
    this.#frameBytes = frameLength(head, 0)
    this.#kept = new Uint8Array(this.#frameBytes)
    this.#kept.set(head)
  }

  #forget(): void {
    this.#kept = this.#head
    this.#keptBytes = 0
    this.#frameBytes = 0
  }
}

/** Where the last frame that begins at or after `from`, and is whole, ends. */
function lastEnd(bytes: Uint8Array, from: number): number {
  let end = from
  while (end + headerBytes <= bytes.length) {
    const next = end + frameLength(bytes, end)
    if (next > bytes.length) break
    end = next
  }
  return end
}

function frameLength(bytes: Uint8Array, at: number): number {
  if (bytes[at] === protocolHeaderStart) return protocolHeaderBytes
  const payload = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at + 3)
  return headerBytes + payload + endBytes
}
