/** Where the bodies of `warren publish` come from: an argument, a file, stdin; whole, or a message for each line. */
import { createReadStream, fstatSync, openSync, statSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { misuse } from './command-failure.ts'
import { bytes } from './readable.ts'

/** Larger bodies are refused before they are read, in bytes; RabbitMQ's own limit is 128 MiB unless it is raised. */
export const bodyBytesMax = 512 * 1024 * 1024

export interface BodySource {
  /** Of `--file` or `--lines`; null without. */
  readonly argument: string | undefined
  readonly file: string | undefined
  readonly isLines: boolean
  /** Of a whole body. */
  readonly count: number
  readonly stdin: Readable & { readonly isTTY?: boolean }
  /** Nothing more is read once it is aborted. */
  readonly stop: AbortSignal
}

export interface Bodies {
  /** How many there will be; null when nobody knows. */
  readonly total: number | null
  /** How much of the input has been read, 0 to 1; null when nobody knows. */
  share(): number | null
  read(): AsyncIterable<Uint8Array>
}

/** Throws `CommandFailure` for what cannot be read. */
export function openBodies(source: BodySource): Bodies {
  const { argument, file, isLines, count } = source
  if (argument !== undefined && file !== undefined) throw misuse('there is a body and a --file; give one of them')
  if (isLines && argument !== undefined) throw misuse('--lines reads stdin or --file; leave the body out')
  if (isLines && count > 1) throw misuse('--lines and --count exclude each other; repeat the lines instead')
  if (argument !== undefined) return repeatedBody(async () => Buffer.from(argument), source)
  if (file === undefined && source.stdin.isTTY === true && !isLines) {
    throw misuse('there is no body; give it as an argument, with --file, or on stdin (`echo hello | warren publish …`)')
  }
  if (!isLines) return repeatedBody(() => wholeBody(source), source)
  const input = inputOf(source)
  let read = 0
  const length = input.bytes
  return {
    total: null,
    share: () => (length === null || length === 0 ? null : Math.min(read / length, 1)),
    read: () =>
      lines(input.stream, source.stop, (taken) => {
        read += taken
      }),
  }
}

function repeatedBody(load: () => Promise<Uint8Array>, { count, stop }: BodySource): Bodies {
  return {
    total: count,
    share: () => null,
    read: async function* () {
      const body = await load()
      for (let index = 0; index < count && !stop.aborted; index++) yield body
    },
  }
}

async function wholeBody(source: BodySource): Promise<Uint8Array> {
  const { stream } = inputOf(source)
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of untilStopped(stream, source.stop)) {
    length += chunk.length
    if (length > bodyBytesMax) throw tooLarge('the body')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Without its end, LF or CRLF; a last line without an end counts too. */
async function* lines(stream: Readable, stop: AbortSignal, taken: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  let parts: Buffer[] = []
  let partBytes = 0
  let number = 1
  for await (const chunk of untilStopped(stream, stop)) {
    let from = 0
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, from)) {
      parts.push(chunk.subarray(from, at))
      taken(partBytes + at - from + 1)
      yield withoutReturn(parts)
      if (stop.aborted) return
      parts = []
      partBytes = 0
      number++
      from = at + 1
    }
    partBytes += chunk.length - from
    if (partBytes > bodyBytesMax) throw tooLarge(`line ${number}`)
    if (from < chunk.length) parts.push(chunk.subarray(from))
  }
  // What stands before the stop may be half a line.
  if (partBytes > 0 && !stop.aborted) yield withoutReturn(parts)
}

function withoutReturn(parts: readonly Buffer[]): Uint8Array {
  const line = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  return line.at(-1) === 0x0d ? line.subarray(0, -1) : line
}

function inputOf({ file, stdin }: BodySource): { stream: Readable; bytes: number | null } {
  if (file === undefined || file === '-') return { stream: stdin, bytes: stdinBytes() }
  try {
    const status = statSync(file)
    if (status.isDirectory()) throw misuse(`--file ${file} is a directory; give a file`)
    const stream = createReadStream(file, { fd: openSync(file, 'r'), highWaterMark: readBytes })
    return { stream, bytes: status.isFile() ? status.size : null }
  } catch (error) {
    if (error instanceof Error && 'errno' in error && 'code' in error) {
      throw misuse(`--file ${file} cannot be read (${error.code}); give a file that can`)
    }
    throw error
  }
}

const readBytes = 256 * 1024

/** When stdin is a file (`< lines.txt`). */
function stdinBytes(): number | null {
  try {
    const status = fstatSync(0)
    return status.isFile() ? status.size : null
  } catch {
    return null
  }
}

/** Ends quietly when it is told to stop, also while it waits for somebody to type. */
async function* untilStopped(stream: Readable, stop: AbortSignal): AsyncGenerator<Buffer> {
  const end = (): void => void stream.destroy()
  stop.addEventListener('abort', end, { once: true })
  try {
    for await (const chunk of stream) yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk))
  } catch (error) {
    if (!stop.aborted) throw error
  } finally {
    stop.removeEventListener('abort', end)
  }
}

function tooLarge(what: string) {
  return misuse(`${what} has more than ${bytes(bodyBytesMax)}; send less at once`)
}
