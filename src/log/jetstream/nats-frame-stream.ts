/**
 * One log's stream in JetStream. An append is one request and one attempt; reads of single frames are answered by the
 * stream's leader, never by a replica that may lag behind.
 */
import { JetStreamApiError } from '@nats-io/jetstream'
import { headers, type MsgHdrs } from '@nats-io/transport-node'
import { askAgain } from './ask-again.ts'
import type {
  AppendOutcome,
  DigestStream,
  Following,
  FollowListener,
  FrameStream,
  SegmentPlace,
  StreamFrame,
  StreamState,
} from './frame-stream.ts'
import { NatsFollowing } from './nats-following.ts'
import type { NatsParts } from './nats-streams.ts'

export interface NatsFrameStreamNames {
  readonly stream: string
  readonly subject: string
  readonly name: string
  readonly logId: Uint8Array
  readonly bytesMax: number
  /** `StreamSettings.followMs`. */
  readonly followMs: number
  readonly digests: DigestStream
}

/** An append that was not answered is looked for after this, in milliseconds. */
const appendTimeoutMs = 2_000
/** Copies of frames grow in steps of this, in bytes. */
const copyStepBytes = 64 * 1024
const segmentHeader = 'Warren-Segment'
/** Of the largest message, for headers and subject, in bytes. */
const headerBytesMax = 1024
/** JetStream's codes for: maximum bytes exceeded, insufficient resources, insufficient storage. */
const fullCodes: readonly number[] = [10_077, 10_023, 10_047]

export class NatsFrameStream implements FrameStream {
  readonly name: string
  readonly logId: Uint8Array
  readonly bytesMax: number
  readonly frameBytesMax: number
  readonly digests: DigestStream
  readonly #parts: NatsParts
  readonly #names: NatsFrameStreamNames
  #spare: Uint8Array | null = null

  constructor(parts: NatsParts, names: NatsFrameStreamNames) {
    this.#parts = parts
    this.#names = names
    this.name = names.name
    this.logId = names.logId
    this.bytesMax = names.bytesMax
    this.digests = names.digests
    this.frameBytesMax = (parts.connection.info?.max_payload ?? 1024 * 1024) - headerBytesMax
  }

  async append(expectedLast: number, segment: SegmentPlace, frame: Uint8Array): Promise<AppendOutcome> {
    const { subject, stream } = this.#names
    const { id, base, span, pageBytes } = segment
    const fields = headers()
    fields.set(segmentHeader, `${id} ${base} ${span} ${pageBytes}`)
    const copy = this.#copyOf(frame)
    try {
      const ack = await this.#parts.client.publish(subject, copy.subarray(0, frame.byteLength), {
        headers: fields,
        expect: { lastSequence: expectedLast, streamName: stream },
        timeout: appendTimeoutMs,
        retries: 1,
      })
      // What is acknowledged has been sent, so the bytes are free again. Of all else nobody knows.
      this.#spare = copy
      if (ack.stream === stream && ack.duplicate !== true) return { kind: 'stored', sequence: ack.seq }
      return { kind: 'unknown', reason: `acknowledged as sequence ${ack.seq} of ${ack.stream}`, isFull: false }
    } catch (error) {
      const isFull = error instanceof JetStreamApiError && fullCodes.includes(error.code)
      return { kind: 'unknown', reason: error instanceof Error ? error.message : String(error), isFull }
    }
  }

  /**
   * While it reconnects, the client library keeps what it was given, and the log may be gone by the time it is sent. One
   * buffer serves all appends that are acknowledged: a new one for each would be garbage of the size of the load.
   */
  #copyOf(frame: Uint8Array): Uint8Array {
    const spare = this.#spare
    this.#spare = null
    const isEnough = spare !== null && spare.byteLength >= frame.byteLength
    const copy = isEnough ? spare : new Uint8Array(Math.ceil(frame.byteLength / copyStepBytes) * copyStepBytes)
    copy.set(frame)
    return copy
  }

  async read(sequence: number): Promise<StreamFrame | null> {
    const { streams } = this.#parts.reader
    const message = await askAgain(() => streams.getMessage(this.#names.stream, { seq: sequence }))
    if (message === null) return null
    return { sequence: message.seq, segment: segmentOf(message.header), bytes: message.data }
  }

  async state(): Promise<StreamState> {
    const { streams } = this.#parts.reader
    const { state } = await askAgain(() => streams.info(this.#names.stream))
    const { first_seq: first, last_seq: last, messages, bytes } = state
    return { first: messages === 0 ? last + 1 : first, last, bytes }
  }

  async purge(below: number): Promise<void> {
    await this.#parts.manager.streams.purge(this.#names.stream, { seq: below })
  }

  follow(from: number, listener: FollowListener): Following {
    const { stream, followMs } = this.#names
    return new NatsFollowing(this.#parts, { stream, gatherMs: followMs }, from, listener)
  }
}

/** All zeros where there is none: no frame fits into such a segment. */
export function segmentOf(fields: MsgHdrs | undefined): SegmentPlace {
  const [id = 0, base = 0, span = 0, pageBytes = 0] = (fields?.get(segmentHeader) ?? '').split(' ').map(Number)
  return { id, base, span, pageBytes }
}
