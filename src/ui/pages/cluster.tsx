/** The nodes: alarms, how safe messages are, who is there and owns which shard, and how each of them sees its store. */
import type { JSX } from 'preact'
import { ask } from '../core/api.ts'
import { duration, moment, visible, whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { isWell, publishing } from '../core/publishing.ts'
import { mayBe } from '../core/session.ts'
import { now } from '../core/time.ts'
import { Card, Chip, Head, Waiting } from '../parts/card.tsx'
import { confirmed } from '../parts/dialog.tsx'
import { DurabilityCard, type NodeReport, StoreChip } from '../parts/durability.tsx'
import { Name } from '../parts/name.tsx'
import { NodeCourse, type NodeData } from '../parts/node.tsx'
import { State } from '../parts/state.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { useRange } from './overview.tsx'

interface ClusterNode {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly version: string
  readonly state: 'running' | 'draining' | 'starting'
  readonly started_at: number
  readonly owns: readonly string[]
}

interface Shard {
  readonly name: string
  readonly owner: string | null
  readonly epoch: number
  readonly since: number | null
  readonly placed_owner: string | null
  readonly standby: string | null
  readonly positions: Readonly<Record<string, number>>
}

interface ClusterData {
  readonly is_cluster: boolean
  readonly name?: string
  /** Who says so. */
  readonly node: string
  readonly is_current?: boolean
  readonly nodes?: readonly ClusterNode[]
  readonly shards?: readonly Shard[]
  /** Pairs of nodes that run, and of which the one has to reach the other there. */
  readonly missing_links?: readonly {
    readonly from: string
    readonly to: string
    readonly host: string
    readonly port: number
  }[]
}

export function Cluster(): JSX.Element {
  const nodes = usePoll<readonly NodeData[]>('/nodes')
  const { data, failure, refresh } = usePoll<ClusterData>('/warren/cluster')
  const { range, choice } = useRange()
  return (
    <>
      <Head title={t('cluster')} plain={t('cluster')}>
        {data?.is_cluster === true && mayBe('administrator') && <Drain of={data} changed={refresh} />}
      </Head>
      {isWell(publishing.value) && <p class="banner good">{t('noAlarms')}</p>}
      {data === null && <Waiting failure={failure} />}
      {data?.is_cluster === true && <Members of={data} />}
      {choice}
      {(nodes.data ?? []).map((node) => (
        <NodeCourse key={node.name} node={node} range={range} />
      ))}
      {data?.is_cluster === false && <DurabilityCard />}
      {data?.is_cluster === false && <p class="muted">{t('alone')}</p>}
    </>
  )
}

/** Of the node that serves the page. */
function Drain({ of: { node, nodes = [] }, changed }: { of: ClusterData; changed: () => void }): JSX.Element {
  const isDraining = nodes.some(({ name, state }) => name === node && state === 'draining')
  const drain = async (): Promise<void> => {
    const text = t('drainText', { node: visible(node) })
    if (!isDraining && !(await confirmed({ title: t('drain'), text, doIt: 'drain' }))) return
    await attempt(() => ask('PUT', '/warren/cluster/drain', { body: { draining: !isDraining } }), t('saved'))
    changed()
  }
  return (
    <button type="button" onClick={() => void drain()}>
      {t(isDraining ? 'undrain' : 'drain')} <Name of={node} />
    </button>
  )
}

/** As the one who was asked knows it, with what each says of itself. */
type Member = Partial<ClusterNode> & { readonly name: string; readonly report: NodeReport | null }

function Members({
  of: { nodes = [], shards = [], missing_links: missing = [], node: asked },
}: {
  of: ClusterData
}): JSX.Element {
  const reports = usePoll<readonly NodeReport[]>('/warren/nodes').data ?? []
  const names = new Set([...nodes, ...reports].map(({ name }) => shortOf(name)))
  const members = [...names].sort().map((name): Member => {
    const report = reports.find((one) => shortOf(one.name) === name) ?? null
    return { ...nodes.find((one) => one.name === name), name, report }
  })
  const problems = [...new Set(reports.flatMap(({ nats }) => nats?.problems ?? []))]
  return (
    <>
      <Card title="nodes" more={<span class="muted">{t('seenBy', { node: visible(asked) })}</span>}>
        <Table caption="nodes" columns={nodeColumns} rows={members} rowKey={({ name }) => name} />
        {missing.map(({ from, to, host, port }) => (
          <p class="bad" key={`${from} ${to}`}>
            {t('missingLink', { from: visible(from), to: visible(to), at: `${visible(host)}:${port}` })}
          </p>
        ))}
        {problems.map((problem) => (
          <p class="bad" key={problem}>
            {visible(problem)}
          </p>
        ))}
      </Card>
      <Card title="shards">
        <Table caption="shards" columns={shardColumns} rows={shards} rowKey={({ name }) => name} />
      </Card>
    </>
  )
}

/** Nodes are told as `warren@NAME`, too. */
function shortOf(name: string): string {
  return name.replace(/^warren@/, '')
}

const nodeColumns: readonly Column<Member>[] = [
  {
    head: 'name',
    kind: 'name',
    cell: ({ name, host, port }) => (
      <>
        <Name of={name} /> {host !== undefined && <span class="more">{`${visible(host)}:${port}`}</span>}
      </>
    ),
  },
  { head: 'state', cell: (member) => <StateOf of={member} /> },
  { head: 'shards', kind: 'n', cell: ({ owns = [] }) => whole(owns.length) },
  {
    head: 'store',
    cell: ({ report }) => (
      <>
        <StoreChip of={report?.nats} />
        {report?.nats !== undefined && (
          <span class="more">{t('ago', { time: duration(report.nats.progress_age_ms) })}</span>
        )}
      </>
    ),
  },
  {
    head: 'storeServers',
    priority: 3,
    cell: ({ report }) => {
      const servers = report?.nats?.servers ?? []
      const silent = servers.filter(({ version }) => version === null).map(({ name }) => visible(name))
      if (silent.length === 0) return `${servers.length} / ${servers.length}`
      return (
        <>
          {`${servers.length - silent.length} / ${servers.length}`}{' '}
          <span class="more bad">{t('silent', { names: silent.sort().join(', ') })}</span>
        </>
      )
    },
  },
  { head: 'version', priority: 2, cell: ({ version = '–' }) => visible(version) },
  {
    head: 'uptime',
    priority: 3,
    cell: ({ started_at: at }) => (at === undefined ? '–' : duration(Math.max(0, now() - at))),
  },
]

function StateOf({ of: { state, report } }: { of: Member }): JSX.Element {
  if (report !== null && !report.is_live) return <Chip kind="bad">{t('away')}</Chip>
  if (report !== null && !report.answers) return <Chip kind="bad">{t('noAnswerShort')}</Chip>
  const alarms = report?.alarms ?? []
  return (
    <>
      <State of={state ?? 'starting'} /> {report?.is_current === false && <Chip kind="bad">{t('notCurrent')}</Chip>}
      {alarms.map((alarm) => (
        <Chip key={alarm} kind="bad">
          {t(alarm === 'memory' ? 'memory' : alarm === 'disk' ? 'disk' : 'alarm')}
        </Chip>
      ))}
    </>
  )
}

const shardColumns: readonly Column<Shard>[] = [
  { head: 'name', kind: 'name', cell: ({ name }) => <Name of={name} /> },
  {
    head: 'owner',
    cell: ({ owner, placed_owner: placed }) => (
      <>
        {owner === null ? <Chip kind="bad">{t('nobody')}</Chip> : <Name of={owner} />}
        {placed !== null && placed !== owner && <span class="more">{t('placedAt', { node: visible(placed) })}</span>}
      </>
    ),
  },
  { head: 'standby', priority: 2, cell: ({ standby }) => visible(standby ?? '–') },
  { head: 'epoch', kind: 'n', priority: 2, cell: ({ epoch }) => whole(epoch) },
  { head: 'since', priority: 3, cell: ({ since }) => (since === null ? '–' : moment(since)) },
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
