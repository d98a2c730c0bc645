/** A client of one node, and the time that passes while it waits for an answer. */
import type { Declared } from '../../../src/broker/commands.ts'
import type { BrokerSession } from '../../../src/broker/session.ts'
import { bindArguments, exchangeArguments, queueArguments } from '../broker-harness.ts'
import type { TopologyCluster, TopologyNode } from './topology-cluster.ts'

const noConditions = { ifUnused: false, ifEmpty: false }

/** Waits for a promise while the cluster's time goes on. */
export async function during<T>(cluster: TopologyCluster, promise: Promise<T>): Promise<T> {
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  promise.then(over, over)
  await cluster.until(() => isOver, 100_000)
  return await promise
}

export interface Client {
  readonly node: TopologyNode
  readonly session: BrokerSession
  declareQueue(name: string, options?: Parameters<typeof queueArguments>[1]): Promise<Declared>
  declareExchange(name: string, type: string, options?: Parameters<typeof exchangeArguments>[2]): Promise<boolean>
  bind(source: string, queue: string, key?: string): Promise<boolean>
  unbind(source: string, queue: string, key?: string): Promise<boolean>
  deleteQueue(name: string, conditions?: { ifUnused: boolean; ifEmpty: boolean }): Promise<number>
  deleteExchange(name: string, ifUnused?: boolean): Promise<void>
}

export function clientOf(cluster: TopologyCluster, name: string, user = 'guest'): Client {
  const node = cluster.node(name)
  const session = node.session(user)
  const { vhost } = session
  return {
    node,
    session,
    declareQueue: (queue, options) =>
      during(
        cluster,
        node.answered((r) => vhost.declareQueue(session, queueArguments(queue, options), r)),
      ),
    declareExchange: (exchange, type, options) =>
      during(
        cluster,
        node.answered((r) => vhost.declareExchange(session, exchangeArguments(exchange, type, options), r)),
      ),
    bind: (source, queue, key = '') =>
      during(
        cluster,
        node.answered((r) => vhost.bindQueue(session, bindArguments(source, queue, key), r)),
      ),
    unbind: (source, queue, key = '') =>
      during(
        cluster,
        node.answered((r) => vhost.unbindQueue(session, bindArguments(source, queue, key), r)),
      ),
    deleteQueue: (queue, conditions = noConditions) =>
      during(
        cluster,
        node.answered((r) => vhost.deleteQueue(session, queue, conditions, r)),
      ),
    deleteExchange: (exchange, ifUnused = false) =>
      during(
        cluster,
        node.answered((r) => vhost.deleteExchange(session, exchange, ifUnused, r)),
      ),
  }
}
