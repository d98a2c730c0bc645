/** The end of a collector of OpenTelemetry: takes what is posted, and keeps it as it came. */
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { eventually } from './eventually.ts'

export interface Value {
  readonly stringValue?: string
  readonly intValue?: string
}

export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { readonly key: string; readonly value: Value }[]
  readonly events?: readonly { readonly name: string; readonly timeUnixNano: string }[]
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly status: { readonly code?: number; readonly message?: string }
}

export interface TraceDocument {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Span['attributes'] }
    readonly scopeSpans: readonly { readonly scope: object; readonly spans: readonly Span[] }[]
  }[]
}

export class TraceCollector {
  readonly documents: TraceDocument[] = []
  /** Method, path and type of each request. */
  readonly paths: string[] = []
  readonly headers: IncomingHttpHeaders[] = []
  answer: (response: ServerResponse) => void = (response) => {
    response.setHeader('content-type', 'application/json')
    response.end('{}')
  }
  readonly #server: Server
  readonly #scheme: 'http' | 'https'

  private constructor(server: Server, scheme: 'http' | 'https') {
    this.#server = server
    this.#scheme = scheme
    server.on('request', (request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      request.on('end', () => {
        this.paths.push(`${request.method} ${request.url} ${request.headers['content-type']}`)
        this.headers.push(request.headers)
        this.answer(response)
        if (response.statusCode === 200) this.documents.push(JSON.parse(body) as TraceDocument)
      })
    })
  }

  /** On a free port of the loopback; by TLS with a certificate. */
  static async start(tls: { readonly cert: string; readonly key: string } | null = null): Promise<TraceCollector> {
    const server = tls === null ? createServer() : createTlsServer(tls)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new TraceCollector(server, tls === null ? 'http' : 'https')
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Of all requests that were answered with 200. */
  get spans(): Span[] {
    return this.documents.flatMap(({ resourceSpans }) => resourceSpans.flatMap((one) => one.scopeSpans[0]?.spans ?? []))
  }

  /** Once there are so many of this trace. */
  async spansOf(traceId: string, count = 1, msMax?: number): Promise<Span[]> {
    const found = (): Span[] => this.spans.filter((span) => span.traceId === traceId)
    await eventually(`${count} spans of ${traceId}`, () => found().length >= count, msMax)
    return found()
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

export function attribute({ attributes }: Pick<Span, 'attributes'>, name: string): string | undefined {
  const value = attributes.find(({ key }) => key === name)?.value
  return value?.stringValue ?? value?.intValue
}

let nextTrace = 0

/** Headers of a message whose trace is recorded, or is not; the number of the trace. */
export function traced(isSampled = true): { headers: Record<string, string>; traceId: string } {
  const traceId = (++nextTrace).toString(16).padStart(32, '0')
  return { traceId, headers: { other: 'x', traceparent: `00-${traceId}-00000000000000ab-0${isSampled ? 1 : 0}` } }
}
