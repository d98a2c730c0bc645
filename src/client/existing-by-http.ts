/**
 * What RabbitMQ's HTTP API tells of what exists, which Warren serves as well: every argument, also those that a declaration
 * does not compare, and the bindings. Asks only for what the definitions name.
 */
import type { Table, TableValue } from './driver/properties.ts'
import { badOption, WarrenError } from './errors.ts'
import type { Existing } from './existing-by-amqp.ts'
import type { Difference, Finding } from './plan-items.ts'
import type { Definition } from './topology.ts'

export interface HttpAccess {
  /** For example `http://localhost:15672`; user and password may stand in it. */
  readonly url: string
  /** Of the client, unless said otherwise. */
  readonly vhost: string
  readonly timeoutMs: number
}

type Json = Readonly<Record<string, unknown>>

export class ExistingByHttp implements Existing {
  readonly #access: HttpAccess
  readonly #base: URL
  readonly #authorization: string

  /** Throws `BAD_OPTION` for what is no URL of that kind. */
  constructor(access: HttpAccess) {
    this.#access = access
    const url = URL.canParse(access.url) ? new URL(access.url) : null
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw badOption(
        `'${access.url}' is no URL of an HTTP API.`,
        "Give one like 'http://guest:guest@localhost:15672'.",
      )
    }
    const user = `${decodeURIComponent(url.username) || 'guest'}:${decodeURIComponent(url.password) || 'guest'}`
    this.#authorization = `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(user)))}`
    url.username = ''
    url.password = ''
    url.pathname = url.pathname.replace(/\/*$/, '/')
    this.#base = url
  }

  async find(definition: Definition): Promise<Finding> {
    if (definition.kind === 'binding') return this.#binding(definition)
    const found = (await this.#get(`${definition.kind}s`, definition.name)) as Json | null
    if (found === null) return { state: 'create' }
    return findingOf(differencesOf(definition, found))
  }

  async #binding({ to, binding }: Definition & { kind: 'binding' }): Promise<Finding> {
    const { source, destination, bindingKey, arguments: table } = binding
    const found = await this.#get('bindings', 'e', source, to === 'queue' ? 'q' : 'e', destination)
    const isThere = ((found ?? []) as Json[]).some(
      (one) => one['routing_key'] === bindingKey && differentArguments(table, tableOf(one)).length === 0,
    )
    return { state: isThere ? 'same' : 'create' }
  }

  /** Null when there is no such thing. */
  async #get(kind: string, ...path: string[]): Promise<unknown> {
    const { vhost, timeoutMs } = this.#access
    const parts = [vhost, ...path].map(encodeURIComponent).join('/')
    const url = new URL(`api/${kind}/${parts}`, this.#base)
    const response = await this.#fetch(url, timeoutMs)
    if (response.status === 404) return null
    if (response.status === 401 || response.status === 403) {
      const mend = 'Check user name and password in its URL, and that the user may read this vhost over HTTP.'
      throw new WarrenError('AUTHENTICATION_REFUSED', `${this.#base.href} refused the login (${response.status}).`, {
        mend,
      })
    }
    if (!response.ok) {
      const mend = "Check that this is the URL of the broker's HTTP API."
      throw badOption(`${url.href} answered with ${response.status}.`, mend)
    }
    return response.json()
  }

  async #fetch(url: URL, timeoutMs: number): Promise<Response> {
    const headers = { authorization: this.#authorization }
    try {
      return await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) })
    } catch (cause) {
      const mend = 'Check host and port, and that the broker serves its HTTP API there; or leave out `http`.'
      throw new WarrenError('CONNECT_REFUSED', `No answer from ${this.#base.href}.`, { mend, cause })
    }
  }
}

function findingOf(differences: readonly Difference[]): Finding {
  return differences.length === 0 ? { state: 'same' } : { state: 'differs', differences }
}

function differencesOf(definition: Exclude<Definition, { kind: 'binding' }>, found: Json): Difference[] {
  const { declaration } = definition
  const flags: [string, boolean | string][] = [
    ['durable', declaration.isDurable],
    ['auto_delete', declaration.isAutoDelete],
  ]
  if ('isExclusive' in declaration) flags.push(['exclusive', declaration.isExclusive])
  else flags.push(['type', declaration.type], ['internal', declaration.isInternal])
  const differences = flags
    .filter(([name, wanted]) => found[name] !== undefined && found[name] !== wanted)
    .map(([name, wanted]) => ({ name, current: String(found[name]), wanted: String(wanted) }))
  return [...differences, ...differentArguments(declaration.arguments, tableOf(found))]
}

/** Saying nothing of a queue's type is saying that it is classic. */
const defaults: Readonly<Record<string, string>> = { 'x-queue-type': 'classic' }

function differentArguments(wanted: Table, current: Json): Difference[] {
  const names = new Set([...Object.keys(wanted), ...Object.keys(current)])
  return Array.from(names, (name) => ({
    name,
    current: textOf(current[name] ?? defaults[name]),
    wanted: textOf(wanted[name] ?? defaults[name]),
  })).filter(({ current: one, wanted: other }) => one !== other)
}

function tableOf(found: Json): Json {
  const table = found['arguments']
  return typeof table === 'object' && table !== null ? (table as Json) : {}
}

/** As JSON has it, in which whole numbers have one spelling. */
function textOf(value: TableValue | unknown): string | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Date) return String(Math.floor(value.getTime() / 1_000))
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
