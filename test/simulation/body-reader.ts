/** A client that reads a large body, piece after piece, at its own pace, and holds every byte against what was sent. */
import assert from 'node:assert/strict'
import type { Chunks } from '../../src/broker/message.ts'
import { areEqual, bodyOf } from '../support/sent-message.ts'

export interface BodyReaderPorts {
  later(callback: () => void): void
  ended(): void
  /** Whether an error is nobody's fault but the disk's. */
  mayFail(): boolean
  mayEndEarly(): boolean
  /** The body is not what it must be. */
  failed(error: unknown): void
}

export class BodyReader {
  readonly #number: number
  readonly #chunks: Chunks
  readonly #ports: BodyReaderPorts
  #index = 0
  #at = 0

  constructor(number: number, chunks: Chunks, ports: BodyReaderPorts) {
    this.#number = number
    this.#chunks = chunks
    this.#ports = ports
  }

  start(): void {
    this.#later()
  }

  #later(): void {
    this.#ports.later(() => {
      try {
        this.#next()
      } catch (error) {
        this.#ports.failed(error)
      }
    })
  }

  #next(): void {
    const { count, bodyBytes } = this.#chunks
    if (this.#index === count) assert.equal(this.#at, bodyBytes, `message ${this.#number} is shorter than it says`)
    if (this.#index === count || this.#ports.mayEndEarly()) return this.#end()
    this.#chunks.read(this.#index++, (error, buffer, start, end) => {
      if (error !== null) {
        if (!this.#ports.mayFail())
          this.#ports.failed(new Error(`a chunk of message ${this.#number} cannot be read`, { cause: error }))
        return this.#end()
      }
      const expected = bodyOf(this.#number, bodyBytes).subarray(this.#at, this.#at + end - start)
      const isRight = areEqual(buffer, start, end, expected)
      if (!isRight) this.#ports.failed(new Error(`message ${this.#number} has another body at ${this.#at}`))
      this.#at += end - start
      this.#later()
    })
  }

  #end(): void {
    this.#chunks.release()
    this.#ports.ended()
  }
}
