/**
 * Where a broker is and who we are there: an AMQP URL taken apart. Plain TCP only; TLS would measure the cipher
 * rather than the broker.
 */
export interface AmqpAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly vhost: string
}

export function parseAmqpUrl(text: string): AmqpAddress {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.protocol !== 'amqp:' || url.hostname === '') {
    throw new Error(`'${text}' is not a URL like amqp://user:password@host:5672/vhost (amqps:// is not supported)`)
  }
  const path = url.pathname.slice(1)
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 5672 : Number(url.port),
    user: url.username === '' ? 'guest' : decodeURIComponent(url.username),
    password: url.password === '' ? 'guest' : decodeURIComponent(url.password),
    vhost: path === '' ? '/' : decodeURIComponent(path),
  }
}

/** For people and result files: without the password. */
export function showAddress(address: AmqpAddress): string {
  const vhost = address.vhost === '/' ? '' : `/${encodeURIComponent(address.vhost)}`
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `amqp://${host}:${address.port}${vhost}`
}
