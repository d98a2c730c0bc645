/**
 * Whether the account and the user that a node was given may do what it will do: asked at the start, before anything is
 * made. Rights are asked for by requests that change nothing, about a stream that is never made: what NATS forbids it
 * says at once, and all else that it answers is a yes.
 */
import { jetstreamManager } from '@nats-io/jetstream'
import { headers, type NatsConnection } from '@nats-io/transport-node'
import { StartError } from '../../start-error.ts'
import { accountRefusal, deniedSentence } from './refusals.ts'

const requestMsMax = 5_000
/** A right is proven by an answer; none within this says nothing, in milliseconds. */
const rightMsMax = 2_000
/** Each node has some in each stream, and those that it has left stay for half a minute. */
const consumersMin = 32

export interface AccountNeeds {
  readonly clusterName: string
  /** JetStream domain; null: that of whom one is connected to. */
  readonly domain: string | null
}

/** The options of JetStream's clients for a domain. */
export function inDomain(domain: string | null): { readonly domain?: string } {
  return domain === null ? {} : { domain }
}

/** Rejects with `StartError` when it is refused for good, else with whatever hinders it now. */
export async function checkAccount(connection: NatsConnection, { clusterName, domain }: AccountNeeds): Promise<void> {
  const api = domain === null ? '$JS.API' : `$JS.${domain}.API`
  try {
    // First: whoever may not subscribe to the answer has none of anything.
    await mayRequest(connection, `${api}.INFO`)
    for (const subject of subjectsNeeded(clusterName, api)) await mayRequest(connection, subject)
    const manager = await jetstreamManager(connection, { timeout: requestMsMax, checkAPI: false, ...inDomain(domain) })
    const { limits } = await manager.getAccountInfo()
    const { max_consumers: consumersMax } = limits
    if (consumersMax >= 0 && consumersMax < consumersMin) throw new StartError('cluster', fewConsumers(consumersMax))
  } catch (error) {
    const sentence = accountRefusal(error)
    throw sentence === null ? error : new StartError('cluster', sentence, error)
  }
}

/** Each stands for its kind. */
export function subjectsNeeded(clusterName: string, api: string): readonly string[] {
  const prefix = `warren-${clusterName}`
  const [log, bucket] = [`${prefix}-log-none`, `KV_${prefix}-none`]
  const streams = [log, bucket].flatMap((stream) => [
    `${api}.STREAM.INFO.${stream}`,
    `${api}.STREAM.CREATE.${stream}`,
    `${api}.STREAM.MSG.GET.${stream}`,
    `${api}.CONSUMER.CREATE.${stream}`,
  ])
  return [
    ...streams,
    `${api}.STREAM.NAMES`,
    `${api}.STREAM.LIST`,
    `${api}.STREAM.UPDATE.${log}`,
    `${api}.STREAM.PURGE.${log}`,
    `${api}.STREAM.DELETE.${log}`,
    `${api}.CONSUMER.DELETE.${log}.none`,
    `${api}.CONSUMER.MSG.NEXT.${log}.none`,
    `${prefix}.log.none`,
    `${prefix}.digest.none`,
    `$KV.${prefix}.none`,
  ]
}

async function mayRequest(connection: NatsConnection, subject: string): Promise<void> {
  // Where a stream takes the subject, it refuses this and stores nothing.
  const header = headers()
  header.set('Nats-Expected-Stream', 'none')
  try {
    await connection.request(subject, '', { timeout: rightMsMax, headers: header })
  } catch (error) {
    if (deniedSentence(error) !== null) throw error
    // Nobody there, or no answer: it was not forbidden.
  }
}

function fewConsumers(most: number): string {
  const mend = 'take the limit off, or raise it'
  return `the account of the NATS login may have ${most} consumers per stream, fewer than ${consumersMin}: ${mend}`
}
