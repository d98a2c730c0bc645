import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import type { TlsOptions } from '../../client/driver/node-dial.ts'
import { processEnvironment } from '../../config.ts'
import { misuse } from './command-failure.ts'
import { seconds } from './numbers.ts'

/** What every command that speaks AMQP takes. */
export interface ConnectionFlags {
  readonly url?: string
  readonly tlsCa?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsInsecure?: boolean
  /** Seconds. */
  readonly timeout: number
}

/** What every command that speaks HTTP takes. */
export interface HttpFlags {
  readonly url?: string
  readonly http?: string
  /** Seconds. */
  readonly timeout: number
}

const defaultUrl = 'amqp://guest:guest@localhost:5672'
const defaultHttpPort = 15672

export function addConnectionOptions(command: Command): Command {
  return addTlsOptions(command.option('--url <url>', `broker, amqp:// or amqps:// (WARREN_URL, or ${defaultUrl})`))
}

/** The same without `--url`. */
export function addTlsOptions(command: Command): Command {
  return command
    .option('--tls-ca <file>', 'amqps: the authority to trust, PEM')
    .option('--tls-cert <file>', 'amqps: certificate of this client, PEM; with --tls-key')
    .option('--tls-key <file>', 'amqps: its key, PEM')
    .option('--tls-insecure', 'amqps: accept any certificate')
    .option('--timeout <seconds>', 'how long to wait for a connection', seconds(0.1, 3600), 10)
}

export function addHttpOptions(command: Command): Command {
  return command
    .option('--http <url>', 'management API (WARREN_HTTP, or port 15672 of the host of --url)')
    .option('--url <url>', `broker, for its host and user (WARREN_URL, or ${defaultUrl})`)
    .option('--timeout <seconds>', 'how long to wait for an answer', seconds(0.1, 3600), 10)
}

export function brokerUrl(flags: { readonly url?: string }): string {
  return flags.url ?? (processEnvironment()['WARREN_URL'] || defaultUrl)
}

export function tlsOptions(flags: ConnectionFlags): TlsOptions {
  const { tlsCa, tlsCert, tlsKey, tlsInsecure } = flags
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw misuse('--tls-cert and --tls-key belong together; give both, or neither')
  }
  return {
    ...(tlsCa === undefined ? {} : { ca: readPem('--tls-ca', tlsCa) }),
    ...(tlsCert === undefined ? {} : { cert: readPem('--tls-cert', tlsCert) }),
    ...(tlsKey === undefined ? {} : { key: readPem('--tls-key', tlsKey) }),
    ...(tlsInsecure === true ? { rejectUnauthorized: false } : {}),
  }
}

function readPem(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw misuse(`${option} ${path} cannot be read (${codeOf(error)}); give a file that can`)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}

export interface HttpTarget {
  /** Without a trailing slash, user and password. */
  readonly base: string
  readonly username: string
  readonly password: string
}

/** The management API: --http, else where the broker is; the user of --http, else that of the broker. */
export function httpTarget(flags: HttpFlags): HttpTarget {
  const given = flags.http ?? (processEnvironment()['WARREN_HTTP'] || null)
  const broker = parse('--url', brokerUrl(flags), ['amqp:', 'amqps:'])
  const url =
    given === null
      ? new URL(`http://${broker.hostname || 'localhost'}:${defaultHttpPort}`)
      : parse('--http', given, ['http:', 'https:'])
  const owner = url.username === '' ? broker : url
  return {
    base: `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`,
    username: decoded(owner.username) || 'guest',
    password: decoded(owner.password) || 'guest',
  }
}

function parse(option: string, text: string, protocols: readonly string[]): URL {
  try {
    const url = new URL(text)
    if (protocols.includes(url.protocol)) return url
  } catch {
    // Said below, without the URL itself: there may be a password in it.
  }
  const example = protocols[0] === 'amqp:' ? 'amqp://user:password@host:5672/vhost' : 'http://user:password@host:15672'
  throw misuse(`the URL of ${option} cannot be used; write it like '${example}'`)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw misuse("the URL has a '%' that is not followed by two hex digits; write '%25' for a '%'")
  }
}
