/** Names from outside: whatever is in them stays inside of them. */
import type { JSX } from 'preact'
import { visibleName } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { linkTo, type Query } from '../core/route.ts'

/** What `visible` leaves has its own direction and turns nothing around it. */
export function Name({ of, otherwise }: { of: string; otherwise?: Key }): JSX.Element {
  if (of === '') return <i class="muted">{t(otherwise ?? 'withoutName')}</i>
  return <bdi>{visibleName(of)}</bdi>
}

interface NameLinkProps {
  readonly of: string
  readonly to: readonly string[]
  readonly query?: Query
  readonly otherwise?: Key
}

export function NameLink({ of, to, query = {}, otherwise }: NameLinkProps): JSX.Element {
  return (
    <a href={linkTo(to, query)} class="clip" title={visibleName(of)}>
      <Name of={of} {...(otherwise === undefined ? {} : { otherwise })} />
    </a>
  )
}
