/** Names from outside: whatever is in them stays inside of them. */
import type { JSX } from 'preact'
import { moment, visibleName } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { linkTo, type Query } from '../core/route.ts'

/** What `visible` leaves has its own direction and turns nothing around it. */
export function Name({ of, otherwise }: { of: string; otherwise?: Key }): JSX.Element {
  if (of === '') return <i class="muted">{t(otherwise ?? 'withoutName')}</i>
  return <bdi>{visibleName(of)}</bdi>
}

/** A day and a time, with a line's end between them at most. */
export function Moment({ of }: { of: number }): JSX.Element {
  const [day = '', time = ''] = moment(of).split(' ')
  return (
    <>
      <span class="whole">{day}</span> <span class="whole">{time}</span>
    </>
  )
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
