/**
 * RabbitMQ's management HTTP API, as far as the lists need it. Works against RabbitMQ and Warren alike. Every failure is
 * a `CommandFailure` that says what to do.
 */
import { ExitCode } from '../exit-code.ts'
import { CommandFailure } from './command-failure.ts'
import { type HttpFlags, httpTarget } from './connection-options.ts'
import { bytes } from './readable.ts'
import type { Run } from './run.ts'

/** A larger answer is not read, in bytes. */
const answerBytesMax = 256 * 1024 * 1024
/** Of what the server says to a refusal, so many characters are shown. */
const reasonLengthMax = 300

export type JsonObject = { readonly [name: string]: unknown }

export class HttpApi {
  readonly #base: string
  readonly #authorization: string
  readonly #timeoutMs: number
  readonly #run: Run
  readonly #user: string

  constructor(flags: HttpFlags, run: Run) {
    const { base, username, password } = httpTarget(flags)
    this.#base = base
    this.#user = username
    this.#authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
    this.#timeoutMs = flags.timeout * 1000
    this.#run = run
  }

  /** A list of objects. `path` begins after `/api/`. */
  async list(path: string): Promise<JsonObject[]> {
    const value = await this.get(path)
    if (Array.isArray(value) && value.every(isObject)) return value
    throw this.#foreign('its answer is no list')
  }

  async get(path: string): Promise<unknown> {
    return this.#parsed(await this.#call('GET', path))
  }

  async post(path: string, body: Uint8Array): Promise<void> {
    await this.#call('POST', path, body)
  }

  async put(path: string, body: JsonObject): Promise<void> {
    await this.#call('PUT', path, Buffer.from(JSON.stringify(body)))
  }

  /** A change that has an answer. */
  async ask(method: 'PUT' | 'POST', path: string): Promise<unknown> {
    return this.#parsed(await this.#call(method, path))
  }

  /** What comes in parts, however long it takes; only its beginning has to come in time. Throws, also in between. */
  async *stream(path: string): AsyncGenerator<Uint8Array> {
    const { clock, stop } = this.#run
    const attempt = new AbortController()
    const abort = (): void => attempt.abort()
    const timer = clock.after(this.#timeoutMs, abort)
    stop.signal.addEventListener('abort', abort)
    let hasBegun = false
    try {
      const headers = { authorization: this.#authorization }
      const response = await fetch(`${this.#base}/api/${path}`, { headers, signal: attempt.signal, redirect: 'error' })
      if (!response.ok) throw this.#refused(response.status, await this.#text(response), path)
      timer.cancel()
      hasBegun = true
      yield* response.body ?? []
    } catch (error) {
      if (error instanceof CommandFailure) throw error
      if (hasBegun && !stop.isMade) throw this.#cutOff()
      throw this.#unreachable(error, attempt.signal.aborted)
    } finally {
      timer.cancel()
      stop.signal.removeEventListener('abort', abort)
      abort()
    }
  }

  #cutOff(): CommandFailure {
    const what = `${this.#base} ended its answer in the middle`
    return new CommandFailure(ExitCode.failed, `${what}; the log of the broker says why`)
  }

  async delete(path: string): Promise<void> {
    await this.#call('DELETE', path)
  }

  async #call(method: string, path: string, body?: Uint8Array): Promise<string> {
    const { clock, stop } = this.#run
    const attempt = new AbortController()
    const abort = (): void => attempt.abort()
    const timer = clock.after(this.#timeoutMs, abort)
    stop.signal.addEventListener('abort', abort)
    try {
      const response = await fetch(`${this.#base}/api/${path}`, {
        method,
        headers: {
          authorization: this.#authorization,
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body }),
        signal: attempt.signal,
        redirect: 'error',
      })
      const text = await this.#text(response)
      if (!response.ok) throw this.#refused(response.status, text, path)
      return text
    } catch (error) {
      if (error instanceof CommandFailure) throw error
      throw this.#unreachable(error, attempt.signal.aborted)
    } finally {
      timer.cancel()
      stop.signal.removeEventListener('abort', abort)
    }
  }

  async #text(response: Response): Promise<string> {
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of response.body ?? []) {
      length += chunk.length
      if (length > answerBytesMax) throw this.#foreign(`its answer has more than ${bytes(answerBytesMax)}`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString()
  }

  #parsed(text: string): unknown {
    try {
      return JSON.parse(text)
    } catch {
      throw this.#foreign('its answer is no JSON')
    }
  }

  #refused(status: number, text: string, path: string): CommandFailure {
    const where = `the management API at ${this.#base}`
    if (status === 401) {
      const mend = 'check user and password in --url or --http; the user needs the tag management'
      return new CommandFailure(ExitCode.login, `${where} refused the user '${this.#user}'; ${mend}`)
    }
    const reason = reasonIn(text)
    if (status === 404) {
      const mend = 'correct the name of the vhost, or give --http the address of a management API'
      return new CommandFailure(ExitCode.notFound, `${where} knows no /api/${path} (404${reason}); ${mend}`)
    }
    const mend = status >= 500 ? 'the log of the broker says more' : 'mend what it names'
    return new CommandFailure(ExitCode.refused, `${where} refused /api/${path} (${status}${reason}); ${mend}`)
  }

  #unreachable(error: unknown, isTooLong: boolean): CommandFailure {
    const { stop } = this.#run
    if (stop.isMade) return new CommandFailure(stop.exitCode || ExitCode.failed, 'stopped before the answer came')
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const what = isTooLong ? `no answer within ${this.#timeoutMs / 1000} s` : codeOf(cause)
    const mend = 'is it on (http-port of Warren, the management plugin of RabbitMQ), and is --http right?'
    return new CommandFailure(ExitCode.unreachable, `no management API at ${this.#base} (${what}); ${mend}`)
  }

  #foreign(why: string): CommandFailure {
    const mend = 'give --http the address of a RabbitMQ management API'
    return new CommandFailure(ExitCode.refused, `${this.#base} does not speak as a management API (${why}); ${mend}`)
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function codeOf(error: unknown): string {
  const first = error instanceof AggregateError ? error.errors[0] : error
  if (!(first instanceof Error)) return String(first)
  return 'code' in first ? String(first.code) : first.message
}

/** What the server says in its JSON, on one line, without control characters. */
function reasonIn(text: string): string {
  try {
    const value: unknown = JSON.parse(text)
    const reason = isObject(value) ? printable(termText(value['reason'] ?? value['error'])) : ''
    return reason === '' ? '' : ` ${reason.slice(0, reasonLengthMax)}`
  } catch {
    return ''
  }
}

/** RabbitMQ's reason may be an Erlang term: a list of atoms and of strings, and those as lists of their characters. */
function termText(value: unknown): string {
  if (typeof value === 'string') return value === 'none' ? '' : value
  if (!Array.isArray(value)) return ''
  const isText = value.length > 0 && value.every((one) => Number.isInteger(one) && one >= 0 && one <= 0x10ffff)
  if (isText) return String.fromCodePoint(...value.slice(0, reasonLengthMax))
  return value.map(termText).join(' ')
}

function printable(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, ' ').trim()
}
