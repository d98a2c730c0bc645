/** The management API of one node, as its administrator uses it. */
import { eventually } from '../eventually.ts'
import type { ClusterNode, ClusterProcesses } from './cluster-processes.ts'

export interface ReportedShard {
  readonly name: string
  readonly owner: string | null
  /** Who is to have it. */
  readonly placed_owner: string | null
  readonly standby: string | null
  readonly epoch: number
}

export interface ReportedCluster {
  readonly is_current: boolean
  readonly nodes: readonly {
    readonly name: string
    readonly incarnation: number
    readonly state: string
    readonly owns: readonly string[]
  }[]
  readonly shards: readonly ReportedShard[]
  readonly missing_links: readonly { from: string; to: string; host: string; port: number }[]
  readonly nats: { readonly is_healthy: boolean; readonly problems: readonly string[] }
}

/** `path` stands behind `/api/`. */
export async function api(node: ClusterNode, path: string, method = 'GET', body?: unknown): Promise<Response> {
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const headers = { authorization, 'content-type': 'application/json' }
  const content = body === undefined ? {} : { body: JSON.stringify(body) }
  return await fetch(`http://127.0.0.1:${node.httpPort}/api/${path}`, { method, headers, ...content })
}

export async function reportOf(node: ClusterNode): Promise<ReportedCluster> {
  return (await (await api(node, 'warren/cluster')).json()) as ReportedCluster
}

/** Every node of `count` is there and takes shards, and every shard is where it is to be. */
export function isWhole({ nodes, shards }: ReportedCluster, count: number): boolean {
  const running = nodes.filter(({ state }) => state === 'running')
  const isPlaced = ({ owner, placed_owner: placed }: ReportedShard): boolean => owner !== null && owner === placed
  return running.length === count && shards.every(isPlaced)
}

/** Waits until every node sees all of them so. */
export async function untilWhole({ nodes }: ClusterProcesses, msMax = 60_000): Promise<void> {
  for (const node of nodes) {
    const seesAll = async (): Promise<boolean> => isWhole(await reportOf(node), nodes.length)
    await eventually(`${node.name} sees all`, () => seesAll().catch(() => false), msMax)
  }
}
