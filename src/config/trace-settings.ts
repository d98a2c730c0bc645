/** What the options of traces mean together. Headers may be secrets: no sentence repeats any of them but its name. */
import type { Config } from './options.ts'

type TraceConfig = Pick<Config, 'traceEndpoint' | 'traceHeaders' | 'traceHeadersFile'>

/** As sentences; none when all is well. */
export function traceProblems({ traceEndpoint, traceHeaders, traceHeadersFile }: TraceConfig): string[] {
  const problems: string[] = []
  const endpoint = endpointProblem(traceEndpoint)
  if (endpoint !== null) problems.push(endpoint)
  if (traceHeaders !== 'none' && traceHeadersFile !== 'none') {
    problems.push('trace-headers and trace-headers-file are both given; give one of them')
  }
  if (traceHeaders === 'none') return problems
  try {
    readTraceHeaders(traceHeaders)
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error))
  }
  return problems
}

function endpointProblem(endpoint: string): string | null {
  if (endpoint === 'none') return null
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    return `trace-endpoint = "${endpoint}" is no address; give one such as "http://localhost:4318", or "none"`
  }
  if (url.username === '' && url.password === '') return null
  return 'trace-endpoint may not hold a user or a password; give trace-headers an authorization instead'
}

/** Of all of them together, in UTF-16 units. */
const headersLengthMax = 8 * 1024
/** Said by the request itself. */
const ownHeaders = new Set(['content-type', 'content-length', 'host', 'connection', 'transfer-encoding', 'expect'])

/** As OTEL_EXPORTER_OTLP_HEADERS has them; lines count as commas. Names in small letters. Throws a sentence. */
export function readTraceHeaders(text: string): Readonly<Record<string, string>> {
  if (text.length > headersLengthMax) throw new Error(`trace-headers: more than ${headersLengthMax} characters`)
  const headers = new Map<string, string>()
  for (const entry of text.split(/[,\r\n]/)) {
    if (entry.trim() === '') continue
    const at = entry.indexOf('=')
    const name = entry.slice(0, Math.max(0, at)).trim().toLowerCase()
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
      throw new Error('trace-headers: an entry has no name before its =; give name=value, with commas between')
    }
    if (ownHeaders.has(name)) throw new Error(`trace-headers: ${name} is not for you to set`)
    headers.set(name, headerValue(name, entry.slice(at + 1).trim()))
  }
  return Object.fromEntries(headers)
}

function headerValue(name: string, text: string): string {
  let value = text
  try {
    value = decodeURIComponent(text)
  } catch {
    throw new Error(`trace-headers: the value of ${name} has a % that is not followed by two hex digits; write %25`)
  }
  if (/^[\x20-\x7e]*$/.test(value)) return value
  throw new Error(`trace-headers: the value of ${name} is not visible ASCII`)
}
