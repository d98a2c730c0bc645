/** What is wrong with a node, and what to do about it: one box, on the overview and on the node's page. */
import type { ComponentChildren, JSX } from 'preact'
import { bytes } from '../core/format.ts'
import { t } from '../core/language.ts'

export interface AlarmedNode {
  readonly name: string
  readonly mem_used: number
  readonly mem_limit: number
  readonly mem_alarm: boolean
  readonly disk_free_limit: number
  readonly disk_free?: number
  readonly disk_free_alarm: boolean
}

/** `otherwise` where nothing is wrong. */
export function Alarms({ nodes, otherwise }: { nodes: readonly AlarmedNode[]; otherwise: JSX.Element }): JSX.Element {
  const found: ComponentChildren[] = nodes.flatMap((node) => [
    ...(node.mem_alarm
      ? [
          <li key={`memory ${node.name}`}>
            <b>{t('alarmMemory', { node: node.name })}</b>{' '}
            {t('ofLimit', { used: bytes(node.mem_used), limit: bytes(node.mem_limit) })}. {t('mendMemory')}
          </li>,
        ]
      : []),
    ...(node.disk_free_alarm
      ? [
          <li key={`disk ${node.name}`}>
            <b>{t('alarmDisk', { node: node.name })}</b>{' '}
            {t('diskFree', { free: bytes(node.disk_free ?? 0), limit: bytes(node.disk_free_limit) })}. {t('mendDisk')}
          </li>,
        ]
      : []),
  ])
  if (found.length === 0) return otherwise
  return (
    <div class="banner bad" role="alert">
      <b>{t('blocked')}</b>
      <ul class="alarms">{found}</ul>
    </div>
  )
}
