/** One message as the API gives it: properties, headers and body, all as text. */
import type { ComponentChildren, JSX } from 'preact'
import { bytes, value, visible, visibleLines } from '../core/format.ts'
import { t } from '../core/language.ts'
import { Chip, type Fact, Facts } from './card.tsx'

export interface ShownMessage {
  readonly payload: string
  readonly payload_bytes: number
  readonly payload_encoding: 'string' | 'base64'
  readonly exchange: string
  readonly routing_key: string
  readonly redelivered?: boolean
  readonly properties: Readonly<Record<string, unknown>> | readonly []
}

export function MessageView({ of, children }: { of: ShownMessage; children?: ComponentChildren }): JSX.Element {
  const { headers = {}, ...properties } = of.properties as Record<string, unknown> & { headers?: object }
  const facts: Fact[] = [
    [t('exchange'), visible(of.exchange === '' ? t('withoutName') : of.exchange)],
    [t('routingKey'), <span class="mono">{visible(of.routing_key)}</span>],
    ...factsOf(properties),
    ...factsOf(headers),
  ]
  return (
    <article class="message">
      <div class="row">
        <span>{bytes(of.payload_bytes)}</span>
        {of.payload_encoding === 'base64' && <Chip>base64</Chip>}
        {of.redelivered === true && <Chip kind="warn">{t('redelivered')}</Chip>}
        {children}
      </div>
      <pre class="body">{visibleLines(pretty(of))}</pre>
      <Facts of={facts} />
    </article>
  )
}

function factsOf(values: object): Fact[] {
  return Object.entries(values).map(([name, json]) => [
    <span class="mono">{visible(name)}</span>,
    <span class="mono">{value(json)}</span>,
  ])
}

/** Longer bodies are shown as they are, in UTF-16 units. */
const prettyMax = 100_000

function pretty({ payload, payload_encoding: encoding }: ShownMessage): string {
  if (encoding !== 'string' || payload.length > prettyMax || !/^\s*[[{]/.test(payload)) return payload
  try {
    return JSON.stringify(JSON.parse(payload), null, 2)
  } catch {
    return payload
  }
}
