/** This node and its cluster: alarms, how safe messages are, which nodes there are and who owns which shard. */
import type { JSX } from 'preact'
import { duration, moment, visible, whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { usePoll } from '../core/poll.ts'
import { now } from '../core/time.ts'
import { Alarms } from '../parts/alarms.tsx'
import { Card, Chip, Facts, Head, Waiting } from '../parts/card.tsx'
import { DurabilityCard } from '../parts/durability.tsx'
import { Name } from '../parts/name.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { NodeCard, type NodeData } from './overview.tsx'

interface ClusterNode {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly version: string
  readonly state: string
  readonly started_at: number
  readonly owns: readonly string[]
}

interface Shard {
  readonly name: string
  readonly owner: string | null
  readonly epoch: number
  readonly since: number
  readonly placed_owner: string | null
  readonly standby: string | null
  readonly positions: Readonly<Record<string, number>>
}

interface ClusterData {
  readonly is_cluster: boolean
  readonly name?: string
  readonly is_current?: boolean
  readonly nodes?: readonly ClusterNode[]
  readonly shards?: readonly Shard[]
  readonly nats?: {
    readonly is_healthy: boolean
    readonly progress_age_ms: number
    readonly problems: readonly string[]
    readonly servers: readonly { readonly name: string; readonly version: string | null }[]
  }
}

export function Cluster(): JSX.Element {
  const nodes = usePoll<readonly NodeData[]>('/nodes')
  const { data, failure } = usePoll<ClusterData>('/warren/cluster')
  return (
    <>
      <Head title={t('cluster')} plain={t('cluster')} />
      <Alarms
        nodes={nodes.data ?? []}
        otherwise={
          <p class="banner good" role="status">
            {t('noAlarms')}
          </p>
        }
      />
      <div class="cols">
        {(nodes.data ?? []).map((node) => (
          <NodeCard key={node.name} node={node} />
        ))}
        <DurabilityCard />
      </div>
      {data === null ? <Waiting failure={failure} /> : <Members of={data} />}
    </>
  )
}

function Members({ of }: { of: ClusterData }): JSX.Element {
  if (!of.is_cluster) return <p class="muted">{t('alone')}</p>
  const { nodes = [], shards = [], nats } = of
  return (
    <>
      <Card title="nodes" more={of.is_current === false && <Chip kind="warn">{t('notCurrent')}</Chip>}>
        <Table caption="nodes" columns={nodeColumns} rows={nodes} rowKey={({ name }) => name} />
      </Card>
      <Card title="shards">
        <Table caption="shards" columns={shardColumns} rows={shards} rowKey={({ name }) => name} />
      </Card>
      {nats !== undefined && (
        <Card
          title="store"
          more={<Chip kind={nats.is_healthy ? 'good' : 'bad'}>{t(nats.is_healthy ? 'running' : 'alarm')}</Chip>}
        >
          {nats.problems.map((problem) => (
            <p class="bad" key={problem}>
              {visible(problem)}
            </p>
          ))}
          <Facts
            of={[
              [t('lastProgress'), t('ago', { time: duration(nats.progress_age_ms) })],
              ...nats.servers.map(
                ({ name, version }) => [visible(name), visible(version ?? t('noAnswerShort'))] as const,
              ),
            ]}
          />
        </Card>
      )}
    </>
  )
}

const nodeColumns: readonly Column<ClusterNode>[] = [
  {
    head: 'name',
    kind: 'name',
    cell: ({ name, host, port }) => (
      <>
        <Name of={name} /> <span class="more">{`${visible(host)}:${port}`}</span>
      </>
    ),
  },
  {
    head: 'state',
    cell: ({ state }) => <Chip kind={state === 'running' ? 'good' : 'warn'}>{visible(state)}</Chip>,
  },
  { head: 'owns', cell: ({ owns }) => owns.map(visible).join(', ') },
  { head: 'version', priority: 2, cell: ({ version }) => visible(version) },
  { head: 'since', priority: 3, cell: ({ started_at: at }) => duration(Math.max(0, now() - at)) },
]

const shardColumns: readonly Column<Shard>[] = [
  { head: 'name', kind: 'name', cell: ({ name }) => <Name of={name} /> },
  {
    head: 'owner',
    cell: ({ owner }) => (owner === null ? <Chip kind="bad">{t('nobody')}</Chip> : <Name of={owner} />),
  },
  { head: 'standby', priority: 2, cell: ({ standby }) => visible(standby ?? '–') },
  { head: 'epoch', kind: 'n', priority: 2, cell: ({ epoch }) => whole(epoch) },
  { head: 'since', priority: 3, cell: ({ since }) => moment(since) },
  {
    head: 'positions',
    priority: 3,
    cell: ({ positions }) =>
      Object.entries(positions).map(([node, position]) => (
        <div key={node}>
          <Name of={node} /> {whole(position)}
        </div>
      )),
  },
]
