/** The digests of one log, as messages of the stream that all logs of the cluster share. */
import { headers } from '@nats-io/transport-node'
import type { DigestPart, DigestStream } from './frame-stream.ts'
import type { NatsParts } from './nats-streams.ts'

export interface NatsDigestNames {
  readonly stream: string
  /** Of this log; segment and part follow. */
  readonly subject: string
}

const digestHeader = 'Warren-Digest'
const partBytesMax = 256 * 1024
const putTimeoutMs = 5_000

export class NatsDigestStream implements DigestStream {
  readonly partBytesMax = partBytesMax
  readonly #parts: NatsParts
  readonly #names: NatsDigestNames

  constructor(parts: NatsParts, names: NatsDigestNames) {
    this.#parts = parts
    this.#names = names
  }

  async put({ segmentId, part, parts, version, bytes }: DigestPart): Promise<void> {
    const fields = headers()
    fields.set(digestHeader, `${parts} ${version}`)
    await this.#parts.client.publish(`${this.#names.subject}.${segmentId}.${part}`, bytes.slice(), {
      headers: fields,
      timeout: putTimeoutMs,
    })
  }

  async get(segmentId: number, part: number): Promise<DigestPart | null> {
    const { stream, subject } = this.#names
    const query = { last_by_subj: `${subject}.${segmentId}.${part}` }
    const message = await this.#parts.manager.streams.getMessage(stream, query)
    if (message === null) return null
    const [parts = '0', version = ''] = (message.header?.get(digestHeader) ?? '').split(' ')
    return { segmentId, part, parts: Number(parts), version, bytes: message.data }
  }

  async remove(segmentId: number): Promise<void> {
    const { stream, subject } = this.#names
    await this.#parts.manager.streams.purge(stream, { filter: `${subject}.${segmentId}.*` })
  }
}
