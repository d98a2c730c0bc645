/** The signature of a webhook by the Standard Webhooks specification (symmetric, `v1`). */
import { createHmac } from 'node:crypto'
import { keyOfSecret } from '../broker/webhook-checks.ts'

export interface SignedContent {
  /** The same for every attempt at one message; without points. */
  readonly id: string
  /** Seconds since 1970. */
  readonly timestamp: number
  readonly body: Uint8Array
}

/** The value of `webhook-signature`: one signature for each secret, so that receivers may know either. */
export function signatureOf({ id, timestamp, body }: SignedContent, secrets: readonly string[]): string {
  const signatures = secrets.map((secret) => {
    const hmac = createHmac('sha256', keyOfSecret(secret))
    return `v1,${hmac.update(`${id}.${timestamp}.`).update(body).digest('base64')}`
  })
  return signatures.join(' ')
}
