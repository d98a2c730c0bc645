import type { StoredRecord } from './live-records.ts'
import type { VhostState } from './vhost-state.ts'

/** Where the messages of a queue are pushed by HTTP, and how. What a webhook does is not here: `src/webhook`. */
export interface WebhookProperties {
  readonly name: string
  /** Whose messages; it need not exist yet. */
  readonly queue: string
  /** As `URL` writes it. Its query may be a secret: shown, never logged. */
  readonly url: string
  /** PEM of those that may have signed the receiver's certificate, and nobody else; null: those that everybody knows. */
  readonly caCertificates: string | null
  /** Whose right to read the queue counts. */
  readonly user: string
  /** `whsec_` and base64, as is `previousSecret`: never shown. */
  readonly secret: string
  /** Signs too, while receivers learn the new one; null: none. */
  readonly previousSecret: string | null
  /** Requests at one time. */
  readonly concurrency: number
  /** Of one request, milliseconds. */
  readonly timeoutMs: number
  /** A longer body is rejected. */
  readonly bodyBytesMax: number
  /** Sent besides, by names in small letters. Values are never shown. */
  readonly headers: Readonly<Record<string, string>>
  /** `binary`: the body as it is; `json`: an object with its properties. */
  readonly contentMode: WebhookContentMode
  readonly isEnabled: boolean
  /** Why it was switched off by itself; null: it was not. */
  readonly disabledReason: string | null
}

export const webhookContentModes = ['binary', 'json'] as const
export type WebhookContentMode = (typeof webhookContentModes)[number]

/** Another object when it is changed. */
export interface Webhook extends WebhookProperties {
  readonly kind: 'webhook'
  readonly id: number
  readonly home: VhostState
  stored: StoredRecord | null
}

/** With an id that exists: the webhook's new properties; its name stays. */
export interface WebhookRecord extends Omit<WebhookProperties, 'caCertificates'> {
  readonly kind: 'webhook'
  readonly id: number
  readonly vhost: number
  /** Left out: none; records were written before there were any. */
  readonly caCertificates?: string
}

/**
 * Its fields always stand in this order, so that records may be compared as text. What is secret comes last: a version
 * that cannot read a record tells how it begins.
 */
export function webhookRecord(id: number, vhost: number, properties: WebhookProperties): WebhookRecord {
  const { name, queue, url, user, secret, previousSecret, concurrency, timeoutMs, bodyBytesMax } = properties
  const { headers, contentMode, isEnabled, disabledReason, caCertificates } = properties
  const told = { name, queue, user, contentMode, isEnabled, disabledReason, concurrency, timeoutMs, bodyBytesMax }
  const authorities = caCertificates === null ? {} : { caCertificates }
  return { kind: 'webhook', id, vhost, ...told, url, ...authorities, headers, secret, previousSecret }
}
