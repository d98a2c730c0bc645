import type { ConnectTarget } from './driver/driver.ts'
import { WarrenError } from './errors.ts'

const portOf = { amqp: 5672, amqps: 5671, ws: 80, wss: 443 } as const
const example = "Write it like 'amqp://user:password@host:5672/vhost'."
/** AMQP's limit for the name of a vhost, in bytes. */
const vhostBytesMax = 255

/**
 * `amqp://user:password@host:port/vhost`, after RabbitMQ's URI specification: no path is the vhost `/`, user and
 * password default to guest. Of `ws:` and `wss:` URLs the vhost is in the query (`?vhost=`), because the path is the
 * broker's. Throws `BAD_URL`.
 */
export function targetOf(url: string, settings: { name: string; heartbeatSeconds: number }): ConnectTarget {
  const parsed = parse(url)
  const protocol = parsed.protocol.slice(0, -1)
  if (protocol !== 'amqp' && protocol !== 'amqps' && protocol !== 'ws' && protocol !== 'wss') {
    throw badUrl(`'${protocol}:' is not a protocol of this client`)
  }
  const isWeb = protocol === 'ws' || protocol === 'wss'
  const host = parsed.hostname.replace(/^\[|\]$/g, '') || 'localhost'
  const port = parsed.port === '' ? portOf[protocol] : Number(parsed.port)
  const vhost = isWeb
    ? (parsed.searchParams.get('vhost') ?? '/')
    : decoded(parsed.pathname.length > 1 ? parsed.pathname.slice(1) : '/', 'vhost')
  if (new TextEncoder().encode(vhost).length > vhostBytesMax) throw badUrl(`a vhost has at most ${vhostBytesMax} bytes`)
  if (!isWeb && parsed.pathname.includes('/', 1)) {
    throw badUrl(`the path has several parts; a '/' in a vhost is written '%2f'`)
  }
  const label = `${protocol}://${parsed.hostname || 'localhost'}:${port}`
  return {
    protocol,
    host,
    port,
    url: isWeb ? `${protocol}://${parsed.host}${parsed.pathname}${parsed.search}` : '',
    vhost,
    username: decoded(parsed.username, 'user name') || 'guest',
    password: decoded(parsed.password, 'password') || 'guest',
    connectionName: settings.name,
    heartbeatSeconds: settings.heartbeatSeconds,
    label,
  }
}

function parse(url: string): URL {
  try {
    return new URL(url)
  } catch {
    // Not the URL itself: there may be a password in it.
    throw badUrl('it cannot be read as a URL')
  }
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw badUrl(`its ${what} has a '%' that is not followed by two hex digits`)
  }
}

function badUrl(why: string): WarrenError {
  return new WarrenError('BAD_URL', `This broker URL is not usable: ${why}.`, { mend: example })
}
