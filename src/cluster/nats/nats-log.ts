/**
 * What a nats-server says: its log, which is a file so that the server can outlive whoever started it, read as it grows; and
 * the meaning of its lines. The server begins another file when this one has its size; of what it wrote between our last
 * look and then, nothing is read: it stands in the older file.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { File, Files } from '../../base/files.ts'

/** How often it is looked at, in milliseconds. */
const lookMs = 1_000
/** What is read at one look, in bytes: more is passed over. */
const lookBytesMax = 64 * 1024

interface NatsLogWorld {
  readonly clock: Clock
  readonly files: Files
}

export class NatsLog {
  readonly #clock: Clock
  readonly #files: Files
  readonly #path: string
  readonly #line: (text: string) => void
  #position = 0
  #timer: Timer | null = null
  #looking: Promise<void> = Promise.resolve()
  #isClosed = false

  private constructor({ clock, files }: NatsLogWorld, path: string, line: (text: string) => void) {
    this.#clock = clock
    this.#files = files
    this.#path = path
    this.#line = line
  }

  /** `line` is called for each line from now on. The file need not be there yet. */
  static async open(world: NatsLogWorld, path: string, line: (text: string) => void): Promise<NatsLog> {
    const log = new NatsLog(world, path, line)
    await log.#inFile(async (file) => {
      log.#position = await file.size()
    })
    log.#wait()
    return log
  }

  /** Resolves when all that stands there now has been read. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#inFile((file) => this.#read(file)))
    return this.#looking
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #wait(): void {
    if (!this.#isClosed) this.#timer = this.#clock.after(lookMs, () => void this.look().then(() => this.#wait()))
  }

  async #read(file: File): Promise<void> {
    const size = await file.size()
    const isAnother = size < this.#position
    const first = Math.max(isAnother ? 0 : this.#position, size - lookBytesMax)
    const bytes = Buffer.alloc(size - first)
    const length = await file.read(bytes, 0, bytes.length, first)
    const read = bytes.subarray(0, length)
    // The last line may be half written; one without end is given up.
    const whole = read.lastIndexOf('\n') + 1
    this.#position = first + (whole === 0 && length === lookBytesMax ? length : whole)
    for (const text of read.subarray(0, whole).toString().split('\n')) if (text !== '') this.#line(text)
  }

  /** What cannot be read says nothing: the server says elsewhere that it cannot write. */
  async #inFile(work: (file: File) => Promise<void>): Promise<void> {
    try {
      const file = await this.#files.open(this.#path, 'read')
      try {
        await work(file)
      } finally {
        await file.close()
      }
    } catch {
      // Not there yet, or in the moment between two files.
    }
  }
}

export type Level = 'debug' | 'info' | 'warn' | 'error'

/**
 * Most of what it says is of no interest to whoever runs Warren. Of its errors nearly all are of one connection, such as
 * a node that is not there yet; only a fatal one is an error of ours.
 */
const levels: Readonly<Record<string, Level>> = {
  TRC: 'debug',
  DBG: 'debug',
  INF: 'debug',
  WRN: 'warn',
  ERR: 'warn',
  FTL: 'error',
}

/** True of our own configuration, and meant so. */
const expected = /^Plaintext passwords detected/

/** What it says when the secret of another node is not ours, from which the passwords of routes are made, by either side. */
const foreignRoute =
  /^(\S+):\d+ - rid:\d+ - (?:Route Error 'Authorization Violation'|authentication error - User "route")/

const secretMend = 'give all nodes the same, and let no other cluster have their addresses in its peers'

/** What keeps a server from another one, and is no matter of waiting: its secret, or an address that nobody knows. */
export function isRouteTrouble(message: string): boolean {
  return (
    message.endsWith(secretMend) || (message.startsWith('Error trying to connect to route') && /lookup/.test(message))
  )
}

/** `[123] 2026/11/22 14:00:00.123456 [WRN] text`; anything else, such as the trace of a panic, is an error. */
export function natsLine(text: string): { readonly level: Level; readonly message: string } {
  const [, word = '', message = ''] = /^\[\d+\] (?:\S+ \S+ )?\[([A-Z]{3})\] (.*)$/.exec(text) ?? []
  const level = levels[word]
  if (level === undefined) return { level: 'error', message: text.replace(/^nats-server: /, '').trim() }
  const [, host] = foreignRoute.exec(message) ?? []
  if (host !== undefined) return { level, message: `${host} has another cluster-secret; ${secretMend}` }
  return { level: expected.test(message) ? 'debug' : level, message: message.trim() }
}
