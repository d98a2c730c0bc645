/** Spans of traced messages of a node, as its options say: nothing of it is loaded where there are none. */
import { X509Certificate } from 'node:crypto'
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import { type Logger, logOf } from './base/logger.ts'
import type { Random } from './base/random.ts'
import { readText } from './base/read-text.ts'
import { type Config, readTraceHeaders } from './config.ts'
import { errorName, StartError } from './start-error.ts'
import type { Posted, SpanExporter } from './telemetry/span-exporter.ts'
import { version } from './version.ts'

export type Tracer = SpanExporter

interface TracingWorld {
  readonly clock: Clock
  /** What waits for an answer goes by it, where `clock` is moved by hand. */
  readonly machineClock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly files: Files
}

/** From the request to the head of the answer, in milliseconds. */
const answerMsMax = 10_000
/** Of a file with headers or authorities, in bytes. */
const fileBytesMax = 1024 * 1024

/** Null: messages are not traced. Rejects with a `StartError`. */
export async function openTracing(config: Config, world: TracingWorld): Promise<Tracer | null> {
  const { traceEndpoint, traceServiceName: serviceName, nodeName } = config
  if (traceEndpoint === 'none') return null
  const { clock, random, logger } = world
  const { SpanExporter: Made } = await import('./telemetry/span-exporter.ts')
  const url = new URL(traceEndpoint)
  if (url.pathname === '/') url.pathname = '/v1/traces'
  // As the management API calls a node on its own.
  const serviceInstance = nodeName === 'none' ? 'localhost' : nodeName
  const source = { serviceName, serviceInstance, version }
  const post = await poster(url, config, world)
  return new Made({ clock, random, logger: logOf(logger, 'broker'), source, target: url.origin + url.pathname, post })
}

async function poster(
  url: URL,
  config: Config,
  { machineClock, files }: TracingWorld,
): Promise<(document: string) => Promise<Posted>> {
  const [{ HttpPoster }, { restMs }] = await Promise.all([
    import('./base/http-post.ts'),
    import('./base/retry-after.ts'),
  ])
  const requests = new HttpPoster(machineClock, 1, await authorities(config, files))
  const headers = { ...(await headersOf(config, files)), 'content-type': 'application/json' }
  return async (document) => {
    const body = Buffer.from(document)
    const signal = new AbortController().signal
    const wish = { url, addresses: null, headers, body, timeoutMs: answerMsMax, signal }
    const { status, retryAfter } = await requests.post(wish)
    return { status, restMs: restMs(retryAfter, machineClock.now()) }
  }
}

async function authorities({ traceCa }: Config, files: Files): Promise<string | null> {
  if (traceCa === 'none') return null
  const text = await textOf('trace-ca', traceCa, files)
  try {
    new X509Certificate(text)
  } catch (error) {
    throw new StartError('options', `trace-ca: ${traceCa} holds no certificate; give a PEM file`, error)
  }
  return text
}

async function headersOf({ traceHeaders, traceHeadersFile }: Config, files: Files): Promise<Record<string, string>> {
  if (traceHeadersFile === 'none') return traceHeaders === 'none' ? {} : readTraceHeaders(traceHeaders)
  const text = await textOf('trace-headers-file', traceHeadersFile, files)
  try {
    return readTraceHeaders(text)
  } catch (error) {
    const sentence = error instanceof Error ? error.message : String(error)
    throw new StartError('options', `${sentence} (in ${traceHeadersFile})`)
  }
}

async function textOf(option: string, path: string, files: Files): Promise<string> {
  try {
    return await readText(files, path, fileBytesMax)
  } catch (error) {
    throw new StartError(
      'options',
      `${option}: ${path} cannot be read (${errorName(error)}); give a file that can`,
      error,
    )
  }
}
