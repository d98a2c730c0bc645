/** Publishes a message by hand. */
import type { JSX } from 'preact'
import { ask, exchangeSegment, path } from '../core/api.ts'
import { t } from '../core/language.ts'
import { say } from '../core/notices.ts'
import { Area, Check, Field, type Fields, Form } from './form.tsx'

interface PublishFormProps {
  readonly vhost: string
  readonly exchange: string
  /** Given for a queue: the key is not asked for. */
  readonly queue?: string
}

export interface Publishing {
  readonly routing_key: string
  readonly payload: string
  readonly payload_encoding: 'string' | 'base64'
  readonly properties: object
}

/** Rejects when nobody took it, too. */
export async function publish(vhost: string, exchange: string, body: Publishing): Promise<void> {
  const to = `/exchanges${path(vhost, exchangeSegment(exchange))}/publish`
  const { routed } = await ask<{ routed: boolean }>('POST', to, { body })
  if (!routed) throw new Error(t('notRouted'))
}

/** Those that have no field of their own. */
const properties = { priority: 5, expiration: '60000', correlation_id: '', reply_to: '', type: '' }

export function PublishForm({ vhost, exchange, queue }: PublishFormProps): JSX.Element {
  const submit = async (fields: Fields): Promise<void> => {
    const headers = fields.object('headers')
    const delay = fields.text('delay')
    if (delay !== '') headers['x-delay'] = Math.round(Number(delay) * 1_000)
    const optional = { message_id: fields.text('id'), content_type: fields.text('type') }
    await publish(vhost, exchange, {
      routing_key: queue ?? fields.text('key'),
      payload: fields.text('payload'),
      payload_encoding: fields.has('base64') ? 'base64' : 'string',
      properties: {
        delivery_mode: fields.has('persistent') ? 2 : 1,
        ...fields.object('properties'),
        ...Object.fromEntries(Object.entries(optional).filter(([, text]) => text !== '')),
        ...(Object.keys(headers).length === 0 ? {} : { headers }),
      },
    })
    say({ kind: 'done', text: t('sent') })
  }
  return (
    <Form doIt="publish" submit={submit}>
      {queue === undefined && <Field name="key" label="routingKey" />}
      <Area name="payload" label="payload" />
      <div class="row end">
        <Field name="type" label="contentType" placeholder="application/json" />
        <Field name="id" label="messageId" />
        <Field name="delay" label="delaySeconds" type="number" />
        <Check name="persistent" label="persistent" isOn />
        <Check name="base64" label="isBase64" />
      </div>
      <Area name="headers" label="headers" placeholder={'{"x-group": "a"}'} />
      <Area name="properties" label="properties" keys={properties} />
    </Form>
  )
}
