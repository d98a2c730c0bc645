/** What is wrong anywhere in the cluster, and what to do about it: one box above every page, for everybody. */
import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import { bytes, visible } from '../core/format.ts'
import { t } from '../core/language.ts'
import { usePoll } from '../core/poll.ts'
import { isWell, type Publishing, publishing } from '../core/publishing.ts'

export interface AlarmedNode {
  readonly name: string
  readonly mem_used: number
  readonly mem_limit: number
  readonly mem_alarm: boolean
  readonly disk_free_limit: number
  readonly disk_free?: number
  readonly disk_free_alarm: boolean
}

/** What is said of each kind: at which node, to those who monitor; to all others; and what helps. */
const texts = {
  memory: ['alarmMemory', 'shortOfMemory', 'mendMemory'],
  disk: ['alarmDisk', 'shortOfDisk', 'mendDisk'],
  cluster: ['alarmCluster', 'shortOfCluster', 'mendCluster'],
} as const

type Kind = keyof typeof texts

export function Alarms(): JSX.Element | null {
  const { data } = usePoll<Publishing>('/warren/publishing', { isUrgent: true })
  // Compared by what is in it: an answer that says the same draws nothing anew, and is not read out again.
  const said = JSON.stringify(data)
  useEffect(() => {
    publishing.value = JSON.parse(said) as Publishing | null
  }, [said])
  if (data === null || isWell(data)) return null
  return <Box of={data} />
}

function Box({ of: { reasons, alarms, nodes_away: away = [] } }: { of: Publishing }): JSX.Element {
  const hasNumbers = (alarms ?? []).some(({ resource }) => resource !== 'cluster')
  const nodes = usePoll<readonly AlarmedNode[]>(hasNumbers ? '/nodes' : null)
  const numbersOf = (node: string): AlarmedNode | undefined => nodes.data?.find(({ name }) => name === node)
  return (
    <div class={`banner ${reasons.length > 0 ? 'bad' : 'warn'}`} role="alert">
      {reasons.length > 0 && <b>{t('blocked')}</b>}
      <ul class="alarms">
        {alarms === undefined
          ? reasons.map((reason) => <li key={reason}>{t(texts[reason as Kind]?.[1] ?? 'shortOfCluster')}</li>)
          : alarms.map(({ node, resource }) => (
              <OneAlarm key={`${resource} ${node}`} name={node} resource={resource as Kind} node={numbersOf(node)} />
            ))}
        {away.map((node) => (
          <li key={node}>{t('nodeAway', { node: visible(node) })}</li>
        ))}
      </ul>
    </div>
  )
}

interface OneAlarmProps {
  readonly name: string
  readonly resource: Kind
  readonly node: AlarmedNode | undefined
}

function OneAlarm({ name, resource, node }: OneAlarmProps): JSX.Element {
  const [what, , mend] = texts[resource] ?? texts.cluster
  return (
    <li>
      <b>{t(what, { node: visible(name) })}</b>{' '}
      {/* Numbers change all the time; they are not to be read out each time. */}
      {node !== undefined && <span aria-live="off">{numbers(resource, node)} </span>}
      {t(mend)}
    </li>
  )
}

function numbers(resource: Kind, node: AlarmedNode): string {
  if (resource === 'memory')
    return `${t('ofLimit', { used: bytes(node.mem_used), limit: bytes(node.mem_limit) })}${t('dot')}`
  return `${t('diskFree', { free: bytes(node.disk_free ?? 0), limit: bytes(node.disk_free_limit) })}${t('dot')}`
}
