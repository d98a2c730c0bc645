/**
 * The streams of one cluster on a NATS server with JetStream. Loading this module loads the client library.
 *
 *   stream PREFIX-log-NAME    subject PREFIX.log.NAME                        one message per frame
 *   stream PREFIX-digests     subjects PREFIX.digest.NAME.SEGMENT.PART       the last digest of each sealed segment
 */
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  PersistMode,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Clock } from '../../base/clock.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { askAgain, askMs } from './ask-again.ts'
import { type FrameStream, type FrameStreams, type StreamSettings, StreamUnfit } from './frame-stream.ts'
import { NatsDigestStream } from './nats-digest-stream.ts'
import { NatsFrameStream } from './nats-frame-stream.ts'

export interface NatsStreamsOptions {
  readonly connection: NatsConnection
  /** What the names of all streams of this cluster begin with: letters, digits, `-` and `_`, at most 64. */
  readonly prefix: string
  readonly clock: Clock
  readonly random: Random
  readonly logger?: Logger
  /** JetStream domain of the servers that store; null: that of whom one is connected to. */
  readonly domain?: string | null
  /** Copies of the digests. */
  readonly replicas: 1 | 3 | 5
  /** Bytes for the digests of all logs; the oldest go first. Default 1 GiB. */
  readonly digestBytesMax?: number
}

/** What the clients of JetStream need to reach it and to make themselves understood. */
export interface NatsParts {
  readonly connection: NatsConnection
  readonly client: JetStreamClient
  readonly manager: JetStreamManager
  /** What the subjects of JetStream's API begin with. */
  readonly api: string
  /** For questions, by `askAgain`. */
  readonly reader: JetStreamManager
  readonly clock: Clock
  readonly logger: Logger
}

/** Version of what is in a log's messages. */
const formatVersion = '1'
const logIdKey = 'warren-log-id'
const formatKey = 'warren-format'
const digestBytesMaxDefault = 1024 * 1024 * 1024
const apiTimeoutMs = 5_000
/** No frame is larger. */
const frameBytesMin = 512 * 1024
/** JetStream's codes for a stream that is not there, and for one that is there with other settings. */
const codes = { streamNotFound: 10_059, nameInUse: 10_058 } as const
/** JetStream's codes for a stream that has no room: no server with enough, account, server, storage, more than the account gives one. */
const noRoomCodes: readonly number[] = [10_005, 10_002, 10_023, 10_047, 10_122]
/** Where there is little room each stream is given at least so much, in bytes: a log needs some segments. */
export const streamBytesMin = 256 * 1024 * 1024
/** Among so many streams the room is divided where there is little. */
const sharers = 16
/** Where there is no room other nodes may just be trying larger streams: so often, after such pauses in milliseconds and up to twice that. */
const roomTriesMax = 5
const roomPauseMs = 300
const namePattern = /^[A-Za-z0-9_-]{1,64}$/

/** Rejects when the servers do not answer, or have no JetStream. */
export async function openNatsStreams(options: NatsStreamsOptions): Promise<NatsFrameStreams> {
  checkName(options.prefix)
  const { connection, clock, domain = null, logger = silentLogger } = options
  const where = domain === null ? {} : { domain }
  const api = domain === null ? '$JS.API' : `$JS.${domain}.API`
  const manager = await jetstreamManager(connection, { timeout: apiTimeoutMs, ...where })
  const reader = await jetstreamManager(connection, { timeout: askMs, checkAPI: false, ...where })
  const client = jetstream(connection, { timeout: apiTimeoutMs, ...where })
  const parts = { connection, client, manager, api, reader, clock, logger }
  const streams = new NatsFrameStreams(options, parts)
  await streams.openDigests()
  return streams
}

export class NatsFrameStreams implements FrameStreams {
  readonly #options: NatsStreamsOptions
  readonly #parts: NatsParts
  /** What a stream is given where there is less room than is asked for; null: nothing is known of that. */
  #share: number | null = null
  /** One stream is made at a time: each that is tried takes room from the others. */
  #making: Promise<unknown> = Promise.resolve()

  constructor(options: NatsStreamsOptions, parts: NatsParts) {
    this.#options = options
    this.#parts = parts
  }

  async open(name: string, settings: StreamSettings): Promise<FrameStream> {
    checkName(name)
    const { prefix, random } = this.#options
    const wanted = {
      ...logSettings(settings),
      name: `${prefix}-log-${name}`,
      subjects: [`${prefix}.log.${name}`],
      metadata: { [logIdKey]: Buffer.from(random.bytes(16)).toString('hex'), [formatKey]: formatVersion },
    }
    const { config } = await this.#openOrAdd(wanted)
    checkSettings(config, wanted)
    const frames = new NatsFrameStream(this.#parts, {
      stream: wanted.name,
      subject: wanted.subjects[0] as string,
      name,
      logId: logIdOf(config),
      bytesMax: config.max_bytes > 0 ? config.max_bytes : Number.MAX_SAFE_INTEGER,
      followMs: settings.followMs ?? 0,
      digests: new NatsDigestStream(this.#parts, { stream: this.#digestStream, subject: `${prefix}.digest.${name}` }),
    })
    if (frames.frameBytesMax < frameBytesMin) {
      throw new StreamUnfit(
        `the servers take messages of ${frames.frameBytesMax} bytes; set max_payload to 1MB or more`,
      )
    }
    return frames
  }

  async list(prefix: string): Promise<string[]> {
    const names: string[] = []
    const before = `${this.#options.prefix}-log-`
    for await (const name of this.#parts.manager.streams.names(`${this.#options.prefix}.log.>`)) {
      if (name.startsWith(before + prefix)) names.push(name.slice(before.length))
    }
    return names
  }

  async remove(name: string): Promise<void> {
    checkName(name)
    const { prefix } = this.#options
    const { streams } = this.#parts.manager
    try {
      await streams.delete(`${prefix}-log-${name}`)
    } catch (error) {
      if (!isCode(error, codes.streamNotFound)) throw error
    }
    await streams.purge(this.#digestStream, { filter: `${prefix}.digest.${name}.>` })
  }

  async openDigests(): Promise<void> {
    const { prefix, replicas, digestBytesMax = digestBytesMaxDefault } = this.#options
    await this.#openOrAdd({
      name: this.#digestStream,
      subjects: [`${prefix}.digest.>`],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      num_replicas: replicas,
      max_msgs_per_subject: 1,
      discard: DiscardPolicy.Old,
      max_bytes: digestBytesMax,
      deny_delete: true,
      allow_direct: false,
    })
  }

  get #digestStream(): string {
    return `${this.#options.prefix}-digests`
  }

  /**
   * Servers reserve what a stream may hold. What they do not have room for is made smaller until they have, and then again, so
   * that there is room for the others. Rejects with `StreamUnfit` when there is none for the least, also after other
   * nodes have had time to make smaller what they try.
   */
  async #addInRoom(wanted: StreamWanted): Promise<StreamInfo> {
    const { clock, random } = this.#options
    for (let tries = 1; ; tries++) {
      const made = await this.#addLargest(wanted)
      if (made !== null) return made
      if (tries === roomTriesMax) throw new StreamUnfit(noRoomSentence(wanted.name))
      const pauseMs = roomPauseMs * (1 + (random.bytes(1)[0] ?? 0) / 256)
      await new Promise<void>((resolve) => clock.after(pauseMs, resolve))
    }
  }

  /** Null: there is no room for the least. */
  async #addLargest(wanted: StreamWanted): Promise<StreamInfo | null> {
    const { manager, logger } = this.#parts
    const most = wanted.max_bytes ?? streamBytesMin
    const share = this.#share
    for (let bytes = Math.min(most, share ?? most); ; bytes = lessThan(bytes)) {
      try {
        const made = await manager.streams.add({ ...wanted, max_bytes: bytes })
        if (bytes === most || bytes === share || bytes <= streamBytesMin) return made
        this.#share = Math.max(streamBytesMin, Math.floor(bytes / sharers))
        const given = { stream: wanted.name, bytes: this.#share }
        logger.warn(given, 'the NATS servers have less room than is asked for; see max_file_store')
        return await manager.streams.update(wanted.name, { ...made.config, max_bytes: this.#share })
      } catch (error) {
        if (!noRoomCodes.some((code) => isCode(error, code))) throw error
        if (bytes <= streamBytesMin) return null
      }
    }
  }

  /** Of two nodes that make it at once, one finds it made. */
  async #openOrAdd(wanted: StreamWanted): Promise<StreamInfo> {
    const { manager, reader } = this.#parts
    const { streams } = manager
    try {
      return await askAgain(() => reader.streams.info(wanted.name))
    } catch (error) {
      if (!isCode(error, codes.streamNotFound)) throw error
    }
    try {
      const made = this.#making.then(() => this.#addInRoom(wanted))
      this.#making = made.catch(() => undefined)
      return await made
    } catch (error) {
      if (!isCode(error, codes.nameInUse)) throw error
      return await streams.info(wanted.name)
    }
  }
}

type StreamWanted = Partial<StreamConfig> & { readonly name: string }

/** Half as much, again and again; in the end `streamBytesMin`. */
function lessThan(bytes: number): number {
  return Math.max(streamBytesMin, Math.floor(bytes / 2))
}

/** Nothing ever leaves the stream by itself, and what is full refuses: a gap always means that something was lost. */
function logSettings({ replicas, bytesMax }: StreamSettings): Partial<StreamConfig> {
  return {
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    num_replicas: replicas,
    max_bytes: bytesMax,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    max_age: 0,
    deny_delete: true,
    deny_purge: false,
    allow_direct: false,
    allow_rollup_hdrs: false,
  }
}

/** What of the settings must be as wanted. */
const binding = [
  'storage',
  'retention',
  'discard',
  'num_replicas',
  'max_msgs',
  'max_msgs_per_subject',
  'max_age',
  'deny_delete',
  'deny_purge',
] as const

function checkSettings(config: StreamConfig, wanted: Partial<StreamConfig>): void {
  const unfit = (what: string): StreamUnfit => new StreamUnfit(`the stream '${config.name}' cannot keep a log: ${what}`)
  if (config.persist_mode === PersistMode.Async) throw unfit('its persist_mode is async, which acknowledges too early')
  for (const key of binding) {
    if (config[key] !== wanted[key]) throw unfit(`its ${key} is ${config[key]} and has to be ${wanted[key]}`)
  }
  if (config.subjects.join() !== wanted.subjects?.join()) {
    throw unfit(`its subjects are ${config.subjects.join(', ')} and have to be ${wanted.subjects?.join(', ')}`)
  }
  if (config.mirror !== undefined || (config.sources ?? []).length > 0)
    throw unfit('it takes messages from other streams')
  if (config.sealed) throw unfit('it is sealed')
  const format = config.metadata?.[formatKey]
  if (format !== formatVersion) {
    throw unfit(`its format is ${format ?? 'not given'}; this program reads and writes format ${formatVersion}`)
  }
  if (!/^[0-9a-f]{32}$/.test(config.metadata?.[logIdKey] ?? '')) throw unfit('its metadata name no log')
}

function logIdOf(config: StreamConfig): Uint8Array {
  return Uint8Array.from(Buffer.from(config.metadata?.[logIdKey] ?? '', 'hex'))
}

function noRoomSentence(name: string): string {
  const least = `${streamBytesMin / 1024 ** 2} MiB`
  return `the NATS servers have no room for the stream '${name}', which needs ${least}; raise their max_file_store, or the account's limit`
}

function checkName(name: string): void {
  if (!namePattern.test(name)) {
    throw new TypeError(`'${name}' is no name of a stream: letters, digits, - and _, at most 64`)
  }
}

function isCode(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code
}
