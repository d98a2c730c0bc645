import type { Position } from '../log/log.ts'
import type { JsonObject } from './definitions/entry.ts'
import { BrokerError } from './errors.ts'
import { topologyLimits } from './topology/limits.ts'
import { checkNameForm } from './topology/names.ts'
import type { Topology } from './topology/topology.ts'
import type { VhostState } from './topology/vhost-state.ts'
import { type Webhook, type WebhookProperties, webhookContentModes } from './topology/webhook.ts'
import { checkRoom } from './vhost-rules.ts'
import { readCertificates, whyNoCertificates } from './webhook-certificates.ts'
import { isSecret, secretForm, whyNoHeaders, whyNoUrl } from './webhook-checks.ts'

/** Where a webhook is, or is to be. */
export interface WebhookPlace {
  readonly vhost: VhostState
  readonly name: string
}

/** Of the numbers of a webhook: the field in JSON, what counts where it is left out, and its bounds. */
const numbers = {
  concurrency: { field: 'concurrency', otherwise: 4, min: 1, max: 100 },
  timeoutMs: { field: 'timeout_ms', otherwise: 15_000, min: 100, max: 300_000 },
  bodyBytesMax: { field: 'max_body_bytes', otherwise: 1024 * 1024, min: 1, max: 4 * 1024 * 1024 },
} as const

const fields: readonly string[] = [
  ...['queue', 'url', 'user', 'secret', 'previous_secret', 'headers', 'content_mode', 'enabled'],
  'ca_certificates',
  ...Object.values(numbers).map(({ field }) => field),
]

/**
 * Makes a webhook, or gives the one of that name new properties. What is left out has its default, but secrets and
 * headers, which nobody can read, stay as they are as long as the requests go to the same server: else whoever may point
 * a webhook elsewhere would be told them. Throws `precondition-failed` with all that does not fit.
 */
export function putWebhook(topology: Topology, { vhost, name }: WebhookPlace, given: JsonObject): Position {
  checkNameForm('webhook', name)
  const known = vhost.webhooks.get(name) ?? null
  const reading = new Reading(given, known)
  const properties = reading.properties(name)
  if (reading.wrong.length > 0) throw invalid(name, reading.wrong)
  if (known === null) checkNew(topology, vhost)
  return topology.putWebhook(vhost, properties)
}

export function deleteWebhook(topology: Topology, { vhost, name }: WebhookPlace): Position {
  const webhook = vhost.webhooks.get(name)
  if (webhook === undefined) throw new BrokerError('not-found', `no webhook '${name}' in vhost '${vhost.name}'`)
  return topology.removeRow(webhook)
}

/** Its receiver wants nothing more. Nothing happens when it is gone, or goes somewhere else by now. */
export function disableWebhook(
  topology: Topology,
  { vhost, name }: WebhookPlace,
  { url, reason }: { readonly url: string; readonly reason: string },
): Position {
  const known = vhost.webhooks.get(name)
  if (known?.isEnabled !== true || known.url !== url) return topology.pending
  return topology.putWebhook(vhost, { ...known, isEnabled: false, disabledReason: reason })
}

/** Nobody but a node's own tools may have secrets. */
export type SecretsShown = 'without secrets' | 'with secrets'

/** As it is given. Without secrets headers have their names only, and `null` for what stands there. */
export function webhookJson(webhook: Webhook, secrets: SecretsShown = 'without secrets'): JsonObject {
  const { queue, url, user, concurrency, timeoutMs, bodyBytesMax, contentMode, isEnabled, disabledReason } = webhook
  const isOpen = secrets === 'with secrets'
  return {
    queue,
    url,
    user,
    concurrency,
    timeout_ms: timeoutMs,
    max_body_bytes: bodyBytesMax,
    content_mode: contentMode,
    enabled: isEnabled,
    ...(webhook.caCertificates === null ? {} : { ca_certificates: webhook.caCertificates }),
    ...(disabledReason === null ? {} : { disabled_reason: disabledReason }),
    headers: Object.fromEntries(Object.entries(webhook.headers).map(([name, value]) => [name, isOpen ? value : null])),
    ...(isOpen ? { secret: webhook.secret, previous_secret: webhook.previousSecret } : {}),
  }
}

function checkNew(topology: Topology, vhost: VhostState): void {
  checkRoom(topology, true)
  const { webhooksPerVhostMax: max } = topologyLimits
  if (vhost.webhooks.size < max) return
  const text = `cannot add webhook: webhook limit in vhost '${vhost.name}' (${max}) is reached`
  throw new BrokerError('precondition-failed', text)
}

function invalid(name: string, wrong: readonly string[]): BrokerError {
  return new BrokerError('precondition-failed', `webhook '${name}': ${wrong.join('; ')}`)
}

/** What was given, field by field; what does not fit is gathered. */
class Reading {
  readonly wrong: string[] = []
  readonly #given: ReadonlyMap<string, unknown>
  readonly #known: Webhook | null

  constructor(given: JsonObject, known: Webhook | null) {
    this.#given = new Map(Object.entries(given))
    this.#known = known
    // What is shown may be given back.
    for (const key of this.#given.keys()) {
      if (!fields.includes(key) && key !== 'disabled_reason') this.wrong.push(`there is no field ${key}`)
    }
  }

  properties(name: string): WebhookProperties {
    const url = this.#url()
    const kept = this.#known !== null && sameOrigin(this.#known.url, url) ? this.#known : null
    return {
      name,
      queue: this.#text('queue'),
      url,
      user: this.#text('user'),
      caCertificates: this.#caCertificates(url),
      ...this.#secrets(kept),
      concurrency: this.#number('concurrency'),
      timeoutMs: this.#number('timeoutMs'),
      bodyBytesMax: this.#number('bodyBytesMax'),
      headers: this.#headers(kept),
      contentMode: this.#contentMode(),
      isEnabled: this.#isEnabled(),
      disabledReason: null,
    }
  }

  #text(field: string): string {
    const value = this.#given.get(field)
    if (typeof value === 'string' && value !== '' && value.length <= nameLengthMax) return value
    this.wrong.push(`${field} has to be a text of 1 to ${nameLengthMax} characters`)
    return ''
  }

  #url(): string {
    const value = this.#given.get('url')
    const why = whyNoUrl(value)
    if (why !== null) this.wrong.push(why)
    return why === null ? new URL(String(value)).href : ''
  }

  #caCertificates(url: string): string | null {
    const value = this.#given.get('ca_certificates') ?? null
    if (value === null) return null
    const why = whyNoCertificates(value)
    if (why !== null) this.wrong.push(why)
    else if (url.startsWith('http:')) this.wrong.push('ca_certificates needs a url that begins with https://')
    return why === null ? readCertificates(String(value)) : null
  }

  #secrets(kept: Webhook | null): Pick<WebhookProperties, 'secret' | 'previousSecret'> {
    const [secret, previous] = [this.#given.get('secret') ?? null, this.#given.get('previous_secret') ?? null]
    if (secret === null && previous === null && kept !== null) {
      return { secret: kept.secret, previousSecret: kept.previousSecret }
    }
    if (!isSecret(secret)) {
      const isMoved = this.#known !== null && kept === null
      this.wrong.push(`secret ${secretForm}${isMoved ? ' and be given again when the server is another' : ''}`)
    }
    if (previous !== null && !isSecret(previous)) this.wrong.push(`previous_secret ${secretForm}`)
    return { secret: String(secret), previousSecret: previous === null ? null : String(previous) }
  }

  #headers(kept: Webhook | null): Readonly<Record<string, string>> {
    const value = this.#given.get('headers') ?? null
    if (value === null) return kept?.headers ?? {}
    const why = whyNoHeaders(value)
    if (why !== null) this.wrong.push(why)
    if (why !== null) return {}
    const given = Object.entries(value as Record<string, string>)
    return Object.fromEntries(given.map(([name, text]) => [name.toLowerCase(), text]))
  }

  #number(name: keyof typeof numbers): number {
    const { field, otherwise, min, max } = numbers[name]
    const value = this.#given.get(field) ?? otherwise
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
    this.wrong.push(`${field} has to be a whole number from ${min} to ${max}`)
    return otherwise
  }

  #contentMode(): WebhookProperties['contentMode'] {
    const value = this.#given.get('content_mode') ?? 'binary'
    const known = webhookContentModes.find((mode) => mode === value)
    if (known === undefined) this.wrong.push(`content_mode has to be one of ${webhookContentModes.join(', ')}`)
    return known ?? 'binary'
  }

  #isEnabled(): boolean {
    const value = this.#given.get('enabled') ?? true
    if (typeof value !== 'boolean') this.wrong.push('enabled has to be true or false')
    return value === true
  }
}

/** Of names of queues and users, in UTF-16 units. */
const nameLengthMax = 255

/** False for what is no address. */
function sameOrigin(one: string, other: string): boolean {
  return URL.canParse(other) && new URL(one).origin === new URL(other).origin
}

/** Whether it keeps its secrets when these are its new properties. */
export function keepsSecrets({ url }: Webhook, given: JsonObject): boolean {
  return sameOrigin(url, String(given['url']))
}
